"""The services that operations use, and the address of a request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from admin_web.documents import DocumentStore
from admin_web.people.addresses import plain_address
from admin_web.people.security_events import SecurityEvents
from admin_web.projection.projection import Projection
from admin_web.services import Database, Records
from admin_web.settings import AdminSettings


@dataclass(frozen=True, slots=True)
class ApiTools:
    """Services that every operation may use; the application that mounts the API creates them."""

    database: Database
    projection: Projection
    records: Records
    documents: DocumentStore
    settings: AdminSettings
    now: Callable[[], datetime]
    security: SecurityEvents


TOOLS = web.AppKey("tools", ApiTools)


def peer_of(request: web.Request) -> str:
    """Return the address that a request came from; empty for a unix socket."""
    return plain_address(request.remote)
