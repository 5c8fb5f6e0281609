"""The position at which reading the CDR file resumes: after rotation, truncation, replacement or removal."""

import gzip
import lzma
import os
import shutil
import time
from pathlib import Path

import pytest

from admin_web.worker.call_details.places import CdrFileUnreadable, OpenCdrFile, ReadPosition
from tests.support.cdr import line

MOST = 1 << 20
LONG_AGO = time.time() - 3600


class Reading:
    """Reads a file from position to position, as the worker does, and keeps the data."""

    def __init__(self, path: Path) -> None:
        self.file, self.place, self.data = OpenCdrFile(path), ReadPosition(), b""

    def on(self) -> bytes:
        """Read to the end, and return the new data."""
        before = len(self.data)
        while part := self.file.part(self.place, MOST):
            self.data += part.data
            after = part.after(len(part.data))
            following = part.following if not part.data else None
            if (following or after) == self.place:
                break
            self.place = following or after
        return self.data[before:]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "DncGate.csv"


@pytest.fixture
def reading(path: Path) -> Reading:
    path.write_bytes(line(uniqueid="1"))
    reading = Reading(path)
    assert reading.on() == line(uniqueid="1")
    return reading


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def settle(path: Path, at: float = LONG_AGO) -> None:
    """Set the file's modification time, by default to an hour ago."""
    os.utime(path, (at, at))


def test_no_file_yet_is_nothing_to_read(path: Path):
    assert OpenCdrFile(path).part(ReadPosition(), MOST) is None
    assert OpenCdrFile(path.parent / "nowhere" / "x.csv").part(ReadPosition(), MOST) is None


def test_what_is_appended_is_read_and_nothing_twice(path: Path, reading: Reading):
    assert reading.on() == b""
    add(path, line(uniqueid="2"))
    assert reading.on() == line(uniqueid="2")


ROTATED = (
    "DncGate.csv.1",
    "DncGate.csv-20261124",
    "DncGate.csv-2026-11-24",
    "DncGate.csv-2026-11-24T03:10:07+0100",
    "DncGate.csv_old",
    "DncGate.csv.bak",
    "DncGate-20261124.csv",
    "DncGate.1.csv",
)


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotated_file_is_read_to_its_end_before_the_new_one(path: Path, reading: Reading, name: str):
    add(path, line(uniqueid="2"))
    rotated = path.rename(path.with_name(name))
    settle(rotated)
    assert reading.on() == line(uniqueid="2"), "there is no new file yet"
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="3")


def test_several_rotations_while_nobody_read_lose_nothing(path: Path, reading: Reading):
    add(path, line(uniqueid="2"))
    path.rename(path.with_name("DncGate.csv.3"))
    settle(path.with_name("DncGate.csv.3"), LONG_AGO)
    for age, name in ((10, "DncGate.csv.2"), (20, "DncGate.csv.1")):
        path.with_name(name).write_bytes(line(uniqueid=name))
        settle(path.with_name(name), LONG_AGO + age)
    path.write_bytes(line(uniqueid="new"))
    named = [line(uniqueid=name) for name in ("2", "DncGate.csv.2", "DncGate.csv.1", "new")]
    assert reading.on() == b"".join(named)


def test_a_rotated_file_that_was_just_written_to_is_not_left_yet(path: Path, reading: Reading):
    rotated = path.rename(path.with_name("DncGate.csv.1"))
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == b""
    add(rotated, line(uniqueid="2"))
    settle(rotated)
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


def test_a_copied_and_emptied_file_is_read_to_its_end_in_the_copy(path: Path, reading: Reading):
    add(path, line(uniqueid="2"))
    copy = Path(shutil.copy(path, path.with_name("DncGate.csv.1")))
    settle(copy)
    path.write_bytes(b"")
    add(path, line(uniqueid="3"))
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


def test_an_emptied_file_is_read_anew_even_when_it_has_grown_past_the_place(path: Path, reading: Reading):
    inode = path.stat().st_ino
    path.write_bytes(line(uniqueid="2") + line(uniqueid="3"))
    assert path.stat().st_ino == inode
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


