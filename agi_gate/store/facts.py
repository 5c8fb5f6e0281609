"""Read from Redis the facts of a number, to which the gate applies the rule."""

import structlog

from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, RedisSteps, question
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_connection import error_reply
from compliance.redis_facts import MOST_ATTEMPTS, fact_commands, read_facts, same_build, terms_document
from compliance.redis_terms import read_terms
from compliance.terms import Applying, Terms

log = structlog.get_logger()


class FactStore:
    """Reads facts over the shared link, in one round trip if neither the build nor the terms have changed."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._digest, self._terms = "", Terms((), ())

    def foreseen(self, number: E164, lead: LeadId | None, campaign: str = "") -> Facts | None:
        """Return the facts that the number has if it is on no list and the state is still the last one seen.

        This sends nothing to Redis. The caller must therefore let Redis check the assumptions (`foreseen.append_if`).
        Return None if the state or its terms are not known.
        """
        health = self._link.health
        if health.state is None or not self._knows(health.state):
            return None
        applying = self._terms.applying(number, campaign)
        return Facts(number, lead, health.server, health.state, health.leased, applying=applying, campaign=campaign)

    def facts(self, number: E164, lead: LeadId | None, campaign: str = "") -> RedisSteps[Facts]:
        """Return the facts of `number` for `lead` and `campaign`. Raises StoreUnavailable.

        The commands are built for the generation that was seen last. If another generation answers, new commands are
        sent for that one. The terms are fetched when their digest changes.
        """
        expected = self._link.health.state
        # A replaced generation stays in Redis for longer than any decision takes, so commands for it still read
        # complete sets (admin_web/projection/sweep.py). The second attempt succeeds, unless another build ends within
        # one round trip.
        for _ in range(MOST_ATTEMPTS):
            applying = self._terms.applying(number, campaign) if expected and self._knows(expected) else None
            answers = yield question(*self._commands(expected, applying, number, lead))
            before = answers.before
            if before is None or same_build(before, expected):
                if before is None or applying is not None:
                    return self._facts(number, lead, answers, applying)._replace(campaign=campaign)
                known = self._learn(before, answers.replies[0])
                # Without the terms the gate blocks every call, so it must not report itself as ready while Redis lacks
                # them.
                self._link.health.state_without_terms = None if known else before
                if not known:
                    return Facts(number, lead, answers.server, before, answers.leased)
            expected = before
        raise StoreUnavailable("the projection changed again and again while it was read")

    def _knows(self, state: State) -> bool:
        """Return whether the cached terms belong to `state`."""
        return state.terms == self._digest and state.lists == self._terms.lists

    def _learn(self, state: State, reply: Answer) -> bool:
        """Cache the terms of `state` from the reply to their GET; return whether they are known now."""
        if self._knows(state):  # Another call may have cached them in the meantime.
            return True
        document = terms_document(state, reply)
        if document is None:
            return False
        try:
            terms = Terms(state.lists, *read_terms(document))
        except ValueError:
            log.exception("terms unreadable", digest=state.terms)
            return False
        self._digest, self._terms = state.terms, terms
        return True

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        """Return the commands that read the facts. If `applying` is None, return the command that reads the terms."""
        if state is None:
            return []
        if applying is None:
            return [("GET", self._link.keys.terms(state.generation))]
        return fact_commands(state, applying, number, lead)

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        """Build the facts from answers to commands that were built for `answers.before` and `applying`."""
        state = answers.before
        if state is None or applying is None:
            return Facts(number, lead, answers.server, None, answers.leased)
        listed, override = read_facts(applying, answers.replies, _is_member)
        closed = self._link.health.clock_doubt if override else ""
        return Facts(number, lead, answers.server, state, answers.leased, listed, override, applying, closed=closed)


def _is_member(reply: object) -> bool:
    """Parse a reply to SISMEMBER. Raises StoreUnavailable unless it is 0 or 1."""
    # An error reply, such as WRONGTYPE or MOVED, must never count as "not listed".
    if reply in (0, 1):
        return bool(reply)
    shown = error_reply(reply) if isinstance(reply, Exception) else repr(reply)
    raise StoreUnavailable(f"unexpected reply of Redis to SISMEMBER: {shown}")
