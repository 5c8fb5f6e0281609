"""When the entries of an import end by themselves: all at one moment, or each as a column of the sheet says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from admin_web.lists.columns import chosen_column, plain
from admin_web.lists.layout import Layout, RowRejected
from compliance.consent_rules import ConsentRules
from compliance.ends import EndPassed, EndRefused, end_in
from compliance.numbers import E164

END_NAMES = {
    "endsat", "ends", "end", "enddate", "until", "validuntil", "blockeduntil", "expires", "expiresat", "expiry",
    "expirydate", "expirationdate",
}  # fmt: skip


class Listed(NamedTuple):
    """A number to list, and when its entry ends by itself; None for no end."""

    number: E164
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndsAsked:
    """Ends that a person has asked for: `until` for each row, and the `column` whose cells apply instead.

    The column is a heading, or a position counted from 1. A cell is read by `rules` as of `at` (aware UTC).
    """

    until: datetime | None = None
    column: str | None = None
    rules: ConsentRules = field(default_factory=ConsentRules)
    at: datetime | None = None


NO_ENDS = EndsAsked()


@dataclass(frozen=True, slots=True)
class RowEnds:
    """Reads the end of each row. `place` is the index of its column; None if there is none."""

    asked: EndsAsked
    place: int | None

    @classmethod
    def found(cls, layout: Layout, asked: EndsAsked) -> "RowEnds":
        """Find the column. Raises NoColumn."""
        return cls(asked, chosen_column(layout.headings, asked.column, ()) if asked.column else None)

    def listed(self, cells: Sequence[str], numbers: Sequence[E164]) -> tuple[list[Listed], RowRejected | None]:
        """Return the numbers of a row with their end.

        A row whose end has passed lists nothing. If the end cannot be read, the numbers are listed without an end, and
        the row is reported.
        """
        text = cells[self.place] if self.place is not None and len(cells) > self.place else ""
        if not text or not numbers or self.asked.at is None:
            return [Listed(number, self.asked.until) for number in numbers], None
        try:
            ends_at = end_in(text, self.asked.rules, self.asked.at)
        except EndPassed as error:
            return [], RowRejected("ended", f"{error} The row is not listed.")
        except EndRefused as error:
            return [Listed(number) for number in numbers], RowRejected(
                "bad-end", f"{error} It is listed without an end."
            )
        return [Listed(number, ends_at) for number in numbers], None


def ends_not_read(layout: Layout, ends: RowEnds) -> str:
    """Return a sentence about each column that looks like an end and is not read; empty if there is none."""
    if not layout.has_headings:
        return ""
    some = [
        place for place, heading in enumerate(layout.headings) if plain(heading) in END_NAMES and place != ends.place
    ]
    return " ".join(
        f"{name[0].upper()}{name[1:]} may say when entries end; it is not read, and they stay until they are lifted."
        for name in map(layout.name, some)
    )
