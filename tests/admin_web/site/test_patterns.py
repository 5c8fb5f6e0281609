"""The pages of patterns and campaign lists, and what every page of a blocked lead says about them."""

import re

import pytest

from admin_web.record.models import SuppressionPattern
from admin_web.services.campaign_lists import add_campaign_list, add_to_list
from admin_web.services.leads import add_lead
from admin_web.services.patterns import add_pattern
from admin_web.services.registries import EditedTerms, add_registry
from admin_web.services.suppression import suppress
from compliance.consent import Role
from compliance.openable import NotSuppressed
from compliance.patterns import Pattern
from tests.support.call_log import decision, put
from tests.support.consent import grant
from tests.support.records import ADMIN, LEAD, NUMBER, OTHER, SECOND, rows
from tests.support.site import Browser, Site

AREA = Pattern("1415")
BLOCKS = "The company&#39;s own list blocks all numbers that begin with"


@pytest.fixture
async def admin(site: Site) -> Browser:
    for lead in (LEAD, SECOND):
        await add_lead(site.records, ADMIN, lead, NUMBER, f"Lead {lead}")
    return await site.person(Role.ADMIN)


def _gap(tag: re.Match[str]) -> str:
    return " " if tag[0] in {"</dt>", "</dd>"} else ""


def plain(page: str) -> str:
    """Return the text of a page without tags."""
    return " ".join(re.sub(r"</?d[td]>|<[^>]*>", _gap, page.replace("&#39;", "'")).split())


async def test_a_pattern_is_previewed_put_in_force_and_lifted(site: Site, admin: Browser):
    preview = plain(await admin.page("/patterns/preview?pattern=%2B1+%28415%29"))
    assert "all that begin with +1415 (US, AG, AI and others)" in preview
    assert "Leads on them 2 Last week's calls 0 of 0 allowed calls, since" in preview
    assert await rows(site.records, SuppressionPattern) == []
    page = await admin.follow(await admin.post("/patterns", {"pattern": "+1415", "reason": "a court order"}))
    assert "Numbers that begin with +1415 are blocked. In force now." in page
    assert "a court order" in page
    assert "on the list since" in await admin.page("/patterns/preview?pattern=%2B1415")
    assert "blocked already, and these are some" in await admin.page("/patterns/preview?pattern=%2B1415555")
    assert "/patterns" in await admin.page("/enforcement")
    assert "1 pattern blocks" in await admin.page("/enforcement")
    events = await admin.page("/audit")
    assert "Pattern put on the Do-Not-Call list" in events
    lifted = await admin.post("/patterns/lift", {"pattern": "+1415", "lift_reason": "the order ended"})
    assert "The pattern +1415 is lifted. In force now." in await admin.follow(lifted)
    assert "the order ended" in await admin.page("/patterns?state=lifted")
    assert "No pattern is in force" in await admin.page("/patterns")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("141", "too short"),
        ("+4930", "too short"),
        ("415", "has no country code"),
        ("", "is missing"),
        ("x", "is missing"),
    ],
)
async def test_what_is_no_pattern_is_refused_beside_its_field(site: Site, admin: Browser, pattern: str, said: str):
    for refused in (
        await admin.get(f"/patterns/preview?pattern={pattern.replace('+', '%2B')}"),
        await admin.post("/patterns", {"pattern": pattern, "reason": "x"}),
    ):
        assert refused.status == 422
        assert said in refused.text.split('id="pattern-error"')[1].split("</div>")[0]
    assert await rows(site.records, SuppressionPattern) == []


async def test_a_pattern_needs_a_reason_and_stands_once(site: Site, admin: Browser):
    assert "The reason is missing" in (await admin.post("/patterns", {"pattern": "1415"})).text
    await add_pattern(site.records, ADMIN, AREA, reason="x", source="test")
    twice = await admin.post("/patterns", {"pattern": "1415", "reason": "y"})
    assert (twice.status, "blocked already. Nothing was changed" in twice.text) == (422, True)
    unlifted = await admin.post("/patterns/lift", {"pattern": "+1415"})
    assert (unlifted.status, "The reason is missing" in unlifted.text) == (422, True)
    assert (
        "No pattern +1416 is in force"
        in (await admin.post("/patterns/lift", {"pattern": "+1416", "lift_reason": "x"})).text
    )


