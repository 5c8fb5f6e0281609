"""Every route of the site, collected from its views."""

from admin_web.routing import Route
from admin_web.views import (
    account,
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
    tokens,
    users,
    webhooks,
)

ROUTES: tuple[Route, ...] = (
    *account.ROUTES,
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
    *tokens.ROUTES,
    *users.ROUTES,
    *webhooks.ROUTES,
)
