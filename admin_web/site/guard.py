"""The check before every page: who sent the request, whether this site caused it, and whether the role allows it."""

import asyncio
from hmac import compare_digest
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from admin_web.people.addresses import plain_address
from admin_web.people.obligations import OPEN_ROUTES, SENTENCES, Obligation, obligation_of
from admin_web.people.permissions import Permission, allowed
from admin_web.people.sessions import Person, person_of
from admin_web.services import Actor
from admin_web.site.forwarding import same_host
from admin_web.site.keys import DATABASE, NOW, SETTINGS
from admin_web.site.routing import Route, route_of
from compliance.http_body import why_not_read

PERSON = web.RequestKey("person", Person)
OBLIGATION = web.RequestKey("obligation", Obligation)
CSRF_FIELD = "csrf"
SAFE = {"GET", "HEAD", "OPTIONS"}
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
BODY_S = 20.0
"""Seconds that a form without a file may take to arrive."""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pass a request on to its view, or reject it. Requests outside the site (API, static files) pass unchecked."""
    route = route_of(request)
    if route is None and request.match_info.http_exception is None:
        return await handler(request)
    _require_readable(request)
    found = await _person(request)
    if route is None:
        return await handler(request)
    if request.method not in SAFE:
        _require_own_origin(request)
    if route.may is not Permission.ANYBODY:
        _require_permission(request, route, found)
    if request.method not in SAFE:
        await _require_token(request, route, found)
    return await handler(request)


def _require_readable(request: web.Request) -> None:
    """Raise HTTPBadRequest or HTTPUnsupportedMediaType if address or body are written in a way that no page reads."""
    if "%00" in request.raw_path:
        raise web.HTTPBadRequest(text="The address contains a NUL character, which no page accepts.")
    if why := why_not_read(request):
        raise web.HTTPUnsupportedMediaType(text=f"{why} Nothing was changed.")


def person(request: web.Request) -> Person:
    """Return the person who sent a request, on a route that needs a sign-in."""
    return request[PERSON]


async def require_still_allowed(request: web.Request) -> None:
    """Check the sender's session and role again, during and after an upload. Raises HTTPException.

    An upload may take hours. Whoever was signed out, disabled or got another role meanwhile may not complete it.
    """
    route = route_of(request)
    if route is not None:
        _require_permission(request, route, await _person(request))


def visitor(request: web.Request) -> Actor:
    """Return the sender of a request as an actor, with an empty name if they are not signed in."""
    return actor(request) if PERSON in request else Actor("", address_of(request))


def actor(request: web.Request) -> Actor:
    """Return the sender of a request as the actor that services record."""
    who = person(request)
    return Actor(who.name, address_of(request), who.role)


def address_of(request: web.Request) -> str:
    """Return the IP address that a request came from."""
    return plain_address(request.remote)


def cookie_name(request: web.Request) -> str:
    """Return the name of the session cookie."""
    return f"{cookie_prefix(request)}dnc_session"


def cookie_prefix(request: web.Request) -> str:
    """Return the prefix of cookies' names. Over HTTPS, browsers bind `__Host-` cookies to this host and all its paths.

    A site under a path may share the host with another one, so its cookies are bound to HTTPS and the path instead.
    """
    if not request.secure:
        return ""
    return "__Secure-" if request.app[SETTINGS].web_prefix else "__Host-"


def cookie_path(request: web.Request) -> str:
    """Return the path to which cookies are sent."""
    return request.app[SETTINGS].web_prefix or "/"


def browser_cookie_name(request: web.Request) -> str:
    """Return the name of the cookie by which a browser is known."""
    return f"{cookie_prefix(request)}dnc_browser"


def set_cookie(request: web.Request, answer: web.Response, name: str, value: str, life_s: int | None = None) -> None:
    """Set a cookie that no script can read. Without `life_s`, it lasts until the browser is closed."""
    path = cookie_path(request)
    answer.set_cookie(name, value, max_age=life_s, httponly=True, samesite="Lax", secure=request.secure, path=path)


class ForgedForm(web.HTTPForbidden):
    """A form that does not come from a page of this site in the person's present session."""


def require_csrf(request: web.Request, token: str) -> None:
    """Raise HTTPForbidden unless a form carries the token of its session."""
    if not compare_digest(token.encode(), person(request).csrf_token.encode()):
        raise ForgedForm(text="This form is not from your current session. Open the page again and repeat.")


async def _person(request: web.Request) -> Person | None:
    """Return the person whose session cookie a request has, and keep them in the request."""
    found = await _of_session(request)
    if found is not None:
        request[PERSON] = found
        if first := obligation_of(found, request.app[SETTINGS].roles_with_codes):
            request[OBLIGATION] = first
    return found


async def _of_session(request: web.Request) -> Person | None:
    token = request.cookies.get(cookie_name(request), "")
    if not 20 <= len(token) <= 100 or not token.isascii():
        return None
    return await person_of(request.app[DATABASE], token, request.app[NOW]())


def _require_own_origin(request: web.Request) -> None:
    """Reject a request that another site made the browser send. Raises HTTPForbidden.

    Every supported browser sends Sec-Fetch-Site or Origin with a POST, so a request without both is rejected too.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in {"same-origin", "none"}
    else:
        host = _host_of(origin or "")
        own = bool(host) and same_host(host, request.host, request.scheme)
    if not own:
        raise ForgedForm(text="Another site sent this form, so nothing was changed. Open the page here and repeat.")


def _host_of(origin: str) -> str:
    """Return the host and port of an origin; empty if it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


async def _require_token(request: web.Request, route: Route, found: Person | None) -> None:
    """Check the form's CSRF token. For a multipart body, the view checks the token, through `forms.read_upload`."""
    if request.content_type == MULTIPART and route.upload:
        return
    if request.content_type != FORM:
        raise web.HTTPUnsupportedMediaType(text="Only forms of this site are accepted here.")
    try:
        async with asyncio.timeout(BODY_S):
            sent = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(
            text="The form took too long to arrive. Nothing was changed; send it again."
        ) from None
    except ValueError:
        raise web.HTTPBadRequest(text="The form is not in UTF-8. Nothing was changed; send it again.") from None
    if found is not None:
        require_csrf(request, str(sent.get(CSRF_FIELD, "")))


def _require_permission(request: web.Request, route: Route, found: Person | None) -> None:
    """Raise HTTPException unless the person may use the route, and has done what they must do first."""
    if found is None:
        raise _to_sign_in(request)
    if not allowed(found.role, route.may):
        raise web.HTTPForbidden(text=f"Your role ({found.role}) may not do this. Ask an admin of your company.")
    _require_obligation_met(request, route)


def _require_obligation_met(request: web.Request, route: Route) -> None:
    """Lead a person who must do something first to their account page. Raises HTTPException."""
    first = request.get(OBLIGATION)
    if first is None or route.name in OPEN_ROUTES[first]:
        return
    if request.method in SAFE:
        raise web.HTTPSeeOther(request.app.router["account"].url_for())
    raise web.HTTPForbidden(text=f"Nothing was changed. {SENTENCES[first]}")


def _to_sign_in(request: web.Request) -> web.HTTPException:
    if request.method not in SAFE:
        return web.HTTPUnauthorized(text="Nothing was changed, because your session has ended. Sign in and repeat.")
    return web.HTTPSeeOther(request.app.router["sign_in"].url_for().with_query(next=request.path_qs[:500]))
