"""Synthetic rows of a call centre that has worked for two years, the same each time for the same scale.

`site_calls.py` has the rows about its calls.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance.consent import ATTESTATION, Basis

Rows = Iterator[tuple[Any, ...]]

YEARS = timedelta(days=730)
AREA_CODES = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228,
    229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302,
    303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330,
    334, 336, 337, 339, 347, 351, 352, 360, 361, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412,
    413, 414, 415, 417, 419, 423, 425, 430, 432, 434, 435, 440, 443, 469, 470, 478, 479, 480, 484, 501,
)  # fmt: skip
FIRST_WORDS = (
    "Acme", "Alder", "Amber", "Apex", "Aspen", "Basin", "Beacon", "Birch", "Boulder", "Bright", "Canyon", "Cedar",
    "Cobalt", "Contoso", "Copper", "Coral", "Crown", "Delta", "Eastside", "Elm", "Fabrikam", "Falcon", "Granite",
    "Harbor", "Hazel", "Highland", "Iron", "Juniper", "Keystone", "Lakeside", "Maple", "Meridian", "Northwind",
    "Oak", "Orchard", "Pioneer", "Quarry", "Ridge", "Summit", "Tailspin",
)  # fmt: skip
LAST_WORDS = (
    "Bakery", "Builders", "Clinic", "Dairy", "Dental", "Electric", "Farms", "Fitness", "Foods", "Freight", "Garage",
    "Gardens", "Hardware", "Insurance", "Logistics", "Motors", "Optics", "Plumbing", "Roofing", "Traders",
)  # fmt: skip
AGENTS = tuple(f"agent{number}" for number in range(1, 121))
SUPERVISORS = tuple(f"supervisor{number}" for number in range(1, 11))
ADMINS = ("admin1", "admin2", "admin3")


@dataclass(frozen=True, slots=True)
class Scale:
    """How many rows there are, as of `now` (UTC without a zone, as both databases take it)."""

    leads: int
    now: datetime

    @property
    def entries(self) -> int:
        return self.leads // 10

    @property
    def lifted(self) -> int:
        return self.leads // 100

    @property
    def overrides(self) -> int:
        return self.leads // 100

    @property
    def decisions(self) -> int:
        return self.leads * 5

    @property
    def began(self) -> datetime:
        return self.now - YEARS

    def at(self, place: int, of: int) -> datetime:
        """Return the time of row `place` of `of` rows, which are spread evenly over the years."""
        return self.began + (YEARS - timedelta(minutes=1)) * (place / of)


def lead_id(place: int) -> str:
    return f"L-{place:07}"


def number(place: int) -> str:
    """Return the number of a lead. Every twentieth lead has the number of the lead before it."""
    own = place - (place % 20 == 19)
    return f"+1{AREA_CODES[own % 100]}555{own // 100 % 10_000:04}"


def name(place: int) -> str:
    return f"{FIRST_WORDS[place % 40]} {LAST_WORDS[place // 40 % 20]} {place}"


def listed(entry: int) -> int:
    """Return the lead whose number an entry lists. Entries list every ninth lead, so no number is listed twice."""
    return entry * 9


LEADS = "id name name_folded number queued last_called_at created_at created_by"


def leads(scale: Scale) -> Rows:
    never = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables hold it
    for place in range(scale.leads):
        at = scale.at(place, scale.leads)
        called = never if place % 5 == 0 else at + timedelta(days=1)
        whole = name(place)
        yield lead_id(place), whole, whole.casefold(), number(place), place % 10 != 3, called, at, ADMINS[place % 3]


ENTRIES = "list_name number source lead_id note added_at added_by lifted_at lifted_by lift_reason"


def entries(scale: Scale) -> Rows:
    sources = ("switch", "wrap-up", "list-page", "import", "import", "import")
    for entry in range(scale.entries):
        place = listed(entry)
        at = scale.at(entry, scale.entries)
        source = sources[entry % 6]
        lead = lead_id(place) if entry % 6 < 2 else None
        yield "internal", number(place), source, lead, f"Row {entry}", at, AGENTS[entry % 120], None, None, None
    for entry in range(scale.lifted):
        place = entry * 9 + 1
        at = scale.at(entry, scale.lifted)
        lifted = (at + timedelta(days=2), ADMINS[entry % 3], "Asked to be called again.")
        yield "internal", number(place), "list-page", None, "", at, AGENTS[entry % 120], *lifted


DOCUMENTS = "id sha256 name media_type size stored_at stored_by"


def documents(scale: Scale) -> Rows:
    for place in range(scale.overrides):
        sha256 = hashlib.sha256(str(place).encode()).hexdigest()
        at = _placed_at(scale, place)
        yield place + 1, sha256, f"consent-{place}.pdf", "application/pdf", 90_000 + place, at, SUPERVISORS[place % 10]


OVERRIDES = (
    "id lead_id number basis basis_note consented_on document_id attestation placed_at placed_by placed_from "
    "expires_at reviewed_at reviewed_by revoked_at revoked_by revoke_reason"
)


def overrides(scale: Scale) -> Rows:
    """Yield the overrides: half have expired, every ninth was revoked, and two of three were reviewed."""
    bases = tuple(Basis)
    for place in range(scale.overrides):
        lead = overridden(place)
        at = _placed_at(scale, place)
        admin = ADMINS[place % 3]
        day = timedelta(days=1)
        reviewed = (at + day, admin) if place % 3 else (None, None)
        revoked = (at + 3 * day, admin, "The document shows another number.") if place % 9 == 4 else (None, None, None)
        yield (
            place + 1, lead_id(lead), number(lead), bases[place % 4], "A letter." if place % 4 == 3 else "",
            (at - day).date(), place + 1, ATTESTATION, at, SUPERVISORS[place % 10], "192.0.2.7",
            at + timedelta(days=365), *reviewed, *revoked,
        )  # fmt: skip


def overridden(place: int) -> int:
    """Return the lead of an override: every tenth of the listed leads."""
    return listed(place * 10)


def _placed_at(scale: Scale, place: int) -> datetime:
    return scale.at(place, scale.overrides)


EVENTS = "done_at done_by done_from action subject_kind subject_id particulars"


def events(scale: Scale) -> Rows:
    """Yield the audit events, one kind of action after the other."""
    for place in range(scale.leads):
        yield _event(scale.at(place, scale.leads), ADMINS[place % 3], "add-lead", "lead", lead_id(place))
    for entry in range(scale.entries):
        yield _event(scale.at(entry, scale.entries), AGENTS[entry % 120], "suppress", "number", number(listed(entry)))
    for entry in range(scale.lifted):
        yield _event(scale.at(entry, scale.lifted), ADMINS[entry % 3], "lift", "number", number(entry * 9 + 1))
    for place in range(scale.overrides):
        at = _placed_at(scale, place)
        yield _event(at, SUPERVISORS[place % 10], "grant-override", "override", str(place + 1))
        if place % 3:
            yield _event(at + timedelta(days=1), ADMINS[place % 3], "review-override", "override", str(place + 1))
    yield _event(scale.now, ADMINS[0], "make-token", "token", "crm")


def _event(at: datetime, by: str, action: str, kind: str, subject: str) -> tuple[Any, ...]:
    return at, by, "192.0.2.7", action, kind, subject, {"made": "up"}


USERS = "name full_name role password_hash totp_last_step created_at created_by"


def users(scale: Scale) -> Rows:
    for role, names in (("agent", AGENTS), ("supervisor", SUPERVISORS), ("admin", ADMINS)):
        for user in names:
            yield user, "", role, "nobody signs in with this", 0, scale.began, "shell:bench"


JOBS = (
    "kind particulars progress place tries outcome message asked_at asked_by asked_from "
    "claimed_at claimed_by beat_at ended_at"
)


def jobs(scale: Scale) -> Rows:
    for place in range(max(50, scale.leads // 500)):
        at = scale.at(place, scale.leads // 500 + 50)
        yield "import-list", {}, {}, {}, 0, "done", "", at, ADMINS[place % 3], "192.0.2.7", at, "worker", at, at
