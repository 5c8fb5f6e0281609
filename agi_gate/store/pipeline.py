"""One pipeline: its questions, and how it reads the projection's state before and after them."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeGuard

import structlog

from agi_gate.store.questions import AnswerReceiver, Question
from agi_gate.store.wire import Answer, StoreUnavailable, packed
from compliance.facts import State
from compliance.redis_connection import error_reply
from compliance.redis_schema import STATE_FIELDS, Keys, read_state

REPLIES_BEFORE, REPLIES_AROUND = 2, 3
"""Numbers of replies to the link's own commands: the commands before the questions, and those before and after them."""

MOST_COMMANDS = 2_000
"""Maximum number of commands in one pipeline. In a longer one the first replies would wait for the last ones."""

Asked = tuple[AnswerReceiver, Question]

log = structlog.get_logger()


class Distributor(Protocol):
    """The sender of a pipeline."""

    def distribute(self, sent: "Sent", replies: list[Answer]) -> None:
        """Pass the replies to the receivers of the questions."""


class Sent(NamedTuple):
    """The questions of one pipeline.

    `watched` says whether the state is read before and after them, `waited` whether WAIT for replicas follows them.
    """

    link: Distributor
    asked: list[Asked]
    watched: bool
    waited: bool

    def answered(self, replies: list[Answer]) -> None:
        """Pass the replies to the receivers of the questions."""
        self.link.distribute(self, replies)

    def failed(self, error: StoreUnavailable) -> None:
        """Fail every question."""
        fail(self.asked, error)


def fail(asked: Iterable[Asked], error: StoreUnavailable) -> None:
    """Fail questions."""
    for receiver, _ in asked:
        try:
            receiver.failed(error)
        except Exception:  # A fault in one receiver must not keep the others waiting.
            log.exception("failure not received")


def take(queue: deque[Asked]) -> list[Asked]:
    """Take questions from a queue, first in, first out, up to `MOST_COMMANDS` commands."""
    taken: list[Asked] = []
    room = MOST_COMMANDS
    while queue and room > 0:
        asked = queue.popleft()
        if not asked[0].over:  # The deadline has already blocked this call, so nothing reads the answers.
            room -= asked[1].replies
            taken.append(asked)
    return taken


def wait_for(replicas: int, within_s: float) -> bytes:
    """Return the packed command that waits until `replicas` replicas have all writes of the connection."""
    # The timeout must not be 0, because WAIT then blocks for ever (Redis documentation, WAIT).
    return packed(("WAIT", replicas, max(1, int(within_s * 1000))))


class StateReader:
    """Reads the state. `before` are the packed commands before the questions, and `after` is the one after them."""

    def __init__(self, keys: Keys) -> None:
        # Packed once, because they are the same for every pipeline.
        self.before = packed(("HMGET", keys.state, *STATE_FIELDS), ("EXISTS", keys.lease))
        self.after = packed(("HMGET", keys.state, *STATE_FIELDS))
        self._fields: Answer = None
        self._state: State | None = None

    def read(self, reply: Answer) -> State | None:
        """Parse the state from a reply to HMGET. Raises StoreUnavailable for any other reply.

        A server that loads its data or takes part in a failover replies with an error. The link then reconnects, which
        finds the master again and repeats the handshake.
        """
        # The state seldom changes, so comparing the raw reply is cheaper than parsing it twice for each pipeline.
        if reply == self._fields and reply is not None:
            return self._state
        if not _is_state(reply):
            raise StoreUnavailable(f"Redis did not return its state: {_shown(reply)}")
        self._fields, self._state = reply, read_state(reply)
        return self._state


def _shown(reply: Answer) -> str:
    return error_reply(reply) if isinstance(reply, Exception) else repr(reply)


def _is_state(reply: Answer) -> TypeGuard[list[bytes | None]]:
    """Return whether a reply has the form of a state. Any other reply could belong to another command."""
    fields = reply if isinstance(reply, list) else []
    return len(fields) == len(STATE_FIELDS) and all(field is None or isinstance(field, bytes) for field in fields)
