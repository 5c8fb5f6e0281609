"""Patterns of the company's own list, and campaign lists, over the API."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult, operation
from admin_web.api.suppression import NotTaken, numbers_of
from admin_web.people.tokens import Scope
from admin_web.queries.campaign_lists import all_campaign_lists
from admin_web.queries.patterns import pattern_effect, pattern_page
from admin_web.services.campaign_lists import (
    UnknownList,
    add_campaign_list,
    add_many_to_list,
    lift_from_list,
    set_campaigns,
)
from admin_web.services.patterns import add_pattern, lift_pattern
from admin_web.services.suppression import CHUNK
from compliance.patterns import pattern_of

SOURCE = "api"

Pattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        description="The first digits of numbers: + and country code, and at least three more digits.",
        examples=["+1415555"],
    ),
]
ListName = Annotated[str, Field(pattern="^[a-z0-9-]{1,32}$", description="A campaign list.", examples=["spring"])]
Campaigns = Annotated[
    list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=100, description="Names of campaigns.")
]


class ListPatterns(words.Paged):
    """Page size and position."""


class PatternShown(Result):
    """A pattern in force."""

    pattern: str
    reason: str
    source: str
    added_at: datetime
    added_by: str


class PatternPage(Result):
    """Patterns in force, newest first. `next` is empty on the last page."""

    items: list[PatternShown]
    next: str


class GetPattern(Arguments):
    """The pattern to look at. It need not be in force."""

    pattern: Pattern


class PatternEffect(Result):
    """What a pattern blocks, or would block.

    `leads` are on its numbers, and `opened` of them stay open by an override. Of the `allowed` calls of the last seven
    days, `calls` went to its numbers without an override.
    """

    pattern: str
    leads: int
    opened: int
    calls: int
    allowed: int
    in_force: bool


class AddPattern(Arguments):
    """The pattern whose numbers are to be blocked, and why."""

    pattern: Pattern
    reason: words.Reason


class LiftPattern(Arguments):
    """The pattern to lift, and why."""

    pattern: Pattern
    reason: words.Reason


class PatternChanged(WriteResult):
    """The pattern that was added or lifted."""

    pattern: str


class ListCampaignLists(Arguments):
    """No arguments."""


class CampaignList(Result):
    """A campaign list: its numbers are blocked only in calls of its campaigns."""

    name: str
    campaigns: list[str]
    numbers: int


class CampaignLists(Result):
    """All campaign lists."""

    items: list[CampaignList]


class PutCampaignList(Arguments):
    """A list, and the campaigns to whose calls it applies."""

    name: ListName
    campaigns: Campaigns


class CampaignListKept(WriteResult):
    """Whether the list is new."""

    name: str
    added: bool


class AddToCampaignList(Arguments):
    """Numbers to block in calls of the list's campaigns. This records no request not to be called."""

    name: ListName
    numbers: Annotated[list[words.Item], Field(min_length=1, max_length=CHUNK)]
    source: words.Source = SOURCE
    note: words.Note = ""


class AddedToCampaignList(WriteResult):
    """How many numbers were added, how many were on the list already, and which items are not numbers."""

    added: int
    already: int
    rejected: list[NotTaken]


class LiftFromCampaignList(Arguments):
    """A number to take off a campaign list."""

    name: ListName
    number: words.Number
    reason: words.Reason


class LiftedFromCampaignList(WriteResult):
    """The lifted number; its entry stays on record."""

    name: str
    number: str
    entry: int


@operation("list-patterns", "GET", "/patterns", Scope.READ, refuses=("unknown-page",))
async def list_patterns(call: ApiCall, asked: ListPatterns) -> PatternPage:
    """Return the patterns in force, a page at a time."""
    page = await pattern_page(call.database, after=asked.key(int), rows=asked.limit)
    items = [
        PatternShown(
            pattern=f"+{row.prefix}", reason=row.reason, source=row.source, added_at=row.added_at, added_by=row.added_by
        )
        for row in page.rows
    ]
    return PatternPage(items=items, next=page.next_key)


