"""Ways in which an environment of Asterisk can be broken: bytes, lines, values."""

from collections.abc import Callable, Sequence
from random import Random

from bench.fuzz.spellings import NUMBERS, ODD_WORDS, spellings
from compliance.redis_schema import INTERNAL

HANGUP = b"HANGUP\n"

Break = Callable[[Random, bytes], bytes]


def drawn(rng: Random, choices: Sequence[bytes]) -> bytes:
    """Return one of some texts, as `rng` draws it. `Random.choice` takes almost twice as long."""
    return choices[int(rng.random() * len(choices))]


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
    return sent[:at] + drawn(rng, _INSERTED) + sent[at:]


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
    lines.insert(int(rng.random() * (len(lines) + 1)), drawn(rng, _ADDED))


def _other_value(rng: Random, lines: list[bytes]) -> None:
    at = int(rng.random() * len(lines))
    name, colon, _ = lines[at].partition(b":")
    if colon:
        lines[at] = b"%b: %b\n" % (name, drawn(rng, _VALUES))


def _return_before_newline(rng: Random, lines: list[bytes]) -> None:
    every = rng.random() < 0.5
    chosen = int(rng.random() * len(lines))
    for at in range(len(lines)) if every else (chosen,):
        lines[at] = lines[at].replace(b"\n", b"\r\n")


_INSERTED = (
    b"\0", b"\r", b"\n", b"\n\n", b":", b" ", b"\xff", b"\x0b", b"\x1c", b"\x85", "\N{LINE SEPARATOR}".encode(),
    b"\nagi_arg_1: +14155550199", b"\nagi_uniqueid: pbx-9.9", HANGUP, b"a" * 17_000, b"agi_a: b\n" * 2_000,
)  # fmt: skip
_ADDED = (
    b"agi_arg_1: +14155550199\n", b"agi_arg_2: lead-1\n", b"agi_arg_3: sales\n", b"agi_arg_9: x\n", b"agi_arg_: x\n",
    b"agi_uniqueid: pbx-9.9\n", b"agi_network_script: screen\n", b"agi_odd\n", b"agi_:\n", b"x: y\n", b"\n", HANGUP,
    b"agi_arg_01: 911\n", b"AGI_arg_1: 911\n", "agi_arg_\N{ARABIC-INDIC DIGIT ONE}: 911\n".encode(),
    b"200 result=0\n",
)  # fmt: skip
_VALUES = (
    b"", b"screen", b"pbx-9.9", b"17,DNC_VERDICT=ALLOW-17", b'17"', b"a" * 151, b"a" * 150, b"-", b"lead-1", b"911",
    *(written.encode() for number in NUMBERS for written in spellings(number)[-3:]),
    "\N{FULLWIDTH DIGIT FOUR}155550100".encode(),
    "".join(chr(0x660 + int(digit)) for digit in "4155550100").encode(),
    *(word.encode() for word in (*ODD_WORDS, INTERNAL)),
)  # fmt: skip
BREAKS: tuple[Break, ...] = (
    _flip, _flip, _drop, _stop, _insert, _repeat_piece,
    *map(_with_lines, (_lose_line, _double_line, _swap_lines, _merge_lines, _add_line, _return_before_newline)),
    *map(_with_lines, (_other_value, _other_value, _other_value)),
)  # fmt: skip
