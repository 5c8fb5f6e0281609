"""What the PBX is asked to do: ring an agent and put the call into the gated context, name live calls, hang up."""

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from panoramisk.message import Message

from admin_web.pbx.ami import AmiLink, Headers, PbxSilent, PbxTrouble, Unsendable
from admin_web.pbx.settings import AGENT, PbxSettings

ANSWER_S = 5.0
"""Within which the PBX answers what takes it no time."""

IDLE_S = 10.0
"""After which a connection is asked whether it still is one, before it is trusted with a call."""

EXTENSION = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
"""No `&`, `/` or `@`: in a dial string they would ring somebody else, or somewhere else."""

_PLAIN = re.compile(r"[A-Za-z0-9_.+-]{0,150}", re.ASCII)
"""What a channel variable may hold: a comma would begin another one."""

UNSET = "(null)"
"""What Asterisk says for a variable that a channel does not have."""

_REASONS = {
    "0": "it is busy, not registered, or does not exist",
    "1": "it was not picked up",
    "3": "it was not picked up",
    "5": "it is busy",
    "8": "it is not registered, or refuses the call",
}
"""Why an Originate failed (Asterisk's include/asterisk/frame.h, AST_CONTROL_*). With 0 there is no channel any
more: none was made, or with PJSIP, as seen on Asterisk 22.10, a telephone that is busy has refused it."""


class NoPbx(PbxTrouble):
    """No PBX is configured."""


class NotOriginated(PbxTrouble):
    """The PBX did not begin the call."""


class NotPickedUp(PbxTrouble):
    """The agent's telephone was rung, or was to be, and nobody answered."""


@dataclass(frozen=True, slots=True)
class Originate:
    """One call to begin: whose telephone rings first, what is dialled then, and the unique id of its channel."""

    channel: str
    extension: str
    dialed: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveChannel:
    """A channel that is up: its name, its unique id, and the variables that were asked for ("" if unset)."""

    name: str
    channel: str
    variables: Mapping[str, str]


class Pbx:
    """The PBX of the settings. Nothing is opened before it is asked for something; one connection is kept."""

    def __init__(self, settings: PbxSettings) -> None:
        self._settings = settings
        self._link: AmiLink | None = None
        self._opening = asyncio.Lock()
        self._used_at = 0.0
        self._following: set[asyncio.Task[None]] = set()

    @property
    def configured(self) -> bool:
        """Tell whether there is a PBX to ask."""
        return bool(self._settings.ami_address)

    @property
    def connected(self) -> bool:
        """Tell whether a connection is open now."""
        return self._link is not None and not self._link.over

    async def originate(self, call: Originate) -> None:
        """Ring the agent; return when the telephone was picked up and the call went into the gated context.

        Raises NotPickedUp, NotOriginated, NoPbx, or another PbxTrouble. It is sent once, whatever happens.
        """
        headers = self._originate_headers(call)
        link = await self._open_link()
        within_s = self._settings.ring_s + ANSWER_S
        answers = await link.ask(headers, within_s=within_s, until="OriginateResponse")
        if not answers[0].success:
            raise NotOriginated(f"The PBX refuses the call: {answers[0].message}")
        if answers[-1].response != "Success":
            reason = _REASONS.get(answers[-1].reason, "it cannot be called")
            raise NotPickedUp(f"The telephone {headers['Channel']} did not answer: {reason}.")

    def _originate_headers(self, call: Originate) -> Headers:
        """Spell the action. Raises Unsendable."""
        if not EXTENSION.fullmatch(call.extension):
            raise Unsendable(f"{call.extension!r} is no extension: letters, digits, dots, dashes and underscores only.")
        if not all(_PLAIN.fullmatch(text) for text in (call.dialed, call.channel, *call.variables.values())):
            raise Unsendable("What was to be sent to the PBX holds a character that it may not.")
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
        """Give every channel that is up, with these of its variables. Raises PbxTrouble."""
        link = await self._open_link()
        headers = {"Action": "Status", "Variables": ",".join(variables)}
        answers = await link.ask(headers, within_s=ANSWER_S, until="StatusComplete")
        return [_live(event) for event in answers if event.event == "Status"]

    async def hang_up(self, channel: str) -> bool:
        """End a channel, by its name or unique id; False when it is not there any more. Raises PbxTrouble."""
        link = await self._open_link()
        answer, *_ = await link.ask({"Action": "Hangup", "Channel": channel}, within_s=ANSWER_S)
        return bool(answer.success)

    def follow(self, work: Coroutine[None, None, None]) -> None:
        """Let work on a call that still rings end in the background; `close` waits for none of it."""
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def close(self) -> None:
        """Close the connection, and leave what rings to itself."""
        for task in self._following:
            task.cancel()
        if self._link is not None:
            self._link.close()

    async def _open_link(self) -> AmiLink:
        """Give the connection, a new one if need be. Raises PbxTrouble."""
        settings = self._settings
        if not self.configured:
            raise NoPbx("No PBX is configured: DNC_AMI_ADDRESS names its manager interface.")
        async with self._opening:
            if self._link is None or not await self._still(self._link):
                self._link = await AmiLink.open(settings.ami_address, settings.ami_user, settings.ami_secret)
            self._used_at = monotonic()
            return self._link

    async def _still(self, link: AmiLink) -> bool:
        """Tell whether a kept connection leads anywhere; one that does not is closed."""
        if not link.over and monotonic() - self._used_at > IDLE_S:
            try:
                await link.ask({"Action": "Ping"}, within_s=ANSWER_S)
            except PbxSilent:
                link.close()
        return not link.over


def _live(event: Message) -> LiveChannel:
    """Read one Status event; `Variable` is one line, or several."""
    lines = event.variable if isinstance(event.variable, list) else [event.variable]
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    return LiveChannel(
        event.channel, event.uniqueid, {name: "" if value == UNSET else value for name, value in variables.items()}
    )
