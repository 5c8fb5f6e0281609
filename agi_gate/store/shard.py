"""One shard of a Redis Cluster. The gate uses it like a single Redis, and it has its own state.

A move of a slot never lets a listed number through, for three reasons:

- The server's incarnation contains its reign, which changes when the shard gains or loses a slot or wins an election
  (`cluster.Shard.reign`). The state on the shard names the incarnation that it was built for. After such a change the
  gate blocks the shard's calls until the worker has rebuilt the shard.
- A call reads the mark of its slot together with the lists (`redis_schema.slot_key`). If the slot was emptied or moved
  to the shard since the build, its mark is missing or names another incarnation. This protects calls even while the
  gate's view of the cluster is out of date.
- A shard that does not own the slot replies with an error (MOVED). An error never counts as "not listed", so the gate
  blocks the call.
"""

import asyncio

from redis.exceptions import ResponseError

from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD
from agi_gate.store.link import Link
from agi_gate.store.mastership import ShardMastership
from agi_gate.store.notices import Notices
from agi_gate.store.pipeline import Sent
from agi_gate.store.questions import Answers
from agi_gate.store.wire import Answer, Command
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import Keys
from compliance.terms import Applying


class ShardLink(Link):
    """The link to the shard from `first_slot`, which sets `doubted` on any sign that the cluster has changed."""

    def __init__(
        self,
        first_slot: int,
        doubted: asyncio.Event,
        *,
        timeout_s: float,
        replicas: int,
        notices: Notices | None = None,
    ) -> None:
        mastership = ShardMastership(first_slot, replicas, doubted)
        super().__init__(
            "", timeout_s=timeout_s, keys=Keys(first_slot), opening=[LOAD], mastership=mastership, notices=notices
        )

    def distribute(self, sent: Sent, replies: list[Answer]) -> None:
        """Pass on the replies. On an error reply, such as MOVED, also request a new discovery of the cluster."""
        if any(isinstance(reply, ResponseError) for reply in replies):
            self.mastership.miss()
        super().distribute(sent, replies)


class ShardStore(FactStore):
    """Reads facts from one shard. They are valid only if the number's slot has the right mark."""

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        # The mark is last, so that the replies before it are the same as those of a single Redis.
        commands = super()._commands(state, applying, number, lead)
        if state and applying is not None:
            commands.append(("GET", self._link.keys.mark(state.generation, number)))
        return commands

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        state = answers.before
        if state and applying is not None and answers.replies[-1] != state.incarnation.encode():
            return Facts(number, lead, answers.server, None, answers.leased)
        return super()._facts(number, lead, answers._replace(replies=answers.replies[:-1]), applying)
