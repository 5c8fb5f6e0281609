"""Recovery codes: each replaces a one-time code once, for a person whose telephone is lost or broken."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.models import RecoveryCode

HOW_MANY = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""31 letters and digits that nobody confuses on paper. A code has 24 of them, which are 118 random bits."""

_CODE = re.compile(rf"[{_LETTERS}]{{24}}")


async def renew(session: AsyncSession, name: str, at: datetime) -> Sequence[str]:
    """Replace all recovery codes of a person within a transaction and return the new ones. Only hashes are stored."""
    await forget(session, name)
    codes = ["-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(6)) for _ in range(HOW_MANY)]
    session.add_all(RecoveryCode(user_name=name, code_hash=_hashed(name, code), made_at=at) for code in codes)
    return codes


async def forget(session: AsyncSession, name: str) -> None:
    """Delete the recovery codes of a person within a transaction."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_name == name))


async def use(session: AsyncSession, name: str, code: str, at: datetime) -> bool:
    """Use a code up within a transaction. Returns False if it is not an unused code of this person."""
    unused = update(RecoveryCode).where(
        RecoveryCode.user_name == name, RecoveryCode.code_hash == _hashed(name, code), RecoveryCode.used_at.is_(None)
    )
    return await session.scalar(unused.values(used_at=at).returning(RecoveryCode.id)) is not None


def is_recovery_code(code: str) -> bool:
    """Return whether a text has the form of a recovery code."""
    return _CODE.fullmatch(_plain(code)) is not None


async def left(database: Database, name: str) -> int:
    """Return how many unused codes a person has."""
    unused = select(func.count()).where(RecoveryCode.user_name == name, RecoveryCode.used_at.is_(None))
    async with database.read() as session:
        return (await session.scalars(unused)).one()


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()


def _hashed(name: str, code: str) -> str:
    """Return the SHA-256 of a code. It has 118 random bits and cannot be guessed, so no slow hash is needed."""
    return sha256(f"{name} {_plain(code)}".encode()).hexdigest()
