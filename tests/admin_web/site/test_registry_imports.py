"""A registry's file imported in the browser: upload, findings, consequences, job; and refused files."""

from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import select, update

from admin_web.lists.import_jobs import sweep_sheets
from admin_web.lists.registries.leftovers import SILENT, sweep_versions
from admin_web.lists.sheet_store import SheetStore
from admin_web.record.models import AuditEvent, Job, Registry, RegistryExchange, RegistryVersion
from admin_web.services.registries import EditedTerms, add_registry, terms_preset
from admin_web.worker.jobs.run import Tools
from admin_web.worker.jobs.runner import POLL_S, Runner
from admin_web.worker.jobs.work import WORK
from compliance.consent import Role
from tests.support.records import ADMIN, rows
from tests.support.registries import OBTAINED, file, flat, in_force, take, zipped
from tests.support.site import Answer, Browser, Site, settings_of

A, B, C = "+12025550101", "+12025550102", "+14155550103"
DAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
TERMS = {
    "country", "owner_account", "area_codes", "by_area_code", "fresh_days", "when_stale", "when_uncovered", "spared",
    "changed_at", "changed_by",
}  # fmt: skip
WHOLE = {"taken_as": "full", "obtained": DAY, "over": "0"}


@pytest.fixture
async def admin(site: Site) -> Browser:
    """An admin's browser, where us-ftc is on record and has no version."""
    await add_registry(site.records, ADMIN, "us-ftc", "", EditedTerms())
    await site.projection.rebuild()
    return await site.person(Role.ADMIN)


async def upload(browser: Browser, content: str | bytes, name: str = "list.txt", registry: str = "us-ftc") -> Answer:
    raw = content.encode() if isinstance(content, str) else content
    return await browser.upload(f"/registries/{registry}/import", {}, "file", (name, raw, "text/plain"))


async def work(site: Site) -> None:
    """Run all jobs, as a worker does."""
    tools = Tools(site.records, site.projection, site.settings)
    for kind, carry_out in WORK.items():
        while await Runner(kind, carry_out, tools, "worker").step() < POLL_S:
            continue


def sheets(site: Site) -> list[str]:
    return sorted(path.name[32:] for path in (site.settings.data_dir / "imports").glob("*"))


async def test_a_file_goes_from_upload_by_preview_to_a_version_in_force_and_a_report(site: Site, admin: Browser):
    assert "/registries/us-ftc/import" in await admin.page("/registries/us-ftc")
    uploaded = await upload(admin, flat([A, B]) + "111,5550000\n", "202.txt")
    page = await admin.follow(uploaded)
    assert "lines of area code, comma and seven digits" in page
    assert "What will happen" in page
    assert "rejected" in page
    assert await rows(site.records, RegistryVersion) == await rows(site.records, Job) == []
    started = await admin.post(uploaded.location, {**WHOLE, "account": "SAN 1"})
    assert "waiting for a worker" in await admin.follow(started)
    assert "A file is being imported" in await admin.page("/registries/us-ftc")
    await work(site)
    page = await admin.page(started.location)
    assert "2 numbers, 2 added and 0 removed since the previous version; 3 rows, 1 rejected; in force." in page
    assert await in_force(site.records, "us-ftc") == [A, B]
    assert await site.projection.behind() == {}
    report = await admin.get(f"{started.location}/report")
    assert report.text.splitlines()[1].startswith("3,not-in-plan,")
    (version,) = await rows(site.records, RegistryVersion)
    assert (version.imported_by, version.file_name, version.obtained_at.date().isoformat()) == ("admin", "202.txt", DAY)
    page = await admin.page("/registries/us-ftc")
    assert "SAN 1" in page
    assert "in force" in page
    assert sheets(site) == [".rejected.csv"]


