"""Random histories of requests, entries, grants, revocations, imports and leads, against the rule of consent.

Leads have one number or several, and their numbers change. The entries and the overrides end by themselves.
"""

import asyncio
import shutil
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import Override, SuppressionEntry
from admin_web.services.consents import Consent as ConsentGiven
from admin_web.services.consents import NumberNotNamed, OtherNumber
from admin_web.services.do_not_call import block_lead
from admin_web.services.ending import lift_ended
from admin_web.services.keeping import NothingToKeep, keep_override
from admin_web.services.leads import LeadGiven, add_lead, change_lead, put_leads
from admin_web.services.overrides import NothingToRenew, grant_override, renew_override
from admin_web.services.requests import record_request, record_requests, withdraw_request
from admin_web.services.revocation import OverrideExpired, revoke_override
from admin_web.services.suppression import NotListed, lift, suppress, suppress_many
from admin_web.services.wrap_up import Outcome, wrap_up
from compliance.ends import later
from compliance.numbers import E164, LeadId
from compliance.openable import ConsentOutdated, NotSuppressed, OverrideStands, SameDayUnexplained
from lab.postgres import PostgresServer
from tests.support.records import ADMIN, CONSENT, SUPERVISOR, Clock, FakeProjector

NUMBERS = [E164(f"+1415555010{digit}") for digit in range(2)]
LEADS = {LeadId(f"L-{place}"): some for place, some in enumerate([NUMBERS[:1], NUMBERS[1:], NUMBERS, NUMBERS[::-1]])}
EXAMPLES = settings().max_examples

numbers, leads, days_ago = st.sampled_from(NUMBERS), st.sampled_from(list(LEADS)), st.integers(0, 4)
several = st.sampled_from(list(LEADS.values()))


def labelled(some: list[E164]) -> tuple[LabelledNumber, ...]:
    return tuple(map(LabelledNumber, some))


@dataclass
class Request:
    """A request in the model: its day, when it was recorded (a step of the history), and who asked.

    `lead` is None if nobody knows who asked: the request names no lead, or one that did not have the number.
    """

    number: E164
    asked_on: date
    step: int
    lead: LeadId | None
    withdrawn: bool = False


@dataclass
class Consent:
    """An override in the model. `kept` is the step at which an admin kept it last, -1 if never."""

    lead: LeadId
    number: E164
    counts_from: date
    step: int
    expires_at: datetime
    live: bool = True
    kept: int = -1
    ended_by_request: bool = False


