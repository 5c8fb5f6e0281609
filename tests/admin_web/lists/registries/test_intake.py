"""Registries imported from files: every format, every kind of bad file, and imports that are cut short."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from admin_web.lists.registries import intake, source
from admin_web.lists.registries.version_request import CHANGES, PART
from admin_web.lists.sheet import NotASheet
from admin_web.record.changes import Records
from admin_web.record.models import AuditEvent, RegistryExchange, RegistryVersion
from admin_web.record.registry_versions import Overtaken
from admin_web.services.suppression import suppress
from compliance.numbers import E164
from compliance.refusal import Refused
from tests.support.records import rows
from tests.support.registries import SHELL, file, flat, in_force, take, zipped

A, B, C, D = "+12025550101", "+12025550102", "+14155550103", "+19175550104"

DNCL_XML = """<list type=‘full’ level=’all’ val=’’ /> <ac val=’416’>
<ph val=’5550101’ /><ph val=’5550102’ />
</ac>
<ac val='905'> <ph val='5550103' /> </ac> </list>"""
"""The quotation marks are those of the authority's printed sample."""

FORMATS = [
    ("us-ftc", flat([A, B, C]), [A, B, C]),
    ("us-ftc", flat([A, B, C], "\r\n"), [A, B, C]),
    ("us-ftc", flat([A, B]) + flat([C], "\r\n") + flat([D]).rstrip(), [A, B, C, D]),
    ("us-ftc", "Area Code,Number\n" + flat([A, B]), [A, B]),
    ("us-ftc", "202, 5550101\n202, 5550102\n", [A, B]),
    ("us-tx", "2025550101\n4155550103\n", [A, C]),
    ("us-tx", "+12025550101\n12025550102\r\n(415) 555-0103\n", [A, B, C]),
    ("ca-dncl", "416,5550101\n905,5550102\n", ["+14165550101", "+19055550102"]),
    ("ca-dncl", DNCL_XML, ["+14165550101", "+14165550102", "+19055550103"]),
    ("us-ftc", "<?xml version='1.0'?><list type='full'><ac val='202'><ph val='5550101'/></ac></list>", [A]),
    ("uk-tps", "02079460000 \r\n01632960001 \r\n07700900002 \r\n", ["+441632960001", "+442079460000", "+447700900002"]),
    ("uk-tps", "0169772555  \r\n02079460000 \r\n", ["+44169772555", "+442079460000"]),
    ("us-in", "name,phone,since\nAda,202-555-0101,2020\nBob,415.555.0103,2021\n", [A, C]),
    ("us-in", "﻿name;phone\r\nAda;2025550101\r\n", [A]),
    ("us-ftc", flat([A, B]).encode("utf-16"), [A, B]),
    ("us-ftc", flat([A, B]).replace("\n", "\r"), [A, B]),
    ("us-ftc", '"202","5550101"\n"202","5550102"\n"415","5550103"\r\n', [A, B, C]),
    ("us-ftc", "202;5550101\n202;5550102\n", [A, B]),
    ("us-ftc", "name,area code,number\nAda,202,5550101\nBob,415,5550103\n", [A, C]),
    ("us-tx", '"2025550101"\n"4155550103"\n"+12025550102"\n', [A, B, C]),
    ("us-tx", "'2025550101\n'4155550103\n", [A, C]),
    ("us-in", "sep=;\nname;phone;city\nAda;2025550101;X\n", [A]),
    ("us-in", "List as of 29 November 2026\nname,phone,added\nAda,+12025550101,2026-01-02\nB,4155550103,\n", [A, C]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "numbers"), FORMATS)
async def test_each_format_is_recognised_and_every_number_taken_in(
    records: Records, tmp_path: Path, name, content, numbers
):
    taken = await take(records, name, file(tmp_path, content))
    assert await in_force(records, name) == sorted(numbers)
    assert (taken.numbers, taken.added, taken.removed, taken.rejected) == (len(numbers), len(numbers), 0, 0)