@operation("get-pattern", "GET", "/patterns/{pattern}", Scope.READ, refuses=("invalid-pattern",))
async def get_pattern(call: ApiCall, asked: GetPattern) -> PatternEffect:
    """Return how many leads and calls a pattern blocks, or would block."""
    found = await pattern_effect(call.database, pattern_of(asked.pattern, call.settings.region), call.records.now())
    return PatternEffect(
        pattern=f"+{found.pattern}",
        leads=found.leads,
        opened=found.opened,
        calls=found.calls,
        allowed=found.allowed,
        in_force=found.standing is not None,
    )


@operation("add-pattern", "POST", "/patterns", Scope.LISTS, refuses=("invalid-pattern", "pattern-stands"))
async def post_pattern(call: ApiCall, asked: AddPattern) -> PatternChanged:
    """Block all numbers that begin with a pattern: an area code or an exchange."""
    pattern = pattern_of(asked.pattern, call.settings.region)
    await add_pattern(call.records, call.actor, pattern, reason=asked.reason, source=SOURCE)
    return PatternChanged(pattern=f"+{pattern}")


@operation("lift-pattern", "POST", "/patterns/{pattern}/lift", Scope.LISTS, refuses=("invalid-pattern", "not-listed"))
async def post_pattern_lift(call: ApiCall, asked: LiftPattern) -> PatternChanged:
    """Lift a pattern. It stays on record."""
    pattern = pattern_of(asked.pattern, call.settings.region)
    await lift_pattern(call.records, call.actor, pattern, reason=asked.reason)
    return PatternChanged(pattern=f"+{pattern}")


@operation("list-campaign-lists", "GET", "/campaign-lists", Scope.READ)
async def list_campaign_lists(call: ApiCall, asked: ListCampaignLists) -> CampaignLists:
    """Return the campaign lists with their campaigns."""
    del asked
    found = await all_campaign_lists(call.database)
    return CampaignLists(
        items=[CampaignList(name=one.name, campaigns=list(one.campaigns), numbers=one.numbers) for one in found]
    )


@operation("put-campaign-list", "PUT", "/campaign-lists/{name}", Scope.LISTS)
async def put_campaign_list(call: ApiCall, asked: PutCampaignList) -> CampaignListKept:
    """Make a campaign list, or set the campaigns of an existing one."""
    try:
        await set_campaigns(call.records, call.actor, asked.name, asked.campaigns)
    except UnknownList:
        await add_campaign_list(call.records, call.actor, asked.name, asked.campaigns)
        return CampaignListKept(name=asked.name, added=True)
    return CampaignListKept(name=asked.name, added=False)


@operation("add-to-campaign-list", "POST", "/campaign-lists/{name}/numbers", Scope.SUPPRESS, refuses=("unknown-list",))
async def post_to_campaign_list(call: ApiCall, asked: AddToCampaignList) -> AddedToCampaignList:
    """Put up to 1,000 numbers on a campaign list. Invalid numbers are reported and do not stop the others."""
    numbers, rejected = numbers_of(call, asked.numbers)
    if not numbers:
        return AddedToCampaignList(added=0, already=0, rejected=rejected)
    done = await add_many_to_list(call.records, call.actor, asked.name, numbers, source=asked.source, note=asked.note)
    return AddedToCampaignList(added=done.added, already=done.already, rejected=rejected)


@operation(
    "lift-from-campaign-list",
    "POST",
    "/campaign-lists/{name}/lift",
    Scope.LIFT,
    refuses=("unknown-list", "not-listed", "invalid-number"),
)
async def post_campaign_list_lift(call: ApiCall, asked: LiftFromCampaignList) -> LiftedFromCampaignList:
    """Take a number off a campaign list. Its entry stays on record."""
    number = call.number(asked.number)
    done = await lift_from_list(call.records, call.actor, asked.name, number, reason=asked.reason)
    return LiftedFromCampaignList(name=asked.name, number=done.number, entry=done.entry_id)
