"""The lists that have a number: the company's own, and the registry versions in force."""

from array import array
from datetime import UTC, datetime

from admin_web.judging.listing import lists_of_many
from admin_web.record.database import Database
from admin_web.record.models import Registry, RegistryExchange, RegistryVersion, SuppressionEntry
from compliance.numbers import E164

AT = datetime(2026, 3, 1, tzinfo=UTC)
NUMBERS = [E164(f"+1415555010{digit}") for digit in range(10)]


def packed(*lines: int) -> bytes:
    swapped = array("H", lines)
    swapped.byteswap()
    return swapped.tobytes()


def version(number: int, registry: str) -> RegistryVersion:
    return RegistryVersion(
        id=number, registry_name=registry, obtained_at=AT, file_name="f", file_sha256="0" * 64,
        accepted=1, rejected=0, numbers=1, imported_at=AT, whole_at=AT, imported_by="test",
    )  # fmt: skip


async def test_only_standing_entries_and_versions_in_force_count(database: Database):
    def entry(number: E164, lifted_at: datetime | None = None) -> SuppressionEntry:
        return SuppressionEntry(
            list_name="internal", number=number, source="t", added_at=AT, added_by="t", lifted_at=lifted_at
        )

    async with database.write() as session:
        for name, in_force in (("us-ftc", 2), ("uk-tps", 3)):
            session.add(Registry(name=name, country="US", area_codes=[], created_at=AT, created_by="t"))
            await session.flush()
            registry = await session.get_one(Registry, name)
            registry.version_in_force_id = in_force
        session.add_all([version(1, "us-ftc"), version(2, "us-ftc"), version(3, "uk-tps")])
        await session.flush()
        session.add_all(
            [
                RegistryExchange(version_id=1, exchange="1415555", lines=packed(105)),
                RegistryExchange(version_id=2, exchange="1415555", lines=packed(101, 102)),
                RegistryExchange(version_id=3, exchange="1415555", lines=packed(102)),
                entry(NUMBERS[0]),
                entry(NUMBERS[2]),
                entry(NUMBERS[3], lifted_at=AT),
            ]
        )
    async with database.read() as session:
        lists = await lists_of_many(session, NUMBERS)
    assert {number[-1]: on for number, on in lists.items() if on} == {
        "0": ("internal",),
        "1": ("us-ftc",),
        "2": ("internal", "uk-tps", "us-ftc"),
    }
    assert set(lists) == set(NUMBERS)
