"""The Compliance Monitor: what each role sees, revoking with its messages and effects, and downloads of documents."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pytest

from admin_web.documents.shelf import relative_path
from admin_web.record.changes import Actor
from admin_web.record.models import AuditEvent, CallDetail, DecisionRecord, Override
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import lift, suppress
from admin_web.services.telephones import assign_telephone
from admin_web.site.views.monitor import BASES
from compliance.consent import ATTESTATION, Basis, Role
from compliance.numbers import LeadId
from lab.redis import RedisServer
from tests.support.projection import GateView
from tests.support.records import ADMIN, CONSENT, NUMBER, OTHER, SUPERVISOR, rows
from tests.support.samples import HTML, PDF
from tests.support.site import Browser, Site

LEADS = [LeadId(f"L-{number}") for number in range(1, 5)]
TODAY = date(2026, 2, 27)


@dataclass
class Placed:
    """A site where one of four leads with the same listed number has an override."""

    site: Site
    override: int
    sha256: str
    gate: GateView

    @property
    def path(self) -> str:
        return f"/monitor/{self.override}"


async def upload(site: Site, content: bytes = PDF, name: str = "consent.pdf"):
    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return await site.documents.keep(pieces(), name)


async def place_override(site: Site, lead: LeadId, more: bytes = b"", **consent) -> int:
    kept = await upload(site, PDF + more, consent.pop("name", "consent.pdf"))
    given = replace(CONSENT, lead=lead, document=kept, consented_on=TODAY, **consent)
    return (await grant_override(site.records, SUPERVISOR, given)).override_id


@pytest.fixture
async def placed(site: Site, redis_server: RedisServer) -> AsyncIterator[Placed]:
    given = [LeadGiven(lead, NUMBER, f"Northwind Traders {lead}") for lead in LEADS]
    await put_leads(site.records, ADMIN, given)
    await put_leads(site.records, ADMIN, [LeadGiven(LeadId("M-1"), OTHER, "Lead 12")])
    for number in (NUMBER, OTHER):
        await suppress(site.records, ADMIN, number, source="phone")
    override = await place_override(site, LEADS[0])
    gate = GateView(redis_server)
    await site.projection.renew_lease()
    yield Placed(site, override, (await upload(site)).sha256, gate)
    gate.redis.close()


async def events(site: Site, action: str) -> list[AuditEvent]:
    return [event for event in await rows(site.records, AuditEvent) if event.action == action]


async def test_an_override_is_shown_with_all_that_was_put_on_record(placed: Placed):
    admin = await placed.site.person(Role.ADMIN)
    page = await admin.page(placed.path)
    for shown in (
        "Northwind Traders L-1", "Signed consent", ATTESTATION, "192.0.2.7", "supervisor", placed.sha256,
        "consent.pdf", "27 Feb 2026", "grant-override", "Override placed", "No calls yet",
    ):  # fmt: skip
        assert shown in page, shown
    table = await admin.page("/monitor")
    assert f'href="{placed.path}"' in table
    assert "Northwind Traders L-1" in table


async def test_the_page_says_before_what_revoking_does_and_after_that_it_is_in_force(placed: Placed):
    await place_override(placed.site, LEADS[1], b"2")
    admin = await placed.site.person(Role.ADMIN)
    assert placed.gate.allows(NUMBER, LEADS[0])
    page = await admin.page(placed.path)
    assert "Lead L-1 is blocked from the next call on. 2 other leads on this number stay blocked" in page
    assert "1 other lead keeps its own override" in page
    answer = await admin.post(f"{placed.path}/revoke", {"state": "active", "reason": "They asked again."})
    after = await admin.follow(answer)
    assert "is revoked. Lead L-1 is blocked from the next call on." in after
    assert "In force now." in after
    assert "They asked again." in after
    assert not placed.gate.allows(NUMBER, LEADS[0])
    assert placed.gate.allows(NUMBER, LEADS[1])
    assert 'action="/monitor/1/revoke"' not in after


async def test_a_revocation_that_redis_does_not_hear_of_is_recorded_and_says_so(
    placed: Placed, redis_server: RedisServer
):
    admin = await placed.site.person(Role.ADMIN)
    await asyncio.to_thread(redis_server.stop)
    answer = await admin.post(f"{placed.path}/revoke", {"state": "active", "reason": "They asked again."})
    assert "Recorded, not yet in force" in await admin.follow(answer)
    (override,) = await rows(placed.site.records, Override)
    assert override.revoked_by == "admin"


async def test_a_number_that_was_lifted_is_not_promised_to_be_blocked(placed: Placed):
    await lift(placed.site.records, ADMIN, NUMBER, reason="a mistake")
    page = await (await placed.site.person(Role.ADMIN)).page(placed.path)
    assert "is on no list now, so lead L-1 can be dialled without an override" in page
    assert "blocked from the next call on" not in page


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2001])
async def test_revoking_without_a_reason_that_can_be_kept_shows_it_beside_the_field(placed: Placed, reason: str):
    admin = await placed.site.person(Role.ADMIN)
    answer = await admin.post(f"{placed.path}/revoke", {"state": "active", "reason": reason})
    assert answer.status == 422
    assert 'id="reason-error"' in answer.text
    assert "The reason is" in answer.text
    assert reason.strip() in answer.text
    assert (await rows(placed.site.records, Override))[0].revoked_at is None


@pytest.mark.parametrize("what", ["revoke", "review"])
async def test_a_form_from_before_somebody_elses_revocation_is_refused_with_who_and_why(placed: Placed, what: str):
    admin = await placed.site.person(Role.ADMIN)
    await admin.page(placed.path)
    await revoke_override(placed.site.records, Actor("boss", role=Role.ADMIN), placed.override, reason="Wrong number.")
    answer = await admin.post(f"{placed.path}/{what}", {"state": "active", "reason": "Mine."})
    assert answer.status == 409
    assert "was revoked by boss" in answer.text
    assert "Wrong number." in answer.text
    assert "Nothing was changed" in answer.text
    (override,) = await rows(placed.site.records, Override)
    assert (override.revoked_by, override.revoke_reason, override.reviewed_at) == ("boss", "Wrong number.", None)


async def test_of_two_who_revoke_at_once_one_is_told_that_the_other_did(placed: Placed):
    sent = {"reason": "At once."}
    first, second = await placed.site.person(Role.ADMIN), await placed.site.person(Role.ADMIN)
    answers = await asyncio.gather(*(one.post(f"{placed.path}/revoke", sent) for one in (first, second)))
    assert sorted(answer.status for answer in answers) == [303, 409]
    assert len(await events(placed.site, "revoke-override")) == 1


async def test_what_has_expired_cannot_be_revoked(placed: Placed):
    async with placed.site.database.write() as session:
        (await session.get(Override, placed.override)).expires_at = placed.site.now() - timedelta(seconds=1)
    admin = await placed.site.person(Role.ADMIN)
    assert 'action="/monitor/1/revoke"' not in await admin.page(placed.path)
    late = {"reason": "Late."}
    for sent, said in (
        ({"state": "active", **late}, "after you opened this page"),
        (late, "there is nothing to revoke"),
    ):
        answer = await admin.post(f"{placed.path}/revoke", sent)
        assert answer.status == 409
        assert "Override 1 expired on" in answer.text
        assert said in answer.text
    assert (await rows(placed.site.records, Override))[0].revoked_at is None


async def test_reviewing_is_put_on_record_once(placed: Placed):
    admin = await placed.site.person(Role.ADMIN)
    assert "To review" in await admin.page("/monitor?shown=unreviewed")
    page = await admin.follow(await admin.post(f"{placed.path}/review", {"state": "active"}))
    assert "marked as reviewed" in page
    again = await admin.post(f"{placed.path}/review", {"state": "active"})
    assert again.status == 409
    assert "was already reviewed by admin" in again.text
    assert len(await events(placed.site, "review-override")) == 1
    assert "No overrides awaiting review" in await admin.page("/monitor?shown=unreviewed")


@pytest.mark.parametrize("role", [Role.AGENT, None])
async def test_agents_and_strangers_see_no_override_and_no_document_by_address(placed: Placed, role: Role | None):
    asking = await placed.site.person(role) if role else placed.site.browser()
    for path in ("/monitor", placed.path, f"{placed.path}/document", "/monitor/export", "/monitor/999"):
        answer = await asking.get(path)
        assert answer.status == (403 if role else 303), path
        assert placed.sha256 not in answer.text
        assert b"%PDF" not in answer.body
    for path in (f"{placed.path}/review", f"{placed.path}/revoke"):
        assert (await asking.post(path, {"reason": "x"})).status == (403 if role else 401)
    assert await events(placed.site, "read-document") == []
    assert "Compliance Monitor" not in (await asking.get("/no-such-page")).text


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AUDITOR])
async def test_supervisors_and_auditors_read_and_change_nothing(placed: Placed, role: Role):
    reader = await placed.site.person(role)
    page = await reader.page(placed.path)
    assert placed.sha256 in page
    assert "/revoke" not in page
    assert "/review" not in page
    assert (await reader.get(f"{placed.path}/document")).body == PDF
    for what in ("review", "revoke"):
        assert (await reader.post(f"{placed.path}/{what}", {"state": "active", "reason": "x"})).status == 403
    (override,) = await rows(placed.site.records, Override)
    assert (override.revoked_at, override.reviewed_at) == (None, None)


async def test_a_document_is_a_file_to_keep_and_never_a_page_of_the_site(placed: Placed):
    evil = await upload(placed.site, PDF + HTML, '"><img src=x onerror=alert(1)>;\u202e.PDF')
    given = replace(CONSENT, lead=LEADS[1], document=evil, consented_on=TODAY)
    override = (await grant_override(placed.site.records, SUPERVISOR, given)).override_id
    auditor = await placed.site.person(Role.AUDITOR)
    answer = await auditor.get(f"/monitor/{override}/document")
    assert answer.body == PDF + HTML
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Length"] == str(len(PDF + HTML))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cache-Control"] == "no-store"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith(f"attachment; filename=override-{override}.pdf; filename*=UTF-8''")
    assert re.fullmatch(r"[ -~]+", disposition)
    assert "<" not in disposition
    (event,) = await events(placed.site, "read-document")
    assert (event.done_by, event.subject_id, event.particulars) == ("auditor", str(override), {"document": evil.sha256})
    page = await auditor.page(f"/monitor/{override}")
    assert re.search(r"<dd>application/pdf, [0-9.]+ \w+, 1 page</dd>", page)
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in await auditor.page("/monitor")


@pytest.mark.parametrize("damage", [PDF + b" ", PDF[:-1], b"", HTML, None])
async def test_of_a_document_that_was_changed_not_one_byte_is_given_out_and_it_is_told(placed: Placed, damage):
    path = placed.site.documents.directory / relative_path(placed.sha256)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    admin = await placed.site.person(Role.ADMIN)
    answer = await admin.get(f"{placed.path}/document")
    assert answer.status == 409
    assert "is not the file that was uploaded, so it is not shown" in answer.text
    assert "Restore the file from a backup" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Content-Disposition" not in answer.headers
    (event,) = await events(placed.site, "document-unfit")
    assert (event.done_by, event.subject_id) == ("admin", str(placed.override))
    assert await events(placed.site, "read-document") == []
    assert "document-unfit" in await admin.page(placed.path)


async def test_the_calls_under_an_override_are_told_with_who_whom_and_how_they_ended(placed: Placed):
    at = placed.site.now()
    async with placed.site.database.write() as session:
        for number, override in ((1, placed.override), (2, placed.override), (3, 99)):
            decision = f"decision-{number}"
            session.add(
                DecisionRecord(
                    id=decision,
                    at=at + timedelta(seconds=number),
                    verdict="ALLOW",
                    reason="override",
                    detail="",
                    override=str(override),
                    number=NUMBER,
                    dialed="4155550100",
                    lead="L-1",
                    channel=f"pbx-{number}",
                    generation=1,
                    gate="gate-1",
                    archived_at=at,
                    agent="agent" if number == 1 else "",
                    telephone="PJSIP/desk" if number == 2 else "",
                )
            )
        session.add(
            CallDetail(
                channel="pbx-1",
                decision_id="decision-1",
                source="agent",
                destination=NUMBER,
                disposition="ANSWERED",
                started_at=at,
                answered_at=at,
                ended_at=at,
                seconds_billed=75,
            )
        )
    page = await (await placed.site.person(Role.ADMIN)).page(placed.path)
    calls = page[page.index('id="calls"') : page.index('id="trail"')]
    assert calls.count("<tr>") == 3  # a header row and two calls
    shown = "agent", "telephone PJSIP/desk", "Answered", "1:15", "no PBX record yet", "Allowed", "Northwind Traders L-1"
    for text in shown:
        assert text in calls, text
    await assign_telephone(placed.site.records, ADMIN, "PJSIP/desk", "erin", earlier=True)
    page = await (await placed.site.person(Role.ADMIN)).page(placed.path)
    assert page[page.index('id="calls"') : page.index('id="trail"')].count("<td>erin</td>") == 1


async def many(site: Site, number: int, **columns) -> None:
    """Insert overrides as if they had been placed over the years."""
    (first, *_) = await rows(site.records, Override)
    at = site.now()
    shared = {
        "lead_id": "M-1", "number": OTHER, "basis": "written-consent", "consented_on": TODAY,
        "document_id": first.document_id, "attestation": ATTESTATION, "placed_at": at - timedelta(days=40),
        "placed_by": "boss", "placed_from": "", "expires_at": at + timedelta(days=300), **columns,
    }  # fmt: skip
    async with site.database.write() as session:
        session.add_all(Override(**shared) for _ in range(number))


def found(page: str) -> list[int]:
    """Return the override ids of a table, in its order."""
    return [int(one) for one in re.findall(r'<th scope="row"><a href="/monitor/(\d+)"', page)]


async def walked(browser: Browser, path: str) -> list[list[int]]:
    """Return the override ids of each page, following the pager."""
    pages, query = [], path.partition("?")[2]
    while True:
        text = await browser.page(f"/monitor?{query}")
        pages.append(found(text))
        onward = re.search(r'rel="next" href="\?([^"]*)"', text)
        if onward is None:
            return pages
        query = onward[1].replace("&amp;", "&")


async def test_pages_follow_each_other_without_a_gap_or_a_repetition(placed: Placed):
    await many(placed.site, 119)
    admin = await placed.site.person(Role.ADMIN)
    pages = await walked(admin, "/monitor?shown=all")
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [one for page in pages for one in page] == list(range(120, 0, -1))


async def test_what_ends_soon_is_listed_in_the_order_of_its_ends(placed: Placed):
    at = placed.site.now()
    for days in (29, 0.5, 6, 29, 31):
        await many(placed.site, 30 if days == 29 else 1, expires_at=at + timedelta(days=days))
    admin = await placed.site.person(Role.ADMIN)
    assert await walked(admin, "?shown=ends-1") == [[32]]
    assert await walked(admin, "?shown=ends-7") == [[32, 33]]
    pages = await walked(admin, "?shown=ends-30")
    assert [len(page) for page in pages] == [50, 12]
    assert [one for page in pages for one in page] == [32, 33, *range(2, 32), *range(34, 64)]


async def test_the_table_is_sifted_by_state_person_basis_date_lead_and_number(placed: Placed):
    site, at = placed.site, placed.site.now()
    await many(site, 1, revoked_at=at, revoked_by="boss", revoke_reason="x")  # 2
    await many(site, 1, expires_at=at - timedelta(days=1))  # 3
    await many(site, 1, reviewed_at=at, reviewed_by="admin")  # 4
    admin = await site.person(Role.ADMIN)
    soon, long_ago = f"{at:%Y-%m-%d}", f"{at - timedelta(days=39):%Y-%m-%d}"
    for query, wanted in {
        "shown=active": [4, 1],
        "": [4, 1],
        "shown=unreviewed": [1],
        "shown=revoked": [2],
        "shown=expired": [3],
        "shown=all": [4, 3, 2, 1],
        "shown=nonsense": [4, 1],
        "shown=all&person=boss": [4, 3, 2],
        "shown=all&person=nobody": [],
        "shown=all&basis=signed-consent": [1],
        f"shown=all&since={soon}": [1],
        f"shown=all&until={long_ago}": [4, 3, 2],
        f"shown=all&since={long_ago}&until={soon}": [1],
        "shown=all&q=M-1": [4, 3, 2],
        "shown=all&q=L-1": [1],
        "shown=all&q=(415) 555-0100": [1],
        "shown=all&q=%2B1 415 555 0101": [4, 3, 2],
        "shown=all&q=no such thing": [],
        "shown=all&person=boss&basis=written-consent&q=M-1": [4, 3, 2],
    }.items():
        assert found(await admin.page(f"/monitor?{query}")) == wanted, query
    page = await admin.page("/monitor?since=yesterday&until=9999-12-31")
    assert page.count("Write a day, such as 23 Nov 2026, or a day and time") == 2
    assert (await admin.get("/monitor/export?since=yesterday")).status == 400


async def test_the_table_counts_what_wants_a_look(placed: Placed):
    at = placed.site.now()
    await many(placed.site, 3, expires_at=at + timedelta(days=5))
    await many(placed.site, 2, reviewed_at=at, reviewed_by="admin", expires_at=at + timedelta(hours=5))
    await many(placed.site, 1, revoked_at=at, revoked_by="boss", revoke_reason="x")
    page = await (await placed.site.person(Role.AUDITOR)).page("/monitor")
    tabs = dict(re.findall(r'shown=([\w-]+)"[^>]*>[^<]*<span class="badge [\w-]+">(\d+)</span>', page))
    assert tabs == {"active": "6", "unreviewed": "4", "ends-30": "5", "ends-7": "5", "ends-1": "2", "contested": "0"}


async def test_the_export_holds_what_is_shown_whole_and_no_formula(placed: Placed):
    await put_leads(placed.site.records, ADMIN, [LeadGiven(LeadId("M-1"), OTHER, "=HYPERLINK(1)")])
    await many(placed.site, 1100, revoked_at=placed.site.now(), revoked_by="boss", revoke_reason="@SUM(A1)")
    auditor = await placed.site.person(Role.AUDITOR)
    answer = await auditor.get("/monitor/export?shown=revoked")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    exported = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["override"]) for row in exported] == list(range(1101, 1, -1))
    assert {row["lead_name"] for row in exported} == {"'=HYPERLINK(1)"}
    assert {row["revoke_reason"] for row in exported} == {"'@SUM(A1)"}
    assert exported[0]["number"] == OTHER
    assert exported[0]["state"] == "revoked"
    everything = await auditor.get("/monitor/export?shown=all&q=L-1")
    assert [row["override"] for row in csv.DictReader(io.StringIO(everything.text))] == ["1"]
    assert (await (await placed.site.person(Role.SUPERVISOR)).get("/monitor/export")).status == 403


async def test_an_empty_monitor_says_what_to_do(site: Site):
    admin = await site.person(Role.ADMIN)
    for part in ("active", "unreviewed", "ends-30", "ends-7", "ends-1", "revoked", "expired", "all"):
        assert 'class="empty"' in await admin.page(f"/monitor?shown={part}")
    assert "No override matches" in await admin.page("/monitor?shown=active&q=L-1")


@pytest.mark.parametrize("override", ["999", "0", "x", "-1", "1" * 30, "1.0", "%D9%A1"])
async def test_an_override_that_is_not_there_is_a_clear_page(site: Site, override: str):
    admin = await site.person(Role.ADMIN)
    for path in (f"/monitor/{override}", f"/monitor/{override}/document"):
        answer = await admin.get(path)
        assert answer.status == 404
        assert "There is no override" in answer.text


def test_every_basis_has_its_words():
    assert set(BASES) == set(Basis)
