"""Patterns: area codes and exchanges that the company's own list blocks as a whole, with a preview of each."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.paging import read_key
from admin_web.queries.patterns import PatternEffect, pattern_effect, pattern_page
from admin_web.services.patterns import PatternNotListed, PatternStands, TooManyPatterns, add_pattern, lift_pattern
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, RECORDS, SETTINGS
from admin_web.site.pages import in_force, render, see_other
from admin_web.site.routing import Route
from compliance.patterns import Pattern, UnfitPattern, pattern_of
from compliance.refusal import Unwritable

SOURCE = "list-page"


async def patterns(request: web.Request) -> web.StreamResponse:
    """List the patterns in force, or the lifted ones."""
    return await _listed(request, EMPTY)


async def previewed(request: web.Request) -> web.StreamResponse:
    """Show what a pattern would block, and the form that puts it in force."""
    form = Form(request.query)
    pattern = _pattern(request, form)
    return await (_previewed(request, pattern, form) if pattern else _listed(request, form, 422))


async def add(request: web.Request) -> web.StreamResponse:
    """Put a pattern in force."""
    form = await read_form(request)
    pattern = _pattern(request, form)
    if pattern is None:
        return await _listed(request, form, 422)
    try:
        done = await add_pattern(
            request.app[RECORDS], actor(request), pattern, reason=form.text("reason"), source=SOURCE
        )
    except (Unwritable, PatternStands, TooManyPatterns) as error:
        form.errors["reason"] = str(error)
        return await _previewed(request, pattern, form, 422)
    notice = in_force(f"Numbers that begin with +{pattern} are blocked.", done.standing)
    return see_other(request, "patterns", notice=notice)


async def lift(request: web.Request) -> web.StreamResponse:
    """Lift a pattern."""
    form = await read_form(request)
    pattern = _pattern(request, form)
    if pattern is None:
        return await _listed(request, form, 422)
    try:
        done = await lift_pattern(request.app[RECORDS], actor(request), pattern, reason=form.text("lift_reason"))
    except (Unwritable, PatternNotListed) as error:
        form.errors["lift_reason"] = str(error)
        return await _listed(request, form, 422)
    return see_other(request, "patterns", notice=in_force(f"The pattern +{pattern} is lifted.", done.standing))


def _pattern(request: web.Request, form: Form) -> Pattern | None:
    """Read the pattern of a form. Record why it is none, and return None."""
    try:
        return pattern_of(form.text("pattern"), request.app[SETTINGS].region)
    except UnfitPattern as error:
        form.errors["pattern"] = str(error)
        return None


async def _previewed(request: web.Request, pattern: Pattern, form: Form, status: int = 200) -> web.StreamResponse:
    effect: PatternEffect = await pattern_effect(request.app[DATABASE], pattern, request.app[NOW]())
    return await render(request, "patterns/preview.html", status=status, effect=effect, form=form)


async def _listed(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    lifted = request.query.get("state") == "lifted"
    after = read_key(request.query.get("after", ""), int)
    page = await pattern_page(request.app[DATABASE], lifted=lifted, after=after)
    return await render(
        request, "patterns/list.html", status=status, page=page, form=form, lifted=lifted, at_start=after is None
    )


ROUTES = (
    Route("GET", "/patterns", patterns, Permission.SEE_LISTS, "patterns"),
    Route("POST", "/patterns", add, Permission.SET_TERMS, "patterns"),
    Route("GET", "/patterns/preview", previewed, Permission.SET_TERMS, "patterns-preview"),
    Route("POST", "/patterns/lift", lift, Permission.SET_TERMS, "patterns-lift"),
)
