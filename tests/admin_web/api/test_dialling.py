"""The queue as dialers use it: claims that end, outcomes, and leads put back or taken off."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from admin_web.people.tokens import Scope
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, Disposition, DoNotCallRequest, Lead, SuppressionEntry
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.services.suppression import suppress
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from tests.support.api import Program
from tests.support.records import ADMIN, rows
from tests.support.site import Site

LEADS = [f"L-{number:02}" for number in range(1, 9)]


@pytest.fixture
async def dialers(site: Site) -> AsyncIterator[list[Program]]:
    """Two dialers with tokens of their own, and eight leads in the queue."""
    given = [LeadGiven(LeadId(lead), E164(f"+1415555{place:04}"), lead) for place, lead in enumerate(LEADS, 100)]
    await put_leads(site.records, ADMIN, given)
    made = [await Program.of(site, Scope.DIAL, Scope.READ, name=f"dialer-{number}") for number in (1, 2)]
    yield made
    for dialer in made:
        await dialer.close()


async def claim(dialer: Program, **asked: object) -> str:
    """Claim the next lead, and return its id; "" if there is none."""
    answer = await dialer.post("/queue/claim", asked)
    assert answer.status == 200, answer.text
    return answer.json["item"]["lead"] if answer.json["item"] else ""


async def offered(dialer: Program) -> list[str]:
    return [lead["lead"] for lead in (await dialer.get("/queue")).json["items"]]


async def lease_ends(database: Database, lead: str) -> None:
    """Let the lease of a lead end now."""
    async with database.write() as session:
        row = await session.scalar(select(Lead).where(Lead.id == lead))
        assert row.claimed_until
        row.claimed_until -= timedelta(days=1)


async def test_a_claimed_lead_is_offered_to_nobody_until_its_lease_ends(site: Site, dialers: list[Program]):
    one, two = dialers
    answer = (await one.post("/queue/claim", {"lease_s": 60})).json
    assert (answer["item"]["lead"], answer["item"]["number"], answer["blocked"]) == ("L-01", "+14155550100", 0)
    row = (await rows(site.records, Lead))[0]
    assert row.claimed_by == "token:dialer-1"
    assert timedelta(seconds=50) < row.claimed_until - site.now() <= timedelta(seconds=60)
    assert await offered(one) == await offered(two) == LEADS[1:]
    assert "/leads/L-01" not in await (await site.person(Role.AGENT)).page("/queue")
    assert "a dialer may be calling this lead" in await (await site.person(Role.AGENT)).page("/leads/L-01")
    assert await claim(two) == "L-02"
    await lease_ends(site.database, "L-01")
    assert await offered(two) == ["L-01", *LEADS[2:]]
    assert "/leads/L-01" in await (await site.person(Role.AGENT)).page("/queue")
    assert "a dialer may be calling" not in await (await site.person(Role.AGENT)).page("/leads/L-01")
    assert await claim(two) == "L-01"


async def test_dialers_that_claim_at_once_never_get_the_same_lead(dialers: list[Program]):
    claims = await asyncio.gather(*(claim(dialers[number % 2]) for number in range(12)))
    assert sorted(lead for lead in claims if lead) == LEADS
    assert claims.count("") == 4


async def test_after_a_lease_only_one_of_many_dialers_gets_the_lead(site: Site, dialers: list[Program]):
    assert [await claim(dialers[0]) for _ in LEADS] == LEADS
    await lease_ends(site.database, "L-05")
    claims = await asyncio.gather(*(claim(dialers[number % 2]) for number in range(6)))
    assert sorted(claims) == [*[""] * 5, "L-05"]


async def test_a_claim_skips_blocked_leads_and_goes_on_from_where_the_last_one_was(site: Site, dialers: list[Program]):
    await suppress(site.records, ADMIN, E164("+14155550100"), source="test")
    await site.records.standing()
    first = (await dialers[0].post("/queue/claim", {})).json
    assert (first["item"]["lead"], first["blocked"]) == ("L-02", 1)
    second = (await dialers[0].post("/queue/claim", {"after": first["next"]})).json
    assert (second["item"]["lead"], second["blocked"]) == ("L-03", 0)
    last = second
    for lead in LEADS[3:]:
        last = (await dialers[0].post("/queue/claim", {"after": last["next"]})).json
        assert last["item"]["lead"] == lead
    end = (await dialers[0].post("/queue/claim", {"after": last["next"]})).json
    assert (end["item"], end["claimed_until"], end["next"]) == (None, None, "")


async def test_a_repeated_claim_gets_the_same_lead(dialers: list[Program]):
    first = await dialers[0].post("/queue/claim", {}, Idempotency_Key="claim-1")
    again = await dialers[0].post("/queue/claim", {}, Idempotency_Key="claim-1")
    assert first.json["item"] == again.json["item"]
    assert await claim(dialers[0]) == "L-02"


@pytest.mark.parametrize(
    "asked", [{"lease_s": 9}, {"lease_s": 3601}, {"lease_s": "long"}, {"after": "!"}, {"lead": "L-1"}]
)
async def test_a_claim_that_does_not_fit_is_a_problem_and_claims_nothing(dialers: list[Program], asked):
    assert (await dialers[0].post("/queue/claim", asked)).problem == "bad-request"
    assert await offered(dialers[0]) == LEADS


async def test_without_a_verified_copy_in_redis_nothing_is_claimed(site: Site, dialers: list[Program]):
    async with site.projection.sides.store.wire() as wire:
        await wire.ask(("FLUSHALL",))
    assert (await dialers[0].post("/queue/claim", {})).problem == "queue-unavailable"
    assert {row.claimed_by for row in await rows(site.records, Lead)} == {""}


@pytest.mark.parametrize(
    ("outcome", "queued"),
    [("no-answer", True), ("call-back", True), ("sale", False), ("not-interested", False), ("wrong-number", False)],
)
async def test_an_outcome_ends_the_claim_and_moves_or_removes_the_lead(
    site: Site, dialers: list[Program], outcome: str, queued: bool
):
    assert await claim(dialers[0]) == "L-01"
    answer = await dialers[0].post("/leads/L-01/outcome", {"outcome": outcome, "note": "from the dialer"})
    assert (answer.status, answer.json["queued"], answer.json["number"]) == (200, queued, "")
    assert await offered(dialers[1]) == [*LEADS[1:], *(["L-01"] if queued else [])]
    (row,) = await rows(site.records, Disposition)
    assert (row.id, row.outcome, row.note) == (answer.json["wrap_up"], outcome, "from the dialer")
    assert row.wrapped_up_by == "token:dialer-1"
    assert "from the dialer" in await (await site.person(Role.AGENT)).page("/leads/L-01")


async def test_the_outcome_do_not_call_lists_the_number_by_the_person_s_own_request(site: Site, dialers: list[Program]):
    answer = (await dialers[0].post("/leads/L-01/outcome", {"outcome": "do-not-call"})).json
    assert (answer["in_force"], answer["queued"], answer["number"], answer["added"]) == (
        True, False, "+14155550100", True,
    )  # fmt: skip
    (entry,) = await rows(site.records, SuppressionEntry)
    assert (entry.number, entry.source, entry.lead_id) == ("+14155550100", "wrap-up", "L-01")
    assert entry.added_by == "token:dialer-1"
    (request,) = await rows(site.records, DoNotCallRequest)
    assert (request.number, request.lead_id, request.source) == ("+14155550100", "L-01", "wrap-up")
    assert request.asked_on == site.records.today()
    assert await offered(dialers[0]) == LEADS[1:]
    again = (await dialers[1].post("/leads/L-01/outcome", {"outcome": "do-not-call"})).json
    assert (again["number"], again["added"]) == ("+14155550100", False)


async def test_a_repeated_outcome_is_recorded_once(site: Site, dialers: list[Program]):
    for _ in range(2):
        await dialers[0].post("/leads/L-01/outcome", {"outcome": "no-answer"}, Idempotency_Key="call-1")
    assert len(await rows(site.records, Disposition)) == 1


@pytest.mark.parametrize("asked", [{}, {"outcome": "bored"}, {"outcome": "sale", "note": "x" * 2001}])
async def test_an_outcome_that_does_not_fit_is_a_problem(dialers: list[Program], asked):
    assert (await dialers[0].post("/leads/L-01/outcome", asked)).problem == "bad-request"


async def test_a_lead_is_taken_off_the_queue_and_put_back(dialers: list[Program]):
    off = await dialers[0].post("/leads/L-01/dequeue", {})
    assert (off.json["queued"], off.json["changed"]) == (False, True)
    assert await offered(dialers[0]) == LEADS[1:]
    assert not (await dialers[0].post("/leads/L-01/dequeue", {})).json["changed"]
    back = await dialers[0].post("/leads/L-01/requeue", {})
    assert (back.json["queued"], back.json["changed"]) == (True, True)
    assert await offered(dialers[0]) == LEADS


async def test_a_dialer_ends_its_own_claim_and_no_other(dialers: list[Program]):
    one, two = dialers
    assert await claim(one) == "L-01"
    await two.post("/leads/L-01/requeue", {})
    assert await offered(two) == LEADS[1:]
    await one.post("/leads/L-01/requeue", {})
    assert await offered(two) == LEADS


async def test_who_changes_the_queue_or_gives_a_lead_back_is_on_record_and_a_claim_is_not(
    site: Site, dialers: list[Program]
):
    one, two = dialers

    async def recorded() -> list[tuple[str, str]]:
        events = [event for event in await rows(site.records, AuditEvent) if event.subject_id == "L-01"]
        return [(event.action, event.done_by) for event in events if event.action != "add-lead"]

    assert await claim(one) == "L-01"
    await two.post("/leads/L-01/requeue", {})  # It changes nothing: the claim is another dialer's.
    assert await recorded() == []
    await one.post("/leads/L-01/requeue", {})
    given_back = [("release-lead", "token:dialer-1")]
    assert await recorded() == given_back
    await two.post("/leads/L-01/dequeue", {})
    await two.post("/leads/L-01/dequeue", {})
    await one.post("/leads/L-01/requeue", {})
    changed = [*given_back, ("unqueue-lead", "token:dialer-2"), ("queue-lead", "token:dialer-1")]
    assert await recorded() == changed
    assert await claim(two) == "L-01"
    await two.post("/leads/L-01/outcome", {"outcome": "sale"})
    assert await recorded() == [*changed, ("wrap-up", "token:dialer-2")]


@pytest.mark.parametrize("what", ["outcome", "requeue", "dequeue"])
async def test_a_lead_that_is_not_on_record_is_a_problem(dialers: list[Program], what: str):
    sent = {"outcome": "sale"} if what == "outcome" else {}
    assert (await dialers[0].post(f"/leads/nobody/{what}", sent)).problem == "unknown-lead"
