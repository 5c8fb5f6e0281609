"""Commands that an operator types: the result on standard output, or an error of one line, and the exit code."""

import asyncio
import csv
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import create_engine, text

from admin_web.__main__ import main
from admin_web.projection.projection import Projection
from admin_web.record.database import Database
from admin_web.record.schema import newest
from admin_web.settings import AdminSettings
from compliance.consent import ATTESTATION
from compliance.database_url import driven
from lab.process import free_port
from lab.redis import RedisServer
from tests.support.samples import PDF


@dataclass(frozen=True)
class Said:
    """Result of a command."""

    code: int
    out: str
    err: str


Admin = Callable[..., Said]


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Admin:
    """Returns a function that runs a `dnc-admin` command in this process. Only the data directory is set."""
    for name in [name for name in os.environ if name.startswith("DNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["dnc-admin", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def migrated(admin: Admin, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Admin:
    """The same on a migrated database, without Redis."""
    monkeypatch.setenv("DNC_DATABASE_URL", database_url)
    return admin


@pytest.fixture
def in_force(migrated: Admin, redis_server: RedisServer, monkeypatch, capsys) -> Admin:
    """The same with a Redis that has the projection."""
    monkeypatch.setenv("DNC_REDIS_URL", redis_server.url)

    async def rebuild() -> None:
        settings = AdminSettings.load()
        async with Database(settings.database) as database, Projection(database, settings) as projection:
            await projection.rebuild()

    asyncio.run(rebuild())
    capsys.readouterr()
    return migrated


def one_line(said: Said, code: int = 2) -> str:
    """Return the one line of an error. Fails if there is a traceback or anything on standard output."""
    assert (said.code, said.out) == (code, ""), said
    assert said.err.startswith("dnc-admin: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("dnc-admin: ").rstrip("\n")


def sql(database_url: str, query: str) -> list[tuple[object, ...]]:
    url = driven(database_url)
    engine = create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


EVERY_NEEDING_TABLES = [
    ["suppress", "+14155550100"],
    ["lift", "+14155550100", "--reason", "x"],
    ["override", "revoke", "1", "--reason", "x"],
    ["override", "review", "1"],
    ["override", "list"],
    ["lead", "add", "L-1", "+14155550100"],
    ["lead", "change", "L-1", "--name", "x"],
    ["import", "internal", "list.txt"],
    ["undo", "list"],
    ["undo", "entries", "list.txt", "--reason", "x", "--yes"],
    ["undo", "import", "1", "--reason", "x"],
    ["import", "leads", "list.txt"],
    ["pattern", "add", "+1415", "--reason", "x"],
    ["pattern", "list"],
    ["campaign-list", "add", "spring", "--campaigns", "x"],
    ["import", "campaign-list", "spring", "list.txt"],
    ["export", "internal"],
    ["scrub", "list.txt"],
    ["user", "add", "somebody", "--role", "agent"],
    ["user", "password", "somebody"],
    ["user", "disable", "somebody"],
    ["user", "enable", "somebody"],
    ["user", "role", "somebody", "agent"],
    ["user", "totp-reset", "somebody"],
    ["user", "unlock", "somebody"],
    ["user", "list"],
    ["token", "make", "crm", "--scope", "read"],
    ["token", "assign", "crm", "admin"],
    ["token", "revoke", "crm"],
    ["token", "list"],
    ["seed-demo"],
]


@pytest.mark.parametrize("words", EVERY_NEEDING_TABLES, ids=" ".join)
def test_without_tables_every_command_says_migrate(admin: Admin, tmp_path: Path, words: list[str]):
    (tmp_path / "list.txt").write_text("+14155550100\n")
    (tmp_path / "data").mkdir()
    assert "run `dnc-admin migrate`" in one_line(admin(*words))


def test_without_a_data_directory_migrate_makes_it_for_its_owner_alone(admin: Admin, tmp_path: Path):
    assert "dnc-admin migrate" in one_line(admin("user", "list"))
    assert admin("migrate").out == f"The tables are at revision {newest()}.\n"
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert admin("user", "list") == Said(0, "", "")
    assert admin("migrate").code == 0


@pytest.mark.parametrize("words", EVERY_NEEDING_TABLES, ids=" ".join)
def test_an_unreachable_database_is_one_line_without_the_password(admin, tmp_path, monkeypatch, words):
    (tmp_path / "list.txt").write_text("+14155550100\n")
    monkeypatch.setenv("DNC_DATABASE_URL", f"postgresql://dnc:s3cret@127.0.0.1:{free_port()}/dnc")
    said = one_line(admin(*words))
    assert "database dnc on 127.0.0.1" in said
    assert "DNC_DATABASE_URL" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DNC_DATABASE_URL", "mysql://x/y"),
        ("DNC_REDIS_URL", "http://127.0.0.1"),
        ("DNC_REGION", "Atlantis"),
        ("DNC_DATABASE_URL_FILE", "/nowhere/at/all"),
    ],
)
@pytest.mark.parametrize("words", [["migrate"], ["suppress", "+14155550100"], ["user", "list"]], ids=" ".join)
def test_a_wrong_setting_is_one_line_that_names_it(admin, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    assert one_line(admin(*words)).startswith(variable)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["suppress"], "Missing argument 'NUMBER'"),
        (["suppress", "+14155550100", "--asked-on", "1/2/2027"], "--asked-on: '1/2/2027' is not a day"),
        (["lift", "+14155550100"], "Missing option '--reason'"),
        (["lift", "+14155550100", "--reason", "not", "ours"], "Put text with spaces between quotes"),
        (["override", "revoke", "one", "--reason", "x"], "ID: write a whole number"),
        (["user", "add", "ann", "--role", "boss"], "--role: 'boss' is not one of 'agent'"),
        (["supress", "+14155550100"], "Did you mean 'suppress'?"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_words_are_one_line_that_names_the_help(admin: Admin, words: list[str], says: str):
    said = one_line(admin(*words))
    assert says in said
    assert re.search(r" See dnc-admin( [a-z]+)* --help\.$", said)


def test_tables_of_a_newer_version_are_refused(migrated: Admin, database_url: str):
    url = driven(database_url)
    engine = create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    assert "newer dnc-gate" in one_line(migrated("user", "list"))


def test_a_file_of_requests_ends_older_overrides(in_force: Admin, database_url: str, tmp_path: Path):
    (tmp_path / "c.pdf").write_bytes(PDF)
    (tmp_path / "list.csv").write_text("+14155550100\n")
    in_force("import", "internal", "list.csv")
    assert in_force(*GRANT, "--lead", "L-1", "--number", "4155550100", "--attest").code == 0
    assert in_force("import", "internal", "list.csv").code == 0
    assert "L-1" in in_force("override", "list").out
    assert in_force("import", "internal", "list.csv", "--requests", "--asked-on", "2999-01-01").code == 2
    alone = in_force("import", "internal", "list.csv", "--asked-on", "2026-11-01")
    assert "add --requests" in one_line(alone)
    said = in_force("import", "internal", "list.csv", "--requests", "--asked-on", "2026-11-01")
    assert (said.code, said.out) == (0, "1 row: 0 added to the list, 1 already listed, 0 rejected; in force\n")
    assert in_force("override", "list").out == ""
    assert len(sql(database_url, "SELECT 1 FROM do_not_call_requests WHERE asked_on = '2026-11-01'")) == 1
    keep = ["override", "keep", "1", "--reason", "another person asked"]
    assert "Then add --request 1." in one_line(in_force(*keep))
    assert "kept, and opens its lead again: in force" in in_force(*keep, "--request", "1").out


def test_a_number_goes_on_the_list_and_off_it_again(in_force: Admin, database_url: str):
    assert in_force("suppress", "(415) 555-0100", "--note", "asked by phone") == Said(
        0, "+14155550100 put on the company's own list (internal, entry 1), request 1: in force\n", ""
    )
    assert in_force("suppress", "415-555-0100").out == (
        "+14155550100 is already on the company's own list (internal, entry 1), request 2: in force\n"
    )
    assert in_force("lift", "+1 415 555 0100", "--reason", "wrong number").out == (
        "+14155550100 taken off the company's own list (internal, entry 1): in force\n"
    )
    assert "is not on the company's own list" in one_line(in_force("lift", "4155550100", "--reason", "again"))
    ((by,),) = sql(database_url, "SELECT done_by FROM audit_events WHERE action = 'lift'")
    assert str(by).startswith("shell:")


def test_a_data_directory_that_is_a_file_is_named_with_its_setting(admin: Admin, tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    for path in ("file", "file/data"):
        monkeypatch.setenv("DNC_DATA_DIR", path)
        assert one_line(admin("migrate")).startswith("DNC_DATA_DIR: file is no directory; name a directory")
    monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DNC_DATABASE_URL", f"sqlite:///{tmp_path}/file/dnc.sqlite3")
    assert one_line(admin("migrate")) == f"{tmp_path}/file is no directory; check DNC_DATABASE_URL and DNC_DATA_DIR"


def test_a_misspelt_setting_is_said_before_a_command_does_its_work(migrated: Admin, monkeypatch):
    monkeypatch.setenv("DNC_REGOIN", "hunter2")
    said = migrated("undo", "list")
    expected = "dnc-admin: DNC_REGOIN is no setting and is ignored; did you mean DNC_REGION?\n"
    assert (said.code, said.err) == (0, expected)


@pytest.mark.parametrize("number", ["hello", "555-0100", "", "4155550100,4155550101", "9112024561111x"])
def test_what_is_not_one_number_is_refused(migrated: Admin, number: str):
    assert one_line(migrated("suppress", number)).startswith(f"{number!r}: ")


def test_without_redis_a_change_is_recorded_and_called_not_yet_in_force(migrated: Admin, database_url: str):
    said = migrated("suppress", "+14155550100")
    assert said.code == 3
    assert said.out.startswith(
        "+14155550100 put on the company's own list (internal, entry 1), request 1: recorded, not yet in force: "
    )
    assert sql(database_url, "SELECT number FROM suppression_entries") == [("+14155550100",)]


@pytest.mark.parametrize(
    ("words", "content", "recorded"),
    [
        (["import", "internal", "list.csv"], "+14155550100\n", "1 row: 1 added to the list"),
        (["import", "internal", "list.csv"], "+14155550100\noops\n", "2 rows: 1 added to the list"),
        (["import", "us-ftc", "list.csv"], "415,5550100\n", "us-ftc version 1: 1 number"),
        (["registry", "add", "us-ftc"], "", "us-ftc added"),
        (["seed-demo"], "", "are listed"),
    ],
)
def test_whatever_is_recorded_and_not_yet_in_force_ends_with_code_3(
    migrated: Admin, tmp_path: Path, words: list[str], content: str, recorded: str
):
    (tmp_path / "list.csv").write_text(content)
    said = migrated(*words)
    assert said.code == 3
    assert recorded in said.out
    assert "recorded, not yet in force" in said.out


GRANT = ["override", "grant", "--basis", "signed-consent", "--consented-on", "2026-01-02", "--document", "c.pdf"]


def test_an_override_opens_a_lead_until_it_is_revoked(in_force: Admin, database_url: str, tmp_path: Path):
    (tmp_path / "c.pdf").write_bytes(PDF)
    in_force("suppress", "+14155550100", "--asked-on", "2020-01-01")
    granted = in_force(*GRANT, "--lead", "L-1", "--number", "4155550100", "--attest")
    assert granted.code == 0
    assert granted.out.startswith("Override 1 opens lead L-1 on +14155550100 until ")
    assert granted.out.endswith("UTC: in force\n")
    ((sha256, media_type, attestation),) = sql(
        database_url,
        "SELECT sha256, media_type, attestation FROM overrides JOIN documents ON documents.id = document_id",
    )
    assert (media_type, attestation) == ("application/pdf", ATTESTATION)
    kept = tmp_path / "data" / "documents" / str(sha256)[:2] / str(sha256)[2:]
    assert kept.read_bytes() == PDF
    assert "L-1\t+14155550100" in in_force("override", "list").out
    assert "holds override 1" in one_line(in_force(*GRANT, "--lead", "L-1", "--attest"))
    in_force("lead", "add", "L-9", "+14155550100")
    assert "override 1 still opens a lead on this number" in in_force("suppress", "+14155550100", "--lead", "L-9").err
    assert "You placed this override" in one_line(in_force("override", "review", "1"))
    upgraded = in_force("migrate").err
    assert "1 live override is open although somebody on the number has asked not to be called since" in upgraded
    assert re.search(r"override 1, lead L-1, \+14155550100: consent of .* 20\d\d, request of .* 20\d\d\n", upgraded)
    withdrawn = in_force("withdraw-request", "2", "--reason", "a typing error")
    assert (withdrawn.code, withdrawn.out) == (0, "Request 2 withdrawn.\n")
    assert in_force("withdraw-request", "2", "--reason", "again").out == "Request 2 was already withdrawn.\n"
    assert "There is no request 9" in one_line(in_force("withdraw-request", "9", "--reason", "x"))
    assert in_force("migrate").err == ""
    revoked = in_force("override", "revoke", "1", "--reason", "asked to stop")
    assert revoked.out == "Override 1 of lead L-1 on +14155550100 revoked: in force\n"
    again = in_force("override", "revoke", "1", "--reason", "asked to stop")
    assert again.out == "Override 1 of lead L-1 on +14155550100 was already revoked: in force\n"
    assert in_force("override", "list").out == ""


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--lead", "L-1", "--number", "4155550100"], "--attest"),
        (["--lead", "bad lead", "--attest"], "is not a lead id"),
        (["--lead", "L-9", "--attest"], "no lead L-9"),
        (["--lead", "L-1", "--number", "4155550100", "--attest"], "is on no list that blocks it"),
        (["--lead", "L-1", "--attest", "--expires-at", "2026-12-31T00:00:00"], "zone"),
        (["--lead", "L-1", "--attest", "--expires-at", "soon"], "write it like"),
        (["--lead", "L-1", "--attest", "--document", "missing.pdf"], "missing.pdf"),
        (["--lead", "L-1", "--attest", "--document", "empty.pdf"], "empty"),
        (["--lead", "L-1", "--attest", "--document", "folder.pdf"], "directory"),
        (["--lead", "L-1", "--attest", "--document", "letter.txt"], "has no accepted file type"),
    ],
)
def test_an_override_that_is_refused_says_why_in_one_line(migrated: Admin, tmp_path: Path, words, hint):
    (tmp_path / "c.pdf").write_bytes(PDF)
    (tmp_path / "empty.pdf").touch()
    (tmp_path / "folder.pdf").mkdir()
    assert hint in one_line(migrated(*GRANT, *words)).lower().replace("l-9", "L-9")
    assert [path for path in (tmp_path / "data" / "documents").rglob("*") if path.is_file()] == []


def test_a_lead_is_added_and_changed(in_force: Admin, tmp_path: Path):
    (tmp_path / "c.pdf").write_bytes(PDF)
    in_force("suppress", "+14155550100", "--asked-on", "2020-01-01")
    assert in_force("lead", "add", "L-1", "4155550100", "--name", "Lead 1").out == "Lead L-1 added with +14155550100.\n"
    assert in_force(*GRANT, "--lead", "L-1", "--attest").code == 0
    changed = in_force("lead", "change", "L-1", "--number", "4155550101")
    assert changed == Said(
        0, "Lead L-1 changed: in force\n", "dnc-admin: override 1 ended, because it was for the old number\n"
    )
    assert "Change that lead" in one_line(in_force("lead", "add", "L-1", "4155550100"))
    assert "--number or --name" in one_line(in_force("lead", "change", "L-1"))


def test_an_import_tells_what_it_did_and_where_the_rejected_rows_are(in_force: Admin, tmp_path: Path):
    (tmp_path / "list.csv").write_text("number,name\n4155550100,a\n=1+1,b\n4155550101,c\n")
    said = in_force("import", "internal", "list.csv")
    assert said.code == 1
    assert said.out == "3 rows: 2 added to the list, 0 already listed, 1 rejected; in force\n"
    assert said.err == "dnc-admin: the rejected rows and their reasons are in list.csv.rejected.csv\n"
    with (tmp_path / "list.csv.rejected.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["line"], row["row"]) == ("3", "'=1+1,b")
    (tmp_path / "list.csv").write_text("number,name\n4155550100,a\n4155550101,c\n")
    assert in_force("import", "internal", "list.csv") == Said(
        0, "2 rows: 0 added to the list, 2 already listed, 0 rejected; in force\n", ""
    )
    assert not (tmp_path / "list.csv.rejected.csv").exists()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "list.csv: No such file or directory"),
        (b"PK\x03\x04", "save it as CSV"),
        (b"his,hers\n4155550100,4155550101\n", "--column"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(migrated: Admin, tmp_path: Path, content, hint):
    if content is not None:
        (tmp_path / "list.csv").write_bytes(content)
    assert hint in one_line(migrated("import", "internal", "list.csv"))


def test_an_import_that_leaves_a_column_of_numbers_unread_ends_with_code_1(in_force: Admin, tmp_path: Path):
    (tmp_path / "list.csv").write_text("phone,home,account\n4155550100,4155550101,4155550102\n")
    said = in_force("import", "internal", "list.csv")
    read = "dnc-admin: Numbers are read from column 1 'phone' and column 2 'home'."
    unread = "dnc-admin: Column 3 'account' contains numbers and is not read."
    before, after = f"{unread} Add --column to read them too.", f"{unread} If these are telephone numbers too, import"
    assert (said.code, said.err.splitlines()[:2]) == (1, [read, before])
    assert said.err.splitlines()[2].startswith(after)
    chosen = in_force("import", "internal", "list.csv", "--column", "phone,home")
    assert (chosen.code, chosen.err.count(unread)) == (0, 2)
    several = in_force("import", "internal", "list.csv", "--column", "phone", "--column", "home,account")
    assert several == Said(0, "1 row: 1 added to the list, 2 already listed, 0 rejected; in force\n", "")


def test_an_import_of_which_nothing_is_taken_ends_with_code_2_and_says_what_the_file_looks_like(
    in_force: Admin, tmp_path: Path
):
    (tmp_path / "list.csv").write_text("name,phone\nA,oops\nB,1234\n")
    for words in (["internal"], ["us-ftc"]):
        said = in_force("import", *words, "list.csv")
        assert said.code == 2
        assert "none of its 2 rows was taken" in said.err or "2 of the first 2 rows are not numbers" in said.err
    message = one_line(in_force("import", "internal", "list.csv"))
    assert "columns separated by commas: columns 1 'name', 2 'phone'" in message
    assert message.endswith("The rejected rows and their reasons are in list.csv.rejected.csv.")
    (tmp_path / "empty.csv").write_text("")
    assert "contains no rows" in one_line(in_force("import", "internal", "empty.csv"))


def test_an_import_is_undone_only_with_yes_after_a_preview(in_force: Admin, tmp_path: Path):
    (tmp_path / "list.txt").write_text("4155550100\n4155550101\n")
    in_force("import", "internal", "list.txt")
    in_force("suppress", "4155550101")
    assert in_force("undo", "list").out.split("\t")[0::3] == ["1", "list.txt"]
    preview = in_force("undo", "import", "1", "--reason", "x")
    assert preview.code == 0
    assert "Import 1 of list.txt: 1 entry would be lifted, 1 would stay" in preview.out
    assert in_force("undo", "import", "1", "--reason", "x", "--yes") == Said(
        0, "Import 1 is undone: 1 entry lifted, 1 stays because the person asked not to be called: in force\n", ""
    )
    assert in_force("export", "internal").err == "1 entry\n"
    again = in_force("undo", "import", "1", "--reason", "x")
    assert re.match(r"Import 1 of list.txt was undone on 20\d\d-\d\d-\d\d by shell:\w+: 0 entries would be ", again.out)
    assert in_force("undo", "import", "1", "--reason", "x", "--yes") == Said(
        0,
        "Import 1 was already undone: no entry was left to lift, 1 stays because the person asked not to be called: "
        "in force\n",
        "",
    )
    assert "no import 2" in one_line(in_force("undo", "import", "2", "--reason", "x"))


def test_many_entries_are_lifted_by_file_only_with_yes_and_never_against_a_request(in_force: Admin, tmp_path: Path):
    (tmp_path / "list.csv").write_text("phone,home\n4155550100,4155550101\n4155550102,\noops,\n4155550103,\n")
    in_force("import", "internal", "list.csv", "--column", "phone,home")
    in_force("lift", "4155550103", "--reason", "x")
    in_force("suppress", "4155550102")
    words = ["undo", "entries", "list.csv", "--reason", "Sold the business.", "--column", "1,2"]
    preview = in_force(*words)
    assert preview.code == 0
    asked = "1 would stay because the person asked not to be called, such as +14155550102"
    assert preview.out.startswith(f"Of the numbers in list.csv, 2 would be lifted, {asked}, and 1 is not on the list.")
    assert in_force("export", "internal").err == "3 entries\n"
    done = in_force(*words, "--yes")
    assert (done.code, done.out) == (1, "4 rows: 2 numbers lifted, 1 not on the list, 1 kept, 1 rejected: in force\n")
    assert "1 stays because the person asked not to be called, such as +14155550102" in done.err
    assert in_force("export", "internal").out.count("+1415555010") == 1
    assert "The reason" in one_line(
        in_force("undo", "entries", "list.csv", "--reason", " ", "--column", "1,2", "--yes")
    )


def test_a_scrub_says_which_columns_it_does_not_judge(in_force: Admin, tmp_path: Path):
    (tmp_path / "list.csv").write_text("phone,home\n4155550100,4155550101\n")
    said = in_force("scrub", "list.csv")
    assert said.err.startswith("dnc-admin: Column 2 'home' contains numbers and is not read.\n")
    (tmp_path / "flat.txt").write_text("415,5550100\n415,5550101\n")
    assert in_force("scrub", "flat.txt").out.count("ALLOW,not-listed") == 2


def test_a_file_of_changes_with_whole_numbers_is_never_a_whole_registry(in_force: Admin, tmp_path: Path, database_url):
    (tmp_path / "list.txt").write_text("415,5550158\n415,5550159\n")
    assert in_force("import", "us-ftc", "list.txt").code == 0
    (tmp_path / "changes.txt").write_text("4155550178,A\n4155550158,D\n")
    for words in ([], ["--changes"]):
        said = in_force("import", "us-ftc", "changes.txt", *words)
        assert (said.code, "2 numbers, " in said.out) == (0, True)
    assert sql(database_url, "SELECT kind, numbers FROM registry_versions ORDER BY id") == [
        ("full", 2), ("changes", 2), ("changes", 2),
    ]  # fmt: skip
    assert "does not say which numbers were added" in in_force("import", "us-ftc", "list.txt", "--changes").err


CHANGES = [
    "4155550178,A\n4155550158,D\n",
    "4155550178,A\n4155550179,A\n",
    "415,5550178,D\n415,5550158,D\n",
    "number;since;change\n4155550178;2026;add\n4155550158;2026;delete\n",
]


@pytest.mark.parametrize("content", CHANGES)
def test_a_file_of_changes_is_refused_as_some_area_codes(migrated: Admin, monkeypatch, tmp_path, database_url, content):
    monkeypatch.setattr(Projection, "require_fit_for_a_registry", AsyncMock())
    (tmp_path / "changes.txt").write_text(content)
    said = migrated("import", "us-ftc", "changes.txt", "--part")
    assert (said.code, "added and deleted numbers: import it as changes" in said.err) == (2, True)
    assert sql(database_url, "SELECT count(*) FROM registry_versions") == [(0,)]


def test_some_area_codes_and_changes_exclude_each_other(migrated: Admin, tmp_path: Path, database_url: str):
    (tmp_path / "changes.txt").write_text(CHANGES[0])
    said = migrated("import", "us-ftc", "changes.txt", "--part", "--changes")
    assert "--part and --changes exclude each other" in one_line(said)
    assert sql(database_url, "SELECT count(*) FROM registry_versions") == [(0,)]


def test_a_registry_may_be_obtained_on_any_day_that_has_begun_in_the_east(in_force: Admin, tmp_path, database_url):
    (tmp_path / "list.txt").write_text("415,5550100\n")
    east = (datetime.now(UTC) + timedelta(hours=14)).date()
    refused = in_force("import", "us-ftc", "list.txt", "--obtained", str(east + timedelta(days=1)))
    assert "is in the future" in one_line(refused)
    assert in_force("import", "us-ftc", "list.txt", "--obtained", str(east)).code == 0
    ((obtained, imported),) = sql(database_url, "SELECT obtained_at, imported_at FROM registry_versions")
    assert str(obtained) <= str(imported)  # A copy is never fresh for longer than if it had been obtained just now.


def test_a_list_is_exported_and_scrubbed(in_force: Admin, database_url: str, tmp_path: Path):
    in_force("suppress", "+14155550100", "--note", "=1")
    out = in_force("export", "internal")
    assert out.err == "1 entry\n"
    assert out.out.splitlines()[1].startswith("+14155550100,shell,'=1,")
    assert in_force("export", "internal", "out.csv").out == ""
    (exported, _) = sql(database_url, "SELECT particulars FROM audit_events WHERE action = 'export'")
    assert '"rows": 1' in str(exported) or "'rows': 1" in str(exported)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("+14155550100,")
    (tmp_path / "ask.txt").write_text("4155550100\n4155550101\n")
    said = in_force("scrub", "ask.txt")
    assert said.err.splitlines() == [
        "2 rows: 1 ALLOW, 1 BLOCK",
        "  1 internal-dnc: The number is on the company's own Do-Not-Call list. An override can open it for a lead.",
    ]
    assert [row["verdict"] for row in csv.DictReader(said.out.splitlines())] == ["BLOCK", "ALLOW"]
    assert in_force("scrub", "ask.txt", "--output", "verdicts.csv").code == 0
    assert (tmp_path / "verdicts.csv").read_text().count("\n") == 3
    refused = one_line(in_force("export", "internal", "nowhere/out.csv"))
    assert refused == "nowhere/out.csv: cannot write into the directory nowhere; choose another one."
    (tmp_path / "ask.txt").write_text("home,work\n4155550100,4155550101\n")
    assert "--column" in one_line(in_force("scrub", "ask.txt", "--output", "verdicts.csv"))
    assert (tmp_path / "verdicts.csv").read_text().count("\n") == 3
    for words in (["scrub", "ask.txt", "--output", "no/such.csv"], ["export", "internal", "no/such.csv"]):
        assert one_line(in_force(*words)) == "no/such.csv: cannot write into the directory no; choose another one."
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_names_in_another_encoding_come_out_of_a_scrub_as_they_went_in(in_force: Admin, tmp_path: Path):
    (tmp_path / "ask.csv").write_bytes(b"name,number\nJos\xe9,4155550101\n")
    assert in_force("scrub", "ask.csv", "--output", "verdicts.csv").code == 0
    assert b'\n"Jos\xe9,4155550101",+14155550101,,ALLOW' in (tmp_path / "verdicts.csv").read_bytes()


FIRST = "The password is valid for 3 days, and only to sign in and choose another one."


def test_a_made_up_password_is_shown_once(migrated: Admin, database_url: str):
    said = migrated("user", "add", "somebody", "--role", "auditor", "--full-name", "Some Body")
    first, second = said.out.splitlines()
    assert first == f"User somebody added, role auditor. {FIRST}"
    password = second.removeprefix("Password, shown this once: ")
    assert len(password) == 20
    assert password not in str(sql(database_url, "SELECT * FROM users"))
    assert migrated("user", "list").out == "somebody\tauditor\tSome Body\t\t\n"
    assert "There is already a user somebody" in one_line(migrated("user", "add", "somebody", "--role", "agent"))
    assert migrated("user", "disable", "somebody").out == "User somebody disabled.\n"
    assert "disabled 20" in migrated("user", "list").out


def test_a_person_is_given_another_role_and_let_in_again_and_the_last_admin_stays(migrated: Admin):
    migrated("user", "add", "somebody", "--role", "agent")
    migrated("user", "disable", "somebody")
    assert migrated("user", "enable", "somebody").out == "User somebody can sign in again.\n"
    assert migrated("user", "role", "somebody", "admin").out == "User somebody has the role admin.\n"
    assert migrated("user", "totp-reset", "somebody").out == "User somebody had no one-time codes.\n"
    assert migrated("user", "unlock", "somebody").out.endswith("sign in during the next 15 minutes.\n")
    assert "There is no user nobody" in one_line(migrated("user", "unlock", "nobody"))
    assert "last admin" in one_line(migrated("user", "disable", "somebody"))
    assert "last admin" in one_line(migrated("user", "role", "somebody", "agent"))


def test_a_password_comes_from_standard_input_or_the_terminal(migrated: Admin, monkeypatch: pytest.MonkeyPatch):
    def typed(*lines: str) -> None:
        answers = iter(lines)
        monkeypatch.setattr("sys.stdin.readline", lambda: next(answers) + "\n")
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("getpass.getpass", lambda _: next(answers))

    typed("correct horse battery")
    assert (
        migrated("user", "add", "first", "--role", "agent", "--stdin").out == f"User first added, role agent. {FIRST}\n"
    )
    typed("correct horse battery", "correct horse battery")
    assert migrated("user", "password", "first", "--ask").out == f"User first has a new password. {FIRST}\n"
    typed("correct horse battery", "correct horse")
    assert "differ" in one_line(migrated("user", "password", "first", "--ask"))
    typed("")
    assert "empty" in one_line(migrated("user", "password", "first", "--stdin"))
    typed("short")
    assert "12 to 1024" in one_line(migrated("user", "password", "first", "--stdin"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert "Use --stdin instead of --ask" in one_line(migrated("user", "password", "first", "--ask"))


def test_a_first_admin_who_is_there_already_is_said_and_how_to_set_another_password(migrated: Admin):
    assert "Password, shown this once" in migrated("user", "first").out
    assert "`dnc-admin user password NAME` sets another password" in one_line(migrated("user", "first"), code=0)
    assert migrated("user", "list").out.count("\n") == 1


def test_a_token_is_shown_once_and_revoked(migrated: Admin, database_url: str):
    assert "Say which admin is responsible" in one_line(migrated("token", "make", "crm", "--scope", "read"))
    assert migrated("user", "first").code == 0
    token = migrated("token", "make", "crm", "--scope", "read", "--scope", "suppress").out.split(": ")[1].strip()
    assert token.startswith("dnc_")
    assert token not in str(sql(database_url, "SELECT * FROM api_tokens"))
    limits = ("--expires-on", f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}", "--per-minute", "60")
    addresses = ("--address", "192.0.2.7", "--address", "2001:db8::/48")
    assert migrated("token", "make", "ivr", "--scope", "suppress", *limits, *addresses).code == 0
    name, scopes, end, revoked, person, networks, rate = migrated("token", "list").out.splitlines()[0].split("\t")
    assert (name, scopes, revoked, person, networks) == ("crm", "read suppress", "", "admin", "any address")
    assert (end[:8], rate) == ("until 20", "6000 a minute")
    assert migrated("token", "list").out.endswith(
        f"until {limits[1]}\t\tadmin\t192.0.2.7/32 2001:db8::/48\t60 a minute\n"
    )
    assert "is no admin" in one_line(migrated("token", "assign", "crm", "nobody"))
    migrated("user", "add", "second", "--role", "admin")
    assert migrated("token", "assign", "crm", "second").out == "second is responsible for the token crm.\n"
    assert "go on: crm." in migrated("user", "role", "second", "agent").out
    assert "(no longer an admin)" in migrated("token", "list").out
    assert "go on: crm." in migrated("user", "disable", "second").out
    assert migrated("token", "revoke", "crm").out == "Token crm revoked.\n"
    assert "revoked 20" in migrated("token", "list").out
    assert "must be in the future" in one_line(
        migrated("token", "make", "old", "--scope", "read", "--expires-on", "2020-01-01")
    )


def test_the_demo_can_be_seeded_again_and_again(in_force: Admin, database_url: str):
    first, second = in_force("seed-demo"), in_force("seed-demo")
    assert (first.code, second) == (0, first)
    assert first.out == (
        "+14155550100 and +14155550101 are listed, +14155550199 is not; lead demo-2 is open on +14155550100: in force\n"
    )
    counts = "SELECT (SELECT count(*) FROM overrides), (SELECT count(*) FROM suppression_entries), count(*) FROM leads"
    assert sql(database_url, counts) == [(2, 4, 20)]


def test_no_command_is_a_question_for_help(admin: Admin):
    assert "Usage" in admin().out + admin("--help").out
    assert admin("no-such-command").code == 2


def program(database_url: str, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Run the installed program in a process of its own."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("dnc-admin"), *words],
        env={**os.environ, "DNC_DATABASE_URL": database_url, "DNC_DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_list_comes_by_standard_input_and_a_reader_may_leave_before_the_end(database_url: str, tmp_path: Path):
    numbers = "".join(f"+1415{line + 5_550_000}\n" for line in range(20_000))
    with program(database_url, tmp_path, "import", "internal", "-") as importing:
        said, complained = importing.communicate(numbers + "oops\n")
    assert importing.returncode == 3
    assert said.startswith("20001 rows: 20000 added to the list, 0 already listed, 1 rejected; ")
    assert "Traceback" not in complained
    assert (tmp_path / "standard-input.rejected.csv").read_text().count("\n") == 2
    with program(database_url, tmp_path, "export", "internal") as exporting:
        assert exporting.stdout is not None
        assert exporting.stdout.readline().startswith("number,")
        exporting.stdout.close()
        assert exporting.stderr is not None
        assert exporting.stderr.read() == ""
    assert exporting.returncode == 1


def test_a_pattern_is_shown_put_in_force_and_lifted(in_force: Admin):
    add = ["pattern", "add", "+1 (415) 555*", "--reason", "a court order"]
    said = in_force(*add)
    assert said.out.startswith("+1415555 (US, AG, AI and others): It covers 0 leads, and would have blocked 0 of the 0")
    assert said.out.endswith("Nothing was changed; add --yes.\n")
    assert in_force("pattern", "list").out == ""
    assert in_force(*add, "--yes").out == "Numbers that begin with +1415555 are blocked: in force\n"
    assert "already. Nothing was changed" in one_line(in_force(*add, "--yes"))
    assert in_force("pattern", "list").out.split("\t")[::3] == ["+1415555", "a court order\n"]
    assert "too short" in one_line(in_force("pattern", "add", "+141", "--reason", "x", "--yes"))
    assert "has no country code" in one_line(in_force("pattern", "add", "415", "--reason", "x", "--yes"))
    lift = ["pattern", "lift", "1415555", "--reason", "it ended"]
    assert in_force(*lift).out == "The pattern +1415555 is lifted: in force\n"
    assert "No pattern +1415555 is in force" in one_line(in_force(*lift))
    assert ": it ended\n" in in_force("pattern", "list", "--all").out


def test_a_campaign_list_takes_numbers_and_files_and_a_scrub_is_for_one_campaign(in_force: Admin, tmp_path: Path):
    assert (
        in_force("campaign-list", "add", "spring", "--campaigns", "a, b").out == "campaign list spring made: in force\n"
    )
    file = tmp_path / "list.txt"
    file.write_text("+14155550100\n+14155550101\n")
    said = in_force("import", "campaign-list", "spring", str(file))
    assert said.out == "2 rows: 2 added to spring, 0 already listed, 0 rejected; in force\n"
    assert "no campaign list summer" in one_line(in_force("import", "campaign-list", "summer", str(file)))
    assert in_force("campaign-list", "put", "spring", "+14155550102").out.startswith(
        "+14155550102 put on spring (entry 3)"
    )
    assert in_force("campaign-list", "lift", "spring", "+14155550101", "--reason", "x").code == 0
    assert "no campaign list internal" in one_line(in_force("campaign-list", "put", "internal", "+14155550102"))
    assert in_force("campaign-list", "list").out == "spring\ta b\t2 numbers\n"
    assert in_force("campaign-list", "set", "spring", "--campaigns", "a").code == 0
    exported = csv.DictReader(in_force("export", "campaign-list", "spring").out.splitlines())
    assert [row["number"] for row in exported] == ["+14155550100", "+14155550102"]
    assert "no campaign list summer" in one_line(in_force("export", "campaign-list", "summer"))
    for campaign, found in {
        "a": ["BLOCK,spring-dnc,", "ALLOW,not-listed,"],
        "b": ["ALLOW,not-listed,blocked-for a", "ALLOW,not-listed,"],
        "": ["ALLOW,not-listed,blocked-for a", "ALLOW,not-listed,"],
    }.items():
        rows = in_force("scrub", str(file), "--campaign", campaign).out.splitlines()[1:]
        assert [row.split(",", 3)[3] for row in rows] == found
    assert "is not a campaign" in one_line(in_force("scrub", str(file), "--campaign", "a b"))
    assert "1 entry lifted" in in_force("undo", "import", "1", "--reason", "x", "--yes").out


def test_a_number_is_blocked_for_a_while_and_a_request_is_not(in_force: Admin, database_url: str):
    assert in_force("suppress", "4155550100", "--until", "3126-01-01") == Said(
        2, "", "dnc-admin: The end, 3126-01-02, is more than 100 years away. Leave it out for no end.\n"
    )
    assert in_force("suppress", "4155550100", "--until", "2099-12-31").out == (
        "+14155550100 put on the company's own list (internal, entry 1) until 2100-01-01 00:00 UTC: in force\n"
    )
    for who in (["--lead", "L-1"], ["--asked-on", "2026-11-01"]):
        refused = one_line(in_force("suppress", "4155550100", "--until", "2099-12-31", *who))
        assert "A person's own request not to be called never ends" in refused
        assert "leave out --lead and --asked-on" in refused
    assert sql(database_url, "SELECT 1 FROM do_not_call_requests") == []
    assert in_force("suppress", "4155550100").code == 0
    said = in_force("suppress", "4155550100", "--until", "2099-12-31")
    assert said.out.endswith("is already on the company's own list (internal, entry 1): in force\n")
    assert "it stays listed" in said.err
    assert sql(database_url, "SELECT ends_at FROM suppression_entries") == [(None,)]


def test_a_file_is_listed_for_a_while_but_never_a_file_of_requests(in_force: Admin, database_url: str, tmp_path: Path):
    (tmp_path / "list.csv").write_text("number,expires\n4155550100,2098-06-30\n4155550101,\n4155550102,soon\n")
    refused = one_line(in_force("import", "internal", "list.csv", "--requests", "--until", "2099-12-31"))
    assert "never ends" in refused
    assert "leave out --requests" in refused
    assert "never ends" in one_line(in_force("import", "internal", "list.csv", "--requests", "--until-column", "2"))
    assert sql(database_url, "SELECT 1 FROM suppression_entries") == []
    done = in_force("import", "internal", "list.csv", "--until", "2099-12-31", "--until-column", "expires")
    assert (done.code, done.out) == (1, "3 rows: 3 added to the list, 0 already listed, 1 rejected; in force\n")
    assert "listed without an end" in (tmp_path / "list.csv.rejected.csv").read_text()
    ends = sql(database_url, "SELECT ends_at FROM suppression_entries ORDER BY number")
    assert [str(end)[:10] for (end,) in ends] == ["2098-07-01", "2100-01-01", "None"]
    again = in_force("import", "internal", "list.csv")
    assert "column 2 'expires' may say when entries end" in again.err.lower()
    assert "Add --until-column to read it." in again.err
    assert sql(database_url, "SELECT 1 FROM suppression_entries WHERE ends_at IS NOT NULL") == []


def test_a_lead_has_several_numbers_by_command_and_by_file(in_force: Admin, database_url: str, tmp_path: Path):
    added = in_force("lead", "add", "L-1", "4155550100", "4155550101", "4155550100")
    assert added.out == "Lead L-1 added with +14155550100 and +14155550101.\n"
    assert in_force("lead", "change", "L-1", "--number", "4155550102").code == 0
    numbers = "SELECT number FROM leads UNION ALL SELECT number FROM lead_numbers"
    assert sql(database_url, numbers) == [("+14155550102",), ("+14155550101",)]
    assert in_force("lead", "change", "L-1", "--number", "4155550103", "--number", "4155550104").code == 0
    assert sql(database_url, numbers) == [("+14155550103",), ("+14155550104",)]
    (tmp_path / "leads.csv").write_text("lead,home,work\nL-1,4155550105,4155550106\n")
    done = in_force("import", "leads", "leads.csv", "--column", "home", "--column", "work")
    assert (done.code, done.out.startswith("1 row: 1 added or changed")) == (0, True)
    assert sql(database_url, numbers) == [("+14155550105",), ("+14155550106",)]
    assert sql(database_url, "SELECT label FROM lead_numbers") == [("work",)]