async def test_every_page_of_a_lead_that_a_pattern_blocks_says_so(site: Site, admin: Browser):
    await add_pattern(site.records, ADMIN, AREA, reason="x", source="test")
    page = plain(await admin.page("/leads/L-1"))
    assert "This lead may not be called. The company's own list blocks all numbers that begin with +1415." in page
    assert "could not be checked" not in page
    assert "Do-Not-Call" in await admin.page("/leads?state=do-not-call")
    number = plain(await admin.page(f"/lists/numbers/{NUMBER}"))
    assert f"blocked {BLOCKS.replace('&#39;', chr(39))} +1415. An override can open a lead on it." in number
    assert "could not be checked" not in number
    assert "begin with +1415. " in plain(await admin.page("/leads/L-1/override"))
    assert "/leads/L-1" not in await admin.page("/queue")
    granted = await grant(site, LEAD)
    opened = plain(await admin.page("/leads/L-1"))
    assert "under override 1 until" in opened
    assert "blocks all numbers that begin with +1415. 1 other lead on this number stays blocked" in opened
    monitor = plain(await admin.page(f"/monitor/{granted.override_id}"))
    assert "begins with +1415, which the company's own list blocks" in monitor
    assert "not checked" not in monitor
    assert "override 1" in await admin.page("/queue")


async def test_lifting_a_number_does_not_open_it_while_a_pattern_blocks_it(site: Site, admin: Browser):
    await add_pattern(site.records, ADMIN, AREA, reason="x", source="test")
    await suppress(site.records, ADMIN, NUMBER, source="test")
    page = plain(await admin.page(f"/lists/numbers/{NUMBER}"))
    assert "The number stays blocked: The company's own list blocks all numbers" in page
    assert "The pattern is +1415." in page
    assert "a new copy" not in page
    assert "The number stays blocked all the same: The company's own list" in plain(await admin.page("/leads/L-1/lift"))


async def test_a_registry_that_cannot_be_checked_does_not_hide_the_pattern(site: Site, admin: Browser):
    await add_registry(site.records, ADMIN, "us-ftc", "", EditedTerms(when_uncovered="block"))
    await add_pattern(site.records, ADMIN, AREA, reason="x", source="test")
    assert "begin with +1415." in plain(await admin.page("/leads/L-1"))
    assert "begin with +1415." in plain(await admin.page(f"/lists/numbers/{NUMBER}"))


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.AUDITOR])
async def test_everybody_sees_patterns_and_campaign_lists_and_only_admins_change_them(site: Site, role: Role):
    await add_pattern(site.records, ADMIN, AREA, reason="x", source="test")
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    person = await site.person(role)
    for path in ("/patterns", "/campaign-lists", "/campaign-lists/spring"):
        page = await person.page(path)
        assert ("Preview what it blocks" in page, "Set the campaigns" in page, "Make the list" in page) == (False,) * 3
    assert (await person.post("/patterns/lift", {"pattern": "+1415", "lift_reason": "x"})).status == 403
    assert (await person.post("/campaign-lists/spring", {"campaigns": "y"})).status == 403


async def test_a_campaign_list_is_made_changed_and_filled_and_the_pages_say_for_whom_it_blocks(
    site: Site, admin: Browser
):
    made = await admin.post("/campaign-lists", {"name": "spring", "campaigns": "spring-26, spring-27"})
    assert "spring is made. In force now." in await admin.follow(made)
    put = await admin.post("/campaign-lists/spring/numbers", {"number": "(415) 555-0100", "note": "not in spring"})
    said = "Calls of the campaigns spring-26, spring-27 to it are blocked by the campaign list spring."
    page = plain(await admin.follow(put))
    assert "(415) 555-0100 is on the campaign list spring. In force now." in page
    assert f"blocked for some campaigns {said}" in page
    lead = plain(await admin.page("/leads/L-1"))
    assert "This lead may be called. Calls of the campaigns spring-26, spring-27 to this number are blocked by" in lead
    assert "applies only to calls of the campaigns spring-26, spring-27" in lead
    assert "on no list" not in lead
    assert "Put on the list spring" in lead
    assert "Put on the Do-Not-Call list" not in lead
    assert "Off. Turning it on blocks all 2 leads" in lead
    assert "on spring" in await admin.page("/lists?list=spring")
    assert NUMBER not in await admin.page("/lists?list=internal")
    await admin.follow(await admin.post("/campaign-lists/spring", {"campaigns": "spring-26"}))
    assert "the campaign spring-26 to it are blocked" in plain(await admin.page(f"/lists/numbers/{NUMBER}"))
    assert "spring-26" in await admin.page("/enforcement")
    assert "1 on list spring" in plain(await admin.page("/"))
    await suppress(site.records, ADMIN, NUMBER, source="test")
    assert said.replace("campaigns spring-26, spring-27", "campaign spring-26") in plain(
        await admin.page(f"/lists/numbers/{NUMBER}")
    )
    entry = re.search(r'<option value="(\d+)">spring</option>', await admin.page(f"/lists/numbers/{NUMBER}"))
    assert entry
    off = f"/lists/numbers/{NUMBER}/unlist"
    assert "The reason is missing" in (await admin.post(off, {"entry": entry[1]})).text
    assert "Choose one of the campaign lists" in (await admin.post(off, {"entry": "99", "unlist_reason": "x"})).text
    done = await admin.post(off, {"entry": entry[1], "unlist_reason": "they asked"})
    assert "is off the campaign list spring. In force now." in await admin.follow(done)
    assert "Taken off the list spring" in await admin.page("/leads/L-1")
    assert "are blocked by the campaign list" not in await admin.page(f"/lists/numbers/{NUMBER}")


