"""The permissions of each role in the site, in one table for all routes and templates."""

from collections.abc import Mapping
from enum import StrEnum

from compliance.consent import Role


class Permission(StrEnum):
    """The permission that a route requires. `ANYBODY` requires no sign-in, `SIGNED_IN` no particular role."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed-in"
    SEE_LEADS = "see-leads"
    EDIT_LEADS = "edit-leads"
    CALL = "call"
    SUPPRESS = "suppress"
    SEE_LISTS = "see-lists"
    LIFT = "lift"
    IMPORT = "import"
    OVERRIDE = "override"
    SEE_OVERRIDES = "see-overrides"
    REVIEW = "review"
    SEE_CALLS = "see-calls"
    SEE_AUDIT = "see-audit"
    SEE_ENFORCEMENT = "see-enforcement"
    REBUILD = "rebuild"
    SET_TERMS = "set-terms"
    EXPORT = "export"
    MANAGE = "manage"


_AGENT = {
    Permission.ANYBODY,
    Permission.SIGNED_IN,
    Permission.SEE_LEADS,
    Permission.EDIT_LEADS,
    Permission.CALL,
    Permission.SUPPRESS,
    Permission.SEE_LISTS,
}
_SUPERVISOR = _AGENT | {
    Permission.OVERRIDE,
    Permission.SEE_OVERRIDES,
    Permission.SEE_CALLS,
    Permission.SEE_ENFORCEMENT,
}

GRANTED: Mapping[Role, frozenset[Permission]] = {
    Role.AGENT: frozenset(_AGENT),
    Role.SUPERVISOR: frozenset(_SUPERVISOR),
    Role.ADMIN: frozenset(Permission),
    # An auditor may read everything and change nothing.
    Role.AUDITOR: frozenset(
        {
            Permission.ANYBODY,
            Permission.SIGNED_IN,
            Permission.SEE_LEADS,
            Permission.SEE_LISTS,
            Permission.SEE_OVERRIDES,
            Permission.SEE_CALLS,
            Permission.SEE_AUDIT,
            Permission.SEE_ENFORCEMENT,
            Permission.EXPORT,
        }
    ),
}


def allowed(role: Role, permission: Permission) -> bool:
    """Return whether a role has a permission."""
    return permission in GRANTED[role]
