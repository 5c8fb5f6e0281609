"""Answers say what is so, each change is in SQL as a whole, and it has exactly one audit event."""

from dataclasses import replace

import pytest

from tests.faults.harness.checking.stories import FREE, NUMBER, OTHER, WALL, Story, added, dropped, edited
from tests.faults.harness.history import Audited, Change, Entry, Event, OverrideRow, Rested


@pytest.fixture
def story() -> Story:
    """Return a story with one call, because a history without calls is not complete."""
    story = Story()
    story.allow(0, FREE)
    return story


def test_each_kind_of_change_has_a_right_story(story: Story):
    story.change("list", 10)
    story.change("lift", 20, "recorded")
    story.change("import", 30, numbers=(NUMBER, OTHER))
    story.change("grant", 40)
    story.change("revoke", 50, id="3")
    story.change("grant", 60)
    story.change("list", 70, ended=("5",))
    story.change("list", 80, "refused")
    story.change("grant", 90, "refused")
    story.change("lift", 100, "unknown")
    story.change("grant", 110, "unknown", happened=True)
    story.change("import", 120, "unknown", numbers=("+14155550150", "+14155550151"))
    assert story.broken() == []


CONTRADICTING = (
    ("command", "in-force", 0, "recorded, not yet in force: Redis did not answer"),
    ("command", "in-force", 3, "in force"),
    ("command", "in-force", None, "in force"),
    ("command", "recorded", 0, "recorded, not yet in force: Redis did not answer"),
    ("command", "recorded", 3, "in force"),
    ("api", "in-force", 202, '{"in_force": true}'),
    ("api", "in-force", 200, '{"in_force": false, "why_not": "Redis"}'),
    ("api", "recorded", 201, '{"in_force":false}'),
    ("api", "recorded", 202, '{"in_force":true}'),
    ("site", "in-force", 303, "recorded, not yet in force"),
    ("site", "recorded", 200, "The block is in force."),
)
AGREEING = (
    ("command", "in-force", 0, "+14155550100 put on the list: in force"),
    ("command", "recorded", 3, "+14155550100 put on the list: recorded, not yet in force: in doubt"),
    ("api", "in-force", 201, '{"in_force": true, "why_not": ""}'),
    ("api", "recorded", 202, '{"in_force": false, "why_not": "x"}'),
    ("site", "in-force", 200, "The block is in force."),
    ("site", "recorded", 303, "Recorded, not yet in force."),
    ("api", "in-force", 200, ""),
    ("api", "recorded", 202, ""),
)


@pytest.mark.parametrize(
    ("answer", "broken"),
    [*((one, ["answer-contradicts-itself"]) for one in CONTRADICTING), *((one, []) for one in AGREEING)],
)
def test_an_answer_is_reported_if_its_code_and_words_differ(
    story: Story, answer: tuple[str, str, int | None, str], broken: list[str]
):
    by, outcome, code, said = answer
    story.change("list", 10)
    assert story.broken(edited(Change, by=by, outcome=outcome, code=code, said=said)) == broken


def test_an_override_that_was_granted_is_in_sql(story: Story):
    grant = story.change("grant", 10)
    (lost, *_) = story.violations(dropped(OverrideRow))
    assert (lost.rule, lost.events) == ("change-lost", (grant,))
    assert lost.sentence.endswith("SQL lacks it.")


@pytest.mark.parametrize("wrong", [{"number": OTHER}, {"lead": "L-2"}, {"expires": WALL}, {"expires": 0}])
def test_an_override_is_in_sql_as_it_was_granted(story: Story, wrong: dict[str, str]):
    story.change("grant", 10, "recorded")
    assert "change-lost" in story.broken(edited(OverrideRow, **wrong))


def test_an_answer_may_have_the_end_of_an_override_in_whole_seconds(story: Story):
    story.change("grant", 10, expires=WALL + 5000)
    assert story.broken(edited(OverrideRow, expires=WALL + 5999)) == []


@pytest.mark.parametrize("outcome", ["in-force", "recorded"])
def test_a_revocation_is_in_sql(story: Story, outcome: str):
    story.change("grant", 10)
    story.change("revoke", 20, outcome, id="0")
    assert story.broken(edited(OverrideRow, revoked=0)) == ["change-lost", "audit-differs"]


def test_an_override_that_a_request_ended_is_ended_in_sql(story: Story):
    story.change("grant", 10)
    story.change("list", 20, ended=("0",))
    assert "change-lost" in story.broken(edited(OverrideRow, revoked=0))


def test_a_refused_grant_leaves_no_override(story: Story):
    story.change("grant", 10, "refused")
    row = OverrideRow("7", NUMBER, "L-1", WALL, story.changes[0].expires, 0)
    audited = Audited(0, "grant-override", "7", WALL)
    story.change("grant", 20, "refused", lead="L-2")
    story.change("list", 30, "refused")
    (violation,) = story.violations(added(row, audited))
    assert violation.rule == "change-of-nobody"
    assert violation.events == (row, story.changes[0])


def test_one_unknown_grant_leaves_at_most_one_override(story: Story):
    story.change("grant", 10, "unknown", happened=True)
    second = OverrideRow("7", NUMBER, "L-1", WALL, story.changes[0].expires, 0)
    assert story.broken(added(second, Audited(0, "grant-override", "7", WALL))) == ["change-of-nobody"]


