"""Which overrides the Compliance Monitor is asked for, in which order, and how that is said in SQL."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, and_, or_

from admin_web.queries.paging import Key, read_key
from admin_web.record.models import Override
from compliance.consent import Basis
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize

LONGEST_SEARCH = 100


class Shown(StrEnum):
    """A part of the overrides; the slugs stand in addresses."""

    ALL = "all"
    ACTIVE = "active"
    UNREVIEWED = "unreviewed"
    ENDS_30 = "ends-30"
    ENDS_7 = "ends-7"
    ENDS_1 = "ends-1"
    REVOKED = "revoked"
    EXPIRED = "expired"


SOON = {Shown.ENDS_30: timedelta(days=30), Shown.ENDS_7: timedelta(days=7), Shown.ENDS_1: timedelta(days=1)}
"""The parts that end within so long; they are read in the order of their ends, the others latest first."""


@dataclass(frozen=True, slots=True)
class MonitorFilter:
    """Which overrides: empty fields ask for all. `since` is included, `until` not; both are of the placing.

    A search that reads as a number and as a lead's id finds both.
    """

    shown: Shown = Shown.ACTIVE
    person: str = ""
    basis: Basis | None = None
    since: datetime | None = None
    until: datetime | None = None
    number: E164 | None = None
    lead: LeadId | None = None
    nothing: bool = False

    @property
    def by_end(self) -> bool:
        """Tell whether the order is that of the ends."""
        return self.shown in SOON


def searching(sought: MonitorFilter, text: str, region: str, prefix: str = "") -> MonitorFilter:
    """Add what a person typed: a number in any spelling of `region`, or a lead's id; anything else finds nothing."""
    text = text.strip()[:LONGEST_SEARCH]
    if not text:
        return sought
    try:
        number = normalize(text, region, prefix)
    except InvalidNumber:
        number = None
    lead = lead_id(text)
    return replace(sought, number=number, lead=lead, nothing=number is None and lead is None)


def key_of(sought: MonitorFilter, text: str) -> Key | None:
    """Read where a page begins; None for the first one."""
    return read_key(text, datetime, int) if sought.by_end else read_key(text, int)


def live(at: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Say in SQL which overrides open their leads at `at` (aware UTC)."""
    return Override.revoked_at.is_(None), Override.expires_at > at


def conditions(sought: MonitorFilter, at: datetime, behind: Key | None) -> list[ColumnElement[bool]]:
    """Say in SQL which overrides are sought at `at` (aware UTC), behind a key."""
    table = Override
    exact = {table.placed_by: sought.person, table.basis: sought.basis}
    found = [*_part(sought.shown, at), *(column == value for column, value in exact.items() if value)]
    if sought.since:
        found.append(table.placed_at >= sought.since)
    if sought.until:
        found.append(table.placed_at < sought.until)
    if sought.number or sought.lead or sought.nothing:
        found.append(or_(table.number == (sought.number or ""), table.lead_id == (sought.lead or "")))
    if behind is not None:
        found.append(_behind(sought, behind))
    return found


def order(sought: MonitorFilter) -> tuple[UnaryExpression[Any], ...]:
    """Say in SQL in which order."""
    if sought.by_end:
        return Override.expires_at.asc(), Override.id.asc()
    return (Override.id.desc(),)


def _part(shown: Shown, at: datetime) -> list[ColumnElement[bool]]:
    if shown is Shown.ALL:
        return []
    if shown is Shown.REVOKED:
        return [Override.revoked_at.is_not(None)]
    if shown is Shown.EXPIRED:
        return [Override.revoked_at.is_(None), Override.expires_at <= at]
    found = list(live(at))
    if shown is Shown.UNREVIEWED:
        found.append(Override.reviewed_at.is_(None))
    if shown in SOON:
        found.append(Override.expires_at <= at + SOON[shown])
    return found


def _behind(sought: MonitorFilter, key: Key) -> ColumnElement[bool]:
    if not sought.by_end:
        return Override.id < key[0]
    end, last = key
    return and_(Override.expires_at >= end, or_(Override.expires_at > end, Override.id > last))
