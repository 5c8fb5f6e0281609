"""The wrapper around panoramisk: it sends an action once, prevents injection, keeps nothing, and never reconnects."""

import asyncio
import time
from asyncio import StreamWriter
from collections.abc import AsyncIterator, Callable

import pytest

from admin_web.pbx import ami as link
from admin_web.pbx import pbx
from admin_web.pbx.ami import AmiLink, LoginRefused, PbxSilent, PbxUnreachable, Unsendable
from admin_web.pbx.pbx import NoPbx, NotOriginated, NotPickedUp, Originate, Pbx
from admin_web.pbx.settings import PbxSettings
from lab.process import free_port
from tests.support.ami import Action, FakeAmi, agree, reply

CALL = Originate("dnc-1", "agent", "+14155550100", {"DNC_CALL_LEAD": "L-1", "DNC_CALL_AGENT": "agent"})


Make = Callable[..., Pbx]


@pytest.fixture
async def pbx_at() -> AsyncIterator[Make]:
    """Returns a function that makes a client of the PBX at an address. It is closed after the test."""
    made: list[Pbx] = []

    def make(address: str, **settings: object) -> Pbx:
        made.append(Pbx(PbxSettings(ami_address=address, ami_secret="s3cret", **settings)))
        return made[-1]

    yield make
    for asked in made:
        await asked.close()


async def silent(_: Action, __: StreamWriter) -> None:
    """Answer nothing."""


async def end(_: Action, writer: StreamWriter) -> None:
    writer.close()


async def queue(action: Action, writer: StreamWriter) -> None:
    """Answer an Originate that Asterisk has queued."""
    writer.write(reply(action, "Response: Success", "Message: Originate successfully queued"))


async def picked_up(action: Action, writer: StreamWriter) -> None:
    """Answer an Originate, and send its result a moment later, among unrelated events."""
    await queue(action, writer)
    writer.write(b"Event: Newchannel\r\nChannel: PJSIP/x-1\r\n\r\n" * 50)
    writer.write(reply(action, "Event: OriginateResponse", "Response: Success", "Reason: 4"))


def failing(reason: str):
    async def answer(action: Action, writer: StreamWriter) -> None:
        await queue(action, writer)
        writer.write(reply(action, "Event: OriginateResponse", "Response: Failure", f"Reason: {reason}"))

    return answer


async def refuse(action: Action, writer: StreamWriter) -> None:
    writer.write(reply(action, "Response: Error", "Message: Extension does not exist."))


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbx, "ANSWER_S", 0.3)
    monkeypatch.setattr(link, "CONNECT_S", 0.3)


async def test_a_call_is_originated_with_what_the_site_says_and_its_end_is_awaited(pbx_at: Make):
    async with FakeAmi(picked_up) as ami:
        asked = pbx_at(ami.address)
        await asked.originate(CALL)
        _login, sent = ami.heard
        assert {name: sent[name] for name in ("Channel", "Context", "Exten", "Priority", "Async", "ChannelId")} == {
            "Channel": "PJSIP/agent",
            "Context": "dnc-click-to-call",
            "Exten": "+14155550100",
            "Priority": "1",
            "Async": "true",
            "ChannelId": "dnc-1",
        }
        assert b"Variable: DNC_CALL_LEAD=L-1\r\nVariable: DNC_CALL_AGENT=agent\r\n" in ami.raw


@pytest.mark.parametrize(
    ("reason", "said"),
    [("0", "not registered"), ("3", "not picked up"), ("5", "busy"), ("8", "refuses"), ("99", "cannot be called")],
)
async def test_a_telephone_that_does_not_answer_is_told_with_why(pbx_at: Make, reason: str, said: str):
    async with FakeAmi(failing(reason)) as ami:
        with pytest.raises(NotPickedUp, match=f"PJSIP/agent did not answer.*{said}"):
            await pbx_at(ami.address).originate(CALL)


async def test_what_the_pbx_refuses_is_told_in_its_words(pbx_at: Make):
    async with FakeAmi(refuse) as ami:
        with pytest.raises(NotOriginated, match="Extension does not exist"):
            await pbx_at(ami.address).originate(CALL)


