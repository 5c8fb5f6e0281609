"""Decisions on disk: private, bounded, in order, and left to the next gate by a process that dies."""

import fcntl
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_gate.spool import spool
from agi_gate.spool.directory import SpoolDirectory, make
from agi_gate.spool.segment import Segment, decode, encode, lock
from agi_gate.spool.spool import Spool, SpoolFull, opened
from compliance import verdict
from compliance.verdict import Decision, allow, block

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOST = 10_000_000
OWNER, OTHER = "0123456789ab", "ba9876543210"


def decision(number: int) -> Decision:
    return Decision(f"id-{number}", AT, block(verdict.STORE_UNAVAILABLE), "4155550100", "", "", "pbx-1.1", 0, "gate")


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))


def ids(decisions: list[Decision]) -> list[str]:
    return [one.id for one in decisions]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.mark.parametrize(
    "one",
    [
        decision(1),
        decision(2)._replace(dialed='911"', ruling=allow(verdict.EMERGENCY), campaign="spring", peer="192.0.2.10"),
        decision(3)._replace(dialed="", channel="", ruling=block(verdict.BAD_CHANNEL, "x\ny"), lead="lead-1"),
    ],
)
def test_a_decision_comes_back_from_its_line_as_it_was(one: Decision):
    line = encode(one)
    assert decode(line) == one
    assert line.count(b"\n") == 1


def test_what_memory_lacks_is_read_in_order_and_deleted_once_it_is_recorded(directory: Path):
    mine = Spool(directory, OWNER, MOST)
    for number in range(3):
        mine.write(decision(number), loaded=True)
    for number in range(3, 6):
        mine.write(decision(number), loaded=False)
    assert mine.kept == 6
    assert ids(mine.load().decisions) == ["id-3", "id-4", "id-5"]
    mine.write(decision(6), loaded=False)
    assert ids(mine.load().decisions) == ["id-6"]
    assert mine.load().decisions == []
    assert (files(directory), mine.kept) == ([], 0)


def test_nobody_else_may_read_what_is_on_disk(directory: Path):
    mine = Spool(directory, OWNER, MOST)
    mine.write(decision(1), loaded=True)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(one.stat().st_mode) for one in files(directory)] == [0o600]


def test_only_what_a_dead_process_left_is_adopted_and_only_once(directory: Path):
    dead, alive, next_one = (Spool(directory, OWNER, MOST) for _ in range(3))
    dead.write(decision(1), loaded=True)
    alive.write(decision(2), loaded=True)
    assert next_one.adopt().decisions == []
    dead.release()  # As the kernel does when the process ends.
    assert ids(next_one.adopt().decisions) == ["id-1"]
    assert Spool(directory, OWNER, MOST).adopt().decisions == []
    next_one.load()
    assert len(files(directory)) == 1
    alive.release()
    assert ids(next_one.adopt().decisions) == ["id-2"]


def test_what_a_gate_adopted_and_did_not_record_is_adopted_again_after_its_death(directory: Path):
    dead, heir, next_one = (Spool(directory, OWNER, MOST) for _ in range(3))
    dead.write(decision(1), loaded=False)
    dead.release()
    heir.adopt()
    heir.release()
    assert ids(next_one.adopt().decisions) == ["id-1"]


@pytest.mark.parametrize(
    "torn",
    [
        b'["id-2","17',
        b"\0\0\0\0",
        b"[]\n",
        b"{}\n",
        b"7\n",
        b"\xff\n",
        b"[" * 100_000,
        encode(decision(2)).replace(b"BLOCK", b"X"),
    ],
)
def test_a_line_that_cannot_be_read_is_skipped_and_counted(directory: Path, torn: bytes):
    dead = Spool(directory, OWNER, MOST)
    dead.write(decision(1), loaded=True)
    dead.release()
    with files(directory)[0].open("ab") as file:
        file.write(torn)
    found = Spool(directory, OWNER, MOST).adopt()
    assert (ids(found.decisions), found.unreadable) == (["id-1"], 1)