async def test_the_columns_of_a_csv_are_chosen_and_looked_at_before_the_start(site: Site, admin: Browser):
    content = "home,area,local\n3015550100,202,5550101\n3015550109,415,5550103\n"
    uploaded = await upload(admin, content)
    page = await admin.follow(uploaded)
    assert "columns separated by commas" in page
    assert "Several columns contain numbers, some of them only together" in page
    assert "Start the import" not in page
    assert "+13015550100" in await admin.page(f"{uploaded.location}?read_as=csv&number=1")
    again = await admin.page(f"{uploaded.location}?read_as=csv&number=3&area=2")
    assert A in again
    assert "+13015550100" not in again
    await admin.post(uploaded.location, {**WHOLE, "read_as": "csv", "number": "3", "area": "2"})
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A, C]


async def test_a_file_without_a_number_s_column_is_not_begun_with(site: Site, admin: Browser):
    uploaded = await upload(admin, "home,work\n2025550101,2025550102\n")
    page = await admin.follow(uploaded)
    assert "Several columns contain numbers" in page
    assert "--column" not in page
    assert "Start the import" not in page
    assert (await admin.post(uploaded.location, WHOLE)).status == 422
    assert await rows(site.records, Job) == []


async def test_several_columns_are_read_and_what_is_not_read_is_said(site: Site, admin: Browser):
    uploaded = await upload(admin, "As of May\nphone,home,work\n2025550101,2025550102,4155550103\n")
    page = unescape(await admin.follow(uploaded))
    assert "Line 1 is above the list and not read: 'As of May'." in page
    assert "Column 2 'home' and column 3 'work' contain numbers and are not read." in page
    again = unescape(await admin.page(f"{uploaded.location}?read_as=csv&number=1,2"))
    assert "Column 3 'work' contains numbers and is not read." in again
    assert '<option value="1,2" selected>1 and 2</option>' in again
    started = await admin.post(uploaded.location, {**WHOLE, "read_as": "csv", "number": "1,2"})
    await work(site)
    assert "Column 3 'work' contains numbers and is not read." in unescape(await admin.page(started.location))
    assert await in_force(site.records, "us-ftc") == [A, B]


@pytest.mark.parametrize("content", ["2025550102,D\n4155550103,A\n", "phone;change\n2025550102;D\n4155550103;A\n"])
async def test_changes_with_whole_numbers_are_changes_and_a_list_is_never_taken_for_them(
    site: Site, admin: Browser, tmp_path: Path, content: str
):
    over = str((await take(site.records, "us-ftc", file(tmp_path, flat([A, B])))).version)
    plain, changes = await upload(admin, flat([C])), await upload(admin, content)
    refused = await admin.post(plain.location, {**WHOLE, "taken_as": "changes", "over": over})
    assert "does not say which numbers were added" in refused.text.split('id="taken_as-error"')[1]
    refused = await admin.post(changes.location, {**WHOLE, "taken_as": "part", "over": over})
    assert "import it as changes" in refused.text.split('id="taken_as-error"')[1]
    page = await admin.page(changes.location)
    assert 'value="changes" required checked' in page
    await admin.post(changes.location, {**WHOLE, "taken_as": "changes", "over": over})
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A, C]


async def test_changes_are_taken_as_changes_and_need_a_version(site: Site, admin: Browser, tmp_path: Path):
    uploaded = await upload(admin, "202,5550102,2026-01-01,D\n415,5550103,2026-01-01,A\n")
    page = await admin.follow(uploaded)
    assert "deleted" in page
    refused = await admin.post(uploaded.location, {**WHOLE, "taken_as": "full"})
    assert (refused.status, "import it as changes" in refused.text) == (422, True)
    refused = await admin.post(uploaded.location, {**WHOLE, "taken_as": "changes"})
    assert (refused.status, "There is no version yet" in refused.text) == (422, True)
    taken = await take(site.records, "us-ftc", file(tmp_path, flat([A, B])))
    await admin.post(uploaded.location, {**WHOLE, "taken_as": "changes", "over": str(taken.version)})
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A, C]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "empty.txt", "The file is empty."),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "x.png", "this is either not text"),
        (b"PK\x03\x04rest", "cut.zip", "damaged or incomplete"),
        (b"\x1f\x8b" + bytes(100), "list.gz", "an archive of an unsupported kind"),
        (flat([A]).encode() * 20_000, "long.txt", "larger than 0.1 MB; import it on the server, with dnc-admin import"),
    ],
)
async def test_a_bad_file_is_refused_at_once_beside_its_field_and_not_kept(
    database_url, redis_server, tmp_path, content, name, said
):
    settings = settings_of(database_url, redis_server.url, tmp_path / "data", registry_mb=0.1)
    async with Site(settings) as site:
        await add_registry(site.records, ADMIN, "us-ftc", "", EditedTerms())
        answer = await upload(await site.person(Role.ADMIN), content, name)
        assert answer.status == 422
        assert said in answer.text.split('id="file-error"')[1]
        assert await rows(site.records, Job) == []
        assert sheets(site) == []


