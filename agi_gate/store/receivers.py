"""The receivers of answers that belong to no call."""

import asyncio
from collections.abc import Callable

from agi_gate.store.questions import Answers
from agi_gate.store.wire import Answer, StoreUnavailable


class ReplyReceiver:
    """Passes on the reply to one command. Its failure means nothing: the next poll asks again."""

    over = False

    def __init__(self, take: Callable[[Answer], None]) -> None:
        self._take = take

    def answered(self, answers: Answers) -> None:
        """Pass on the reply."""
        self._take(answers.replies[0])

    def failed(self, _: StoreUnavailable) -> None:
        """Do nothing."""


class Waiter:
    """Completes `future`, which a coroutine can await."""

    over = False

    def __init__(self) -> None:
        self.future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

    def answered(self, answers: Answers) -> None:
        """Complete the future."""
        if not self.future.done():
            self.future.set_result(answers)

    def failed(self, error: StoreUnavailable) -> None:
        """Raise the error in whoever awaits the future."""
        if not self.future.done():
            self.future.set_exception(error)
