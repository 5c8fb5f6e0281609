"""A system of record, its projection in a real Redis, and the gate's view of that projection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Self

import redis
from sqlalchemy import update

from admin_web.documents import Kept
from admin_web.projection.drain import Sides, drain
from admin_web.projection.projection import Projection
from admin_web.projection.shared import Shared
from admin_web.record.changes import Actor, Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Override
from admin_web.services.consents import Consent
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import lift, suppress, suppress_many
from admin_web.settings import AdminSettings
from compliance.consent import ATTESTATION, Basis
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import (
    LEASE,
    STATE,
    STATE_FIELDS,
    exchange_and_line,
    listed_key,
    override_key,
    read_override,
    read_state,
    terms_key,
)
from compliance.redis_terms import read_terms, terms_digest
from compliance.rule import decide
from compliance.terms import Applying, Terms
from compliance.verdict import Ruling, Verdict
from lab.redis import RedisServer
from tests.support.faults import Fuse, MortalDatabase, MortalStore

ADMIN = Actor("shell:test")
DOCUMENT = Kept("ab" * 32, "consent.pdf", "application/pdf", 1234)


class GateView:
    """Reads facts as the gate does, from the same keys and with the same checks, and applies the same rule."""

    def __init__(self, server: RedisServer, now: Callable[[], datetime] = utc_now) -> None:
        self.redis = redis.Redis(unix_socket_path=str(server.socket))
        self._now = now

    def rule(self, number: str, lead: str = "", campaign: str = "") -> Ruling:
        """Return the ruling on one call. Raises redis.RedisError."""
        while True:
            state = read_state(self.redis.hmget(STATE, *STATE_FIELDS))
            terms = self._terms(state)
            applying = terms.applying(E164(number), campaign) if terms else None
            facts = self._facts(E164(number), LeadId(lead) if lead else None, state, applying)
            if facts is not None:
                return decide(E164(number), facts, self._now())

    def allows(self, number: str, lead: str = "") -> bool:
        return self.rule(number, lead).verdict is Verdict.ALLOW

    def _terms(self, state: State | None) -> Terms | None:
        document = self.redis.get(terms_key(state.generation)) if state else None
        if document is None or terms_digest(document) != state.terms:
            return None
        return Terms(state.lists, *read_terms(document))

    def _facts(
        self, number: E164, lead: LeadId | None, expected: State | None, applying: Applying | None
    ) -> Facts | None:
        """Return the facts, read in one transaction; None when the state is no longer `expected`."""
        pipe = self.redis.pipeline(transaction=True)
        pipe.hmget(STATE, *STATE_FIELDS).exists(LEASE).info("server")
        lists = applying.lists if applying else ()
        for name in lists:
            exchange, line = exchange_and_line(number)
            pipe.sismember(listed_key(expected.generation, name, exchange), line)
        if expected and lead:
            pipe.get(override_key(expected.generation, number, lead))
        fields, leased, info, *answers = pipe.execute()
        state = read_state(fields)
        if state != expected:
            return None
        listed = tuple(name for name, answer in zip(lists, answers, strict=False) if answer)
        found = answers[len(lists)] if len(answers) > len(lists) else None
        override = read_override(found) if found else None
        return Facts(number, lead, info["run_id"], state, bool(leased), listed, override, applying)


class Undrained:
    """A projector for services that leaves changes in the outbox: the test drains them itself."""

    async def drain(self, numbers: Collection[E164] | None = None) -> None:
        del numbers


class World:
    """Services that record changes, a projection that the test drives, and the gate's view of it."""

    def __init__(self, database: Database, server: RedisServer, *, now: Callable[[], datetime] = utc_now) -> None:
        self.database, self.server, self.now = database, server, now
        self.settings = AdminSettings(redis_url=server.url, lease_s=60, data_dir=server.directory)
        self.projection = Projection(database, self.settings, now=now)
        self.records = Records(database, Undrained(), now)
        self.gate = GateView(server, now)

    @property
    def redis(self) -> redis.Redis:
        return self.gate.redis

    @asynccontextmanager
    async def mortal(self, fuse: Fuse) -> AsyncIterator[Projection]:
        """Yield the projection of another process, which dies at the step of the fuse."""
        async with self.behind(self.server.url) as other:
            other.sides = Sides(MortalDatabase(self.database, fuse), MortalStore(self.server.url, fuse), self.now)
            other._drain = Shared(partial(drain, other.sides))
            try:
                yield other
            finally:
                await other.sides.store.close()

    def behind(self, url: str) -> Projection:
        """Return the projection of another process, which connects to Redis at `url`."""
        settings = self.settings.model_copy(update={"redis_url": url})
        return Projection(self.database, settings, now=self.now)

    async def keys(self, pattern: str = "dnc:[0-9]*") -> list[str]:
        """Return the keys of numbers and overrides, sorted, without the terms that each generation has as well."""
        found = (key.decode() for key in self.redis.scan_iter(pattern))
        return sorted(key for key in found if not key.endswith(":terms"))

    async def restart(self, *, empty: bool = False) -> None:
        """Kill Redis and start it again, with its data or without."""
        await asyncio.to_thread(self.server.restart, empty=empty)
        await asyncio.sleep(0.01)  # The event loop notices the broken connections.

    async def suppress(self, number: str, list_name: str = "internal") -> None:
        await suppress(self.records, ADMIN, E164(number), source="test", list_name=list_name)

    async def suppress_many(self, numbers: list[str]) -> None:
        await suppress_many(self.records, ADMIN, [E164(number) for number in numbers], source="test")

    async def lift(self, number: str) -> None:
        await lift(self.records, ADMIN, E164(number), reason="test")

    async def grant(self, number: str, lead: str, **duration: float) -> int:
        """Place an override and return its id. The number must be listed."""
        expires_at = self.now() + timedelta(**duration) if duration else None
        consent = Consent(
            LeadId(lead), Basis.SIGNED_CONSENT, date(2026, 1, 1), DOCUMENT, ATTESTATION,
            number=E164(number), expires_at=expires_at,
        )  # fmt: skip
        return (await grant_override(self.records, ADMIN, consent)).override_id

    async def grant_until_soon(self, number: str, lead: str, **left: float) -> None:
        """Open a lead for so long from now on. No service places an override whose end has come meanwhile."""
        override_id = await self.grant(number, lead, hours=1)
        async with self.database.write() as session:
            ends = update(Override).where(Override.id == override_id)
            await session.execute(ends.values(expires_at=self.now() + timedelta(**left)))

    async def revoke(self, override_id: int) -> None:
        await revoke_override(self.records, ADMIN, override_id, reason="test")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.projection.close()
        self.redis.close()


def forces(world: World) -> Records:
    """Return records whose changes are put in force at once."""
    return Records(world.database, world.projection, world.now)
