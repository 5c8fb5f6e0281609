"""Users and tokens: secrets are stored as hashes, nothing is deleted, and each change is on record."""

import asyncio
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from admin_web.people import passwords
from admin_web.people.accounts import (
    NameTaken,
    UnknownUser,
    add_user,
    disable_user,
    set_password,
    users,
)
from admin_web.people.passwords import is_password, random_password
from admin_web.people.tokens import (
    Scope,
    TokenNameTaken,
    TokenTerms,
    UnknownToken,
    live_token,
    make_token,
    revoke_token,
    tokens,
)
from admin_web.record.changes import Records, utc_now
from admin_web.record.models import AuditEvent
from compliance.consent import Role
from compliance.refusal import Unwritable
from tests.support.records import ADMIN, AT, rows

PASSWORD = "correct horse battery"


async def actions(records: Records) -> list[str]:
    return [event.action for event in await rows(records, AuditEvent)]


async def test_a_password_is_kept_as_an_argon2id_hash_and_nowhere_else(
    records: Records, password_hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(passwords, "_HASHER", password_hasher)
    await add_user(records.database, ADMIN, "somebody", Role.SUPERVISOR, PASSWORD, "Some Body")
    (user,) = await users(records.database)
    assert (user.name, user.full_name, user.role, user.created_by) == (
        "somebody",
        "Some Body",
        "supervisor",
        "admin",
    )
    assert user.password_hash.startswith("$argon2id$v=19$m=65536,t=3,")
    assert await is_password(PASSWORD, user.password_hash)
    assert not await is_password(PASSWORD + "!", user.password_hash)
    assert not await is_password(PASSWORD, "not a hash")
    (event,) = await rows(records, AuditEvent)
    assert PASSWORD not in str(event.particulars)


async def test_a_new_password_replaces_the_old(records: Records):
    await add_user(records.database, ADMIN, "somebody", Role.AGENT, PASSWORD)
    await set_password(records.database, ADMIN, "somebody", "another one, long")
    (user,) = await users(records.database)
    assert await is_password("another one, long", user.password_hash)
    assert not await is_password(PASSWORD, user.password_hash)
    assert await actions(records) == ["add-user", "set-password"]


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 1025])
async def test_short_and_endless_passwords_are_refused(records: Records, password: str):
    with pytest.raises(Unwritable, match="12 to 1024"):
        await add_user(records.database, ADMIN, "somebody", Role.AGENT, password)
    assert await users(records.database) == []


@pytest.mark.parametrize("name", ["", "Lead 1", "shell:root", "1st", "some body", "somebody\n", "x" * 65, "somebodý"])
async def test_a_user_name_is_plain_and_can_never_look_like_the_shell(records: Records, name: str):
    with pytest.raises(Unwritable, match="user name"):
        await add_user(records.database, ADMIN, name, Role.AGENT, PASSWORD)


async def test_a_name_is_given_once_even_to_two_at_once(records: Records):
    ended = await asyncio.gather(
        *(add_user(records.database, ADMIN, "somebody", Role.AGENT, PASSWORD) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(end, NameTaken) for end in ended) == 2
    assert len(await users(records.database)) == 1


async def test_a_user_is_disabled_once_and_stays_on_record(records: Records):
    await add_user(records.database, ADMIN, "somebody", Role.AGENT, PASSWORD)
    assert await disable_user(records.database, ADMIN, "somebody")
    assert not await disable_user(records.database, ADMIN, "somebody")
    (user,) = await users(records.database)
    assert user.disabled_at is not None
    assert user.disabled_by == "admin"
    for action in (
        disable_user(records.database, ADMIN, "nobody"),
        set_password(records.database, ADMIN, "nobody", PASSWORD),
    ):
        with pytest.raises(UnknownUser, match="no user nobody"):
            await action
    assert await actions(records) == ["add-user", "disable-user"]


def test_made_up_passwords_are_long_enough_and_differ():
    made = {random_password() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 12


async def test_a_token_is_shown_once_and_kept_as_its_hash(records: Records):
    token = await make_token(records.database, ADMIN, "crm", [Scope.SUPPRESS, Scope.READ])
    row = (await tokens(records.database))[0].token
    assert token.startswith("dnc_")
    assert len(row.token_hash) == 64
    assert token not in f"{row.token_hash} {row.name}"
    assert row.scopes == ["read", "suppress"]
    found = await live_token(records.database, token, AT)
    assert found is not None
    assert found.id == row.id
    assert await live_token(records.database, token + "x", AT) is None


async def test_a_revoked_token_is_good_no_more(records: Records):
    token = await make_token(records.database, ADMIN, "crm", [Scope.READ])
    assert await revoke_token(records.database, ADMIN, "crm")
    assert not await revoke_token(records.database, ADMIN, "crm")
    assert await live_token(records.database, token, AT) is None
    with pytest.raises(UnknownToken):
        await revoke_token(records.database, ADMIN, "other")
    with pytest.raises(TokenNameTaken, match="revoked"):
        await make_token(records.database, ADMIN, "crm", [Scope.READ])
    assert await actions(records) == ["make-token", "revoke-token"]


async def test_a_token_ends_at_its_end(records: Records):
    end = utc_now() + timedelta(days=30)
    token = await make_token(records.database, ADMIN, "crm", [Scope.READ], TokenTerms(end))
    assert await live_token(records.database, token, end - timedelta(seconds=1)) is not None
    assert await live_token(records.database, token, end) is None


async def test_a_token_without_scope_name_or_future_is_refused(records: Records):
    for name, scopes, end in (
        ("crm", [], None),
        (" ", [Scope.READ], None),
        ("crm", [Scope.READ], AT.replace(year=2020)),
    ):
        with pytest.raises(Unwritable):
            await make_token(records.database, ADMIN, name, scopes, TokenTerms(end))
    assert await tokens(records.database) == []
