"""Measure what the gate costs a real Asterisk: the time of one AGI(), and SIP calls a second with and without the gate.

Usage: `python -m bench.pbx [--asks 500] [--rounds 5] [--calls 2000] [--everysec]`.

Asterisk runs AGI() in a dialplan loop and measures it by its own clock. Two servers take turns: the C server that
answers at once (bench/floor.c), and the gate. The gate has every decision on disk, or with --everysec only on the
stream. Then SIPp places calls through Asterisk to a trunk, directly and through the gate. The rate rises as long as
99 % of the calls succeed.
"""

import argparse
import secrets
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from bench.agi import floor
from lab.asterisk import Asterisk
from lab.line import Line
from lab.redis import RedisServer
from lab.sipp import Call
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

DIALPLAN = """
[bench]
exten => ask,1,Set(left=${ASKS})
 same => n,Set(began=${STRFTIME(,,%s.%6q)})
 same => n(again),AGI(agi://${GATE}/screen,+14155550199,lead-1)
 same => n,Set(left=$[${left} - 1])
 same => n,GotoIf($[${left} > 0]?again)
 same => n,Set(GLOBAL(TOOK)=${RUN} ${began} ${STRFTIME(,,%s.%6q)} ${DNC_VERDICT:0:5})
 same => n,Hangup()
exten => hold,1,Wait(60)

[lab]
exten => _+1NXXNXXXXXX,1,Dial(PJSIP/${EXTEN}@trunk)
"""

NUMBER = "+14155550199"
RATES = (50, 75, 100, 125, 150, 175, 200, 250, 300)
FAIL = 0.01


def agi_us(pbx: Asterisk, port: int, asks: int) -> float:
    """Run AGI() `asks` times in Asterisk, and return the microseconds of one."""
    run = secrets.token_hex(4)
    for name, value in (("GATE", f"127.0.0.1:{port}"), ("ASKS", str(asks)), ("RUN", run)):
        pbx.set_global(name, value)
    pbx.rx("channel originate Local/ask@bench extension hold@bench")
    pbx.wait_for(lambda: took(pbx)[:1] == [run], within_s=60)
    pbx.rx("channel request hangup all")
    pbx.wait_for(lambda: pbx.calls() == 0)
    _, began, ended, verdict = took(pbx)
    if verdict != "ALLOW":
        raise SystemExit(f"The call was not allowed: {verdict}")
    return (float(ended) - float(began)) / asks * 1e6


def took(pbx: Asterisk) -> list[str]:
    """Return what the dialplan loop stored: run id, start, end and verdict. Empty if it stored nothing yet."""
    shown = (line.strip().partition("=") for line in pbx.rx("dialplan show globals").splitlines())
    return next((value.split() for name, _, value in shown if name == "TOOK"), [])


def calls_a_second(line: Line, caller: str, calls: int) -> float:
    """Return the highest rate, in calls a second, at which all but `FAIL` of the calls succeeded without delay."""
    sustained = 0.0
    for rate in RATES:
        began = time.perf_counter()
        placed = line.dialer.dial([Call(NUMBER, "lead-1", caller)] * calls, per_second=rate, hold_ms=0)
        wall_s = time.perf_counter() - began
        if sum(one.status != 200 for one in placed) > calls * FAIL or wall_s > calls / rate * 1.1 + 2:
            break
        sustained = calls / wall_s
    return sustained


def main() -> None:
    """Run both measurements and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--everysec", action="store_true", help="Redis writes to disk once a second.")
    asked = parser.parse_args()
    options = {"appendfsync": "everysec"} if asked.everysec else {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dnc-bench-")))
        redis = stack.enter_context(RedisServer(directory / "r", options=options))
        HandmadeProjection(redis).redis.persist("dnc:lease")
        least = stack.enter_context(floor(directory))
        gate = stack.enter_context(GateProcess(directory / "gate", redis.url, DNC_LOG_LEVEL="WARNING")).until_ready()
        pbx = stack.enter_context(Asterisk(directory / "pbx", {"DNC_GATE": f"127.0.0.1:{gate.port}"}, DIALPLAN))
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(asked.rounds):
            times["floor"].append(agi_us(pbx, least.port, asked.asks))
            times["gate"].append(agi_us(pbx, gate.port, asked.asks))
        line = stack.enter_context(Line(pbx, directory / "line"))
        straight, screened = (calls_a_second(line, caller, asked.calls) for caller in ("lab", "dialer"))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(times["gate"], times["floor"], strict=True))
    print(f"{'one AGI() in Asterisk, us':<40}{'floor':>9}{'gate':>9}{'ratio':>8}{'must':>7}{'aim':>7}")
    floor_us, gate_us = (statistics.median(times[name]) for name in ("floor", "gate"))
    print(f"{'':<40}{floor_us:>9,.0f}{gate_us:>9,.0f}{ratio:>8.2f}{1.6:>7}{1.3:>7}")
    print(f"{'SIP calls a second through Asterisk':<40}{'without':>9}{'with':>9}")
    print(f"{'':<40}{straight:>9,.0f}{screened:>9,.0f}")


if __name__ == "__main__":
    main()
