"""Behind reverse proxies: the client of a request, and the names under which the site may be asked for."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from admin_web.settings import AdminSettings
from admin_web.site.forwarding import (
    Client,
    address_in,
    client_of,
    forwarding,
    host_allowed,
    same_host,
    warning_of,
)
from compliance.networks import networks
from compliance.settings import SettingsError

TRUSTED = networks("127.0.0.1, 10.0.0.0/8, ::1, 2001:db8:5::/48")
PEER = Client("127.0.0.1", "http", "site.internal:8080")


def client(peer: Client = PEER, **headers: str | list[str]) -> Client:
    values = {name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in headers.items()}
    return client_of(peer, values, TRUSTED)


@pytest.mark.parametrize(
    ("forwarded_for", "remote"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.1", "192.0.2.7"),
        ("192.0.2.7,10.0.0.1,10.9.9.9", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
        ("10.0.0.2, 192.0.2.7", "192.0.2.7"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        (["192.0.2.7", "10.0.0.1"], "192.0.2.7"),
        (["203.0.113.9", "192.0.2.7, 10.0.0.1"], "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:db8::7, 2001:db8:5::1", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("192.0.2.7:4711, [::1]:80", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, ::ffff:10.0.0.1", "192.0.2.7"),
        ("unknown", "127.0.0.1"),
        ("192.0.2.7, unknown", "127.0.0.1"),
        ("192.0.2.7, unknown, 10.0.0.1", "10.0.0.1"),
        ("unknown, 192.0.2.7", "192.0.2.7"),
        ("<script>, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
        (", , 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, ", "127.0.0.1"),
        ("", "127.0.0.1"),
        ([], "127.0.0.1"),
        (",".join(["203.0.113.9"] * 500) + ",192.0.2.7", "192.0.2.7"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(forwarded_for, remote):
    assert client(x_forwarded_for=forwarded_for).remote == remote


@pytest.mark.parametrize("peer", ["192.0.2.99", "11.0.0.1", "2001:db8:6::1", "", "unix"])
def test_headers_of_an_address_that_is_not_trusted_are_not_believed(peer: str):
    stranger = Client(peer, "http", "dnc.example")
    headers = {"x_forwarded_for": "192.0.2.7", "x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
    assert client(stranger, **headers) == stranger
    assert client(stranger, forwarded="for=192.0.2.7;proto=https;host=evil.example") == stranger


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "2001:db8:5::9", "fe80::1%eth0"])
def test_a_proxy_may_be_named_by_an_address_or_a_network_of_either_kind(peer: str):
    found = client_of(Client(peer, "http", "x"), {"x-forwarded-for": ["192.0.2.7"]}, (*TRUSTED, *networks("fe80::/10")))
    assert found.remote == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded_for", "proto", "scheme"),
    [
        ("192.0.2.7", "https", "https"),
        ("192.0.2.7", "HTTPS", "https"),
        ("192.0.2.7, 10.0.0.1", "https", "https"),
        ("192.0.2.7, 10.0.0.1", "https, http", "https"),
        ("192.0.2.7, 10.0.0.1", ["https", "http"], "https"),
        ("192.0.2.7", "https, http", "http"),
        ("192.0.2.7, 10.0.0.1", "https, http, http", "http"),
        ("192.0.2.7", "javascript", "http"),
        ("192.0.2.7", "", "http"),
        ("192.0.2.7", "wss", "http"),
    ],
)
def test_the_scheme_is_the_one_that_the_outermost_trusted_proxy_saw(forwarded_for, proto, scheme):
    assert client(x_forwarded_for=forwarded_for, x_forwarded_proto=proto).scheme == scheme


@pytest.mark.parametrize(
    ("host", "port", "proto", "right"),
    [
        ("dnc.example", "", "https", "dnc.example"),
        ("dnc.example", "443", "https", "dnc.example"),
        ("dnc.example", "8443", "https", "dnc.example:8443"),
        ("dnc.example:8443", "8443", "https", "dnc.example:8443"),
        ("dnc.example:8443", "443", "https", "dnc.example:8443"),
        ("[2001:db8::7]", "8443", "https", "[2001:db8::7]:8443"),
        ("evil.example, dnc.example", "", "https", "dnc.example"),
        ("a b", "", "https", "site.internal:8080"),
        ("evil.example/../", "", "https", "site.internal:8080"),
        ("user@evil.example", "", "https", "site.internal:8080"),
        ("", "", "https", "site.internal:8080"),
        ("dnc.example", "x", "https", "dnc.example"),
    ],
)
def test_the_host_and_port_are_those_that_the_outermost_trusted_proxy_saw(host, port, proto, right):
    found = client(x_forwarded_for="192.0.2.7", x_forwarded_host=host, x_forwarded_port=port, x_forwarded_proto=proto)
    assert found.host == right


@pytest.mark.parametrize(
    ("forwarded", "right"),
    [
        ("for=192.0.2.7;proto=https;host=dnc.example", Client("192.0.2.7", "https", "dnc.example")),
        ('For="[2001:db8::7]:4711";Proto=https', Client("2001:db8::7", "https", PEER.host)),
        ("for=203.0.113.9;proto=http, for=192.0.2.7;proto=https", Client("192.0.2.7", "https", PEER.host)),
        ("for=192.0.2.7;proto=https, for=10.0.0.1;proto=http", Client("192.0.2.7", "https", PEER.host)),
        (["for=192.0.2.7;proto=https", "for=10.0.0.1;proto=http"], Client("192.0.2.7", "https", PEER.host)),
        ("for=unknown;proto=https", Client("127.0.0.1", "https", PEER.host)),
        ("for=_hidden", PEER),
        ("for=192.0.2.7, ;;;", PEER),
        ("nonsense", PEER),
    ],
)
def test_the_header_forwarded_is_read_by_the_same_rule(forwarded, right: Client):
    assert client(forwarded=forwarded) == right


def test_beside_x_forwarded_for_the_header_forwarded_does_not_count():
    spoofed = "for=203.0.113.9;proto=https;host=evil.example"
    assert client(x_forwarded_for="192.0.2.7", forwarded=spoofed) == Client("192.0.2.7", "http", PEER.host)


@pytest.mark.parametrize("text", ["", "unknown", "_secret", "1.2.3", "1.2.3.4.5", "[]", "[x]:1", "a:b:c", "\0"])
def test_what_is_no_address_is_none(text: str):
    assert address_in(text) is None


def test_an_address_without_its_closing_bracket_is_read():
    assert str(address_in("[::1")) == "::1"


@pytest.mark.parametrize(
    ("left", "right", "scheme", "same"),
    [
        ("dnc.example", "dnc.example", "https", True),
        ("dnc.example:443", "dnc.example", "https", True),
        ("dnc.example", "DNC.example:80", "http", True),
        ("dnc.example:80", "dnc.example", "https", False),
        ("dnc.example:8443", "dnc.example", "https", False),
        ("[::1]:443", "[::1]", "https", True),
    ],
)
def test_the_default_port_of_a_host_may_be_left_out(left: str, right: str, scheme: str, same: bool):
    assert same_host(left, right, scheme) is same


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("dnc.example.com", True),
        ("DNC.Example.com:8443", True),
        ("dnc.example.com.", True),
        ("a.office.example", True),
        ("a.b.office.example", True),
        ("office.example", False),
        ("dnc.example.com.evil.example", False),
        ("evildnc.example.com", False),
        ("evil.example", False),
        ("10.0.0.7", False),
        ("[::1]:8080", True),
        ("", False),
        ("dnc.example.com@evil.example", False),
    ],
)
def test_only_allowed_hosts_are_served(host: str, allowed: bool):
    assert host_allowed(host, ("dnc.example.com", "*.office.example", "[::1]")) is allowed


async def test_another_host_is_refused_with_421_and_a_health_check_is_not():
    async def view(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} {request.scheme} {request.host}")

    app = web.Application(middlewares=[forwarding(TRUSTED, ("dnc.example",))])
    app.router.add_get("/", view)
    app.router.add_get("/readyz", view)
    async with TestClient(TestServer(app)) as browser:
        for host, path, status in [
            ("dnc.example", "/", 200),
            ("evil.example", "/", 421),
            ("a b", "/", 400),
            ("127.0.0.1", "/readyz", 200),
        ]:
            answer = await browser.get(path, headers={"Host": host})
            assert answer.status == status, host
            assert "dnc.example" not in await answer.text() or status == 200
        forwarded = {"Host": "x", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": "dnc.example"}
        answer = await browser.get("/", headers=forwarded | {"X-Forwarded-Proto": "https"})
        assert await answer.text() == "192.0.2.7 https dnc.example"


@pytest.mark.parametrize(
    ("bind", "trusted", "warned"),
    [
        ("127.0.0.1:8080", "", False),
        ("127.0.0.9:8080", "", False),
        ("[::1]:8080", "", False),
        ("localhost:8080", "", False),
        ("0.0.0.0:8080", "", True),
        ("[::]:8080", "", True),
        ("10.0.0.7:8080", "", True),
        ("dnc.internal:8080", "", True),
        ("0.0.0.0:8080", "10.0.0.1", False),
    ],
)
def test_a_start_without_encryption_is_warned_of(bind: str, trusted: str, warned: bool):
    assert bool(warning_of(bind, networks(trusted))) is warned


@pytest.mark.parametrize("value", ["127.0.0.1", "10.0.0.0/8, ::1", "10.0.0.1/8", ""])
def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("DNC_WEB_PROXIES", value)
    assert len(AdminSettings.load().proxies) == len([one for one in value.split(",") if one])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DNC_WEB_PROXIES", "proxy.internal"),
        ("DNC_WEB_PROXIES", "10.0.0.0/33"),
        ("DNC_WEB_HOSTS", "https://dnc.example"),
        ("DNC_WEB_HOSTS", "dnc.example:8443"),
        ("DNC_WEB_HOSTS", "dnc.*.example"),
        ("DNC_WEB_HOSTS", "dnc example"),
    ],
)
def test_what_is_no_proxy_and_no_host_name_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: .+$"):
        AdminSettings.load()
