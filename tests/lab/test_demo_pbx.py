"""`scripts/up --pbx`: the PBX runs beside the site, a click calls a person, and a SIP telephone can register."""

import asyncio
import hashlib
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import SOCK_DGRAM
from typing import NamedTuple

import pytest
from aiohttp import ClientSession, CookieJar

from compliance.listening import CannotListen
from lab.console import ask
from lab.demo_pbx import DemoPbx
from lab.process import NotInstalled, Process, free_port
from lab.sipp import sipp_binary
from tests.conftest import unavailable
from tests.lab.test_stack import LAST_LINE, children_of, environment_in, site


class Demo(NamedTuple):
    """A running `scripts/up --pbx`."""

    environment: dict[str, str]
    up: Process
    sip: str

    @property
    def said(self) -> str:
        return self.up.log_end(20_000)

    @property
    def password(self) -> str:
        return re.findall(r"user admin, password (\S+)", self.said.replace("\n", " "))[0]

    def rx(self, command: str) -> str:
        return ask(Path(self.environment["DNC_DATA_DIR"]) / "pbx" / "run" / "asterisk.ctl", command)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    try:
        sipp_binary()
    except NotInstalled as error:
        unavailable(error)
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        environment, sip = environment_in(Path(path)), f"127.0.0.1:{free_port(SOCK_DGRAM)}"
        command = [sys.executable, "-m", "lab.up", "--pbx", "--sip", sip]
        with Process(command, Path(path) / "up.log", environment) as up:
            up.wait_until(lambda: LAST_LINE in up.log_end(), within_s=200)
            yield Demo(environment, up, sip)


class Telephone:
    """A SIP telephone over UDP: it registers with a digest (RFC 3261, 22.4), and receives requests."""

    def __init__(self, server: str, user: str, password: str) -> None:
        host, _, port = server.rpartition(":")
        self._user, self._password, self._uri = user, password, f"sip:{server}"
        self._wire = socket.socket(type=SOCK_DGRAM)
        self._wire.settimeout(10)
        self._wire.bind(("127.0.0.1", 0))
        self._wire.connect((host, int(port)))
        self._sequence = 0

    def register(self) -> int:
        """Register, and return the status of the answer to the password."""
        challenge = self._sent("")
        assert challenge.startswith("SIP/2.0 401")
        given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        first = _md5(f"{self._user}:{given['realm']}:{self._password}")
        proof = _md5(f"{first}:{given['nonce']}:00000001:c0:auth:{_md5(f'REGISTER:{self._uri}')}")
        answer = self._sent(
            f'Authorization: Digest username="{self._user}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
            f'uri="{self._uri}", qop=auth, nc=00000001, cnonce="c0", response="{proof}", algorithm=MD5'
            + (f', opaque="{given["opaque"]}"' if "opaque" in given else "")
            + "\r\n"
        )
        return int(answer.split()[1])

    def _sent(self, header: str) -> str:
        self._sequence += 1
        port = self._wire.getsockname()[1]
        self._wire.send(
            f"REGISTER {self._uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{port}-{self._sequence}\r\n"
            f"From: <sip:{self._user}@127.0.0.1>;tag=a\r\nTo: <sip:{self._user}@127.0.0.1>\r\nCall-ID: {port}\r\n"
            f"CSeq: {self._sequence} REGISTER\r\nMax-Forwards: 70\r\nExpires: 60\r\n"
            f"Contact: <sip:{self._user}@127.0.0.1:{port}>\r\n{header}Content-Length: 0\r\n\r\n".encode()
        )
        return self.received()

    def received(self) -> str:
        return self._wire.recv(8000).decode()

    def close(self) -> None:
        self._wire.close()


