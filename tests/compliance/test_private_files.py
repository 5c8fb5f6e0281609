"""Files of the product are closed to other users: new ones from the start, old ones when a program starts."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.private_files import keep_new_files_private, open_to_others
from compliance.settings import Settings, SettingsError
from tests.support.programs import run


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files_and_directories_belong_to_their_user_alone(tmp_path: Path):
    keep_new_files_private()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    assert (mode(tmp_path / "d"), mode(tmp_path / "d" / "f")) == (0o700, 0o600)


@pytest.mark.parametrize(("before", "after"), [(0o777, 0o770), (0o755, 0o750), (0o705, 0o700), (0o640, 0o640)])
def test_the_rights_of_others_are_taken_away_and_those_of_a_group_are_kept(tmp_path: Path, before: int, after: int):
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(before)
    assert open_to_others([place]) == []
    assert mode(place) == after


def test_a_link_is_followed_and_a_missing_file_is_no_fault(tmp_path: Path):
    (tmp_path / "real").touch(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_to_others([tmp_path / "link", tmp_path / "none"]) == []
    assert mode(tmp_path / "real") == 0o640


@pytest.fixture
def unchangeable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that others can read, and whose rights this process may not change."""
    place = tmp_path / "data"
    place.mkdir()
    place.chmod(0o755)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    return place


def test_what_cannot_be_closed_is_refused_with_the_command_that_closes_it(unchangeable: Path):
    (said,) = open_to_others([unchangeable])
    assert said.endswith(f"(Operation not permitted); run: chmod o= {unchangeable}")
    with pytest.raises(SettingsError, match="run: chmod o="):
        Settings(data_dir=unchangeable).require_private()


def test_a_file_system_that_keeps_no_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = tmp_path / "data"
    place.mkdir()
    place.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda *_, **__: None)
    assert "keeps no rights" in open_to_others([place])[0]


def test_a_command_closes_the_data_directory_and_the_env_file_of_an_earlier_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (data := tmp_path / "var").mkdir(0o755)
    (env := tmp_path / ".env").write_text("DNC_REGION=GB\n")
    monkeypatch.chdir(tmp_path)
    assert run("admin_web", ["migrate"], {"DNC_DATA_DIR": str(data)}).returncode == 0
    assert (mode(data), mode(env), mode(data / "dnc.sqlite3")) == (0o750, 0o640, 0o600)


def test_the_files_for_asterisk_stay_readable_for_asterisk(tmp_path: Path):
    assert run("admin_web", ["dialplan", str(tmp_path / "asterisk" / "dnc")], {}).returncode == 0
    assert mode(tmp_path / "asterisk" / "dnc" / "extensions_dnc.conf") == 0o644
    assert mode(tmp_path / "asterisk" / "dnc") == 0o755
