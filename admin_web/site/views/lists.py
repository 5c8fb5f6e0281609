"""The Do-Not-Call list: search, add, lift, export, and the page of one number with its requests."""

from collections.abc import AsyncIterator, Sequence
from datetime import date

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.campaign_lists import campaign_list_names
from admin_web.queries.listed_number import ListedNumber, listed_number
from admin_web.queries.lists import (
    LONGEST_SEARCH,
    EntryState,
    ListEntry,
    ListFilter,
    beginning_of,
    entries,
    every_entry,
)
from admin_web.queries.paging import read_key
from admin_web.services.campaign_lists import lift_from_list
from admin_web.services.requests import (
    Requested,
    RequestNotDated,
    record_request,
    withdraw_request,
)
from admin_web.services.suppression import NotListed, Suppressed, lift, suppress
from admin_web.site.clock import stamp
from admin_web.site.csv_export import stream_csv
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, RECORDS, SETTINGS
from admin_web.site.labels import SOURCES, national, on_lists
from admin_web.site.pages import Notice, in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.views.filters import not_one_number
from compliance.ends import EndRefused, end_in, end_in_words, request_with_end
from compliance.numbers import E164, InvalidNumber, normalize
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused, Unwritable

SOURCE = "list-page"
FILTERS = ("q", "state", "source", "by", "list")
ANY = "all"
LONGEST_FILTER = 64
COLUMNS = (
    "number", "list", "source", "note", "lead", "added_at", "added_by", "lifted_at", "lifted_by", "lift_reason",
    "ends_at",
)  # fmt: skip


class UnknownNumber(Refused):
    """The URL contains no valid number."""


async def lists(request: web.Request) -> web.StreamResponse:
    """Show the entries that match the filter, one page at a time."""
    form, sought = Form(request.query), _sought(request)
    after = read_key(request.query.get("after", ""), *sought.key_types)
    own = await campaign_list_names(request.app[DATABASE])
    return await render(
        request,
        "lists/list.html",
        form=form,
        sought=sought,
        sources=SOURCES.items(),
        campaign_lists=own,
        list_choices=[(INTERNAL, "The company's own list"), *((name, name) for name in own)],
        page=await entries(request.app[DATABASE], sought, after=after),
        query={name: value for name in FILTERS if (value := form.text(name))},
        at_start=after is None,
    )


async def export(request: web.Request) -> web.StreamResponse:
    """Export all entries that match the filter, as CSV."""
    found = every_entry(request.app[DATABASE], _sought(request))
    return await stream_csv(request, f"do-not-call-{stamp(request)}.csv", COLUMNS, _cells(found))


async def adding(request: web.Request) -> web.StreamResponse:
    """Show the form that adds one number."""
    return await render(request, "lists/add.html", form=EMPTY)


async def add(request: web.Request) -> web.StreamResponse:
    """Put one number on the list: a person's request, or with an end a block for a while."""
    form, settings = await read_form(request), request.app[SETTINGS]
    asked_on = form.day("asked_on", "Write a day, such as 23 Nov 2026.") if form.text("asked_on") else None
    if form.errors:
        return await render(request, "lists/add.html", status=422, form=form)
    try:
        number = normalize(form.text("number"), settings.region, settings.prefix)
        notice = await _listed(request, form, number, asked_on)
    except InvalidNumber as error:
        form.errors["number"] = not_one_number(error)
    except Unwritable as error:
        form.errors["note"] = str(error)
    except RequestNotDated as error:
        form.errors["asked_on"] = str(error)
    except EndRefused as error:
        form.errors["until"] = str(error)
    else:
        return see_other(request, "lists-number", number=number, notice=notice)
    return await render(request, "lists/add.html", status=422, form=form)


async def number(request: web.Request) -> web.StreamResponse:
    """Show one number: the leads on it, its lists and its entries."""
    return await _shown(request, await _number(request), EMPTY)


async def lifted(request: web.Request) -> web.StreamResponse:
    """Lift a number from the company's own list, unless its entry has changed since the page was shown."""
    form, seen = await read_form(request), await _number(request)
    entry = seen.standing
    if entry is None or form.text("entry") != str(entry.id):
        form.errors["reason"] = (
            "Somebody else has changed this entry meanwhile. Look again, and repeat if it still applies."
        )
        return await _shown(request, seen, form, status=409)
    try:
        done = await lift(request.app[RECORDS], actor(request), seen.number, reason=form.text("reason"))
    except (Unwritable, NotListed) as error:
        form.errors["reason"] = str(error)
        return await _shown(request, seen, form, status=422)
    still = f" It stays blocked, because it is also on {on_lists(seen.other_lists)}." if seen.other_lists else ""
    notice = in_force(f"{national(seen.number)} is lifted.{still}", done.standing)
    return see_other(request, "lists-number", number=seen.number, notice=notice)


async def unlisted(request: web.Request) -> web.StreamResponse:
    """Take a number off a campaign list."""
    form, seen = await read_form(request), await _number(request)
    entry = next((one for one in seen.campaign_entries if str(one.id) == form.text("entry")), None)
    if entry is None:
        form.errors["unlist_reason"] = "Choose one of the campaign lists that the number is on."
        return await _shown(request, seen, form, status=422)
    try:
        done = await lift_from_list(
            request.app[RECORDS], actor(request), entry.list_name, seen.number, reason=form.text("unlist_reason")
        )
    except (Unwritable, NotListed) as error:
        form.errors["unlist_reason"] = str(error)
        return await _shown(request, seen, form, status=422)
    notice = in_force(f"{national(seen.number)} is off the campaign list {entry.list_name}.", done.standing)
    return see_other(request, "lists-number", number=seen.number, notice=notice)


