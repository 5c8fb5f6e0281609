"""Which sentinel's answer about the master counts, and which nodes of a cluster must have answered."""

import asyncio
import math

import pytest

from compliance.redis_masters import Found, Master, NoMaster, Sentinels
from compliance.redis_url import read_redis_url

URL = "redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/dnc"


def answer(port: int, epoch: int, flags: str = "master", heard_ms: int = 0, replicas: int = 0) -> list[bytes | None]:
    words = ["name", "dnc", "ip", "127.0.0.1", "port", str(port), "flags", flags, "config-epoch", str(epoch)]
    words += ["last-ok-ping-reply", str(heard_ms), "num-slaves", str(replicas)]
    return [word.encode() for word in words]


def sentinels() -> Sentinels:
    read = read_redis_url(URL)
    assert isinstance(read, Sentinels)
    return read


NODES = b"a 127.0.0.1:7000@17000 myself,master - 0 0 4 connected 0-16383\n"


async def test_some_nodes_are_enough_and_those_known_are_asked_too():
    cluster = read_redis_url("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    asked = []

    async def ask(url):
        asked.append(url)
        if not url.endswith(":7000/0"):
            raise ConnectionRefusedError("refused")
        return NODES

    topology = await cluster.find(["127.0.0.1:7000"], ask, 0.5)
    assert cluster.master(topology.owner(5)).url == "redis://127.0.0.1:7000/0"
    assert asked == ["redis://127.0.0.1:1/0", "redis://127.0.0.1:2/0", "redis://127.0.0.1:7000/0"]


@pytest.mark.parametrize(("silent", "at_once"), [(1, True), (2, False)])
async def test_once_most_nodes_have_replied_the_silent_ones_delay_nothing(silent: int, at_once: bool):
    async def ask(url: str) -> bytes:
        if int(url[-3]) > silent:
            return NODES
        return await asyncio.Event().wait()

    began = asyncio.get_running_loop().time()
    found = await read_redis_url("redis+cluster://h:1,h:2,h:3").find((), ask, 0.5, rest_s=0.0)
    assert found.owner(5) is not None
    assert (asyncio.get_running_loop().time() - began < 0.4) == at_once


async def test_when_no_node_can_tell_the_error_says_what_each_of_them_did():
    told = {"1": ConnectionRefusedError("refused"), "2": asyncio.Event(), "3": b"what?\n"}

    async def ask(url):
        outcome = told[url[-3]]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome if isinstance(outcome, bytes) else await outcome.wait()

    with pytest.raises(NoMaster) as error:
        await read_redis_url("redis+cluster://h:1,h:2,h:3").find((), ask, 0.05)
    assert str(error.value).startswith("no node describes a cluster (h:1: refused; h:2: no answer; h:3: its reply")


LEADS = "master,failover_in_progress"


@pytest.mark.parametrize(
    "told",
    [
        [answer(7000, 1, LEADS), answer(7000, 1), answer(7000, 1)],
        [answer(7000, 2, LEADS), answer(7000, 1), answer(7000, 1)],
        [answer(7000, 2, LEADS), OSError("refused"), asyncio.Event()],
        [ConnectionRefusedError("refused"), answer(7000, 1), answer(7000, 2, LEADS + ",s_down,o_down")],
    ],
    ids=["before the new epoch", "with the new epoch", "alone", "of a dead master"],
)
async def test_a_master_that_is_being_replaced_is_none(told):
    with pytest.raises(NoMaster, match="are replacing the master dnc"):
        await sentinels().find(asking(told), 0.05)


async def test_the_sentinel_that_leads_a_failover_does_not_outvote_one_that_knows_the_new_master():
    found = await sentinels().find(asking([answer(7000, 2, LEADS), answer(7001, 2), answer(7000, 1)]), 0.05)
    assert found == Found(Master("redis://127.0.0.1:7001/0", "2"), by_majority=True, by_all=True)


@pytest.mark.parametrize(
    ("told", "port"),
    [
        ([answer(7000, 1), answer(7001, 2), answer(7000, 1)], 7001),
        ([answer(7000, 1, "master,s_down"), answer(7000, 1), answer(7001, 1, "master,o_down")], 7000),
        ([ConnectionRefusedError("refused"), asyncio.Event(), answer(7002, 0)], 7002),
        ([[b"ip", b""], [], answer(7002, 0)], 7002),
    ],
    ids=["the latest failover", "the one that lives", "whoever answers", "whoever makes sense"],
)
async def test_of_all_that_the_sentinels_say_the_latest_failover_counts(told, port):
    found = await sentinels().find(asking(told), 0.05)
    assert found.master.url == f"redis://127.0.0.1:{port}/0"


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ([answer(7000, 1), asyncio.Event(), answer(7000, 1)], True),
        ([answer(7000, 1), answer(7001, 2), OSError("refused")], True),
        ([answer(7000, 1), asyncio.Event(), OSError("refused")], False),
        ([answer(7000, 1), [], [b"ip", b""]], False),
        ([answer(7000, 1, "master,s_down"), answer(7000, 1), answer(7000, 1, "master,s_down,o_down")], False),
        ([answer(7000, 1, "master,s_down"), answer(7000, 1), answer(7000, 1)], True),
    ],
    ids=[
        "all but a silent one",
        "all but a dead one",
        "one that was cut off",
        "one that knows the name",
        "one to whom it is up",
        "all but one to whom it is down",
    ],
)
async def test_a_master_is_certain_only_by_more_than_half_of_the_sentinels(told, most):
    assert (await sentinels().find(asking(told), 0.05)).by_majority is most


@pytest.mark.parametrize(
    ("last", "all_of_them"),
    [(answer(7000, 1), True), (answer(7000, 1, "master,s_down"), False), (OSError("gone"), False)],
)
async def test_a_master_is_named_by_all_only_if_no_sentinel_is_missing_or_in_doubt(last, all_of_them):
    assert (await sentinels().find(asking([answer(7000, 1), answer(7000, 1), last]), 0.05)).by_all is all_of_them


async def test_of_the_sentinels_that_consider_the_master_up_the_one_that_heard_from_it_first_counts():
    told = [answer(7000, 1, heard_ms=40, replicas=2), answer(7000, 1, heard_ms=900), answer(7000, 1, "s_down", 9000, 9)]
    found = await sentinels().find(asking(told), 0.05)
    assert (found.heard_s, found.replicas) == (0.9, 2)


async def test_a_sentinel_that_does_not_say_when_it_heard_from_the_master_heard_never():
    told = [answer(7000, 1)[:10], answer(7000, 1), OSError("refused")]
    found = await sentinels().find(asking(told), 0.05)
    assert (found.heard_s, found.replicas) == (math.inf, math.inf)


async def test_when_no_sentinel_can_say_it_the_error_tells_what_each_of_them_did():
    told = [ConnectionRefusedError("refused"), asyncio.Event(), []]
    with pytest.raises(NoMaster) as error:
        await sentinels().find(asking(told), 0.05)
    assert str(error.value) == (
        "no sentinel names the master dnc "
        "(127.0.0.1:1: refused; 127.0.0.1:2: no answer; 127.0.0.1:3: its reply names no master)"
    )


def test_the_same_server_in_another_reign_is_another_incarnation():
    assert Master("redis://a").incarnation("run") == "run"
    assert Master("redis://a", "1").incarnation("run") != Master("redis://a", "2").incarnation("run")


def asking(told):
    """Return a fake query that answers for each sentinel in turn. An event means silence; an error is raised."""
    outcomes = dict(zip(sentinels().urls(), told, strict=True))

    async def ask(url):
        outcome = outcomes[url]
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        return outcome

    return ask
