"""The navigation column: each page with the permission that it needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from admin_web.people.permissions import Permission, allowed
from compliance.consent import Role


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """An entry of the navigation; `here` is True for the entry that the current page belongs to."""

    label: str
    icon: str
    url: str
    here: bool


_PLACES = (
    ("Dashboard", "dashboard", "dashboard", Permission.SIGNED_IN),
    ("Dial queue", "queue", "queue", Permission.CALL),
    ("Leads", "leads", "leads", Permission.SEE_LEADS),
    ("Do-Not-Call list", "list", "lists", Permission.SEE_LISTS),
    ("Compliance Monitor", "monitor", "monitor", Permission.SEE_OVERRIDES),
    ("Call log", "calls", "calls", Permission.SEE_CALLS),
    ("Enforcement", "enforcement", "enforcement", Permission.SEE_ENFORCEMENT),
    ("Registries", "file", "registries", Permission.SEE_ENFORCEMENT),
    ("Background jobs", "jobs", "jobs", Permission.IMPORT),
    ("Audit events", "audit", "audit", Permission.SEE_AUDIT),
    ("Users", "users", "users", Permission.MANAGE),
    ("Telephones", "phone", "telephones", Permission.MANAGE),
    ("API tokens", "tokens", "tokens", Permission.MANAGE),
    ("Webhooks", "webhooks", "webhooks", Permission.MANAGE),
)
"""Label, icon, route name, permission."""


def places(app: web.Application, role: Role, path: str) -> Iterator[NavigationEntry]:
    """Yield the entries that a role may open."""
    resources = app.router.named_resources()
    for label, icon, name, may in _PLACES:
        if name in resources and allowed(role, may):
            url = str(resources[name].url_for())
            below = not url.endswith("/") and path.startswith(f"{url}/")
            yield NavigationEntry(label, icon, url, here=path == url or below)
