"""The pages of leads: the list, one lead, its Do-Not-Call switch and wrap-up; what each role sees and may do."""

import re

import pytest
from sqlalchemy import select

from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import Disposition, Lead, Override, SuppressionEntry
from admin_web.services.leads import add_lead
from admin_web.services.revocation import revoke_override
from admin_web.services.suppression import suppress
from compliance.consent import Role
from compliance.numbers import E164
from tests.support.consent import grant
from tests.support.records import ADMIN, LEAD, NUMBER, OTHER, SECOND, rows
from tests.support.site import Browser, Site

SWITCH = re.compile(r'<button class="switch"[^>]*role="switch"[^>]*aria-checked="(true|false)"')
BADGE = {"dialable": "Dialable", "do-not-call": "Do-Not-Call", "override": "Override active"}


@pytest.fixture
async def leads(site: Site) -> None:
    """Two leads share a number; a third has its own."""
    await add_lead(site.records, ADMIN, LEAD, NUMBER, "Northwind Traders")
    await add_lead(site.records, ADMIN, SECOND, NUMBER, "Östra Bakery")
    await add_lead(site.records, ADMIN, "L-3", OTHER, "Contoso Dental")


def switched_on(page: str) -> bool:
    found = SWITCH.search(page)
    assert found, "there is no switch"
    return found[1] == "true"


