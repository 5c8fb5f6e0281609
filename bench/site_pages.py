"""Requests for every list page and search: common and rare, with and without results, first and last pages."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import urlencode

from admin_web.queries.paging import spelled
from bench.site_data import AGENTS, FIRST_WORDS, SUPERVISORS, YEARS, Scale, lead_id, listed, name, number

Asked = Callable[[Random, Scale], str]


def _page(path: str, **values: str) -> str:
    return f"{path}?{urlencode(values)}" if values else path


def _lead(chance: Random, scale: Scale) -> int:
    return chance.randrange(scale.leads)


def _spelling(place: int, chance: Random) -> str:
    """Return a lead's number in one of the formats that people type."""
    digits = number(place)[2:]
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    return chance.choice([f"+1{digits}", f"({area}) {exchange}-{line}", f"{area}.{exchange}.{line}", digits])


def _moment(chance: Random, scale: Scale) -> datetime:
    return (scale.began + YEARS * chance.random()).replace(tzinfo=UTC)


def _first_days(scale: Scale) -> datetime:
    """Return the moment two days after the first row. Rows before that moment fill the last page of the log."""
    return (scale.began + timedelta(days=2)).replace(tzinfo=UTC)


def _period(chance: Random, scale: Scale, **length: float) -> dict[str, str]:
    since = _moment(chance, scale)
    until = since + timedelta(**length)
    return {"since": since.strftime("%Y-%m-%dT%H:00"), "until": until.strftime("%Y-%m-%dT%H:00")}


def _calls(**fixed: str) -> Asked:
    return lambda _, __: _page("/calls", **fixed)


def _calls_behind(**fixed: str) -> Asked:
    return lambda _, scale: _page("/calls", **fixed, after=spelled((_first_days(scale), 0, "f")))


def _decision(chance: Random, scale: Scale) -> str:
    """Return the id of a random decision, computed as in `site_calls.calls`."""
    place = chance.randrange(scale.decisions)
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - as the tables hold it
    step = (YEARS.total_seconds() - 60) / scale.decisions
    return f"{int(((scale.began - epoch).total_seconds() + step * place) * 1000):012x}-{place % 4:08x}-{place:08x}"


RARE = {"reason": "bad-channel"}
NEVER = {"reason": "not-listed", "verdict": "BLOCK"}

