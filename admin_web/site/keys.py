"""Typed keys of the objects that the site's application holds."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from aiohttp import web

from admin_web.documents import DocumentStore
from admin_web.pbx.pbx import Pbx
from admin_web.people.security_events import SecurityEvents
from admin_web.projection.projection import Projection
from admin_web.queries.enforcement import Enforcement
from admin_web.services import Database, Records
from admin_web.settings import AdminSettings

SETTINGS = web.AppKey("settings", AdminSettings)
DATABASE = web.AppKey("database", Database)
PROJECTION = web.AppKey("projection", Projection)
RECORDS = web.AppKey("records", Records)
PBX = web.AppKey("pbx", Pbx)
DOCUMENTS = web.AppKey("documents", DocumentStore)
NOW: web.AppKey[Callable[[], datetime]] = web.AppKey("now")
SECURITY = web.AppKey("security", SecurityEvents)
ENFORCEMENT = web.AppKey("enforcement", Enforcement)
ZONE = web.AppKey("zone", tzinfo)
"""The installation's time zone."""
