"""One shard of a Redis Cluster behind the gate: asked as a Redis of its own, fenced by its own state.

Why no move of a slot lets a listed number through:

- the server's name has its reign in it, which is another one once a slot was gained or lost, or an election won
  (`cluster.Shard.reign`): the state on the shard names the reign that it was built in. Until it is built again, all of
  its calls are blocked;
- a call asks, with its lists, for the mark of its slot (`redis_schema.slot_key`): a slot that was emptied, or that
  came here since, has none, or another's, whatever the gate believes of the cluster at that moment;
- a shard that does not own the slot answers with an error, and an error is no answer: the call is blocked.
"""

import asyncio

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from agi_gate.store.asking import Answers
from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD
from agi_gate.store.link import Link, Sent
from agi_gate.store.wire import Answer, Command, StoreRefused, StoreUnavailable, greet, own_view
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import Keys
from compliance.redis_url import Master
from compliance.terms import Applying


class ShardLink(Link):
    """The link to one shard. Where that is it is told; it tells when it has reason to doubt it."""

    def __init__(self, first_slot: int, doubted: asyncio.Event, *, timeout_s: float, replicas: int) -> None:
        super().__init__("", timeout_s=timeout_s, replicas=replicas, keys=Keys(first_slot), opening=[LOAD])
        self._first_slot, self._doubted = first_slot, doubted

    async def run(self) -> None:
        """Connect, answer questions, and connect again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        await self._stay_connected()

    def follow(self, master: Master) -> None:
        """Take note of where the shard is now."""
        self._named = master
        if self._pipe and master != self._master:
            self._pipe.end(StoreUnavailable("the shard has another master, or other slots, now"))

    async def _locate(self) -> Master:
        if not self._named.url:
            raise StoreUnavailable("no shard of the cluster is known yet")
        return self._named

    async def _greet(self, connection: AbstractConnection, master: Master) -> str:
        """Name the server by what it says of itself: what others say of it may be old."""
        run_id = await greet(connection)
        myself = await own_view(connection)
        if myself is None or myself.first != self._first_slot:
            raise StoreRefused("its slots have moved")
        return Master(master.url, myself.reign).incarnation(run_id)

    def _lost(self, error: Exception) -> None:
        self._doubted.set()
        super()._lost(error)

    def share_out(self, sent: Sent, replies: list[Answer]) -> None:
        """Share out as any link does; an error, MOVED say, is a reason to look at the cluster again."""
        if any(isinstance(reply, ResponseError) for reply in replies):
            self._doubted.set()
        super().share_out(sent, replies)


class ShardStore(FactStore):
    """Facts from one shard: they hold only together with the mark of the number's slot."""

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        commands = super()._commands(state, applying, number, lead)
        if state and applying is not None:
            commands.append(("GET", self._link.keys.mark(state.generation, number)))
        return commands

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        state = answers.before
        if state and applying is not None and answers.replies[-1] != state.incarnation.encode():
            return Facts(number, lead, answers.server, None, answers.leased)
        return super()._facts(number, lead, answers._replace(replies=answers.replies[:-1]), applying)
