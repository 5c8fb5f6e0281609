"""Names of time zones, and days on which clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from compliance import zones
from compliance.zones import UnknownZone

HOSTILE = (
    "", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", "europe/berlin", "x" * 100_000, "\0", "UTC\0",
    "Europe/Berlin\n", " UTC", "Factory", "localtime", "Etc/Unknown", "<script>", "Europe/../Europe/Berlin",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_zone_is_refused(name: str):
    with pytest.raises(UnknownZone, match=r"There is no such time zone\. Choose one such as"):
        zones.named(name)


def test_every_zone_that_is_offered_can_be_chosen_and_divides_into_quarters_of_an_hour():
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert len(zones.choices()) > 400
    for name in zones.choices():
        offset = at.astimezone(zones.named(name)).utcoffset()
        assert offset is not None
        assert offset % zones.QUARTER == timedelta(0), name
    assert max(map(len, available_timezones())) <= zones.LONGEST


@pytest.mark.parametrize(
    ("zone", "on", "begins", "hours"),
    [
        ("UTC", date(2026, 3, 29), "2026-03-29T00:00", 24),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00", 23),
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00", 25),
        ("America/New_York", date(2026, 11, 1), "2026-11-01T04:00", 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-04T13:00", 24.5),
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00", 23),  # Midnight does not come.
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00", 25),  # Midnight comes twice.
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00", 0),  # The day was skipped.
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(zone: str, on: date, begins: str, hours: float):
    where = ZoneInfo(zone)
    assert zones.start_of(on, where) == datetime.fromisoformat(f"{begins}+00:00")
    assert zones.end_of(on, where) - zones.start_of(on, where) == timedelta(hours=hours)


@pytest.mark.parametrize("on", [date.min, date.max])
def test_a_day_beyond_the_calendar_overflows(on: date):
    with pytest.raises(OverflowError):
        (zones.start_of if on == date.min else zones.end_of)(on, ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize(
    ("set_to", "zone"),
    [("Asia/Kolkata", "Asia/Kolkata"), (":Europe/Berlin", "Europe/Berlin"), ("EST5EDT,M3.2.0,M11.1.0", "UTC")],
)
def test_the_zone_of_the_machine_is_that_of_its_programs(monkeypatch: pytest.MonkeyPatch, set_to: str, zone: str):
    monkeypatch.setenv("TZ", set_to)
    assert str(zones.of_machine()) == zone


def test_without_a_variable_the_machine_has_the_zone_that_its_link_names(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.delenv("TZ", raising=False)
    link = tmp_path / "localtime"
    monkeypatch.setattr(zones, "LOCALTIME", link)
    assert str(zones.of_machine()) == "UTC"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert str(zones.of_machine()) == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Asia/Kolkata", "Asia/Calcutta", True),
        ("Europe/Kyiv", "Europe/Kiev", True),
        ("UTC", "Etc/UTC", True),
        ("Asia/Kolkata", "Asia/Colombo", False),  # The same today, but not in 1996.
        ("Europe/Berlin", "Africa/Lagos", False),  # The same in winter.
        ("Asia/Jerusalem", "Europe/Athens", False),  # The same but for some days in spring.
        ("America/Phoenix", "America/Denver", False),
    ],
)
def test_a_zone_and_its_former_name_are_alike_and_others_are_not(one: str, other: str, same: bool):
    assert zones.alike(zones.named(one), zones.named(other)) is same
    assert zones.alike(zones.named(other), zones.named(one)) is same