async def test_a_file_that_turns_out_bad_fails_its_job_and_the_version_before_stays(
    site: Site, admin: Browser, tmp_path: Path
):
    taken = await take(site.records, "us-ftc", file(tmp_path, flat([A])))
    bad = flat([B]) + "".join(f"111,{n:07}\n" for n in range(50))
    uploaded = await upload(admin, bad)
    started = await admin.post(uploaded.location, {**WHOLE, "over": str(taken.version)})
    await work(site)
    page = await admin.page(started.location)
    assert "50 of the first 51 rows are not numbers" in page
    assert "The previous version stays in force." in page
    assert await in_force(site.records, "us-ftc") == [A]
    assert {row.version_id for row in await exchanges(site)} == {taken.version}
    assert [version.beat_at is None for version in await rows(site.records, RegistryVersion)][1:] == [True]
    assert "Start the import" in await admin.page(uploaded.location)  # The upload is kept for another look.


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"obtained": ""}, "obtained", "Enter the day on which"),
        ({"obtained": "2026-02-30"}, "obtained", "Enter the day on which"),
        ({"obtained": "2999-01-01"}, "obtained", "This day is in the future"),
        ({"taken_as": "odd"}, "taken_as", "Choose what the file is."),
        ({"account": "x" * 65}, "account", "longer than 64 characters"),
    ],
)
async def test_what_cannot_be_is_refused_beside_its_field_with_the_input_kept(
    site: Site, admin: Browser, fields, field, said
):
    uploaded = await upload(admin, flat([A]))
    sent = {**WHOLE, "account": "SAN 7", "allow_drop": "yes", **fields}
    refused = await admin.post(uploaded.location, sent)
    assert refused.status == 422
    assert said in refused.text.split(f'id="{field}-error"')[1]
    assert f'value="{sent["account"]}"' in refused.text
    assert "checked" in refused.text
    assert await rows(site.records, Job) == []
    assert [one.owner_account for one in await registries(site)] == [None]


async def test_a_file_may_be_obtained_on_any_day_that_has_begun_in_the_east(site: Site, admin: Browser):
    uploaded, east = await upload(admin, flat([A])), (site.now() + timedelta(hours=14)).date()
    refused = await admin.post(uploaded.location, {**WHOLE, "obtained": str(east + timedelta(days=1))})
    assert (refused.status, "This day is in the future" in refused.text) == (422, True)
    assert (await admin.post(uploaded.location, {**WHOLE, "obtained": str(east)})).status == 303
    await work(site)
    (version,) = await rows(site.records, RegistryVersion)
    assert version.obtained_at <= version.imported_at


async def test_a_form_that_saw_another_version_is_stale_and_begins_nothing(site: Site, admin: Browser, tmp_path: Path):
    uploaded = await upload(admin, flat([B]))
    taken = await take(site.records, "us-ftc", file(tmp_path, flat([A])))
    stale = await admin.post(uploaded.location, WHOLE)
    assert (stale.status, "Another version of us-ftc has come into force meanwhile" in stale.text) == (422, True)
    assert f'name="over" value="{taken.version}"' in stale.text
    assert await rows(site.records, Job) == []


