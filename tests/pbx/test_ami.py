"""The wrapper around panoramisk against the manager interface of a real Asterisk."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from admin_web.pbx import ami as link
from admin_web.pbx import pbx as pbx_module
from admin_web.pbx.ami import LoginRefused, PbxSilent, PbxUnreachable
from admin_web.pbx.pbx import LiveChannel, NotOriginated, NotPickedUp, Originate, Pbx
from admin_web.pbx.settings import PbxSettings
from lab.asterisk import Asterisk
from lab.line import Line
from lab.sipp import Trunk
from tests.pbx.gates import DECISION, Behaviour, FakeGate, allow, block

NUMBER = "+14155550100"
Gates = Callable[[Behaviour], FakeGate]
T = TypeVar("T")
Telephone = Callable[[str], AbstractContextManager[Trunk]]


def settings_of(pbx: Asterisk, **changed: object) -> PbxSettings:
    given = {"ami_address": f"127.0.0.1:{pbx.ami_port}", "ami_user": pbx.ami_user, "ami_secret": pbx.ami_secret}
    return PbxSettings(**{**given, "ring_s": 3, **changed})


@pytest.fixture
async def asked(pbx: Asterisk) -> AsyncIterator[Pbx]:
    """The site's client of the PBX."""
    asked = Pbx(settings_of(pbx))
    yield asked
    await asked.close()


@pytest.fixture
def telephone(pbx: Asterisk, tmp_path: Path) -> Telephone:
    """Returns a function that starts the agent's telephone: it answers, is busy, or rings unanswered."""

    @contextmanager
    def ring(scenario: str) -> Iterator[Trunk]:
        with Trunk(tmp_path / "telephone", pbx.agent_port, scenario) as telephone:
            yield telephone

    return ring


def call(unique_id: str, extension: str = "agent", dialed: str = NUMBER) -> Originate:
    return Originate(unique_id, extension, dialed, {"DNC_CALL_LEAD": "L-7", "DNC_CALL_AGENT": "agent"})


async def until(found: Callable[[], Awaitable[T | None]]) -> T:
    """Call `found` until it returns a result, for at most a minute."""
    async with asyncio.timeout(60):
        while (answer := await found()) is None:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.02)
    return answer


async def up(asked: Pbx, unique_id: str) -> list[LiveChannel]:
    """Return the channels of a call, once the trunk has answered."""

    async def both() -> list[LiveChannel] | None:
        live = await asked.live(["DNC_DECISION", "CHANNEL(linkedid)", "CHANNEL(state)"])
        ours = [one for one in live if one.variables["CHANNEL(linkedid)"] == unique_id]
        answered = {one.name.partition("-")[0] for one in ours if one.variables["CHANNEL(state)"] == "Up"}
        return ours if "PJSIP/trunk" in answered else None

    return await until(both)


async def record_of(pbx: Asterisk, unique_id: str) -> dict[str, str]:
    async def found() -> dict[str, str] | None:
        return next((record for record in pbx.cdr() if record["uniqueid"] == unique_id), None)

    return await until(found)


async def rung(telephone: Trunk) -> bool:
    async def heard() -> bool | None:
        return bool(telephone.numbers()) or None

    return await until(heard)


async def test_the_agent_is_rung_first_and_then_the_judged_number_on_a_channel_of_our_id(
    asked: Pbx, line: Line, gate: Gates, telephone: Telephone
):
    heard = gate(allow).heard
    with telephone("answer") as agent:
        await asked.originate(call("dnc-contract-1"))
        await up(asked, "dnc-contract-1")
        assert (agent.numbers(), line.trunk.numbers()) == (["telephone"], [NUMBER])
        assert [(one["agi_uniqueid"], one["agi_arg_1"], one["agi_arg_2"]) for one in heard] == [
            ("dnc-contract-1", NUMBER, "L-7")
        ]
        assert await asked.hang_up("dnc-contract-1")
    record = await record_of(line.pbx, "dnc-contract-1")
    assert (record["dnc_agent"], record["dnc_lead"], record["dnc_decision"]) == ("agent", "L-7", DECISION)
    assert record["disposition"] == "ANSWERED"


async def test_every_channel_of_a_call_names_the_decision_that_let_it_out(
    asked: Pbx, line: Line, gate: Gates, telephone: Telephone
):
    gate(allow)
    with telephone("answer"):
        await asked.originate(call("dnc-contract-2"))
        channels = {one.name.partition("-")[0]: one for one in await up(asked, "dnc-contract-2")}
        assert channels.keys() == {"PJSIP/agent", "PJSIP/trunk"}
        assert {one.variables["DNC_DECISION"] for one in channels.values()} == {DECISION}
        assert await asked.hang_up(channels["PJSIP/trunk"].name)
    assert (await record_of(line.pbx, "dnc-contract-2"))["dnc_verdict"] == "ALLOW"
    assert not await asked.hang_up("dnc-contract-2"), "it is over"


