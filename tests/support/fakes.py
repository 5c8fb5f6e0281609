"""Fakes of the gate's store and decision log, for tests that choose what happens between two steps."""

from agi_gate.decision_log import RecordUnavailable
from agi_gate.store.questions import RedisSteps, question
from agi_gate.store.wire import StoreUnavailable
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.verdict import Decision


class FakeStore:
    """Returns one set of facts after the other; None stands for an unavailable Redis."""

    def __init__(self, *facts: Facts | None) -> None:
        self.left = list(facts)
        self.campaigns: list[str] = []
        self.expected: Facts | None = None

    def foreseen(self, number: E164, lead: LeadId | None, campaign: str = "") -> Facts | None:
        return self.expected

    def facts(self, number: E164, lead: LeadId | None, campaign: str = "") -> RedisSteps[Facts]:
        self.campaigns.append(campaign)
        yield question(("PING",))
        facts = self.left.pop(0)
        if facts is None:
            raise StoreUnavailable("gone")
        return facts


class FakeLog:
    """Keeps what is recorded and noted. `behind` is the state after the append; None makes every record fail."""

    def __init__(self, behind: State | None) -> None:
        self.behind = behind
        self.foreseen_right: bool | Exception = False
        self.recorded: list[Decision] = []
        self.noted: list[Decision] = []

    def record(self, decision: Decision) -> RedisSteps[State | None]:
        yield question(("PING",))
        if self.behind is None:
            raise RecordUnavailable("full")
        self.recorded.append(decision)
        return self.behind

    def record_foreseen(self, decision: Decision, facts: Facts) -> RedisSteps[bool]:
        yield question(("PING",))
        if isinstance(self.foreseen_right, Exception):
            raise self.foreseen_right
        if self.foreseen_right:
            self.recorded.append(decision)
        return self.foreseen_right

    def note(self, decision: Decision) -> None:
        self.noted.append(decision)
