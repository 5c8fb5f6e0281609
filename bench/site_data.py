"""Synthetic rows of a call centre that has worked for two years, the same each time for the same scale."""

import hashlib
import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

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
REASONS = (
    ("not-listed", 880_000), ("internal-dnc", 96_000), ("override", 18_000), ("invalid-number", 4_000),
    ("us-ftc-dnc", 1_600), ("deadline", 200), ("state-unverified", 150), ("store-unavailable", 40), ("bad-channel", 10),
)  # fmt: skip
"""Reasons of decisions, each with its share per million."""

AGENTS = tuple(f"agent{number}" for number in range(1, 121))
SUPERVISORS = tuple(f"supervisor{number}" for number in range(1, 11))
ADMINS = ("admin1", "admin2", "admin3")
OUTCOMES = ("no-answer", "interested", "not-interested", "call-back", "wrong-number")


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


DECISIONS = "id at verdict reason detail override number dialed lead channel generation gate archived_at agent"


class Call(NamedTuple):
    """One call attempt, from which the rows of several tables are made."""

    place: int
    at: datetime
    decision: str
    reason: str
    lead: int
    override: str
    channel: str
    agent: str
    fate: float
    """A random value from 0 to 1 that decides how the call ends."""

    @property
    def allowed(self) -> bool:
        return self.reason in {"not-listed", "override"}

    @property
    def lead_id(self) -> str:
        return lead_id(self.lead) if self.place % 33 else ""


def calls(scale: Scale) -> Iterator[Call]:
    """Yield every attempt in order of time. Agents placed two thirds by a click, and the dialer the others."""
    chance = random.Random(3)
    names, shares = zip(*REASONS, strict=True)
    cumulated = [sum(shares[: place + 1]) for place in range(len(shares))]
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables hold it
    step = (YEARS.total_seconds() - 60) / scale.decisions
    first = (scale.began - epoch).total_seconds()
    for place in range(scale.decisions):
        seconds = first + step * place
        reason = names[bisect(cumulated, chance.random() * 1_000_000)]
        lead, override = _judged(scale, chance, reason)
        yield Call(
            place, epoch + timedelta(seconds=seconds), f"{int(seconds * 1000):012x}-{place % 4:08x}-{place:08x}",
            reason, lead, override, f"pbx{place % 2 + 1}-{int(seconds)}.{place}",
            AGENTS[int(chance.random() * 120)] if place % 3 else "", chance.random(),
        )  # fmt: skip


def _judged(scale: Scale, chance: random.Random, reason: str) -> tuple[int, str]:
    """Return the called lead, and the override that allowed the call, if any."""
    if reason == "internal-dnc":
        return listed(int(chance.random() * scale.entries)), ""
    if reason == "override":
        place = int(chance.random() * scale.overrides)
        return overridden(place), str(place + 1)
    return int(chance.random() * scale.leads), ""


def decisions(scale: Scale) -> Rows:
    for call in calls(scale):
        wrong = call.reason == "invalid-number"
        whole = number(call.lead)
        yield (
            call.decision, call.at, "ALLOW" if call.allowed else "BLOCK", call.reason, "too-short" if wrong else "",
            call.override, "" if wrong else whole, "415" if wrong else whole[2:], call.lead_id, call.channel, 7,
            "gate-1:4573", call.at, call.agent,
        )  # fmt: skip


DETAILS = (
    "channel linked_channel sequence decision_id source destination verdict reason disposition lead agent unscreened "
    "started_at answered_at ended_at seconds_billed"
)


def details(scale: Scale) -> Rows:
    """Yield the PBX's records: of nearly every decision, of calls that no gate decided, of unscreened calls."""
    for call in calls(scale):
        if call.fate > 0.97:
            continue
        decided = (call.decision, "ALLOW" if call.allowed else "BLOCK", call.reason)
        yield _detail(call, decided, "ANSWERED" if call.allowed and call.fate < 0.4 else "NO ANSWER")
        if call.place % 5_000 == 0:
            yield _detail(call, ("", "BLOCK", "gate-unreachable"), "NO ANSWER", sequence=1)
        if call.place % 10_000 == 1:
            yield _detail(call, ("", "", ""), "ANSWERED", sequence=2, unscreened=True)


def _detail(
    call: Call, decided: tuple[str, str, str], disposition: str, *, sequence: int = 0, unscreened: bool = False
) -> tuple[Any, ...]:
    answered = disposition == "ANSWERED"
    billed = int(call.fate * 400) if answered else 0
    ended = call.at + timedelta(seconds=billed + 5)
    decision, verdict, reason = decided
    return (
        call.channel, call.channel, sequence, decision, call.agent or "dialer", number(call.lead), verdict, reason,
        disposition, call.lead_id, call.agent, unscreened, call.at,
        call.at + timedelta(seconds=5) if answered else None, ended, billed,
    )  # fmt: skip


REQUESTS = "channel lead_id number asked_at asked_by failure"


def requests(scale: Scale) -> Rows:
    for call in calls(scale):
        if call.agent:
            yield call.channel, lead_id(call.lead), number(call.lead), call.at, call.agent, ""


DISPOSITIONS = "lead_id decision_id outcome note wrapped_up_at wrapped_up_by"


def dispositions(scale: Scale) -> Rows:
    for call in calls(scale):
        if call.agent and call.allowed and call.fate < 0.2:
            at = call.at + timedelta(minutes=5)
            yield lead_id(call.lead), call.decision, OUTCOMES[call.place % 5], "", at, call.agent


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