def unreadable(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.write_bytes(encode(decision(9)))
    path.symlink_to(elsewhere)


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("odd", [unreadable, link, pipe])
def test_a_file_that_cannot_be_used_keeps_no_other_from_being_adopted(directory: Path, odd):
    dead, heir = Spool(directory, OWNER, MOST), Spool(directory, OWNER, MOST)
    odd(directory / f"{OWNER}-0.spool")
    dead.write(decision(1), loaded=True)
    dead.release()
    assert ids(heir.adopt().decisions) == ["id-1"]
    before = descriptors(directory)
    with pytest.raises(OSError, match=r"Is a directory|symbolic links|Illegal seek"):
        heir.adopt()
    heir.load()
    assert [one.name for one in files(directory)] == [f"{OWNER}-0.spool"]
    assert descriptors(directory) == before - 1


def descriptors(directory: Path) -> int:
    """Return how many files of a directory this process has open."""
    return sum(str(directory) in str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink())


def test_a_file_that_cannot_be_created_leaves_no_descriptor_open(directory: Path, monkeypatch):
    def refused(*_: object) -> None:
        raise OSError("no space is left")

    monkeypatch.setattr(fcntl, "flock", refused)
    mine, before = Spool(directory, OWNER, MOST), descriptors(directory)
    with pytest.raises(OSError, match="no space"):
        mine.write(decision(1), loaded=True)
    assert descriptors(directory) == before


def test_an_empty_file_of_a_dead_process_is_deleted(directory: Path):
    (directory / f"{OWNER}-1.spool").touch()
    assert Spool(directory, OWNER, MOST).adopt().decisions == []
    assert files(directory) == []


def test_all_processes_together_stay_below_the_limit(directory: Path, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1_000)
    one, other = Spool(directory, OWNER, 5_000), Spool(directory, OWNER, 5_000)
    with pytest.raises(SpoolFull):
        for number in range(1_000):
            (one, other)[number % 2].write(decision(number), loaded=False)
    assert 2_000 < sum(file.stat().st_size for file in files(directory)) <= 5_000
    assert max(file.stat().st_size for file in files(directory)) <= 1_000


def test_a_limit_that_was_reached_leaves_room_again_once_the_decisions_are_recorded(directory: Path, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1_000)
    mine = Spool(directory, OWNER, 2_000)
    with pytest.raises(SpoolFull):
        for number in range(1_000):
            mine.write(decision(number), loaded=False)
    kept = mine.kept
    assert kept == len(mine.load().decisions) + len(mine.load().decisions)
    mine.load()
    mine.write(decision(1), loaded=False)
    assert mine.kept == 1


def test_what_a_full_disk_cut_short_is_overwritten_by_the_next_decision(directory: Path, monkeypatch):
    mine, write = Spool(directory, OWNER, MOST), os.pwrite
    mine.write(decision(1), loaded=False)
    monkeypatch.setattr(os, "pwrite", lambda descriptor, line, at: write(descriptor, line[:9], at))
    with pytest.raises(OSError, match="only a part"):
        mine.write(decision(2), loaded=False)
    monkeypatch.undo()
    mine.write(decision(3), loaded=False)
    assert (mine.load(), mine.kept)[0].decisions == [decision(1), decision(3)]


def test_the_record_of_a_loss_stands_once_behind_the_decisions_and_gives_way_to_more(directory: Path):
    dead = Spool(directory, OWNER, MOST)
    dead.write(decision(1), loaded=False)
    for detail in ("1234567 calls until", "12 calls until"):
        dead.note_loss(decision(2)._replace(ruling=block(verdict.RECORDS_LOST, detail)))
    dead.release()
    heir = Spool(directory, OWNER, MOST)
    assert [one.ruling.detail for one in heir.adopt().decisions] == ["", "12 calls until"]
    mine = Spool(directory, OWNER, MOST)
    mine.write(decision(3), loaded=False)
    mine.note_loss(decision(4)._replace(dialed="1" * 64))
    mine.write(decision(5), loaded=False)
    mine.release()
    heir.load()
    found = heir.adopt()
    assert (ids(found.decisions), found.unreadable) == (["id-3", "id-5"], 0)


def test_a_directory_in_which_nothing_can_be_written_is_named_in_the_log(tmp_path: Path):
    (tmp_path / "file").touch()
    with capture_logs() as said:
        assert opened(tmp_path / "file", OWNER, 64) is None
    assert [(line["event"], line["directory"]) for line in said] == [
        ("decisions are not kept on disk", str(tmp_path / "file"))
    ]


def test_with_no_megabytes_nothing_is_kept_and_nothing_is_said(tmp_path: Path):
    with capture_logs() as said:
        assert opened(tmp_path / "spool", OWNER, 0) is None
    assert (said, [*tmp_path.iterdir()]) == ([], [])


def test_the_decisions_of_another_installation_are_left_alone_and_named_once(directory: Path):
    foreign, dead = Spool(directory, OTHER, MOST), Spool(directory, OWNER, MOST)
    foreign.write(decision(1), loaded=True)
    dead.write(decision(2), loaded=True)
    for one in (foreign, dead):
        one.release()
    heir = Spool(directory, OWNER, MOST)
    with capture_logs() as said:
        assert ids(heir.adopt().decisions) == ["id-2"]
        heir.load()
        assert heir.adopt().decisions == Spool(directory, OWNER, MOST).adopt().decisions == []
    assert [(line["event"], line["files"]) for line in said] == [
        ("decisions of another installation are left alone", 1)
    ]
    assert ids(Spool(directory, OTHER, MOST).adopt().decisions) == ["id-1"]


def test_the_files_of_another_installation_take_no_room(directory: Path):
    (directory / f"{OTHER}-1.spool").write_bytes(b"x" * 2_000_000)
    (directory / f"{OWNER}x-1.spool").write_bytes(b"x" * 2_000_000)
    Spool(directory, OWNER, 1_000_000).write(decision(1), loaded=True)


def test_many_processes_with_few_decisions_need_little_room(directory: Path):
    many = [Spool(directory, OWNER, 64_000_000) for _ in range(100)]
    for number, one in enumerate(many):
        one.write(decision(number), loaded=False)
    assert len(files(directory)) == 100


def test_files_that_grow_together_stay_below_the_limit(directory: Path, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 16_000)
    most = 36_000
    many, refused = [Spool(directory, OWNER, most) for _ in range(5)], 0
    for number in range(1_000):
        try:
            many[number % 5].write(decision(number), loaded=False)
        except SpoolFull:
            refused += 1
        assert sum(file.stat().st_size for file in files(directory)) <= most
    assert refused
    assert sum(file.stat().st_size for file in files(directory)) > most / 4


def test_a_process_looks_at_the_directory_a_few_times_for_each_file(directory: Path, monkeypatch):
    looks, segments = 0, SpoolDirectory.segments

    def counted(one: SpoolDirectory) -> list[Path]:
        nonlocal looks
        looks += 1
        return segments(one)

    monkeypatch.setattr(spool, "SEGMENT_BYTES", 16_000)
    monkeypatch.setattr(SpoolDirectory, "segments", counted)
    mine = Spool(directory, OWNER, MOST)
    for number in range(1_000):
        mine.write(decision(number), loaded=False)
    assert looks <= 5 * len(files(directory))


def test_a_directory_that_was_deleted_is_created_again_and_only_its_owner_may_read_it(directory: Path, monkeypatch):
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 16_000)
    mine, other = Spool(directory, OWNER, MOST), Spool(directory, OWNER, MOST)
    mine.write(decision(1), loaded=False)
    other.write(decision(2), loaded=False)
    shutil.rmtree(directory)
    with capture_logs() as said:
        for number in range(3, 43):
            mine.write(decision(number), loaded=False)
            other.write(decision(1_000 + number), loaded=False)
    assert [line["event"] for line in said] == ["directory of decisions was deleted, and is created again"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    mine.release()
    other.release()
    heir, adopted = Spool(directory, OWNER, MOST), list[str]()
    while found := heir.adopt().decisions:
        adopted += ids(found)
    assert {"id-42", "id-1042"} <= {*adopted}


@pytest.mark.parametrize("at_adoption", [True, False])
def test_a_directory_that_is_gone_when_it_is_used_next_is_created_again(directory: Path, at_adoption: bool):
    shutil.rmtree(directory)
    mine = Spool(directory, OWNER, MOST)
    with capture_logs() as said:
        if at_adoption:
            assert mine.adopt().decisions == []
        mine.write(decision(1), loaded=True)
    assert len(said) == 1
    assert len(files(directory)) == 1


@pytest.mark.parametrize("is_done", [True, False], ids=["deleted", "about to be deleted"])
def test_a_file_that_another_gate_takes_for_that_of_a_dead_process_is_created_again(
    directory: Path, monkeypatch, is_done: bool
):
    flock, held = fcntl.flock, list[Segment]()

    def overtaken(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        (path,) = files(directory)
        held.append(lock(path))
        if is_done:
            held.pop().remove()
        flock(descriptor, how)

    mine, before = Spool(directory, OWNER, MOST), descriptors(directory)
    monkeypatch.setattr(fcntl, "flock", overtaken)
    mine.write(decision(1), loaded=False)
    for one in held:
        one.remove()
    assert (ids(mine.load().decisions), descriptors(directory)) == (["id-1"], before + 1)
    assert len(files(directory)) == 1
