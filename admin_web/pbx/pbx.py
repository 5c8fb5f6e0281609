"""Requests to the PBX: ring an agent and put the call into the gated context, list live calls, hang up."""

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from panoramisk.message import Message

from admin_web.pbx.ami import AmiLink, Headers, PbxSilent, PbxTrouble, Unsendable
from admin_web.pbx.settings import AGENT, PbxSettings

ANSWER_S = 5.0
"""Time limit, in seconds, for the answer to a request that the PBX carries out at once."""

IDLE_S = 10.0
"""After this many seconds without use, a connection is tested with a ping before the next request."""

EXTENSION = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
"""Extensions contain no `&`, `/` or `@`. In a dial string these would also ring a second telephone, or one at another
host.
"""

_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{0,150}", re.ASCII)
"""Values that a channel variable may have. A comma is not allowed, because it would begin another variable."""

UNSET = "(null)"
"""The value that Asterisk reports for a variable that is not set on a channel."""

_REASONS = {
    "0": "it is busy, not registered, or does not exist",
    "1": "it was not picked up",
    "3": "it was not picked up",
    "5": "it is busy",
    "8": "it is not registered, or refuses the call",
}
"""Reasons of a failed Originate (AST_CONTROL_* in Asterisk's include/asterisk/frame.h). Reason 0 means that there is no
channel. Either none was created or, with PJSIP, a busy telephone refused the call (seen on Asterisk 22.10).
"""


class NoPbx(PbxTrouble):
    """No PBX is configured."""

    public = "No PBX is configured, so nothing was called."


class NotOriginated(PbxTrouble):
    """The PBX refused to start the call."""


class NotPickedUp(PbxTrouble):
    """The agent's telephone was not picked up, or could not be rung."""


@dataclass(frozen=True, slots=True)
class Originate:
    """One call to start: the extension that rings first, the number to dial after that, and the unique id of the
    channel.
    """

    channel: str
    extension: str
    dialed: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveChannel:
    """A live channel: its name, its unique id, and the requested variables ("" if unset)."""

    name: str
    channel: str
    variables: Mapping[str, str]


class Pbx:
    """The PBX in the settings. The object connects at the first request and keeps one connection."""

    def __init__(self, settings: PbxSettings) -> None:
        self._settings = settings
        self._link: AmiLink | None = None
        self._opening = asyncio.Lock()
        self._used_at = 0.0
        self._following: set[asyncio.Task[None]] = set()

    @property
    def configured(self) -> bool:
        """Whether the settings name a PBX."""
        return bool(self._settings.ami_address)

    @property
    def connected(self) -> bool:
        """Whether a connection is open now."""
        return self._link is not None and not self._link.closed

    async def originate(self, call: Originate) -> None:
        """Ring the agent. Returns when the agent has picked up and the call has entered the gated context.

        Raises NotPickedUp, NotOriginated, NoPbx, or another PbxTrouble. The request is never sent twice.
        """
        headers = self._originate_headers(call)
        link = await self._open_link()
        within_s = self._settings.ring_s + ANSWER_S
        answers = await link.ask(headers, within_s=within_s, until="OriginateResponse")
        if not answers[0].success:
            raise NotOriginated(f"The PBX refused the call: {answers[0].message}")
        if answers[-1].response != "Success":
            reason = _REASONS.get(answers[-1].reason, "it cannot be called")
            raise NotPickedUp(f"The telephone {headers['Channel']} did not answer: {reason}.")

    def _originate_headers(self, call: Originate) -> Headers:
        """Return the headers of the action. Raises Unsendable."""
        if not EXTENSION.fullmatch(call.extension):
            raise Unsendable(
                f"{call.extension!r} is not an extension, which has letters, digits, dots, dashes and underscores only."
            )
        if not all(_PLAIN.fullmatch(text) for text in (call.dialed, call.channel, *call.variables.values())):
            raise Unsendable("A value for the PBX has a forbidden character, so nothing was sent.")
        return {
            "Action": "Originate",
            "Channel": self._settings.agent_channel.replace(AGENT, call.extension),
            "Context": self._settings.call_context,
            "Exten": call.dialed,
            "Priority": "1",
            "Timeout": str(self._settings.ring_s * 1000),
            "Async": "true",
            "ChannelId": call.channel,
            "OtherChannelId": f"{call.channel}-2",
            "Variable": [f"{name}={value}" for name, value in call.variables.items()],
        }

    async def live(self, variables: Sequence[str]) -> list[LiveChannel]:
        """Return all live channels with these variables. Raises PbxTrouble."""
        link = await self._open_link()
        headers = {"Action": "Status", "Variables": ",".join(variables)}
        answers = await link.ask(headers, within_s=ANSWER_S, until="StatusComplete")
        return [_live(event) for event in answers if event.event == "Status"]

    async def hang_up(self, channel: str) -> bool:
        """Hang up a channel, by name or unique id. Returns False if it no longer exists. Raises PbxTrouble."""
        link = await self._open_link()
        answer, *_ = await link.ask({"Action": "Hangup", "Channel": channel}, within_s=ANSWER_S)
        return bool(answer.success)

    def follow(self, work: Coroutine[None, None, None]) -> None:
        """Run work in the background, for a call that is still ringing. `close` cancels the work."""
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def close(self) -> None:
        """Close the connection and cancel background work. Calls that are ringing continue to ring."""
        for task in self._following:
            task.cancel()
        if self._link is not None:
            self._link.close()

    async def _open_link(self) -> AmiLink:
        """Return the open connection, or open a new one. Raises PbxTrouble."""
        settings = self._settings
        if not self.configured:
            raise NoPbx("No PBX is configured. Set DNC_AMI_ADDRESS to the address of its manager interface.")
        async with self._opening:
            if self._link is None or not await self._is_alive(self._link):
                self._link = await AmiLink.open(settings.ami_address, settings.ami_user, settings.ami_secret)
            self._used_at = monotonic()
            return self._link

    async def _is_alive(self, link: AmiLink) -> bool:
        """Return whether the kept connection still works, and close it if not."""
        if not link.closed and monotonic() - self._used_at > IDLE_S:
            try:
                await link.ask({"Action": "Ping"}, within_s=ANSWER_S)
            except PbxSilent:
                link.close()
        return not link.closed


def _live(event: Message) -> LiveChannel:
    """Parse one Status event, in which `Variable` occurs once or several times."""
    lines = event.variable if isinstance(event.variable, list) else [event.variable]
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    return LiveChannel(
        event.channel, event.uniqueid, {name: "" if value == UNSET else value for name, value in variables.items()}
    )
