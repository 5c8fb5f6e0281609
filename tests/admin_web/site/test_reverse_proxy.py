"""The examples for nginx and Caddy with TLS, at the root and under a path, in front of the real site."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import ClientSession, CookieJar, TCPConnector
from sqlalchemy import select

from admin_web.record.models import SignInSession
from compliance.consent import Role
from lab.process import NotInstalled
from lab.redis import RedisServer
from lab.web_proxy import WebProxy
from tests.conftest import unavailable
from tests.support.furnishing import furnish
from tests.support.site import FIELD, PASSWORD, Site, settings_of

UNDER_A_PATH = {
    "nginx": {"location / {": "location /dnc/ {"},
    "caddy": {"reverse_proxy 127.0.0.1:8080 {": "reverse_proxy /dnc/* 127.0.0.1:8080 {"},
}
HEADER_LIMITS = {
    "nginx": {"client_header_timeout 10s": "client_header_timeout 1s"},
    "caddy": {"read_header 10s": "read_header 1s"},
}
LINK = re.compile(r"""(href|src|action|formaction|hx-get|hx-post)=["']([^"']*)["']""")
CLIENT = "127.0.0.9"
UNOPENED = ("/sign-out", "/document")
"""Ends of paths that are not opened: the furnished override has no stored document."""


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    copy = tmp_path / "dnc.sqlite3"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


@asynccontextmanager
async def standing(
    url: str, redis_server: RedisServer, directory: Path, kind: str, prefix: str = "", **more: str
) -> AsyncIterator[tuple[Site, WebProxy]]:
    """Run a furnished site and the proxy before it. `more` replaces parts of the proxy's example."""
    given = {"web_proxies": "127.0.0.1/32", "web_hosts": "localhost", "web_prefix": prefix}
    async with Site(settings_of(url, redis_server.url, directory / "data", **given)) as site:
        await site.projection.rebuild()
        await furnish(site)
        proxy = WebProxy(directory / "proxy", kind, site.port)
        try:
            await asyncio.to_thread(proxy.start, {**more, **(UNDER_A_PATH[kind] if prefix else {})})
            yield site, proxy
        except NotInstalled as error:
            unavailable(error)
        finally:
            await asyncio.to_thread(proxy.stop)


@asynccontextmanager
async def browsing(proxy: WebProxy) -> AsyncIterator[ClientSession]:
    """Open a browser at another address than that of the proxy."""
    connector = TCPConnector(ssl=proxy.trusting(), local_addr=(CLIENT, 0))
    async with ClientSession(proxy.origin, connector=connector, cookie_jar=CookieJar()) as browser:
        yield browser


