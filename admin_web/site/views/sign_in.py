"""Signing in and out."""

from urllib.parse import urlsplit

from aiohttp import web

from admin_web.people import sessions
from admin_web.people.permissions import Permission
from admin_web.people.sign_in import NotSignedIn, sign_in
from admin_web.people.throttle import TooManyAttempts
from admin_web.services import Actor
from admin_web.site.forms import EMPTY, read_form
from admin_web.site.guard import PERSON, address_of, cookie_name, cookie_path, person
from admin_web.site.keys import DATABASE, NOW, SETTINGS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route


async def form(request: web.Request) -> web.StreamResponse:
    """Show the form. Redirect a person who is signed in already."""
    if PERSON in request:
        return _onward(request, request.query.get("next", ""))
    return await render(request, "sign_in/form.html", form=EMPTY, error="", next=request.query.get("next", "")[:500])


async def enter(request: web.Request) -> web.StreamResponse:
    """Sign in. The session is always new, so that an attacker cannot have planted its cookie (session fixation)."""
    sent = await read_form(request)
    origin = Actor(request.headers.get("User-Agent", ""), address_of(request))
    name, onward = sent.text("name"), sent.text("next")
    password, code = sent.values.get("password", ""), sent.text("code")
    try:
        claims = name, password, code, origin, request.app[NOW](), sent.text("time_zone")
        token = await sign_in(request.app[DATABASE], *claims)
    except (NotSignedIn, TooManyAttempts) as error:
        status = 429 if isinstance(error, TooManyAttempts) else 422
        return await render(request, "sign_in/form.html", status=status, form=sent, error=str(error), next=onward[:500])
    if PERSON in request:
        await sessions.end(request.app[DATABASE], person(request).session_id, name, request.app[NOW]())
    answer = _onward(request, onward)
    name, path = cookie_name(request), cookie_path(request)
    answer.set_cookie(name, token, httponly=True, samesite="Lax", secure=request.secure, path=path)
    return answer


async def leave(request: web.Request) -> web.StreamResponse:
    """Sign out. The session ends on the server, even if the browser keeps the cookie."""
    who = person(request)
    await sessions.end(request.app[DATABASE], who.session_id, who.name, request.app[NOW]())
    answer = see_other(request, "sign_in", notice=Notice("You are signed out."))
    answer.del_cookie(
        cookie_name(request), path=cookie_path(request), secure=request.secure, httponly=True, samesite="Lax"
    )
    return answer


def _onward(request: web.Request, wanted: str) -> web.Response:
    """Redirect to the page that the person asked for, if it is a page of this site; else to the dashboard."""
    root, parts = request.app[SETTINGS].web_prefix, urlsplit(wanted)
    own = wanted.startswith(f"{root}/") and not wanted.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return web.Response(status=303, headers={"Location": wanted if own and wanted.isprintable() else f"{root}/"})


ROUTES = (
    Route("GET", "/sign-in", form, Permission.ANYBODY, "sign_in"),
    Route("POST", "/sign-in", enter, Permission.ANYBODY, "sign_in"),
    Route("POST", "/sign-out", leave, Permission.SIGNED_IN, "sign_out"),
)
