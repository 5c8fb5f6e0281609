"""A route of the site: every one names the permission that it needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from admin_web.people.permissions import Permission

View = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `name` (`<noun>-<what>`) is what links are made by; `upload` takes multipart bodies."""

    method: str
    path: str
    view: View
    may: Permission
    name: str
    upload: bool = False


def add(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Put routes into an application. GET and POST of one path share a name."""
    resources: dict[str, tuple[str, web.Resource]] = {}
    for route in routes:
        if route.name not in resources:
            resources[route.name] = route.path, app.router.add_resource(route.path, name=route.name)
        path, resource = resources[route.name]
        if path != route.path:
            raise ValueError(f"two paths bear the name {route.name}")
        resource.add_route(route.method, _carrying(route))


def route_of(request: web.Request) -> Route | None:
    """Give the route of a request; None for what is no page of the site."""
    return getattr(request.match_info.handler, "dnc_route", None)


def _carrying(route: Route) -> View:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await route.view(request)

    handler.dnc_route = route  # type: ignore[attr-defined]
    return handler
