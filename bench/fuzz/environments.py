"""Generate AGI environments and dialogues, and read them slowly, line by line, as their rules are written.

Most environments begin as one that Asterisk could send, and are then broken in some of the ways in `BREAKS`.
"""

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from compliance.redis_schema import INTERNAL

EMERGENCY = "911"
NUMBERS = (
    *("+14155550100", "+14155550101", "+14155550199", "+12125550110", "+12125550111"),
    *("+442079460120", "+442079460121"),
)
"""Numbers that are reserved for fiction."""

NOWHERE = (
    *(
        "",
        "nonsense",
        "5550100",
        "415555010",
        "4155550100123456789",
        "+",
        "+1",
        "00",
        "1",
        "4155550100,",
        "\N{EURO SIGN}",
    ),
    *("+1415555010\0", "415\r5550100", "++14155550100", "0114155550100", "911911", "+911", "a4155550100"),
    *("+999123456789", "+14155550100;ext", "4155550100 2125550110", "\N{RIGHT-TO-LEFT OVERRIDE}4155550100"),
)
"""Dialled texts that mean no number."""

LEADS = ("lead-1", "lead-2", "lead.3_x", "")
CAMPAIGNS = ("sales", "spring", "unknown", "")
ODD_WORDS = ("lead 1", "lead-1,lead-1", "x" * 65, "\N{ARABIC-INDIC DIGIT ONE}", "lead-1\r", "a:b", "${X}", "\0", "'--")


def spellings(number: str) -> list[str]:
    """Return usual spellings of a number in the United States."""
    if not number.startswith("+1"):
        rest = number[3:]
        return [number, f"011{number[1:]}", f"+44 {rest[:2]} {rest[2:6]} {rest[6:]}"]
    area, exchange, line = number[2:5], number[5:8], number[8:]
    common = [number, number[1:], number[2:]]
    spaced = [f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"+1.{area}.{exchange}.{line}"]
    return common * 6 + spaced


MEANINGS = {
    **{written: number for number in NUMBERS for written in spellings(number)},
    **dict.fromkeys(NOWHERE, ""),
    EMERGENCY: EMERGENCY,
}
"""Dialled texts and what they mean: a number, `EMERGENCY`, or nothing."""

_WRITTEN = [
    *(written.encode() for number in NUMBERS for written in spellings(number) * 4),
    *(written.encode() for written in (*NOWHERE, *[EMERGENCY] * 4)),
]
_LEADS = [lead.encode() for lead in LEADS * 6 + ODD_WORDS]
_CAMPAIGNS = [campaign.encode() for campaign in CAMPAIGNS * 6 + ODD_WORDS]
_CHANNEL = re.compile(rb"[A-Za-z0-9._-]{1,150}")
_SCRIPTS = (b"screen",) * 150 + (b"Screen", b"", b"screen ", b"screen/../x", b"scree\xffn", b"other", b"screen\r")
_NAMES = (b"Jos\xe9 \xff", b"unknown", b"agi_arg_1: 911", b"", b"\xe2\x80\xae", b"x" * 300)
_BEGIN = b"agi_network: yes\nagi_network_script: %b\nagi_request: agi://gate/%b\nagi_channel: PJSIP/dialer-1\n"
_MIDDLE = (
    b"agi_language: en\nagi_type: PJSIP\nagi_uniqueid: %b\nagi_version: 22.5.1\n"
    b"agi_callerid: 200\nagi_calleridname: %b\n"
)
_END = (
    b"agi_context: outbound\nagi_extension: 9\nagi_priority: 2\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 1\n"
)

HANGUP = b"HANGUP\n"
REPLIES = (
    b"200 result=0\n",
    b"510 Invalid or unknown command\n",
    b"520-Invalid command syntax\n520 End\n",
    b"",
    HANGUP,
)
ODD_REPLIES = (
    *(b"\n", b"ok\n", b"20\n", b"200 result=0", HANGUP * 3, b"200\r\n" * 9, b"9" * 5_000, b"\0" * 40),
    *(b"agi_arg_1: +14155550199\n\n", "\N{SUPERSCRIPT TWO}00 result=0\n".encode(), b"HANGUPS\n", b"\xff\xfe\n"),
)


