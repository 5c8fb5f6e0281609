"""Settings are typed and frozen. A wrong one is refused with one line that says what to write instead."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agi_gate.settings import GateSettings
from compliance.settings import SettingsError


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in GateSettings.model_fields:
        monkeypatch.delenv(f"DNC_{name.upper()}", raising=False)


def test_with_an_empty_environment_everything_has_a_default(tmp_path):
    settings = GateSettings.load()
    assert (settings.agi_bind, settings.deadline_ms, settings.region) == ("127.0.0.1:4573", 50, "US")
    assert settings.redis == f"unix://{tmp_path}/var/redis.sock"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DNC_REDIS_URL", "localhost:6379", "redis://HOST:PORT/DB"),
        ("DNC_REDIS_URL", "http://localhost", "redis://HOST:PORT/DB"),
        ("DNC_REGION", "usa", "two-letter country code"),
        ("DNC_PREFIX", "9w", "write at most four digits, such as 9"),
        ("DNC_AGI_BIND", "4573", "write HOST:PORT, such as 127.0.0.1:4573"),
        ("DNC_METRICS_BIND", "9573", "write HOST:PORT, such as 127.0.0.1:9573"),
        ("DNC_AGI_BIND", "127.0.0.1:99999", "HOST:PORT"),
        ("DNC_DEADLINE_MS", "soon", "write a number"),
        ("DNC_DEADLINE_MS", "0", "write 5 or more"),
        ("DNC_LEASE_S", "-1", "write 0 or more"),
        ("DNC_LOG_LEVEL", "LOUD", "write DEBUG, INFO, WARNING or ERROR"),
        ("DNC_REPLICAS", "one", "write a whole number"),
        ("DNC_INSTANCE", "a b", "write at most 64 letters"),
        ("DNC_REDIS_URL", "redis+sentinel://127.0.0.1:26379", "name the master"),
        ("DNC_REPLICAS", "-1", "write 0 or more"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line_that_names_it(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        GateSettings.load()
    message = str(error.value)
    assert message.startswith(f"{name}: ")
    assert says in message
    assert "\n" not in message


def test_behind_sentinel_a_record_must_be_on_a_replica_too(monkeypatch):
    monkeypatch.setenv("DNC_REDIS_URL", "redis+sentinel://127.0.0.1:26379/dnc")
    with pytest.raises(SettingsError, match=r"^DNC_REPLICAS: Sentinel may promote a replica"):
        GateSettings.load()
    monkeypatch.setenv("DNC_REPLICAS", "1")
    assert GateSettings.load().replicas == 1


def test_on_a_cluster_a_record_must_be_on_a_replica_too(monkeypatch):
    monkeypatch.setenv("DNC_REDIS_URL", "redis+cluster://127.0.0.1:7000")
    with pytest.raises(SettingsError, match=r"^DNC_REPLICAS: a cluster may promote a replica"):
        GateSettings.load()


def test_a_refusal_never_repeats_what_may_be_a_secret(monkeypatch):
    monkeypatch.setenv("DNC_REDIS_URL", "postgres://user:hunter2@host/0")
    with pytest.raises(SettingsError) as error:
        GateSettings.load()
    assert "hunter2" not in str(error.value)


def test_settings_that_are_printed_show_no_url_with_a_password(monkeypatch):
    monkeypatch.setenv("DNC_REDIS_URL", "redis://:hunter2@127.0.0.1:6379/0")
    settings = GateSettings.load()
    assert "hunter2" in settings.redis
    assert "hunter2" not in f"{settings} {settings!r}"


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("redis://:secret@127.0.0.1:6379/0\n")
    monkeypatch.setenv("DNC_REDIS_URL_FILE", str(tmp_path / "url"))
    assert GateSettings.load().redis == "redis://:secret@127.0.0.1:6379/0"


def test_a_secret_file_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("DNC_REDIS_URL_FILE", "/nowhere/url")
    with pytest.raises(SettingsError, match="DNC_REDIS_URL_FILE: cannot read /nowhere/url"):
        GateSettings.load()


def test_a_plain_variable_comes_before_a_file_and_a_file_before_dotenv(monkeypatch, tmp_path):
    (tmp_path / "region").write_text("GB")
    (tmp_path / ".env").write_text("DNC_REGION=FR\nDNC_PREFIX=0\n")
    assert GateSettings.load().region == "FR"
    monkeypatch.setenv("DNC_REGION_FILE", str(tmp_path / "region"))
    assert GateSettings.load().region == "GB"
    monkeypatch.setenv("DNC_REGION", "DE")
    settings = GateSettings.load()
    assert (settings.region, settings.prefix) == ("DE", "0")


def test_settings_cannot_be_changed_once_loaded():
    with pytest.raises(ValidationError, match="frozen"):
        GateSettings.load().region = "GB"


@pytest.mark.parametrize("content", [b"redis://h\xff/0", "redis://höst".encode("latin-1"), b"\xff\xfer\x00"])
def test_a_file_of_a_setting_that_is_no_utf8_is_refused_in_one_line_without_its_content(monkeypatch, tmp_path, content):
    (tmp_path / "url").write_bytes(content)
    monkeypatch.setenv("DNC_REDIS_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(SettingsError) as error:
        GateSettings.load()
    assert str(error.value) == f"DNC_REDIS_URL_FILE: {tmp_path}/url: it is not a text in UTF-8; save it as one"


def test_an_env_file_that_is_no_utf8_or_cannot_be_read_is_refused_in_one_line(tmp_path):
    (tmp_path / ".env").write_bytes(b"DNC_REGION=\xff\n")
    with pytest.raises(SettingsError, match=r"^\.env: it is not a text in UTF-8; save it as one$"):
        GateSettings.load()


@pytest.mark.parametrize("below", ["", "/data", "/data/more"])
def test_a_data_directory_must_not_be_a_file_or_below_one(monkeypatch, tmp_path, below):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DNC_DATA_DIR", f"{tmp_path}/file{below}")
    with pytest.raises(SettingsError) as error:
        GateSettings.load()
    assert str(error.value) == (
        f"DNC_DATA_DIR: {tmp_path}/file is no directory; name a directory, which may be missing yet"
    )


def test_a_data_directory_may_be_missing_or_a_link_to_one(monkeypatch, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for path in ("missing/deeper", "there", "link", "link/deeper"):
        monkeypatch.setenv("DNC_DATA_DIR", str(tmp_path / path))
        assert GateSettings.load().data_dir == tmp_path / path
