"""Signing in and out."""

from aiohttp import web

from admin_web.people.known_browsers import LIFE_S
from admin_web.people.own_account import sign_out
from admin_web.people.permissions import Permission
from admin_web.people.sign_in import Given, NotSignedIn, sign_in
from admin_web.people.throttle import TooManyAttempts
from admin_web.services import Actor
from admin_web.site.forms import EMPTY, read_form
from admin_web.site.guard import (
    PERSON,
    actor,
    address_of,
    browser_cookie_name,
    cookie_name,
    cookie_path,
    person,
    set_cookie,
)
from admin_web.site.keys import DATABASE, NOW, SECURITY, SETTINGS
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
    browser = request.cookies.get(browser_cookie_name(request), "")
    given = Given(name, sent.values.get("password", ""), sent.text("code"), browser, sent.text("time_zone"))
    try:
        opened = await sign_in(request.app[DATABASE], given, origin, request.app[NOW]())
    except (NotSignedIn, TooManyAttempts) as error:
        await _note_refusal(request, error, origin)
        status = 429 if isinstance(error, TooManyAttempts) else 422
        return await render(request, "sign_in/form.html", status=status, form=sent, error=str(error), next=onward[:500])
    if PERSON in request:
        await sign_out(request.app[DATABASE], actor(request), person(request).session_id, request.app[NOW])
    answer = _onward(request, onward)
    set_cookie(request, answer, cookie_name(request), opened.session)
    set_cookie(request, answer, browser_cookie_name(request), opened.browser, LIFE_S)
    return answer


async def leave(request: web.Request) -> web.StreamResponse:
    """Sign out. The session ends on the server, even if the browser keeps the cookie."""
    await sign_out(request.app[DATABASE], actor(request), person(request).session_id, request.app[NOW])
    answer = see_other(request, "sign_in", notice=Notice("You are signed out."))
    answer.del_cookie(
        cookie_name(request), path=cookie_path(request), secure=request.secure, httponly=True, samesite="Lax"
    )
    return answer


async def _note_refusal(request: web.Request, error: NotSignedIn | TooManyAttempts, origin: Actor) -> None:
    """Record a refused attempt. A name that no user has is not recorded, because it may be a mistyped password."""
    who = Actor(error.user if isinstance(error, NotSignedIn) else "", origin.address)
    if isinstance(error, TooManyAttempts):
        await request.app[SECURITY].audit("throttled", "user", "", who, limit=error.limit)
    else:
        known = "known" if error.user else "unknown"
        await request.app[SECURITY].audit("sign-in-refused", "user", error.user, who, name=known)


def _onward(request: web.Request, wanted: str) -> web.Response:
    """Redirect to the page that the person asked for, if it is a page of this site; else to the dashboard."""
    root = request.app[SETTINGS].web_prefix
    own = wanted.startswith(f"{root}/") and not wanted.startswith(("//", "/\\"))
    return web.Response(status=303, headers={"Location": wanted if own and wanted.isprintable() else f"{root}/"})


ROUTES = (
    Route("GET", "/sign-in", form, Permission.ANYBODY, "sign_in"),
    Route("POST", "/sign-in", enter, Permission.ANYBODY, "sign_in"),
    Route("POST", "/sign-out", leave, Permission.SIGNED_IN, "sign_out"),
)
