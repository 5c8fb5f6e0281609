"""Consent: how long it lasts and who may place it."""

from datetime import UTC, datetime

import pytest

from compliance.consent import Role, ends_at, may_override, may_revoke


@pytest.mark.parametrize(
    ("placed", "ends"),
    [
        (datetime(2026, 11, 23, 9, 30, tzinfo=UTC), datetime(2027, 11, 23, 9, 30, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2029, 2, 28, tzinfo=UTC)),
        (datetime(2027, 2, 28, tzinfo=UTC), datetime(2028, 2, 28, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_override_ends_after_twelve_calendar_months_and_is_never_stretched(placed, ends):
    assert ends_at(placed) == ends


def test_supervisors_and_admins_place_overrides_and_only_admins_revoke_them():
    assert {role for role in Role if may_override(role)} == {Role.SUPERVISOR, Role.ADMIN}
    assert {role for role in Role if may_revoke(role)} == {Role.ADMIN}
