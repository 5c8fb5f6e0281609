"""Security events: each refusal and export is on record and in the log, without secrets, and floods are bounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs

from admin_web.people.security_events import MOST_OF_ACTION, MOST_OF_NETWORK
from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Actor
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import AuditEvent
from admin_web.services.suppression import suppress
from admin_web.site.keys import SECURITY
from compliance.consent import Role
from tests.support.records import ADMIN, NUMBER
from tests.support.site import PASSWORD, Browser, Site, settings_of

SECRET = "typed into the wrong field"


@pytest.fixture
async def timed(database_url, redis_server, tmp_path, clock):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        site.clock = clock
        yield site


class Lines(list[dict]):
    """The lines of the log, in place of the logger, which another test of this worker may have set up."""

    def info(self, event: str, **more: object) -> None:
        self.append({"event": event, **more})


@contextmanager
def logged() -> Iterator[Lines]:
    with pytest.MonkeyPatch.context() as patch:
        lines = Lines()
        patch.setattr("admin_web.record.changes.log", lines)
        yield lines


async def events(site: Site) -> list[AuditEvent]:
    async with site.database.read() as session:
        return list(await session.scalars(select(AuditEvent).order_by(AuditEvent.id)))


async def wrong_name(browser: Browser) -> None:
    await browser.sign_in(SECRET, PASSWORD)


async def wrong_password(browser: Browser) -> None:
    await browser.sign_in("agent", SECRET)


async def too_many(browser: Browser) -> None:
    for _ in range(7):
        await browser.sign_in("agent", SECRET)


async def signed_out(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.post("/sign-out")


async def forbidden(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.get("/calls?number=4155550100")


async def forged(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.post("/account/password", {"csrf": "x", "present": SECRET})


async def from_elsewhere(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.post("/account/password", {"present": SECRET}, Origin="https://evil.example")


async def wrong_own_password(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.post("/account/password", {"present": SECRET, "new": SECRET * 2, "again": SECRET * 2})


async def codes_turned_on_wrongly(browser: Browser) -> None:
    await browser.sign_in("agent")
    await browser.post("/account/codes", {"password": SECRET})


CASES = {
    wrong_name: ("sign-in-refused", "", "user", "", {"name": "unknown"}),
    wrong_password: ("sign-in-refused", "agent", "user", "agent", {"name": "known"}),
    too_many: ("throttled", "", "user", "", {"limit": "pair"}),
    signed_out: ("sign-out", "agent", "user", "agent", {}),
    forbidden: ("forbidden", "agent", "page", "GET calls", {}),
    forged: ("forged-form", "agent", "page", "POST account-password", {}),
    from_elsewhere: ("forged-form", "agent", "page", "POST account-password", {}),
    wrong_own_password: ("password-refused", "agent", "user", "agent", {}),
    codes_turned_on_wrongly: ("password-refused", "agent", "user", "agent", {}),
}


@pytest.mark.parametrize("act", CASES, ids=lambda act: act.__name__)
async def test_a_security_event_is_in_the_audit_and_in_the_log_and_no_secret_is(timed: Site, act):
    with logged() as log:
        await act(timed.browser())
    action, by, kind, subject, particulars = CASES[act]
    event = (await events(timed))[-1]
    assert (event.action, event.done_by, event.subject_kind, event.subject_id) == (action, by, kind, subject)
    assert event.particulars == particulars
    assert event.done_from == "127.0.0.1"
    line = log[-1]
    assert (line["event"], line["action"], line["by"], line["address"]) == ("security", action, by, "127.0.0.1")
    everything = str(log) + str([(one.done_by, one.subject_id, one.particulars) for one in await events(timed)])
    for secret in (SECRET, PASSWORD, "4155550100"):
        assert secret not in everything


@pytest.mark.parametrize(("path", "route"), [
    ("/lists/export?source=api", "lists-export"),
    ("/audit/export?by=agent", "audit-export"),
    ("/calls/export.csv?lead=L-1", "calls-csv"),
    ("/calls/export.jsonl?lead=L-1", "calls-jsonl"),
    ("/monitor/export?state=active", "monitor-export"),
])  # fmt: skip
async def test_each_export_is_on_record_with_its_filter_and_its_rows(site: Site, path: str, route: str):
    await suppress(site.records, ADMIN, NUMBER, source="api")
    with logged() as log:
        answer = await (await site.person(Role.AUDITOR)).get(path)
    assert answer.status == 200
    event = (await events(site))[-1]
    rows = 1 if route == "lists-export" else 0
    assert (event.action, event.done_by, event.subject_kind, event.subject_id) == ("export", "auditor", "export", route)
    assert event.particulars == {"filter": path.partition("?")[2], "rows": rows, "complete": "yes"}
    assert log[-1]["particulars"]["rows"] == rows


async def test_a_number_in_the_filter_of_an_export_is_masked_in_the_log_alone(site: Site):
    with logged() as log:
        await (await site.person(Role.AUDITOR)).get("/calls/export.csv?number=%2B1+415+555+0100")
    assert (await events(site))[-1].particulars["filter"] == "number=+1 415 555 0100"
    assert "0100" not in log[-1]["particulars"]["filter"]


async def test_the_end_of_a_token_stands_in_the_log_unmasked(site: Site):
    with logged() as log:
        await make_token(site.database, ADMIN, "crm", [Scope.READ])
    assert datetime.fromisoformat(log[-1]["particulars"]["expires_at"]).tzinfo


async def test_a_flood_of_refusals_is_thinned_and_counted(timed: Site):
    security = timed.app[SECURITY]
    with logged() as log:
        for place in range(MOST_OF_NETWORK + 5):
            await security.audit("forbidden", "page", "GET calls", Actor("", f"2001:db8::{place:x}"))
        for place in range(2 * MOST_OF_ACTION):
            await security.audit("token-refused", "token", "", Actor("", f"192.0.2.{place}"), why="unknown")
        timed.clock.move(seconds=60)
        await security.audit("forbidden", "page", "GET calls", Actor("", "2001:db8::1"))
    kept = [(event.action, event.particulars.get("more")) for event in await events(timed)]
    assert kept.count(("forbidden", None)) == MOST_OF_NETWORK + 1
    assert kept.count(("token-refused", None)) == MOST_OF_ACTION
    assert ("forbidden", 5) in kept
    assert ("token-refused", MOST_OF_ACTION) in kept
    assert len(log) == len(kept)


async def test_what_was_only_counted_is_recorded_when_the_site_stops(database_url, redis_server, tmp_path, clock):
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data"), clock) as site:
        for _ in range(MOST_OF_NETWORK + 3):
            await site.app[SECURITY].audit("forbidden", "page", "GET calls", Actor("", "192.0.2.1"))
    async with Database(database_url) as database, database.read() as session:
        last = await session.scalar(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1))
    assert last.particulars == {"more": 3}


async def test_a_refusal_is_answered_and_logged_while_the_database_is_away(timed: Site, monkeypatch):
    def away(*_):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("admin_web.people.security_events.changing", away)
    browser = await timed.person(Role.AGENT)
    with logged() as log:
        assert (await browser.get("/calls")).status == 403
    assert log[-1]["action"] == "forbidden"


async def test_a_refusal_is_answered_while_the_table_of_events_is_damaged(timed: Site):
    async with timed.database.alter() as connection:
        await connection.execute(text("CREATE UNIQUE INDEX damaged ON audit_events (action)"))
    browser = timed.browser()
    with capture_logs():
        for _ in range(MOST_OF_NETWORK + 1):
            assert (await browser.get("/api/v1/leads", Authorization="Bearer nonsense")).status == 401
        await timed.app[SECURITY].flush()
    async with timed.database.alter() as connection:
        await connection.execute(text("DROP INDEX damaged"))
    assert [event.action for event in await events(timed)] == ["token-refused"]