async def test_the_columns_of_a_csv_can_be_named(records: Records, tmp_path: Path):
    sheet = file(tmp_path, "home,area,local\n3015550100,202,5550101\n3015550109,415,5550103\n")
    await take(records, "us-in", sheet, column="area+local")
    assert await in_force(records, "us-in") == [A, C]
    await take(records, "us-in", sheet, column="1", allow_drop=True)
    assert await in_force(records, "us-in") == ["+13015550100", "+13015550109"]


async def test_a_zip_may_hold_a_file_for_each_area_code_and_several_files_make_one_version(
    records: Records, tmp_path: Path
):
    one = zipped(tmp_path / "a.zip", ("202.txt", flat([A]).rstrip()), ("415.txt", flat([C])))
    await take(records, "us-ftc", one, file(tmp_path, flat([D])))
    assert await in_force(records, "us-ftc") == [A, C, D]
    (version,) = await rows(records, RegistryVersion)
    assert version.file_name == "a.zip and 1 more"
    assert version.area_codes == ["202", "415", "917"]


@pytest.mark.parametrize(
    "member",
    [
        "__MACOSX/._202.txt", "list/__MACOSX/202.txt", "._202.txt", "list/._202.txt", ".DS_Store", "list/.DS_Store",
        "Thumbs.db", "list\\Thumbs.db", "desktop.ini", "DESKTOP.INI", "~$202.csv", "@eaDir/202.txt", ".Trashes/202.txt",
    ],
)  # fmt: skip
async def test_what_an_operating_system_adds_to_an_archive_is_no_text_of_the_list(
    records: Records, tmp_path: Path, member: str
):
    archive = zipped(
        tmp_path / "a.zip", (member, "\0\5\x16\7 Mac OS X"), ("list/202.txt", flat([A])), (f"{member}x/", "")
    )
    await take(records, "us-ftc", archive)
    assert await in_force(records, "us-ftc") == [A]
    alone = zipped(tmp_path / "b.zip", (member, flat([B])))
    with pytest.raises(NotASheet, match="contains 0 files"):
        await take(records, "us-ftc", alone)


async def test_a_version_is_on_record_with_its_file_its_counts_and_who_imported_it(records: Records, tmp_path: Path):
    seen = []
    await take(records, "us-ftc", file(tmp_path, flat([A, A, B]) + "111,5550000\n"), seen=seen)
    (version,) = await rows(records, RegistryVersion)
    assert (version.accepted, version.rejected, version.numbers, version.exchanges) == (3, 1, 2, 1)
    assert (version.kind, version.format, version.file_name, version.file_bytes) == ("full", "flat", "list.txt", 48)
    assert version.file_sha256 == source.Source([tmp_path / "list.txt"]).sha256()
    assert version.imported_by == "shell:test"
    assert version.whole_at is not None
    assert (seen[-1].rows, seen[-1].rejected) == (4, 1)
    assert [event.action for event in await rows(records, AuditEvent)] == ["add-registry", "import-registry"]
    assert (tmp_path / "list.rejected.csv").read_text().splitlines()[1].startswith("4,not-in-plan,")


async def test_changes_are_applied_to_the_version_in_force_and_the_last_row_of_a_number_counts(
    records: Records, tmp_path: Path
):
    await take(records, "us-ftc", file(tmp_path, flat([A, B, C])))
    changes = file(
        tmp_path, "202,5550102,2026-01-01,D\n917,5550104,2026-01-01,A\n415,5550103,D\n415,5550103,A\n202,5550199,D\n"
    )
    taken = await take(records, "us-ftc", changes, kind=CHANGES)
    assert await in_force(records, "us-ftc") == [A, C, D]
    assert (taken.added, taken.removed) == (1, 1)
    first, second = await rows(records, RegistryVersion)
    assert (second.base_id, second.kind, second.area_codes) == (first.id, "changes", ["202", "415", "917"])


