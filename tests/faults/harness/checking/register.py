"""Decide whether some order of the writes to one number explains what every read of it saw.

Changes of one number go to SQL in some order, and what the gates read follows SQL in that order, with a lag. So each
write has one moment at which the gates see it, after its invocation. A write that was answered in force is seen by its
answer. One that was only recorded is seen when the lease ends that may not know it, and by the time of rest. One whose
outcome is unknown is seen at any time or never. A write that was committed before another was invoked is seen before
it. Each read saw the state of one moment between its beginning and its answer.

The check is the just-in-time linearization of Lowe ("Testing for linearizability", 2017). It follows all states that
are possible, and lets a write become visible only when an answer requires it. A read changes nothing, so it is
explained by the first fitting state after its beginning.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from tests.faults.harness.checking.collected import NEVER

State = frozenset[object]
"""The facts that hold for one number: the lists that have it, and its overrides."""

MOST_CONFIGURATIONS = 4_000
"""Maximum number of possible states that are followed at a time. Real histories have fewer than ten."""

Written = TypeVar("Written")
Seen = TypeVar("Seen")


class Undecidable(Exception):
    """The writes overlap so much that more than `MOST_CONFIGURATIONS` states are possible."""


@dataclass(frozen=True, slots=True, eq=False)
class Write(Generic[Written]):
    """One write: from `invoked`, committed by `committed`, seen by `seen`. Both may be NEVER.

    An `optional` write may not happen at all. Optional writes with the same `effect` name do the same.
    """

    subject: Written
    invoked: int
    committed: int
    seen: int
    effect: object
    apply: Callable[[State], State]
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Read(Generic[Seen]):
    """One read: it saw a state of which `fits` is true, between `began` and `answered`."""

    subject: Seen
    began: int
    answered: int
    fits: Callable[[State], bool]


class Configuration(NamedTuple):
    """One possible present.

    `seen` are the open writes that are visible, by index, `used` is how many optional writes of each effect are
    visible, and `unexplained` are the pending reads that no state since their beginning explains, by index.
    """

    state: State
    seen: frozenset[int]
    used: frozenset[tuple[object, int]]
    unexplained: frozenset[int]


BEGIN_WRITE, BEGIN_READ, END_READ, END_WRITE = range(4)
"""The order of steps at one time. A call and an answer of the same nanosecond may have happened in either order, so the
beginnings come first.
"""


class Register(Generic[Written, Seen]):
    """Checks the reads of one number against its writes. `start` is the state before all of them."""

    def __init__(
        self, writes: Sequence[Write[Written]], reads: Sequence[Read[Seen]], start: State = frozenset()
    ) -> None:
        self._writes, self._reads = writes, reads
        self._open: set[int] = set()
        self._optional: dict[object, list[int]] = {}
        self._possible = {Configuration(start, frozenset(), frozenset(), frozenset())}
        self._before = [self._predecessors(write) for write in writes]

    def unexplained(self) -> Iterator[Read[Seen]]:
        """Yield each read that no order of the writes explains. Raises Undecidable."""
        handlers = (self._begin_write, self._begin_read, self._end_read, self._end_write)
        for _, kind, index in self._steps():
            if handlers[kind](index):
                yield self._reads[index]

    def _steps(self) -> Iterable[tuple[int, int, int]]:
        steps = [(write.invoked, BEGIN_WRITE, at) for at, write in enumerate(self._writes)]
        steps += [(write.seen, END_WRITE, at) for at, write in enumerate(self._writes) if write.seen != NEVER]
        steps += [(read.began, BEGIN_READ, at) for at, read in enumerate(self._reads)]
        steps += [(read.answered, END_READ, at) for at, read in enumerate(self._reads)]
        return sorted(steps, key=itemgetter(0, 1))

    def _predecessors(self, write: Write[Written]) -> frozenset[int]:
        """Return the writes that were committed before this one was invoked."""
        return frozenset(at for at, other in enumerate(self._writes) if other.committed < write.invoked)

    def _begin_write(self, at: int) -> bool:
        write = self._writes[at]
        if write.optional:
            self._optional.setdefault(write.effect, []).append(at)
        else:
            self._open.add(at)
        return False

    def _begin_read(self, at: int) -> bool:
        fits = self._reads[at].fits
        if not all(fits(one.state) for one in self._possible):
            self._possible = {
                one if fits(one.state) else one._replace(unexplained=one.unexplained | {at}) for one in self._possible
            }
        return False

    def _end_read(self, at: int) -> bool:
        """Require that the read is explained; return whether nothing explains it."""
        if all(at not in one.unexplained for one in self._possible):
            return False
        explained = self._until(lambda one: at not in one.unexplained)
        # A read that nothing explains is reported once, and then left out, so that later reads are still checked.
        self._possible = explained or {one._replace(unexplained=one.unexplained - {at}) for one in self._possible}
        return not explained

    def _end_write(self, at: int) -> bool:
        """Require that the write is visible from now on."""
        self._possible = self._until(lambda one: at in one.seen)
        self._open.discard(at)
        self._possible = {one._replace(seen=one.seen - {at}) for one in self._possible}
        return False

    def _until(self, enough: Callable[[Configuration], bool]) -> set[Configuration]:
        """Return the nearest configurations in which `enough` is true, from each possible one."""
        found: set[Configuration] = set()
        visited, waiting = set(self._possible), list(self._possible)
        while waiting:
            one = waiting.pop()
            if enough(one):
                found.add(one)
                continue
            following = {*self._following(one)} - visited
            visited |= following
            waiting += following
            if len(visited) > MOST_CONFIGURATIONS:
                raise Undecidable
        return found if len(found) == 1 else {one for one in found if not any(better(other, one) for other in found)}

    def _following(self, one: Configuration) -> Iterator[Configuration]:
        """Yield each configuration that is reached when one more write becomes visible."""
        for at in self._open - one.seen:
            if self._may_follow(at, one):
                yield self._seen(at, one)._replace(seen=one.seen | {at})
        used = dict(one.used)
        for effect, those in self._optional.items():
            count = used.get(effect, 0)
            # Writes with one effect are alike, except that the earlier ones have fewer predecessors. So if any order
            # explains the reads, one does that uses the earlier ones first.
            if count < len(those) and self._may_follow(those[count], one):
                after = self._seen(those[count], one)
                if after.state != one.state:
                    yield after._replace(used=frozenset({**used, effect: count + 1}.items()))

    def _may_follow(self, at: int, one: Configuration) -> bool:
        return not (self._before[at] & self._open) - one.seen

    def _seen(self, at: int, one: Configuration) -> Configuration:
        state = self._writes[at].apply(one.state)
        unexplained = frozenset(read for read in one.unexplained if not self._reads[read].fits(state))
        return one._replace(state=state, unexplained=unexplained)


def better(one: Configuration, other: Configuration) -> bool:
    """Return whether one configuration explains whatever the other explains, and is another one.

    It has the same state and leaves no more reads unexplained, but has used up fewer of the optional writes.
    """
    if one is other or one.state != other.state or one.seen != other.seen:
        return False
    used = dict(other.used)
    fewer = all(count <= used.get(effect, 0) for effect, count in one.used)
    return fewer and one.unexplained <= other.unexplained
