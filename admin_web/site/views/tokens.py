"""Bearer tokens of the API: list, make, revoke. Admins only."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from aiohttp import web

from admin_web.people import tokens
from admin_web.people.addresses import read_networks
from admin_web.people.permissions import Permission
from admin_web.people.tokens import (
    LONGEST_LIFE,
    MOST_PER_MINUTE,
    USUAL_LIFE,
    USUAL_PER_MINUTE,
    NotResponsible,
    Scope,
    TokenTerms,
)
from admin_web.site.clock import zone_of
from admin_web.site.forms import Form, read_form
from admin_web.site.guard import actor, person
from admin_web.site.keys import DATABASE, NOW
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.refusal import Refused, Unwritable
from compliance.zones import end_of

SCOPES = {
    Scope.READ: "Read leads, the queue, overrides and decisions",
    Scope.SCRUB: "Check whether numbers may be dialled, and nothing else",
    Scope.LEADS: "Add and change leads",
    Scope.DIAL: "Claim leads of the dial queue, report how calls ended, put leads back or take them off",
    Scope.SUPPRESS: "Put numbers on the Do-Not-Call list",
    Scope.LIFT: "Take numbers off the Do-Not-Call list",
    Scope.LISTS: "Block and lift whole area codes, make campaign lists",
    Scope.OVERRIDE: "Place consent overrides with their document",
    Scope.REVOKE: "Revoke overrides",
}


async def token_list(request: web.Request) -> web.StreamResponse:
    """List every token: first the valid ones for which nobody answers, then the other valid ones."""
    at, database = request.app[NOW](), request.app[DATABASE]
    found = await tokens.tokens(database)
    rows = sorted(found, key=lambda row: (not row.token.is_good(at), row.answered_for))
    people = await tokens.responsible_people(database)
    return await render(request, "tokens/list.html", rows=rows, people=people, usual=USUAL_PER_MINUTE)


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new token."""
    return await _form(request, Form({"responsible": person(request).name}))


async def make(request: web.Request) -> web.StreamResponse:
    """Make a token and show it. Only this response contains it."""
    form = await read_form(request)
    chosen = [scope for scope in Scope if form.ticked(f"scope-{scope}")]
    terms = TokenTerms(
        _end(form, request.app[NOW](), zone_of(request)),
        form.text("responsible") or person(request).name,
        _networks(form),
        _per_minute(form),
    )
    if not chosen:
        form.errors["scopes"] = "Choose at least one thing that the token may do."
    token = "" if form.errors else await _made(request, form, chosen, terms)
    if form.errors:
        return await _form(request, form, 422)
    return await render(request, "tokens/made.html", name=form.text("name"), token=token, scopes=chosen)


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a token at once."""
    form = await read_form(request)
    try:
        await tokens.revoke_token(request.app[DATABASE], actor(request), form.text("name"))
    except Refused as error:
        return see_other(request, "tokens", notice=Notice(str(error), "bad"))
    return see_other(request, "tokens", notice=Notice(f"The token {form.text('name')} is revoked and no longer valid."))


async def assign(request: web.Request) -> web.StreamResponse:
    """Make another admin responsible for a token."""
    form = await read_form(request)
    name, wanted = form.text("name"), form.text("responsible")
    try:
        await tokens.assign_token(request.app[DATABASE], actor(request), name, wanted)
    except Refused as error:
        return see_other(request, "tokens", notice=Notice(str(error), "bad"))
    return see_other(request, "tokens", notice=Notice(f"{wanted} is responsible for the token {name}."))


async def _form(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    return await render(
        request,
        "tokens/new.html",
        status=status,
        form=form,
        scopes=SCOPES,
        people=[(name, name) for name in await tokens.responsible_people(request.app[DATABASE])],
        usual=USUAL_PER_MINUTE,
        usual_days=USUAL_LIFE.days,
        most_days=LONGEST_LIFE.days,
    )


async def _made(request: web.Request, form: Form, scopes: Sequence[Scope], terms: TokenTerms) -> str:
    try:
        return await tokens.make_token(request.app[DATABASE], actor(request), form.text("name"), scopes, terms)
    except NotResponsible as error:
        form.errors["responsible"] = str(error)
    except Refused as error:
        form.errors["name"] = str(error)
    return ""


def _end(form: Form, at: datetime, zone: tzinfo) -> datetime | None:
    """Read the last day. The token is valid until that day ends in `zone`. Without a day it has the usual life."""
    if not form.text("last_day"):
        return None
    day = form.day("last_day", "Choose a day, or leave this empty.")
    if day is None or day > (at + LONGEST_LIFE).date() - timedelta(days=1):
        form.errors["last_day"] = f"Choose a day within the next {LONGEST_LIFE.days} days, or leave this empty."
        return None
    end = end_of(day, zone)
    if end <= at:
        form.errors["last_day"] = "This day is in the past; choose a later one, or leave this empty."
    return end


def _networks(form: Form) -> str:
    try:
        return read_networks(form.text("addresses"))
    except Unwritable as error:
        form.errors["addresses"] = str(error)
        return ""


def _per_minute(form: Form) -> int | None:
    """Read the rate limit; None if the field is empty."""
    written = form.text("per_minute")
    if not written:
        return None
    if not (written.isascii() and written.isdigit()) or not 1 <= int(written[:9]) <= MOST_PER_MINUTE:
        form.errors["per_minute"] = f"Write a whole number from 1 to {MOST_PER_MINUTE:,}, or leave this empty."
        return None
    return int(written)


ROUTES = (
    Route("GET", "/tokens", token_list, Permission.MANAGE, "tokens"),
    Route("GET", "/tokens/new", new, Permission.MANAGE, "token-new"),
    Route("POST", "/tokens/new", make, Permission.MANAGE, "token-new"),
    Route("POST", "/tokens/assign", assign, Permission.MANAGE, "token-assign"),
    Route("POST", "/tokens/revoke", revoke, Permission.MANAGE, "token-revoke"),
)
