"""Which leads an override can open, until when, and by which consent."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from compliance import verdict
from compliance.consent import Basis, ends_at
from compliance.consent_rules import AS_DOCUMENTED, US_STRICT, Origin
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.openable import (
    RENEWABLE,
    BasisNotEnough,
    ConsentOutdated,
    Effect,
    NotOpenable,
    NotSuppressed,
    OverrideStands,
    SameDayUnexplained,
    effect_of,
    origins_of,
    require_basis,
    require_newer,
)
from compliance.terms import REGISTRY_STALE, Applying
from compliance.verdict import allow, block

NUMBER, AT = E164("+14155550100"), datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = AT.date()
FREE = Applying(("internal", "us-ftc"), (), allow(verdict.NOT_LISTED))
STALE = replace(FREE, after=block(REGISTRY_STALE, "us-ftc"))
AREA = replace(FREE, pattern="1415")
OWN, REGISTRY, REQUEST = Origin.OWN_LIST, Origin.REGISTRY, Origin.REQUEST


def facts(*listed: str, applying: Applying = FREE, expires_at: datetime | None = None) -> Facts:
    state = State(7, "run-1", FREE.lists, 3)
    override = LiveOverride("42", "signed-consent", expires_at) if expires_at else None
    return Facts(NUMBER, LeadId("L-1"), "run-1", state, True, listed, override, applying)


@pytest.mark.parametrize("blocked", [facts("internal"), facts("us-ftc"), facts(applying=AREA), facts(applying=STALE)])
def test_an_override_opens_a_listed_or_unchecked_number_for_twelve_months(blocked: Facts):
    assert effect_of(blocked, AT) == Effect(ends_at(AT))


def test_an_override_replaces_a_live_one_only_in_its_last_days():
    last = AT + RENEWABLE
    assert effect_of(facts("internal", expires_at=last), AT) == Effect(ends_at(AT), 42)
    with pytest.raises(OverrideStands, match="42 until 31 Mar 2026"):
        effect_of(facts("internal", expires_at=last + timedelta(seconds=1)), AT)


def test_a_number_that_is_not_blocked_needs_no_override():
    with pytest.raises(NotSuppressed, match="on no list that blocks it"):
        effect_of(facts(), AT)
    with pytest.raises(NotSuppressed, match="only in calls of spring, summer, by hot"):
        effect_of(facts(), AT, {"hot": ("summer", "spring")})


@pytest.mark.parametrize("blocked", [facts(), facts("internal")])
def test_a_block_that_no_override_lifts_is_not_openable(blocked: Facts):
    with pytest.raises(NotOpenable, match="No override can open this block"):
        effect_of(blocked._replace(leased=False), AT)


def test_a_consent_must_be_newer_than_the_last_request():
    require_newer(DAY, NUMBER, None, "")
    require_newer(DAY, NUMBER, DAY - timedelta(days=1), "")
    with pytest.raises(ConsentOutdated, match="The consent of 1 Mar 2026 is older"):
        require_newer(DAY, NUMBER, DAY + timedelta(days=1), "she signed after the call")


def test_a_consent_of_the_day_of_the_request_needs_a_reason():
    require_newer(DAY, NUMBER, DAY, "she signed after the call")
    for blank in ("", " \n"):
        with pytest.raises(SameDayUnexplained):
            require_newer(DAY, NUMBER, DAY, blank)


@pytest.mark.parametrize(
    ("blocked", "asked_on", "origins"),
    [
        (facts("internal"), None, {OWN}),
        (facts("internal"), DAY, {REQUEST}),
        (facts("us-ftc"), None, {REGISTRY}),
        (facts("internal", "us-ftc"), None, {OWN, REGISTRY}),
        (facts("internal", "us-ftc"), DAY, {REQUEST, REGISTRY}),
        (facts(applying=AREA), None, {OWN}),
        (facts(applying=AREA), DAY, {OWN, REQUEST}),
        (facts("us-ftc", applying=AREA), None, {OWN, REGISTRY}),
        (facts(applying=STALE), None, {REGISTRY}),
    ],
)
def test_what_blocks_a_number_is_a_request_an_own_list_or_a_registry(
    blocked: Facts, asked_on: date | None, origins: set[Origin]
):
    assert origins_of(blocked, asked_on) == origins


@pytest.mark.parametrize("basis", Basis)
def test_a_basis_must_lift_everything_that_blocks_the_number(basis: Basis):
    require_basis(basis, facts("internal"), DAY, AS_DOCUMENTED)
    require_basis(basis, facts("internal", "us-ftc"), None, US_STRICT)
    if basis in {Basis.SIGNED_CONSENT, Basis.WRITTEN_CONSENT}:
        require_basis(basis, facts("internal"), DAY, US_STRICT)
    else:
        with pytest.raises(BasisNotEnough, match=r"a number whose owner asked .*\(us-strict\)"):
            require_basis(basis, facts("internal"), DAY, US_STRICT)
