"""What a person must do before the site opens to them: choose a password of their own, turn on one-time codes."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from admin_web.people.sessions import Person
from compliance.consent import Role


class Obligation(StrEnum):
    """One thing that a person must do first."""

    PASSWORD = "password"  # noqa: S105 - the name of a step
    CODES = "codes"


OPEN_ROUTES: Mapping[Obligation, frozenset[str]] = {
    Obligation.PASSWORD: frozenset({"sign_in", "sign_out", "account", "account-password"}),
    Obligation.CODES: frozenset(
        {
            "sign_in",
            "sign_out",
            "account",
            "account-codes",
            "account-codes-image",
            "account-codes-confirm",
            "account-codes-end",
        }
    ),
}
"""The routes that are open, by name, while a person still has this obligation."""

SENTENCES: Mapping[Obligation, str] = {
    Obligation.PASSWORD: "Choose your own password first. Until then the site shows you nothing else.",
    Obligation.CODES: "Your role needs one-time codes. Turn them on first. Until then the site shows you nothing else.",
}


def obligation_of(person: Person, roles_with_codes: Collection[Role]) -> Obligation | None:
    """Return what a person must do first; None if the site is open to them. A password comes before codes."""
    if person.first_password:
        return Obligation.PASSWORD
    if person.role in roles_with_codes and not person.codes_on:
        return Obligation.CODES
    return None
