"""People who sign in: list, add, role, password, sessions, disable and enable. Admins only."""

from aiohttp import web

from admin_web.people import accounts, tokens
from admin_web.people.accounts import LastAdmin, NameTaken, UnknownUser
from admin_web.people.passwords import random_password
from admin_web.people.permissions import Permission
from admin_web.people.throttle import UNLOCKED
from admin_web.queries.paging import read_key
from admin_web.queries.users import user_of, user_page
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.consent import Role
from compliance.refusal import Unwritable

ROLES = {
    Role.AGENT: "Agent: calls leads, puts numbers on the Do-Not-Call list",
    Role.SUPERVISOR: "Supervisor: an agent who may also place overrides",
    Role.ADMIN: "Admin: reviews and revokes overrides, takes numbers off the list, imports, rebuilds, manages users",
    Role.AUDITOR: "Auditor: reads everything, changes nothing",
}


async def users(request: web.Request) -> web.StreamResponse:
    """List people by name."""
    after = request.query.get("after", "")
    page = await user_page(request.app[DATABASE], request.app[NOW](), read_key(after, str))
    return await render(request, "users/list.html", page=page, at_start=not after)


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new person."""
    return await render(request, "users/new.html", form=EMPTY, roles=ROLES)


async def add(request: web.Request) -> web.StreamResponse:
    """Add a person with a random password. Only this response shows it."""
    form, password = await read_form(request), random_password()
    name, role = form.text("name"), _role(form)
    try:
        if role is not None:
            names = (name, role, password, form.text("full_name"))
            await accounts.add_user(request.app[DATABASE], actor(request), *names, now=request.app[NOW])
    except NameTaken as error:
        form.errors["name"] = str(error)
    except Unwritable as error:
        form.errors["full_name" if "full name" in str(error) else "name"] = str(error)
    if form.errors:
        return await render(request, "users/new.html", status=422, form=form, roles=ROLES)
    return await render(request, "users/password.html", name=name, password=password, added=True)


async def user(request: web.Request) -> web.StreamResponse:
    """Show one person."""
    return await _shown(request, EMPTY)


async def change(request: web.Request) -> web.StreamResponse:
    """Change a person's role or extension."""
    form, name = await read_form(request), request.match_info["user"]
    if (role := _role(form)) is None:
        return await _shown(request, form, 422)
    try:
        extension = form.text("extension")
        await accounts.change_user(request.app[DATABASE], actor(request), name, role=role, extension=extension)
    except LastAdmin as error:
        form.errors["role"] = str(error)
    except Unwritable as error:
        form.errors["extension"] = str(error)
    if form.errors:
        return await _shown(request, form, 422)
    left = "" if role is Role.ADMIN else await _tokens_left(request)
    return _done(request, f"Saved. {name} has the role {role} from their next click on.{left}")


async def new_password(request: web.Request) -> web.StreamResponse:
    """Set a random password and end all sessions of the person. Only this response shows the password."""
    name, password = request.match_info["user"], random_password()
    await accounts.set_password(request.app[DATABASE], actor(request), name, password, now=request.app[NOW])
    return await render(request, "users/password.html", name=name, password=password, added=False)


async def disable(request: web.Request) -> web.StreamResponse:
    """Keep a person from signing in, and end their sessions."""
    name = request.match_info["user"]
    try:
        await accounts.disable_user(request.app[DATABASE], actor(request), name)
    except LastAdmin as error:
        return see_other(request, "user", notice=Notice(str(error), "bad"), user=name)
    return _done(request, f"{name} is disabled and signed out everywhere.{await _tokens_left(request)}")


async def revoke_tokens(request: web.Request) -> web.StreamResponse:
    """Revoke all API tokens for which a person is responsible."""
    name = request.match_info["user"]
    revoked = await tokens.revoke_tokens_of(request.app[DATABASE], actor(request), name)
    return _done(request, f"Revoked: {', '.join(revoked)}." if revoked else "There was no token to revoke.")


async def enable(request: web.Request) -> web.StreamResponse:
    """Allow a disabled person to sign in again."""
    await accounts.enable_user(request.app[DATABASE], actor(request), request.match_info["user"])
    return _done(request, f"{request.match_info['user']} can sign in again, with the same password as before.")


async def end_sessions(request: web.Request) -> web.StreamResponse:
    """End all sessions of a person."""
    ended = await accounts.end_sessions(request.app[DATABASE], actor(request), request.match_info["user"])
    return _done(request, f"{ended} {'session' if ended == 1 else 'sessions'} ended.")


async def reset_codes(request: web.Request) -> web.StreamResponse:
    """Turn off one-time codes for a person who has lost their telephone, and end their sessions."""
    await accounts.reset_totp(request.app[DATABASE], actor(request), request.match_info["user"])
    return _done(request, f"{request.match_info['user']} can sign in without a one-time code.")


async def unlock(request: web.Request) -> web.StreamResponse:
    """Let a person sign in although there were too many attempts for their name."""
    name = request.match_info["user"]
    await accounts.unlock_user(request.app[DATABASE], actor(request), name, now=request.app[NOW])
    minutes = int(UNLOCKED.total_seconds() // 60)
    return _done(request, f"{name} can try to sign in during the next {minutes} minutes.")


async def _shown(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    name = request.match_info["user"]
    found = await user_of(request.app[DATABASE], name, request.app[NOW]())
    if found is None:
        raise UnknownUser(f"There is no user {name}.")
    held = await tokens.tokens_of(request.app[DATABASE], name, request.app[NOW]())
    return await render(request, "users/page.html", status=status, user=found, form=form, roles=ROLES, tokens=held)


async def _tokens_left(request: web.Request) -> str:
    """Return a sentence about the tokens of a person who can no longer answer for them; empty if there are none."""
    held = await tokens.tokens_of(request.app[DATABASE], request.match_info["user"], request.app[NOW]())
    if not held:
        return ""
    return f" These API tokens go on until you revoke them or hand them over: {', '.join(held)}."


def _role(form: Form) -> Role | None:
    """Read the role of a form. Record an error, and return None, for anything else."""
    if form.text("role") in set(Role):
        return Role(form.text("role"))
    form.errors["role"] = "Choose a role."
    return None


def _done(request: web.Request, sentence: str) -> web.StreamResponse:
    return see_other(request, "user", notice=Notice(sentence), user=request.match_info["user"])


ONE = "/users/{user:[a-z0-9_.-]{1,64}}"

ROUTES = (
    Route("GET", "/users", users, Permission.MANAGE, "users"),
    Route("GET", "/users/+new", new, Permission.MANAGE, "user-new"),
    Route("POST", "/users/+new", add, Permission.MANAGE, "user-new"),
    Route("GET", ONE, user, Permission.MANAGE, "user"),
    Route("POST", ONE, change, Permission.MANAGE, "user"),
    Route("POST", f"{ONE}/password", new_password, Permission.MANAGE, "user-password"),
    Route("POST", f"{ONE}/disable", disable, Permission.MANAGE, "user-disable"),
    Route("POST", f"{ONE}/tokens", revoke_tokens, Permission.MANAGE, "user-tokens"),
    Route("POST", f"{ONE}/enable", enable, Permission.MANAGE, "user-enable"),
    Route("POST", f"{ONE}/sign-out", end_sessions, Permission.MANAGE, "user-sign-out"),
    Route("POST", f"{ONE}/unlock", unlock, Permission.MANAGE, "user-unlock"),
    Route("POST", f"{ONE}/codes", reset_codes, Permission.MANAGE, "user-codes"),
)
