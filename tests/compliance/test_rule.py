"""The rule, case by case, in the order in which it is applied."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from compliance import rule, verdict
from compliance.check import CallPart, Check, Need, OpenedBy
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, InvalidNumber, LeadId, normalize
from compliance.rule import decide
from compliance.terms import REGISTRY_STALE, REGISTRY_UNCOVERED, Applying
from compliance.verdict import FREE as FREE_CALL
from compliance.verdict import Reason, Ruling, Verdict, allow, block

NUMBER, OTHER = E164("+14155550100"), E164("+14155550101")
LEAD = LeadId("lead-1")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = State(7, "run-1", ("internal", "us-ftc"), 3)
FREE = Applying(("internal", "us-ftc"), (), FREE_CALL)
OLD = Applying(FREE.lists, ((AT, FREE.after),), block(REGISTRY_STALE, "us-ftc"))
AGING = Applying(FREE.lists, ((AT + timedelta(seconds=1), FREE.after),), OLD.after)
WARNED = Applying(FREE.lists, ((AT, FREE.after),), allow(verdict.NOT_LISTED, "stale-us-ftc"))
OPEN = Applying(FREE.lists, (), allow(REGISTRY_UNCOVERED, "us-ftc"))
SHUT = Applying(FREE.lists, (), block(REGISTRY_UNCOVERED, "us-ftc"))
AREA = replace(FREE, pattern="1415")
AREA_SHUT = replace(SHUT, pattern="1415")
CONSENT = LiveOverride("42", "signed-consent", AT + timedelta(days=1))


def invalid() -> InvalidNumber:
    with pytest.raises(InvalidNumber) as error:
        normalize("nonsense", "US")
    return error.value


def facts(**known) -> Facts:
    return Facts(
        **(
            {"number": NUMBER, "lead": LEAD, "server": "run-1", "state": STATE, "leased": True, "applying": FREE}
            | known
        )
    )


LISTED = {"listed": ("internal",), "override": CONSENT}
ENDED = LiveOverride("42", "other", AT - timedelta(seconds=1))
ENDING = LiveOverride("42", "other", AT)
UNVERIFIED = ("BLOCK", "state-unverified")
STALE = ("BLOCK", "registry-stale", "us-ftc")
COVERED = ("BLOCK", "internal-pattern", "1415")
UNCOVERED = ("ALLOW", "registry-uncovered", "us-ftc")

CASES = [
    ("an invalid number", invalid(), None, "BLOCK", "invalid-number", "letters"),
    ("an invalid number, whatever is known", invalid(), facts(), "BLOCK", "invalid-number", "letters"),
    ("Redis could not be asked", NUMBER, None, "BLOCK", "store-unavailable", ""),
    ("facts of another number", NUMBER, facts(number=OTHER), "BLOCK", "internal-error", "facts-of-another-number"),
    ("no state", NUMBER, facts(state=None), *UNVERIFIED, "no-state"),
    ("another incarnation", NUMBER, facts(server="run-2"), *UNVERIFIED, "other-incarnation"),
    ("no lease", NUMBER, facts(leased=False), *UNVERIFIED, "no-lease"),
    ("no lease, and an override", NUMBER, facts(leased=False, **LISTED), *UNVERIFIED, "no-lease"),
    ("no terms", NUMBER, facts(applying=None), *UNVERIFIED, "no-terms"),
    ("no terms, and an override", NUMBER, facts(applying=None, **LISTED), *UNVERIFIED, "no-terms"),
    ("listed", NUMBER, facts(listed=("internal",)), "BLOCK", "internal-dnc", ""),
    ("listed by a registry", NUMBER, facts(listed=("us-ftc",)), "BLOCK", "us-ftc-dnc", ""),
    ("listed twice", NUMBER, facts(listed=("internal", "us-ftc")), "BLOCK", "internal-dnc", ""),
    ("listed, and an override", NUMBER, facts(**LISTED), "ALLOW", "override", ""),
    ("listed, an override, but no lead", NUMBER, facts(lead=None, **LISTED), "BLOCK", "internal-dnc", ""),
    ("an override that ended", NUMBER, facts(listed=("internal",), override=ENDED), "BLOCK", "internal-dnc", ""),
    ("an override ending now", NUMBER, facts(listed=("internal",), override=ENDING), "BLOCK", "internal-dnc", ""),
    ("not listed", NUMBER, facts(), "ALLOW", "not-listed", ""),
    ("not listed, no lead", NUMBER, facts(lead=None), "ALLOW", "not-listed", ""),
    ("not listed, and an override", NUMBER, facts(override=CONSENT), "ALLOW", "not-listed", ""),
    ("listed by a stale registry", NUMBER, facts(listed=("us-ftc",), applying=OLD), "BLOCK", "us-ftc-dnc", ""),
    ("listed, an override, and a stale registry", NUMBER, facts(applying=OLD, **LISTED), "ALLOW", "override", ""),
    ("a pattern", NUMBER, facts(applying=AREA), *COVERED),
    ("a pattern, and no lead", NUMBER, facts(applying=AREA, lead=None), *COVERED),
    ("a pattern, and a registry that blocks", NUMBER, facts(applying=AREA_SHUT), *COVERED),
    ("a pattern, and listed", NUMBER, facts(applying=AREA, listed=("internal",)), "BLOCK", "internal-dnc", ""),
    ("a pattern, and an override", NUMBER, facts(applying=AREA, override=CONSENT), "ALLOW", "override", ""),
    ("a pattern, and an override that ended", NUMBER, facts(applying=AREA, override=ENDED), *COVERED),
    ("a pattern, an override, but no lead", NUMBER, facts(applying=AREA, override=CONSENT, lead=None), *COVERED),
    ("a pattern, and no lease", NUMBER, facts(applying=AREA, leased=False), *UNVERIFIED, "no-lease"),
    ("a stale registry", NUMBER, facts(applying=OLD), *STALE),
    ("a registry stale in a second", NUMBER, facts(applying=AGING), "ALLOW", "not-listed", ""),
    ("a stale registry that only warns", NUMBER, facts(applying=WARNED), "ALLOW", "not-listed", "stale-us-ftc"),
    ("a stale registry, and an override", NUMBER, facts(applying=OLD, override=CONSENT), "ALLOW", "override", ""),
    ("a stale registry, and one that ended", NUMBER, facts(applying=OLD, override=ENDED), *STALE),
    ("a stale registry, an override, no lead", NUMBER, facts(lead=None, applying=OLD, override=CONSENT), *STALE),
    ("not covered", NUMBER, facts(applying=SHUT), "BLOCK", "registry-uncovered", "us-ftc"),
    ("not covered, and an override", NUMBER, facts(applying=SHUT, override=CONSENT), "ALLOW", "override", ""),
    ("not covered, and let pass", NUMBER, facts(applying=OPEN), *UNCOVERED),
    ("not covered, let pass, and an override", NUMBER, facts(applying=OPEN, override=CONSENT), *UNCOVERED),
]  # fmt: skip


@pytest.mark.parametrize(("known", "said", "reason", "detail"), [case[2:] for case in CASES], ids=[c[0] for c in CASES])
def test_the_rule(known, said, reason, detail, request):
    number = next(case[1] for case in CASES if case[0] == request.node.callspec.id)
    ruling = decide(number, known, AT)
    assert (ruling.verdict, ruling.reason, ruling.detail) == (said, reason, detail)


def test_the_override_that_opened_the_call_is_named_and_no_other():
    assert decide(NUMBER, facts(**LISTED), AT).override == "42"
    assert decide(NUMBER, facts(override=CONSENT), AT).override == ""


def test_of_all_combinations_only_the_two_permissions_allow():
    for state, server, leased, listed, override, lead, applying in product(
        [None, STATE],
        ["run-1", "run-2"],
        [True, False],
        [(), ("internal",), ("us-ftc",)],
        [None, CONSENT],
        [None, LEAD],
        [None, FREE, OLD, AGING, WARNED, OPEN, SHUT, AREA, AREA_SHUT],
    ):
        ruling = decide(NUMBER, Facts(NUMBER, lead, server, state, leased, listed, override, applying), AT)
        sound = state is not None and server == "run-1" and leased and applying is not None
        free = not listed and applying not in (OLD, SHUT, AREA, AREA_SHUT)
        expected = sound and (free or (override is not None and lead is not None))
        assert (ruling.verdict is Verdict.ALLOW) == expected


SAMPLES = [case[2] for case in CASES if case[2] is not None]
MOMENTS = [AT, AT - timedelta(days=400), AT + timedelta(days=400), AT + timedelta(hours=11)]
VARIED = {
    CallPart.NUMBER: [{"number": number} for number in ("+19995550199", "+442079460000", "+1234567", OTHER)],
    CallPart.LEAD: [{"lead": None}, {"lead": "lead-2"}],
    CallPart.CAMPAIGN: [{"campaign": "spring"}],
    Need.PROJECTION: [{"state": None}, {"server": "run-9"}, {"leased": False}, {"state": STATE._replace(changes=9)}],
    Need.LISTS: [{"listed": ()}, {"listed": ("internal",)}, {"listed": ("us-ftc",)}],
    Need.TERMS: [{"applying": one} for one in (FREE, OLD, AGING, WARNED, OPEN, SHUT, AREA)],
    Need.OVERRIDE: [{"override": None}, {"override": CONSENT}, {"override": ENDED}],
}
"""Other facts, by the declaration that a check needs to depend on them. The test of a new check may add some."""

each_check = pytest.mark.parametrize("check", rule.CHECKS, ids=lambda check: next(iter(check.reasons)))


@each_check
@pytest.mark.parametrize("part", VARIED, ids=lambda part: part.value)
def test_a_check_tells_apart_only_what_it_declares(check: Check, part):
    """The site groups numbers by these declarations, and the gate foresees facts by them."""
    if part in {*check.needs, *check.depends_on}:
        return
    # Without terms, the projection is in doubt, and there are no terms to vary.
    samples = [known for known in SAMPLES if part is not Need.TERMS or known.applying]
    for known, at, other in product(samples, MOMENTS, VARIED[part]):
        assert check.judge(known._replace(**other), at) == check.judge(known, at)


@each_check
def test_a_check_that_declares_no_moment_says_the_same_at_each(check: Check):
    if CallPart.MOMENT not in check.depends_on:
        for known, at in product(SAMPLES, MOMENTS):
            assert check.judge(known, at) == check.judge(known, AT)


@each_check
def test_overrides_are_looked_for_wherever_a_check_blocks(check: Check):
    for known, at in product(SAMPLES, MOMENTS):
        ruling = check.judge(known, at)
        assert ruling is None or ruling.verdict is Verdict.ALLOW or check.can_block(known)


@each_check
def test_each_reason_of_a_check_is_its_own_and_has_a_sentence(check: Check):
    for known, at in product(SAMPLES, MOMENTS):
        ruling = check.judge(known, at)
        if ruling is not None and ruling.reason != verdict.NOT_LISTED:
            assert check.sentence(ruling.reason).endswith(".")
            assert rule.check_of(ruling.reason) is check
    for reason, sentence in check.reasons.items():
        assert re.fullmatch("[a-z]+(-[a-z]+)*", reason)
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_facts_are_known_to_be_sound_before_any_check_reads_them():
    needs = [check.needs for check in rule.CHECKS if check.needs]
    assert needs[0] == {Need.PROJECTION}


def toy(ruling: Ruling | None, opened_by: OpenedBy = OpenedBy.NOTHING, **declared: frozenset) -> Check:
    """Return a check with the same result for every call."""
    reasons = {ruling.reason: "A toy."} if ruling else {}
    declared = {"needs": frozenset(), "depends_on": frozenset()} | declared
    return Check(judge=lambda _facts, _at: ruling, reasons=reasons, opened_by=opened_by, **declared)


SHUT_TOY, OPENABLE_TOY = block(Reason("toy")), block(Reason("openable-toy"))
NEVER, OPENABLE = toy(SHUT_TOY), toy(OPENABLE_TOY, OpenedBy.OVERRIDE)


@pytest.mark.parametrize(
    ("more", "known", "said"),
    [
        ((NEVER,), facts(), ("toy", "")),
        ((NEVER,), facts(listed=("internal",)), ("internal-dnc", "")),
        ((NEVER,), facts(**LISTED), ("toy", "")),
        ((NEVER,), facts(leased=False), ("state-unverified", "")),
        ((OPENABLE,), facts(), ("openable-toy", "")),
        ((OPENABLE,), facts(override=CONSENT), ("override", "42")),
        ((OPENABLE,), facts(override=ENDED), ("openable-toy", "")),
        ((OPENABLE, NEVER), facts(override=CONSENT), ("toy", "")),
        ((OPENABLE, NEVER), facts(), ("openable-toy", "")),
        ((toy(allow(Reason("remark"))),), facts(), ("remark", "")),
        ((toy(allow(Reason("remark"))),), facts(applying=OPEN), ("registry-uncovered", "")),
        ((toy(allow(Reason("remark"))),), facts(**LISTED), ("override", "42")),
        ((toy(None),), facts(), ("not-listed", "")),
    ],
)
def test_one_more_check_blocks_what_no_other_blocks_and_an_override_opens_what_it_may(monkeypatch, more, known, said):
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, *more))
    ruling = decide(NUMBER, known, AT)
    assert (ruling.reason, ruling.override) == said


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (facts(), ["toy"]),
        (facts(**LISTED), ["internal-dnc", "toy"]),
        (facts(listed=("us-ftc",), applying=OLD), ["us-ftc-dnc", "toy"]),
        (facts(applying=OLD, override=CONSENT), ["registry-stale", "toy"]),
        (facts(leased=False, listed=("internal",)), ["state-unverified"]),
    ],
)
def test_every_block_is_found_whatever_opens_it_unless_the_facts_are_in_doubt(monkeypatch, known, said):
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, NEVER))
    assert [one.ruling.reason for one in rule.objections(known, AT)] == said


@pytest.mark.parametrize(
    ("known", "may"),
    [
        (facts(), False),
        (facts(applying=WARNED), False),
        (facts(listed=("internal",)), True),
        (facts(applying=AGING), True),
        (facts(applying=SHUT), True),
        (facts(applying=AREA), True),
        (facts(applying=None), False),
    ],
)
def test_an_override_may_open_what_is_listed_or_what_a_registry_blocks_at_some_time(known, may):
    assert rule.may_open(known) is may


def test_where_a_check_cannot_say_what_it_blocks_an_override_may_open_any_call(monkeypatch):
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, NEVER))
    assert not rule.may_open(facts())
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, OPENABLE))
    assert rule.may_open(facts())


@pytest.mark.parametrize(
    ("declared", "foreseeable", "stops", "differs", "do_not_call"),
    [
        ({}, True, True, False, False),
        ({"depends_on": frozenset({CallPart.MOMENT})}, True, True, False, False),
        ({"depends_on": frozenset({CallPart.NUMBER, CallPart.MOMENT})}, True, False, True, False),
        ({"depends_on": frozenset({CallPart.LEAD})}, True, False, True, False),
        ({"depends_on": frozenset({CallPart.CAMPAIGN})}, True, False, True, False),
        ({"needs": frozenset({Need.PROJECTION})}, True, True, False, False),
        ({"needs": frozenset({Need.LISTS})}, True, False, False, True),
        ({"needs": frozenset({Need.TERMS})}, True, False, False, True),
        ({"needs": frozenset({Need.OVERRIDE})}, False, False, False, False),
    ],
)
def test_what_follows_from_the_declarations_of_a_check(monkeypatch, declared, foreseeable, stops, differs, do_not_call):
    check = toy(SHUT_TOY, **declared)
    assert (check.stops_every_call, check.differs_by_call, check.is_do_not_call) == (stops, differs, do_not_call)
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, check))
    assert (rule.foreseeable(), rule.stops_every_call("toy")) == (foreseeable, stops)


def test_the_check_of_the_guide_works_as_it_stands(monkeypatch):
    guide = (Path(rule.__file__).parent.parent / "docs" / "adding-a-check.md").read_text()
    module: dict[str, Check] = {}
    exec(re.findall("^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)[0], module)
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, module["CHECK"]))
    french = facts(number=E164("+33140000000"), **LISTED)
    night = AT.replace(hour=3)
    assert [decide(french.number, french, at).reason for at in (AT, night)] == ["override", "at-rest"]
    assert decide(NUMBER, facts(), night).reason == "not-listed"
    assert rule.sentence_of("at-rest") == "The number rests at this hour."
