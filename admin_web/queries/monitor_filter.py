"""The filter and order of the Compliance Monitor, and their SQL conditions."""

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
    """A tab of the monitor; the values are used in URLs."""

    ALL = "all"
    ACTIVE = "active"
    UNREVIEWED = "unreviewed"
    CONTESTED = "contested"
    ENDS_30 = "ends-30"
    ENDS_7 = "ends-7"
    ENDS_1 = "ends-1"
    REVOKED = "revoked"
    EXPIRED = "expired"


SOON = {Shown.ENDS_30: timedelta(days=30), Shown.ENDS_7: timedelta(days=7), Shown.ENDS_1: timedelta(days=1)}
"""The tabs of overrides that end soon. They are sorted by the end of the overrides, the other tabs latest first."""


@dataclass(frozen=True, slots=True)
class MonitorFilter:
    """A filter of overrides; empty fields match all.

    `since` (inclusive) and `until` (exclusive) limit when an override was placed. A search text that can be
    read as a number and as a lead's id finds both. `nothing` matches no override.
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
        """Whether the overrides are sorted by their end."""
        return self.shown in SOON


def searching(sought: MonitorFilter, text: str, region: str, prefix: str = "") -> MonitorFilter:
    """Add a search text: a number in any spelling of `region`, or a lead's id. Anything else matches nothing."""
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
    """Parse the key of a page; None for the first page."""
    return read_key(text, datetime, int) if sought.by_end else read_key(text, int)


def live(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for overrides that are live at `at` (aware UTC)."""
    return Override.live(at)


def conditions(sought: MonitorFilter, at: datetime, behind: Key | None) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter at `at` (aware UTC), for rows after a key."""
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
    """Return the columns to order by."""
    if sought.by_end:
        return Override.expires_at.asc(), Override.id.asc()
    return (Override.id.desc(),)


def _part(shown: Shown, at: datetime) -> list[ColumnElement[bool]]:
    if shown is Shown.ALL:
        return []
    if shown is Shown.REVOKED:
        return [Override.revoked_at.is_not(None)]
    if shown is Shown.EXPIRED:
        return [Override.revoked_at.is_(None), Override.expired(at)]
    found = list(live(at))
    if shown is Shown.UNREVIEWED:
        found.append(Override.reviewed_at.is_(None))
    if shown is Shown.CONTESTED:
        found.append(Override.contested())
    if shown in SOON:
        found.append(Override.expires_at <= at + SOON[shown])
    return found


def _behind(sought: MonitorFilter, key: Key) -> ColumnElement[bool]:
    if not sought.by_end:
        return Override.id < key[0]
    end, last = key
    return and_(Override.expires_at >= end, or_(Override.expires_at > end, Override.id > last))
