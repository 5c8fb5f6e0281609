"""Which numbers the answer to a change is about, so that it does not depend on other shards of a cluster."""

from collections.abc import Callable

import pytest

from admin_web.record.changes import Change, Records, concerned
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
