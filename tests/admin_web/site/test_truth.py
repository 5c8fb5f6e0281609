"""Each sentence about a lead, its number and the queue is shown if, and only if, the facts make it true.

The tables below are the truth: a sentence, and the facts under which it is true. The walk compares them with what the
pages and the API say for every combination of the facts.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from admin_web.record.models import Document, DoNotCallRequest, Lead, Override, SuppressionEntry
from compliance.consent import ATTESTATION, Role
from compliance.numbers import E164
from tests.support.api import Program
from tests.support.call_log import decision, put, record
from tests.support.registries import file, flat, take
from tests.support.site import Browser, Site

LISTED = ("no", "own", "registry", "both")
REQUEST = ("none", "standing", "withdrawn")
OVERRIDE = ("none", "this", "other", "held", "contested", "expired", "revoked")


@dataclass(frozen=True)
class Case:
    """One combination of the facts about a lead and its number.

    `override` is that of this lead, except for `other`. A contested one is live, and another lead has asked since.
    """

    place: int
    listed: str
    request: str
    override: str
    queued: bool
    alone: bool

    @property
    def number(self) -> E164:
        return E164(f"+1415555{self.place:04}")

    @property
    def lead(self) -> str:
        return f"this-{self.place}"

    @property
    def other(self) -> str:
        return f"other-{self.place}"

    @property
    def blocked(self) -> bool:
        """Whether the number is blocked for who has no override."""
        return self.listed != "no"

    @property
    def live(self) -> bool:
        """Whether an override of this lead opens it."""
        return self.override in {"this", "contested"}

    @property
    def dialable(self) -> bool:
        return self.live or not self.blocked

    @property
    def offered(self) -> bool:
        return self.queued and self.dialable

    @property
    def other_open(self) -> bool:
        """Whether the other lead has an override that opens it."""
        return self.override == "other"

    @property
    def other_blocked(self) -> bool:
        return self.blocked and not self.alone and not self.other_open

    @property
    def lifting_opens(self) -> int:
        """How many leads are dialable only after the number is off the own list."""
        return (not self.dialable) + self.other_blocked if self.listed == "own" else 0


def every_case() -> Iterator[Case]:
    place = 100
    for listed, request, override, queued, alone in product(LISTED, REQUEST, OVERRIDE, (True, False), (True, False)):
        if (override == "other" and alone) or (override == "contested" and (request != "standing" or alone)):
            continue  # Both need another lead; a request of it contests the override.
        yield Case(place, listed, request, override, queued, alone)
        place += 1


CASES = list(every_case())
Truth = Mapping[str, Callable[[Case], bool]]

LEAD_PAGE: Truth = {
    "This lead may be called under override": lambda case: case.live and case.blocked,
    "This lead may be called. Its number is on no list.": lambda case: not case.blocked,
    "This lead may not be called.": lambda case: not case.dialable,
    "· not in the dial queue": lambda case: not case.queued,
    "· in the dial queue": lambda case: case.queued,
    "· in the dial queue, which does not offer it while it is blocked": lambda case: case.queued and not case.offered,
    "Moves to the end of the queue.": lambda case: case.offered,
    "Moves to the end of the queue, which does not offer it while it": lambda case: case.queued and not case.offered,
    "Leaves the queue.": lambda case: case.queued,
    "Stays out of the queue.": lambda case: not case.queued,
    "1 other lead on this number stays blocked.": lambda case: case.other_blocked,
    "1 other lead on this number has its own override.": lambda case: case.blocked and case.other_open,
    "Ends this lead's override.": lambda case: case.live or case.override == "held",
    "Blocks the number at once, for this lead.": lambda case: case.alone,
    "Blocks the number at once, for all 2 leads.": lambda case: not case.alone and not case.other_open,
    "for this lead (1 other lead keeps its own override).": lambda case: case.other_open,
    "Off. Turning it on blocks this lead on this number": lambda case: case.alone and not case.blocked,
    "Off. Turning it on blocks all 2 leads": lambda case: not (case.alone or case.blocked or case.other_open),
    "Off. Turning it on blocks this lead (1 other": lambda case: case.other_open and not case.blocked,
    "which cannot be changed here": lambda case: case.listed == "registry",
    "it stays blocked by the list us-ftc": lambda case: case.listed == "both",
    "waits for its review by an admin": lambda case: case.override == "held",
    "it has no effect while the number is not blocked": lambda case: case.live and not case.blocked,
    "Its number is on the company's own Do-Not-Call list.": lambda case: case.listed == "own",
    "Its number is on the list us-ftc.": lambda case: case.listed == "registry",
    "/override\">": lambda case: case.blocked and not case.live and case.override != "held",
    "The lead moved to the end of the dial queue.": lambda case: case.offered,
    "The lead moved to the end of the dial queue, which does": lambda case: case.queued and not case.offered,
    "The lead stays out of the dial queue.": lambda case: not case.queued,
    "The lead left the dial queue.": lambda _: False,
}  # fmt: skip
"""The page of a lead whose call was wrapped up as “No answer” a moment ago."""

NUMBER_PAGE: Truth = {
    "on no list": lambda case: not case.blocked,
    "open by an override": lambda case: case.blocked and (case.live or case.other_open),
    ">dialable<": lambda case: not case.blocked,
    "No lead has this number": lambda _: False,
    "Lifting opens 1 lead:": lambda case: case.lifting_opens == 1,
    "Lifting opens 2 leads:": lambda case: case.lifting_opens == 2,
    "Every lead on this number is open already": lambda case: case.listed == "own" and not case.lifting_opens,
    "The number stays blocked, because it is also on the list us-ftc": lambda case: case.listed == "both",
    "The number is also on the list us-ftc": lambda case: case.listed in {"registry", "both"},
    "Only a consent that is dated after the newest request": lambda case: case.request == "standing",
    "All of them were withdrawn": lambda case: case.request == "withdrawn",
    "It was never on the company's own list": lambda case: case.listed in {"no", "registry"},
    "Record a request not to be called": lambda case: case.listed in {"own", "both"},
}

MONITOR: Truth = {
    "is on no list now, so lead": lambda case: not case.blocked,
    "is blocked from the next call on.": lambda case: case.blocked and case.override != "held",
    "The override opens nothing yet": lambda case: case.blocked and case.override == "held",
    "No other lead has this number.": lambda case: case.blocked and case.alone and case.live,
    "1 other lead on this number stays blocked": lambda case: (
        (case.live and case.other_blocked) or (case.other_open and case.blocked)
    ),
    "newer than the consent": lambda case: case.override == "contested",
    "Keep this override": lambda case: case.override == "contested",
    "not checked": lambda _: False,
}
"""The page of a live override, or of one that waits for its review. The other lead has none if this one has."""


def wrong(text: str, truth: Truth, case: Case) -> list[str]:
    """Return the sentences that are shown although they are false, or not shown although they are true."""
    return [
        f"{'is not shown' if true(case) else 'is false'}: {said!r} for {case}"
        for said, true in truth.items()
        if (said in text) is not true(case)
    ]


def plain(page: str) -> str:
    """Return a page without emphasis, as a person reads it."""
    return " ".join(unescape(page).replace("<strong>", "").replace("</strong>", "").split())


def rows_of(case: Case, site: Site, document: int) -> Iterator[Any]:
    """Yield the rows that make a case true, without those of a registry."""
    at, today = site.now(), site.records.today()
    for lead in [case.lead] if case.alone else [case.lead, case.other]:
        yield Lead(id=lead, number=case.number, created_at=at, created_by="t", queued=case.queued or lead != case.lead)
    if case.listed in {"own", "both"}:
        yield SuppressionEntry(
            list_name="internal", number=case.number, source="import", added_at=at - timedelta(days=30), added_by="t"
        )
    if case.request != "none":
        days, withdrawn = (5 if case.override == "contested" else 20), case.request == "withdrawn"
        yield DoNotCallRequest(
            number=case.number, asked_on=today - timedelta(days=days), source="ivr", recorded_by="t",
            recorded_at=at - timedelta(days=days), withdrawn_at=at if withdrawn else None,
            withdrawn_by="t" if withdrawn else None, withdraw_reason="x" if withdrawn else None,
        )  # fmt: skip
    if case.override != "none":
        consented, ended = today - timedelta(days=10), case.override == "revoked"
        yield Override(
            lead_id=case.other if case.override == "other" else case.lead, number=case.number, basis="signed-consent",
            consented_on=consented, counts_from=consented, document_id=document, attestation=ATTESTATION,
            placed_at=at - timedelta(days=9), placed_by="t", placed_from="",
            expires_at=at + timedelta(days=-1 if case.override == "expired" else 300), held=case.override == "held",
            revoked_at=at if ended else None, revoked_by="t" if ended else None, revoke_reason="x" if ended else None,
        )  # fmt: skip


@pytest.fixture
async def overrides(site: Site, tmp_path: Path) -> dict[int, int]:
    """All cases are on record and in force. Returns the id of the override of each case that has one."""
    published = [case.number for case in CASES if case.listed in {"registry", "both"}]
    await take(site.records, "us-ftc", file(tmp_path, flat(published)))
    found: dict[int, int] = {}
    async with site.database.write() as session:
        document = Document(
            sha256="ab" * 32, name="c.pdf", media_type="application/pdf", size=1, stored_at=site.now(), stored_by="t"
        )
        session.add(document)
        await session.flush()
        for case in CASES:
            for row in rows_of(case, site, document.id):
                session.add(row)
                await session.flush()
                if isinstance(row, Override):
                    found[case.place] = row.id
    await site.projection.rebuild()
    return found


@pytest.fixture
async def program(site: Site) -> AsyncIterator[Program]:
    """A program with every scope."""
    program = await Program.of(site)
    yield program
    await program.close()


async def after_no_answer(browser: Browser, case: Case) -> str:
    """Return the page of the lead after its call was wrapped up."""
    answer = await browser.post(f"/leads/{case.lead}/wrap-up", {"outcome": "no-answer"})
    return plain(await browser.follow(answer))


async def queue_of(program: Program) -> set[str]:
    """Return all leads that the queue offers."""
    leads: set[str] = set()
    after = ""
    while True:
        page = (await program.get(f"/queue?limit=100&after={after}")).json
        leads |= {item["lead"] for item in page["items"]}
        if not (after := page["next"]):
            return leads


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The sentences do not depend on the database."""


