"""Where the Redis of the projection is: at one address, wherever the sentinels say, or on the shards of a cluster.

    redis://[USER:PASSWORD@]HOST:PORT/DB    rediss://… with TLS    unix:///PATH/TO/SOCKET
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…/NAME[/DB][?OPTIONS]    rediss+sentinel://… with TLS
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…[?OPTIONS]    rediss+cluster://… with TLS

USER and PASSWORD are those of the master, or of every node of the cluster. The options `sentinel_username` and
`sentinel_password` are for the sentinels; all others go to the master or node, and those that begin with `ssl_` to
the sentinels as well. Of a cluster some addresses are enough: each node knows the others.

No input or output here: whoever looks for a master brings his own way to ask one sentinel, or one node.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from compliance.cluster import NotACluster, Shard, Topology, agree, read_nodes

Said = TypeVar("Said")

HOW_TO_WRITE = (
    "write redis://HOST:PORT/DB, rediss://… for TLS, unix:///PATH/TO/SOCKET, "
    "redis+sentinel://HOST:PORT,HOST:PORT/NAME for Sentinel, or redis+cluster://HOST:PORT,HOST:PORT for a cluster"
)
DIRECT_SCHEMES = {"redis", "rediss", "unix"}
SENTINEL_SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
NO_SOCKET = "there is no such socket; set DNC_REDIS_URL, to redis://127.0.0.1:6379 say, or start the private Redis"
"""What an operator reads who has set no URL while no private Redis runs."""

SENTINEL_PORT = 26379
CLUSTER_PORT = 6379

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(?::([0-9]{1,5}))?")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class NoMaster(Exception):
    """Nobody could say where the master is; the message has what each who was asked did."""


@dataclass(frozen=True, slots=True)
class Master:
    """The Redis to be asked: its plain URL, and the failover that made it master ("" where there is none).

    That is Sentinel's number, or `cluster.Shard.reign`. It tells two reigns of one server apart: what it held in the
    first may have been lost before the second.
    """

    url: str
    epoch: str = ""

    def incarnation(self, run_id: str) -> str:
        """Name the server process with `run_id` for the time that it is this master."""
        return f"{run_id}.{self.epoch}" if self.epoch else run_id


@dataclass(frozen=True, slots=True)
class Sentinels:
    """A Sentinel URL, read. `addresses` are HOST:PORT; `name` is what the sentinels call the master."""

    scheme: str
    user: str
    addresses: tuple[str, ...]
    name: str
    db: str
    options: tuple[tuple[str, str], ...]

    @property
    def question(self) -> tuple[str | bytes | int, ...]:
        """The command that asks a sentinel for the master."""
        return "SENTINEL", "MASTER", self.name

    def urls(self) -> list[str]:
        """Give the plain URL of each sentinel."""
        given = dict(self.options)
        name, password = (quote(given.get(option, ""), safe="") for option in _SENTINEL_OPTIONS)
        user = f"{name}:{password}@" if name or password else ""
        options = _query([option for option in self.options if option[0].startswith("ssl_")])
        return [f"{self.scheme}://{user}{address}{options}" for address in self.addresses]

    def read(self, reply: Sequence[bytes | None]) -> tuple[int, bool, Master] | None:
        """Read a sentinel's answer: the number of the last failover, whether the master lives, and where it is.

        None for anything but such an answer.
        """
        words = [word.decode("utf-8", "replace") for word in reply if word is not None]
        fields = dict(zip(words[::2], words[1::2], strict=False))
        host, port, epoch = fields.get("ip", ""), fields.get("port", ""), fields.get("config-epoch", "")
        if not host or not port.isdecimal() or not epoch.isdecimal():
            return None
        where = f"[{host}]" if ":" in host else host
        options = _query([option for option in self.options if option[0] not in _SENTINEL_OPTIONS])
        url = f"{self.scheme}://{self.user}{where}:{port}/{self.db}{options}"
        return int(epoch), "down" not in fields.get("flags", ""), Master(url, epoch)

    async def find(self, ask: Callable[[str], Awaitable[Sequence[bytes | None]]], within_s: float) -> Master:
        """Ask all sentinels at once; of what is answered within `within_s` seconds the latest failover counts.

        `ask` puts the question to the sentinel at a URL, and raises whatever keeps it from an answer. One sentinel
        that has not heard of a failover, or that is silent, does not matter then. Raises NoMaster.
        """
        outcomes = await _ask_all(ask, self.urls(), within_s)
        found, troubles = list[tuple[int, bool, Master]](), list[str]()
        for address, outcome in zip(self.addresses, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                troubles.append(f"{address}: {_trouble(outcome)}")
            elif answer := self.read(outcome):
                found.append(answer)
            else:
                troubles.append(f"{address}: its answer names no master")
        if not found:
            raise NoMaster(f"no sentinel names the master {self.name} ({'; '.join(troubles)})")
        return max(found, key=lambda answer: answer[:2])[2]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's URL, read. `addresses` are the HOST:PORT of some of its nodes."""

    scheme: str
    user: str
    addresses: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    @property
    def question(self) -> tuple[str | bytes | int, ...]:
        """The command that asks a node for the cluster."""
        return "CLUSTER", "NODES"

    def url(self, address: str) -> str:
        """Give the plain URL of the node at HOST:PORT."""
        return f"{self.scheme}://{self.user}{address}/0{_query(self.options)}"

    def master(self, shard: Shard) -> Master:
        """Say where a shard is."""
        return Master(self.url(shard.address), shard.reign)

    async def find(self, known: Iterable[str], ask: Callable[[str], Awaitable[bytes]], within_s: float) -> Topology:
        """Ask the nodes of the URL, and those `known` besides, at once; of what they answer in time make one topology.

        `ask` puts the question to the node at a URL, and raises whatever keeps it from an answer. Raises NoMaster.
        """
        addresses = list(dict.fromkeys([*self.addresses, *known]))
        outcomes = await _ask_all(ask, [self.url(address) for address in addresses], within_s)
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
            return agree(views)
        except NotACluster as error:
            raise NoMaster(f"no node tells of a cluster ({'; '.join(troubles) or error})") from None


