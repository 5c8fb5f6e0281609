"""The real site on a real port, and browsers that sign in and send its forms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import CodeType
from typing import Self
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import ClientSession, CookieJar, FormData
from aiohttp.test_utils import TestServer
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from yarl import URL

from admin_web.app import make_app
from admin_web.people import sessions
from admin_web.people.passwords import hash_password
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import User
from admin_web.settings import AdminSettings
from admin_web.site.guard import CSRF_FIELD
from admin_web.site.keys import DATABASE, DOCUMENTS, NOW, PROJECTION, RECORDS
from compliance.consent import Role

PASSWORD = "a password of the tests"
FIELD = re.compile(rf'name="{CSRF_FIELD}" value="([^"]*)"')
_HASHES: list[str] = []


@dataclass(frozen=True)
class Answer:
    """One response of the site; redirects are not followed. `location` is the redirect's path and query."""

    status: int
    text: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def location(self) -> str:
        parts = urlsplit(self.headers.get("Location", ""))
        return parts.path + (f"?{parts.query}" if parts.query else "")


class Browser:
    """One browser: it keeps cookies, sends an Origin header with forms, and sends the CSRF token of its session."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.session = ClientSession(origin, cookie_jar=CookieJar(unsafe=True))
        self.csrf = ""

    def cookie(self) -> str:
        """Return the value of the session cookie."""
        return self.session.cookie_jar.filter_cookies(URL(self.origin))["dnc_session"].value

    def use_cookie(self, token: str) -> None:
        """Send this session cookie from now on."""
        self.session.cookie_jar.update_cookies({"dnc_session": token}, URL(self.origin))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, fields: Mapping[str, str] | None = None, **headers: str) -> Answer:
        """Send a form. A given `csrf` field or `Origin` header replaces the browser's own."""
        sent = {CSRF_FIELD: self.csrf, **(fields or {})}
        return await self._ask("POST", path, data=sent, headers={"Origin": self.origin, **headers})

    async def upload(
        self, path: str, fields: Mapping[str, str], name: str, file: tuple[str, bytes, str] | None, **headers: str
    ) -> Answer:
        """Send a form with a file field `name`: file name, content, media type; None leaves it out."""
        form = FormData(quote_fields=False, default_to_multipart=True)  # as browsers name files
        for field, value in {CSRF_FIELD: self.csrf, **fields}.items():
            form.add_field(field, value)
        if file is not None:
            form.add_field(name, BytesIO(file[1]), filename=file[0], content_type=file[2])
        return await self._ask("POST", path, data=form, headers={"Origin": self.origin, **headers})

    async def page(self, path: str) -> str:
        """Return the text of a page, which must exist."""
        answer = await self.get(path)
        assert answer.status == 200, (path, answer.status, answer.text[:2000])
        return answer.text

    async def follow(self, answer: Answer) -> str:
        """Follow the redirect that answers a form, and return the text of the page."""
        assert answer.status == 303, (answer.status, answer.text[:2000])
        return await self.page(answer.location)

    async def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> Answer:
        """Sign in through the form."""
        answer = await self.post("/sign-in", {"name": name, "password": password, "code": code})
        if answer.status == 303:
            await self.learn_csrf()
        return answer

    async def learn_csrf(self) -> None:
        """Read the session's CSRF token from a form of a page."""
        found = FIELD.search((await self.get("/no-such-page")).text)
        assert found, "a signed-in page has no token"
        self.csrf = found[1]

    async def _ask(self, method: str, path: str, **more) -> Answer:
        async with self.session.request(method, path, allow_redirects=False, **more) as answer:
            body = await answer.read()
            return Answer(answer.status, body.decode("utf-8", "replace"), answer.headers, body)


class CompiledTemplates(BytecodeCache):
    """Keeps compiled templates for all sites of a process: compiling those of a page takes a tenth of a second."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.code


_COMPILED = CompiledTemplates()


class Site:
    """The site over a migrated database and a Redis, with one user for each role, named like the role."""

    def __init__(self, settings: AdminSettings, now=utc_now) -> None:
        self.settings = settings
        self.app = make_app(settings, now)
        self.app[aiohttp_jinja2.APP_KEY].bytecode_cache = _COMPILED
        self._server = TestServer(self.app)
        self._browsers: list[Browser] = []

    @property
    def database(self) -> Database:
        return self.app[DATABASE]

    @property
    def records(self) -> Records:
        return self.app[RECORDS]

    @property
    def projection(self):
        return self.app[PROJECTION]

    @property
    def documents(self):
        return self.app[DOCUMENTS]

    @property
    def port(self) -> int:
        return self._server.port or 0

    def now(self) -> datetime:
        return self.app[NOW]()

    async def __aenter__(self) -> Self:
        await self._server.start_server(auto_decompress=False)  # as compliance/http_server.py
        hashed = await password_hash()
        async with self.database.write() as session:
            for role in Role:
                user = User(name=role, role=role, password_hash=hashed, created_at=self.now(), created_by="tests")
                session.add(user)
        return self

    async def __aexit__(self, *_: object) -> None:
        for browser in self._browsers:
            await browser.session.close()
        await self._server.close()

    def browser(self) -> Browser:
        """Return a browser that is not signed in."""
        opened = Browser(str(self._server.make_url("/")).rstrip("/"))
        self._browsers.append(opened)
        return opened

    async def person(self, role: Role | str) -> Browser:
        """Return a browser in which the user of this role is signed in."""
        browser = self.browser()
        async with self.database.write() as session:
            token = sessions.start(session, str(role), "127.0.0.1", "tests", self.now())
            (begun,) = session.new
        browser.use_cookie(token)
        browser.csrf = begun.csrf_token  # Rendering a page to read it would double the time that this takes.
        return browser


async def password_hash() -> str:
    """Return the hash of PASSWORD. It is made only once, because it takes some 50 ms of CPU."""
    if not _HASHES:
        _HASHES.append(await hash_password(PASSWORD))
    return _HASHES[0]


def settings_of(database_url: str, redis_url: str, data_dir: Path, **more) -> AdminSettings:
    """Return the settings of a test's site."""
    return AdminSettings(database_url=database_url, redis_url=redis_url, data_dir=data_dir, **more)