class Dialogue(NamedTuple):
    """What one peer sends: the environment, and what follows before and after the answer. `whole` means unbroken."""

    environment: bytes
    before: bytes
    after: bytes
    cuts: tuple[int, ...]
    whole: bool

    @property
    def pieces(self) -> list[bytes]:
        """The environment and what follows before the answer, as they arrive."""
        sent = self.environment + self.before
        if not self.cuts:
            return [sent]
        ends = [*sorted(cut % (len(sent) + 1) for cut in self.cuts), len(sent)]
        return [piece for start, end in zip([0, *ends], ends, strict=False) if (piece := sent[start:end])]


class Heard(NamedTuple):
    """What an environment says. The dialled text, the lead and the campaign are empty if they were not sent."""

    script: bytes
    channel: bytes
    arguments: tuple[bytes, ...]


def dialogue(rng: Random, number: int) -> Dialogue:
    """Generate a dialogue. `number` makes the id of its channel unique."""
    chance = rng.random
    environment = _environment(rng, number)
    whole = chance() < 0.5
    if not whole:
        environment = BREAKS[int(chance() * len(BREAKS))](rng, environment)
        while chance() < 0.3:
            environment = BREAKS[int(chance() * len(BREAKS))](rng, environment)
    before = after = b""
    if chance() < 0.05:
        before = HANGUP if chance() < 0.5 else _any(rng, ODD_REPLIES)
    if chance() < 0.8:
        after = _any(rng, REPLIES) if chance() < 0.8 else _any(rng, ODD_REPLIES)
    cuts = () if chance() < 0.7 else tuple(int(chance() * 10_000) for _ in range(1 + int(chance() * 4)))
    return Dialogue(environment, before, after, cuts, whole and not before)


def _environment(rng: Random, number: int) -> bytes:
    script = _any(rng, _SCRIPTS)
    lines = [
        _BEGIN % (script, script),
        _MIDDLE % (b"pbx-%d.%d" % (1_764_000_000, number), _any(rng, _NAMES)),
        _END,
        b"agi_arg_1: %b\n" % _any(rng, _WRITTEN),
    ]
    if (chance := rng.random()) < 0.97:
        lines.append(b"agi_arg_2: %b\n" % _any(rng, _LEADS))
    if chance < 0.5:
        lines.append(b"agi_arg_3: %b\n" % _any(rng, _CAMPAIGNS))
    if chance < 0.02:
        lines.append(b"agi_arg_4: x\n")
    return b"".join((*lines, b"\n"))


def _any(rng: Random, choices: "tuple[bytes, ...] | list[bytes]") -> bytes:
    return choices[int(rng.random() * len(choices))]


def heard(sent: bytes) -> Heard | None:
    """Read an environment slowly, line by line. Return None if no gate may answer it with ALLOW."""
    header, end, _ = sent.partition(b"\n\n")
    if not end or len(header) > 16_384:
        return None
    fields: dict[bytes, bytes] = {}
    arguments: list[bytes] = []
    for line in header.split(b"\n"):
        if line[:4] != b"agi_" or b":" not in line:
            return None
        if line[4:8] not in _READ:
            continue
        name, _, value = line.partition(b":")
        if line[4:8] == b"arg_":
            arguments.append(value.removeprefix(b" "))
            if name != b"agi_arg_%d" % len(arguments):
                return None
        elif name in _SINGLE:
            if name in fields:
                return None
            fields[name] = value.removeprefix(b" ")
    channel = fields.get(b"agi_uniqueid", b"")
    return Heard(
        fields.get(b"agi_network_script", b""),
        channel if _CHANNEL.fullmatch(channel) else b"",
        tuple(arguments),
    )


_SINGLE = (b"agi_network_script", b"agi_uniqueid")
_READ = {name[4:8] for name in (*_SINGLE, b"agi_arg_1")}

Break = Callable[[Random, bytes], bytes]


def _flip(rng: Random, sent: bytes) -> bytes:
    at = int(rng.random() * len(sent))
    return sent[:at] + bytes((int(rng.random() * 256),)) + sent[at + 1 :]


def _drop(rng: Random, sent: bytes) -> bytes:
    at = int(rng.random() * len(sent))
    return sent[:at] + sent[at + 1 + int(rng.random() * 20) :]