def test_a_refused_listing_leaves_no_entry(story: Story):
    story.change("list", 10, "refused")
    assert "change-of-nobody" in story.broken(added(Entry("7", NUMBER, "internal", "api", WALL, WALL)))


def test_an_entry_that_nobody_asked_for_is_reported(story: Story):
    assert story.broken(added(Entry("7", NUMBER, "internal", "api", WALL, 0))) == ["change-of-nobody"]


@pytest.mark.parametrize("outcome", ["in-force", "recorded"])
def test_an_import_that_was_recorded_is_in_sql_as_a_whole(story: Story, outcome: str):
    story.change("import", 10, outcome, numbers=(NUMBER, OTHER))
    broken = story.broken(dropped(Entry, number=OTHER))
    assert "change-half-there" in broken
    assert "change-half-there" in story.broken(dropped(Entry))


def test_an_import_of_unknown_outcome_is_there_as_a_whole_or_not_at_all(story: Story):
    story.change("import", 10, "unknown", numbers=(NUMBER, OTHER), happened=True)
    assert story.broken() == []
    assert story.broken(lambda events: dropped(Audited)(dropped(Entry)(events))) == []
    assert story.broken(dropped(Entry, number=OTHER)) == ["change-half-there"]


def test_a_request_of_many_numbers_is_there_as_a_whole_or_not_at_all(story: Story):
    story.change("list", 10, numbers=(NUMBER, OTHER))
    many = edited(Audited, subject="internal")
    assert story.broken(many) == []
    assert "change-half-there" in story.broken(lambda events: many(dropped(Entry, number=OTHER)(events)))


def test_a_number_that_another_change_listed_says_nothing_about_an_import_of_unknown_outcome(story: Story):
    story.change("list", 5)
    story.change("import", 10, "unknown", numbers=(NUMBER, OTHER))
    assert story.broken() == []


@pytest.mark.parametrize("kind", ["list", "lift", "grant", "revoke", "import"])
def test_a_change_without_its_audit_event_is_reported(story: Story, kind: str):
    action = every_kind(story)[kind]
    assert "audit-differs" in story.broken(dropped(Audited, action=action))


@pytest.mark.parametrize("kind", ["list", "lift", "grant", "revoke", "import"])
def test_a_change_with_two_audit_events_is_reported(story: Story, kind: str):
    action = every_kind(story)[kind]

    def twice(events: list[Event]) -> list[Event]:
        (event,) = (one for one in events if isinstance(one, Audited) and one.action == action)
        return [*events, replace(event, id=99)]

    assert story.broken(twice) == ["audit-differs"]


def every_kind(story: Story) -> dict[str, str]:
    """Record one change of each kind; return the actions of their audit events."""
    story.change("list", 10)
    story.change("lift", 20)
    story.change("grant", 30)
    story.change("revoke", 40, id="2")
    story.change("import", 50, numbers=(OTHER,))
    return {
        "list": "suppress", "lift": "lift", "grant": "grant-override", "revoke": "revoke-override",
        "import": "import-numbers",
    }  # fmt: skip


def test_a_change_of_unknown_outcome_has_one_audit_event_or_none(story: Story):
    story.change("list", 10, "unknown", happened=True)
    assert story.broken() == []
    assert "audit-differs" in story.broken(added(Audited(99, "suppress", NUMBER, WALL)))


def test_a_refused_change_has_no_audit_event(story: Story):
    story.change("list", 10, "refused")
    assert story.broken(added(Audited(99, "suppress", NUMBER, WALL))) == ["audit-differs"]


def test_an_audit_event_of_a_number_that_nobody_changed_is_reported(story: Story):
    assert story.broken(added(Audited(99, "lift", NUMBER, WALL))) == ["audit-differs"]


def test_the_report_of_a_wrong_audit_trail_shows_the_changes_and_events_of_its_subject(story: Story):
    wanted = story.change("list", 10)
    story.change("lift", 20)
    story.change("list", 30, numbers=(OTHER,))
    event = Audited(99, "suppress", NUMBER, WALL)
    (violation,) = story.violations(added(event))
    assert violation.events == (wanted, Audited(0, "suppress", NUMBER, WALL), event)


def test_an_import_too_many_in_the_audit_trail_is_reported(story: Story):
    story.change("import", 10)
    story.change("lift", 20, "unknown")
    assert story.broken(added(Audited(99, "import-numbers", "9", WALL))) == ["audit-differs"]


def test_the_end_of_an_override_is_recorded_at_most_once(story: Story):
    story.change("grant", 10, expires=WALL + 100)
    expired = Audited(98, "expire-override", "0", WALL)
    assert story.broken(added(expired)) == []
    assert story.broken(added(expired, replace(expired, id=99))) == ["audit-differs"]


def test_a_revoked_override_has_no_recorded_end(story: Story):
    story.change("grant", 10)
    story.change("revoke", 20, id="0")
    assert story.broken(added(Audited(99, "expire-override", "0", WALL))) == ["audit-differs"]


def test_without_sql_at_the_end_only_the_words_are_checked(story: Story):
    story.change("grant", 10)
    parts = (OverrideRow, Audited, Rested)

    def cut_off(events: list[Event]) -> list[Event]:
        return [event for event in events if not isinstance(event, parts)]

    assert story.broken(cut_off) == ["incomplete-history"]
