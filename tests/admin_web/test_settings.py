"""Settings in the environment: of the database, and the installation's time zone."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from admin_web.settings import AdminSettings
from compliance.database_url import driven, postgres_fields
from compliance.settings import SettingsError
from compliance.zones import start_of


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("DNC_DATABASE_URL", raising=False)


def test_without_a_url_the_record_is_an_sqlite_file_in_the_data_directory(tmp_path):
    settings = AdminSettings.load()
    assert settings.database == f"sqlite:///{tmp_path}/dnc.sqlite3"
    assert driven(settings.database).database == f"{tmp_path}/dnc.sqlite3"


@pytest.mark.parametrize(
    ("url", "driver", "name"),
    [
        ("sqlite:///here.sqlite3", "sqlite+aiosqlite", "here.sqlite3"),
        ("sqlite:////var/lib/dnc.sqlite3", "sqlite+aiosqlite", "/var/lib/dnc.sqlite3"),
        ("postgresql://dnc@db/dnc", "postgresql+psycopg", "dnc"),
        ("postgresql://dnc:p%40ss@db:5433/dnc?sslmode=require", "postgresql+psycopg", "dnc"),
        ("sqlite+aiosqlite:///here.sqlite3", "sqlite+aiosqlite", "here.sqlite3"),
        ("sqlite+pysqlite:////var/lib/dnc.sqlite3", "sqlite+aiosqlite", "/var/lib/dnc.sqlite3"),
        ("postgres://dnc@db/dnc", "postgresql+psycopg", "dnc"),
        ("postgresql+psycopg://dnc@db/dnc", "postgresql+psycopg", "dnc"),
        ("postgresql+psycopg2://dnc@db/dnc", "postgresql+psycopg", "dnc"),
        ("postgresql:///?service=crm", "postgresql+psycopg", None),
        ("postgresql://db?dbname=dnc", "postgresql+psycopg", "dnc"),
    ],
)
def test_a_database_may_be_written_as_sqlalchemy_and_libpq_write_it(monkeypatch, url, driver, name):
    monkeypatch.setenv("DNC_DATABASE_URL", url)
    found = driven(AdminSettings.load().database)
    assert (found.drivername, found.database) == (driver, name)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://dnc:s3cret@db/dnc",
        "postgresql+asyncpg://dnc:s3cret@db/dnc",
        "postgresql://dnc:s3/cret@db/dnc",
        "postgresql://dnc:s3@cret@db/dnc",
        "postgresql://dnc:12/s3cret@db/dnc",
        "postgresql://dnc:s3%cret@db/dnc",
        "postgresql://dnc:s3cret@db/dnc?nonsense=s3cret",
        "postgresql://dnc:s3cret@db:99999/dnc",
        "postgresql://dnc:s3cret@db,db2:x/dnc",
        "sqlite://s3cret/x",
        "postgresql://dnc:s3cret@db",
        "postgresql://dnc:s3cret@db:port/dnc",
        "sqlite://",
        "sqlite:///:memory:",
        "/var/lib/dnc.sqlite3",
        "s3cret",
        "://",
        "postgresql:dnc:s3cret@db/dnc",
    ],
)
def test_anything_else_is_refused_in_one_line_that_repeats_no_password(monkeypatch, url):
    monkeypatch.setenv("DNC_DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        AdminSettings.load()
    said = str(caught.value)
    assert said.startswith("DNC_DATABASE_URL: write postgresql://")
    assert "write @ as %40" in said
    assert "\n" not in said
    for secret in ("s3cret", "s3/", "cret", "s3%"):
        assert secret not in said


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (
            "postgresql://u:p@h1:5432,h2:5433/crm?target_session_attrs=read-write",
            {"host": "h1,h2", "port": "5432,5433", "target_session_attrs": "read-write"},
        ),
        ("postgresql:///crm?host=/run/postgresql&user=u", {"host": "/run/postgresql", "user": "u"}),
        ("postgresql://u@%2Frun%2Fpostgresql/crm", {"host": "/run/postgresql"}),
        ("postgresql://u@/crm?host=@abstract", {"host": "@abstract"}),
        ("postgresql://u@[2001:db8::7]:5433/crm", {"host": "2001:db8::7", "port": "5433"}),
        ("postgres://u:p%40%3A%2F%23%3F%25@h/crm", {"password": "p@:/#?%"}),
        ("postgresql://u:p#?[x@h/crm", {"password": "p#?[x"}),
        (
            "postgresql+psycopg://u@h/crm?options=-csearch_path%3Ddnc&sslmode=verify-full",
            {"options": "-csearch_path=dnc", "sslmode": "verify-full"},
        ),
    ],
)
def test_what_libpq_takes_reaches_libpq(url: str, fields: dict[str, str]):
    given = postgres_fields(url)
    assert given.items() >= {"dbname": "crm", **fields}.items()
    assert driven(url).database == "crm"


def test_the_url_may_stand_in_a_file_and_is_not_shown(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("postgresql://dnc:s3cret@db/dnc\n")
    monkeypatch.setenv("DNC_DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = AdminSettings.load()
    assert settings.database == "postgresql://dnc:s3cret@db/dnc"
    assert "s3cret" not in repr(settings)


def test_the_document_limit_is_in_megabytes(monkeypatch):
    monkeypatch.setenv("DNC_DOCUMENT_MB", "0.5")
    assert AdminSettings.load().document_bytes == 500_000


@pytest.mark.parametrize("machine", ["EST5EDT,M3.2.0,M11.1.0", "Asia/Kolkata", "<+14>-14"])
def test_the_zone_of_the_rules_is_the_one_that_people_see(monkeypatch: pytest.MonkeyPatch, machine: str):
    """Also on a machine whose zone has no name."""
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        settings = AdminSettings(time_zone="")
        at = datetime(2026, 3, 1, 2, tzinfo=UTC)
        days = {settings.consent_rules.today(at + timedelta(hours=hour)) for hour in range(24)}
        assert days == {(at + timedelta(hours=hour)).astimezone(settings.zone).date() for hour in range(24)}
        assert settings.consent_rules.begin_of(at.date()) == start_of(at.date(), settings.zone)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
