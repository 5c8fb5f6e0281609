"""One connection to a manager interface, from login to its end. It never reconnects.

By default panoramisk reconnects and then sends unanswered actions again, even an Originate. It also keeps actions that
no caller waits for, ignores a refused login, and parses every event of the PBX. So this module gives panoramisk a
single connection, and only the messages that answer an action.
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
"""Time limit for connecting, and also for the login, in seconds."""

EVENTS = "call"
"""The class of events that report how an Originate ended."""

LARGEST = 4_000_000
"""Maximum bytes of one message. A longer message cannot be AMI, so the connection is closed."""

END = b"\r\n\r\n"

Headers: TypeAlias = Mapping[str, str | list[str]]
"""An action: its headers, each with its value, or with a list of values if the header is sent several times."""

_VALUE = re.compile(r"[ -~]{0,500}")


class PbxTrouble(Exception):
    """The PBX did not carry out a request. The message is for people."""


class PbxUnreachable(PbxTrouble):
    """The manager interface does not answer at its address. The message names it; `public` does not."""

    public = "The PBX cannot be reached, so nothing was called."


class LoginRefused(PbxTrouble):
    """The PBX refuses the user or the secret."""

    public = "The PBX refuses the login of dnc-gate, so nothing was called."


class PbxSilent(PbxTrouble):
    """The PBX did not answer a request. It may or may not have carried it out."""


class Unsendable(PbxTrouble):
    """A value contains a character that could end its line and begin another action."""


class AmiLink:
    """A connection that is logged in. `open` creates it."""

    def __init__(self) -> None:
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._manager = _SingleConnection(self._ended)

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
        except OSError as error:  # asyncio's TimeoutError is an OSError.
            raise PbxUnreachable(f"The PBX cannot be reached at {address}: {_cause(error)}.") from None

    async def _log_in(self, user: str, secret: str) -> None:
        login = {"Action": "Login", "Username": user, "Secret": secret, "Events": EVENTS}
        (answer,) = await self.ask(login, within_s=CONNECT_S)
        if not answer.success:
            raise LoginRefused(
                f"The PBX refuses the login of {user}: {answer.message}. Check DNC_AMI_USER and DNC_AMI_SECRET."
            )

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._ended.done()

    async def ask(self, headers: Headers, *, within_s: float, until: str = "") -> Sequence[Message]:
        """Send one action and return the messages that answer it. The event `until` is the last of them.

        Raises PbxSilent, Unsendable.
        """
        _require_sendable(headers)
        if self.closed:
            raise PbxSilent("The PBX has ended the connection.")
        action = _PendingAction(headers, until)
        self._manager.send_action(action)
        try:
            await asyncio.wait({action.future, self._ended}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._manager.forget(action)
        if not action.future.done():
            silence = "has ended the connection" if self._ended.done() else "does not answer"
            raise PbxSilent(f"The PBX {silence}, so it is not known whether it did what was asked.")
        return action.answers()

    def close(self) -> None:
        """Close the connection. Requests that are waiting for an answer raise PbxSilent."""
        self._manager.close()
        self._manager.connection_lost(None)


def _cause(error: OSError) -> str:
    """Return the operating system's message for an error. The message of asyncio would repeat the address."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def _require_sendable(headers: Headers) -> None:
    """Raise Unsendable when a value is too long or has a character other than printable ASCII, such as a line break."""
    lines = [line for value in headers.values() for line in ([value] if isinstance(value, str) else value)]
    if not all(_VALUE.fullmatch(line) for line in lines):
        raise Unsendable("A value for the PBX has a line break or another forbidden character, so nothing was sent.")


class _PendingAction(Action):  # type: ignore[misc] # panoramisk has no types
    """One action, which is complete when the event `until` has arrived. panoramisk would guess the last message from
    the text of the first.
    """

    def __init__(self, headers: Headers, until: str) -> None:
        super().__init__(headers)
        self._until = until

    def answers(self) -> Sequence[Message]:
        """Return the messages received so far."""
        return tuple(self.responses)

    def add_message(self, message: Message) -> bool:
        """Add one message. Returns whether it is the last one."""
        self.responses.append(message)
        last = not self._until or not message.success or message.event == self._until
        if last and not self.future.done():
            self.future.set_result(None)
        return last


class _SingleConnection(Manager):  # type: ignore[misc] # panoramisk has no types
    """panoramisk's manager, limited to one connection. It does not reconnect, send pings, or keep actions for later."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        super().__init__(protocol_factory=lambda: _AnswersOnly(self), loop=asyncio.get_running_loop())
        self._ended = ended

    def connection_made(self, connecting: asyncio.Task[object]) -> None:
        """Start using the connection. If connecting failed, do nothing, because `AmiLink.open` raises the error."""
        if not connecting.cancelled() and not connecting.exception():
            super().connection_made(connecting)

    def connection_lost(self, _: object) -> None:
        """Record the end of the connection. The overridden method would reconnect and send actions again."""
        if not self._ended.done():
            self._ended.set_result(None)

    def ping(self) -> None:
        """Send no pings, because `Pbx` checks an idle connection before using it."""

    def forget(self, action: Action) -> None:
        """Drop an action, even if it was not answered."""
        with suppress(AttributeError, KeyError):
            del self.responses[action.id]


class _AnswersOnly(AMIProtocol):  # type: ignore[misc] # panoramisk has no types
    """Parses only messages that answer an action. A busy PBX sends thousands of other events a second."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Set the manager at once, so that the manager is notified even if the connection ends early."""
        super().connection_made(transport)
        self.factory = self._manager

    def data_received(self, data: bytes) -> None:
        """Split the data into messages.

        Pass only responses, and events that have the id of an action, to panoramisk.
        """
        *messages, self._rest = (self._rest + data).split(END)
        for message in messages:
            if not message.startswith(b"Event: ") or b"\r\nActionID: " in message:
                super().data_received(message + END)
        if len(self._rest) > LARGEST:
            self.transport.abort()
