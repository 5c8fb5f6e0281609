"""One connection to a manager interface, from the login to its end. It never comes back by itself.

panoramisk sends unanswered actions again after it has reconnected, an Originate too, keeps those that nobody waits for
any more, takes a refused login in silence, and parses every event of the PBX. So it is given one connection, no
second one, and only the messages that answer something.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

CONNECT_S = 3.0
"""Within which the PBX must have let us in."""

EVENTS = "call"
"""The class of events that tells how an Originate ended."""

LARGEST = 4_000_000
"""Bytes of one message; more is not AMI."""

END = b"\r\n\r\n"

Headers: TypeAlias = Mapping[str, str | list[str]]
"""An action: each header with its value, or its values if it is sent more than once."""

_VALUE = re.compile(r"[ -~]{0,500}")


class PbxTrouble(Exception):
    """The PBX did not do what it was asked; the message is a sentence for people."""


class PbxUnreachable(PbxTrouble):
    """Nobody answers at the address of the manager interface."""


class LoginRefused(PbxTrouble):
    """The PBX does not know the user, or the secret is another."""


class PbxSilent(PbxTrouble):
    """It was asked and did not answer. Whether it did what it was asked is not known."""


class Unsendable(PbxTrouble):
    """A value holds what would end its line and begin an action of its own."""


class AmiLink:
    """A connection that is logged in. `open` makes one."""

    def __init__(self) -> None:
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._manager = _OneLife(self._ended)

    @classmethod
    async def open(cls, address: str, user: str, secret: str) -> "AmiLink":
        """Connect and log in. Raises PbxUnreachable, LoginRefused, PbxSilent, Unsendable."""
        link = cls()
        try:
            await link._connect(address)
            await link._log_in(user, secret)
        except BaseException:
            link.close()
            raise
        return link

    async def _connect(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._manager.config.update(host=host.strip("[]"), port=int(port))
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._manager.connect()
        except OSError as error:  # asyncio's TimeoutError is one
            raise PbxUnreachable(f"The PBX cannot be reached at {address}: {_why(error)}.") from None

    async def _log_in(self, user: str, secret: str) -> None:
        login = {"Action": "Login", "Username": user, "Secret": secret, "Events": EVENTS}
        (answer,) = await self.ask(login, within_s=CONNECT_S)
        if not answer.success:
            raise LoginRefused(f"The PBX refuses the login of {user}: {answer.message}.")

    @property
    def over(self) -> bool:
        """Tell whether the connection has ended."""
        return self._ended.done()

    async def ask(self, headers: Headers, *, within_s: float, until: str = "") -> Sequence[Message]:
        """Send one action and give what answers it, up to the event `until`. Raises PbxSilent, Unsendable."""
        _require_sendable(headers)
        if self.over:
            raise PbxSilent("The PBX has ended the connection.")
        action = _Asked(headers, until)
        self._manager.send_action(action)
        try:
            await asyncio.wait({action.future, self._ended}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._manager.forget(action)
        if not action.future.done():
            raise PbxSilent("The PBX has ended the connection." if self._ended.done() else "The PBX does not answer.")
        return action.answers()

    def close(self) -> None:
        """End the connection, and whatever waits for an answer on it."""
        self._manager.close()
        self._manager.connection_lost(None)


def _why(error: OSError) -> str:
    """Say in the system's words why there is no connection; asyncio's repeat the address."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def _require_sendable(headers: Headers) -> None:
    """Raise Unsendable when a value would end its line early."""
    lines = [line for value in headers.values() for line in ([value] if isinstance(value, str) else value)]
    if not all(_VALUE.fullmatch(line) for line in lines):
        raise Unsendable("What was to be sent to the PBX holds a line break, or another character that it may not.")


class _Asked(Action):  # type: ignore[misc] # panoramisk has no types
    """One action, answered when its event has come; panoramisk guesses by the words of the first message."""

    def __init__(self, headers: Headers, until: str) -> None:
        super().__init__(headers)
        self._until = until

    def answers(self) -> Sequence[Message]:
        """Give what has come so far."""
        return tuple(self.responses)

    def add_message(self, message: Message) -> bool:
        """Take one message; True with the last one."""
        self.responses.append(message)
        last = not self._until or not message.success or message.event == self._until
        if last and not self.future.done():
            self.future.set_result(None)
        return last


class _OneLife(Manager):  # type: ignore[misc] # panoramisk has no types
    """panoramisk's manager without its way back: no reconnecting, no pings, nothing kept for later."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        super().__init__(protocol_factory=lambda: _Answers(self), loop=asyncio.get_running_loop())
        self._ended = ended

    def connection_made(self, connecting: asyncio.Task[object]) -> None:
        """Begin, unless the connection was not made: whoever asked for it is told so, and nobody else."""
        if not connecting.cancelled() and not connecting.exception():
            super().connection_made(connecting)

    def connection_lost(self, _: object) -> None:
        """Stay at the end; panoramisk would connect again, and send again."""
        if not self._ended.done():
            self._ended.set_result(None)

    def ping(self) -> None:
        """Send nothing that nobody waits for."""

    def forget(self, action: Action) -> None:
        """Let go of an action, answered or not."""
        with suppress(AttributeError, KeyError):
            del self.responses[action.id]


class _Answers(AMIProtocol):  # type: ignore[misc] # panoramisk has no types
    """Passes on what answers an action. A busy PBX tells of thousands of other events a second."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Know whom to tell of the end from the start."""
        super().connection_made(transport)
        self.factory = self._manager

    def data_received(self, data: bytes) -> None:
        """Take messages apart, and give panoramisk those that bear the id of an action."""
        *messages, self._rest = (self._rest + data).split(END)
        for message in messages:
            if not message.startswith(b"Event: ") or b"\r\nActionID: " in message:
                super().data_received(message + END)
        if len(self._rest) > LARGEST:
            self.transport.abort()
