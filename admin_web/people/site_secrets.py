"""Random keys that all processes of the site share through the database."""

import secrets
from datetime import datetime

from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.dialect import insert_into
from admin_web.record.models import SiteSecret

KNOWN_BROWSERS = "known-browsers"
"""The key that signs the cookies of known browsers."""


async def secret_of(database: Database, name: str, at: datetime) -> bytes:
    """Return the key with this name. Create it if it does not exist yet; `at` is then its date (aware UTC)."""
    wanted = select(SiteSecret.value).where(SiteSecret.name == name)
    async with database.read() as session:
        found = await session.scalar(wanted)
    if found is None:
        async with database.write() as session:
            created = insert_into(session, SiteSecret).values(name=name, value=secrets.token_hex(32), made_at=at)
            await session.execute(created.on_conflict_do_nothing())
            found = (await session.scalars(wanted)).one()
    return bytes.fromhex(found)
