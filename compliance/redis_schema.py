"""Every Redis key and value that the gate and the site share, spelled here and nowhere else.

Numbers are kept in sets of line numbers, one set per exchange: the last four digits of the E.164 number are the
member, an integer, and the digits before them name the set. Redis stores such a set as an array of two-byte
integers as long as `set-max-intset-entries` is at least 10000.

Braces are hash tags: on a cluster all keys of one number are on the shard that owns the slot of its exchange. Each
shard holds a small projection of its own: the keys that have no exchange in them carry a tag that puts them on it
(`Keys`), and each of its slots a mark (`slot_key`) that says for whom its sets were built. A slot that came from
somewhere else, or that was emptied, has none.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compliance.cluster import slot_of, slot_tag
from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.terms import RegistryTerms
from compliance.verdict import Decision, Reason, Ruling, Verdict

STATE = "dnc:state"
LEASE = "dnc:lease"
DECISIONS = "dnc:decisions"
UNREADABLE_DECISIONS = "dnc:decisions:unreadable"
ARCHIVE_GROUP = "archive"
GATES = "dnc:gates"
"""Sorted set of the names of gate processes, by when they were last heard of, in milliseconds since 1970 UTC."""

INTERNAL = "internal"

STATE_FIELDS = ("generation", "incarnation", "lists", "changes", "terms")
DECISION_FIELDS = (
    *("id", "at", "verdict", "reason", "detail", "override"),
    *("number", "dialed", "lead", "channel", "generation", "gate"),
)
"""What each entry of the decision stream holds; behind them comes `campaign`, where there is one."""

LISTS = "lists"
CHANGES = "changes"
TERMS = "terms"
REBUILT_AT = "rebuilt_at"
_COUNT = "count:"
_VERSION = "version:"

MAX_INTSET_ENTRIES = 10_000
"""What `set-max-intset-entries` must be at least: an exchange has at most ten thousand lines."""

LINE_DIGITS = 4

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_COUNTED = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_OF_A_GENERATION = re.compile(r"dnc:([0-9]{1,18}):")
_LISTED = re.compile(r"dnc:[0-9]+:([^:{}]+):\{([0-9]+)\}")
_OVERRIDE = re.compile(r"dnc:[0-9]+:override:\{([0-9]+)\}:([0-9]{1,4}):(.+)")


def exchange_and_line(number: E164) -> tuple[str, int]:
    """Split a number: `+14155550100` gives `("1415555", 100)`. Each pair names exactly one number."""
    return number[1:-LINE_DIGITS], int(number[-LINE_DIGITS:])


def number_of(exchange: str, line: int) -> E164:
    """Join what `exchange_and_line` split."""
    return E164(f"+{exchange}{line:0{LINE_DIGITS}d}")


def listed_key(generation: int, list_name: str, exchange: str) -> str:
    """Name the set of line numbers of one exchange on one list."""
    return f"dnc:{generation}:{list_name}:{{{exchange}}}"


def override_key(generation: int, number: E164, lead: LeadId) -> str:
    """Name the override of one lead on one number."""
    exchange, line = exchange_and_line(number)
    return f"dnc:{generation}:override:{{{exchange}}}:{line}:{lead}"


def build_key(generation: int) -> str:
    """Name the mark of a generation that is being built; without it the generation can never become the live one."""
    return f"dnc:{generation}:build"


def terms_key(generation: int) -> str:
    """Name the terms of the registries of one generation; `dnc:state` holds their digest."""
    return f"dnc:{generation}:terms"


def slot_key(generation: int, slot: int) -> str:
    """Name the mark of a slot of a cluster in one generation: it holds the incarnation that the slot was built for."""
    return f"dnc:{generation}:slot{{{slot_tag(slot)}}}"


def slot_of_number(number: E164) -> int:
    """Give the slot of a cluster that all keys of a number are in."""
    return slot_of(exchange_and_line(number)[0])


class Keys:
    """The keys with no exchange in them: of a whole Redis, or, where `first_slot` is given, of one shard of a cluster.

    `first_slot` is the lowest slot that the shard owns.
    """

    def __init__(self, first_slot: int | None = None) -> None:
        self.first_slot = first_slot
        self._tag = "" if first_slot is None else f"{{{slot_tag(first_slot)}}}"
        self.state = STATE + self._tag
        self.lease = LEASE + self._tag
        self.decisions = DECISIONS + self._tag
        self.unreadable_decisions = UNREADABLE_DECISIONS + self._tag
        self.gates = GATES + self._tag

    def build(self, generation: int) -> str:
        """Name the mark of a generation that is being built: see `build_key`."""
        return build_key(generation) + self._tag

    def terms(self, generation: int) -> str:
        """Name the terms of the registries of one generation: see `terms_key`."""
        return terms_key(generation) + self._tag

    def mark(self, generation: int, number: E164) -> str:
        """Name the mark of a number's slot in one generation: see `slot_key`. Empty where there are no slots."""
        return "" if self.first_slot is None else slot_key(generation, slot_of_number(number))

    def gate(self, name: str) -> str:
        """Name the key of a gate process: see `gate_key`."""
        return gate_key(name) + self._tag


