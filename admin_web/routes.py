"""Every route of the site, collected from its views."""

from admin_web.routing import Route
from admin_web.views import documents, enforcement, monitor, sign_in

ROUTES: tuple[Route, ...] = (
    *documents.ROUTES,
    *enforcement.ROUTES,
    *monitor.ROUTES,
    *sign_in.ROUTES,
)
