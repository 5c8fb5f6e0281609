"""Generate AGI environments and dialogues.

Each environment begins as one that Asterisk could send. Half of them are then broken in some of the ways in `BREAKS`.
"""

from random import Random
from typing import NamedTuple

from bench.fuzz.breaks import BREAKS, HANGUP, drawn
from bench.fuzz.spellings import CAMPAIGNS, EMERGENCY, LEADS, NOWHERE, NUMBERS, ODD_WORDS, spellings

_WRITTEN = [
    *(written.encode() for number in NUMBERS for written in spellings(number) * 4),
    *(written.encode() for written in (*NOWHERE, *[EMERGENCY] * 4)),
]
_LEADS = [lead.encode() for lead in LEADS * 6 + ODD_WORDS]
_CAMPAIGNS = [campaign.encode() for campaign in CAMPAIGNS * 6 + ODD_WORDS]
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

REPLIES = (
    b"200 result=0\n", b"510 Invalid or unknown command\n", b"520-Invalid command syntax\n520 End\n", b"", HANGUP,
)  # fmt: skip
ODD_REPLIES = (
    b"\n", b"ok\n", b"20\n", b"200 result=0", HANGUP * 3, b"200\r\n" * 9, b"9" * 5_000, b"\0" * 40,
    b"agi_arg_1: +14155550199\n\n", "\N{SUPERSCRIPT TWO}00 result=0\n".encode(), b"HANGUPS\n", b"\xff\xfe\n",
)  # fmt: skip


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
        before = HANGUP if chance() < 0.5 else drawn(rng, ODD_REPLIES)
    if chance() < 0.8:
        after = drawn(rng, REPLIES) if chance() < 0.8 else drawn(rng, ODD_REPLIES)
    cuts = () if chance() < 0.7 else tuple(int(chance() * 10_000) for _ in range(1 + int(chance() * 4)))
    return Dialogue(environment, before, after, cuts, whole and not before)


def _environment(rng: Random, number: int) -> bytes:
    script = drawn(rng, _SCRIPTS)
    lines = [
        _BEGIN % (script, script),
        _MIDDLE % (b"pbx-%d.%d" % (1_764_000_000, number), drawn(rng, _NAMES)),
        _END,
        b"agi_arg_1: %b\n" % drawn(rng, _WRITTEN),
    ]
    if (chance := rng.random()) < 0.97:
        lines.append(b"agi_arg_2: %b\n" % drawn(rng, _LEADS))
    if chance < 0.5:
        lines.append(b"agi_arg_3: %b\n" % drawn(rng, _CAMPAIGNS))
    if chance < 0.02:
        lines.append(b"agi_arg_4: x\n")
    return b"".join((*lines, b"\n"))
