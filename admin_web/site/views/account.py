"""The signed-in person's own account: time zone, open sessions, password, one-time codes."""

from io import BytesIO

import segno
from aiohttp import web

from admin_web.people import own_account as own
from admin_web.people import recovery_codes, totp
from admin_web.people.known_browsers import LIFE_S
from admin_web.people.own_account import NotEnrolled, UnknownSession, WrongCode
from admin_web.people.permissions import Permission
from admin_web.people.sessions import open_sessions
from admin_web.people.sign_in import WrongPassword
from admin_web.people.throttle import TooManyAttempts
from admin_web.queries.users import user_of
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor, browser_cookie_name, person, set_cookie
from admin_web.site.keys import DATABASE, NOW, SECURITY
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.refusal import Refused, Unwritable
from compliance.zones import UnknownZone, choices


async def account(request: web.Request) -> web.StreamResponse:
    """Show the account of the person who is signed in."""
    return await _shown(request, EMPTY)


async def change_password(request: web.Request) -> web.StreamResponse:
    """Change the password and end all other sessions."""
    form, who = await read_form(request), person(request)
    old, new = (form.values.get(name, "") for name in ("present", "new"))
    if new != form.values.get("again", ""):
        form.errors["again"] = "The two new passwords differ."
        return await _shown(request, form, 422)
    browser = request.cookies.get(browser_cookie_name(request), "")
    try:
        sent = actor(request), who.session_id, old, new
        changed = await own.change_password(request.app[DATABASE], *sent, request.app[NOW], browser)
    except (WrongPassword, TooManyAttempts) as error:
        return await _refused(request, form, "present", error)
    except Unwritable as error:
        form.errors["new"] = str(error)
        return await _shown(request, form, 422)
    others = f"{changed.ended} other {'session' if changed.ended == 1 else 'sessions'}"
    answer = _done(request, f"Your password is changed; {others} ended.")
    set_cookie(request, answer, browser_cookie_name(request), changed.browser, LIFE_S)
    return answer


async def begin_codes(request: web.Request) -> web.StreamResponse:
    """Create a secret and show it. It takes effect once the person has entered a code from it."""
    form = await read_form(request)
    try:
        password = form.values.get("password", "")
        await own.begin_totp(request.app[DATABASE], actor(request), password, request.app[NOW])
    except (WrongPassword, TooManyAttempts) as error:
        return await _refused(request, form, "password", error)
    return see_other(request, "account")


async def code_image(request: web.Request) -> web.StreamResponse:
    """Return the unconfirmed secret as a QR code. Raises HTTPNotFound when there is none."""
    secret = await own.unconfirmed_secret(request.app[DATABASE], person(request).name)
    if secret is None:
        raise web.HTTPNotFound
    drawn = BytesIO()
    segno.make(totp.uri(secret, person(request).name), error="m").save(drawn, kind="svg", scale=5, light="#fff")
    return web.Response(body=drawn.getvalue(), content_type="image/svg+xml")


async def confirm_codes(request: web.Request) -> web.StreamResponse:
    """Turn one-time codes on, and show the recovery codes. Only this response contains them."""
    form, who = await read_form(request), person(request)
    try:
        sent = actor(request), who.session_id, form.text("code")
        codes = await own.confirm_totp(request.app[DATABASE], *sent, request.app[NOW])
    except (WrongCode, NotEnrolled) as error:
        form.errors["code"] = str(error)
        return await _shown(request, form, 422)
    said = "One-time codes are on: the site asks for one whenever you sign in. Your other sessions have ended."
    return await render(request, "account/recovery_codes.html", codes=codes, said=said)


async def renew_recovery_codes(request: web.Request) -> web.StreamResponse:
    """Replace the recovery codes and show the new ones. Only this response contains them."""
    form = await read_form(request)
    try:
        password = form.values.get("password", "")
        codes = await own.renew_recovery_codes(request.app[DATABASE], actor(request), password, request.app[NOW])
    except (WrongPassword, TooManyAttempts) as error:
        return await _refused(request, form, "password", error)
    return await render(request, "account/recovery_codes.html", codes=codes, said="The old recovery codes are void.")


async def end_codes(request: web.Request) -> web.StreamResponse:
    """Turn one-time codes off."""
    form, who = await read_form(request), person(request)
    try:
        sent = actor(request), who.session_id, form.values.get("password", "")
        await own.end_totp(request.app[DATABASE], *sent, request.app[NOW])
    except (WrongPassword, TooManyAttempts) as error:
        return await _refused(request, form, "password", error)
    return _done(request, "One-time codes are off.")


async def set_time_zone(request: web.Request) -> web.StreamResponse:
    """Set the time zone in which this person sees times and days."""
    form = await read_form(request)
    try:
        await own.set_time_zone(request.app[DATABASE], actor(request), form.text("zone"), request.app[NOW])
    except UnknownZone as error:
        form.errors["zone"] = str(error)
        return await _shown(request, form, 422)
    return _done(request, f"Times and days are those of {form.text('zone')} from now on.")


async def end_session(request: web.Request) -> web.StreamResponse:
    """End one other session of the same person."""
    session_id = int(request.match_info["session"])
    try:
        await own.end_session(request.app[DATABASE], actor(request), session_id, request.app[NOW])
    except UnknownSession as error:
        return see_other(request, "account", notice=Notice(str(error), "warn"))
    return _done(request, "The session has ended.")


async def _refused(request: web.Request, form: Form, field: str, error: Refused) -> web.StreamResponse:
    """Show the form again, and record that the password of the session's owner was wrong."""
    security, who = request.app[SECURITY], actor(request)
    if isinstance(error, TooManyAttempts):
        await security.audit("throttled", "user", who.name, who, limit=error.limit)
    else:
        await security.audit("password-refused", "user", who.name, who)
    form.errors[field] = str(error)
    return await _shown(request, form, 422)


async def _shown(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    database, who, at = request.app[DATABASE], person(request), request.app[NOW]()
    return await render(
        request,
        "account/page.html",
        status=status,
        form=form,
        zones=choices(),
        user=await user_of(database, who.name, at),
        secret=await own.unconfirmed_secret(database, who.name),
        recovery_codes=await recovery_codes.left(database, who.name),
        sessions=await open_sessions(database, who.name, at),
    )


def _done(request: web.Request, sentence: str) -> web.Response:
    return see_other(request, "account", notice=Notice(sentence))


ROUTES = (
    Route("GET", "/account", account, Permission.SIGNED_IN, "account"),
    Route("POST", "/account/password", change_password, Permission.SIGNED_IN, "account-password"),
    Route("POST", "/account/codes", begin_codes, Permission.SIGNED_IN, "account-codes"),
    Route("GET", "/account/codes/image.svg", code_image, Permission.SIGNED_IN, "account-codes-image"),
    Route("POST", "/account/codes/confirm", confirm_codes, Permission.SIGNED_IN, "account-codes-confirm"),
    Route("POST", "/account/codes/recovery", renew_recovery_codes, Permission.SIGNED_IN, "account-codes-recovery"),
    Route("POST", "/account/codes/end", end_codes, Permission.SIGNED_IN, "account-codes-end"),
    Route("POST", "/account/zone", set_time_zone, Permission.SIGNED_IN, "account-zone"),
    Route("POST", "/account/sessions/{session:[0-9]{1,15}}/end", end_session, Permission.SIGNED_IN, "account-session"),
)
