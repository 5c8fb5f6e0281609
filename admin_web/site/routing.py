"""Routes of the site, each with the permission that it needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from admin_web.people.permissions import Permission

View = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. Links use `name` (`<noun>-<what>`). With `upload`, multipart bodies are accepted."""

    method: str
    path: str
    view: View
    may: Permission
    name: str
    upload: bool = False


def add(app: web.Application, routes: tuple[Route, ...], root: str = "") -> None:
    """Add routes to an application, below the path `root`, such as `/dnc`.

    GET and POST of one path share a name. Raises ValueError for two paths.
    """
    resources: dict[str, tuple[str, web.Resource]] = {}
    for route in routes:
        if route.name not in resources:
            resources[route.name] = route.path, app.router.add_resource(f"{root}{route.path}", name=route.name)
        path, resource = resources[route.name]
        if path != route.path:
            raise ValueError(f"two paths have the name {route.name}")
        resource.add_route(route.method, _carrying(route))
    if root:
        app.router.add_get(root, _to_start)


async def _to_start(request: web.Request) -> web.StreamResponse:
    """Redirect from the path of the site without its last slash."""
    return web.Response(status=308, headers={"Location": f"{request.path}/"})


def route_of(request: web.Request) -> Route | None:
    """Return the route of a request; None when it is not a page of the site."""
    return getattr(request.match_info.handler, "dnc_route", None)


def _carrying(route: Route) -> View:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await route.view(request)

    handler.dnc_route = route  # type: ignore[attr-defined]
    return handler
