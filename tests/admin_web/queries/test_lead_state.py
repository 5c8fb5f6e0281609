"""The state shown for a lead follows from the facts by the gate's rule."""

from datetime import UTC, datetime, timedelta

import pytest

from admin_web.queries.lead_state import LeadState, Stand
from compliance import verdict
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.rule import decide
from compliance.terms import REGISTRY_STALE, Applying
from compliance.verdict import allow, block

NUMBER, AT = E164("+14155550100"), datetime(2026, 11, 23, 12, tzinfo=UTC)
FREE = Applying(("internal", "us-ftc"), (), allow(verdict.NOT_LISTED))
STALE = Applying(FREE.lists, (), block(REGISTRY_STALE, "us-ftc"))
CONSENT = LiveOverride("42", "signed-consent", AT + timedelta(days=1))


def stand(listed: tuple[str, ...], applying: Applying = FREE) -> Stand:
    """Return the state of a lead that has an override."""
    state = State(7, "run-1", applying.lists, 3)
    facts = Facts(NUMBER, LeadId("lead-1"), "run-1", state, True, listed, CONSENT, applying)
    return Stand(LeadState.OVERRIDE, decide(NUMBER, facts, AT), facts, AT)


@pytest.mark.parametrize(
    ("listed", "applying", "bare", "if_lifted", "blocked"),
    [
        ((), FREE, "not-listed", "not-listed", False),
        (("internal",), FREE, "internal-dnc", "not-listed", True),
        (("us-ftc",), FREE, "us-ftc-dnc", "us-ftc-dnc", True),
        (("internal", "us-ftc"), FREE, "internal-dnc", "us-ftc-dnc", True),
        ((), STALE, "registry-stale", "registry-stale", True),
        (("internal",), STALE, "internal-dnc", "registry-stale", True),
    ],
)
def test_what_a_lead_without_the_override_would_be_told_is_known_now_and_if_lifted(
    listed, applying, bare, if_lifted, blocked
):
    seen = stand(listed, applying)
    assert (seen.bare.reason, seen.if_lifted.reason, seen.openable) == (bare, if_lifted, blocked)
    assert (seen.lists, seen.listed, seen.override) == (listed, bool(listed), CONSENT)
    assert bool(seen.unchecked) == (bare == "registry-stale")
