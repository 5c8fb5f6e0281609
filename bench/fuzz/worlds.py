"""What Redis may hold during a call, and the rule of docs/design.md on it, written again without the product's code.

A world is one moment of the projection. A number that a world lists is known here, and the model of Redis answers from
the same world.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from bench.fuzz.spellings import LEADS, NUMBERS
from compliance.facts import LiveOverride
from compliance.redis_schema import override_value
from compliance.redis_terms import terms_digest, terms_value
from compliance.terms import CampaignList, RegistryTerms

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""The time of every generated call."""

RUN_ID = "run-1"
"""The incarnation of the server that answers."""

ENDS = (timedelta(0), timedelta(milliseconds=1), timedelta(milliseconds=-1), timedelta(days=9), timedelta(days=-9))


@dataclass(frozen=True)
class Policy:
    """The lists of a world, and the terms of the list that is not the company's own."""

    registry: str = ""
    covers: str = ""
    stale: bool = False
    blocks_when_stale: bool = False
    blocks_uncovered: bool = False
    spared: str = ""
    pattern: str = ""
    campaign_list: str = ""
    campaign: str = ""

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists of the projection."""
        return ("internal", *filter(None, (self.registry, self.campaign_list)))

    @property
    def document(self) -> bytes:
        """The terms as Redis holds them."""
        until = NOW + timedelta(days=-1 if self.stale else 1)
        registry = RegistryTerms(
            self.registry,
            frozenset({"1"}),
            {self.covers: until} if self.covers else {},
            self.blocks_when_stale,
            self.blocks_uncovered,
            (self.spared,) if self.spared else (),
        )
        return terms_value(
            [registry] if self.registry else [],
            [self.pattern] if self.pattern else [],
            [CampaignList(self.campaign_list, (self.campaign,))] if self.campaign_list else [],
        )


POLICIES = (
    Policy(),
    Policy(registry="us-ftc", covers="1"),
    Policy(registry="us-ftc", covers="1", spared="sales"),
    Policy(registry="us-ftc", covers="1", stale=True),
    Policy(registry="us-ftc", covers="1", stale=True, blocks_when_stale=True),
    Policy(registry="us-ftc", covers="1415", blocks_uncovered=True),
    Policy(registry="us-ftc", covers="1415", blocks_uncovered=True, spared="spring"),
    Policy(pattern="1212"),
    Policy(pattern="1415555", registry="us-ftc", covers="1"),
    Policy(campaign_list="spring-offers", campaign="spring"),
)


@dataclass(frozen=True)
class World:
    """One moment. `holders` maps each list to its numbers; `ends` maps a number and a lead to the end of an override.

    `acknowledged` is the number of replicas that acknowledge a write.
    """

    generation: int
    changes: int
    policy: Policy
    holders: dict[str, frozenset[str]]
    ends: dict[tuple[str, str], datetime]
    leased: bool = True
    trusted: bool = True
    complete: bool = True
    acknowledged: int = 1
    overrides: dict[tuple[str, str], bytes] = field(default_factory=dict)
    document: bytes = b""
    state: tuple[bytes | None, ...] = ()

    def __post_init__(self) -> None:
        """Encode what Redis holds, once for many calls."""
        values = {
            key: override_value(LiveOverride("42", "signed-consent", end)).encode() for key, end in self.ends.items()
        }
        document = self.policy.document
        texts = (str(self.generation), RUN_ID if self.trusted else "run-0", ",".join(self.policy.lists))
        state = (*texts, str(self.changes), terms_digest(document))
        object.__setattr__(self, "overrides", values)
        object.__setattr__(self, "document", document)
        object.__setattr__(self, "state", tuple(one.encode() for one in state) if self.complete else (None,) * 5)

    def permits(self, number: str, lead: str, campaign: str, *, clock: bool) -> bool:
        """Return whether a call may be placed at `NOW`. `clock` says whether the gate's clock can be trusted."""
        if not (self.complete and self.trusted and self.leased):
            return False
        if not self._objects(number, campaign):
            return True
        end = self.ends.get((number, lead))
        return bool(lead) and clock and end is not None and end > NOW

    def _objects(self, number: str, campaign: str) -> bool:
        policy = self.policy
        if number in self.holders["internal"] or (policy.pattern and number.startswith(f"+{policy.pattern}")):
            return True
        if policy.campaign_list and campaign == policy.campaign and number in self.holders[policy.campaign_list]:
            return True
        if not policy.registry or not number.startswith("+1") or (policy.spared and campaign == policy.spared):
            return False
        if number in self.holders[policy.registry]:
            return True
        if number.startswith(f"+{policy.covers}"):
            return policy.stale and policy.blocks_when_stale
        return policy.blocks_uncovered


EMPTY = World(0, 0, Policy(), {"internal": frozenset()}, {}, leased=False, complete=False)
"""Redis after FLUSHALL: every set looks as if it held nothing."""


def world(rng: Random, changes: int) -> World:
    """Generate a world. No two worlds have the same count of changes."""
    chance = rng.random
    if chance() < 0.03:
        return EMPTY
    policy = rng.choice(POLICIES)
    pairs = [(number, lead) for number in NUMBERS for lead in filter(None, LEADS)]
    return World(
        rng.choice((7, 8)),
        changes,
        policy,
        {name: frozenset(number for number in NUMBERS if chance() < 0.35) for name in policy.lists},
        {pair: NOW + rng.choice(ENDS) for pair in pairs if chance() < 0.4},
        leased=chance() > 0.06,
        trusted=chance() > 0.05,
        acknowledged=rng.choice((0, 1, 1, 1, 2)),
    )
