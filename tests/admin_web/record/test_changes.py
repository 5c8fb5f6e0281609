"""What the answer to a change is about: its numbers, so that it depends on no other shard, and the very change."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from admin_web.record.changes import Change, Records, concerned
from admin_web.record.database import Database
from admin_web.record.models import OutboxRow
from tests.support.records import ADMIN, AT, LEAD, NUMBER, OTHER, FakeProjector


class Session:
    def add(self, _: object) -> None:
        return


Does = Callable[[Change], object]


@pytest.mark.parametrize(
    ("does", "numbers"),
    [
        ([lambda change: change.project_list("internal", iter([NUMBER, OTHER]))], {NUMBER, OTHER}),
        ([lambda change: change.project_override(NUMBER, LEAD)], {NUMBER}),
        ([lambda change: change.project_terms("internal")], None),
        ([lambda change: change.project_entries("internal", 1, 2)], None),
        ([lambda change: change.audit("x", "number", NUMBER)], None),
        ([], None),
    ],
)
def test_an_answer_is_about_the_numbers_of_its_changes_and_otherwise_about_all(does: list[Does], numbers):
    changes = [Change(Session(), ADMIN, AT) for _ in does]
    for change, do in zip(changes, does, strict=True):
        do(change)
    assert concerned(changes) == numbers


def test_several_changes_are_about_all_their_numbers_and_about_any_if_one_of_them_is():
    first, second, third = (Change(Session(), ADMIN, AT) for _ in range(3))
    first.project_list("internal", [NUMBER])
    second.project_override(OTHER, LEAD)
    assert concerned([first, second]) == {NUMBER, OTHER}
    second.project_terms("internal")
    assert concerned([first, second]) is None
    assert concerned([first, third]) is None


async def test_only_the_numbers_of_a_change_are_waited_for(records: Records, projector: FakeProjector):
    async with records.change(ADMIN) as change:
        change.project_list("internal", [NUMBER])
    assert (await records.standing(change)).in_force
    assert projector.numbers == {NUMBER}
    assert (await records.standing()).in_force
    assert projector.numbers is None


class Promoted(FakeProjector):
    """Finds a database that has taken the place of the one with the last change."""

    def __init__(self, database: Database, other: bool) -> None:
        super().__init__()
        self.database, self.other = database, other

    async def drain(self, *_: object) -> None:
        async with self.database.write() as session:
            if self.other:  # This database has used the id for another change.
                await session.execute(update(OutboxRow).values(committed_at=AT + timedelta(microseconds=1)))
            else:
                await session.execute(delete(OutboxRow))


@pytest.mark.parametrize("other", [False, True])
async def test_a_change_that_the_database_has_lost_since_its_commit_is_not_in_force(
    database: Database, records: Records, other: bool
):
    for queue in (
        lambda change: change.project_list("internal", [NUMBER]),
        lambda change: change.project_override(NUMBER, LEAD),
        lambda change: change.project_terms("internal"),
    ):
        async with records.change(ADMIN) as change:
            queue(change)
        standing = await Records(database, Promoted(database, other), records.now).standing(change)
        assert not standing.in_force
        assert "has lost this change" in standing.why_not
        assert standing.public == standing.why_not