PAGES: tuple[tuple[str, Asked], ...] = (
    ("dashboard", lambda c, s: _page("/", span=c.choice(["24h", "7d", "30d"]))),
    ("dial queue", lambda c, s: "/queue"),
    ("dial queue, a later page", lambda c, s: _page("/queue", after=spelled((_moment(c, s), lead_id(_lead(c, s)))))),
    ("leads", lambda c, s: "/leads"),
    ("leads, last page", lambda c, s: _page("/leads", after=spelled(("tailspin traders 9", "L-9")))),
    ("leads, found by number", lambda c, s: _page("/leads", q=_spelling(_lead(c, s), c))),
    ("leads, no such number", lambda c, s: _page("/leads", q=f"+1907555{c.randrange(10_000):04}")),
    ("leads, found by id", lambda c, s: _page("/leads", q=lead_id(_lead(c, s)))),
    ("leads, found by name", lambda c, s: _page("/leads", q=name(_lead(c, s))[: c.randrange(3, 30)])),
    ("leads, no such name", lambda c, s: _page("/leads", q=f"Nobody {c.random()}")),
    ("leads, Do-Not-Call", lambda c, s: _page("/leads", state="do-not-call")),
    ("leads, under override", lambda c, s: _page("/leads", state="override")),
    ("leads, Do-Not-Call, by name", lambda c, s: _page("/leads", state="do-not-call", q=c.choice(FIRST_WORDS))),
    ("leads, override, by name", lambda c, s: _page("/leads", state="override", q=c.choice(FIRST_WORDS))),
    ("one lead", lambda c, s: f"/leads/{lead_id(_lead(c, s))}"),
    ("one lead, listed", lambda c, s: f"/leads/{lead_id(listed(c.randrange(s.entries)))}"),
    ("list", lambda c, s: "/lists"),
    ("list, last page", lambda c, s: _page("/lists", after=spelled((60,)))),
    ("list, lifted", lambda c, s: _page("/lists", state="lifted")),
    ("list, all", lambda c, s: _page("/lists", state="all")),
    ("list, found by number", lambda c, s: _page("/lists", q=_spelling(listed(c.randrange(s.entries)), c))),
    ("list, by a few digits", lambda c, s: _page("/lists", q=number(_lead(c, s))[: c.randrange(4, 12)])),
    ("list, no such number", lambda c, s: _page("/lists", q=f"+1907555{c.randrange(10_000):04}")),
    ("list, by source", lambda c, s: _page("/lists", source=c.choice(["switch", "import", "api"]))),
    ("list, by person", lambda c, s: _page("/lists", by=c.choice([*AGENTS, "nobody"]))),
    (
        "list, rare source and person",
        lambda c, s: _page("/lists", source="wrap-up", by=c.choice(AGENTS), state="lifted"),
    ),
    ("one number", lambda c, s: f"/lists/numbers/{number(listed(c.randrange(s.entries)))}"),
    ("monitor", lambda c, s: "/monitor"),
    *(
        (f"monitor, {part}", lambda c, s, part=part: _page("/monitor", shown=part))
        for part in ("unreviewed", "ends-30", "ends-7", "ends-1", "revoked", "expired", "all")
    ),
    ("monitor, last page", lambda c, s: _page("/monitor", shown="all", after=spelled((60,)))),
    ("monitor, by number", lambda c, s: _page("/monitor", shown="all", q=_spelling(listed(_lead(c, s) // 9), c))),
    ("monitor, by lead", lambda c, s: _page("/monitor", shown="all", q=lead_id(listed(c.randrange(s.overrides) * 10)))),
    ("monitor, by person and basis", lambda c, s: _page("/monitor", person=c.choice(SUPERVISORS), basis="other")),
    ("monitor, by a person without overrides", lambda c, s: _page("/monitor", shown="all", person="nobody")),
    ("monitor, one override", lambda c, s: f"/monitor/{c.randrange(1, s.overrides)}"),
    ("calls", _calls()),
    ("calls, last page", _calls_behind()),
    ("calls, by number", lambda c, s: _page("/calls", number=_spelling(_lead(c, s), c))),
    ("calls, no such number", lambda c, s: _page("/calls", number=f"+1907555{c.randrange(10_000):04}")),
    ("calls, by lead", lambda c, s: _page("/calls", lead=lead_id(_lead(c, s)))),
    ("calls, by agent", lambda c, s: _page("/calls", agent=c.choice([*AGENTS, "nobody"]))),
    ("calls, by agent, last page", lambda c, s: _calls_behind(agent=c.choice(AGENTS))(c, s)),
    ("calls, by agent, rare reason", lambda c, s: _page("/calls", agent=c.choice(AGENTS), **RARE)),
    ("calls, allowed", _calls(verdict="ALLOW")),
    ("calls, blocked", _calls(verdict="BLOCK")),
    ("calls, blocked, last page", _calls_behind(verdict="BLOCK")),
    ("calls, unscreened", _calls(verdict="unscreened")),
    ("calls, unscreened, by number", lambda c, s: _page("/calls", verdict="unscreened", number=number(_lead(c, s)))),
    ("calls, common reason", _calls(reason="not-listed")),
    ("calls, rare reason", _calls(**RARE)),
    ("calls, impossible reason and verdict", _calls(**NEVER)),
    ("calls, by override", lambda c, s: _page("/calls", override=str(c.randrange(1, s.overrides)))),
    ("calls, within an hour", lambda c, s: _page("/calls", **_period(c, s, hours=1))),
    ("calls, within a month", lambda c, s: _page("/calls", **_period(c, s, days=30))),
    ("calls, within a year", lambda c, s: _page("/calls", **_period(c, s, days=365))),
    ("calls, month, rare reason", lambda c, s: _page("/calls", **_period(c, s, days=30), **RARE)),
    (
        "calls, month, agent, blocked",
        lambda c, s: _page("/calls", **_period(c, s, days=30), verdict="BLOCK", agent=AGENTS[5]),
    ),
    ("one call", lambda c, s: f"/calls/{_decision(c, s)}"),
    ("audit", lambda c, s: "/audit"),
    ("audit, last page", lambda c, s: _page("/audit", after=spelled((_first_days(s), 9)))),
    ("audit, by person", lambda c, s: _page("/audit", by=c.choice(["admin1", "supervisor3", "agent7", "nobody"]))),
    ("audit, by action", lambda c, s: _page("/audit", action=c.choice(["lift", "make-token", "add-lead", "never"]))),
    ("audit, person and rare action", lambda c, s: _page("/audit", by="admin1", action="make-token")),
    ("audit, by subject", lambda c, s: _page("/audit", kind="lead", subject=lead_id(_lead(c, s)))),
    ("audit, within a month", lambda c, s: _page("/audit", **_period(c, s, days=30))),
    ("jobs", lambda c, s: "/jobs"),
    ("users", lambda c, s: "/users"),
    ("enforcement", lambda c, s: "/enforcement"),
    ("API, queue", lambda c, s: "/api/v1/queue"),
    ("API, leads by number", lambda c, s: _page("/api/v1/leads", search=_spelling(_lead(c, s), c))),
    ("API, leads by name", lambda c, s: _page("/api/v1/leads", search=name(_lead(c, s))[: c.randrange(3, 30)])),
    ("API, decisions", lambda c, s: "/api/v1/decisions"),
    ("API, decisions by number", lambda c, s: _page("/api/v1/decisions", number=number(_lead(c, s)))),
    ("API, decisions, rare reason", lambda c, s: _page("/api/v1/decisions", **RARE)),
    ("API, overrides", lambda c, s: "/api/v1/overrides"),
)
"""The name of each page in the table, and the function that makes a random URL of it, the same in each run."""