async def test_without_an_address_there_is_no_pbx(pbx_at: Make):
    asked = pbx_at("")
    assert not asked.configured
    with pytest.raises(NoPbx, match="DNC_AMI_ADDRESS"):
        await asked.live([])
    await asked.close()


async def test_nobody_at_the_address_is_told_at_once(pbx_at: Make):
    with pytest.raises(PbxUnreachable, match=r"127\.0\.0\.1:\d+: Connection refused"):
        await pbx_at(f"127.0.0.1:{free_port()}").originate(CALL)


async def test_a_wrong_secret_is_told_and_never_repeated():
    async def no(action: Action, writer: StreamWriter) -> None:
        writer.write(reply(action, "Response: Error", "Message: Authentication failed"))

    async with FakeAmi(login=no) as ami:
        with pytest.raises(LoginRefused, match="dnc-gate: Authentication failed") as caught:
            await AmiLink.open(ami.address, "dnc-gate", "s3cret")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        Originate("dnc-1", "agent\r\nAction: Originate", "+1", {}),
        Originate("dnc-1", "agent&PJSIP/0900@trunk", "+1", {}),
        Originate("dnc-1", "0900@trunk", "+1", {}),
        Originate("dnc-1", "", "+1", {}),
        Originate("dnc-1", "agent", "+1\r\nAction: Command", {}),
        Originate("dnc-1", "agent", "+1,2", {}),
        Originate("dnc-1\r\n", "agent", "+1", {}),
        Originate("dnc-1", "agent", "+1", {"DNC_CALL_LEAD": "L-1\r\nApplication: System"}),
        Originate("dnc-1", "agent", "+1", {"DNC_CALL_LEAD": "L-1,DNC_CALL_AGENT=admin"}),
        Originate("dnc-1", "agent", "+1", {"DNC_CALL_LEAD": "${SHELL(id)}"}),
    ],
)
async def test_nothing_that_would_end_its_line_or_its_place_is_sent(pbx_at: Make, call: Originate):
    async with FakeAmi() as ami:
        with pytest.raises(Unsendable):
            await pbx_at(ami.address).originate(call)
        assert ami.heard == []


@pytest.mark.parametrize("channel", ["PJSIP/a\r\nAction: Logoff", "PJSIP/a\n", "PJSIP/\0", "é", "x" * 501])
async def test_no_verb_sends_a_line_break(pbx_at: Make, channel: str):
    async with FakeAmi() as ami:
        with pytest.raises(Unsendable):
            await pbx_at(ami.address).hang_up(channel)
        assert [action["Action"] for action in ami.heard] == ["Login"]


async def test_one_connection_is_opened_when_it_is_needed_and_kept(pbx_at: Make):
    async with FakeAmi() as ami:
        asked = pbx_at(ami.address)
        assert (ami.visits, asked.connected) == (0, False)
        await asyncio.gather(*(asked.hang_up("PJSIP/a-1") for _ in range(20)))
        assert (ami.visits, asked.connected, len(ami.heard)) == (1, True, 21)
        await asked.close()
        assert not asked.connected


@pytest.mark.exhaustive
@pytest.mark.usefixtures("short_waits")
async def test_an_action_whose_connection_ends_is_never_sent_again(pbx_at: Make):
    async with FakeAmi(end) as ami:
        asked = pbx_at(ami.address)
        with pytest.raises(PbxSilent, match="ended the connection"):
            await asked.originate(CALL)
        ami.answer = picked_up
        assert await asked.hang_up("PJSIP/a-1")
        # panoramisk itself would reconnect after two seconds, and send the unanswered action again.
        await asyncio.sleep(2.5)
        assert [action["Action"] for action in ami.heard] == ["Login", "Originate", "Login", "Hangup"]
        assert ami.visits == 2


@pytest.mark.usefixtures("short_waits")
async def test_who_waits_is_told_as_soon_as_the_connection_ends(pbx_at: Make):
    async with FakeAmi(silent) as ami:
        asked = pbx_at(ami.address, ring_s=60)
        began, waiting = time.monotonic(), asyncio.create_task(asked.originate(CALL))
        await ami.until_heard("Originate")
        ami.hang_up()
        with pytest.raises(PbxSilent):
            await waiting
        assert time.monotonic() - began < 20


