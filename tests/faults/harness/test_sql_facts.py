"""What SQL, Redis and the gates hold at the end of a run becomes events."""

from dataclasses import replace
from datetime import timedelta

from redis import Redis

from admin_web.record.changes import Actor, Records
from admin_web.record.database import Database
from admin_web.services.requests import record_request
from admin_web.services.suppression import lift
from admin_web.worker.decision_rows import put, row_of
from compliance.consent import Role
from compliance.numbers import E164
from compliance.redis_records import decision_fields
from compliance.redis_schema import epoch_ms
from compliance.verdict import FREE, Decision
from lab.redis import RedisServer
from tests.faults.harness.history import Audited, Entry, Left, Lost, Recorded
from tests.faults.harness.sql_facts import archived, left_in, lost, rows
from tests.support.records import Clock

NUMBER = E164("+14155550100")
ADMIN = Actor("admin", role=Role.ADMIN)


async def test_entries_audit_events_and_pending_changes_are_read(database_url: str, records: Records, clock: Clock):
    await record_request(records, ADMIN, NUMBER, source="api")
    await lift(records, ADMIN, NUMBER, reason="asked to be called")
    now = epoch_ms(clock())
    found = list(rows(database_url))
    (entry,) = (one for one in found if isinstance(one, Entry))
    assert entry == Entry(entry.id, NUMBER, "internal", "api", now, now)
    events = [(one.action, one.subject) for one in found if isinstance(one, Audited)]
    assert events == [("suppress", NUMBER), ("lift", NUMBER)]
    assert Left("outbox", 2) in found  # the projector of this test is a fake


async def test_decisions_are_read_with_what_was_answered(database_url: str, database: Database, clock: Clock):
    at = clock() + timedelta(milliseconds=5)
    decision = Decision("d1", at, FREE, "4155550100", NUMBER, "L-1", "u1", 3, "gate-1")
    fields = {name.encode(): str(value).encode() for name, value in decision_fields(decision).items()}
    async with database.write() as session:
        await put(session, [row_of(fields, at)])
    found = [one for one in rows(database_url) if isinstance(one, Recorded)]
    assert found == [Recorded("d1", NUMBER, "L-1", "ALLOW", "not-listed", "gate-1", "u1", epoch_ms(at))]
    assert archived(database_url) == 1


def test_what_is_left_in_the_streams_is_counted(redis_server: RedisServer):
    with Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert list(left_in({"redis": client})) == [Left("redis", 0)]
        client.xadd("dnc:decisions", {"id": "d1"})
        client.xadd("dnc:decisions{06S}", {"id": "d2"})
        client.xadd("dnc:decisions:unreadable", {"id": "d3"})
        client.set("dnc:decisions:other", 1)
        assert list(left_in({"redis": client})) == [Left("redis", 3)]


def test_the_lost_records_of_a_gate_are_read_from_its_metrics():
    text = "# TYPE dnc_gate_records_dropped counter\ndnc_gate_records_dropped_total 12.0\nother 3\n"
    assert list(lost([("gate-a", text), ("gate-b", "")])) == [Lost("gate-a", 12), Lost("gate-b", 0)]
    assert list(lost([("gate-a", text.replace("12.0", "1e+06"))])) == [replace(Lost("gate-a", 0), count=1_000_000)]