def test_another_file_with_the_same_inode_is_another_file(path: Path, reading: Reading):
    add(path, line(uniqueid="2"))
    reading.on()
    path.unlink()
    path.write_bytes(line(uniqueid="4") * 3)
    assert reading.on() == line(uniqueid="4") * 3


def test_behind_a_lost_place_everything_is_read(path: Path, reading: Reading):
    path.unlink()
    path.with_name("DncGate.csv.1").write_bytes(line(uniqueid="2"))
    settle(path.with_name("DncGate.csv.1"))
    path.write_bytes(line(uniqueid="3"))
    assert reading.file.part(reading.place, MOST).known is False
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("DncGate.csv.1.gz", gzip.compress),
        ("DncGate.csv-2026-11-24.gz", gzip.compress),
        ("DncGate.csv-2026-11-24.xz", lzma.compress),
        ("DncGate-20261124.csv.gz", gzip.compress),
    ],
)
def test_the_rest_of_a_file_that_was_compressed_at_once_is_read(path: Path, reading: Reading, name: str, compress):
    add(path, line(uniqueid="2"))
    path.with_name(name).write_bytes(compress(path.read_bytes()))
    settle(path.with_name(name))
    path.unlink()
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


def test_while_a_file_is_being_compressed_the_complete_original_is_read(path: Path, reading: Reading):
    add(path, line(uniqueid="2"))
    rotated = path.rename(path.with_name("DncGate.csv-2026-11-24"))
    settle(rotated)
    rotated.with_name(f"{rotated.name}.gz").write_bytes(gzip.compress(rotated.read_bytes())[:60])
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


@pytest.mark.parametrize("keep", [0, 2, 11, 60])
def test_a_damaged_compressed_file_stops_nothing(path: Path, reading: Reading, keep: int):
    path.with_name("DncGate.csv.1.gz").write_bytes(gzip.compress(path.read_bytes())[:keep])
    path.unlink()
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="3")


def test_a_copy_made_by_hand_hides_nothing_that_was_written_after_it(path: Path, reading: Reading):
    settle(Path(shutil.copy(path, path.with_name("DncGate.csv.bak"))), LONG_AGO - 60)
    add(path, line(uniqueid="2"))
    settle(path.rename(path.with_name("DncGate.csv-2026-11-24")))
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


FOREIGN = b"Name,Telephone\nAnn,+14155550100\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("DncGate.csv.notes", FOREIGN),
        ("DncGate.csv-2026-11-23", FOREIGN),
        ("DncGate.csv.1.gz", gzip.compress(FOREIGN, mtime=0)),
        ("DncGate.csv.zip", b"PK\3\4"),
        ("DncGatekeeper.csv", line(uniqueid="2")),
        ("Other.csv.1", line(uniqueid="2")),
    ],
)
def test_files_that_are_no_records_of_this_name_are_left_alone(path: Path, reading: Reading, name: str, content: bytes):
    path.with_name(name).write_bytes(content)
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="3")


@pytest.mark.parametrize("name", ["DncGate.csv.notes", "DncGate.csv-2026-11-23"])
def test_a_foreign_file_between_two_rotated_ones_is_passed_over(path: Path, reading: Reading, name: str):
    add(path, line(uniqueid="2"))
    settle(path.rename(path.with_name("DncGate.csv.1")), LONG_AGO - 60)
    path.with_name(name).write_bytes(FOREIGN)
    settle(path.with_name(name))
    path.write_bytes(line(uniqueid="3"))
    assert reading.on() == line(uniqueid="2") + line(uniqueid="3")


def test_a_pipe_is_not_waited_for(path: Path):
    os.mkfifo(path)
    assert OpenCdrFile(path).part(ReadPosition(), MOST) is None


def test_a_directory_that_may_not_be_read_is_named(path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_bytes(line())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CdrFileUnreadable, match=r"DncGate.csv: Permission denied"):
        OpenCdrFile(path).part(ReadPosition(), MOST)
