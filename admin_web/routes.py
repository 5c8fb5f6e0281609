"""Every route of the site, collected from its views."""

from admin_web.routing import Route
from admin_web.views import sign_in

ROUTES: tuple[Route, ...] = (*sign_in.ROUTES,)
