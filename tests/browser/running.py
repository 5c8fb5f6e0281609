"""The whole product as real processes, with users of each role, and functions that prepare data for tests."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import text, update

from admin_web.documents import DocumentStore, Kept, pieces_of
from admin_web.lists.registries.import_jobs import RegistryImport, ask_import
from admin_web.lists.registries.version_request import FULL
from admin_web.lists.sheet_store import SheetStore
from admin_web.people.accounts import add_user
from admin_web.projection.projection import Projection
from admin_web.record.changes import Actor, Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import User
from admin_web.services.consents import Consent
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import suppress
from admin_web.settings import AdminSettings
from agi_gate.canary import Answer
from compliance.consent import ATTESTATION, Basis, Role
from compliance.numbers import E164, LeadId
from lab.process import Process, free_port
from lab.redis import RedisServer
from tests.support.programs import Program
from tests.support.stack import Stack

PASSWORD = "nine horses under a bridge"
SHELL = Actor("shell:test")
ADMIN = Actor("admin", "192.0.2.8", Role.ADMIN)
PATIENT = {"DNC_DEADLINE_MS": "1000"}
"""A generous deadline, because browser, site and engines share a machine: speed is not tested here."""

AREAS = (415, 212, 213, 312, 503, 512, 602, 617, 628, 702, 713, 720, 773, 808, 917)

Result = TypeVar("Result")


def fictional_numbers() -> Iterator[E164]:
    """Yield the numbers that are reserved for fiction: 555-0100 to 555-0199 of each area code."""
    return (E164(f"+1{area}55501{line:02}") for area in AREAS for line in range(100))


class Running(Stack):
    """Redis, worker, gate and site as processes. Each role has a user of the same name, with `PASSWORD`."""

    def __init__(self, directory: Path, redis: RedisServer, database_url: str, **settings: str) -> None:
        super().__init__(directory, redis, database_url, **{**PATIENT, **settings})
        self.port = free_port()
        self.environment["DNC_WEB_BIND"] = f"127.0.0.1:{self.port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.site: Process | None = None
        self.cookies: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(1)  # The tests' own thread belongs to Playwright's event loop.
        self._numbers, self._leads = fictional_numbers(), count(1)

    def start(self) -> Self:
        try:
            super().start()
            self.add_people()
            self.start_site()
        except BaseException:
            self.stop()
            raise
        return self

    def until_ready(self, within_s: float = 60.0) -> None:
        super().until_ready(within_s)

    def start_site(self) -> Process:
        self.site = Program("admin_web", ["serve"], self.directory / "site.log", self.environment)
        self.site.wait_until(lambda: self.answers("/sign-in"), within_s=60)
        return self.site

    def answers(self, path: str) -> bool:
        """Return whether the site shows this page to a visitor who is not signed in."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        if self.site is not None:
            self.site.kill()
        super().stop()
        self._thread.shutdown()

    def do(self, work: Callable[[Records], Awaitable[Result]]) -> Result:
        """Run services on the record and the Redis of this product, and return the result."""
        return self._thread.submit(asyncio.run, self._done(work)).result()

    async def _done(self, work: Callable[[Records], Awaitable[Result]]) -> Result:
        settings = AdminSettings(database_url=self.database_url, redis_url=self.redis.url, data_dir=self.directory)
        async with Database(settings.database) as database, Projection(database, settings) as projection:
            return await work(Records(database, projection))

    def add_people(self) -> None:
        self.add_people_named({role.value: role for role in Role})

    def add_people_named(self, people: Mapping[str, Role]) -> None:
        async def work(records: Records) -> None:
            for name, role in people.items():
                await add_user(records.database, SHELL, name, role, PASSWORD)
            async with records.database.write() as session:  # as if each had changed their first password
                await session.execute(update(User).values(password_until=None))

        self.do(work)

    def number(self) -> E164:
        """Return a number that no other test uses."""
        return next(self._numbers)

    def lead(self, number: E164 | None = None, *, name: str = "", listed: bool = False) -> LeadGiven:
        """Add a lead, on a number of its own unless given, and return it."""
        which = next(self._leads)
        lead = LeadGiven(LeadId(f"lead-{which}"), number or self.number(), name or f"Lead {which}")

        async def work(records: Records) -> None:
            await put_leads(records, SHELL, [lead])
            if listed:
                standing = (await suppress(records, SHELL, lead.number, source="test")).standing
                assert standing.in_force, standing

        self.do(work)
        return lead

    def grant(self, lead: LeadGiven, document: Path, **more: Any) -> int:
        """Place an override as `supervisor`, and return its id."""

        async def work(records: Records) -> int:
            kept = await self._keep(document)
            consent = Consent(lead.id, Basis.SIGNED_CONSENT, date(2026, 1, 2), kept, ATTESTATION, **more)
            granted = await grant_override(records, Actor("supervisor", "192.0.2.7", Role.SUPERVISOR), consent)
            assert granted.standing.in_force, granted.standing
            return granted.override_id

        return self.do(work)

    def sheet(self, content: bytes, name: str, kind: str, registry: str = "") -> str:
        """Upload a file for import as `admin`, and return its token."""

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        async def work(records: Records) -> str:
            store = SheetStore(self.directory / "imports", 1_000_000)
            return (await store.keep(pieces(), name, kind, "admin", registry)).token

        return self.do(work)

    def imported(self, registry: str) -> int:
        """Import a registry file with one bad row through the worker, and return the job's id."""
        token = self.sheet(b"02079460000 \r\nodd\r\n", "first.txt", IMPORT_REGISTRY.name, registry)

        async def work(records: Records) -> int:
            sheet = SheetStore(self.directory / "imports", 1_000_000).find(token)
            return await ask_import(records.database, ADMIN, RegistryImport(sheet, FULL, utc_now().date(), 0))

        job = self.do(work)
        assert self.worker is not None
        done = "SELECT 1 FROM jobs WHERE id = :job AND outcome = 'done'"
        self.worker.wait_until(lambda: bool(self.rows(done, job=job)), within_s=90)
        return job

    async def _keep(self, document: Path) -> Kept:
        store = DocumentStore(self.documents, 25_000_000)
        return await store.keep(pieces_of(document), document.name, "application/pdf")

    @property
    def documents(self) -> Path:
        """Directory of the consent documents."""
        return self.directory / "documents"

    def kept_files(self) -> list[str]:
        """Return all files below the documents directory, incomplete ones too."""
        if not self.documents.exists():
            return []
        return sorted(str(path.relative_to(self.documents)) for path in self.documents.rglob("*") if path.is_file())

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Run a query on the database, and return its rows."""
        with self.sql.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def judged(self, number: str, lead: str = "") -> tuple[bool, str]:
        """Query the gate over its AGI port; return whether it allows the call, and the reason."""
        assert self.gate is not None
        answer: Answer = self.gate.screen(number, lead)
        return answer.allowed, answer.reason

    def site_log(self) -> list[dict[str, Any]]:
        """Return the log of the site."""
        assert self.site is not None
        lines = self.site.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]
