"""What a person states about a consent, and what is wrong with it whatever lead it is for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from compliance import dates
from compliance.consent import ATTESTATION, Basis
from compliance.consent_rules import ConsentRules, Tie
from compliance.refusal import Refused, Unwritable, cleaned
from compliance.today import is_to_come

LONGEST_NOTE = 2000
"""Maximum length of each longer text of a consent, in characters."""


class NoBasis(Refused):
    """The ground of the consent is missing."""


class NotAttested(Refused):
    """The statement was not ticked, or is not the statement in force."""


class NotDated(Refused):
    """The date of the consent is missing."""


class ConsentInFuture(Refused):
    """The consent is dated later than today."""


class ConsentTooOld(Refused):
    """The consent is older than its basis allows."""


class TieMissing(Refused):
    """Nobody said whether the relationship rests on a purchase or on an inquiry."""


class RelationshipEnded(Refused):
    """The existing relationship has ended."""


@dataclass(frozen=True, slots=True)
class ConsentStatement:
    """What a person states about a consent, as the form or the API received it."""

    basis: Basis | None
    basis_note: str
    consented_on: date | None
    attestation: str
    tie: Tie | None = None


def faults_of(statement: ConsentStatement, rules: ConsentRules, at: datetime) -> Iterator[Refused]:
    """Yield each fault of a consent at `at` (aware UTC) that does not depend on the lead."""
    basis, consented_on = statement.basis, statement.consented_on
    if basis is None:
        yield NoBasis("Choose what the consent rests on.")
    try:
        if not cleaned(statement.basis_note, LONGEST_NOTE, "What the consent rests on") and basis is Basis.OTHER:
            yield Unwritable("Say what the consent rests on.")
    except Unwritable as error:
        yield error
    if consented_on is None:
        yield NotDated("Give the date of the consent, as it stands in the document.")
    elif is_to_come(consented_on, at):
        yield ConsentInFuture(
            f"The consent is dated in the future: {dates.day(consented_on)}. Give the date that stands in the document."
        )
    elif basis is not None:
        yield from _age_faults(basis, consented_on, statement.tie, rules, at)
    if statement.attestation != ATTESTATION:
        yield NotAttested("Read the statement and confirm it, word for word. An override cannot be placed without it.")


def _age_faults(
    basis: Basis, consented_on: date, tie: Tie | None, rules: ConsentRules, at: datetime
) -> Iterator[Refused]:
    """Yield what is wrong with the age of a consent."""
    oldest = rules.policy.oldest(basis, rules.today(at))
    if consented_on < oldest:
        yield ConsentTooOld(
            f"The consent of {dates.day(consented_on)} is too old. On this basis it may be dated "
            f"{dates.day(oldest)} or later."
        )
    elif rules.policy.asks_for_tie(basis) and tie is None:
        yield TieMissing(
            "Say whether the relationship rests on a purchase or on an inquiry. It decides how long it lasts."
        )
    elif (end := rules.end_of(at, basis, tie, consented_on)) <= at:
        yield RelationshipEnded(f"The existing relationship ended on {dates.utc(end)}. Nothing was opened.")