async def _listed(request: web.Request, form: Form, number: E164, asked_on: date | None) -> Notice:
    """Record what the form says. Raises Unwritable, RequestNotDated, EndRefused."""
    records, who, note, until = request.app[RECORDS], actor(request), form.text("note"), form.text("until")
    if not until:
        return _added(await record_request(records, who, number, source=SOURCE, note=note, asked_on=asked_on))
    if asked_on is not None:
        raise request_with_end("the date of the request")
    ends_at = end_in(until, records.rules, records.now())
    return _blocked(await suppress(records, who, number, source=SOURCE, note=note, ends_at=ends_at))


def _blocked(done: Suppressed) -> Notice:
    """Return the notice about an entry with an end."""
    shown = national(done.number)
    if done.ends_at is None:
        said = f"{shown} stays on the list: it is listed without an end, or the person has asked not to be called."
    else:
        said = f"{shown} is on the list{end_in_words(done.ends_at)}."
    return in_force(said, done.standing)


def _added(done: Requested) -> Notice:
    """Return the notice about a recorded request, with the overrides that it ended and those that stay open."""
    shown = national(done.number)
    said = f"{shown} is on the list." if done.added else f"{shown} was already on the list; the request is recorded."
    if done.ended:
        said += f" The request ended {_overrides(done.ended)}."
    notice = in_force(said, done.standing)
    if not done.still_open:
        return notice
    return Notice(f"{notice.text} A newer consent still opens a lead on it: {_overrides(done.still_open)}.", "warn")


def _overrides(ids: Sequence[int]) -> str:
    return f"override{'' if len(ids) == 1 else 's'} {', '.join(map(str, ids))}"


async def withdrawn(request: web.Request) -> web.StreamResponse:
    """Record that a request was recorded wrongly."""
    form, seen = await read_form(request), await _number(request)
    found = next((one.id for one in seen.requests if str(one.id) == form.text("request")), None)
    if found is None:
        form.errors["withdraw_reason"] = "Choose one of the requests on this number."
        return await _shown(request, seen, form, status=422)
    try:
        await withdraw_request(request.app[RECORDS], actor(request), found, reason=form.text("withdraw_reason"))
    except Unwritable as error:
        form.errors["withdraw_reason"] = str(error)
        return await _shown(request, seen, form, status=422)
    stays = " The number stays on the list until an admin lifts it." if seen.standing else ""
    notice = Notice(f"Request {found} is withdrawn.{stays}")
    return see_other(request, "lists-number", number=seen.number, notice=notice)


def _sought(request: web.Request) -> ListFilter:
    """Read the filters from the URL."""
    asked, settings = Form(request.query), request.app[SETTINGS]
    text = asked.text("q")[:LONGEST_SEARCH]
    return ListFilter(
        text=text,
        beginning=beginning_of(text, settings.region, settings.prefix) if text else "",
        state=_state(asked.text("state"), searching=bool(text)),
        source=asked.text("source")[:LONGEST_FILTER],
        by=asked.text("by")[:LONGEST_FILTER],
        list_name=asked.text("list")[:LONGEST_FILTER],
    )


def _state(asked: str, *, searching: bool) -> EntryState | None:
    """Read the state filter. The default is every entry for a search, and current entries for the list."""
    if asked in list(EntryState):
        return EntryState(asked)
    return None if searching or asked == ANY else EntryState.STANDING


async def _number(request: web.Request) -> ListedNumber:
    """Read the number from the URL. Raises UnknownNumber."""
    settings = request.app[SETTINGS]
    try:
        asked = normalize(request.match_info["number"], settings.region)
    except InvalidNumber:
        raise UnknownNumber("There is no such number.") from None
    return await listed_number(request.app[DATABASE], E164(asked), request.app[NOW]())


async def _shown(request: web.Request, seen: ListedNumber, form: Form, status: int = 200) -> web.StreamResponse:
    return await render(request, "lists/number.html", status=status, seen=seen, form=form)


async def _cells(found: AsyncIterator[ListEntry]) -> AsyncIterator[tuple[object, ...]]:
    async for one in found:
        yield (
            one.number, one.list_name, one.source, one.note, one.lead, one.added_at, one.added_by,
            one.lifted_at, one.lifted_by, one.lift_reason, one.ends_at,
        )  # fmt: skip


ROUTES = (
    Route("GET", "/lists", lists, Permission.SEE_LISTS, "lists"),
    Route("GET", "/lists/export", export, Permission.EXPORT, "lists-export"),
    Route("GET", "/lists/add", adding, Permission.SUPPRESS, "lists-add"),
    Route("POST", "/lists/add", add, Permission.SUPPRESS, "lists-add"),
    Route("GET", "/lists/numbers/{number}", number, Permission.SEE_LISTS, "lists-number"),
    Route("POST", "/lists/numbers/{number}/lift", lifted, Permission.LIFT, "lists-lift"),
    Route("POST", "/lists/numbers/{number}/unlist", unlisted, Permission.LIFT, "lists-unlist"),
    Route("POST", "/lists/numbers/{number}/withdraw", withdrawn, Permission.LIFT, "lists-withdraw"),
)