def test_the_cases_are_every_combination_that_can_occur():
    assert len(CASES) == len({(case.listed, case.request, case.override, case.queued, case.alone) for case in CASES})
    assert len(CASES) == 4 * 3 * 2 * 2 * 5 + 4 * 3 * 2 + 4 * 2


@pytest.mark.exhaustive
@ON_SQLITE
async def test_each_sentence_of_a_page_is_shown_if_and_only_if_it_is_true(site: Site, overrides: dict[int, int]):
    supervisor, admin = await site.person(Role.SUPERVISOR), await site.person(Role.ADMIN)
    found: list[str] = []
    for case in CASES:
        found += wrong(await after_no_answer(supervisor, case), LEAD_PAGE, case)
        if not case.queued:
            continue  # The other pages do not depend on it.
        found += wrong(plain(await admin.page(f"/lists/numbers/{case.number}")), NUMBER_PAGE, case)
        if case.override in {"this", "other", "held", "contested"}:
            found += wrong(plain(await admin.page(f"/monitor/{overrides[case.place]}")), MONITOR, case)
    assert found == []


@pytest.mark.exhaustive
@ON_SQLITE
async def test_each_answer_of_the_api_is_true(program: Program, overrides: dict[int, int]):
    offered = {case.lead for case in CASES if case.offered}
    offered |= {case.other for case in CASES if not case.alone and not case.other_blocked}
    assert await queue_of(program) == offered
    for case in CASES:
        lead = (await program.get(f"/leads/{case.lead}")).json
        assert (lead["queued"], lead["offered"]) == (case.queued, case.offered), case
        assert (lead["state"] in {"dialable", "override"}) is case.dialable, case
        number = (await program.get(f"/numbers/{case.number}?lead={case.lead}")).json
        assert (number["verdict"] == "ALLOW") is case.dialable, case
        if not case.queued:
            continue  # The next answer would make it the case of a queued lead.
        back = (await program.post(f"/leads/{case.lead}/requeue", {})).json
        assert (back["queued"], back["offered"]) == (True, case.dialable), case
        told = (await program.post(f"/leads/{case.lead}/outcome", {"outcome": "call-back"})).json
        assert told["queued"] is case.dialable, case
        asked = (await program.post(f"/leads/{case.lead}/outcome", {"outcome": "do-not-call"})).json
        assert (asked["queued"], asked["number"]) == (False, case.number), case
        assert asked["added"] is (case.listed in {"no", "registry"}), case
        assert asked["still_open"] == ([case.other] if case.other_open else []), case
        ended = [overrides[case.place]] if case.live or case.override == "held" else []
        assert asked["ended_overrides"] == ended, case
        assert (await program.get(f"/leads/{case.lead}")).json["offered"] is False, case


