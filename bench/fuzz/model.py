"""A model of Redis behind the gate's own connection: it reads RESP, answers from a world, and can break its answers."""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import NamedTuple, cast

import hiredis
from redis.asyncio.connection import AbstractConnection

from bench.fuzz.judge import Recorded
from bench.fuzz.worlds import EMPTY, World
from compliance.redis_records import DECISION_FIELDS

ODD = (
    b"-ERR odd\r\n", b"$-1\r\n", b"*0\r\n", b":2\r\n", b":-1\r\n", b"*-1\r\n", b"*2\r\n:1\r\n:1\r\n", b"$0\r\n\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n", b"-OOM command not allowed\r\n", b"-READONLY replica\r\n",
    b"-MOVED 5397 127.0.0.1:7001\r\n", b"-CLUSTERDOWN Hash slot not served\r\n", b"$4\r\nyes!\r\n", b"+OK\r\n",
    b"-NOSCRIPT No matching script\r\n", b"*5\r\n$1\r\n7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", b":9223372036854775807\r\n",
)  # fmt: skip
"""Replies that belong to no command of the gate, or that refuse it."""

BROKEN = (b"\0", b"?what\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*99999999999999999999\r\n")
"""What no parser of RESP accepts."""

_FIRST = 7
_CAMPAIGN = _FIRST + len(DECISION_FIELDS)
_ID, _VERDICT = DECISION_FIELDS.index("id"), DECISION_FIELDS.index("verdict")


class Reply(NamedTuple):
    """A reply in RESP, and the name of its command."""

    command: bytes
    text: bytes


class ModelRedis:
    """A transport for the gate's pipe. It keeps its replies until the driver takes them.

    `recorded` has the entries of the stream by the id of their decision. `has_script` says whether the script of the
    gate is loaded.
    """

    def __init__(self) -> None:
        self._parser = hiredis.Reader()
        self._replies: list[Reply] = []
        self.recorded: dict[bytes, list[Recorded]] = {}
        self.has_script = True
        self._moments, self._at, self._moves_at, self._writes = [EMPTY], 0, 0, 0
        self._writable = True
        self._world, self._before = EMPTY, EMPTY
        self._answers: dict[bytes, Callable[[list[bytes]], bytes]] = {
            b"HMGET": self._state, b"EXISTS": self._lease, b"SISMEMBER": self._member, b"GET": self._get,
            b"XADD": self._append, b"EVALSHA": self._append_if, b"WAIT": self._wait, b"SCRIPT": self._load,
        }  # fmt: skip

    @property
    def connection(self) -> AbstractConnection:
        """What the pipe takes over: an object with this transport."""
        return cast("AbstractConnection", SimpleNamespace(_writer=SimpleNamespace(transport=self)))

    def begin(self, moments: list[World], moves_at: int, *, writable: bool) -> None:
        """Begin a tick in the first of `moments`. The pipeline with the number `moves_at` finds the second, if any."""
        self._moments, self._at, self._moves_at, self._writes = moments, 0, moves_at, 0
        self._world = self._before = moments[0]
        self._writable = writable
        self.recorded.clear()

    def taken(self) -> list[Reply]:
        """Return the replies that were not delivered yet, and forget them."""
        replies, self._replies = self._replies, []
        return replies

    def set_protocol(self, _: object) -> None:
        """Do nothing: the driver delivers replies itself."""

    def abort(self) -> None:
        """Lose what was not delivered."""
        self._replies = []

    def write(self, data: bytes) -> None:
        """Run the commands of one pipeline."""
        if self._writes == self._moves_at and self._at + 1 < len(self._moments):
            self._at += 1
            self._before, self._world = self._world, self._moments[self._at]
        self._writes += 1
        self._parser.feed(data)
        while command := self._parser.gets():
            self._replies.append(Reply(command[0], self._answers[command[0]](command)))

    def _of(self, generation: bytes) -> World:
        """Return the world that a generation shows. A replaced one still shows what it held; FLUSHALL leaves none."""
        for world in (self._world, self._before):
            if self._world.complete and world.state[0] == generation:
                return world
        return EMPTY

    def _state(self, _: list[bytes]) -> bytes:
        return b"*5\r\n" + b"".join(map(_bulk, self._world.state or (None,) * 5))

    def _lease(self, _: list[bytes]) -> bytes:
        return b":1\r\n" if self._world.leased else b":0\r\n"

    def _holds(self, key: bytes, line: bytes) -> bool:
        _, generation, name, exchange = key.split(b":")
        number = f"+{exchange[1:-1].decode()}{int(line):04d}"
        return number in self._of(generation).holders.get(name.decode(), ())

    def _member(self, command: list[bytes]) -> bytes:
        return b":1\r\n" if self._holds(command[1], command[2]) else b":0\r\n"

    def _get(self, command: list[bytes]) -> bytes:
        words = command[1].split(b":")
        world = self._of(words[1])
        if words[2] == b"terms":
            return _bulk(world.document)
        exchange, line, lead = words[3][1:-1].decode(), int(words[4]), words[5].decode()
        return _bulk(world.overrides.get((f"+{exchange}{line:04d}", lead)))

    def _append(self, command: list[bytes]) -> bytes:
        values = command[4::2]
        return self._add(values[_ID], values[_VERDICT], b"1-1")

    def _append_if(self, command: list[bytes]) -> bytes:
        if not self.has_script:
            return b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
        words = command[2:]  # The words of Lua's ARGV have the same positions here, because command[2] is the 0.
        state = self._world.state
        if not self._world.complete:
            return b"-ERR invalid value (boolean) at index 1 in table for 'concat'\r\n"
        if b"\n".join(one or b"" for one in state) != words[4] or not self._world.leased:
            return b":0\r\n"
        if any(self._holds(key, words[5]) for key in words[_CAMPAIGN + 1 :]):
            return b":0\r\n"
        return self._add(decision := words[_FIRST + _ID], words[_FIRST + _VERDICT], decision)

    def _add(self, decision: bytes, verdict: bytes, reply: bytes) -> bytes:
        if not self._writable:
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        self.recorded.setdefault(decision, []).append(Recorded(verdict, self._at))
        return _bulk(reply)

    def _wait(self, _: list[bytes]) -> bytes:
        return b":%d\r\n" % self._world.acknowledged

    def _load(self, _: list[bytes]) -> bytes:
        self.has_script = True
        return b"$40\r\n%b\r\n" % (b"a" * 40)


def _bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def odd_reply(rng: Random, command: bytes) -> bytes:
    """Return a reply that a sound Redis never gives to this command of the gate."""
    while True:
        reply = ODD[int(rng.random() * len(ODD))]
        if command != b"WAIT" or reply[:1] != b":":  # Any number may be the number of replicas.
            return reply
