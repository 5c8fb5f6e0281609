"""Valid and invalid settings of the database in the environment."""

from pathlib import Path

import pytest

from admin_web.settings import AdminSettings, driven
from compliance.settings import SettingsError


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
    ],
)
def test_operators_name_the_kind_of_database_and_never_the_driver(monkeypatch, url, driver, name):
    monkeypatch.setenv("DNC_DATABASE_URL", url)
    found = driven(AdminSettings.load().database)
    assert (found.drivername, found.database) == (driver, name)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://dnc:s3cret@db/dnc",
        "postgres://dnc:s3cret@db/dnc",
        "postgresql+asyncpg://dnc:s3cret@db/dnc",
        "sqlite+aiosqlite:///x",
        "postgresql://dnc:s3cret@db",
        "postgresql://dnc:s3cret@db:port/dnc",
        "sqlite://",
        "sqlite:///:memory:",
        "/var/lib/dnc.sqlite3",
        "s3cret",
    ],
)
def test_anything_else_is_refused_in_one_line_that_repeats_no_password(monkeypatch, url):
    monkeypatch.setenv("DNC_DATABASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        AdminSettings.load()
    said = str(caught.value)
    assert said.startswith("DNC_DATABASE_URL: write postgresql://")
    assert "\n" not in said
    assert "s3cret" not in said


def test_the_url_may_stand_in_a_file_and_is_not_shown(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("postgresql://dnc:s3cret@db/dnc\n")
    monkeypatch.setenv("DNC_DATABASE_URL_FILE", str(tmp_path / "url"))
    settings = AdminSettings.load()
    assert settings.database == "postgresql://dnc:s3cret@db/dnc"
    assert "s3cret" not in repr(settings)


def test_the_document_limit_is_in_megabytes(monkeypatch):
    monkeypatch.setenv("DNC_DOCUMENT_MB", "0.5")
    assert AdminSettings.load().document_bytes == 500_000
