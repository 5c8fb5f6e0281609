"""Every route of the site, collected from its views."""

from admin_web.routing import Route
from admin_web.views import documents, enforcement, lead_actions, leads, monitor, overrides, queue, sign_in

ROUTES: tuple[Route, ...] = (
    *documents.ROUTES,
    *enforcement.ROUTES,
    *lead_actions.ROUTES,
    *leads.ROUTES,
    *monitor.ROUTES,
    *overrides.ROUTES,
    *queue.ROUTES,
    *sign_in.ROUTES,
)
