"""The types between the gate and its link to Redis: a question, its answers, and the receiver of the answers."""

from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from agi_gate.store.wire import Answer, Command, StoreUnavailable, packed
from compliance.facts import State

Result = TypeVar("Result")


class Question(NamedTuple):
    """Packed commands, and the number of their replies.

    If `to_replicas` is true, the link waits for the replicas to have the writes before it passes the answers on. If
    `self_checking` is true, the commands compare the state themselves, so the link need not read it.
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

    Both states are None if all questions of the pipeline were self-checking. `replicated` says whether enough
    replicas have all writes so far.
    """

    server: str
    before: State | None
    after: State | None
    leased: bool
    replies: Sequence[Answer]
    replicated: bool = True


# Unlike a coroutine, a generator needs no task and no future. The link continues it as soon as the replies arrive.
RedisSteps: TypeAlias = Generator[Question, Answers, Result]
"""Work in several round trips to Redis. It yields each question, and receives the answers or a StoreUnavailable."""


class AnswerReceiver(Protocol):
    """The receiver of the answers to a question. The link calls `answered` or `failed`, once for each question."""

    over: bool
    """Whether the receiver no longer needs answers. The link then drops the question if it has not sent it yet."""

    def answered(self, answers: Answers) -> None:
        """Handle the answers."""

    def failed(self, error: StoreUnavailable) -> None:
        """Handle the failure: Redis did not answer."""
