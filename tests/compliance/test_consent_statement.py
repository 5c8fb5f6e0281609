"""The faults of a consent that do not depend on its lead."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from compliance.consent import ATTESTATION, Basis
from compliance.consent_rules import US_STRICT, ConsentRules, Tie
from compliance.consent_statement import (
    LONGEST_NOTE,
    ConsentInFuture,
    ConsentStatement,
    ConsentTooOld,
    NoBasis,
    NotAttested,
    NotDated,
    RelationshipEnded,
    TieMissing,
    faults_of,
)
from compliance.refusal import Unwritable

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = AT.date()
SOUND = ConsentStatement(Basis.SIGNED_CONSENT, "", date(2026, 2, 27), ATTESTATION)
TIED = replace(SOUND, basis=Basis.EXISTING_RELATIONSHIP)
RULES, STRICT = ConsentRules(), ConsentRules(US_STRICT)


def kinds(statement: ConsentStatement, rules: ConsentRules = RULES) -> list[type]:
    """Return the kinds of the faults, each of which is one or more sentences."""
    faults = list(faults_of(statement, rules, AT))
    assert all(str(fault).endswith(".") for fault in faults)
    return [type(fault) for fault in faults]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"basis": None}, [NoBasis]),
        ({"basis": Basis.OTHER}, [Unwritable]),
        ({"basis": Basis.OTHER, "basis_note": " \t"}, [Unwritable]),
        ({"basis": Basis.OTHER, "basis_note": "court order"}, []),
        ({"basis_note": "x" * LONGEST_NOTE}, []),
        ({"basis_note": "x" * (LONGEST_NOTE + 1)}, [Unwritable]),
        ({"consented_on": None}, [NotDated]),
        ({"consented_on": DAY + timedelta(days=1)}, []),  # The day has begun in Kiribati.
        ({"consented_on": DAY + timedelta(days=2)}, [ConsentInFuture]),
        ({"attestation": ""}, [NotAttested]),
        ({"attestation": ATTESTATION + " Mostly."}, [NotAttested]),
        ({"basis": None, "consented_on": None, "attestation": ""}, [NoBasis, NotDated, NotAttested]),
    ],
)
def test_each_fault_of_a_statement_is_named(change: dict[str, object], found: list[type]):
    assert kinds(replace(SOUND, **change)) == found


@pytest.mark.parametrize(
    ("basis", "oldest"),
    [
        (Basis.SIGNED_CONSENT, date(2016, 3, 1)),
        (Basis.WRITTEN_CONSENT, date(2016, 3, 1)),
        (Basis.EXISTING_RELATIONSHIP, date(2023, 3, 1)),
        (Basis.OTHER, date(2021, 3, 1)),
    ],
)
def test_a_consent_has_an_oldest_day_by_its_basis(basis: Basis, oldest: date):
    on = replace(SOUND, basis=basis, basis_note="x", consented_on=oldest)
    assert kinds(on) == []
    assert kinds(replace(on, consented_on=oldest - timedelta(days=1))) == [ConsentTooOld]


@pytest.mark.parametrize(
    ("tie", "on", "found"),
    [
        (None, date(2026, 2, 27), [TieMissing]),
        (Tie.PURCHASE, date(2024, 9, 1), [RelationshipEnded]),
        (Tie.PURCHASE, date(2024, 9, 2), []),
        (Tie.INQUIRY, date(2025, 12, 1), [RelationshipEnded]),
        (Tie.INQUIRY, date(2025, 12, 2), []),
    ],
)
def test_us_strict_asks_for_a_purchase_or_an_inquiry_that_is_recent_enough(
    tie: Tie | None, on: date, found: list[type]
):
    assert kinds(replace(TIED, tie=tie, consented_on=on), STRICT) == found
    assert kinds(replace(TIED, tie=tie, consented_on=on)) == []