def options_status(server: str, user: str, source: str) -> int:
    """Send an OPTIONS request as `user` from the address `source`, and return the status of the answer."""
    host, _, port = server.rpartition(":")
    with socket.socket(type=SOCK_DGRAM) as wire:
        wire.settimeout(10)
        wire.bind((source, 0))
        own = f"{source}:{wire.getsockname()[1]}"
        request = (
            f"OPTIONS sip:s@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{own}\r\n"
            f"From: <sip:{user}@{own}>;tag=a\r\nTo: <sip:s@{server}>\r\nCall-ID: {own}\r\nCSeq: 1 OPTIONS\r\n"
            f"Contact: <sip:{user}@{own}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        wire.sendto(request.encode(), (host, int(port)))
        return int(wire.recv(4000).split()[1])


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@asynccontextmanager
async def signed_in(demo: Demo) -> AsyncIterator[ClientSession]:
    (password,) = re.findall(r"Password, shown this once: (\S+)", demo.said)
    async with ClientSession(site(demo.environment), cookie_jar=CookieJar(unsafe=True)) as browser:
        own = password[::-1]
        page = await post(browser, demo, "/sign-in", "/sign-in", name="admin", password=own)
        if "is wrong" in page:  # Nobody has changed the first password yet.
            await post(browser, demo, "/sign-in", "/sign-in", name="admin", password=password)
            changed = {"present": password, "new": own, "again": own}
            page = await post(browser, demo, "/account", "/account/password", **changed)
        assert 'href="/calls' in page
        yield browser


async def post(browser: ClientSession, demo: Demo, page: str, action: str, **fields: str) -> str:
    """Submit a form of a page with its CSRF token, and return the page that follows."""
    shown = await (await browser.get(page)).text()
    token = (re.findall(r'name="csrf" value="([^"]+)"', shown) or [""])[0]
    origin = {"Origin": site(demo.environment).rstrip("/")}
    answer = await browser.post(action, data={**fields, "csrf": token}, headers=origin)
    return await answer.text()


async def until_shown(browser: ClientSession, page: str, *texts: str) -> None:
    """Reload a page until it shows the texts. The worker reads the PBX's records every few seconds."""
    for _ in range(180):
        shown = await (await browser.get(page)).text()
        if all(text in shown for text in texts):
            return
        await asyncio.sleep(0.5)
    raise AssertionError(shown)


@pytest.mark.pbx
async def test_the_demos_calls_and_a_click_stand_in_the_call_log_with_their_end(demo):
    assert "The trunk received INVITEs for +14155550199, +14155550100, and for nothing else." in demo.said
    assert "scripts/up --pbx" not in demo.said.partition("What next")[2]
    async with signed_in(demo) as browser:
        await until_shown(browser, "/calls?lead=demo-2", "Answered")
        assert "is being dialled" in await post(browser, demo, "/leads/demo-4", "/leads/demo-4/call")
        await until_shown(browser, "/calls?lead=demo-4&agent=admin", "Answered")


@pytest.mark.pbx
async def test_a_telephone_registers_with_the_password_that_is_shown_and_is_rung_by_a_click(demo):
    stranger, telephone = (Telephone(demo.sip, "admin", word) for word in ("guessed", demo.password))
    assert stranger.register() == 401
    assert telephone.register() == 200
    async with signed_in(demo) as browser:
        clicked = asyncio.create_task(post(browser, demo, "/leads/demo-9", "/leads/demo-9/call"))
        rung = await asyncio.to_thread(telephone.received)
        assert rung.startswith("INVITE sip:admin@127.0.0.1:")
        demo.rx("channel request hangup all")
        await clicked
    stranger.close()
    telephone.close()


@pytest.mark.pbx
@pytest.mark.parametrize("name", ["dialer", "phone", "lab", "trunk", "agent", "supervisor"])
def test_an_endpoint_without_a_password_is_for_this_address_alone(demo, name):
    # Asterisk answers a stranger as if the endpoint had a password that no one knows.
    assert options_status(demo.sip, name, "127.0.0.1") in {200, 404}
    assert options_status(demo.sip, name, "127.0.0.2") == 401


@pytest.mark.pbx
def test_ctrl_c_ends_the_pbx_too(demo):
    children = children_of(demo.up.pid)
    assert len(children) == 7  # Redis, worker, gate, site; Asterisk, trunk, telephone
    demo.up.signal(signal.SIGINT)
    assert demo.up.wait(60) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert demo.said.endswith("Stopped.\n")


def test_an_address_for_telephones_that_cannot_be_used_is_one_line(tmp_path):
    with socket.socket(type=SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"^--sip: .*:{port}: Address already in use; --sip 127[.0-9]+1:\d+ is"):
            DemoPbx(tmp_path, f"127.0.0.1:{port}")
    for wrong in ("5060", "pbx.example:5060", "127.0.0.1:sip", "127.0.0.1:70000", "[::1]:5060"):
        with pytest.raises(CannotListen, match=r"^--sip: write an IPv4 address and a port"):
            DemoPbx(tmp_path, wrong)
    with pytest.raises(CannotListen, match="write an address of this machine"):
        DemoPbx(tmp_path, "192.0.2.1:5060")


def test_the_telephones_password_is_kept_for_its_owner_alone(tmp_path):
    bind = f"127.0.0.1:{free_port(SOCK_DGRAM)}"
    first = DemoPbx(tmp_path, bind)
    assert DemoPbx(tmp_path, bind).password == first.password
    assert (tmp_path / "pbx" / "telephone.secret").stat().st_mode & 0o777 == 0o600
    assert first.password in first.asterisk.sip