WHOLE = Keys()
"""The keys of a Redis that holds all of the projection."""


def terms_value(registries: Iterable[RegistryTerms]) -> bytes:
    """Spell the terms of all registries: the same terms are always the same bytes."""
    spelled = [_spell_terms(one) for one in sorted(registries, key=lambda one: one.name)]
    return json.dumps(spelled, separators=(",", ":"), sort_keys=True).encode("ascii")


def _spell_terms(one: RegistryTerms) -> dict[str, object]:
    covered: dict[str, list[str]] = {}
    for prefix, until in sorted(one.covered.items()):
        covered.setdefault(str(epoch_ms(until)), []).append(prefix)
    return {
        "name": one.name,
        "prefixes": sorted(one.prefixes),
        "covered": covered,
        "when_stale": "block" if one.blocks_when_stale else "warn",
        "when_uncovered": "block" if one.blocks_uncovered else "pass",
        "spared": sorted(one.spared),
    }


def read_terms(value: bytes) -> tuple[RegistryTerms, ...]:
    """Read back what `terms_value` spelled. Raises ValueError, KeyError, TypeError or AttributeError on anything else.

    Whatever does not say plainly that it passes, blocks.
    """
    return tuple(
        RegistryTerms(
            one["name"],
            frozenset(one["prefixes"]),
            {prefix: from_epoch_ms(int(ms)) for ms, prefixes in one["covered"].items() for prefix in prefixes},
            one["when_stale"] != "warn",
            one["when_uncovered"] != "pass",
            tuple(one["spared"]),
        )
        for one in json.loads(value)
    )


def terms_digest(value: bytes) -> str:
    """Give the digest of spelled terms, as `dnc:state` holds it."""
    return hashlib.sha256(value).hexdigest()[:16]


def generation_pattern(generation: int | None = None) -> str:
    """Give a glob for all keys of one generation, or of every generation."""
    return f"dnc:{'[0-9]*' if generation is None else generation}:*"


def listed_pattern(generation: int, list_name: str) -> str:
    """Give a glob for all keys of one list in one generation."""
    return f"dnc:{generation}:{list_name}:*"


def generation_of(key: str) -> int | None:
    """Read the generation that a key belongs to; None for keys that belong to none."""
    found = _OF_A_GENERATION.match(key)
    return int(found[1]) if found else None


def listed_of(key: str) -> tuple[str, str] | None:
    """Read back what `listed_key` spelled: the list and the exchange. None for any other key."""
    found = _LISTED.fullmatch(key)
    return (found[1], found[2]) if found else None


def override_of(key: str) -> tuple[E164, LeadId] | None:
    """Read back what `override_key` spelled: whose override this is. None for any other key."""
    found = _OVERRIDE.fullmatch(key)
    return (number_of(found[1], int(found[2])), LeadId(found[3])) if found else None


def gate_key(name: str) -> str:
    """Name the key under which a gate process lets itself be heard of; it goes when the gate falls silent."""
    return f"dnc:gate:{name}"


def count_field(list_name: str) -> str:
    """Name the field of `dnc:state` that counts the numbers of a list."""
    return f"{_COUNT}{list_name}"


def version_field(list_name: str) -> str:
    """Name the field of `dnc:state` that says which version of a registry Redis holds."""
    return f"{_VERSION}{list_name}"


