"""The types between the gate and its link to Redis: a question, its answers, and who receives them."""

from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from agi_gate.store.wire import Answer, Command, StoreUnavailable, packed
from compliance.facts import State

Result = TypeVar("Result")


class Question(NamedTuple):
    """Packed commands, and the number of their replies.

    `to_replicas`: the replicas must have what the commands write before the question is answered. `self_checking`: the
    commands compare the state themselves, so the link need not read it for them.
    """

    commands: bytes
    replies: int
    to_replicas: bool = False
    self_checking: bool = False


def question(*commands: Command, to_replicas: bool = False, self_checking: bool = False) -> Question:
    """Pack commands into a question."""
    return Question(packed(*commands), len(commands), to_replicas, self_checking)


class Answers(NamedTuple):
    """The replies to one question, the state before and after it, and the incarnation of the server that answered.

    Both states are None where the whole pipeline was self-checking. `replicated` is whether enough replicas have
    everything that was written up to then.
    """

    server: str
    before: State | None
    after: State | None
    leased: bool
    replies: Sequence[Answer]
    replicated: bool = True


# A generator instead of a coroutine: it needs no task and no future, and the link calls it back directly.
RedisSteps: TypeAlias = Generator[Question, Answers, Result]
"""Work in several round trips to Redis: it yields a question and receives the answers, or a StoreUnavailable."""


class AnswerReceiver(Protocol):
    """The receiver of the answers to a question. The link calls `answered` or `failed`, once for each question."""

    over: bool
    """Whether the receiver needs no answers any more. The link then drops a question that it has not sent yet."""

    def answered(self, answers: Answers) -> None:
        """Handle the answers."""

    def failed(self, error: StoreUnavailable) -> None:
        """Handle the failure: Redis gave no answers."""