async def test_a_job_that_waited_while_another_version_came_into_force_does_not_go_back_behind_it(
    site: Site, admin: Browser, tmp_path: Path
):
    uploaded = await upload(admin, flat([B]))
    started = await admin.post(uploaded.location, WHOLE)
    await take(site.records, "us-ftc", file(tmp_path, flat([A])))
    await work(site)
    assert "Another version of us-ftc has come into force meanwhile" in await admin.page(started.location)
    assert await in_force(site.records, "us-ftc") == [A]


async def test_there_are_never_two_imports_of_one_registry(site: Site, admin: Browser):
    await add_registry(site.records, ADMIN, "us-tx", "", EditedTerms())
    first, second, other = await upload(admin, flat([A])), await upload(admin, flat([B])), None
    await admin.post(first.location, WHOLE)
    refused = await admin.post(second.location, WHOLE)
    assert (refused.status, "is already running or queued" in refused.text) == (422, True)
    other = await upload(admin, flat([C]), registry="us-tx")
    assert (await admin.post(other.location, WHOLE)).status == 303
    await work(site)
    assert (await in_force(site.records, "us-ftc"), await in_force(site.records, "us-tx")) == ([A], [C])


@pytest.mark.parametrize("role", ["agent", "supervisor", "auditor"])
async def test_only_an_admin_imports_and_nobody_else_sees_an_upload(site: Site, admin: Browser, role: str):
    other, uploaded = await site.person(role), await upload(admin, flat([A]))
    assert (await upload(other, flat([A]))).status == 403
    assert (await other.get(uploaded.location)).status == 403
    assert (await other.post(uploaded.location, WHOLE)).status == 403
    if role != "agent":
        assert "/import" not in await other.page("/registries/us-ftc")


async def test_an_upload_is_for_its_registry_and_its_kind_alone(site: Site, admin: Browser):
    await add_registry(site.records, ADMIN, "us-tx", "", EditedTerms())
    uploaded = await upload(admin, flat([A]))
    token = uploaded.location.rsplit("/", 1)[1]
    for path in (
        f"/registries/us-tx/import/{token}",
        f"/imports/sheets/{token}",
        f"/registries/us-ftc/import/{'0' * 32}",
    ):
        assert (await admin.get(path)).status == 404
        assert (await admin.post(path, WHOLE)).status == 404
    kept = await admin.upload("/imports/numbers", {}, "file", ("list.csv", b"4155550100\n", "text/csv"))
    assert (await admin.get(f"/registries/us-ftc/import/{kept.location.rsplit('/', 1)[1]}")).status == 404
    assert await rows(site.records, Job) == []


async def test_a_zip_is_looked_into_and_every_text_of_it_taken(site: Site, admin: Browser, tmp_path: Path):
    archive = zipped(tmp_path / "a.zip", ("202.txt", flat([A, B])), ("415.txt", flat([C]))).read_bytes()
    uploaded = await upload(admin, archive, "a.zip")
    assert "in 2 files" in await admin.follow(uploaded)
    await admin.post(uploaded.location, WHOLE)
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A, B, C]


async def test_files_of_every_authority_are_recognised(site: Site, admin: Browser):
    await add_registry(site.records, ADMIN, "uk-tps", "", EditedTerms())
    await add_registry(site.records, ADMIN, "ca-dncl", "", EditedTerms())
    tps = await admin.follow(await upload(admin, "02079460000 \r\n01632960001 \r\n", registry="uk-tps"))
    assert "lines of twelve characters" in tps
    assert "+442079460000" in tps
    dncl = await admin.follow(await upload(admin, "<l><ac val='416'><ph val='5550101'/></ac></l>", registry="ca-dncl"))
    assert "XML" in dncl
    assert "+14165550101" in dncl
    lines = await admin.follow(await upload(admin, "2025550101\n+12025550102\n"))
    assert "one number per line" in lines
    assert B in lines


async def test_a_cancelled_import_leaves_no_version_no_number_and_no_file(site: Site, admin: Browser, tmp_path: Path):
    taken = await take(site.records, "us-ftc", file(tmp_path, flat([A])))
    uploaded = await upload(admin, flat([B]))
    started = await admin.post(uploaded.location, {**WHOLE, "over": str(taken.version)})
    await admin.post(f"{started.location}/cancel")
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A]
    assert "stays in force" in await admin.page(started.location)
    day_after = site.now() + timedelta(hours=25)
    assert await sweep_sheets(site.database, SheetStore.of(site.settings), day_after) == 2
    assert sheets(site) == []


