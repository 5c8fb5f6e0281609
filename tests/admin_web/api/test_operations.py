"""The API as a CRM uses it: the life of a number and of a lead, and helpful problems for bad requests."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import aiohttp
import pytest
from sqlalchemy import select, text

from admin_web.api import body
from admin_web.api.openapi import described
from admin_web.api.operations import OPERATIONS, STREAMS
from admin_web.api.problem import KINDS
from admin_web.people.tokens import Scope, revoke_token
from admin_web.record.changes import Actor, utc_now
from admin_web.record.models import ApiToken, AuditEvent, Document, DoNotCallRequest, Override, SuppressionEntry
from admin_web.worker.decision_rows import put, row_of
from compliance import verdict
from compliance.redis_records import decision_fields
from compliance.verdict import Decision, allow, block, listed_on
from tests.support.api import ASKED, CONSENT, PDF, Answered, Program
from tests.support.records import rows
from tests.support.site import Site

NUMBER, OTHER = "+14155550100", "+14155550101"
TOO_LARGE = PDF + b"\0" * 26_000_000
Scoped = Callable[..., Awaitable[Program]]


@pytest.fixture
async def scoped(site: Site) -> AsyncIterator[Scoped]:
    """Returns a function that makes API clients whose tokens have certain scopes only."""
    made: list[Program] = []

    async def make(*scopes: Scope) -> Program:
        made.append(await Program.of(site, *scopes, name=f"program-{len(made)}"))
        return made[-1]

    yield make
    for program in made:
        await program.close()


@pytest.fixture
async def crm(scoped: Scoped) -> Program:
    return await scoped()


async def test_a_lead_lives_through_suppression_override_and_revocation(crm: Program):
    added = await crm.post("/leads", {"lead": "L-1", "number": "(415) 555-0100", "name": "Northwind Traders"})
    assert (added.status, added.json["in_force"]) == (201, True)
    assert (await crm.get("/leads/L-1")).json["state"] == "dialable"
    assert [lead["lead"] for lead in (await crm.get("/queue")).json["items"]] == ["L-1"]

    listed = await crm.post("/suppress", {"number": NUMBER, **ASKED, "lead": "L-1"})
    assert (listed.status, listed.json["added"], listed.json["in_force"]) == (200, True, True)
    assert (await crm.get("/leads/L-1")).json["state"] == "do-not-call"
    assert (await crm.get("/queue")).json == {"items": [], "blocked": 1, "next": ""}

    placed = await crm.place()
    assert placed.status == 201, placed.text
    override = placed.json["override"]
    assert (await crm.get("/leads/L-1")).json["state"] == "override"
    assert (await crm.get(f"/numbers/{NUMBER}?lead=L-1")).json["verdict"] == "ALLOW"
    assert (await crm.get(f"/numbers/{NUMBER}?lead=L-2")).json["reason"] == "internal-dnc"
    assert [lead["override"] for lead in (await crm.get("/queue")).json["items"]] == [str(override)]
    shown = (await crm.get(f"/overrides/{override}")).json
    assert (shown["state"], shown["placed_by"], shown["document"]) == ("active", "token:program-0", "consent.pdf")
    assert shown["document_size"] == len(PDF)
    assert (shown["asked_on"], shown["consented_on"], shown["contested"]) == ("2020-01-01", "2026-02-27", False)
    assert shown["listed_at"] > "2020-01-01"

    revoked = await crm.post(f"/overrides/{override}/revoke", {"reason": "they called us"})
    assert (revoked.status, revoked.json["already"], revoked.json["in_force"]) == (200, False, True)
    assert (await crm.get("/queue")).json["items"] == []
    assert (await crm.get("/overrides?state=revoked")).json["items"][0]["revoke_reason"] == "they called us"

    lifted = await crm.post("/lift", {"number": NUMBER, "reason": "a mistake"})
    assert lifted.status == 200
    assert (await crm.get(f"/numbers/{NUMBER}")).json["reason"] == "not-listed"


async def test_who_wrote_stands_on_record_with_the_name_of_the_token_and_the_address(crm: Program, site: Site):
    await crm.post("/suppress", {"number": NUMBER})
    entries = await rows(site.records, SuppressionEntry)
    assert [(entry.added_by, entry.source) for entry in entries] == [("token:program-0", "api")]
    audited = [event for event in await rows(site.records, AuditEvent) if event.action == "suppress"]
    assert [(event.done_by, event.done_from) for event in audited] == [("token:program-0", "127.0.0.1")]


async def test_many_leads_are_put_in_one_request_all_or_none(crm: Program):
    leads = [
        {"lead": f"L-{place}", "number": f"+1415555{place:04}", "name": f"Lead {place}"} for place in range(100, 600)
    ]
    assert (await crm.ask("PUT", "/leads", {"leads": leads})).json["added"] == 500
    leads[3]["name"] = "Another"
    assert (await crm.ask("PUT", "/leads", {"leads": leads})).json["changed"] == 1
    wrong = await crm.ask("PUT", "/leads", {"leads": [{"lead": "new", "number": NUMBER}, {"lead": "x", "number": "1"}]})
    assert (wrong.status, wrong.problem) == (422, "invalid-number")
    assert wrong.json["errors"][0]["at"] == "/leads/1/number"
    assert (await crm.get("/leads/new")).problem == "unknown-lead"


async def test_a_list_is_read_page_by_page_and_searched(crm: Program):
    leads = [
        {"lead": f"L-{place:03}", "number": f"+1415555{place:04}", "name": f"Lead {place:03}"} for place in range(55)
    ]
    await crm.ask("PUT", "/leads", {"leads": leads})
    found, after = [], ""
    while True:
        page = (await crm.get(f"/leads?limit=20&after={after}")).json
        found += [lead["lead"] for lead in page["items"]]
        if not (after := page["next"]):
            break
    assert found == [lead["lead"] for lead in leads]
    assert [lead["lead"] for lead in (await crm.get("/leads?search=lead 04")).json["items"]] == found[40:50]
    assert [lead["lead"] for lead in (await crm.get("/leads?search=(415) 555-0007")).json["items"]] == ["L-007"]
    assert (await crm.get("/leads?after=nonsense")).problem == "unknown-page"


async def test_a_lead_is_changed_and_its_override_ends_with_its_number(crm: Program):
    await crm.ask("PUT", "/leads/L-1", {"number": NUMBER, "name": "Lead 1"})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    override = (await crm.place()).json["override"]
    changed = await crm.ask("PATCH", "/leads/L-1", {"number": OTHER})
    assert (changed.json["changed"], changed.json["ended_overrides"]) == (True, [override])
    assert (await crm.get("/leads/L-1")).json["name"] == "Lead 1"


async def test_who_asks_not_to_be_called_takes_their_own_consent_back(crm: Program):
    for lead in ("L-1", "L-2"):
        await crm.post("/leads", {"lead": lead, "number": NUMBER})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    own, others = (await crm.place()).json["override"], (await crm.place(lead="L-2")).json["override"]
    blocked = await crm.post("/leads/L-1/block", {})
    assert blocked.json["ended_overrides"] == [own]
    assert blocked.json["still_open"] == ["L-2"]
    assert (await crm.get(f"/overrides/{others}")).json["state"] == "active"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (None, "empty"), ("", "empty"), (True, "malformed"), (["+14155550123"], "malformed"), ({}, "malformed"),
        (-4155550123, "malformed"), (4155550123.5, "malformed"), (0, "malformed"), (10**20, "malformed"),
        ("4" * 129, "input-too-long"), (415, "too-short"),
    ],
)  # fmt: skip
async def test_an_item_that_is_no_number_is_rejected_with_its_place_and_holds_up_nothing(crm: Program, item, reason):
    done = (await crm.post("/suppress/many", {"numbers": [NUMBER, item, OTHER]})).json
    assert (done["added"], done["in_force"]) == (2, True)
    assert [(one["at"], one["reason"]) for one in done["rejected"]] == [(1, reason)]
    assert [(await crm.get(f"/numbers/{number}")).json["verdict"] for number in (NUMBER, OTHER)] == ["BLOCK"] * 2


async def test_a_whole_json_number_is_its_digits_wherever_a_number_is_sent(crm: Program):
    assert (await crm.post("/suppress/many", {"numbers": [4155550186, 14155550187, 4155550188.0]})).json["added"] == 3
    for number in ("+14155550186", "+14155550187", "+14155550188"):
        assert (await crm.get(f"/numbers/{number}")).json["verdict"] == "BLOCK"
    assert (await crm.post("/suppress", {"number": 4155550189})).json["number"] == "+14155550189"
    assert (await crm.post("/lift", {"number": 4155550189, "reason": "a slip"})).json["number"] == "+14155550189"
    assert (await crm.post("/leads", {"lead": "L-9", "number": 4155550189})).status == 201
    assert (await crm.get("/leads/L-9")).json["number"] == "+14155550189"
    for wrong in (True, None, 0.5, -4155550189):
        assert (await crm.post("/suppress", {"number": wrong})).problem == "bad-request"


async def test_numbers_are_suppressed_in_bulk_and_what_is_none_is_told(crm: Program):
    numbers = [f"+1415555{line:04}" for line in range(1000)]
    done = (await crm.post("/suppress/many", {"numbers": numbers})).json
    assert (done["added"], done["already"], done["rejected"]) == (1000, 0, [])
    done = (await crm.post("/suppress/many", {"numbers": [NUMBER, "nonsense", "+14155559999"]})).json
    assert (done["added"], done["already"]) == (1, 1)
    assert [(one["at"], one["reason"]) for one in done["rejected"]] == [(1, "letters")]
    assert (await crm.post("/suppress/many", {"numbers": [*numbers, OTHER]})).problem == "bad-request"


@pytest.mark.parametrize(
    ("fields", "status", "slug"),
    [
        ({"name": ""}, 400, "bad-request"),
        ({"content": b""}, 422, "document-not-kept"),
        ({"content": b"MZ\x90\x00 a program"}, 422, "document-not-kept"),
        ({"content": TOO_LARGE}, 413, "too-large"),
        ({"basis": ""}, 400, "bad-request"),
        ({"basis": "hearsay"}, 400, "bad-request"),
        ({"basis": "other"}, 422, "refused"),
        ({"attestation": ""}, 400, "bad-request"),
        ({"attestation": "I suppose so."}, 422, "refused"),
        ({"consented_on": "2999-01-01"}, 422, "refused"),
        ({"consented_on": "20260227"}, 400, "bad-request"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, 422, "refused"),
        ({"lead": "nobody"}, 404, "unknown-lead"),
        ({"lead": "L-2"}, 409, "not-suppressed"),
        ({"renews": "17"}, 409, "nothing-to-renew"),
        ({"surprise": "yes"}, 400, "bad-request"),
    ],
)
async def test_an_override_that_is_not_in_order_leaves_nothing_behind(crm: Program, site: Site, fields, status, slug):
    await crm.post("/leads", {"lead": "L-1", "number": NUMBER})
    await crm.post("/leads", {"lead": "L-2", "number": OTHER})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    refused = await crm.place(**fields)
    assert (refused.status, refused.problem) == (status, slug), refused.text
    assert await rows(site.records, Override) == await rows(site.records, Document) == []
    assert [path for path in site.documents.directory.rglob("*") if path.is_file()] == []


async def test_thousands_of_faults_are_counted_and_not_described(crm: Program):
    few = await crm.post("/leads", {str(place): 1 for place in range(100)})
    assert (few.status, len(few.json["errors"])) == (400, body.MOST_ERRORS)
    many = await crm.post("/leads", {str(place): 1 for place in range(body.MOST_FAULTS)})  # and a field is missing
    assert (many.status, "errors" in many.json) == (400, False)
    assert f"{body.MOST_FAULTS + 1:,} faults" in many.json["detail"]


def as_form(fields: dict[str, str]) -> bytes:
    """Return a multipart body with fields and the beginning of a large document."""
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    texts = [part % (name.encode(), b"") + value.encode() + b"\r\n" for name, value in fields.items()]
    return b"".join(texts) + part % (b"document", b'; filename="consent.pdf"') + PDF + b"%" * 1_000_000


UPLOADS = {
    "/overrides": (as_form(CONSENT), "multipart/form-data; boundary=x", b"\r\n--x--\r\n"),
    "/scrub": (b"4155550100\n" * 100_000, "text/plain", b"4155550101\n"),
}


@pytest.mark.parametrize("path", UPLOADS)
async def test_an_upload_is_void_if_its_token_is_revoked_meanwhile(scoped: Scoped, site: Site, path: str):
    crm, sender = await scoped(), await scoped()
    await crm.post("/leads", {"lead": "L-1", "number": NUMBER})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    begin, kind, end = UPLOADS[path]

    async def slow() -> AsyncIterator[bytes]:
        yield begin
        while not (await rows(site.records, ApiToken))[-1].last_used_at:  # noqa: ASYNC110 - the site reports no event
            await asyncio.sleep(0.01)
        await revoke_token(site.database, Actor("admin"), "program-1")
        yield end

    async with asyncio.timeout(60):
        refused = await sender.post(path, slow(), Content_Type=kind)
    assert (refused.status, refused.problem) == (401, "unauthorized"), refused.text
    assert await rows(site.records, Override) == []
    assert [path for path in site.documents.directory.rglob("*") if path.is_file()] == []


async def test_a_second_override_on_a_lead_is_refused_and_the_first_ones_document_stays(crm: Program, site: Site):
    await crm.post("/leads", {"lead": "L-1", "number": NUMBER})
    await crm.post("/suppress", {"number": NUMBER, **ASKED})
    assert (await crm.place()).status == 201
    assert (await crm.place()).problem == "override-stands"
    assert (await crm.place(content=PDF + b"another")).problem == "override-stands"
    assert len([path for path in site.documents.directory.rglob("*") if path.is_file()]) == 1


async def decide_some(site: Site) -> None:
    at = utc_now()
    rulings = [allow(verdict.NOT_LISTED), block(listed_on("internal")), allow(verdict.OVERRIDE, override="7")]
    decided = [
        Decision(
            id=f"019ab3c4d5e6-9f3a1c22-{place:08x}", at=at - timedelta(minutes=place), ruling=rulings[place % 3],
            dialed="4155550100", number=NUMBER, lead=f"L-{place % 2}", channel=f"pbx-1.{place}", generation=7,
            gate="gate-1", campaign="spring" if place == 3 else "",
        )
        for place in range(30)
    ]  # fmt: skip
    fields = [{name.encode(): value.encode() for name, value in decision_fields(one).items()} for one in decided]
    async with site.database.write() as session:
        await put(session, [row_of(some, at) for some in fields])


async def test_decisions_are_found_by_what_they_say_and_read_one_by_one(crm: Program, site: Site):
    await decide_some(site)
    found, after = [], ""
    while True:
        page = (await crm.get(f"/decisions?limit=7&after={after}")).json
        found += page["items"]
        if not (after := page["next"]):
            break
    assert [one["decision"][-8:] for one in found] == [f"{place:08x}" for place in range(30)]
    for asked, count in {
        "verdict=BLOCK": 10, "reason=override": 10, "override=7": 10, "lead=L-1": 15, "number=%2B14155550100": 30,
        "number=%2B14155550101": 0, "reason=internal-dnc&lead=L-0": 5,
        "since=2026-01-01T00:00:00Z": 30, "until=2026-01-01T00:00:00%2B02:00": 0,
    }.items():  # fmt: skip
        assert len((await crm.get(f"/decisions?{asked}")).json["items"]) == count, asked
    assert (await crm.get(f"/decisions/{found[3]['decision']}")).json == found[3]
    assert [one["decision"] for one in found if one["campaign"] == "spring"] == [found[3]["decision"]]
    assert (await crm.get("/decisions/none")).problem == "unknown-decision"


# Permissions


async def test_every_operation_asks_for_its_scope_and_no_other_will_do(scoped: Scoped):
    programs = {scope: await scoped(scope) for scope in Scope}
    for operation in (*OPERATIONS, *STREAMS):
        path = operation.path.replace("{lead}", "L-1").replace("{override}", "1").replace("{decision}", "1")
        path = path.replace("{reason}", "internal-dnc").replace("{pattern}", "+1415").replace("{name}", "spring")
        for scope, program in programs.items():
            answer = await program.ask(operation.method, path.replace("{number}", NUMBER))
            if scope is operation.scope:
                assert answer.status not in {401, 403}, (operation.name, scope)
            else:
                assert answer.problem == "forbidden", (operation.name, scope)
                assert f'scope="{operation.scope}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer dnc_", "Bearer dnc_" + "A" * 43, "Basic YWRtaW46YWRtaW4=", "dnc_" + "A" * 43]
)
async def test_without_a_known_token_nothing_is_told(crm: Program, header: str):
    async with (
        aiohttp.ClientSession() as session,
        session.get(crm.origin + "/leads", headers={"Authorization": header} if header else {}) as answer,
    ):
        told = Answered(answer.status, answer.headers, await answer.text())
    assert told.problem == "unauthorized"
    assert told.headers["WWW-Authenticate"].startswith('Bearer realm="dnc-gate"')


async def test_a_session_of_the_site_is_no_token(crm: Program, site: Site):
    admin = await site.person("admin")
    async with aiohttp.ClientSession(cookies={"dnc_session": admin.cookie()}) as session:
        async with session.get(crm.origin + "/leads") as answer:
            assert answer.status == 401
        async with session.post(crm.origin + "/suppress", json={"number": NUMBER}) as answer:
            assert answer.status == 401


async def test_a_token_that_was_revoked_or_is_over_is_none(crm: Program, site: Site):
    assert (await crm.get("/leads")).status == 200
    async with site.database.write() as session:
        token = await session.scalar(select(ApiToken))
        token.expires_at = utc_now() - timedelta(seconds=1)
    assert (await crm.get("/leads")).problem == "unauthorized"
    async with site.database.write() as session:
        token = await session.scalar(select(ApiToken))
        token.expires_at = None
    assert (await crm.get("/leads")).status == 200
    await revoke_token(site.database, Actor("admin"), "program-0")
    assert (await crm.get("/leads")).problem == "unauthorized"


async def test_when_a_token_was_used_last_is_known(crm: Program, site: Site):
    before = utc_now()
    await crm.get("/leads")
    (token,) = await rows(site.records, ApiToken)
    assert before <= token.last_used_at <= utc_now()


async def test_a_flood_of_wrong_tokens_is_held_off_and_the_right_one_goes_through(crm: Program):
    stranger = Program(crm.origin, "dnc_" + "A" * 43)
    answers = [await stranger.get("/leads") for _ in range(40)]
    await stranger.close()
    slugs = [answer.problem for answer in answers]
    assert slugs[:30] == ["unauthorized"] * 30
    assert slugs[-5:] == ["too-many-requests"] * 5
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert (await crm.get("/leads")).status == 200


# Invalid requests


@pytest.mark.parametrize(
    ("method", "path", "sent", "slug"),
    [
        ("POST", "/suppress", b"", "bad-request"),
        ("POST", "/suppress", b"{", "bad-request"),
        ("POST", "/suppress", b"[]", "bad-request"),
        ("POST", "/suppress", b'"text"', "bad-request"),
        ("POST", "/suppress", b'{"number": 1.5}', "bad-request"),
        ("POST", "/suppress", b'{"number": "\\ud800"}', "bad-request"),
        ("POST", "/suppress", b'{"number": NaN}', "bad-request"),
        ("POST", "/suppress", b"[" * 100_000, "bad-request"),
        ("POST", "/suppress", b"\xff\xfe", "bad-request"),
        ("POST", "/suppress", b'{"number": "+14155550100", "list": "mine"}', "bad-request"),
        ("POST", "/suppress", b'{"number": "+14155550100", "source": "a\\u0000b"}', "bad-request"),
        ("POST", "/suppress", b'{"number": "4155"}', "invalid-number"),
        ("POST", "/suppress", b'{"number": "+14155550100", "lead": "nobody"}', "unknown-lead"),
        ("POST", "/suppress", b'{"number": "' + b"1" * 2_000_000 + b'"}', "too-large"),
        ("POST", "/suppress?dry=yes", b'{"number": "+14155550100"}', "bad-request"),
        ("POST", "/lift", b'{"number": "+14155550100", "reason": "a mistake"}', "not-listed"),
        ("POST", "/lift", b'{"number": "+14155550100"}', "bad-request"),
        ("POST", "/lift", b'{"number": "+14155550100", "reason": "  "}', "bad-request"),
        ("PUT", "/leads/L-1", b'{"number": "+14155550100", "lead": "L-2"}', "bad-request"),
        ("PUT", "/leads/L-1/", b"{}", "unknown-route"),
        ("GET", "/leads/L%201", None, "bad-request"),
        ("GET", "/leads/L%00", None, "bad-request"),
        ("GET", "/leads?search=%00", None, "bad-request"),
        ("GET", "/leads?limit=0", None, "bad-request"),
        ("GET", "/leads?limit=5&limit=6", None, "bad-request"),
        ("GET", "/leads?colour=red", None, "bad-request"),
        ("GET", "/overrides/99999999999999999999", None, "bad-request"),
        ("GET", "/overrides/17", None, "unknown-override"),
        ("POST", "/overrides/17/revoke", b'{"reason": "why"}', "unknown-override"),
        ("GET", "/decisions?since=1", None, "bad-request"),
        ("GET", "/decisions?since=2026-01-01T00:00:00", None, "bad-request"),
        ("GET", "/nowhere", None, "unknown-route"),
        ("DELETE", "/leads/L-1", None, "method-not-allowed"),
        ("POST", "/overrides", b"{}", "unsupported-media-type"),
    ],
)
async def test_what_does_not_fit_is_a_problem_that_says_so(crm: Program, method: str, path: str, sent, slug: str):
    answer = await crm.ask(method, path, sent)
    assert answer.problem == slug, answer.text
    assert answer.status == KINDS[slug][0]


async def test_a_body_of_another_kind_is_refused(crm: Program):
    form = await crm.post("/lift", b"number=4155550100", Content_Type="application/x-www-form-urlencoded")
    assert form.problem == "unsupported-media-type"
    broken = await crm.post("/overrides", b"--x\r\nnonsense", Content_Type="multipart/form-data; boundary=x")
    assert broken.problem == "bad-request"
    none = await crm.post("/overrides", b"nonsense", Content_Type="multipart/form-data")
    assert none.problem == "bad-request"


@pytest.mark.parametrize(
    ("path", "content_type", "begun"),
    [
        ("/suppress", "application/json", b'{"number": '),
        (
            "/overrides",
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="lead"\r\n\r\nL',
        ),
        (
            "/overrides",
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="document"; filename="a.pdf"\r\n\r\n' + PDF,
        ),
    ],
)
async def test_what_stalls_on_its_way_is_given_up_and_leaves_nothing(
    crm: Program, site: Site, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str, begun: bytes
):
    monkeypatch.setattr(body, "ARRIVES_S", 0.2)
    monkeypatch.setattr(body, "PIECE_S", 0.2)

    async def stalling() -> AsyncIterator[bytes]:
        yield begun
        await asyncio.sleep(30)

    headers = {"Content-Type": content_type}
    async with crm.session.post(crm.origin + path, data=stalling(), headers=headers) as answer:
        assert Answered(answer.status, answer.headers, await answer.text()).problem == "request-timeout"
    assert [file for file in site.documents.directory.rglob("*") if file.is_file()] == []


async def test_a_method_that_a_path_does_not_take_names_those_it_does(crm: Program):
    assert (await crm.ask("DELETE", "/leads")).headers["Allow"] == "GET, POST, PUT"


async def test_the_record_being_away_is_a_problem_and_nothing_is_half_done(crm: Program, site: Site):
    async with site.database.alter() as connection:
        await connection.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
    away = await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    assert (away.status, away.problem) == (503, "record-unavailable")
    assert "sqlite" not in away.text
    assert int(away.headers["Retry-After"]) > 0
    async with site.database.alter() as connection:
        await connection.execute(text("ALTER TABLE outbox_away RENAME TO outbox"))
    assert await rows(site.records, SuppressionEntry) == []
    assert (await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")).json["added"]


async def test_what_cannot_come_into_force_is_recorded_and_says_so(crm: Program, site: Site, redis_server):
    await crm.post("/leads", {"lead": "L-1", "number": OTHER})
    await asyncio.to_thread(redis_server.running.pause)
    try:
        answer = await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
        assert answer.status == 202
        assert (answer.json["in_force"], answer.json["why_not"]) == (False, "Redis cannot be reached")
        assert (await crm.get("/queue")).problem == "queue-unavailable"
    finally:
        await asyncio.to_thread(redis_server.running.resume)
    again = await crm.post("/suppress", {"number": NUMBER}, Idempotency_Key="k-1")
    assert (again.status, again.json["in_force"], again.json["added"]) == (200, True, True)


# The OpenAPI description


async def test_the_description_names_every_route_there_is_and_no_other(crm: Program, site: Site):
    document = (await crm.get("/openapi.json")).json
    assert document == json.loads(json.dumps(described(OPERATIONS, STREAMS)))
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    (api,) = site.app._subapps
    there = {(route.method, route.resource.canonical.removeprefix("/api/v1")) for route in api.router.routes()}
    assert told == there
    assert len({operation["operationId"] for path in document["paths"].values() for operation in path.values()}) == len(
        told
    )


async def test_every_problem_that_can_be_answered_is_described(crm: Program):
    document = (await crm.get("/openapi.json")).json
    said = json.dumps(document["paths"])
    for slug in KINDS.keys() - {"unknown-route", "method-not-allowed"}:
        assert f"`{slug}`" in said, slug


async def test_an_entry_ends_by_itself_and_a_persons_request_does_not(crm: Program, site: Site):
    answer = await crm.post("/suppress", {"number": NUMBER, "until": "2099-12-31"})
    assert (answer.json["request"], answer.json["ends_at"]) == (None, "2100-01-01T00:00:00Z")
    assert (await crm.get(f"/numbers/{NUMBER}")).json["ends_at"] == "2100-01-01T00:00:00Z"
    many = {"numbers": [NUMBER, OTHER], "until": "2099-12-31T12:00:00+02:00"}
    assert (await crm.post("/suppress/many", many)).json["ends_at"] == "2099-12-31T10:00:00Z"
    assert (await crm.get(f"/numbers/{NUMBER}")).json["ends_at"] == "2100-01-01T00:00:00Z"
    await crm.ask("PUT", "/leads/L-1", {"number": NUMBER})
    for more in ({"lead": "L-1"}, {"asked_on": "2026-02-01"}):
        refused = await crm.post("/suppress", {"number": NUMBER, "until": "2099-12-31", **more})
        assert (refused.status, refused.problem) == (422, "refused")
        assert "A person's own request not to be called never ends." in refused.json["detail"]
    refused = await crm.post("/suppress/many", {**many, "asked_on": "2026-02-01"})
    assert (refused.status, refused.problem) == (422, "refused")
    assert (await crm.post("/suppress", {"number": NUMBER, "until": "2020-01-01"})).problem == "refused"
    assert await rows(site.records, DoNotCallRequest) == []
    assert (await crm.post("/suppress", {"number": NUMBER})).json["ends_at"] is None
    assert (await crm.get(f"/numbers/{NUMBER}")).json["ends_at"] is None
    assert (await crm.post("/suppress", {"number": NUMBER, "until": "2099-12-31"})).json["ends_at"] is None


async def test_a_lead_has_several_numbers_and_each_is_judged_by_itself(crm: Program, site: Site):
    numbers = [{"number": "(415) 555-0100", "label": "home"}, {"number": OTHER, "label": "mobile"}]
    assert (await crm.post("/leads", {"lead": "L-1", "numbers": numbers})).status == 201
    await crm.post("/suppress", {"number": NUMBER})
    shown = (await crm.get("/leads/L-1")).json
    assert (shown["number"], shown["state"]) == (NUMBER, "dialable")
    judged = [(one["number"], one["label"], one["state"]) for one in shown["numbers"]]
    assert judged == [(NUMBER, "home", "do-not-call"), (OTHER, "mobile", "dialable")]
    claimed = (await crm.post("/queue/claim", {})).json["item"]
    assert (claimed["number"], claimed["numbers"]) == (OTHER, [OTHER])
    for number in (NUMBER, OTHER):
        found = (await crm.get(f"/leads?search=%2B{number[1:]}")).json
        assert [lead["lead"] for lead in found["items"]] == ["L-1"]
    blocked = (await crm.post("/leads/L-1/block", {"numbers": [OTHER]})).json
    assert blocked["numbers"] == [OTHER]
    assert (await crm.get("/leads/L-1")).json["state"] == "do-not-call"
    outcome = (await crm.post("/leads/L-1/outcome", {"outcome": "do-not-call"})).json
    assert (outcome["number"], outcome["numbers"], outcome["added"]) == (NUMBER, [NUMBER, OTHER], False)


async def test_number_stays_the_first_one_for_programs_that_know_only_one(crm: Program):
    await crm.ask("PUT", "/leads/L-1", {"numbers": [{"number": NUMBER}, {"number": OTHER}]})
    assert (await crm.ask("PATCH", "/leads/L-1", {"number": "+14155550102"})).json["changed"] is True
    shown = (await crm.get("/leads/L-1")).json
    assert [one["number"] for one in shown["numbers"]] == ["+14155550102", OTHER]
    assert shown["number"] == "+14155550102"
    for sent in ({"number": NUMBER, "numbers": [{"number": OTHER}]}, {}):
        assert (await crm.ask("PUT", "/leads/L-1", sent)).problem == "refused"
    wrong = await crm.ask("PUT", "/leads", {"leads": [{"lead": "x", "numbers": [{"number": "1"}]}]})
    assert (wrong.problem, wrong.json["errors"][0]["at"]) == ("invalid-number", "/leads/0/numbers")


async def test_a_consent_over_the_api_names_the_number_of_a_lead_with_several(crm: Program):
    await crm.ask("PUT", "/leads/L-1", {"numbers": [{"number": NUMBER}, {"number": OTHER}]})
    for number in (NUMBER, OTHER):
        await crm.post("/suppress", {"number": number, **ASKED})
    refused = await crm.place()
    assert (refused.status, refused.problem) == (422, "refused")
    placed = await crm.place(number=OTHER)
    assert (placed.status, placed.json["number"]) == (201, OTHER)
    assert (await crm.get(f"/numbers/{OTHER}?lead=L-1")).json["verdict"] == "ALLOW"
    assert (await crm.get(f"/numbers/{NUMBER}?lead=L-1")).json["verdict"] == "BLOCK"
    assert (await crm.place(lead="L-9", number=OTHER)).problem == "unknown-lead"
