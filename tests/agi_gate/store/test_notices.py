"""Lines about the links to Redis: at most one a second, and the last one about each subject is always written."""

import asyncio
from itertools import pairwise
from time import monotonic

import pytest
from structlog.testing import capture_logs

from agi_gate.store import notices as room
from agi_gate.store.notices import Notices


@pytest.fixture(autouse=True)
def short_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SECOND_S", 0.05)


async def test_the_first_line_is_written_at_once_and_of_the_others_the_last():
    notices = Notices()
    with capture_logs() as said:
        for at in range(5):
            notices.note("link", "warning", "redis lost", at=at)
        assert [line["at"] for line in said] == [0]
        async with asyncio.timeout(20):
            while len(said) < 2:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
    assert [(line["at"], line.get("left_out")) for line in said] == [(0, None), (4, 3)]
    assert said[0]["log_level"] == "warning"


async def test_each_subject_is_written_about_and_never_two_within_a_second():
    notices = Notices()

    def dated(_: object, __: str, line: dict) -> dict:
        """Add when the line is written. The test may look at it much later."""
        return {**line, "at": monotonic()}

    with capture_logs(processors=[dated]) as said:
        for subject in ("a", "b", "c"):
            notices.note(subject, "info", "redis connected", shard=subject)
        async with asyncio.timeout(20):
            while len(said) < 3:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.001)
    assert [line["shard"] for line in said] == ["a", "b", "c"]
    assert all(later["at"] - earlier["at"] >= 0.05 for earlier, later in pairwise(said))


async def test_after_a_second_of_silence_a_line_is_written_at_once():
    notices = Notices()
    with capture_logs() as said:
        notices.note("link", "info", "redis connected")
        await asyncio.sleep(0.06)
        notices.note("link", "warning", "redis lost")
        assert [line["event"] for line in said] == ["redis connected", "redis lost"]
