"""The guard before every page: who is it, did their own browser send this, and may they."""

import asyncio
from hmac import compare_digest
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from admin_web.people.permissions import Permission, allowed
from admin_web.people.sessions import Person, person_of
from admin_web.people.throttle import plain_address
from admin_web.services import Actor
from admin_web.site.keys import DATABASE, NOW
from admin_web.site.routing import Route, route_of

PERSON = web.RequestKey("person", Person)
CSRF_FIELD = "csrf"
SAFE = {"GET", "HEAD", "OPTIONS"}
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BODY_S = 20.0
"""How long a form without a file may take to arrive."""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its view, or turn it away. What is no page of the site passes: it guards itself."""
    route = route_of(request)
    if route is None and request.match_info.http_exception is None:
        return await handler(request)
    if "%00" in request.raw_path:
        raise web.HTTPBadRequest(text="The address holds a character that no text has.")
    found = await _person(request)
    if found is not None:
        request[PERSON] = found
    if route is None:
        return await handler(request)
    if request.method not in SAFE:
        _require_own_origin(request)
    if route.may is not Permission.ANYBODY:
        if found is None:
            raise _to_sign_in(request)
        if not allowed(found.role, route.may):
            raise web.HTTPForbidden(text=f"Your role ({found.role}) may not do this. Ask an admin of your company.")
    if request.method not in SAFE:
        await _require_token(request, route, found)
    return await handler(request)


def person(request: web.Request) -> Person:
    """Give who sent a request, on a route that needs a sign-in."""
    return request[PERSON]


def actor(request: web.Request) -> Actor:
    """Give who sent a request, as services put them on record."""
    who = person(request)
    return Actor(who.name, address_of(request), who.role)


def address_of(request: web.Request) -> str:
    """Give the address that a request came from."""
    return plain_address(request.remote)


def cookie_name(request: web.Request) -> str:
    """Name the session's cookie: over HTTPS a browser holds `__Host-` to this host, this path and HTTPS."""
    return "__Host-dnc_session" if request.secure else "dnc_session"


def require_csrf(request: web.Request, token: str) -> None:
    """Raise HTTPForbidden unless a form carries the token of its session."""
    if not compare_digest(token.encode(), person(request).csrf_token.encode()):
        raise web.HTTPForbidden(text="This form is not from your present session. Open the page again and repeat.")


async def _person(request: web.Request) -> Person | None:
    token = request.cookies.get(cookie_name(request), "")
    if not 20 <= len(token) <= 100 or not token.isascii():
        return None
    return await person_of(request.app[DATABASE], token, request.app[NOW]())


def _require_own_origin(request: web.Request) -> None:
    """Turn away what another site had the browser send. Browsers say where a POST comes from; one that does not say
    is no browser that this site supports.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in {"same-origin", "none"}
    else:
        own = origin is not None and urlsplit(origin).netloc == request.host
    if not own:
        raise web.HTTPForbidden(text="This came from another site, so it was not done. Open the page here and repeat.")


async def _require_token(request: web.Request, route: Route, found: Person | None) -> None:
    """Check the form's token. A multipart body is read by its view, through `forms.read_upload`, which checks it."""
    if request.content_type == MULTIPART and route.upload:
        return
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType(text="Only forms of this site are taken here.")
    try:
        async with asyncio.timeout(BODY_S):
            sent = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The form took too long to arrive.") from None
    if found is not None:
        require_csrf(request, str(sent.get(CSRF_FIELD, "")))


def _to_sign_in(request: web.Request) -> web.HTTPException:
    if request.method not in SAFE:
        return web.HTTPUnauthorized(text="You are signed out. Sign in and repeat; nothing was changed.")
    return web.HTTPSeeOther(request.app.router["sign_in"].url_for().with_query(next=request.path_qs[:500]))