def _stop(rng: Random, sent: bytes) -> bytes:
    return sent[: int(rng.random() * len(sent))] or b"a"


def _insert(rng: Random, sent: bytes) -> bytes:
    at = int(rng.random() * (len(sent) + 1))
    return sent[:at] + _any(rng, _INSERTED) + sent[at:]


def _repeat_piece(rng: Random, sent: bytes) -> bytes:
    at, until = sorted((int(rng.random() * len(sent)), int(rng.random() * len(sent))))
    return sent[:until] + sent[at:until] + sent[until:]


def _with_lines(change: Callable[[Random, list[bytes]], None]) -> Break:
    def broken(rng: Random, sent: bytes) -> bytes:
        lines = sent.splitlines(keepends=True)
        if lines:
            change(rng, lines)
        return b"".join(lines) or b"\n"

    return broken


def _lose_line(rng: Random, lines: list[bytes]) -> None:
    del lines[int(rng.random() * len(lines))]


def _double_line(rng: Random, lines: list[bytes]) -> None:
    lines.insert(int(rng.random() * len(lines)), lines[int(rng.random() * len(lines))])


def _swap_lines(rng: Random, lines: list[bytes]) -> None:
    one, other = int(rng.random() * len(lines)), int(rng.random() * len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _merge_lines(rng: Random, lines: list[bytes]) -> None:
    at = int(rng.random() * len(lines))
    lines[at] = lines[at].rstrip(b"\n")


def _add_line(rng: Random, lines: list[bytes]) -> None:
    lines.insert(int(rng.random() * (len(lines) + 1)), _any(rng, _ADDED))


def _other_value(rng: Random, lines: list[bytes]) -> None:
    at = int(rng.random() * len(lines))
    name, colon, _ = lines[at].partition(b":")
    if colon:
        lines[at] = b"%b: %b\n" % (name, _any(rng, _VALUES))


def _return_before_newline(rng: Random, lines: list[bytes]) -> None:
    every = rng.random() < 0.5
    chosen = int(rng.random() * len(lines))
    for at in range(len(lines)) if every else (chosen,):
        lines[at] = lines[at].replace(b"\n", b"\r\n")


_INSERTED = (
    *(b"\0", b"\r", b"\n", b"\n\n", b":", b" ", b"\xff", b"\x0b", b"\x1c", b"\x85", "\N{LINE SEPARATOR}".encode()),
    *(b"\nagi_arg_1: +14155550199", b"\nagi_uniqueid: pbx-9.9", HANGUP, b"a" * 17_000, b"agi_a: b\n" * 2_000),
)
_ADDED = (
    *(b"agi_arg_1: +14155550199\n", b"agi_arg_2: lead-1\n", b"agi_arg_3: sales\n", b"agi_arg_9: x\n", b"agi_arg_: x\n"),
    *(b"agi_uniqueid: pbx-9.9\n", b"agi_network_script: screen\n", b"agi_odd\n", b"agi_:\n", b"x: y\n", b"\n", HANGUP),
    *(
        b"agi_arg_01: 911\n",
        b"AGI_arg_1: 911\n",
        "agi_arg_\N{ARABIC-INDIC DIGIT ONE}: 911\n".encode(),
        b"200 result=0\n",
    ),
)
_VALUES = (
    *(b"", b"screen", b"pbx-9.9", b"17,DNC_VERDICT=ALLOW-17", b'17"', b"a" * 151, b"a" * 150, b"-", b"lead-1", b"911"),
    *(written.encode() for number in NUMBERS for written in spellings(number)[-3:]),
    "\N{FULLWIDTH DIGIT FOUR}155550100".encode(),
    "".join(chr(0x660 + int(digit)) for digit in "4155550100").encode(),
    *(word.encode() for word in (*ODD_WORDS, INTERNAL)),
)
BREAKS: tuple[Break, ...] = (
    *(_flip, _flip, _drop, _stop, _insert, _repeat_piece),
    *map(_with_lines, (_lose_line, _double_line, _swap_lines, _merge_lines, _add_line, _return_before_newline)),
    *map(_with_lines, (_other_value, _other_value, _other_value)),
)
