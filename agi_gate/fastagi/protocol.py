"""FastAGI, the gate's side of it: bytes in, events out, one line back. No input or output happens here.

Asterisk opens the conversation with `agi_<field>: <value>` lines and an empty line; the gate sends one command, and
Asterisk answers it with a numbered reply. `HANGUP` may arrive at any point. Grammar: res/res_agi.c, `setup_env` and
`run_agi`.
"""

import re
from typing import NamedTuple

from agi_gate.request import Request

LONGEST_HEADER = 16_384
"""Bytes. Asterisk sends well under 4 KiB; a peer that sends more is not a PBX."""

LONGEST_REPLY = 4_096
"""Bytes of one reply line."""

LONGEST_COMMAND = 2_048
"""Bytes, newline included: what Asterisk before 22.6 reads of one command (AGI_BUF_LEN)."""

END_OF_HEADER = b"\n\n"
HANGUP = b"HANGUP"

_TRUSTED = re.compile(r"[A-Za-z0-9._-]{1,150}", re.ASCII)
_SCRIPT, _CHANNEL = (rb"(?:\nagi_%s: ?(.*))?" % name for name in (b"network_script", b"uniqueid"))
_ARGUMENTS = rb"((?:\nagi_arg_[0-9]+:.*)*)"
_OTHER = rb"\nagi_(?!network_script:|uniqueid:|arg_)[^:\n]*:"
_OTHERS = rb"(?:%s.*)*(?!%s)" % (_OTHER, _OTHER)
_HEADER = re.compile(_OTHERS + _SCRIPT + _OTHERS + _CHANNEL + _OTHERS + _ARGUMENTS)
"""The fields that the gate uses, each once, in the order in which Asterisk writes them, among others.

No repetition ends before a line that it could take: otherwise a header that does not fit would be tried in a million
ways. (Possessive repetitions would say so more plainly, but do not match what they should before Python 3.11.5.)
"""

_NAME = re.compile(r"[A-Za-z0-9_()]{1,64}", re.ASCII)
_VALUES = re.compile(r"[A-Za-z0-9+._-]*", re.ASCII)


class PeerBroke(Exception):
    """The peer sent what no Asterisk sends; there is nothing to answer."""


class Reply(NamedTuple):
    """Asterisk's answer to the command: 200 when it was carried out."""

    code: int


class HungUp(NamedTuple):
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
        request = read_request(header)
        return [request, *self._replies()] if rest else [request]

    def _replies(self) -> list[Event]:
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LONGEST_REPLY:
            raise PeerBroke("reply-too-long")
        return [read_reply(line) for line in lines]


def read_request(header: bytes) -> Request:
    """Read the header of a request. Raises PeerBroke unless each line is a field, and what the gate uses comes once.

    A value may hold any bytes, a caller's name in Latin-1 say; only what the gate uses is decoded. A line break
    smuggled into a caller's name must not replace the number that is judged, or the channel.
    """
    fields = _HEADER.fullmatch(b"\n" + header)
    if fields is None:
        raise PeerBroke("header-malformed")
    script, channel, arguments = fields.groups(b"")
    text = arguments.decode("utf-8", "replace")
    return Request(_text(script), _read_arguments(text), trusted_channel(_text(channel)))


def _read_arguments(lines: str) -> tuple[str, ...]:
    """Give the values of agi_arg_1, agi_arg_2, … Raises PeerBroke unless they are numbered so."""
    _, *arguments = lines.split("\nagi_arg_")
    for place, argument in enumerate(arguments, start=1):
        if not argument.startswith(f"{place}:"):
            raise PeerBroke("arguments-not-in-a-row")
    return tuple([argument.partition(":")[2].removeprefix(" ") for argument in arguments])


def _text(value: bytes) -> str:
    """Decode a value; bytes that are not UTF-8 become a mark that no number and no id contains."""
    return value.decode("utf-8", "replace")


def trusted_channel(channel: str) -> str:
    """Give the channel's unique id if it may go back on a line, else an empty string."""
    return channel if _TRUSTED.fullmatch(channel) else ""


def read_reply(line: bytes) -> Reply | HungUp:
    """Read one line that Asterisk sends after the header. Raises PeerBroke."""
    if line == HANGUP:
        return HungUp()
    code = line[:3]
    if len(line) < 3 or not code.isdigit():
        raise PeerBroke("reply-malformed")
    return Reply(int(code))


class SetVariables:
    """The one command of the gate: an `EXEC MSet` that sets the variables `names` at once. Raises ValueError.

    Whatever goes wrong upstream, nothing but letters, digits and `+ . _ -` ever leaves as a value: nothing that could
    end a word, a line or an assignment.
    """

    def __init__(self, *names: str) -> None:
        if not all(map(_NAME.fullmatch, names)):
            raise ValueError("these are no names of variables")
        self._line = f'EXEC MSet "{",".join(f"{name}=%s" for name in names)}"\n'

    def to(self, *values: str) -> bytes:
        """Spell the command that sets each variable to its value. Raises ValueError for what cannot be said."""
        if not _VALUES.fullmatch("".join(values)):
            raise ValueError("this cannot go on an AGI line")
        line = self._line % values
        if len(line) > LONGEST_COMMAND:
            raise ValueError(f"an AGI line of {len(line)} bytes is longer than Asterisk reads")
        return line.encode("ascii")
