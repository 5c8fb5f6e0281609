"""The differences between SQL and Redis: counted by kind, with a few examples of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compliance.wording import counted, noun

EXAMPLES = 10
"""Maximum number of subjects that are kept as examples, for each kind of difference. All differences are counted."""

MISSING = "listed in SQL, not in Redis"
EXTRA = "listed in Redis, not in SQL"
OVERRIDE_EXTRA = "open in Redis, not in SQL"
OVERRIDE_MISSING = "open in SQL, not in Redis"
OVERRIDE_OTHER = "open in both, with another id, basis or end"
OVERRIDE_ENDLESS = "open in Redis, with a key that never expires"
UNMARKED = "not marked in Redis as built for this shard"
TERMS_OTHER = "different in Redis and SQL"

DANGEROUS = (MISSING, OVERRIDE_EXTRA, OVERRIDE_OTHER, TERMS_OTHER)
"""The kinds of difference that may allow a call that must be blocked."""


@dataclass(slots=True)
class Drift:
    """The outcome of a full comparison.

    `numbers` and `overrides` are the totals in SQL. `counted` has the lists whose count in `dnc:state` differs from
    SQL: (Redis, SQL). `doubt` is the reason why the gate cannot rely on the projection: `no-state`,
    `other-incarnation`, `other-generation`, `other-history`, `recovered-history` or `no-lease`. It is empty if there is
    no such reason. `pending` changes are recorded but not in force yet; their subjects are not compared. `shard` is the
    lowest slot of a cluster's shard, and `shards` are the outcomes of all shards that were added up here. `behind` has
    the registries whose version in Redis is not the one in force in SQL (see `following.behind`). The comparison uses
    the version that Redis holds.
    """

    doubt: str = ""
    generation: int = 0
    numbers: int = 0
    overrides: int = 0
    pending: int = 0
    counted: dict[str, tuple[int, int]] = field(default_factory=dict)
    behind: dict[str, tuple[int, int]] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    shard: int | None = None
    shards: Sequence["Drift"] = ()

    @property
    def clean(self) -> bool:
        """Whether Redis matches SQL, and the gate can rely on Redis."""
        return not (self.doubt or self.found or self.counted)

    def add(self, kind: str, subject: str) -> None:
        """Count one difference."""
        self.found[kind] = self.found.get(kind, 0) + 1
        some = self.examples.setdefault(kind, [])
        if len(some) < EXAMPLES:
            some.append(subject)

    def lines(self) -> list[str]:
        """Return the outcome as lines for people, dangerous differences first."""
        lines = [f"SQL holds {counted(self.numbers, 'number')} and {counted(self.overrides, 'live override')}."]
        if self.pending:
            waiting = (
                f"{counted(self.pending, 'change')} {noun(self.pending, 'is', 'are')} recorded and not yet in force"
            )
            lines.append(f"{waiting}; the numbers and overrides concerned were not compared.")
        for name, (redis, sql) in self.behind.items():
            lines.append(f"{name}: version {sql} is recorded and not yet in force; Redis holds {redis or 'none'}.")
        differences = sorted((line for one in self.shards or [self] for line in one.differences()), key=_urgency)
        return [*lines, *differences, "No difference." if self.clean else "Run `dnc-admin rebuild` to put it right."]

    def differences(self) -> Iterator[str]:
        """Yield each difference as a line, which names the shard."""
        where = "" if self.shard is None else f"shard from slot {self.shard}: "
        if self.doubt and not self.generation:
            nothing = f"Redis holds no projection ({self.doubt}), so nothing was compared"
            yield f"DOUBT: {where}{nothing}, and the gate blocks calls."
        elif self.doubt:
            yield f"DOUBT: {where}the gate cannot rely on generation {self.generation} ({self.doubt}) and blocks calls."
        for kind in sorted(self.found, key=lambda kind: (kind not in DANGEROUS, kind)):
            word = "DANGER" if kind in DANGEROUS else "differs"
            yield f"{word}: {where}{self.found[kind]:,} {kind}: {', '.join(self.examples[kind])}"
        for name, (redis, sql) in self.counted.items():
            yield f"differs: {where}Redis counts {counted(redis, 'number')} on {name}, SQL {sql:,}"


def _urgency(line: str) -> int:
    """Return the place of a line among others. Sorting by it keeps the order of lines of the same place."""
    return ("DOUBT", "DANGER", "differs").index(line.partition(":")[0])


def together(each: Sequence[Drift]) -> Drift:
    """Add up the outcomes of the shards of a cluster. A single outcome is returned as it is."""
    if len(each) == 1:
        return each[0]
    drift = Drift(next((one.doubt for one in each if one.doubt), ""), max((one.generation for one in each), default=0))
    drift.shards = each
    for one in each:
        drift.numbers, drift.overrides = drift.numbers + one.numbers, drift.overrides + one.overrides
        drift.pending = max(drift.pending, one.pending)
        drift.counted |= one.counted
        drift.behind |= one.behind
        for kind, found in one.found.items():
            drift.found[kind] = drift.found.get(kind, 0) + found
            drift.examples[kind] = [*drift.examples.get(kind, []), *one.examples[kind]][:EXAMPLES]
    return drift
