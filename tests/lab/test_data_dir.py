"""The data directory of `scripts/up`: what is wrong with it is one line."""

import os
import shutil
from pathlib import Path

import pytest

from lab.data_dir import AlreadyRunning, Unusable, claimed


def test_it_is_created_for_its_owner_alone(tmp_path: Path):
    with claimed(tmp_path / "new" / "var") as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "log").is_dir()


def test_the_rights_of_a_directory_that_exists_are_not_changed(tmp_path: Path):
    tmp_path.chmod(0o755)
    with claimed(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_second_start_is_kept_out_until_the_first_ends(tmp_path: Path):
    with claimed(tmp_path), pytest.raises(AlreadyRunning, match=f"already runs in {tmp_path}"), claimed(tmp_path):
        pass
    with claimed(tmp_path):
        pass


def unusable(directory: Path) -> str:
    with pytest.raises(Unusable) as refused, claimed(directory):
        pass
    said = str(refused.value)
    assert said.startswith("DNC_DATA_DIR: ")
    assert "choose another directory with DNC_DATA_DIR" in said
    assert "\n" not in said
    return said


def test_a_file_a_loop_and_a_read_only_place_are_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert f"{tmp_path}/file is a file" in unusable(tmp_path / "file")
    assert f"{tmp_path}/file is a file" in unusable(tmp_path / "file" / "var")
    assert "loop" in unusable(tmp_path / "loop")
    assert "/proc/var: No such file or directory" in unusable(Path("/proc/var"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_directory_of_another_user_is_named(tmp_path: Path):
    closed = tmp_path / "closed"
    (closed / "log").mkdir(parents=True)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            with claimed(closed):
                os._exit(1)
        except Unusable as error:
            os._exit(0 if "Permission denied" in str(error) else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 7_500_000))
    assert f"{tmp_path} has only 7 MB free: free 100 MB" in unusable(tmp_path)