@pytest.mark.parametrize(
    "content",
    [
        "2025550102,D\n9175550104,A\n4155550103,D\n4155550103,A\n",
        "+12025550102,2026-01-01,D\n+19175550104,2026-01-01,A\n",
        '"202","5550102","D"\n"917","5550104","A"\n',
        "Area,Number,Change\n202,5550102,Delete\n917,5550104,Add\n",
        "number;change;since\n2025550102;deleted;2026\n9175550104;added;2026\n",
        "202\t5550102\tD\n917\t5550104\tA\n",
        "<list><ac val='202'><ph val='5550102' type='D'/></ac><ac val='917'><ph val='5550104' type='A'/></ac></list>",
    ],
)
async def test_changes_are_known_in_many_spellings(records: Records, tmp_path: Path, content: str):
    await take(records, "us-ftc", file(tmp_path, flat([A, B, C])))
    taken = await take(records, "us-ftc", file(tmp_path, content), kind=CHANGES)
    assert (await in_force(records, "us-ftc"), taken.rejected) == ([A, C, D], 0)


@pytest.mark.parametrize(
    "content",
    [
        flat([D]), "9175550104\n", "name,phone\nAda,9175550104\n", "name,phone,grade\nAda,9175550104,B\n",
        "<list><ac val='917'><ph val='5550104'/></ac></list>",
    ],
)  # fmt: skip
async def test_changes_that_do_not_say_what_was_added_are_refused(records: Records, tmp_path: Path, content: str):
    await take(records, "us-ftc", file(tmp_path, flat([A, B])))
    with pytest.raises(NotASheet, match="does not say which numbers were added and which deleted"):
        await take(records, "us-ftc", file(tmp_path, content), kind=CHANGES)
    assert await in_force(records, "us-ftc") == [A, B]


async def test_several_columns_of_a_registry_are_taken_and_the_others_said(records: Records, tmp_path: Path):
    sheet = file(tmp_path, f"phone,home,work\n{A},{B},\n,{C},oops\n,,\nx,,{D}\n")
    taken = await take(records, "us-in", sheet, column="phone,home")
    assert await in_force(records, "us-in") == [A, B, C]
    assert (taken.rows, taken.rejected, taken.not_read) == (3, 1, "Column 3 'work' contains numbers and is not read.")


async def test_a_part_replaces_its_area_codes_and_leaves_the_others(records: Records, tmp_path: Path):
    await take(records, "us-ftc", file(tmp_path, flat([A, B, C, D])))
    await take(records, "us-ftc", file(tmp_path, flat(["+12025550177"])), kind=PART)
    assert await in_force(records, "us-ftc") == ["+12025550177", C, D]


