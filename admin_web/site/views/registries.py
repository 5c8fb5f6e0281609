"""The registries: how fresh each copy is, what it does not cover, and the terms on which it applies."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.jobs import import_of
from admin_web.queries.registries import all_standings, standing_of
from admin_web.services import Standing
from admin_web.services.registries import (
    EditedTerms,
    TermsMoved,
    UnfitTerm,
    UnknownRegistry,
    add_registry,
    set_terms,
    terms_preset,
)
from admin_web.services.registry_names import NoCountry
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, RECORDS
from admin_web.site.pages import Notice, in_force, render, see_other
from admin_web.site.routing import Route
from compliance.known_registries import PRESETS
from compliance.refusal import Refused
from compliance.separated import words
from compliance.terms import BLOCK, PASS, WARN

STALE = ((BLOCK, "Block calls to the numbers it covers"), (WARN, "Show a warning and let calls pass"))
UNCOVERED = ((PASS, "Pass, and the decision says why"), (BLOCK, "Are blocked"))
COVERS = (("codes", "The area codes found in its file"), ("whole", "Everything it should cover"))
"""The choices of the form: value and label."""

SILENT_AFTER = timedelta(minutes=2)
"""An import without a heartbeat for this long is shown as interrupted."""


async def registries(request: web.Request) -> web.StreamResponse:
    """List the registries."""
    found = await all_standings(request.app[DATABASE], request.app[NOW]())
    return await render(request, "registries/list.html", registries=found)


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new registry, with the predefined ones to choose from."""
    return await _asked(request, EMPTY)


async def add(request: web.Request) -> web.StreamResponse:
    """Add a registry with its usual terms."""
    form = await read_form(request)
    name = form.text("name") or form.text("known")
    try:
        standing = await add_registry(
            request.app[RECORDS], actor(request), name, form.text("country").upper(), terms_preset(name)
        )
    except Refused as error:
        form.errors["country" if isinstance(error, NoCountry) else "name"] = str(error)
        return await _asked(request, form, 422)
    return see_other(request, "registry", notice=_notice(f"{name} is added", standing), registry=name)


async def registry(request: web.Request) -> web.StreamResponse:
    """Show one registry with its versions and terms."""
    return await _shown(request, EMPTY)


async def change(request: web.Request) -> web.StreamResponse:
    """Set the terms of a registry."""
    form, name = await read_form(request), request.match_info["registry"]
    try:
        standing = await set_terms(request.app[RECORDS], actor(request), name, _terms(form), seen=_seen(form))
    except UnfitTerm as error:
        form.errors[error.field] = str(error)
        return await _shown(request, form, 422)
    except TermsMoved as error:
        form.errors["seen"] = str(error)
        return await _shown(request, form, 422)
    return see_other(request, "registry", notice=_notice("The terms are set", standing), registry=name)


def _terms(form: Form) -> EditedTerms:
    """Read the terms. Raises Refused."""
    days = form.text("fresh_days")
    return EditedTerms(
        owner_account=form.text("owner_account"),
        area_codes=words(form.text("area_codes")),
        by_area_code=form.text("covers") != "whole",
        fresh_days=int(days) if days.isdecimal() and len(days) < 6 else -1,
        when_stale=form.text("when_stale"),
        when_uncovered=form.text("when_uncovered"),
        spared=words(form.text("spared")),
    )


def _seen(form: Form) -> datetime:
    """Read when the terms that the form showed had been set.

    If the moment cannot be parsed, return a date in 1970, which never matches.
    """
    try:
        return datetime.fromisoformat(form.text("seen")).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def _notice(what: str, standing: Standing) -> Notice:
    return in_force(f"{what}.", standing)


async def _asked(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    known = [(name, f"{name}: {preset.title}") for name, preset in PRESETS.items()]
    return await render(request, "registries/new.html", status=status, form=form, known=known)


async def _shown(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    name = request.match_info["registry"]
    found = await standing_of(request.app[DATABASE], name, request.app[NOW]())
    if found is None:
        raise UnknownRegistry(f"There is no registry {name}.")
    one, versions = found
    choices = {"stale": STALE, "uncovered": UNCOVERED, "covers": COVERS}
    job = await import_of(request.app[DATABASE], name)
    return await render(
        request, "registries/page.html", status=status, one=one, versions=versions, form=form, choices=choices, job=job,
        alive_since=request.app[NOW]() - SILENT_AFTER,
    )  # fmt: skip


ONE = "/registries/{registry:[a-z0-9-]{1,32}}"

ROUTES = (
    Route("GET", "/registries", registries, Permission.SEE_ENFORCEMENT, "registries"),
    Route("GET", "/registries/+new", new, Permission.SET_TERMS, "registry-new"),
    Route("POST", "/registries/+new", add, Permission.SET_TERMS, "registry-new"),
    Route("GET", ONE, registry, Permission.SEE_ENFORCEMENT, "registry"),
    Route("POST", ONE, change, Permission.SET_TERMS, "registry"),
)