@pytest.mark.parametrize("template", ["Local/{agent}@agents", "Local/{agent}@agents/n"])
async def test_an_agent_rung_through_a_local_channel_is_screened_on_the_channel_of_our_id_too(
    pbx: Asterisk, line: Line, gate: Gates, telephone: Telephone, template: str
):
    heard, asked, unique_id = gate(allow).heard, Pbx(settings_of(pbx, agent_channel=template)), f"dnc-{len(template)}"
    with telephone("answer"):
        await asked.originate(call(unique_id))
        await up(asked, unique_id)
        assert await asked.hang_up(unique_id)
    assert [one["agi_uniqueid"] for one in heard] == [unique_id]
    assert (await record_of(pbx, unique_id))["dstchannel"].startswith("PJSIP/trunk-")
    await asked.close()


async def test_a_blocked_number_is_not_dialled_and_the_agent_is_hung_up(
    asked: Pbx, line: Line, gate: Gates, telephone: Telephone
):
    gate(block)
    with telephone("answer"):
        await asked.originate(call("dnc-contract-3"))
        record = await record_of(line.pbx, "dnc-contract-3")
    assert (record["dnc_verdict"], record["dnc_agent"], line.trunk.numbers()) == ("BLOCK", "agent", [])


@pytest.mark.parametrize(("scenario", "said"), [("busy", "it is busy"), ("ring", "it was not picked up")])
async def test_a_telephone_that_is_not_picked_up_is_told_with_why(
    asked: Pbx, line: Line, telephone: Telephone, scenario: str, said: str
):
    with telephone(scenario), pytest.raises(NotPickedUp, match=f"PJSIP/agent did not answer: {said}"):
        await asked.originate(call(f"dnc-contract-{scenario}"))
    assert line.trunk.numbers() == []


async def test_a_telephone_that_the_pbx_does_not_know_is_told_at_once(pbx: Asterisk):
    asked, began = Pbx(settings_of(pbx, ring_s=60)), time.monotonic()
    with pytest.raises(NotPickedUp, match="not registered"):
        await asked.originate(call("dnc-contract-4", extension="nobody"))
    assert time.monotonic() - began < 50, "it was taken for a telephone that rings"
    await asked.close()


async def test_a_context_that_does_not_exist_is_told(pbx: Asterisk):
    asked = Pbx(settings_of(pbx, call_context="no-such-context"))
    with pytest.raises(NotOriginated, match="Extension does not exist"):
        await asked.originate(call("dnc-contract-5"))
    await asked.close()


async def test_a_wrong_secret_is_told(pbx: Asterisk):
    with pytest.raises(LoginRefused, match="dnc-gate: Authentication failed"):
        await Pbx(settings_of(pbx, ami_secret="wrong")).live([])


async def test_the_manager_user_of_the_documents_can_do_what_the_site_asks_and_no_more(asked: Pbx):
    await asked.live([])
    assert asked._link
    for forbidden in ({"Action": "Command", "Command": "core show version"}, {"Action": "GetConfig", "Filename": "x"}):
        (answer,) = await asked._link.ask(forbidden, within_s=20)
        assert (answer.success, answer.message) == (False, "Permission denied")


async def test_a_paused_pbx_is_told_and_is_asked_again_when_it_is_back(
    pbx: Asterisk, asked: Pbx, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pbx_module, "IDLE_S", 0.0)
    assert await asked.live([]) == []
    assert pbx.process
    pbx.process.pause()
    try:
        with monkeypatch.context() as short, pytest.raises(PbxSilent):
            short.setattr(pbx_module, "ANSWER_S", 0.3)
            short.setattr(link, "CONNECT_S", 0.3)
            await asked.live([])
    finally:
        pbx.process.resume()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await asked.live([]) == []
                break
            except PbxSilent:
                continue


async def test_a_pbx_that_restarts_while_a_telephone_rings_rings_it_no_second_time(tmp_path: Path):
    pbx = Asterisk(tmp_path / "own")
    with pbx:
        asked = Pbx(settings_of(pbx, ring_s=30))
        with Trunk(tmp_path / "telephone", pbx.agent_port, "ring") as telephone:
            ringing = asyncio.create_task(asked.originate(call("dnc-contract-6")))
            assert await rung(telephone)
            assert pbx.process
            pbx.process.kill()
            with pytest.raises(PbxSilent, match="ended the connection"):
                await ringing
            with pytest.raises(PbxUnreachable):
                await asked.live([])
            heard = len(telephone.numbers())
        with Trunk(tmp_path / "telephone-again", pbx.agent_port, "ring") as telephone:
            await asyncio.to_thread(pbx.start)
            assert await asked.live([]) == []
            await asyncio.sleep(2.5)  # panoramisk would send it again two seconds after a lost connection.
            assert (heard, telephone.numbers()) == (1, [])
            assert pbx.calls() == 0
        await asked.close()
