"""The URL of the projection's Redis: which ones are valid, whom they say to ask, and what of them is shown."""

from urllib.parse import quote

import pytest

from compliance.redis_masters import Cluster, Master, Named, Sentinels
from compliance.redis_url import ESCAPES, NO_SOCKET, NOTHING_LISTENS, read_redis_url, unreachable, without_secrets


def sentinels(url: str) -> Sentinels:
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
