"""The master of a Redis behind Sentinel, and the masters of a cluster, as the sentinels or nodes name them.

This module does no input or output: the caller passes a function that queries one sentinel or one node.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from compliance.cluster import NotACluster, Shard, Topology, merge_views, read_nodes
from compliance.redis_connection import error_reply

Reply = TypeVar("Reply")

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


def _query(options: Sequence[tuple[str, str]]) -> str:
    return f"?{urlencode(options)}" if options else ""


def _number(word: str) -> float:
    """Return a number of a sentinel's reply; infinity if it is missing."""
    return int(word) if word.isdecimal() else math.inf


def _trouble(outcome: BaseException) -> str:
    """Return the reason why a query failed, as words for a message."""
    silent = isinstance(outcome, asyncio.CancelledError | TimeoutError)
    return "no answer" if silent else error_reply(outcome)