async def _ask_all(
    ask: Callable[[str], Awaitable[Said]], urls: Sequence[str], within_s: float
) -> list[Said | BaseException]:
    """Ask all of them at once; give for each its answer, or what kept it from one within `within_s` seconds."""
    asking = [asyncio.ensure_future(ask(url)) for url in urls]
    try:
        await asyncio.wait(asking, timeout=within_s)
    finally:
        for task in asking:
            task.cancel()
    return await asyncio.gather(*asking, return_exceptions=True)


def read_redis_url(url: str) -> Sentinels | Cluster | None:
    """Read the URL of the projection's Redis; None for a plain one. Raises ValueError that says how to write it."""
    scheme = url.partition("://")[0]
    if scheme in CLUSTER_SCHEMES:
        return _cluster(url)
    if scheme in SENTINEL_SCHEMES:
        return _sentinels(url)
    parts = urlsplit(url)
    if parts.scheme not in DIRECT_SCHEMES or not (parts.netloc or parts.path):
        raise ValueError(HOW_TO_WRITE)
    return None


def without_secrets(url: str) -> str:
    """Give a Redis URL for people to read: without user, password and options."""
    return re.sub("//[^/]*@", "//", url.partition("?")[0])


def unreachable(url: str, error: Exception) -> str:
    """Return why the Redis at `url` could not be reached, and what to do when the socket of the URL does not exist."""
    # redis-py raises an error of its own while it handles the system's.
    missing = isinstance(error, FileNotFoundError) or isinstance(error.__context__, FileNotFoundError)
    return NO_SOCKET if missing and url.startswith("unix:") else str(error)


class _Parts(NamedTuple):
    scheme: str
    hosts: str
    path: str
    query: str


def _split(url: str) -> _Parts:
    """Split a URL of several hosts (RFC 3986, appendix B). The library's way takes none with IPv6 addresses among them:
    newer Pythons want no more than one host there.
    """
    scheme, _, rest = url.partition("#")[0].partition("://")
    rest, _, query = rest.partition("?")
    hosts, slash, path = rest.partition("/")
    return _Parts(scheme, hosts, slash + path, query)


def _sentinels(url: str) -> Sentinels:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    name, _, db = parts.path.removeprefix("/").partition("/")
    if not name or not (db or "0").isdecimal():
        raise ValueError("name the master behind the sentinels: redis+sentinel://HOST:PORT,HOST:PORT/NAME or …/NAME/DB")
    options = parse_qsl(parts.query, keep_blank_values=True)
    if any(option == "db" for option, _ in options):
        raise ValueError("write the number of the database behind the master's name: …/NAME/DB")
    addresses = tuple(_address(host.strip()) for host in hosts.split(","))
    return Sentinels(SENTINEL_SCHEMES[parts.scheme], user + at, addresses, unquote(name), db or "0", tuple(options))


def _cluster(url: str) -> Cluster:
    parts = _split(url)
    user, at, hosts = parts.hosts.rpartition("@")
    if parts.path.strip("/"):
        raise ValueError("a cluster has no other database than 0: redis+cluster://HOST:PORT,HOST:PORT")
    options = parse_qsl(parts.query, keep_blank_values=True)
    if any(option == "db" for option, _ in options):
        raise ValueError("a cluster has no other database than 0: leave db out")
    addresses = tuple(_address(host.strip(), CLUSTER_PORT, "node") for host in hosts.split(","))
    return Cluster(CLUSTER_SCHEMES[parts.scheme], user + at, addresses, tuple(options))


def _address(host: str, port: int = SENTINEL_PORT, what: str = "sentinel") -> str:
    found = _ADDRESS.fullmatch(host)
    if found is None or int(found[2] or port) > 65535:
        raise ValueError(f"write each {what} as HOST or HOST:PORT, separated by commas")
    return f"{found[1]}:{found[2] or port}"


def _query(options: Sequence[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""


def _trouble(outcome: BaseException) -> str:
    """Say in words what kept somebody from an answer."""
    silent = isinstance(outcome, asyncio.CancelledError | TimeoutError)
    return "no answer" if silent else str(outcome) or type(outcome).__name__