async def test_rows_in_any_order_and_in_many_transactions_are_all_there(records: Records, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(source, "BLOCK", 600)
    monkeypatch.setattr(intake, "FEW_EXCHANGES", 3)
    numbers = [
        f"+1{area}{exchange}{line:04}"
        for line in (7, 5000, 9999)
        for area in range(202, 210)
        for exchange in (222, 999)
    ]
    numbers += [f"+1202222{line:04}" for line in range(0, 10_000, 11)]
    await take(records, "us-ftc", file(tmp_path, flat(numbers)))
    assert await in_force(records, "us-ftc") == sorted(set(numbers))


def bomb(tmp_path: Path) -> Path:
    return zipped(tmp_path / "bomb.zip", ("list.txt", flat([A]) * 4_000_000))


def cut_zip(tmp_path: Path) -> Path:
    whole = zipped(tmp_path / "whole.zip", ("list.txt", flat([f"+1202{n:07}" for n in range(5_550_000, 5_558_000, 3)])))
    return file(tmp_path, whole.read_bytes()[:-400], "cut.zip")


def torn_zip(tmp_path: Path) -> Path:
    whole = zipped(tmp_path / "whole.zip", ("list.txt", flat([f"+1202{n:07}" for n in range(5_550_000, 5_558_000, 3)])))
    torn = bytearray(whole.read_bytes())
    torn[500:700] = bytes(200)
    return file(tmp_path, bytes(torn), "torn.zip")


def locked_zip(tmp_path: Path) -> Path:
    whole = bytearray(zipped(tmp_path / "whole.zip", ("list.txt", flat([A]))).read_bytes())
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    return file(tmp_path, bytes(whole), "locked.zip")


def one_line(tmp_path: Path) -> Path:
    """Return a sparse file of 10 GB, which uses almost no disk space."""
    path = tmp_path / "line.txt"
    with path.open("wb") as sparse:
        sparse.write(b"2025550101" * 10_000)
        sparse.truncate(10 * 10**9)
    return path


def zeros(tmp_path: Path) -> Path:
    path = tmp_path / "zeros.txt"
    with path.open("wb") as sparse:
        sparse.truncate(10 * 10**9)
    return path


BAD = [
    (lambda d: file(d, ""), "list.txt: the file is empty"),
    (lambda d: file(d, "\n\n \n"), "The file contains no rows"),
    (lambda d: file(d, bytes(range(256)) * 100), "this is either not text"),
    (lambda d: file(d, b"\x89PNG\r\n\x1a\n" + bytes(1000)), "this is either not text"),
    (lambda d: file(d, flat([A, B]).encode("utf-16-le")), "UTF-16 without a byte order mark"),
    (lambda d: file(d, b"\xd0\xcf\x11\xe0" + bytes(100)), "an archive of an unsupported kind"),
    (lambda d: file(d, b"\x1f\x8b" + bytes(100)), "an archive of an unsupported kind"),
    (lambda d: zipped(d / "n.zip", ("in.zip", "PK\x03\x04 more")), "a document, or an archive of an unsupported kind"),
    (lambda d: zipped(d / "e.zip"), "contains 0 files|is damaged|not text"),
    (cut_zip, "damaged or incomplete"),
    (torn_zip, "damaged or incomplete"),
    (locked_zip, "encrypted"),
    (bomb, "over 100 times its size"),
    (zeros, "this is either not text"),
    (lambda d: file(d, flat([A]) + "9" * 70_000 + "\n" + flat([B])), "a line is longer than 65536 characters"),
    (lambda d: file(d, "".join(f"111,555{n:04}\n" for n in range(50))), "50 of the first 50 rows are not numbers"),
    (lambda d: file(d, "name,mail\nAda,a@b.c\n"), "No column contains numbers"),
    (lambda d: file(d, "202,5550101,D\n"), "lists added and deleted numbers: import it as changes"),
    (lambda d: file(d, "4155550178,A\n4155550158,D\n"), "import it as changes"),
    (lambda d: file(d, "4155550178,A\n4155550158,A\n"), "import it as changes"),
    (lambda d: file(d, '"415","5550178","A"\n"415","5550158","A"\n'), "import it as changes"),
    (lambda d: file(d, "number;since;change\n4155550178;2026;add\n"), "import it as changes"),
    (lambda d: file(d, "phone\tstatus\n4155550178\tdeleted\n"), "import it as changes"),
    (lambda d: file(d, "phone,action\n4155550178,A\n4155550158,X\n"), "'X' is not understood"),
    (lambda d: file(d, "phone;one;two\n4155550178;A;D\n"), "Several columns say A or D"),
    (lambda d: file(d, flat([D])), "would shrink from 500 to 1 number"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
async def test_a_bad_file_is_refused_in_a_sentence_and_the_version_before_stays(
    records: Records, tmp_path: Path, number: int
):
    await refused(records, tmp_path, *BAD[number])


@pytest.mark.exhaustive
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # It takes seconds, before any SQL.
async def test_a_line_of_ten_gigabytes_is_refused_and_the_version_before_stays(records: Records, tmp_path: Path):
    await refused(records, tmp_path, one_line, "a line is longer than 65536 characters")


async def refused(records: Records, tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    """Assert that a file is refused with this sentence, and that a version of 500 numbers stays."""
    good = [f"+1202555{line:04}" for line in range(500)]
    (tmp_path / "good").mkdir()
    await take(records, "us-ftc", file(tmp_path / "good", flat(good)))
    with pytest.raises((NotASheet, Refused), match=sentence):
        await take(records, "us-ftc", make(tmp_path))
    assert await in_force(records, "us-ftc") == good


async def test_what_is_listed_twice_or_far_away_is_taken_once_and_wrong_area_codes_are_rejected(
    records: Records, tmp_path: Path
):
    content = flat([A, A, B]) + "011,5550101\n911,5550101\n202,1550101\n202,555010\n20a,5550101\n\n" + flat([C, A])
    taken = await take(records, "us-ftc", file(tmp_path, content))
    assert (taken.numbers, taken.rows, taken.rejected) == (3, 10, 5)
    assert await in_force(records, "us-ftc") == [A, B, C]
    report = (tmp_path / "list.rejected.csv").read_text()
    assert [line.split(",")[0] for line in report.splitlines()] == ["line", "4", "5", "6", "7", "8"]


async def test_an_import_that_was_cut_short_is_never_in_force_and_the_next_one_starts_over(
    records: Records, tmp_path: Path, monkeypatch
):
    await take(records, "us-ftc", file(tmp_path, flat([A])))
    with monkeypatch.context() as patched:
        patched.setattr(intake.RegistryIntake, "_end", killed)
        with pytest.raises(Killed):
            await take(records, "us-ftc", file(tmp_path, flat([A, B, C])))
    assert await in_force(records, "us-ftc") == [A]
    assert await exchanges(records) == 3
    await take(records, "us-ftc", file(tmp_path, flat([A, C])))
    assert await in_force(records, "us-ftc") == [A, C]
    assert await exchanges(records) == 3
    assert [version.whole_at is not None for version in await rows(records, RegistryVersion)] == [True, False, True]


async def test_an_import_that_was_overtaken_stops_and_changes_nothing(records: Records, tmp_path: Path, monkeypatch):
    end, other = intake.RegistryIntake._end, tmp_path / "other"
    other.mkdir()

    async def overtaken(self, sha256):
        monkeypatch.undo()
        await take(records, "us-ftc", file(other, flat([A, B])))
        return await end(self, sha256)

    monkeypatch.setattr(intake.RegistryIntake, "_end", overtaken)
    with pytest.raises(Overtaken):
        await take(records, "us-ftc", file(tmp_path, flat([C])))
    assert await in_force(records, "us-ftc") == [A, B]


async def test_an_import_stops_when_another_has_begun_though_that_one_never_ends(records, tmp_path: Path, monkeypatch):
    """The newer import has deleted the numbers of this one: this version would come into force without them."""
    end, other = intake.RegistryIntake._end, tmp_path / "other"
    other.mkdir()

    async def overtaken(self, sha256):
        monkeypatch.setattr(intake.RegistryIntake, "_end", killed)
        with pytest.raises(Killed):
            await take(records, "us-ftc", file(other, flat([A, B])))
        return await end(self, sha256)

    monkeypatch.setattr(intake.RegistryIntake, "_end", overtaken)
    with pytest.raises(Overtaken):
        await take(records, "us-ftc", file(tmp_path, flat([C])))
    assert await in_force(records, "us-ftc") == []


async def test_a_file_that_changes_while_it_is_read_is_not_taken(records: Records, tmp_path: Path, monkeypatch):
    path = file(tmp_path, flat([A, B]))
    monkeypatch.setattr(source.Source, "sha256", lambda self: os.utime(path, (1, 1)) or "0" * 64)
    with pytest.raises(NotASheet, match="changed while it was read"):
        await take(records, "us-ftc", path)
    assert await in_force(records, "us-ftc") == []


async def test_a_registry_cannot_bear_the_name_of_a_list_of_the_company_s_own(records: Records, tmp_path: Path):
    await suppress(records, SHELL, E164(A), source="test", list_name="own-two")
    for name in ("own-two", "internal", "override", "US", "a b", "a" * 33, "unheard-of"):
        with pytest.raises(Refused):
            await take(records, name, file(tmp_path, flat([A])))


async def test_changes_need_a_version_to_be_applied_to(records: Records, tmp_path: Path):
    with pytest.raises(Refused, match="no version of us-ftc yet"):
        await take(records, "us-ftc", file(tmp_path, "202,5550101,A\n"), kind=CHANGES)


class Killed(BaseException):
    pass


async def killed(self, sha256):
    raise Killed


async def exchanges(records: Records) -> int:
    async with records.database.read() as session:
        return await session.scalar(select(func.count()).select_from(RegistryExchange))
