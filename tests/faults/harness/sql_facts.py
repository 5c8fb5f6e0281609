"""The end of a run, as events: what SQL holds, what is left in Redis, and what the programs say of themselves."""

import re
from collections.abc import Iterable, Iterator, Mapping

from redis import Redis
from sqlalchemy import Connection, Engine, create_engine, func, make_url, select

from admin_web.record.models import AuditEvent, DecisionRecord, OutboxRow, Override, SuppressionEntry
from compliance.redis_schema import DECISIONS, epoch_ms
from tests.faults.harness.history import Audited, Entry, Event, Left, Lost, OverrideRow, Recorded

AT_ONCE = 10_000
"""Rows that are read at a time: a run records a million decisions."""

LOST = re.compile(r"^dnc_gate_records_dropped_total ([0-9.e+]+)$", re.MULTILINE)


def engine_of(url: str) -> Engine:
    """Return an engine for a database, whose URL is written as in the settings."""
    given = make_url(url)
    return create_engine(given.set(drivername="postgresql+psycopg") if given.drivername == "postgresql" else given)


def rows(url: str) -> Iterator[Event]:
    """Yield everything that SQL holds of a run."""
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            yield from _decisions(connection)
            yield from _audit_events(connection)
            yield from _entries(connection)
            yield from _overrides(connection)
            waiting = select(func.count()).select_from(OutboxRow).where(OutboxRow.applied_turn.is_(None))
            yield Left("outbox", connection.execute(waiting).scalar_one())
    finally:
        engine.dispose()


def archived(url: str) -> int:
    """Return how many decisions SQL holds."""
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(DecisionRecord)).scalar_one()
    finally:
        engine.dispose()


def _decisions(connection: Connection) -> Iterator[Recorded]:
    of = DecisionRecord
    asked = select(of.id, of.number, of.lead, of.verdict, of.reason, of.gate, of.channel, of.at).order_by(of.id)
    for name, number, lead, verdict, reason, gate, channel, at in _streamed(connection).execute(asked):
        yield Recorded(name, number, lead, verdict, reason, gate, channel, epoch_ms(at))


def _audit_events(connection: Connection) -> Iterator[Audited]:
    of = AuditEvent
    asked = select(of.id, of.action, of.subject_id, of.done_at).order_by(of.id)
    for event, action, subject, at in _streamed(connection).execute(asked):
        yield Audited(event, action, subject, epoch_ms(at))


def _entries(connection: Connection) -> Iterator[Entry]:
    of = SuppressionEntry
    asked = select(of.id, of.number, of.list_name, of.source, of.added_at, of.lifted_at).order_by(of.id)
    for entry, number, list_name, source, added, lifted in _streamed(connection).execute(asked):
        yield Entry(str(entry), number, list_name, source, epoch_ms(added), epoch_ms(lifted) if lifted else 0)


def _overrides(connection: Connection) -> Iterator[OverrideRow]:
    of = Override
    asked = select(of.id, of.number, of.lead_id, of.placed_at, of.expires_at, of.revoked_at).order_by(of.id)
    for override, number, lead, placed, expires, revoked in _streamed(connection).execute(asked):
        ended = epoch_ms(revoked) if revoked else 0
        yield OverrideRow(str(override), number, lead, epoch_ms(placed), epoch_ms(expires), ended)


def _streamed(connection: Connection) -> Connection:
    """Return the connection, which now reads some rows at a time."""
    return connection.execution_options(yield_per=AT_ONCE)


def left_in(servers: Mapping[str, Redis]) -> Iterator[Left]:
    """Yield what is left in the streams of each master, given by name. A server without a stream has nothing left."""
    for name, client in servers.items():
        streams = list(client.scan_iter(f"{DECISIONS}*", count=AT_ONCE, _type="stream"))
        yield Left(name, sum(client.xlen(key) for key in streams))


def lost(metrics: Iterable[tuple[str, str]]) -> Iterator[Lost]:
    """Yield how many records each gate counts as lost, given the name and the text of its `/metrics`."""
    for gate, text in metrics:
        found = LOST.search(text)
        yield Lost(gate, int(float(found[1])) if found else 0)
