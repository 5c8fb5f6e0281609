"""The rule, case by case, in the order in which it is applied."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from compliance import verdict
from compliance.numbers import E164, InvalidNumber, LeadId, normalize
from compliance.policy import Facts, LiveOverride, State, decide
from compliance.terms import Applying
from compliance.verdict import Verdict, allow, block

NUMBER, OTHER = E164("+14155550100"), E164("+14155550101")
LEAD = LeadId("lead-1")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = State(7, "run-1", ("internal", "us-ftc"), 3)
FREE = Applying(("internal", "us-ftc"), (), allow(verdict.NOT_LISTED))
OLD = Applying(FREE.lists, ((AT, FREE.after),), block(verdict.REGISTRY_STALE, "us-ftc"))
AGING = Applying(FREE.lists, ((AT + timedelta(seconds=1), FREE.after),), OLD.after)
WARNED = Applying(FREE.lists, ((AT, FREE.after),), allow(verdict.NOT_LISTED, "stale-us-ftc"))
OPEN = Applying(FREE.lists, (), allow(verdict.REGISTRY_UNCOVERED, "us-ftc"))
SHUT = Applying(FREE.lists, (), block(verdict.REGISTRY_UNCOVERED, "us-ftc"))
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
        [None, FREE, OLD, AGING, WARNED, OPEN, SHUT],
    ):
        ruling = decide(NUMBER, Facts(NUMBER, lead, server, state, leased, listed, override, applying), AT)
        sound = state is not None and server == "run-1" and leased and applying is not None
        free = not listed and applying not in (OLD, SHUT)
        expected = sound and (free or (override is not None and lead is not None))
        assert (ruling.verdict is Verdict.ALLOW) == expected


@pytest.mark.parametrize("known", [case[2] for case in CASES if case[2] is not None], ids=lambda _: "")
def test_numbers_of_which_the_same_is_known_share_one_ruling(known):
    """A list of a million is ruled on by what is known of its numbers: see `admin_web.judging.rulings`."""
    for number in (E164("+19995550199"), E164("+442079460000"), E164("+1234567")):
        assert decide(number, known._replace(number=number), AT) == decide(known.number, known, AT)
