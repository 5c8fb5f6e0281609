"""The campaigns of the latest calls stand beside the campaign lists, so that a misspelt name is noticed."""

from datetime import timedelta

import pytest

from admin_web.queries import recent_campaigns as module
from admin_web.queries.campaign_lists import all_campaign_lists
from admin_web.queries.recent_campaigns import RecentCampaign, recent_campaigns
from admin_web.record.changes import Records
from admin_web.services.campaign_lists import add_campaign_list
from tests.support.call_log import decision, put
from tests.support.records import ADMIN, AT


def at(place: int):
    return AT + timedelta(seconds=place)


async def found(records: Records) -> list[RecentCampaign]:
    return list(await recent_campaigns(records.database, await all_campaign_lists(records.database)))


async def test_each_campaign_of_calls_and_of_lists_is_shown_once_with_what_knows_it(records: Records):
    await add_campaign_list(records, ADMIN, "one", ["spring-26", "summer-26"])
    await add_campaign_list(records, ADMIN, "two", ["spring-26"])
    names = ["spring-26", "Spring-26", "spring_26", "spring-26", ""]
    await put(records.database, *(decision(place, campaign=name) for place, name in enumerate(names)))
    first, *others, last = await found(records)
    assert first == RecentCampaign("spring-26", 2, at(3), ("one", "two"))
    # The order of letters is that of the database.
    assert set(others) == {RecentCampaign("Spring-26", 1, at(1), ()), RecentCampaign("spring_26", 1, at(2), ())}
    assert last == RecentCampaign("summer-26", 0, None, ("one",))


async def test_only_the_latest_calls_are_searched(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LATEST_CALLS", 2)
    names = ["spring-26", "spring-26", "", "autumn-26"]
    await put(records.database, *(decision(place, campaign=name) for place, name in enumerate(names)))
    assert await found(records) == [RecentCampaign("autumn-26", 1, at(3), ())]


async def test_a_campaign_on_a_list_is_shown_with_its_calls_however_many_others_have_more(
    records: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_CAMPAIGNS", 1)
    await add_campaign_list(records, ADMIN, "one", ["autumn-26", "spring-26", "summer-26"])
    names = ["winter-26", "winter-26", "winter-26", "winter_26", "winter_26", "summer-26"]
    await put(records.database, *(decision(place, campaign=name) for place, name in enumerate(names)))
    assert await found(records) == [
        RecentCampaign("winter-26", 3, at(2), ()),
        RecentCampaign("summer-26", 1, at(5), ("one",)),
    ]


async def test_without_calls_and_lists_there_is_nothing_to_compare(records: Records):
    assert await found(records) == []
