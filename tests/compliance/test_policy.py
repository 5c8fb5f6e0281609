"""The rule, case by case, in the order in which it is applied."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from compliance.numbers import E164, InvalidNumber, LeadId, normalize
from compliance.policy import Facts, LiveOverride, State, decide
from compliance.verdict import Verdict

NUMBER, OTHER = E164("+14155550100"), E164("+14155550101")
LEAD = LeadId("lead-1")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = State(7, "run-1", ("internal", "us-ftc"), 3)
CONSENT = LiveOverride("42", "signed-consent", AT + timedelta(days=1))


def invalid() -> InvalidNumber:
    with pytest.raises(InvalidNumber) as error:
        normalize("nonsense", "US")
    return error.value


def facts(**known) -> Facts:
    return Facts(**({"number": NUMBER, "lead": LEAD, "server": "run-1", "state": STATE, "leased": True} | known))


LISTED = {"listed": ("internal",), "override": CONSENT}
ENDED = LiveOverride("42", "other", AT - timedelta(seconds=1))
ENDING = LiveOverride("42", "other", AT)
UNVERIFIED = ("BLOCK", "state-unverified")

CASES = [
    ("an invalid number", invalid(), None, "BLOCK", "invalid-number", "letters"),
    ("an invalid number, whatever is known", invalid(), facts(), "BLOCK", "invalid-number", "letters"),
    ("Redis could not be asked", NUMBER, None, "BLOCK", "store-unavailable", ""),
    ("facts of another number", NUMBER, facts(number=OTHER), "BLOCK", "internal-error", "facts-of-another-number"),
    ("no state", NUMBER, facts(state=None), *UNVERIFIED, "no-state"),
    ("another incarnation", NUMBER, facts(server="run-2"), *UNVERIFIED, "other-incarnation"),
    ("no lease", NUMBER, facts(leased=False), *UNVERIFIED, "no-lease"),
    ("no lease, and an override", NUMBER, facts(leased=False, **LISTED), *UNVERIFIED, "no-lease"),
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
]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "verdict", "reason", "detail"), [case[2:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_the_rule(known, verdict, reason, detail, request):
    number = next(case[1] for case in CASES if case[0] == request.node.callspec.id)
    ruling = decide(number, known, AT)
    assert (ruling.verdict, ruling.reason, ruling.detail) == (verdict, reason, detail)


def test_the_override_that_opened_the_call_is_named_and_no_other():
    assert decide(NUMBER, facts(**LISTED), AT).override == "42"
    assert decide(NUMBER, facts(override=CONSENT), AT).override == ""


def test_of_all_combinations_only_the_two_permissions_allow():
    states = [None, STATE]
    for state, server, leased, listed, override, lead in product(
        states,
        ["run-1", "run-2"],
        [True, False],
        [(), ("internal",), ("us-ftc",)],
        [None, CONSENT],
        [None, LEAD],
    ):
        ruling = decide(NUMBER, Facts(NUMBER, lead, server, state, leased, listed, override), AT)
        sound = state is not None and server == "run-1" and leased
        expected = sound and (not listed or (override is not None and lead is not None))
        assert (ruling.verdict is Verdict.ALLOW) == expected
