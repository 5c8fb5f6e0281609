"""Every route of the site, collected from its views."""

from admin_web.routing import Route
from admin_web.views import (
    audit,
    calls,
    dashboard,
    documents,
    enforcement,
    imports,
    jobs,
    lead_actions,
    leads,
    lists,
    monitor,
    overrides,
    queue,
    sign_in,
)

ROUTES: tuple[Route, ...] = (
    *audit.ROUTES,
    *calls.ROUTES,
    *dashboard.ROUTES,
    *documents.ROUTES,
    *enforcement.ROUTES,
    *imports.ROUTES,
    *jobs.ROUTES,
    *lead_actions.ROUTES,
    *leads.ROUTES,
    *lists.ROUTES,
    *monitor.ROUTES,
    *overrides.ROUTES,
    *queue.ROUTES,
    *sign_in.ROUTES,
)
