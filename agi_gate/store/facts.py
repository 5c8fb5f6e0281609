"""The facts of a number, from Redis: what the rule is applied to."""

import structlog

from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, RedisSteps, question
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, State
from compliance.numbers import E164, LeadId
from compliance.redis_facts import MOST_ATTEMPTS, fact_commands, read_facts, same_build, terms_document
from compliance.redis_terms import read_terms
from compliance.terms import Applying, Terms

log = structlog.get_logger()


class FactStore:
    """Reads facts over the shared link, in one round trip if build and terms are those seen last."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._digest, self._terms = "", Terms((), ())

    def foreseen(self, number: E164, lead: LeadId | None, campaign: str = "") -> Facts | None:
        """Return the facts of a number on no list, in the state that Redis had last; without asking Redis.

        Return None if the state or its terms are not known. The caller must let Redis check what is assumed here
        (`foreseen.append_if`).
        """
        health = self._link.health
        if health.state is None or not self._knows(health.state):
            return None
        applying = self._terms.applying(number, campaign)
        return Facts(number, lead, health.server, health.state, health.leased, applying=applying, campaign=campaign)

    def facts(self, number: E164, lead: LeadId | None, campaign: str = "") -> RedisSteps[Facts]:
        """Return the facts of `number` for `lead` and `campaign`. Raises StoreUnavailable.

        The commands are built for the generation seen last, and sent again for another one that answers. The terms of
        the registries are fetched when their digest changes.
        """
        expected = self._link.health.state
        # A replaced generation stays in Redis for longer than any decision takes, so a call that was sent for it still
        # reads whole sets (admin_web/projection/sweep.py). The loop ends at the second attempt, unless builds follow
        # one another faster than round trips.
        for _ in range(MOST_ATTEMPTS):
            applying = self._terms.applying(number, campaign) if expected and self._knows(expected) else None
            answers = yield question(*self._commands(expected, applying, number, lead))
            before = answers.before
            if before is None or same_build(before, expected):
                if before is None or applying is not None:
                    return self._facts(number, lead, answers, applying)._replace(campaign=campaign)
                known = self._learn(before, answers.replies[0])
                # Readiness must fail while Redis lacks the terms: no call of this state can be judged.
                self._link.health.state_without_terms = None if known else before
                if not known:
                    return Facts(number, lead, answers.server, before, answers.leased)
            expected = before
        raise StoreUnavailable("the projection changed again and again while it was read")

    def _knows(self, state: State) -> bool:
        """Return whether the terms kept here are those of `state`."""
        return state.terms == self._digest and state.lists == self._terms.lists

    def _learn(self, state: State, reply: Answer) -> bool:
        """Keep the terms of `state` from the reply to their GET; return whether they are known now."""
        if self._knows(state):  # Another call has learned them since this one asked.
            return True
        document = terms_document(state, reply)
        if document is None:
            return False
        try:
            terms = Terms(state.lists, read_terms(document))
        except ValueError:
            log.exception("terms unreadable", digest=state.terms)
            return False
        self._digest, self._terms = state.terms, terms
        return True

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        """Return the commands for the facts, or, if what applies is not known, for the terms."""
        if state is None:
            return []
        if applying is None:
            return [("GET", self._link.keys.terms(state.generation))]
        return fact_commands(state, applying, number, lead)

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        """Build the facts from answers to commands for `answers.before` and `applying`."""
        state = answers.before
        if state is None or applying is None:
            return Facts(number, lead, answers.server, None, answers.leased)
        listed, override = read_facts(applying, answers.replies, _is_member)
        return Facts(number, lead, answers.server, state, answers.leased, listed, override, applying)


def _is_member(reply: object) -> bool:
    """Read a reply to SISMEMBER. Raises StoreUnavailable unless it is 0 or 1."""
    # An error, such as WRONGTYPE or MOVED, must not read as "not listed".
    if reply in (0, 1):
        return bool(reply)
    raise StoreUnavailable(f"unexpected reply of Redis to SISMEMBER: {reply!r}")
