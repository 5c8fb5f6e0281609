"""The URL of the projection's Redis, and which sentinel's answer about the master counts."""

import asyncio
import math
from urllib.parse import quote

import pytest

from compliance.redis_url import (
    ESCAPES,
    NO_SOCKET,
    NOTHING_LISTENS,
    Cluster,
    Found,
    Master,
    Named,
    NoMaster,
    Sentinels,
    read_redis_url,
    unreachable,
    without_secrets,
)

URL = "redis+sentinel://127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/dnc"


def answer(port: int, epoch: int, flags: str = "master", heard_ms: int = 0, replicas: int = 0) -> list[bytes | None]:
    words = ["name", "dnc", "ip", "127.0.0.1", "port", str(port), "flags", flags, "config-epoch", str(epoch)]
    words += ["last-ok-ping-reply", str(heard_ms), "num-slaves", str(replicas)]
    return [word.encode() for word in words]


def sentinels(url: str = URL) -> Sentinels:
    read = read_redis_url(url)
    assert isinstance(read, Sentinels)
    return read


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://u:p@h", "redis://[::1]:6379", "unix:///run/r.sock?db=2"])
def test_a_plain_url_needs_no_sentinel(url):
    assert read_redis_url(url) is None


@pytest.mark.parametrize(
    ("url", "asked", "master"),
    [
        ("redis+sentinel://a:1,b:2/dnc", ["redis://a:1", "redis://b:2"], "redis://10.0.0.1:6379/0"),
        ("redis+sentinel://a,[::1]:5/dnc/3", ["redis://a:26379", "redis://[::1]:5"], "redis://10.0.0.1:6379/3"),
        ("redis+sentinel://u:p%40@a/dnc", ["redis://a:26379"], "redis://u:p%40@10.0.0.1:6379/0"),
        (
            "rediss+sentinel://:p@a/dnc?ssl_ca_certs=/ca.pem&sentinel_password=s/1&sentinel_username=w",
            ["rediss://w:s%2F1@a:26379?ssl_ca_certs=%2Fca.pem"],
            "rediss://:p@10.0.0.1:6379/0?ssl_ca_certs=%2Fca.pem",
        ),
    ],
)
def test_a_sentinel_url_says_whom_to_ask_and_how_to_reach_the_master(url, asked, master):
    read = sentinels(url)
    assert read.urls() == asked
    told = ["ip", "10.0.0.1", "port", "6379", "config-epoch", "4"]
    assert read.read([word.encode() for word in told]) == Named(4, True, Master(master, "4"), False)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "redis://HOST:PORT/DB"),
        ("http://localhost", "redis://HOST:PORT/DB"),
        ("redis+sentinel://a:1,b:2", "name the master"),
        ("redis+sentinel://a:1/", "name the master"),
        ("redis+sentinel://a:1/dnc/x", "name the master"),
        ("redis+sentinel:///dnc", "each sentinel as HOST"),
        ("redis+sentinel://a:1,,b:2/dnc", "each sentinel as HOST"),
        ("redis+sentinel://a:99999/dnc", "each sentinel as HOST"),
        ("redis+sentinel://a:b/dnc", "each sentinel as HOST"),
        ("redis+sentinel://a/dnc?db=3", "after the master's name"),
        ("redis+cluster://", "each node as HOST"),
        ("redis+cluster://a:1,,b:2", "each node as HOST"),
        ("redis+cluster://a:99999", "each node as HOST"),
        ("redis+cluster://a:1/1", "only database 0"),
        ("redis+cluster://a:1?db=1", "only database 0"),
    ],
)
def test_a_url_that_is_none_says_how_to_write_it(url, says):
    with pytest.raises(ValueError, match=says):
        read_redis_url(url)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("redis+cluster://a,b:7001", ["redis://a:6379/0", "redis://b:7001/0"]),
        (
            "rediss+cluster://u:p%40@[::1]:7000?ssl_ca_certs=/ca.pem",
            ["rediss://u:p%40@[::1]:7000/0?ssl_ca_certs=%2Fca.pem"],
        ),
    ],
)
def test_a_cluster_url_says_whom_to_ask(url, asked):
    read = read_redis_url(url)
    assert isinstance(read, Cluster)
    assert [read.url(address) for address in read.addresses] == asked


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


SECRETS = ["xq/zw", "xq?zw", "xq#zw", "12/zw", "12?zw", "12#zw", "xq@zw", "xq@z/zw", "/zw", "#x@y/zw", "1/2@zw"]


def refusal_of(url: str) -> str:
    try:
        read_redis_url(url)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "url",
    [
        "redis://:{}@127.0.0.1:6379/0",
        "rediss://user:{}@db.example/0",
        "redis://{}:x@127.0.0.1",
        "unix://:{}@/run/r.sock",
        "redis+sentinel://:{}@a:1,b:2/dnc",
        "redis+sentinel://:x@a:1,b:2/dnc?sentinel_password={}@x",
        "redis+cluster://:{}@a:1,b:2",
    ],
)
def test_a_password_that_was_not_escaped_is_refused_and_never_shown(url: str, secret: str):
    said = refusal_of(url.format(secret))
    # Where hosts are separated by commas, the last @ ends the password, so it need not be escaped.
    assert ESCAPES in said or ("+" in url and secret == "xq@zw")
    assert "xq" not in said
    assert "zw" not in said


@pytest.mark.parametrize("secret", SECRETS)
def test_the_same_password_escaped_is_read(secret: str):
    assert read_redis_url(f"redis://:{quote(secret, safe='')}@127.0.0.1:6379/0") is None
    assert sentinels(f"redis+sentinel://:{quote(secret, safe='')}@a:1/dnc").addresses == ("a:1",)


@pytest.mark.parametrize("written", ["a,b:1", "a,a,b:1", "a, a:26379 ,b:1", "a,b:1,a,a,b:1"])
def test_a_sentinel_that_is_written_twice_is_asked_once_and_counts_once(written):
    assert sentinels(f"redis+sentinel://{written}/dnc").addresses == ("a:26379", "b:1")


@pytest.mark.parametrize("url", ["redis://h:port", "redis://h:99999", "redis://h/x", "redis://:6379", "redis://h/0/1"])
def test_a_url_with_another_fault_repeats_nothing_of_it(url: str):
    with pytest.raises(ValueError, match=r"^write redis://HOST:PORT/DB") as caught:
        read_redis_url(url)
    assert url not in str(caught.value)


def test_no_secret_of_a_url_is_shown():
    assert without_secrets("redis+sentinel://u:hunter2@a:1,b:2/dnc?sentinel_password=hunter2") == (
        "redis+sentinel://a:1,b:2/dnc"
    )


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


def test_only_of_a_socket_that_is_not_there_it_is_said_what_to_set():
    missing = FileNotFoundError(2, "No such file or directory")
    assert unreachable("unix:///run/r.sock", missing) == NO_SOCKET
    assert unreachable("unix:///run/r.sock", PermissionError("denied")) == "denied"
    # A missing certificate of a TLS connection raises the same error.
    assert unreachable("rediss://h", missing) == str(missing)


def test_of_an_address_where_nothing_listens_it_is_said_what_to_check():
    refused = ConnectionError("Error 111 connecting to localhost:1")
    refused.__context__ = ConnectionRefusedError(111, "Connect call failed")
    for url in ("redis://localhost:1", "unix:///run/r.sock"):
        assert unreachable(url, refused) == NOTHING_LISTENS
        assert unreachable(url, ConnectionRefusedError("refused")) == NOTHING_LISTENS
    assert unreachable("redis://localhost:1", ConnectionError("reset")) == "reset"


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
