"""The example dialer on a real Asterisk: it claims leads, dials them through the gate and reports the outcomes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor
from admin_web.record.models import DecisionRecord, Disposition, Lead, SuppressionEntry
from admin_web.record.models.suppression import NEVER
from admin_web.services.leads import LeadGiven, put_leads
from compliance.numbers import E164, LeadId
from lab.asterisk import CDR_FILE, Asterisk
from lab.line import Line
from lab.redis import RedisServer
from lab.sipp import Trunk
from tests.support.records import ADMIN, rows
from tests.support.site import Site, settings_of
from tests.support.stack import Stack

EXAMPLE = Path(__file__).parents[2] / "examples" / "dialer.py"
LISTED, FIRST, SECOND = "+14155550100", "+14155550101", "+14155550102"
Dial = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def stack(redis_server: RedisServer, short_path: Path, pbx: Asterisk) -> Iterator[Stack]:
    """The product with a listed number."""
    cdr = str(pbx.directory / "log" / "cdr-custom" / CDR_FILE)
    database = f"sqlite:///{short_path / 'dnc.sqlite3'}"
    with Stack(short_path / "whole", redis_server, database, DNC_CDR_FILE=cdr, DNC_DEADLINE_MS="1000") as stack:
        pbx.set_global("DNC_GATE", f"127.0.0.1:{stack.gate.port}")
        stack.admin("suppress", LISTED)
        yield stack


@pytest.fixture
async def site(stack: Stack) -> AsyncIterator[Site]:
    """The site over the same database and Redis, with one blocked lead and two others in the queue."""
    async with Site(settings_of(stack.database_url, stack.redis.url, stack.directory)) as site:
        numbers = {"L-1": LISTED, "L-2": FIRST, "L-3": SECOND}
        await put_leads(site.records, ADMIN, [LeadGiven(LeadId(lead), E164(one)) for lead, one in numbers.items()])
        yield site


@pytest.fixture
async def dial(site: Site, pbx: Asterisk) -> AsyncIterator[Dial]:
    """Returns a function that starts the example for an agent."""
    started: list[asyncio.subprocess.Process] = []

    async def start(agent: str, *words: str) -> asyncio.subprocess.Process:
        token = await make_token(site.database, Actor("admin"), f"dialer-{len(started)}", [Scope.DIAL, Scope.READ])
        environment = {
            **os.environ, "SITE": str(site._server.make_url("")), "TOKEN": token, "AMI_SECRET": pbx.ami_secret,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLE), "--agent", agent, "--ami", f"127.0.0.1:{pbx.ami_port}", *words,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, output
    return output.decode()


async def until_answered(line: Line, *numbers: str, calls: int = 1) -> None:
    """Wait until these numbers, and no others, were called, and `calls` calls have two channels that are up."""
    async with asyncio.timeout(90):
        while (  # noqa: ASYNC110 - no event to wait for
            sorted(line.trunk.numbers()) != sorted(numbers)
            or line.pbx.rx("core show channels concise").count("!Up!") != 2 * calls
        ):
            await asyncio.sleep(0.05)


async def until_named(site: Site, count: int) -> None:
    """Wait until so many decisions are archived, with the agent: the worker reads the PBX's records every second."""

    async def named() -> int:
        return sum(bool(one.agent) for one in await rows(site.records, DecisionRecord))

    async with asyncio.timeout(90):
        while await named() < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_it_calls_the_queue_through_the_gate_and_reports_what_the_agent_says(
    site: Site, dial: Dial, line: Line, tmp_path: Path
):
    with Trunk(tmp_path / "telephone", line.pbx.agent_port):
        dialer = await dial("agent", "--campaign", "spring", "--answered", "do-not-call")
        await until_answered(line, FIRST)
        line.pbx.rx("channel request hangup all")
        await until_answered(line, FIRST, SECOND)
        line.pbx.rx("channel request hangup all")
        assert await said(dialer) == "L-2: do-not-call\nL-3: do-not-call\nthe queue is empty\n"
    await until_named(site, 2)
    wrap_ups = [(row.lead_id, row.outcome, row.wrapped_up_by) for row in await rows(site.records, Disposition)]
    assert wrap_ups == [("L-2", "do-not-call", "token:dialer-0"), ("L-3", "do-not-call", "token:dialer-0")]
    listed = {row.number: row.source for row in await rows(site.records, SuppressionEntry)}
    assert (listed[FIRST], listed[SECOND]) == ("wrap-up", "wrap-up")
    decisions = await rows(site.records, DecisionRecord)
    assert {(one.lead, one.verdict, one.agent, one.campaign) for one in decisions} == {
        ("L-2", "ALLOW", "agent", "spring"), ("L-3", "ALLOW", "agent", "spring"),
    }  # fmt: skip
    called = {row.id: row.last_called_at for row in await rows(site.records, Lead)}
    assert called["L-1"] == NEVER
    assert NEVER < called["L-2"] < called["L-3"]


async def test_two_dialers_call_different_leads(site: Site, dial: Dial, line: Line, tmp_path: Path):
    with Trunk(tmp_path / "telephone", line.pbx.agent_port):
        words = "--calls", "1", "--answered", "call-back"
        dialers = [await dial("agent", *words), await dial("supervisor", *words)]
        await until_answered(line, FIRST, SECOND, calls=2)
        line.pbx.rx("channel request hangup all")
        output = [await said(dialer) for dialer in dialers]
    assert sorted(output) == ["L-2: call-back\n", "L-3: call-back\n"]
    assert sorted(line.trunk.numbers()) == [FIRST, SECOND]


async def test_a_busy_number_is_reported_as_not_answered(site: Site, dial: Dial, pbx: Asterisk, stack, tmp_path: Path):
    with Line(pbx, tmp_path / "line", "busy") as line, Trunk(tmp_path / "telephone", pbx.agent_port):
        assert await said(await dial("agent", "--calls", "1")) == "L-2: no-answer\n"
        assert line.trunk.numbers() == [FIRST]
    assert (await rows(site.records, Disposition))[0].decision_id != ""


async def test_a_lead_goes_back_into_the_queue_when_the_agent_does_not_pick_up(
    site: Site, dial: Dial, line: Line, tmp_path: Path
):
    with Trunk(tmp_path / "telephone", line.pbx.agent_port, "busy"):
        output = await said(await dial("agent"))
    assert output == "PJSIP/agent was not picked up; L-2 is back in the queue\n"
    assert {row.claimed_until for row in await rows(site.records, Lead)} == {None}
    assert line.trunk.numbers() == []