async def test_what_a_cut_short_import_left_is_swept_unless_a_job_goes_on_with_it(site: Site, admin: Browser):
    uploaded = await upload(admin, flat([A]))
    started = await admin.post(uploaded.location, WHOLE)
    job_id = int(started.location.rsplit("/", 1)[1])
    version = await half_done(site)
    await put_place(site, job_id, version)
    assert await sweep_versions(site.database, site.now() + 2 * SILENT) == 0
    await admin.post(f"{started.location}/cancel")
    assert await sweep_versions(site.database, site.now()) == 1
    assert await exchanges(site) == []
    other = await half_done(site)
    assert await sweep_versions(site.database, site.now() + SILENT / 2) == 0
    assert await sweep_versions(site.database, site.now() + 2 * SILENT) == 1
    assert await exchanges(site) == []
    assert {version.id: version.beat_at for version in await rows(site.records, RegistryVersion)} == {
        version: None,
        other: None,
    }


async def test_the_next_worker_begins_anew_unless_the_version_is_whole_or_was_given_up(site: Site, admin: Browser):
    uploaded = await upload(admin, flat([A]))
    started = await admin.post(uploaded.location, WHOLE)
    job_id = int(started.location.rsplit("/", 1)[1])
    version = await half_done(site)
    await put_place(site, job_id, version)
    await work(site)
    assert await in_force(site.records, "us-ftc") == [A]
    first, second = await rows(site.records, RegistryVersion)
    assert (first.id, first.whole_at, first.beat_at, second.whole_at is not None) == (version, None, None, True)
    await again(site, job_id, second.id)
    await work(site)
    assert len(await rows(site.records, RegistryVersion)) == 2
    assert "1 number, 1 added and 0 removed" in await admin.page(started.location)
    await again(site, job_id, first.id)
    await work(site)
    assert "Another import of this registry has begun" in await admin.page(started.location)


async def test_who_adds_a_registry_and_who_imports_a_new_one_make_the_same(site: Site, tmp_path: Path):
    await add_registry(site.records, ADMIN, "us-tx", "", terms_preset("us-tx"))
    await take(site.records, "us-ok", file(tmp_path, flat([A])))
    added, imported = (
        {field: value for field, value in vars(one).items() if field in TERMS} for one in await registries(site)
    )
    assert (len(added), added) == (len(TERMS), imported)
    events = [event for event in await rows(site.records, AuditEvent) if event.action == "add-registry"]
    assert events[0].particulars == events[1].particulars


async def registries(site: Site) -> list[Registry]:
    async with site.database.read() as session:
        return list(await session.scalars(select(Registry).order_by(Registry.name)))


async def exchanges(site: Site) -> list[RegistryExchange]:
    async with site.database.read() as session:
        return list(await session.scalars(select(RegistryExchange)))


async def half_done(site: Site) -> int:
    """Insert the rows of an import that was killed in the middle; return the version's id."""
    async with site.database.write() as session:
        version = RegistryVersion(
            registry_name="us-ftc", obtained_at=OBTAINED, file_name="x", file_sha256="", imported_at=site.now(),
            imported_by="shell:killed", beat_at=site.now(),
        )  # fmt: skip
        session.add(version)
        await session.flush()
        session.add(RegistryExchange(version_id=version.id, exchange="1202555", lines=b"\0\1"))
        return version.id


async def put_place(site: Site, job_id: int, version: int) -> None:
    async with site.database.write() as session:
        await session.execute(update(Job).where(Job.id == job_id).values(place={"version": version}))


async def again(site: Site, job_id: int, version: int) -> None:
    """Change a job as if its worker had been killed while it imported this version."""
    async with site.database.write() as session:
        await session.execute(
            update(Job).where(Job.id == job_id).values(place={"version": version}, outcome="", ended_at=None)
        )
