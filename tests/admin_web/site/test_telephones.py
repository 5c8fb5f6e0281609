"""The page of telephones, and the persons that the pages of calls show."""

import csv
import io
import json

import pytest

from admin_web.record.models import Lead
from compliance.consent import Role
from tests.support.call_log import decision, put, record
from tests.support.records import AT, NUMBER
from tests.support.site import Site

SCRIPT = "<script>alert(1)</script>"
ASSIGNED = {"channel": "PJSIP/desk", "person": "alice", "earlier": "yes"}


async def test_an_admin_assigns_a_telephone_and_its_calls_bear_the_person(site: Site):
    await put(
        site.database,
        Lead(id="L-1", name="Northwind", number=NUMBER, created_at=AT, created_by="test"),
        decision(1, lead="L-1", telephone="PJSIP/desk"), decision(2, lead="L-1", agent="bob"), decision(3),
    )  # fmt: skip
    admin = await site.person(Role.ADMIN)
    log = await admin.page("/calls")
    assert "telephone PJSIP/desk" in log
    assert "PJSIP/desk, which was assigned to nobody" in await admin.page(f"/calls/{decision(1).id}")
    said = await admin.follow(await admin.post("/telephones", ASSIGNED))
    assert "Its earlier calls and its calls from now on are shown as made by alice." in said
    assert "<td>alice</td>" in await admin.page("/calls")
    assert "the telephone PJSIP/desk was theirs" in await admin.page(f"/calls/{decision(1).id}")
    assert "named by the PBX" in await admin.page(f"/calls/{decision(2).id}")
    assert "nobody clicked Call" in await admin.page(f"/calls/{decision(3).id}")
    timeline = await admin.page("/leads/L-1")
    assert "<td>alice</td>" in timeline
    assert "<td>bob</td>" in timeline
    found = await admin.page("/calls?agent=alice")
    assert decision(1).id in found
    assert decision(2).id not in found
    rows = list(csv.DictReader(io.StringIO((await admin.get("/calls/export.csv")).text)))
    expected = [("", ""), ("bob", ""), ("alice", "PJSIP/desk")]
    assert [(row["agent"], row["telephone"]) for row in rows] == expected
    lines = map(json.loads, (await admin.get("/calls/export.jsonl")).text.splitlines())
    assert [(line["agent"], line["telephone"]) for line in lines] == expected
    events = await admin.page("/audit")
    assert "Telephone assigned to a person" in events


async def test_a_telephone_that_is_ended_is_nobody_s_from_then_on(site: Site):
    admin = await site.person(Role.ADMIN)
    await admin.post("/telephones", ASSIGNED)
    said = await admin.follow(await admin.post("/telephones/end", {"channel": "PJSIP/desk"}))
    assert "nobody&#39;s telephone from now on" in said
    said = await admin.follow(await admin.post("/telephones/end", {"channel": "PJSIP/desk"}))
    assert "nobody&#39;s telephone at this moment" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"channel": "alice"}, "such as PJSIP/alice"), ({"channel": ""}, "missing"), ({"person": ""}, "missing")],
)
async def test_what_cannot_be_assigned_is_refused_beside_its_field_and_kept(site: Site, fields, said: str):
    answer = await (await site.person(Role.ADMIN)).post("/telephones", {**ASSIGNED, **fields})
    assert answer.status == 422
    assert said in answer.text
    assert 'class="form-control is-invalid"' in answer.text


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.AUDITOR])
async def test_only_admins_see_and_assign_telephones(site: Site, role: Role):
    person = await site.person(role)
    assert (await person.get("/telephones")).status == 403
    assert (await person.post("/telephones", ASSIGNED)).status == 403
    assert (await person.post("/telephones/end", {"channel": "PJSIP/desk"})).status == 403


async def test_names_from_the_pbx_stay_text_on_every_page_and_harmless_in_a_sheet(site: Site):
    await put(
        site.database,
        Lead(id="L-1", number=NUMBER, created_at=AT, created_by="test"),
        decision(1, lead="L-1", agent=SCRIPT, telephone=f"PJSIP/{SCRIPT}"),
        decision(2, site.now(), lead="L-1", telephone=f"PJSIP/{SCRIPT}"),
        decision(3, lead="L-1", agent="=cmd|' /C calc'!A0"), decision(4, lead="L-1", agent="shell:root"),
        record(1, decision_id=decision(1).id, verdict="ALLOW", agent=SCRIPT, telephone=f"PJSIP/{SCRIPT}"),
        record(5, unscreened=True, agent=SCRIPT),
    )  # fmt: skip
    admin = await site.person(Role.ADMIN)
    pages = (
        "/calls",
        f"/calls/{decision(1).id}",
        f"/calls/{decision(2).id}",
        "/calls/records/2",
        "/leads/L-1",
        "/telephones",
    )
    for path in pages:
        page = await admin.page(path)
        assert "<script>alert" not in page, path
        assert "&lt;script&gt;" in page, path
    assert "root at the shell" not in await admin.page("/leads/L-1")
    rows = csv.DictReader(io.StringIO((await admin.get("/calls/export.csv")).text))
    assert "'=cmd|' /C calc'!A0" in {row["agent"] for row in rows}
