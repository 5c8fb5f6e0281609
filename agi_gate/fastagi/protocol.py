"""The gate's side of the FastAGI protocol: it parses bytes into events and encodes one line, without input or output.

Asterisk begins with `agi_<field>: <value>` lines and an empty line. The gate sends one command, and Asterisk replies
with a numbered line. `HANGUP` may arrive at any point. The grammar is that of Asterisk's res/res_agi.c, `setup_env`
and `run_agi`.
"""

import re
import string
from typing import NamedTuple

from agi_gate.request import Request

LONGEST_HEADER = 16_384
"""Maximum length of a header in bytes. Asterisk sends well under 4 KiB, so a peer that exceeds the limit is no PBX."""

LONGEST_REPLY = 4_096
"""Maximum length of one reply line in bytes."""

LONGEST_COMMAND = 2_048
"""Maximum length of a command in bytes, with its newline. Asterisk before 22.6 reads no more (res_agi.c, AGI_BUF_LEN).
"""

END_OF_HEADER = b"\n\n"
HANGUP = b"HANGUP"

_TRUSTED = re.compile(r"[A-Za-z0-9._-]{1,150}", re.ASCII)
_SCRIPT, _CHANNEL = (rb"(?:\nagi_%s: ?(.*))?" % name for name in (b"network_script", b"uniqueid"))
_ARGUMENTS = rb"((?:\nagi_arg_[0-9]+:.*)*)"
_OTHER = rb"\nagi_(?!network_script:|uniqueid:|arg_)[^:\n]*:"
_OTHERS = rb"(?:%s.*)*(?!%s)" % (_OTHER, _OTHER)
# The gate uses only a few fields. The pattern allows each of them at most once, in the order in which Asterisk writes
# them (setup_env). Other fields may come in between. If a line break in a caller's name adds one of these fields a
# second time, the header does not match.
#
# The negative lookahead after each repetition forces the repetition to match every line that it can. Without the
# lookahead, the regex engine would try a non-matching header of n lines in about n squared ways. Possessive quantifiers
# would be simpler, but CPython before 3.11.5 matches them wrongly (gh-106052).
_HEADER = re.compile(_OTHERS + _SCRIPT + _OTHERS + _CHANNEL + _OTHERS + _ARGUMENTS)

_NAME = re.compile(r"[A-Za-z0-9_()]{1,64}", re.ASCII)
_SAFE = (string.ascii_letters + string.digits + "+._-").encode()
"""The bytes that a value may contain."""


class PeerBroke(Exception):
    """The peer sent something that Asterisk never sends. The message is a slug for the metrics."""


class Reply(NamedTuple):
    """Asterisk's reply to the command. The code is 200 if Asterisk executed it."""

    code: int


class HungUp(NamedTuple):
    """The caller has hung up."""


Event = Request | Reply | HungUp


class Reader:
    """Parses the bytes of one peer, whose address is `peer`, into events.

    Feed them as they arrive, in pieces of any size.
    """

    __slots__ = ("_buffer", "_has_header", "_peer")

    def __init__(self, peer: str = "") -> None:
        self._peer = peer
        self._buffer = b""
        self._has_header = False

    def feed(self, data: bytes) -> list[Event]:
        """Add the next bytes and return the events that are now complete. Raises PeerBroke."""
        self._buffer += data
        return self._replies() if self._has_header else self._header()

    def _header(self) -> list[Event]:
        header, end, rest = self._buffer.partition(END_OF_HEADER)
        if len(header) > LONGEST_HEADER:
            raise PeerBroke("header-too-long")
        if not end:
            return []
        if not (HANGUP + b"\n").startswith(rest):
            # Before Asterisk gets a command, it sends only HANGUP after the header. So an empty line in a caller's name
            # has split the header, and `rest` is the second part. The caller may have made up the arguments in the
            # first part.
            raise PeerBroke("spoke-before-answer")
        self._has_header, self._buffer = True, rest
        request = read_request(header, self._peer)
        return [request, *self._replies()] if rest else [request]

    def _replies(self) -> list[Event]:
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > LONGEST_REPLY:
            raise PeerBroke("reply-too-long")
        return [read_reply(line) for line in lines]


def read_request(header: bytes, peer: str = "") -> Request:
    """Parse the header of a request from the address `peer`.

    Raises PeerBroke unless each line is a field, and no field that the gate uses comes twice. Otherwise a line
    break in a caller's name could replace the judged number or the channel.
    """
    # The pattern matches bytes, because a caller's name may have any encoding, such as Latin-1. Only the fields that
    # the gate uses are decoded.
    fields = _HEADER.fullmatch(b"\n" + header)
    if fields is None:
        raise PeerBroke("header-malformed")
    script, channel, arguments = fields.groups(b"")
    text = arguments.decode("utf-8", "replace")
    return Request(_text(script), _read_arguments(text), trusted_channel(_text(channel)), peer)


def _read_arguments(lines: str) -> tuple[str, ...]:
    """Return the values of agi_arg_1, agi_arg_2 and so on. Raises PeerBroke if their numbers have a gap."""
    _, *arguments = lines.split("\nagi_arg_")
    for index, argument in enumerate(arguments, start=1):
        if not argument.startswith(f"{index}:"):
            raise PeerBroke("arguments-not-in-a-row")
    return tuple([argument.partition(":")[2].removeprefix(" ") for argument in arguments])


def _text(value: bytes) -> str:
    """Decode a value. Bytes that are not UTF-8 become U+FFFD, which no number and no id may contain."""
    return value.decode("utf-8", "replace")


def trusted_channel(channel: str) -> str:
    """Return the unique id of the channel if it is safe to send back, else an empty string."""
    # The id is the only value from the PBX that the gate's line contains. Asterisk builds the id from its system name,
    # which an operator can choose freely (asterisk.conf, systemname). A comma in it would set another variable.
    return channel if _TRUSTED.fullmatch(channel) else ""


def read_reply(line: bytes) -> Reply | HungUp:
    """Parse one line that Asterisk sends after the header. Raises PeerBroke."""
    if line == HANGUP:
        return HungUp()
    # Only the code is parsed. The code 520 begins a reply of several lines, but the session ends after the first line.
    code = line[:3]
    if len(line) < 3 or not code.isdigit():
        raise PeerBroke("reply-malformed")
    return Reply(int(code))


class SetVariables:
    """The gate's only command: an `EXEC MSet` that sets the variables `names`. Raises ValueError for a bad name.

    A value may contain only letters, digits and `+ . _ -`, so it can never end a word, a line or an assignment.
    """

    def __init__(self, *names: str) -> None:
        if not all(map(_NAME.fullmatch, names)):
            raise ValueError("a name is not that of a channel variable")
        # One command sets all variables. A second command in the same TCP segment would stay in Asterisk's stdio buffer
        # while Asterisk polls the socket, and the call would hang (seen on Asterisk 22; res_agi.c, run_agi).
        self._line = f'EXEC MSet "{",".join(f"{name}=%s" for name in names)}"\n'

    def to(self, *values: str) -> bytes:
        """Return the command that sets each variable to its value. Raises ValueError for an unsafe value."""
        # Deleting the safe bytes takes half the time of a pattern. All but ASCII becomes `?`, which is unsafe.
        if "".join(values).encode("ascii", "replace").translate(None, _SAFE):
            raise ValueError("a value contains characters that no AGI line may have")
        line = self._line % values
        if len(line) > LONGEST_COMMAND:
            raise ValueError(f"the AGI line has {len(line)} bytes, more than Asterisk reads")
        return line.encode("ascii")