async def test_a_campaign_that_calls_misspell_stands_beside_the_one_of_the_list(site: Site, admin: Browser):
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    await put(site.database, decision(1, campaign="sprnig-26"), decision(2, campaign="<b>"))
    page = plain(await admin.page("/campaign-lists"))
    assert re.search("sprnig-26 ?1 ?1 Mar 2026 12:00 ?on no campaign list", page), page
    assert re.search("spring-26 ?0 no call names it ?spring", page)
    assert "&lt;b&gt;" in await admin.page("/campaign-lists")
    agent = await site.person(Role.AGENT)
    assert "sprnig-26" not in await agent.page("/campaign-lists")


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"name": "internal", "campaigns": "x"}, "name", "cannot be the name of a campaign list"),
        ({"name": "taken", "campaigns": "x"}, "name", "already a campaign list taken"),
        ({"name": "us-ftc", "campaigns": "x"}, "name", "the name of a registry"),
        ({"name": "spring", "campaigns": ""}, "campaigns", "Name at least one campaign"),
        ({"name": "spring", "campaigns": "a!"}, "campaigns", "is not a campaign"),
    ],
)
async def test_what_cannot_be_a_campaign_list_is_refused_beside_its_field(
    site: Site, admin: Browser, sent, field, said
):
    await add_campaign_list(site.records, ADMIN, "taken", ["x"])
    refused = await admin.post("/campaign-lists", sent)
    assert refused.status == 422
    assert said in refused.text.split(f'id="{field}-error"')[1].split("</div>")[0]


async def test_what_cannot_be_put_on_a_campaign_list_is_refused_and_unknown_lists_are_not_found(
    site: Site, admin: Browser
):
    await add_campaign_list(site.records, ADMIN, "spring", ["x"])
    refused = await admin.post("/campaign-lists/spring/numbers", {"number": "911"})
    assert (refused.status, "not one telephone number" in refused.text) == (422, True)
    assert (await admin.post("/campaign-lists/spring", {"campaigns": ""})).status == 422
    assert (await admin.get("/campaign-lists/summer")).status == 404
    assert (await admin.post("/campaign-lists/internal/numbers", {"number": OTHER})).status == 404


async def test_an_override_opens_the_lead_for_the_campaigns_too(site: Site, admin: Browser):
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    await add_to_list(site.records, ADMIN, "spring", NUMBER, source="test")
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant(site, LEAD)
    assert "campaign list spring, except under this lead's override." in plain(await admin.page("/leads/L-1"))
    assert "campaign list spring." in plain(await admin.page("/leads/L-2"))


async def test_a_lead_that_is_blocked_for_a_campaign_only_needs_no_override_and_every_page_says_why(
    site: Site, admin: Browser
):
    await add_campaign_list(site.records, ADMIN, "spring", ["spring-26"])
    await add_to_list(site.records, ADMIN, "spring", NUMBER, source="test")
    said = f"{NUMBER} is blocked only in calls of spring-26, by spring."
    with pytest.raises(NotSuppressed, match=re.escape(said)):
        await grant(site, LEAD)
    refused = await admin.get("/leads/L-1/override")
    assert (refused.status, said in refused.text) == (409, True)
    assert "blocked for some campaigns spring-26" in plain(await admin.page("/queue"))
