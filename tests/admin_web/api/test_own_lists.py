"""Patterns and campaign lists over the API: in force when the answer says so, and refused with what to write."""

from collections.abc import AsyncIterator

import pytest

from admin_web.people.tokens import Scope
from admin_web.record.models import DoNotCallRequest
from tests.support.api import Program
from tests.support.records import rows
from tests.support.site import Site

NUMBER, OTHER, OUTSIDE = "+14155550100", "+14155550101", "+12125550100"


@pytest.fixture
async def crm(site: Site) -> AsyncIterator[Program]:
    program = await Program.of(site)
    yield program
    await program.close()


async def test_a_pattern_blocks_its_numbers_from_the_answer_on_until_it_is_lifted(crm: Program):
    await crm.post("/leads", {"lead": "L-1", "number": NUMBER})
    assert (await crm.get("/patterns/+1415")).json == {
        "pattern": "+1415", "leads": 1, "opened": 0, "calls": 0, "allowed": 0, "in_force": False,
    }  # fmt: skip
    added = await crm.post("/patterns", {"pattern": "+1 415", "reason": "a court order"})
    assert (added.status, added.json) == (200, {"in_force": True, "why_not": "", "pattern": "+1415"})
    shown = (await crm.get(f"/numbers/{NUMBER}")).json
    assert (shown["verdict"], shown["reason"], shown["pattern"], shown["openable"]) == (
        "BLOCK",
        "internal-pattern",
        "+1415",
        True,
    )
    assert (await crm.get(f"/numbers/{OUTSIDE}")).json["pattern"] == ""
    assert (await crm.get("/leads/L-1")).json["state"] == "do-not-call"
    assert (await crm.get("/queue")).json["items"] == []
    assert (await crm.post("/patterns", {"pattern": "1415", "reason": "x"})).problem == "pattern-stands"
    assert [one["pattern"] for one in (await crm.get("/patterns")).json["items"]] == ["+1415"]
    said = (await crm.ask("POST", "/scrub", f"{NUMBER}\n{OUTSIDE}\n".encode(), Content_Type="text/plain")).text
    assert '"reason":"internal-pattern","detail":"1415"' in said.splitlines()[0]
    lifted = await crm.post("/patterns/+1415/lift", {"reason": "it ended"})
    assert (lifted.status, lifted.json["in_force"]) == (200, True)
    assert (await crm.get(f"/numbers/{NUMBER}")).json["verdict"] == "ALLOW"
    assert (await crm.post("/patterns/+1415/lift", {"reason": "x"})).problem == "not-listed"


@pytest.mark.parametrize("pattern", ["+141", "141", "415", "+14155550100", "x", "+4930", "+5215512", "+1415,+1416"])
async def test_what_is_no_pattern_is_refused(crm: Program, pattern: str):
    assert (await crm.post("/patterns", {"pattern": pattern, "reason": "x"})).problem == "invalid-pattern"
    assert (await crm.get(f"/patterns/{pattern}")).problem == "invalid-pattern"


async def test_patterns_and_new_lists_need_a_scope_of_their_own(site: Site):
    program = await Program.of(site, Scope.READ, Scope.SUPPRESS, Scope.LIFT, name="ivr")
    assert (await program.post("/patterns", {"pattern": "+1415", "reason": "x"})).problem == "forbidden"
    assert (await program.post("/patterns/+1415/lift", {"reason": "x"})).problem == "forbidden"
    assert (await program.ask("PUT", "/campaign-lists/spring", {"campaigns": ["a"]})).problem == "forbidden"
    await program.close()


async def test_a_campaign_list_blocks_in_calls_of_its_campaigns_only(crm: Program, site: Site):
    made = await crm.ask("PUT", "/campaign-lists/spring", {"campaigns": ["spring-26"]})
    assert made.json == {"in_force": True, "why_not": "", "name": "spring", "added": True}
    changed = await crm.ask("PUT", "/campaign-lists/spring", {"campaigns": ["spring-26", "spring-27"]})
    assert changed.json["added"] is False
    added = await crm.post("/campaign-lists/spring/numbers", {"numbers": [NUMBER, OTHER, "nobody"]})
    assert (added.json["added"], added.json["in_force"], added.json["rejected"][0]["at"]) == (2, True, 2)
    assert await rows(site.records, DoNotCallRequest) == []
    for campaign, reason in {
        "": "not-listed",
        "?campaign=spring-27": "spring-dnc",
        "?campaign=x": "not-listed",
    }.items():
        shown = (await crm.get(f"/numbers/{NUMBER}{campaign}")).json
        assert (shown["reason"], shown["campaigns"]) == (reason, ["spring-26", "spring-27"])
    for campaign, said in {"": "blocked-for spring-26 spring-27", "?campaign=spring-26": '"verdict":"BLOCK"'}.items():
        answer = await crm.ask("POST", f"/scrub{campaign}", f"{NUMBER}\n".encode(), Content_Type="text/plain")
        assert said in answer.text
    assert (await crm.ask("POST", "/scrub?campaign=a,b", b"1", Content_Type="text/plain")).problem == "bad-request"
    lifted = await crm.post("/campaign-lists/spring/lift", {"number": OTHER, "reason": "x"})
    assert (lifted.status, lifted.json["number"]) == (200, OTHER)
    assert (await crm.get("/campaign-lists")).json["items"] == [
        {"name": "spring", "campaigns": ["spring-26", "spring-27"], "numbers": 1}
    ]
    assert (await crm.post("/campaign-lists/spring/lift", {"number": OTHER, "reason": "x"})).problem == "not-listed"


async def test_unknown_lists_and_names_of_other_lists_are_refused(crm: Program):
    for name in ("summer", "internal"):
        sent = {"numbers": [NUMBER]}
        assert (await crm.post(f"/campaign-lists/{name}/numbers", sent)).problem == "unknown-list"
        lift = {"number": NUMBER, "reason": "x"}
        assert (await crm.post(f"/campaign-lists/{name}/lift", lift)).problem == "unknown-list"
    for name in ("internal", "us-ftc"):
        assert (await crm.ask("PUT", f"/campaign-lists/{name}", {"campaigns": ["a"]})).problem == "refused"
    assert (await crm.ask("PUT", "/campaign-lists/spring", {"campaigns": ["a b"]})).problem == "refused"
    assert (await crm.get("/campaign-lists")).json["items"] == []


async def test_the_queue_of_a_campaign_skips_what_the_gate_would_block_for_it(crm: Program):
    await crm.ask("PUT", "/campaign-lists/spring", {"campaigns": ["spring-26"]})
    for lead, number in {"L-1": NUMBER, "L-2": OTHER}.items():
        await crm.post("/leads", {"lead": lead, "number": number})
    await crm.post("/campaign-lists/spring/numbers", {"numbers": [NUMBER]})
    for query, leads in {"": ["L-1", "L-2"], "?campaign=spring-26": ["L-2"], "?campaign=x": ["L-1", "L-2"]}.items():
        assert [one["lead"] for one in (await crm.get(f"/queue{query}")).json["items"]] == leads
    claimed = await crm.post("/queue/claim", {"campaign": "spring-26"})
    assert (claimed.json["item"]["lead"], claimed.json["blocked"]) == ("L-2", 1)
    assert (await crm.post("/queue/claim", {})).json["item"]["lead"] == "L-1"
