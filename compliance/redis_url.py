"""The URL of the projection's Redis: one server, a master behind Sentinel, or a cluster.

    redis://[USER:PASSWORD@]HOST:PORT/DB    rediss://… with TLS    unix:///PATH/TO/SOCKET
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…/NAME[/DB][?OPTIONS]    rediss+sentinel://… with TLS
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…[?OPTIONS]    rediss+cluster://… with TLS

USER and PASSWORD are those of the master, or of every node of the cluster. The options `sentinel_username` and
`sentinel_password` are for the sentinels. All other options are for the master or node; those that begin with `ssl_`
are for the sentinels too. A few addresses of a cluster are enough, because each node knows the others.

This module does no input or output: the caller passes a function that queries one sentinel or one node.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

from compliance.cluster import NotACluster, Shard, Topology, merge_views, read_nodes
from compliance.redis_connection import error_reply
from compliance.redis_options import options_of

Reply = TypeVar("Reply")

URL_HELP = (
    "write redis://HOST:PORT/DB, rediss://… for TLS, unix:///PATH/TO/SOCKET, "
    "redis+sentinel://HOST:PORT,HOST:PORT/NAME for Sentinel, or redis+cluster://HOST:PORT,HOST:PORT for a cluster"
)
DIRECT_SCHEMES = {"redis", "rediss", "unix"}
SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
NO_SOCKET = (
    "there is no such socket; set DNC_REDIS_URL, to redis://127.0.0.1:6379 say, "
    "or start the private Redis with scripts/up"
)
"""The message for an operator who has not set a URL while no private Redis runs."""
NOTHING_LISTENS = "nothing listens there; check that this Redis runs, and check DNC_REDIS_URL"

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379

ESCAPES = "In user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"

_DATABASE = re.compile(r"/?|/[0-9]{1,9}", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(?::([0-9]{1,5}))?")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class NoMaster(Exception):
    """No sentinel or node named a master. The message says what each of them replied."""


@dataclass(frozen=True, slots=True)
class Master:
    """The master Redis: its plain URL and its epoch. The epoch is empty if the settings have a plain URL.

    The epoch is Sentinel's `config-epoch`, or `cluster.Shard.reign`. If a server becomes the master for a second time,
    it has another epoch. Data from its first reign may have been lost in between.
    """

    url: str
    epoch: str = ""

    def incarnation(self, run_id: str) -> str:
        """Return the name of the server process `run_id` during this reign."""
        return f"{run_id}.{self.epoch}" if self.epoch else run_id


class Named(NamedTuple):
    """The master that one sentinel names.

    `is_up` says whether the sentinel considers it up, `is_replacing` whether the sentinel leads a failover that will
    replace it. `heard_s` is the time in seconds since the master last answered the sentinel. `replicas` is the number
    of replicas that the sentinel knows, with those that are down. Both are infinite if the sentinel does not say them.
    """

    epoch: int
    is_up: bool
    master: Master
    is_replacing: bool
    heard_s: float = math.inf
    replicas: float = math.inf


class Found(NamedTuple):
    """The master of the latest failover that the sentinels know of.

    `by_majority` says whether more than half of them have answered and do not consider this master down, `by_all`
    whether all of them have. Sentinels that are cut off together with a master do not know that the others have
    replaced it, and for a few seconds only the sentinel that led a failover knows of it. `heard_s` and `replicas` are
    the highest values of the sentinels that consider the master up (`Named`).
    """

    master: Master
    by_majority: bool
    by_all: bool = False
    heard_s: float = 0.0
    replicas: float = 0


@dataclass(frozen=True, slots=True)
class Sentinels:
    """A parsed Sentinel URL. `addresses` are HOST:PORT, and `name` is the sentinels' name for the master."""

    scheme: str
    user: str
    addresses: tuple[str, ...]
    name: str
    db: str
    options: tuple[tuple[str, str], ...]

    @property
    def question(self) -> tuple[str | bytes | int, ...]:
        """The command that queries a sentinel for the master."""
        return "SENTINEL", "MASTER", self.name

    def urls(self) -> list[str]:
        """Return the plain URL of each sentinel."""
        given = dict(self.options)
        name, password = (quote(given.get(option, ""), safe="") for option in _SENTINEL_OPTIONS)
        user = f"{name}:{password}@" if name or password else ""
        options = _query([option for option in self.options if option[0].startswith("ssl_")])
        return [f"{self.scheme}://{user}{address}{options}" for address in self.addresses]

    def read(self, reply: Sequence[bytes | None]) -> "Named | None":
        """Parse a sentinel's reply. Return None if it names no master."""
        words = [word.decode("utf-8", "replace") for word in reply if word is not None]
        fields = dict(zip(words[::2], words[1::2], strict=False))
        host, port, epoch = fields.get("ip", ""), fields.get("port", ""), fields.get("config-epoch", "")
        if not host or not port.isdecimal() or not epoch.isdecimal():
            return None
        where = f"[{host}]" if ":" in host else host
        options = _query([option for option in self.options if option[0] not in _SENTINEL_OPTIONS])
        url = f"{self.scheme}://{self.user}{where}:{port}/{self.db}{options}"
        flags = fields.get("flags", "")
        return Named(
            int(epoch), "down" not in flags, Master(url, epoch), "failover_in_progress" in flags,
            _number(fields.get("last-ok-ping-reply", "")) / 1000, _number(fields.get("num-slaves", "")),
        )  # fmt: skip

    async def find(self, ask: Callable[[str], Awaitable[Sequence[bytes | None]]], within_s: float) -> Found:
        """Query all sentinels at once for `within_s` seconds; return the master of the latest failover.

        `ask` sends `question` to the sentinel at a URL and returns the reply; it may raise anything. Raises NoMaster.
        """
        # The first reply is not enough: a sentinel that was cut off still names the old master. The highest
        # config-epoch wins, as among the sentinels (Redis documentation, "High availability with Redis Sentinel").
        outcomes = await _ask_all(ask, self.urls(), within_s)
        found, troubles = list[Named](), list[str]()
        for address, outcome in zip(self.addresses, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                troubles.append(f"{address}: {_trouble(outcome)}")
            elif answer := self.read(outcome):
                found.append(answer)
            else:
                troubles.append(f"{address}: its reply names no master")
        if not found:
            raise NoMaster(f"no sentinel names the master {self.name} ({'; '.join(troubles)})")
        # The sentinel that leads a failover names the old master until the failover ends, from some moment on with the
        # new epoch (Redis source, sentinel.c, sentinelFailoverPromoteSlave). So it only says who is being replaced.
        leaving = {named.master.url for named in found if named.is_replacing}
        best = max((named for named in found if not named.is_replacing), key=lambda named: named[:2], default=None)
        if best is None or best.master.url in leaving:
            raise NoMaster(f"the sentinels are replacing the master {self.name}")
        sure = sum(named.is_up or named.master != best.master for named in found)
        every = len(self.addresses)
        up = [named for named in found if named.is_up and named.master == best.master]
        return Found(
            best.master, by_majority=2 * sure > every, by_all=sure == every,
            heard_s=max((named.heard_s for named in up), default=math.inf),
            replicas=max((named.replicas for named in up), default=math.inf),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cluster:
    """A parsed cluster URL. `addresses` are the HOST:PORT of some of the nodes."""

    scheme: str
    user: str
    addresses: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @property
    def question(self) -> tuple[str | bytes | int, ...]:
        """The command that queries a node for all nodes of the cluster."""
        return "CLUSTER", "NODES"

    def url(self, address: str) -> str:
        """Return the plain URL of the node at HOST:PORT."""
        return f"{self.scheme}://{self.user}{address}/0{_query(self.options)}"

    def master(self, shard: Shard) -> Master:
        """Return the master of a shard."""
        return Master(self.url(shard.address), shard.reign)

    async def find(
        self,
        known: Iterable[str],
        ask: Callable[[str], Awaitable[bytes]],
        within_s: float,
        *,
        rest_s: float | None = None,
    ) -> Topology:
        """Query the nodes of the URL and the `known` ones at once for `within_s` seconds; merge their views.

        With `rest_s`, silent nodes are waited for only that long once most nodes have replied. `ask` sends `question`
        to the node at a URL and returns the reply; it may raise anything. Raises NoMaster.
        """
        addresses = list(dict.fromkeys([*self.addresses, *known]))
        outcomes = await _ask_all(ask, [self.url(address) for address in addresses], within_s, rest_s)
        views, troubles = [], list[str]()
        for address, outcome in zip(addresses, outcomes, strict=True):
            try:
                if isinstance(outcome, BaseException):
                    troubles.append(f"{address}: {_trouble(outcome)}")
                else:
                    views.append(read_nodes(outcome, address))
            except NotACluster as error:
                troubles.append(f"{address}: {error}")
        try:
            return merge_views(views)
        except NotACluster as error:
            raise NoMaster(f"no node describes a cluster ({'; '.join(troubles) or error})") from None


async def _ask_all(
    ask: Callable[[str], Awaitable[Reply]], urls: Sequence[str], within_s: float, rest_s: float | None = None
) -> list[Reply | BaseException]:
    """Query all URLs at once; return the reply or the exception of each. CancelledError means no reply in time."""
    asking = [asyncio.ensure_future(ask(url)) for url in urls]
    try:
        if rest_s is None:
            await asyncio.wait(asking, timeout=within_s)
        else:
            await _most(asking, within_s)
            await asyncio.wait(asking, timeout=rest_s)
    finally:
        for task in asking:
            task.cancel()
    return await asyncio.gather(*asking, return_exceptions=True)


async def _most(asking: Sequence[asyncio.Future[Reply]], within_s: float) -> None:
    """Wait until more than half of the queries have been answered, or all have ended, but at most `within_s`."""
    left = set(asking)
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while left and 2 * sum(one.done() and not one.exception() for one in asking) <= len(asking):
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)


def read_redis_url(url: str) -> Sentinels | Cluster | None:
    """Parse the URL of the projection's Redis; return None for a plain one.

    Raises ValueError with a message that shows the valid forms.
    """
    scheme = url.partition("://")[0]
    if scheme in CLUSTER_SCHEMES:
        return _cluster(url)
    if scheme in SENTINEL_SCHEMES:
        return _sentinels(url)
    if scheme not in DIRECT_SCHEMES or not _is_plain(url):
        raise ValueError(f"{URL_HELP}. {ESCAPES}")
    options_of(scheme, urlsplit(url).query)
    return None


def _is_plain(url: str) -> bool:
    """Return whether the URL of one server can be parsed, and no part of a password is taken for something else.

    The characters / ? # end the host. So a password that contains one of them unescaped ends in the port, the path or
    the options. No message may then show these, because redis-py and urlsplit would.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.fragment or "@" in parts.path + parts.query or "@" in (parts.username or "") + (parts.password or ""):
        return False
    if parts.scheme == "unix":
        return bool(parts.path) and not host and port is None
    return bool(host) and _is_host(host or "") and _DATABASE.fullmatch(parts.path) is not None


def without_secrets(url: str) -> str:
    """Return a Redis URL that is safe to show: without user, password and options."""
    return re.sub("//[^/]*@", "//", url.partition("?")[0])


def unreachable(url: str, error: Exception) -> str:
    """Return why the Redis at `url` could not be reached. If nothing listens there, say what to do."""
    # redis-py may raise its own error while it handles the FileNotFoundError, which is then in __context__.
    missing = isinstance(error, FileNotFoundError) or isinstance(error.__context__, FileNotFoundError)
    if missing and url.startswith("unix:"):
        return NO_SOCKET
    refused = any(isinstance(one, ConnectionRefusedError) for one in (error, error.__context__, error.__cause__))
    return NOTHING_LISTENS if refused else error_reply(error)


class _Parts(NamedTuple):
    scheme: str
    hosts: str
    path: str
    query: str


def _split(url: str) -> _Parts:
    """Split a URL of several hosts (RFC 3986, appendix B)."""
    # urlsplit refuses an IPv6 address among several hosts since the fix of CVE-2025-0938 (CPython gh-105704).
    scheme, _, rest = url.partition("#")[0].partition("://")
    rest, _, query = rest.partition("?")
    hosts, slash, path = rest.partition("/")
    return _Parts(scheme, hosts, slash + path, query)


def _sentinels(url: str) -> Sentinels:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    name, _, db = parts.path.removeprefix("/").partition("/")
    if not name or not (db or "0").isdecimal() or "@" in parts.path + parts.query or "#" in url:
        raise ValueError(
            f"name the master after the sentinels: redis+sentinel://HOST:PORT,HOST:PORT/NAME or …/NAME/DB. {ESCAPES}"
        )
    options = options_of(parts.scheme, parts.query)
    if any(option == "db" for option, _ in options):
        raise ValueError("write the number of the database after the master's name: …/NAME/DB")
    # A sentinel that is written twice must not count twice for a majority.
    addresses = tuple(dict.fromkeys(_address(host.strip()) for host in hosts.split(",")))
    return Sentinels(SENTINEL_SCHEMES[parts.scheme], user + at, addresses, unquote(name), db or "0", options)


def _cluster(url: str) -> Cluster:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    if parts.path.strip("/") or "@" in parts.query or "#" in url:
        raise ValueError(f"a cluster has only database 0: write redis+cluster://HOST:PORT,HOST:PORT. {ESCAPES}")
    options = options_of(parts.scheme, parts.query)
    if any(option == "db" for option, _ in options):
        raise ValueError("a cluster has only database 0: leave db out")
    addresses = tuple(_address(host.strip(), CLUSTER_PORT, "node") for host in hosts.split(","))
    return Cluster(CLUSTER_SCHEMES[parts.scheme], user + at, addresses, options)


def _address(host: str, port: int = SENTINEL_PORT, what: str = "sentinel") -> str:
    found = _ADDRESS.fullmatch(host)
    if found is None or int(found[2] or port) > 65535 or not _is_host(found[1]):
        raise ValueError(f"write each {what} as HOST or HOST:PORT, separated by commas. {ESCAPES}")
    return f"{found[1]}:{found[2] or port}"


def _is_host(name: str) -> bool:
    """Return whether a host name can be looked up: an impossible one raises UnicodeError (socket.getaddrinfo)."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _query(options: Sequence[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""


def _number(word: str) -> float:
    """Return a number of a sentinel's reply; infinity if it is missing."""
    return int(word) if word.isdecimal() else math.inf


def _trouble(outcome: BaseException) -> str:
    """Return the reason why a query failed, as words for a message."""
    silent = isinstance(outcome, asyncio.CancelledError | TimeoutError)
    return "no answer" if silent else error_reply(outcome)
