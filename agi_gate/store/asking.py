"""What is asked of Redis, who asks it, and what comes back: the words between the gate's rooms and its link."""

from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from agi_gate.store.wire import Answer, Command, StoreUnavailable, packed
from compliance.facts import State

Given = TypeVar("Given")


class Question(NamedTuple):
    """Commands, packed, and how many replies they have.

    What is asked `to_replicas` writes what they must have too. What stands `alone` needs to be told no state.
    """

    commands: bytes
    replies: int
    to_replicas: bool = False
    alone: bool = False


def question(*commands: Command, to_replicas: bool = False, alone: bool = False) -> Question:
    """Pack commands into a question."""
    return Question(packed(*commands), len(commands), to_replicas, alone)


class Answers(NamedTuple):
    """What came back for one question, with the state before and behind it and the server that answered.

    Where all that was asked at once stands alone there is no state. `replicated` tells whether as many replicas as are
    asked for have all that was written up to then.
    """

    server: str
    before: State | None
    behind: State | None
    leased: bool
    replies: Sequence[Answer]
    replicated: bool = True


Asking: TypeAlias = Generator[Question, Answers, Given]
"""Work that asks as it goes: it yields a question and is sent the answers, or thrown StoreUnavailable."""


class Asker(Protocol):
    """Whoever asks; one of the two is called, once, for each question. Who is `over` wants no answer any more."""

    over: bool

    def answered(self, answers: Answers) -> None:
        """Take the answers."""

    def failed(self, error: StoreUnavailable) -> None:
        """Take note that there are none."""
