"""One shard of a Redis Cluster: queried like a Redis of its own, and fenced by its own state.

Why no move of a slot lets a listed number through:

- The incarnation of the server contains its reign, which changes when the shard gains or loses a slot or wins an
  election (`cluster.Shard.reign`). The state on the shard names the incarnation that it was built for. After such a
  change the shard's calls are blocked until the worker has rebuilt it.
- A call reads the mark of its slot together with the lists (`redis_schema.slot_key`). A slot that was emptied, or that
  was moved here since the build, has no mark or that of another incarnation. This holds even while the gate's own view
  of the cluster is old.
- A shard that does not own the slot replies with an error (MOVED). An error is never "not listed": the call is blocked.
"""

import asyncio

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD
from agi_gate.store.link import Link, Sent
from agi_gate.store.questions import Answers
from agi_gate.store.wire import Answer, Command, StoreRefused, StoreUnavailable, handshake, own_view
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import Keys
from compliance.redis_url import Master
from compliance.terms import Applying


class ShardLink(Link):
    """The link to one shard. Its owner calls `follow` with the shard's master; the link sets `doubted` on any sign that
    the cluster has changed.
    """

    def __init__(self, first_slot: int, doubted: asyncio.Event, *, timeout_s: float, replicas: int) -> None:
        super().__init__("", timeout_s=timeout_s, replicas=replicas, keys=Keys(first_slot), opening=[LOAD])
        self._first_slot, self._doubted = first_slot, doubted

    async def run(self) -> None:
        """Connect, serve questions, and reconnect, until cancelled."""
        self._loop = asyncio.get_running_loop()
        await self._stay_connected()

    def follow(self, master: Master) -> None:
        """Set the shard's current master; leave any other one."""
        self._announced = master
        if self._pipe and master != self._master:
            self._pipe.end(StoreUnavailable("the shard has another master, or other slots, now"))

    async def _locate(self) -> Master:
        if not self._announced.url:
            raise StoreUnavailable("no shard of the cluster is known yet")
        return self._announced

    async def _handshake(self, connection: AbstractConnection, master: Master) -> str:
        """Open the connection and return the incarnation, with the reign that the server itself reports."""
        run_id = await handshake(connection)
        # The view of other nodes may be old. On this connection the answer comes from the server that will be used.
        myself = await own_view(connection)
        if myself is None or myself.first != self._first_slot:
            raise StoreRefused("its slots have moved")
        return Master(master.url, myself.reign).incarnation(run_id)

    def _on_lost(self, error: Exception) -> None:
        self._doubted.set()
        super()._on_lost(error)

    def distribute(self, sent: Sent, replies: list[Answer]) -> None:
        """Pass each question its replies; on an error reply, such as MOVED, have the cluster discovered again."""
        if any(isinstance(reply, ResponseError) for reply in replies):
            self._doubted.set()
        super().distribute(sent, replies)


class ShardStore(FactStore):
    """Reads facts from one shard. They count only with the right mark of the number's slot."""

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        # The mark goes last, so that the replies before it are those of a single Redis.
        commands = super()._commands(state, applying, number, lead)
        if state and applying is not None:
            commands.append(("GET", self._link.keys.mark(state.generation, number)))
        return commands

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        state = answers.before
        if state and applying is not None and answers.replies[-1] != state.incarnation.encode():
            return Facts(number, lead, answers.server, None, answers.leased)
        return super()._facts(number, lead, answers._replace(replies=answers.replies[:-1]), applying)