class ConsentMachine(RuleBasedStateMachine):
    """Applies each step to the services and to the model. `make` returns the URL of a new database."""

    def __init__(self, make) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.records = Records(Database(make()), FakeProjector(), self.clock)
        self.numbers = dict(LEADS)
        self.listed: dict[E164, datetime | None] = {}
        self.requests: dict[int, Request] = {}
        self.overrides: dict[int, Consent] = {}
        self.step = 0

    def teardown(self) -> None:
        self.runner.run(self.records.database.close())
        self.runner.close()

    @initialize()
    def add_leads(self) -> None:
        for lead, some in LEADS.items():
            self.runner.run(add_lead(self.records, ADMIN, lead, some[0], numbers=labelled(some)))

    def begin(self) -> None:
        """Let a minute pass before a step, so that the moments of two steps differ as their days may."""
        self.step += 1
        self.clock.move(minutes=1)

    @property
    def today(self) -> date:
        return self.records.today()

    def lives(self, one: Consent) -> bool:
        """Return whether an override is live, by the model."""
        return one.live and one.expires_at > self.clock()

    def asked(self, number: E164, lead: LeadId | None, asked_on: date, ended: tuple[int, ...]) -> None:
        """Apply a request to the model, and compare what the service has ended."""
        lead = lead if lead is not None and number in self.numbers[lead] else None
        self.listed[number] = None
        self.requests[len(self.requests) + 1] = Request(number, asked_on, self.step, lead)
        older = {
            override_id
            for override_id, one in self.overrides.items()
            if self.lives(one) and one.number == number and one.counts_from <= asked_on and lead in {None, one.lead}
        }
        assert {override_id for override_id in ended if self.overrides[override_id].number == number} == older
        for override_id in older:
            self.overrides[override_id].live, self.overrides[override_id].ended_by_request = False, True

    @rule(number=numbers, ago=days_ago)
    def ask_by_number(self, number: E164, ago: int) -> None:
        self.begin()
        asked_on = self.today - timedelta(days=ago)
        done = self.runner.run(record_request(self.records, ADMIN, number, source="ivr", asked_on=asked_on))
        assert done.added == (number not in self.listed)
        self.asked(number, None, asked_on, done.ended)

    @rule(lead=leads, number=numbers, ago=days_ago)
    def ask_by_lead(self, lead: LeadId, number: E164, ago: int) -> None:
        self.begin()
        asked_on = self.today - timedelta(days=ago)
        work = record_request(self.records, ADMIN, number, source="api", lead=lead, asked_on=asked_on)
        self.asked(number, lead, asked_on, self.runner.run(work).ended)

    @rule(lead=leads, wrapped_up=st.booleans(), left_out=st.none() | numbers)
    def ask_an_agent(self, lead: LeadId, wrapped_up: bool, left_out: E164 | None) -> None:
        self.begin()
        chosen = [number for number in self.numbers[lead] if number != left_out] or self.numbers[lead]
        if wrapped_up:
            work = wrap_up(self.records, SUPERVISOR, lead, Outcome.DO_NOT_CALL, numbers=chosen)
            blocked = self.runner.run(work).blocked
        else:
            blocked = self.runner.run(block_lead(self.records, SUPERVISOR, lead, chosen))
        assert blocked is not None
        for number in sorted(chosen):
            self.asked(number, lead, self.today, blocked.ended)

    @rule(lead=leads, some=several, by_file=st.booleans())
    def change_numbers(self, lead: LeadId, some: list[E164], by_file: bool) -> None:
        self.begin()
        ends = {
            override_id
            for override_id, one in self.overrides.items()
            if one.lead == lead and one.number not in some and self.lives(one)
        }
        if by_file:
            self.runner.run(put_leads(self.records, ADMIN, [LeadGiven(lead, some[0], numbers=labelled(some))]))
        else:
            done = self.runner.run(change_lead(self.records, ADMIN, lead, numbers=labelled(some)))
            assert set(done.ended_overrides) == ends
        self.numbers[lead] = some
        for one in self.overrides.values():
            if one.lead == lead and one.number not in some:  # Its telephone may be somebody else's from now on.
                one.live = one.ended_by_request = False

    @rule()
    def ask_by_file(self) -> None:
        self.begin()
        done = self.runner.run(record_requests(self.records, ADMIN, NUMBERS, source="import"))
        for number in NUMBERS:
            self.asked(number, None, self.today, done.ended)

    @rule(number=numbers, days=st.none() | st.integers(0, 3), many=st.booleans())
    def list_without_a_request(self, number: E164, days: int | None, many: bool) -> None:
        self.begin()
        ends_at = None if days is None else self.clock() + timedelta(days=days, seconds=30)
        if many:
            self.runner.run(suppress_many(self.records, ADMIN, [number], source="import", ends_at=ends_at))
        else:
            self.runner.run(suppress(self.records, ADMIN, number, source="phone", ends_at=ends_at))
        if self.stands(number):
            ends_at = None
        self.listed[number] = later(self.listed[number], ends_at) if number in self.listed else ends_at

    @rule()
    def let_the_worker_lift(self) -> None:
        self.begin()
        while self.runner.run(lift_ended(self.records, ADMIN, self.clock())):
            pass
        self.listed = {number: end for number, end in self.listed.items() if end is None or end > self.clock()}

    def stands(self, number: E164) -> bool:
        """Return whether a request stands on a number, by the model."""
        return any(one.number == number and not one.withdrawn for one in self.requests.values())

    @rule(number=numbers)
    def lift_one(self, number: E164) -> None:
        self.begin()
        if number in self.listed:
            self.runner.run(lift(self.records, ADMIN, number, reason="test"))
            del self.listed[number]
        else:
            with pytest.raises(NotListed):
                self.runner.run(lift(self.records, ADMIN, number, reason="test"))

    @rule(
        lead=leads, named=st.none() | numbers, ago=days_ago, explained=st.booleans(), lasts=st.sampled_from([1, 2, 20])
    )
    def grant(self, lead: LeadId, named: E164 | None, ago: int, explained: bool, lasts: int) -> None:
        self.begin()
        consent = self.consent(lead, named, ago, explained, lasts)
        self.try_to(grant_override(self.records, SUPERVISOR, consent), consent, self.refusal(consent, None))

    @rule(data=st.data(), ago=days_ago, explained=st.booleans(), lasts=st.sampled_from([1, 2, 20]))
    def renew(self, data, ago: int, explained: bool, lasts: int) -> None:
        self.begin()
        if not self.overrides:
            return
        override_id = data.draw(st.sampled_from(sorted(self.overrides)))
        old = self.overrides[override_id]
        consent = self.consent(old.lead, old.number, ago, explained, lasts)
        work = renew_override(self.records, SUPERVISOR, consent, override_id)
        if self.try_to(work, consent, self.refusal(consent, old)):
            old.live = False

    def consent(self, lead: LeadId, named: E164 | None, ago: int, explained: bool, lasts: int) -> ConsentGiven:
        return replace(
            CONSENT,
            lead=lead,
            number=named,
            consented_on=self.today - timedelta(days=ago),
            same_day_reason="It was signed after the call." if explained else "",
            expires_at=self.clock() + timedelta(days=lasts),
        )

    def try_to(self, work, consent: ConsentGiven, refusal: type[Exception] | None) -> bool:
        """Place an override, and put it into the model. Return False if it is refused as the rule says."""
        if refusal is not None:
            with pytest.raises(refusal):
                self.runner.run(work)
            return False
        done, expires_at = self.runner.run(work), consent.expires_at
        assert expires_at is not None
        assert done.number == (consent.number or self.numbers[consent.lead][0])
        self.overrides[done.override_id] = Consent(
            consent.lead, done.number, consent.consented_on, self.step, expires_at
        )
        return True

    def refusal(self, consent: ConsentGiven, renewed: Consent | None) -> type[Exception] | None:
        """Return what the rule says to a consent; None if it opens the lead on the number."""
        had, number = self.numbers[consent.lead], consent.number
        if number is None and len(had) > 1:
            return NumberNotNamed
        if number not in {None, *had}:
            return OtherNumber
        number = number or had[0]
        if number not in self.listed:
            return NotSuppressed
        asked = [one.asked_on for one in self.requests.values() if one.number == number and not one.withdrawn]
        newest = max(asked, default=None)
        if newest is not None and consent.consented_on < newest:
            return ConsentOutdated
        if consent.consented_on == newest and not consent.same_day_reason:
            return SameDayUnexplained
        if renewed is not None:
            return None if self.lives(renewed) else NothingToRenew
        stands = any(
            self.lives(one) and (one.lead, one.number) == (consent.lead, number) for one in self.overrides.values()
        )
        return OverrideStands if stands else None

    @rule(data=st.data())
    def revoke(self, data) -> None:
        self.begin()
        if not self.overrides:
            return
        override_id = data.draw(st.sampled_from(sorted(self.overrides)))
        try:
            self.runner.run(revoke_override(self.records, ADMIN, override_id, reason="test"))
        except OverrideExpired:
            return
        if self.overrides[override_id].live:
            self.overrides[override_id].live = False

    @rule(data=st.data())
    def keep(self, data) -> None:
        self.begin()
        if not self.overrides:
            return
        override_id = data.draw(st.sampled_from(sorted(self.overrides)))
        one = self.overrides[override_id]
        others = any(
            self.lives(other) and (other.lead, other.number) == (one.lead, one.number)
            for other in self.overrides.values()
        )
        may = self.contested(one) if one.live else one.ended_by_request and not others
        may = may and one.expires_at > self.clock()
        work = keep_override(self.records, ADMIN, override_id, reason="test", seen=max(self.requests, default=None))
        if not may:
            with pytest.raises(NothingToKeep):
                self.runner.run(work)
            return
        self.runner.run(work)
        one.live, one.kept, one.ended_by_request = True, self.step, False

    @rule(data=st.data())
    def withdraw(self, data) -> None:
        self.begin()
        if not self.requests:
            return
        request_id = data.draw(st.sampled_from(sorted(self.requests)))
        self.runner.run(withdraw_request(self.records, ADMIN, request_id, reason="test"))
        self.requests[request_id].withdrawn = True

    @rule()
    def sleep(self) -> None:
        self.clock.move(days=1)

    def contested(self, one: Consent) -> bool:
        """Return whether a request is newer than a consent, by the model."""
        return any(
            request.number == one.number
            and not request.withdrawn
            and request.step > one.kept
            and (
                request.asked_on > one.counts_from or (request.asked_on == one.counts_from and request.step > one.step)
            )
            for request in self.requests.values()
        )

    @invariant()
    def only_ended_entries_without_a_request_are_off_the_list(self) -> None:
        assert self.runner.run(self.entries()) == self.listed
        assert all(end is None for number, end in self.listed.items() if self.stands(number))

    async def entries(self) -> dict[E164, datetime | None]:
        """Return the entries on the list in SQL, with their ends."""
        async with self.records.database.read() as session:
            standing = select(SuppressionEntry.number, SuppressionEntry.ends_at)
            found = await session.execute(standing.where(SuppressionEntry.lifted_at.is_(None)))
            return {E164(number): end for number, end in found}

    @invariant()
    def no_override_is_live_that_the_rule_forbids(self) -> None:
        live = {override_id for override_id, one in self.overrides.items() if self.lives(one)}
        contested = {override_id for override_id in live if self.contested(self.overrides[override_id])}
        found = self.runner.run(self.read())
        assert found == (live, contested)
        assert all(self.overrides[one].number in self.numbers[self.overrides[one].lead] for one in live)
        for override_id in contested:  # Only another lead's request leaves an override open.
            one = self.overrides[override_id]
            since = max(one.kept, one.step)
            newer = [
                request
                for request in self.requests.values()
                if request.number == one.number and request.step > since and request.asked_on >= one.counts_from
            ]
            newer = [request for request in newer if not request.withdrawn]
            assert all(request.lead not in {None, one.lead} for request in newer)

    async def read(self) -> tuple[set[int], set[int]]:
        """Return the live overrides in SQL, and the contested ones among them."""
        async with self.records.database.read() as session:
            live = select(Override.id).where(*Override.live(self.clock()))
            contested = live.where(Override.contested())
            return set(await session.scalars(live)), set(await session.scalars(contested))


def check(make, examples: int) -> None:
    run_state_machine_as_test(
        lambda: ConsentMachine(make),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_on_sqlite_no_override_is_live_that_the_rule_forbids(sqlite_template: Path, tmp_path: Path):
    numbered = count()

    def make() -> str:
        return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / f'{next(numbered)}.sqlite3')}"

    check(make, EXAMPLES // 2)


@pytest.mark.postgres
def test_on_postgres_no_override_is_live_that_the_rule_forbids(postgres_server: PostgresServer):
    numbered = count()
    check(lambda: postgres_server.create_database(f"consent_{next(numbered)}", "migrated"), EXAMPLES // 8)
