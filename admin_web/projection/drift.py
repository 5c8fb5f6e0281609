"""What differs between SQL and Redis, counted, with a few examples of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field

EXAMPLES = 10
"""How many subjects of each kind are named; all are counted."""

MISSING = "listed in SQL, not in Redis"
EXTRA = "listed in Redis, not in SQL"
OVERRIDE_EXTRA = "open in Redis, not in SQL"
OVERRIDE_MISSING = "open in SQL, not in Redis"
OVERRIDE_OTHER = "open in both, with another id, basis or end"
OVERRIDE_ENDLESS = "open in Redis, and kept there beyond its end"
UNMARKED = "not marked in Redis as built for this shard"
TERMS_OTHER = "not as SQL has them"

DANGEROUS = (MISSING, OVERRIDE_EXTRA, OVERRIDE_OTHER, TERMS_OTHER)
"""What may let a call through that must not be."""


@dataclass(slots=True)
class Drift:
    """The outcome of a full comparison.

    `numbers` and `overrides` are how many SQL holds. `counted` are the numbers per list as `dnc:state` counts them,
    where that differs from SQL. `doubt` says as a slug why the gate may not rely on the projection at all: `no-state`,
    `other-incarnation`, `other-generation`, or `no-lease`; it is empty when it may. `pending` changes are recorded,
    and not in force yet; what they name is not compared. `behind` are registries of which Redis holds another version
    than the one in force, as `following.behind` gives them; what is compared is the version that it holds.
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

    @property
    def clean(self) -> bool:
        """Tell whether Redis holds what SQL says, and the gate may rely on it."""
        return not (self.doubt or self.found or self.counted)

    def add(self, kind: str, subject: str) -> None:
        """Count one difference."""
        self.found[kind] = self.found.get(kind, 0) + 1
        some = self.examples.setdefault(kind, [])
        if len(some) < EXAMPLES:
            some.append(subject)

    def lines(self) -> list[str]:
        """Say what was found, the dangerous first."""
        lines = [f"SQL holds {self.numbers:,} numbers and {self.overrides:,} live overrides."]
        if self.pending:
            waiting = f"{self.pending:,} changes are recorded and not yet in force"
            lines.append(f"{waiting}; what they name was not compared.")
        for name, (redis, sql) in self.behind.items():
            lines.append(f"{name}: version {sql} is recorded and not yet in force; Redis holds {redis or 'none'}.")
        if self.doubt:
            lines.append(f"DOUBT: the gate does not rely on generation {self.generation}: {self.doubt}.")
        for kind in sorted(self.found, key=lambda kind: (kind not in DANGEROUS, kind)):
            word = "DANGER" if kind in DANGEROUS else "differs"
            lines.append(f"{word}: {self.found[kind]:,} {kind}: {', '.join(self.examples[kind])}")
        for name, (redis, sql) in self.counted.items():
            lines.append(f"differs: Redis counts {redis:,} numbers on {name}, SQL {sql:,}")
        return [*lines, "No difference." if self.clean else "Run `dnc-admin rebuild` to put it right."]


def together(each: Sequence[Drift]) -> Drift:
    """Add up what was found on the shards of a cluster. Of one Redis it is what was found there."""
    if len(each) == 1:
        return each[0]
    drift = Drift(next((one.doubt for one in each if one.doubt), ""), max((one.generation for one in each), default=0))
    for one in each:
        drift.numbers, drift.overrides = drift.numbers + one.numbers, drift.overrides + one.overrides
        drift.pending = max(drift.pending, one.pending)
        drift.counted |= one.counted
        drift.behind |= one.behind
        for kind, found in one.found.items():
            drift.found[kind] = drift.found.get(kind, 0) + found
            drift.examples[kind] = [*drift.examples.get(kind, []), *one.examples[kind]][:EXAMPLES]
    return drift