@pytest.mark.usefixtures("short_waits")
async def test_what_is_not_answered_in_time_is_told_and_not_kept():
    async with FakeAmi(silent) as ami:
        opened = await AmiLink.open(ami.address, "dnc-gate", "s3cret")
        for _ in range(10):
            with pytest.raises(PbxSilent, match="does not answer"):
                await opened.ask({"Action": "Ping"}, within_s=0.02)
        assert opened._manager.responses == {}
        opened.close()


@pytest.mark.usefixtures("short_waits")
async def test_whoever_is_cancelled_leaves_nothing_behind():
    async with FakeAmi(silent) as ami:
        opened = await AmiLink.open(ami.address, "dnc-gate", "s3cret")
        asking = asyncio.create_task(opened.ask({"Action": "Ping"}, within_s=5))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert opened._manager.responses == {}
        opened.close()


@pytest.mark.usefixtures("short_waits")
async def test_a_kept_connection_that_leads_nowhere_is_noticed_before_it_is_used(
    pbx_at: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pbx, "IDLE_S", 0.0)
    async with FakeAmi() as ami:
        asked = pbx_at(ami.address)
        await asked.hang_up("PJSIP/a-1")
        answers = iter([silent])

        async def once_silent(action: Action, writer: StreamWriter) -> None:
            await next(answers, agree)(action, writer)

        ami.answer = once_silent
        assert await asked.hang_up("PJSIP/a-1")
        verbs = [action["Action"] for action in ami.heard]
        assert verbs == ["Login", "Hangup", "Ping", "Login", "Hangup"]


async def test_events_that_answer_nothing_are_not_even_parsed(pbx_at: Make, monkeypatch: pytest.MonkeyPatch):
    parsed: list[object] = []
    from_line = link.Message.from_line

    def counted(line: str) -> object:
        parsed.append(line)
        return from_line(line)

    monkeypatch.setattr(link.Message, "from_line", counted)
    async with FakeAmi(picked_up) as ami:
        asked = pbx_at(ami.address)
        await asked.originate(CALL)
        assert len(parsed) == 3, "two answers and how the call began"


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 65536, b"Event: x\r\n\r\n" * 99])
async def test_a_peer_that_is_no_manager_interface_is_given_up(pbx_at: Make, said: bytes):
    async with FakeAmi(login=silent, banner=said) as ami:
        with pytest.raises(PbxSilent):
            await pbx_at(ami.address).originate(CALL)


@pytest.mark.usefixtures("short_waits")
async def test_a_message_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(link, "LARGEST", 100_000)

    async def flood(_: Action, writer: StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    async with FakeAmi(flood) as ami:
        opened = await AmiLink.open(ami.address, "dnc-gate", "s3cret")
        with pytest.raises(PbxSilent, match="ended the connection"):
            await opened.ask({"Action": "Ping"}, within_s=5)


@pytest.mark.exhaustive
async def test_closing_while_connecting_leaves_nothing_that_connects_later(pbx_at: Make):
    async with FakeAmi() as ami:
        asked = pbx_at(ami.address)
        opening = asyncio.create_task(asked.hang_up("PJSIP/a-1"))
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await asked.close()
        visits = ami.visits
        await asyncio.sleep(2.5)
        assert ami.visits == visits


async def test_channels_are_given_with_the_variables_that_were_asked_for(pbx_at: Make):
    async def status(action: Action, writer: StreamWriter) -> None:
        writer.write(reply(action, "Response: Success", "EventList: start", "Message: Channel status will follow"))
        for name, decision in (("PJSIP/a-1", "0a-1"), ("PJSIP/b-2", "(null)")):
            about = ("Event: Status", f"Channel: {name}", "Uniqueid: 1.1", f"Variable: DNC_DECISION={decision}")
            writer.write(reply(action, *about, "Variable: X="))
        writer.write(reply(action, "Event: StatusComplete", "EventList: Complete", "Items: 2"))

    async with FakeAmi(status) as ami:
        live = await pbx_at(ami.address).live(["DNC_DECISION", "X"])
        assert [(one.name, one.variables) for one in live] == [
            ("PJSIP/a-1", {"DNC_DECISION": "0a-1", "X": ""}),
            ("PJSIP/b-2", {"DNC_DECISION": "", "X": ""}),
        ]
        assert ami.heard[-1]["Variables"] == "DNC_DECISION,X"