def read_versions(values: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the version of each registry out of all the fields of `dnc:state`; what is malformed is left out."""
    return _numbered(values, _VERSION)


def read_counts(values: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the numbers per list out of all the fields of `dnc:state`; what is malformed is left out."""
    return _numbered(values, _COUNT)


def _numbered(values: Mapping[bytes, bytes], start: str) -> dict[str, int]:
    return {
        name.decode("ascii", "replace").removeprefix(start): int(value)
        for name, value in values.items()
        if name.startswith(start.encode()) and value.isdigit()
    }


def override_value(override: LiveOverride) -> str:
    """Spell an override: id, basis, and expiry in whole milliseconds since 1970 UTC."""
    return f"{override.id}|{override.basis}|{epoch_ms(override.expires_at)}"


def read_override(value: bytes) -> LiveOverride:
    """Read back what `override_value` spelled. Raises ValueError on anything else."""
    override_id, basis, expires_ms = value.decode("ascii").split("|")
    return LiveOverride(override_id, basis, from_epoch_ms(int(expires_ms)))


def state_values(state: State) -> dict[str, str]:
    """Spell `state` as the fields of `dnc:state`."""
    values = (str(state.generation), state.incarnation, ",".join(state.lists), str(state.changes), state.terms)
    return dict(zip(STATE_FIELDS, values, strict=True))


def read_state(values: Sequence[bytes | None]) -> State | None:
    """Read the values of `STATE_FIELDS` in their order; None unless every one is there and well-formed."""
    if None in values:
        return None
    generation, incarnation, lists, changes, terms = (
        value.decode("ascii", "replace") for value in values if value is not None
    )
    if not (_COUNTED.fullmatch(generation) and _COUNTED.fullmatch(changes) and _DIGEST.fullmatch(terms) and lists):
        return None
    return State(int(generation), incarnation, tuple(lists.split(",")), int(changes), terms)


def decision_values(decision: Decision) -> tuple[str, ...]:
    """Spell a decision as the values of `DECISION_FIELDS`."""
    ruling = decision.ruling
    return (
        decision.id,
        str(epoch_ms(decision.at)),
        ruling.verdict,
        ruling.reason,
        ruling.detail,
        ruling.override,
        decision.number,
        decision.dialed,
        decision.lead,
        decision.channel,
        str(decision.generation),
        decision.gate,
    )


def decision_fields(decision: Decision) -> dict[str, str]:
    """Spell a decision as the fields of one entry of the decision stream; most have no campaign, and then no field."""
    fields = dict(zip(DECISION_FIELDS, decision_values(decision), strict=True))
    return fields | {"campaign": decision.campaign} if decision.campaign else fields


def read_decision(fields: Mapping[bytes, bytes]) -> Decision:
    """Read back what `decision_fields` spelled. Raises KeyError or ValueError on anything else."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    ruling = Ruling(Verdict(text["verdict"]), Reason(text["reason"]), text["detail"], text["override"])
    return Decision(
        id=text["id"],
        at=from_epoch_ms(int(text["at"])),
        ruling=ruling,
        dialed=text["dialed"],
        number=text["number"],
        lead=text["lead"],
        channel=text["channel"],
        generation=int(text["generation"]),
        gate=text["gate"],
        campaign=text.get("campaign", ""),
    )


@dataclass(frozen=True, slots=True)
class GateBeat:
    """What a gate process says of itself: where it listens, since when (aware UTC), and what it has done since.

    `doubt` says why it can allow no call now, empty when it can; `unrecorded` decisions wait for Redis, `dropped`
    ones were lost.
    """

    listens: str
    started_at: datetime
    generation: int
    doubt: str
    calls: int
    unrecorded: int
    dropped: int


def beat_value(beat: GateBeat) -> str:
    """Spell a beat. The doubt comes last: it may hold anything."""
    numbers = (epoch_ms(beat.started_at), beat.generation, beat.calls, beat.unrecorded, beat.dropped)
    return "|".join([*map(str, numbers), beat.listens, beat.doubt])


def read_beat(value: bytes) -> GateBeat:
    """Read back what `beat_value` spelled. Raises ValueError on anything else."""
    *numbers, listens, doubt = value.decode().split("|", 6)
    started_ms, generation, calls, unrecorded, dropped = map(int, numbers)
    return GateBeat(listens, from_epoch_ms(started_ms), generation, doubt, calls, unrecorded, dropped)


def epoch_ms(moment: datetime) -> int:
    """Give whole milliseconds since 1970 UTC, rounded down: an expiry is never stretched by rounding."""
    return (moment - EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """Give the aware UTC moment of `milliseconds` since 1970 UTC. Raises ValueError beyond the year 9999."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError("no such moment") from None