async def names(browser: Browser, query: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/leads/([^"]+)"', await browser.page(f"/leads?{query}"))


@pytest.mark.usefixtures("leads")
async def test_leads_are_found_by_the_beginning_of_a_name_by_id_and_by_any_spelling_of_the_number(site: Site):
    agent = await site.person(Role.AGENT)
    assert await names(agent, "") == ["L-3", "L-1", "L-2"]
    assert await names(agent, "q=NORTH") == ["L-1"]
    assert await names(agent, "q=ostra+b") == ["L-2"]
    assert await names(agent, "q=L-3") == ["L-3"]
    for spelling in ("(415) 555-0100", "+1 415 555 0100", "14155550100", "415.555.0100"):
        assert await names(agent, f"q={spelling.replace('+', '%2B')}") == ["L-1", "L-2"], spelling
    assert "No lead matches" in await agent.page("/leads?q=nobody")


@pytest.mark.usefixtures("leads")
async def test_leads_are_sifted_by_state(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant(site, SECOND)
    agent = await site.person(Role.AGENT)
    assert await names(agent, "state=do-not-call") == ["L-1"]
    assert await names(agent, "state=override") == ["L-2"]
    assert await names(agent, "state=dialable") == ["L-3"]
    assert await names(agent, "state=dialable&q=L-1") == []


@pytest.mark.usefixtures("leads")
async def test_the_switch_blocks_every_lead_on_the_number_and_says_so_before(site: Site):
    agent = await site.person(Role.AGENT)
    before = await agent.page("/leads/L-1")
    assert not switched_on(before)
    assert "blocks all 2 leads on this number" in before
    after = await agent.follow(await agent.post("/leads/L-1/do-not-call"))
    assert switched_on(after)
    assert "In force now." in after
    assert switched_on(await agent.page("/leads/L-2"))
    assert not switched_on(await agent.page("/leads/L-3"))
    (entry,) = await rows(site.records, SuppressionEntry)
    assert (entry.number, entry.source, entry.lead_id, entry.added_by) == (NUMBER, "switch", LEAD, "agent")
    assert re.search(r"Company&#39;s own list|Company's own list", after)


@pytest.mark.usefixtures("leads")
async def test_only_an_admin_turns_the_switch_off_and_only_with_a_reason(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="test")
    agent, admin = await site.person(Role.AGENT), await site.person(Role.ADMIN)
    assert "Only an admin can lift the number, with a reason" in await agent.page("/leads/L-1")
    assert (await agent.get("/leads/L-1/lift")).status == 403
    assert (await agent.post("/leads/L-1/lift", {"reason": "because"})).status == 403
    assert "All 2 leads" in await admin.page("/leads/L-1/lift")
    refused = await admin.post("/leads/L-1/lift", {"reason": " "})
    assert refused.status == 422
    assert "The reason is missing." in refused.text
    after = await admin.follow(await admin.post("/leads/L-1/lift", {"reason": "Listed by mistake."}))
    assert not switched_on(after)
    (entry,) = await rows(site.records, SuppressionEntry)
    assert (entry.lifted_by, entry.lift_reason) == ("admin", "Listed by mistake.")


@pytest.mark.usefixtures("leads")
async def test_a_wrap_up_of_do_not_call_writes_the_entry_and_is_in_force(site: Site):
    agent = await site.person(Role.AGENT)
    after = await agent.follow(await agent.post("/leads/L-1/wrap-up", {"outcome": "do-not-call", "note": "Asked us."}))
    assert switched_on(after)
    assert "In force now." in after
    (entry,), (wrap_up,) = await rows(site.records, SuppressionEntry), await rows(site.records, Disposition)
    assert (entry.number, entry.source, entry.lead_id, entry.added_by) == (NUMBER, "wrap-up", LEAD, "agent")
    assert (wrap_up.outcome, wrap_up.note, wrap_up.wrapped_up_by) == ("do-not-call", "Asked us.", "agent")
    assert "Asked us." in after


@pytest.mark.usefixtures("leads")
async def test_a_wrap_up_without_outcome_is_refused_with_its_note_kept(site: Site):
    agent = await site.person(Role.AGENT)
    for outcome in ("", "interested"):
        answer = await agent.post("/leads/L-1/wrap-up", {"outcome": outcome, "note": "Kept words"})
        assert answer.status == 422
        assert "Choose how the call ended." in answer.text
        assert "Kept words" in answer.text
    assert await rows(site.records, Disposition) == []


@pytest.mark.usefixtures("leads")
async def test_an_agent_sees_neither_basis_nor_document_nor_attestation(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant(site, LEAD)
    page = await (await site.person(Role.AGENT)).page("/leads/L-1")
    assert BADGE["override"] in page
    for secret in ("signed-consent", "Signed consent", "consent.pdf", "I confirm that documented"):
        assert secret not in page


@pytest.mark.usefixtures("leads")
async def test_why_an_override_was_revoked_is_for_those_who_may_see_overrides(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant(site, LEAD)
    (override,) = await rows(site.records, Override)
    await revoke_override(site.records, ADMIN, override.id, reason="The signature was forged.")
    pages = {role: await (await site.person(role)).page("/leads/L-1") for role in (Role.AGENT, Role.SUPERVISOR)}
    assert all("Override revoked" in page for page in pages.values())
    assert [role for role, page in pages.items() if "The signature was forged." in page] == [Role.SUPERVISOR]


@pytest.mark.usefixtures("leads")
async def test_the_override_button_is_there_once_the_lead_is_listed_and_only_for_who_may(site: Site):
    supervisor, agent = await site.person(Role.SUPERVISOR), await site.person(Role.AGENT)
    assert "/leads/L-1/override" not in await supervisor.page("/leads/L-1")
    await suppress(site.records, ADMIN, NUMBER, source="test")
    assert "/leads/L-1/override" in await supervisor.page("/leads/L-1")
    assert "/leads/L-1/override" not in await agent.page("/leads/L-1")
    await grant(site, LEAD)
    assert "/leads/L-1/override" not in await supervisor.page("/leads/L-1")


@pytest.mark.usefixtures("leads")
async def test_an_auditor_reads_a_lead_and_changes_nothing(site: Site):
    auditor = await site.person(Role.AUDITOR)
    page = await auditor.page("/leads/L-1")
    assert 'action="/leads/L-1' not in page
    for action in ("do-not-call", "wrap-up", "lift", "edit", "call"):
        assert (await auditor.post(f"/leads/L-1/{action}", {"outcome": "sale", "reason": "x"})).status == 403


async def test_a_lead_is_added_under_its_id_with_the_number_in_any_spelling(site: Site):
    agent = await site.person(Role.AGENT)
    await agent.page("/leads/+new")
    page = await agent.follow(
        await agent.post("/leads/+new", {"id": "new", "name": "Fabrikam", "number": "(415) 555-0100"})
    )
    assert "Fabrikam" in page
    (lead,) = await rows(site.records, Lead)
    assert (lead.id, lead.number, lead.name_folded, lead.created_by) == ("new", NUMBER, "fabrikam", "agent")


@pytest.mark.usefixtures("leads")
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"id": "L-9", "number": "555"}, "Digits are missing"),
        ({"id": "no spaces", "number": "4155550100"}, "A lead id is 1 to 64"),
        ({"id": "L-1", "number": "4155550100"}, "There is already a lead L-1"),
        ({"id": "L-9", "number": "4155550100", "name": "x" * 201}, "longer than 200"),
    ],
)
async def test_a_lead_that_cannot_be_added_is_refused_beside_its_field_with_the_input_kept(
    site: Site, fields, sentence
):
    agent = await site.person(Role.AGENT)
    answer = await agent.post("/leads/+new", {"name": "Kept name", **fields})
    assert answer.status == 422
    assert sentence in answer.text
    assert f'value="{fields["number"]}"' in answer.text
    assert len(await rows(site.records, Lead)) == 3


@pytest.mark.usefixtures("leads")
async def test_a_new_number_ends_the_override_and_the_form_says_so_before(site: Site):
    await suppress(site.records, ADMIN, NUMBER, source="test")
    await grant(site, LEAD)
    agent = await site.person(Role.AGENT)
    assert "A new number ends it" in await agent.page("/leads/L-1/edit")
    sent = {"name": "Northwind Traders", "number": "415 555 0199", "was": NUMBER, "queued": "yes"}
    page = await agent.follow(await agent.post("/leads/L-1/edit", sent))
    assert re.search(r"Override \d+ ended with the old number\.", page)
    (override,) = await rows(site.records, Override)
    assert override.revoked_by == "agent"


@pytest.mark.usefixtures("leads")
async def test_a_form_that_was_opened_before_somebody_else_changed_the_number_changes_nothing(site: Site):
    agent = await site.person(Role.AGENT)
    sent = {"name": "Other", "number": "415 555 0199", "was": OTHER, "queued": "yes"}
    answer = await agent.post("/leads/L-1/edit", sent)
    assert answer.status == 422
    assert "has been changed to" in answer.text
    assert f'name="was" value="{NUMBER}"' in answer.text
    async with site.database.read() as session:
        assert await session.scalar(select(Lead.number).where(Lead.id == LEAD)) == NUMBER


@pytest.mark.usefixtures("leads")
async def test_a_lead_is_taken_off_the_queue_and_put_back_by_its_form(site: Site):
    agent = await site.person(Role.AGENT)
    sent = {"name": "Northwind Traders", "number": NUMBER, "was": NUMBER}
    await agent.follow(await agent.post("/leads/L-1/edit", sent))
    assert "/leads/L-1" not in await agent.page("/queue")
    await agent.follow(await agent.post("/leads/L-1/edit", {**sent, "queued": "yes"}))
    assert "/leads/L-1" in await agent.page("/queue")


@pytest.mark.usefixtures("leads")
async def test_without_a_pbx_the_page_says_so_and_a_call_is_refused_with_a_sentence(site: Site):
    agent = await site.person(Role.AGENT)
    assert "because no PBX is configured" in await agent.page("/leads/L-1")
    assert "No PBX is configured" in await agent.follow(await agent.post("/leads/L-1/call"))


@pytest.mark.parametrize("path", ["/leads/no-such", "/leads/%20", "/leads/" + "x" * 65, "/leads/a%2Fb"])
async def test_a_lead_that_is_none_is_a_page_that_says_so(site: Site, path: str):
    assert (await (await site.person(Role.AGENT)).get(path)).status == 404


async def test_a_name_is_shown_as_text_whatever_it_holds(site: Site):
    await add_lead(site.records, ADMIN, LEAD, NUMBER, "<script>alert(1)</script>")
    agent = await site.person(Role.AGENT)
    for path in ("/leads", "/leads/L-1", "/leads/L-1/edit", "/queue"):
        page = await agent.page(path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


async def test_the_list_is_paged_by_name_and_shows_every_lead_once(site: Site):
    for n in range(120):
        await add_lead(site.records, ADMIN, f"p{n:03d}", E164(f"+1415555{n:04d}"), f"Lead {n % 7}")
    agent, path, seen = await site.person(Role.AGENT), "/leads", []
    while path:
        page = await agent.page(path)
        seen += re.findall(r'<th scope="row"><a href="/leads/([^"]+)"', page)
        onward = re.search(r'rel="next" href="([^"]+)"', page)
        path = f"/leads{onward[1]}".replace("&amp;", "&") if onward else ""
    assert sorted(seen) == [f"p{n:03d}" for n in range(120)]


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("{origin}/leads?q=north", "/leads?q=north"),
        ("{origin}/leads/nobody", ""),
        ("{origin}//elsewhere.example/", ""),
        ("https://elsewhere.example/leads", ""),
        ("javascript:alert(1)", ""),
        ("http://[", ""),
    ],
)
async def test_a_page_that_is_not_there_leads_back_to_where_one_came_from_within_the_site(
    site: Site, referer: str, back: str
):
    admin = await site.person("admin")
    answer = await admin.get("/leads/nobody", Referer=referer.format(origin=admin.origin))
    assert answer.status == 404
    assert re.findall(r'href="([^"]*)">Back<', answer.text) == ([back] if back else [])


@pytest.fixture
async def two_numbers(site: Site) -> None:
    """A lead with two numbers, the first of which is listed."""
    numbers = (LabelledNumber(NUMBER, "home"), LabelledNumber(OTHER, "mobile"))
    await add_lead(site.records, ADMIN, LEAD, NUMBER, "Northwind Traders", numbers)
    await suppress(site.records, ADMIN, NUMBER, source="test")


@pytest.mark.usefixtures("two_numbers")
async def test_a_lead_is_dialable_if_one_of_its_numbers_is_and_found_by_both(site: Site):
    agent = await site.person(Role.AGENT)
    for number in (NUMBER, OTHER):
        assert await names(agent, f"q=%2B{number[1:]}") == ["L-1"]
        assert "L-1" in await agent.page(f"/lists/numbers/%2B{number[1:]}")
    assert await names(agent, "state=dialable") == ["L-1"]
    page = await agent.page("/leads/L-1")
    assert "This lead may be called on (415) 555-0101." in page
    assert "The rest of this page is about" in page
    assert "and 1 more" in await agent.page("/leads")
    other = await agent.page(f"/leads/L-1?number=%2B{NUMBER[1:]}")
    assert "This lead may not be called on (415) 555-0100." in other


@pytest.mark.usefixtures("two_numbers")
async def test_the_switch_blocks_the_numbers_that_are_ticked_and_all_by_default(site: Site):
    agent = await site.person(Role.AGENT)
    assert (await agent.page("/leads/L-1")).count('name="block"') == 4
    said = await agent.follow(await agent.post("/leads/L-1/do-not-call", {"block": OTHER}))
    assert "(415) 555-0101 is on the Do-Not-Call list. No lead may be called on it." in said
    said = await agent.follow(await agent.post("/leads/L-1/do-not-call"))
    assert "(415) 555-0100, (415) 555-0101 are on the Do-Not-Call list" in said
    refused = await agent.follow(await agent.post("/leads/L-1/do-not-call", {"block": "+14155550177"}))
    assert "Nothing was changed." in refused


@pytest.mark.usefixtures("two_numbers")
async def test_a_lead_whose_other_number_stays_free_is_not_said_to_be_blocked(site: Site):
    agent = await site.person(Role.AGENT)
    said = await agent.follow(await agent.post("/leads/L-1/do-not-call", {"block": NUMBER}))
    assert "(415) 555-0100 is on the Do-Not-Call list, as it was before. No lead may be called on it." in said
    assert "This lead may be called on (415) 555-0101." in said
    done = await agent.post("/leads/L-1/wrap-up", {"outcome": "do-not-call", "block": NUMBER})
    assert "No lead may be called on it." in await agent.follow(done)
    assert 'href="/leads/L-1"' in await agent.page("/queue")


@pytest.mark.usefixtures("two_numbers")
async def test_the_form_of_a_lead_keeps_adds_and_removes_numbers_and_names_what_ends(site: Site):
    override = (await grant(site, LEAD, number=NUMBER)).override_id
    admin = await site.person(Role.ADMIN)
    page = await admin.page("/leads/L-1/edit")
    assert "Removing this number ends it" in page
    fields = dict(re.findall(r'name="(was|number2?)"[^>]*value="([^"]*)"', page))
    assert fields["was"] == f"{NUMBER},{OTHER}"
    kept = {"name": "Northwind", "was": fields["was"], "number": NUMBER, "number2": OTHER, "label2": "work"}
    await admin.post("/leads/L-1/edit", kept)
    wrong = await admin.post("/leads/L-1/edit", {**kept, "number3": "oops"})
    assert (wrong.status, 'id="number3-error"' in wrong.text) == (422, True)
    said = await admin.follow(await admin.post("/leads/L-1/edit", {**kept, "number": OTHER, "number2": ""}))
    assert f"Override {override} ended with the old number." in said
    assert (await rows(site.records, Override))[0].revoked_at is not None
    assert [lead.number for lead in await rows(site.records, Lead)] == [OTHER]