async def sign_in(browser: ClientSession, proxy: WebProxy, prefix: str) -> str:
    """Sign in as an admin; return the cookie's header."""
    fields = {"name": Role.ADMIN, "password": PASSWORD, "next": ""}
    headers = {"Origin": proxy.origin, "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with browser.post(f"{prefix}/sign-in", data=fields, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
        assert answer.headers["Location"] == f"{prefix}/"
        return answer.headers["Set-Cookie"]


async def crawl(browser: ClientSession, start: str, outside: list[str], prefix: str) -> dict[str, int]:
    """Open every page that can be reached from `start` by links; return the status of each."""
    found: dict[str, int] = {}
    left = [start]
    while left:
        path = left.pop()
        if path in found or path.endswith(UNOPENED):
            continue
        async with browser.get(path, allow_redirects=False) as answer:
            found[path] = answer.status
            location = answer.headers.get("Location")
            text = await answer.text() if answer.content_type == "text/html" else ""
        links = [("href", location)] if location else LINK.findall(text)
        for kind, link in links:
            target = urlsplit(urljoin(path, unescape(link)))
            if target.scheme or target.netloc or not link or link.startswith("#"):
                continue
            whole = f"{target.path}?{target.query}" if target.query else target.path
            if not target.path.startswith(f"{prefix}/"):
                outside.append(f"{path}: {whole}")
            elif kind not in {"action", "formaction", "hx-post"}:
                left.append(whole)
    return found


@pytest.mark.parametrize(("kind", "prefix"), [("nginx", "/dnc"), ("nginx", ""), ("caddy", "/dnc")])
async def test_every_page_works_behind_a_proxy_with_tls_and_stays_below_the_path(
    url: str, redis_server: RedisServer, short_path: Path, kind: str, prefix: str
):
    async with standing(url, redis_server, short_path, kind, prefix) as (site, proxy), browsing(proxy) as browser:
        cookie = await sign_in(browser, proxy, prefix)
        name = "__Secure-dnc_session" if prefix else "__Host-dnc_session"
        assert cookie.startswith(f"{name}=")
        assert {"Secure", "HttpOnly", f"Path={prefix or '/'}"} <= {part.strip() for part in cookie.split(";")}
        async with site.database.read() as session:
            assert (await session.scalars(select(SignInSession.address))).all() == [CLIENT]
        outside: list[str] = []
        found = await crawl(browser, f"{prefix}/", outside, prefix)
        assert outside == []
        assert {path: status for path, status in found.items() if status not in {200, 303}} == {}
        assert len(found) > 40
        assert any("/static/" in path for path in found)
        await write_and_read_api(browser, proxy, prefix)


async def write_and_read_api(browser: ClientSession, proxy: WebProxy, prefix: str) -> None:
    """Send a form, follow its redirect to a notice, and read the API's description."""
    async with browser.get(f"{prefix}/account") as answer:
        token = FIELD.search(await answer.text())[1]
        assert answer.headers["Strict-Transport-Security"]
    fields, headers = {"csrf": token}, {"Origin": proxy.origin}
    async with browser.post(f"{prefix}/enforcement/ask/verify", data=fields, headers=headers) as answer:
        assert (answer.status, answer.url.path.startswith(f"{prefix}/")) == (200, True)
        assert "alert" in await answer.text()
    async with browser.get(f"{prefix}/api/v1/openapi.json") as answer:
        assert (await answer.json())["servers"] == [{"url": f"{prefix}/api/v1"}]
    async with browser.get(f"{prefix}/readyz", headers={"Host": "localhost"}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_the_proxy_ends_slow_headers(url: str, redis_server: RedisServer, short_path: Path, kind: str):
    limits = HEADER_LIMITS[kind]
    async with standing(url, redis_server, short_path, kind, **limits) as (_, proxy), asyncio.timeout(50):
        reader, writer = await asyncio.open_connection("localhost", proxy.port, ssl=proxy.trusting())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: ")
        assert b"200" not in await reader.read()
        writer.close()


async def test_nginx_refuses_a_body_by_its_length(url: str, redis_server: RedisServer, short_path: Path):
    async with standing(url, redis_server, short_path, "nginx") as (_, proxy), asyncio.timeout(50):
        reader, writer = await asyncio.open_connection("localhost", proxy.port, ssl=proxy.trusting())
        writer.write(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000000000\r\n\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_a_site_under_a_path_answers_nothing_beside_it(url: str, redis_server: RedisServer, tmp_path: Path):
    async with Site(settings_of(url, redis_server.url, tmp_path / "data", web_prefix="/dnc")) as site:
        browser = site.browser()
        for path in ("/", "/sign-in", "/static/site.css", "/api/v1/openapi.json", "/dnc2/sign-in"):
            assert (await browser.get(path)).status == 404, path
        start = await browser.get("/dnc")
        assert (start.status, start.location) == (308, "/dnc/")
        assert (await browser.get("/dnc/")).location == "/dnc/sign-in?next=/dnc/"
        for path in ("/healthz", "/readyz", "/dnc/healthz", "/dnc/readyz"):
            assert (await browser.get(path)).status == 200, path
        signed_in = await browser.post("/dnc/sign-in", {"name": "agent", "password": PASSWORD, "next": "/other/"})
        assert signed_in.location == "/dnc/"


def test_no_link_of_a_template_leaves_the_path():
    templates = Path(__file__).parents[3] / "admin_web" / "site" / "templates"
    links = {path.name: [link for _, link in LINK.findall(path.read_text())] for path in templates.rglob("*.html")}
    assert {name: bad for name, found in links.items() if (bad := [one for one in found if one.startswith("/")])} == {}
