"""Who called whom: on a real Asterisk the site names the caller of a click, of a dialer's call and of a telephone's."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab.asterisk import CDR_FILE, Asterisk
from lab.line import Line
from lab.redis import RedisServer
from lab.sipp import Call, Trunk
from tests.support.samples import PDF
from tests.support.site import Browser, Site, settings_of
from tests.support.stack import Stack

NUMBER, LEAD = "+14155550100", "lead-7"


@pytest.fixture
def stack(redis_server: RedisServer, short_path: Path, pbx: Asterisk) -> Iterator[Stack]:
    """The product with an override for the lead that the contexts of the desk telephones name."""
    cdr = str(pbx.directory / "log" / "cdr-custom" / CDR_FILE)
    database = f"sqlite:///{short_path / 'dnc.sqlite3'}"
    with Stack(short_path / "whole", redis_server, database, DNC_CDR_FILE=cdr, DNC_DEADLINE_MS="1000") as stack:
        pbx.set_global("DNC_GATE", f"127.0.0.1:{stack.gate.port}")
        document, listed = short_path / "consent.pdf", short_path / "listed.txt"
        document.write_bytes(PDF)
        listed.write_text(NUMBER)
        stack.admin("import", "internal", str(listed))
        stack.admin(
            "override", "grant", "--lead", LEAD, "--number", NUMBER, "--basis", "signed-consent",
            "--consented-on", time.strftime("%Y-%m-%d", time.gmtime()), "--document", str(document), "--attest",
        )  # fmt: skip
        yield stack


@pytest.fixture
async def site(stack: Stack, pbx: Asterisk) -> AsyncIterator[Site]:
    """The site over the same database and Redis, connected to the PBX's manager interface."""
    ami = {"ami_address": f"127.0.0.1:{pbx.ami_port}", "ami_user": pbx.ami_user, "ami_secret": pbx.ami_secret}
    settings = settings_of(stack.database_url, stack.redis.url, stack.directory, **ami)
    async with Site(settings) as site:
        yield site


async def until_shown(browser: Browser, path: str, *texts: str) -> str:
    """Ask for the page until it shows all texts: the worker reads the PBX's records every second."""
    async with asyncio.timeout(90):
        while True:
            page = await browser.page(path)
            if all(text in page for text in texts):
                return page
            await asyncio.sleep(0.2)


async def test_the_monitor_names_the_caller_of_a_click_of_a_dialer_s_call_and_of_a_desk_telephone(
    stack: Stack, site: Site, pbx: Asterisk, line: Line, tmp_path: Path
):
    agent, admin = await site.person("agent"), await site.person("admin")
    await admin.post("/telephones", {"channel": "PJSIP/lab", "person": "carol"})
    with Trunk(tmp_path / "telephone", pbx.agent_port):
        said = await agent.follow(await agent.post(f"/leads/{LEAD}/call"))
        assert "is being dialled" in said
        async with asyncio.timeout(60):
            while line.trunk.numbers() != [NUMBER]:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.05)
        pbx.rx("channel request hangup all")
    calls = Call(NUMBER, LEAD, agent="bob"), Call("freepbx_lead", caller="lab")
    placed = await asyncio.to_thread(line.place, *calls)
    assert [call.record["dnc_reason"] for call in placed] == ["override", "override"]
    expected = [f"<td>{person}</td>" for person in ("agent", "bob", "carol")]
    monitor = await until_shown(admin, "/monitor/1", *expected)
    assert "unknown" not in monitor[monitor.index('id="calls"') : monitor.index('id="trail"')]
    for path in ("/calls", f"/leads/{LEAD}"):
        await until_shown(admin, path, *expected)
    for person in ("agent", "bob", "carol"):
        log = await admin.page(f"/calls?agent={person}")
        assert [f"<td>{one}</td>" in log for one in ("agent", "bob", "carol")].count(True) == 1
        assert f"<td>{person}</td>" in log


async def test_a_blocked_call_through_a_local_channel_names_the_telephone_that_began_it(
    stack: Stack, site: Site, line: Line
):
    admin = await site.person("admin")
    await admin.post("/telephones", {"channel": "PJSIP/lab", "person": "carol"})
    (call,) = await asyncio.to_thread(line.place, Call("through_local", caller="lab"))
    assert call.status != 200
    assert line.trunk.numbers() == []
    await until_shown(admin, "/calls?verdict=BLOCK", "<td>carol</td>")