@ON_SQLITE
@pytest.mark.parametrize("override", ["none", "this", "other"])
async def test_the_answer_to_do_not_call_names_who_may_still_be_called(
    site: Site, overrides: dict[int, int], override: str
):
    case = next(one for one in CASES if one.override == override and not one.alone and one.listed == "no")
    supervisor = await site.person(Role.SUPERVISOR)
    answer = await supervisor.post(f"/leads/{case.lead}/wrap-up", {"outcome": "do-not-call"})
    page = plain(await supervisor.follow(answer))
    assert ("No lead may be called on it." in page) is (override != "other")
    assert (f"An override of their own still opens: {case.other}." in page) is (override == "other")
    assert ("The lead's own override has ended." in page) is (override == "this")


@ON_SQLITE
async def test_without_a_verified_copy_the_queue_offers_nobody_and_says_so(
    site: Site, program: Program, overrides: dict[int, int]
):
    async with site.projection.sides.store.wire() as wire:
        await wire.ask(("FLUSHALL",))
    page = plain(await (await site.person(Role.AGENT)).page("/queue"))
    assert "Nobody can be called at the moment." in page
    assert "Leads that may be called now" not in page
    assert (await program.get("/queue")).problem == "queue-unavailable"


EMERGENCY = "This is an emergency number, which cannot be listed."


