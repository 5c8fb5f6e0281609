"""Faults of what a Redis holds: data that is lost, older, cut, evicted or refused, and scripts and connections."""

import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from redis.exceptions import RedisError

from tests.faults.harness.faults.fault import CannotBegin
from tests.faults.harness.faults.servers import OnMaster, revive
from tests.faults.harness.redises import client_of
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import FORWARD_S, REBUILT_S, RECONNECT_S, UNARCHIVED_S

FILES = "appendonlydir"
DECISIONS = "dnc:decisions*"
EVICTING = "allkeys-random"
EVICTED_BYTES = 4096
LONGEST_BACKLOG_MS = 60_000
"""A decision that says it is older has the time of a clock that was stepped."""

NOTICED_S = 2.0
"""How long a policy that evicts stands before anything is evicted: the product looks at it once a second."""


class Destroying(OnMaster):
    """A fault after which decisions are missing that stood in this Redis alone."""

    back_within_s, holds_s, destroys = REBUILT_S, (0.0, 0.0), True

    def choose_and_look(self, stack: FaultStack) -> None:
        """Find the target, and note from when on its decisions stand in it alone."""
        server = self.choose(stack)
        now_ns, now_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        try:
            with client_of(server) as client:
                keys = client.scan_iter(DECISIONS, count=10_000, _type="stream")
                made = [_made_ms(*entry) for key in keys for entry in client.xrange(key)]
        except RedisError as error:
            raise CannotBegin(f"{self.target} does not say what it holds: {error}") from error
        oldest_ms = min([now_ms - int(UNARCHIVED_S * 1000), *made])
        self.loses_from = now_ns - (now_ms - oldest_ms) * 1_000_000


def _made_ms(entry: bytes, fields: Mapping[bytes, bytes]) -> int:
    """Return when a decision was made. Blocked calls are appended later, if Redis was away."""
    appended, made = int(entry.partition(b"-")[0]), int(fields.get(b"at", 0))
    return made if appended - LONGEST_BACKLOG_MS < made < appended else appended


class Emptied(Destroying):
    """A server is killed and comes back at once without any data."""

    kind = "redis-empty"

    def begin(self, stack: FaultStack) -> None:
        self.choose_and_look(stack)
        self.chosen.running.kill()
        shutil.rmtree(self.chosen.directory / FILES)
        for dump in self.chosen.directory.glob("*.rdb"):
            dump.unlink()
        revive(stack, self.chosen)


class OlderCopy(Destroying):
    """A copy of a server's files is made, and brought back some seconds later."""

    kind, holds_s = "redis-older-copy", (1.0, 6.0)

    def begin(self, stack: FaultStack) -> None:
        self.choose_and_look(stack)
        self._copy = stack.directory / f"copy-{random.getrandbits(32):08x}"
        try:
            shutil.copytree(self.chosen.directory / FILES, self._copy)
        except shutil.Error as error:  # A file was replaced meanwhile.
            raise CannotBegin(f"no copy: {error}") from error

    def end(self, stack: FaultStack) -> None:
        self.chosen.running.kill()
        shutil.rmtree(self.chosen.directory / FILES)
        shutil.move(self._copy, self.chosen.directory / FILES)
        revive(stack, self.chosen)


class AofCut(Destroying):
    """A server is killed, and its append-only file ends in the middle when it comes back."""

    kind = "redis-aof-cut"

    def begin(self, stack: FaultStack) -> None:
        self.choose_and_look(stack)
        self.chosen.running.kill()
        newest = max((self.chosen.directory / FILES).glob("*.incr.aof"), key=_number)
        with newest.open("r+b") as file:
            file.truncate(newest.stat().st_size // 2 + 1)
        revive(stack, self.chosen)


def _number(path: Path) -> int:
    return int(path.name.split(".")[-3])


class Flushed(Destroying):
    """FLUSHALL."""

    kind = "flushall"

    def begin(self, stack: FaultStack) -> None:
        self.choose_and_look(stack)
        with client_of(self.chosen) as client:
            client.flushall()


class ScriptsFlushed(OnMaster):
    """SCRIPT FLUSH."""

    kind, back_within_s, holds_s = "script-flush", FORWARD_S, (0.0, 0.0)

    def begin(self, stack: FaultStack) -> None:
        with client_of(self.choose(stack)) as client:
            client.script_flush()


class ClientsKilled(OnMaster):
    """Every connection of a client is ended by CLIENT KILL."""

    kind, back_within_s, holds_s = "client-kill", RECONNECT_S, (0.0, 0.0)

    def begin(self, stack: FaultStack) -> None:
        with client_of(self.choose(stack)) as client:
            client.client_kill_filter(_type="normal", skipme=True)


class MemoryFull(OnMaster):
    """`maxmemory` below what is used: every write is refused."""

    kind, back_within_s, holds_s = "maxmemory", RECONNECT_S, (0.5, 5.0)

    def begin(self, stack: FaultStack) -> None:
        with client_of(self.choose(stack)) as client:
            client.config_set("maxmemory", 1)

    def end(self, stack: FaultStack) -> None:
        _restore(self, "maxmemory")


class Evicting(Destroying):
    """`maxmemory-policy` is turned to one that evicts lists. Once the product had its time to see it, keys are evicted.

    What it has evicted looks like numbers that are not listed, and like records that were never made.
    """

    kind, holds_s = "maxmemory-policy", (NOTICED_S + 0.5, 4.0)

    def begin(self, stack: FaultStack) -> None:
        self.choose_and_look(stack)
        with client_of(self.chosen) as client:
            client.config_set("maxmemory-policy", EVICTING)
            stack.rest(NOTICED_S)
            client.config_set("maxmemory", client.info("memory")["used_memory"] - EVICTED_BYTES)

    def end(self, stack: FaultStack) -> None:
        _restore(self, "maxmemory")
        _restore(self, "maxmemory-policy")


def _restore(fault: OnMaster, name: str) -> None:
    """Set an option back. A server that was started again meanwhile has it back already."""
    try:
        with client_of(fault.chosen) as client:
            client.config_set(name, fault.chosen.options[name])
    except RedisError:
        return
