"""Query the gate through its AGI port, as a PBX would."""

import asyncio
import os
import secrets
from dataclasses import dataclass

from compliance.channel_vars import DECISION, NUMBER, REASON, VERDICT

ANSWER_WITHIN_S = 3.0
"""Maximum wait in seconds for one verdict, including the time to connect."""


class NoAnswer(Exception):
    """The gate returned no verdict. The message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The gate's answer: the variables that its line sets on a channel."""

    channel: str
    variables: dict[str, str]

    @property
    def allowed(self) -> bool:
        """Whether the verdict is ALLOW for this channel. The dialplan makes the same comparison."""
        return self.variables.get(VERDICT) == f"ALLOW-{self.channel}"

    @property
    def reason(self) -> str:
        """The slug of the reason."""
        return self.variables.get(REASON, "")

    @property
    def number(self) -> str:
        """The number that the dialplan would dial."""
        return self.variables.get(NUMBER, "")

    @property
    def decision(self) -> str:
        """The id of the decision."""
        return self.variables.get(DECISION, "")


def header(dialed: str, lead: str, channel: str) -> bytes:
    """Return the header of a request as Asterisk sends it, with at least the fields that the gate reads."""
    lines = {
        "network": "yes",
        "network_script": "screen",
        "request": "agi://gate/screen",
        "channel": "Canary/1",
        "uniqueid": channel,
        "arg_1": dialed,
        "arg_2": lead,
    }
    return "".join(f"agi_{name}: {value}\n" for name, value in lines.items()).encode() + b"\n"


def read_line(line: bytes) -> dict[str, str]:
    """Parse the gate's `EXEC MSet` line and return its variables. Raises NoAnswer for any other line."""
    command, _, rest = line.decode("ascii", "replace").partition('"')
    if command != "EXEC MSet " or not rest.endswith('"\n'):
        raise NoAnswer(f"the gate sent a line that is not a verdict: {line[:80]!r}")
    return dict(pair.split("=", 1) for pair in rest[:-2].split(","))


async def ask(host: str, port: int, dialed: str, lead: str = "") -> Answer:
    """Request one verdict over TCP and return the answer. Raises NoAnswer."""
    channel = f"canary-{secrets.token_hex(6)}"
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(header(dialed, lead, channel))
                line = await reader.readline()
                writer.write(b"200 result=0\n")
            finally:
                writer.close()
    except TimeoutError:
        raise NoAnswer(f"no answer from {host}:{port} within {ANSWER_WITHIN_S:g} s") from None
    except OSError as error:
        raise NoAnswer(
            f"cannot reach the gate at {host}:{port} ({_why(error)}); start `agi-gate serve`, or check DNC_AGI_BIND"
        ) from None
    if not line:
        raise NoAnswer(
            f"{host}:{port} closed the connection without a verdict; see dnc_gate_refused_peers_total in the gate's "
            "/metrics, or its log, for the reason"
        )
    return Answer(channel, read_line(line))


def _why(error: OSError) -> str:
    # asyncio writes a text of its own into `strerror`.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