@ON_SQLITE
@pytest.mark.parametrize(
    ("written", "said"),
    [("911", EMERGENCY), ("9-1-1", EMERGENCY), ("112", EMERGENCY), ("912", "Digits are missing."),
     ("415555010", "Digits are missing."), ("+44 20 7946 0958", ""), ("oops", "The text contains letters.")],
)  # fmt: skip
async def test_what_is_said_about_a_number_that_cannot_be_listed_is_true(
    site: Site, program: Program, written: str, said: str
):
    admin = await site.person(Role.ADMIN)
    for path, fields in (("/lists/add", {"number": written}), ("/leads/+new", {"number": written, "id": "L-1"})):
        answer = await admin.post(path, fields)
        assert answer.status == (422 if said else 303)
        assert said in unescape(answer.text)
        assert not (said == EMERGENCY and "not one telephone number" in answer.text)
    answered = await program.post("/suppress", {"number": written})
    assert answered.json["detail"].startswith(said) if said else answered.status == 200


@ON_SQLITE
@pytest.mark.parametrize("disposition", ["FAILED", "NO ANSWER", "BUSY", "ANSWERED", "CONGESTION"])
@pytest.mark.parametrize("trunk", ["", "PJSIP/trunk-01"])
async def test_a_blocked_call_was_not_placed_unless_it_left_the_pbx(site: Site, disposition: str, trunk: str):
    await put(
        site.database,
        decision(1, verdict="BLOCK", reason="internal-dnc"),
        record(1, decision_id=decision(1).id, disposition=disposition, verdict="BLOCK", trunk=trunk),
        decision(2),
        record(2, decision_id=decision(2).id, disposition=disposition, verdict="ALLOW", trunk="PJSIP/trunk-02"),
    )
    admin = await site.person(Role.ADMIN)
    blocked, allowed = [await admin.page(f"/calls?verdict={verdict}") for verdict in ("BLOCK", "ALLOW")]
    word = disposition.capitalize()
    assert ("<td>Not placed" in blocked, f"<td>{word}" in blocked) == (not trunk, bool(trunk))
    assert f"<td>{word}" in allowed
