"""Random changes in random order: listed numbers and live overrides always agree with a model of a few lines."""

import asyncio
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from admin_web.judging.listing import lists_of_many
from admin_web.queries.live_overrides import every_live_override
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent, OutboxRow, Override, SuppressionEntry
from admin_web.services.leads import LeadExists, UnknownLead, add_lead, change_lead
from admin_web.services.overrides import grant_override
from admin_web.services.revocation import OverrideExpired, UnknownOverride, revoke_override
from admin_web.services.suppression import NotListed, lift, suppress, suppress_many
from compliance.numbers import E164, LeadId
from compliance.openable import NotSuppressed, OverrideStands
from compliance.refusal import Refused
from lab.postgres import PostgresServer
from tests.support.records import ADMIN, AT, CONSENT, SUPERVISOR, Clock, FakeProjector, rows

NUMBERS = [E164(f"+1415555010{digit}") for digit in range(3)]
LEADS = [LeadId(f"L-{digit}") for digit in range(3)]

EXAMPLES = settings().max_examples

numbers, leads = st.sampled_from(NUMBERS), st.sampled_from(LEADS)


@dataclass
class Opened:
    """An override, as the model sees it."""

    lead: LeadId
    number: E164
    ends_after: timedelta
    revoked: bool = False


class RecordMachine(RuleBasedStateMachine):
    """Applies each step to the services and to the model. `make` returns the URL of a new database."""

    def __init__(self, make) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock, self.projector = Clock(), FakeProjector()
        self.records = Records(Database(make()), self.projector, self.clock)
        self.listed: set[E164] = set()
        self.leads: dict[LeadId, E164] = {}
        self.overrides: dict[int, Opened] = {}
        self.changed: Counter[tuple[E164, LeadId | None]] = Counter()

    def teardown(self) -> None:
        self.runner.run(self.records.database.close())
        self.runner.close()

    def live(self) -> dict[LeadId, int]:
        """Return the live overrides of the model: override ids by lead."""
        now = self.clock.at - AT
        return {
            opened.lead: override_id
            for override_id, opened in self.overrides.items()
            if not opened.revoked and now < opened.ends_after
        }

    def refused(self, work, expected: type[Refused]) -> None:
        with pytest.raises(expected):
            self.runner.run(work)

    @rule(number=numbers)
    def suppress_one(self, number: E164) -> None:
        done = self.runner.run(suppress(self.records, ADMIN, number, source="phone"))
        assert done.added == (number not in self.listed)
        on_number = [override for override in self.live().values() if self.overrides[override].number == number]
        assert sorted(done.open_overrides) == sorted(on_number)
        self.listed.add(number)
        self.changed[number, None] += 1

    @rule(several=st.lists(numbers, min_size=1, max_size=5))
    def suppress_several(self, several: list[E164]) -> None:
        done = self.runner.run(suppress_many(self.records, ADMIN, several, source="import"))
        assert done.added == len(set(several) - self.listed)
        assert done.already == len(set(several) & self.listed)
        self.listed |= set(several)
        self.changed.update((number, None) for number in set(several))

    @rule(number=numbers)
    def lift_one(self, number: E164) -> None:
        work = lift(self.records, ADMIN, number, reason="test")
        if number not in self.listed:
            self.refused(work, NotListed)
            return
        self.runner.run(work)
        self.listed.remove(number)
        self.changed[number, None] += 1

    @rule(lead=leads, number=numbers)
    def add_one(self, lead: LeadId, number: E164) -> None:
        work = add_lead(self.records, ADMIN, lead, number)
        if lead in self.leads:
            self.refused(work, LeadExists)
            return
        self.runner.run(work)
        self.leads[lead] = number

    @rule(lead=leads, number=numbers)
    def change_one(self, lead: LeadId, number: E164) -> None:
        work = change_lead(self.records, ADMIN, lead, number=number)
        if lead not in self.leads:
            self.refused(work, UnknownLead)
            return
        done = self.runner.run(work)
        was, self.leads[lead] = self.leads[lead], number
        ending = [self.live()[lead]] if was != number and lead in self.live() else []
        assert list(done.ended_overrides) == ending
        for override in ending:
            self.overrides[override].revoked = True
            self.changed[was, lead] += 1

    @rule(lead=leads, hours=st.one_of(st.none(), st.integers(1, 48)))
    def grant_one(self, lead: LeadId, hours: int | None) -> None:
        end = self.clock.at + timedelta(hours=hours) if hours else None
        work = grant_override(self.records, SUPERVISOR, replace(CONSENT, lead=lead, expires_at=end))
        if lead not in self.leads:
            self.refused(work, UnknownLead)
        elif self.leads[lead] not in self.listed:
            self.refused(work, NotSuppressed)
        elif lead in self.live():
            self.refused(work, OverrideStands)
        else:
            done = self.runner.run(work)
            assert done.override_id not in self.overrides
            self.overrides[done.override_id] = Opened(lead, self.leads[lead], done.expires_at - AT)
            self.changed[self.leads[lead], lead] += 1

    @precondition(lambda self: self.overrides)
    @rule(data=st.data())
    def revoke_one(self, data: st.DataObject) -> None:
        override_id = data.draw(st.sampled_from(sorted(self.overrides)))
        work = revoke_override(self.records, ADMIN, override_id, reason="test")
        opened = self.overrides[override_id]
        if not opened.revoked and override_id not in self.live().values():
            self.refused(work, OverrideExpired)
            return
        done = self.runner.run(work)
        assert (done.already, done.lead, done.number) == (opened.revoked, opened.lead, opened.number)
        opened.revoked = True
        self.changed[opened.number, opened.lead] += 1

    @rule()
    def revoke_what_is_not_there(self) -> None:
        missing = max(self.overrides, default=0) + 1
        self.refused(revoke_override(self.records, ADMIN, missing, reason="test"), UnknownOverride)

    @rule(hours=st.sampled_from([1, 24, 24 * 366]))
    def time_passes(self, hours: int) -> None:
        self.clock.move(hours=hours)

    @invariant()
    def the_record_says_what_the_model_says(self) -> None:
        listed, live = self.runner.run(self._truth())
        assert listed == self.listed
        assert live == {(opened, self.overrides[override].number) for opened, override in self.live().items()}
        assert all(self.leads[lead] == number for lead, number in live)

    async def _truth(self) -> tuple[set[E164], set[tuple[str, str]]]:
        async with self.records.database.read() as session:
            lists = await lists_of_many(session, NUMBERS)
        live = await every_live_override(self.records.database, self.clock.at)
        return {number for number, on in lists.items() if on}, {(row.lead_id, row.number) for row in live}

    @invariant()
    def every_change_is_in_the_outbox_and_on_record(self) -> None:
        outbox = self.runner.run(rows(self.records, OutboxRow))
        subjects = Counter((number, row.lead_id) for row in outbox for number in row.numbers)
        assert subjects == self.changed
        assert all((row.list_name is None) == (row.lead_id is not None) for row in outbox)

    @invariant()
    def nothing_is_ever_deleted(self) -> None:
        async def read() -> tuple[int, int, int]:
            async with self.records.database.read() as session:
                entries = (await session.scalars(select(SuppressionEntry))).all()
                events = (await session.scalars(select(AuditEvent.action))).all()
                overrides = (await session.scalars(select(Override.id))).all()
            standing = sum(entry.lifted_at is None for entry in entries)
            assert standing == len(self.listed)
            assert len(entries) - standing == list(events).count("lift")
            return len(overrides), list(events).count("grant-override"), len(self.overrides)

        assert len(set(self.runner.run(read()))) == 1


def check(make, examples: int) -> None:
    run_state_machine_as_test(
        lambda: RecordMachine(make),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.exhaustive
def test_the_record_on_sqlite_is_what_the_model_says(sqlite_template: Path, tmp_path: Path):
    numbered = count()

    def make() -> str:
        return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / f'{next(numbered)}.sqlite3')}"

    check(make, EXAMPLES // 4)


@pytest.mark.postgres
def test_the_record_on_postgres_is_what_the_model_says(postgres_server: PostgresServer):
    numbered = count()
    check(lambda: postgres_server.create_database(f"model_{next(numbered)}", "migrated"), EXAMPLES // 8)
