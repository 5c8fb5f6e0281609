"""FastAGI, the gate's side of it: bytes in, events out, one line back. No input or output happens here.

Asterisk opens the conversation with `agi_<field>: <value>` lines and an empty line; the gate sends one command, and
Asterisk answers it with a numbered reply. `HANGUP` may arrive at any point. Grammar: res/res_agi.c, `setup_env` and
`run_agi`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_HEADER = 16_384
"""Bytes. Asterisk sends well under 4 KiB; a peer that sends more is not a PBX."""

LONGEST_REPLY = 4_096
"""Bytes of one reply line."""

LONGEST_COMMAND = 2_048
"""Bytes, newline included: what Asterisk before 22.6 reads of one command (AGI_BUF_LEN)."""

END_OF_HEADER = b"\n\n"
HANGUP = b"HANGUP"

_CHANNEL = re.compile(r"[A-Za-z0-9._-]{1,150}", re.ASCII)
_FIELD = re.compile(rb"^(agi_[^:\n]*): ?(.*)$", re.MULTILINE)
_ASSIGNMENT = r"[A-Za-z0-9_()]{1,64}=[A-Za-z0-9+._-]{0,200}"
_LINE = re.compile(rf'EXEC MSet "{_ASSIGNMENT}(?:,{_ASSIGNMENT})*"\n', re.ASCII)


class PeerBroke(Exception):
    """The peer sent what no Asterisk sends; there is nothing to answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the PBX asks: the script of the AGI URL, its arguments, and the channel's unique id ("" if untrusted)."""

    script: str
    arguments: tuple[str, ...]
    channel: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Asterisk's answer to the command: 200 when it was carried out."""

    code: int


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller has gone."""


Event = Request | Reply | HungUp


class Reader:
    """Turns the bytes of one peer into events. Feed it as they come, in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = b""
        self._asked = False

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; give the events they complete. Raises PeerBroke."""
        self._buffer += data
        return self._replies() if self._asked else self._header()

    def _header(self) -> list[Event]:
        header, end, rest = self._buffer.partition(END_OF_HEADER)
        if len(header) > LONGEST_HEADER:
            raise PeerBroke("header-too-long")
        if not end:
            return []
        if not (HANGUP + b"\n").startswith(rest):
            # Asterisk waits for the command now. What comes all the same is the rest of a header that a line break
            # in a caller's name has cut short, with arguments of the caller's own making before the cut.
            raise PeerBroke("spoke-before-answer")
        self._asked, self._buffer = True, rest
        return [read_request(header), *self._replies()]

    def _replies(self) -> list[Event]:
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LONGEST_REPLY:
            raise PeerBroke("reply-too-long")
        return [read_reply(line) for line in lines]


def read_request(header: bytes) -> Request:
    """Read the header lines of a request. Raises PeerBroke unless each is a field of its own.

    A value may hold any bytes, a caller's name in Latin-1 say; only what the gate uses is decoded. A field that
    comes twice is refused: a line break smuggled into a caller's name must not replace the number that is judged.
    """
    fields: dict[bytes, bytes] = dict(_FIELD.findall(header))
    if len(fields) != header.count(b"\n") + 1:
        raise PeerBroke("header-malformed")
    return Request(
        script=_text(fields.get(b"agi_network_script", b"")),
        arguments=tuple(_arguments(fields, (b"\n" + header).count(b"\nagi_arg_"))),
        channel=trusted_channel(_text(fields.get(b"agi_uniqueid", b""))),
    )


def _arguments(fields: dict[bytes, bytes], count: int) -> list[str]:
    """Give the `count` values of agi_arg_1, agi_arg_2, … Raises PeerBroke when one of the row is missing."""
    try:
        return [_text(fields[b"agi_arg_%d" % index]) for index in range(1, count + 1)]
    except KeyError:
        raise PeerBroke("arguments-not-in-a-row") from None


def _text(value: bytes) -> str:
    """Decode a value; bytes that are not UTF-8 become a mark that no number and no id contains."""
    return value.decode("utf-8", "replace")


def trusted_channel(channel: str) -> str:
    """Give the channel's unique id if it may go back on a line, else an empty string."""
    return channel if _CHANNEL.fullmatch(channel) else ""


def read_reply(line: bytes) -> Reply | HungUp:
    """Read one line that Asterisk sends after the header. Raises PeerBroke."""
    if line == HANGUP:
        return HungUp()
    code = line[:3]
    if len(line) < 3 or not code.isdigit():
        raise PeerBroke("reply-malformed")
    return Reply(int(code))


def set_variables(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Spell the one command of the gate: an `EXEC MSet` that sets all `pairs` at once.

    Raises ValueError for a name or a value that could end a word, a line or an assignment: whatever goes wrong
    upstream, nothing but letters, digits and `+ . _ -` ever leaves as a value.
    """
    assignments = [f"{name}={value}" for name, value in pairs]
    line = f'EXEC MSet "{",".join(assignments)}"\n'
    if not _LINE.fullmatch(line) or line.count(",") != len(assignments) - 1:
        raise ValueError("this cannot go on an AGI line")
    if len(line) > LONGEST_COMMAND:
        raise ValueError(f"an AGI line of {len(line)} bytes is longer than Asterisk reads")
    return line.encode("ascii")
