"""Types of the arguments that operations share, each with its limits and description."""

import re
from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema

from admin_web.api.operation import Arguments
from admin_web.api.problem import Problem
from admin_web.queries.paging import Key, read_key
from admin_web.services.lead_numbers import MOST_NUMBERS
from compliance.json_numbers import LARGEST, as_text

LARGEST_ID = 2**63 - 1


def _written_out(value: object) -> object:
    """Accept a moment only in RFC 3339 format: pydantic would read `1` as one second after 1970."""
    if isinstance(value, str) and "T" not in value.upper():
        raise ValueError("write a moment as 2026-11-23T12:00:00Z")
    return value


_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _written_as_day(value: object) -> object:
    """Accept a date only in this format: pydantic would read `1` as the second day of 1970."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write a date as 2026-11-23")
    return value


Day = Annotated[date, BeforeValidator(_written_as_day)]

Until = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        description="The last day of an entry that ends by itself, in the time zone of the installation, or the moment "
        "of its end. A person's own request never ends, so no request is recorded.",
        examples=["2026-12-31", "2026-12-31T18:00:00Z"],
    ),
]

Lead = Annotated[
    str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$", description="The id of the lead in the CRM.", examples=["crm-4711"])
]
Campaign = Annotated[
    str, Field(pattern="^[A-Za-z0-9_.-]{1,64}$", description="The campaign of the call.", examples=["spring-26"])
]
Number = Annotated[
    str,
    BeforeValidator(
        as_text,
        json_schema_input_type=Annotated[str, Field(min_length=1, max_length=128)]
        | Annotated[int, Field(ge=1, le=LARGEST)],
    ),
    Field(
        min_length=1,
        max_length=128,
        description="A telephone number in any spelling. Without + it is a national number of the configured region.",
        examples=["+14155550100"],
    ),
]
SomeNumbers = Annotated[tuple[Number, ...], Field(max_length=MOST_NUMBERS)]
Item = Annotated[
    object,
    WithJsonSchema({"description": "A telephone number, as text or as digits.", "examples": ["+14155550100"]}),
]
"""An item of a list in which an item that is no number does not refuse the others."""
Name = Annotated[str, Field(max_length=200, examples=["Northwind Traders"])]
Note = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(pattern=r"[!-~]", max_length=2000, description="Why; it stays on record.")]
Source = Annotated[
    str, Field(pattern="^[A-Za-z0-9_.:-]{1,32}$", description="Where the number came from.", examples=["crm"])
]
ReasonSlug = Annotated[str, Field(pattern="^[a-z0-9-]{1,64}$", examples=["internal-dnc"])]
Slug = Annotated[str, Field(pattern="^[a-z0-9-]{0,40}$")]
Search = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=200)]
OverrideId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class After(Arguments):
    """A position in a list: `after` is the `next` of the previous answer."""

    after: Annotated[
        str, Field(pattern="^[A-Za-z0-9_-]*$", max_length=500, description="The `next` of the previous page.")
    ] = ""

    def key(self, *types: type) -> Key | None:
        """Read the position of the page; None for the first one. Raises Problem for an invalid key."""
        key = read_key(self.after, *types)
        if self.after and key is None:
            raise Problem("unknown-page", "Send the `next` of the previous page as `after`, unchanged.")
        return key


class Paged(After):
    """One page of a list: `after` is the `next` of the previous page."""

    limit: Annotated[int, Field(ge=1, le=200, description="The maximum number of items on the page.")] = 50
