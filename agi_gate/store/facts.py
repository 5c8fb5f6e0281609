"""What Redis knows of a number: the facts that the rule is applied to."""

from collections.abc import Sequence

import structlog

from agi_gate.store.asking import Answers, Asking, question
from agi_gate.store.link import Link
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import exchange_and_line, listed_key, override_key, read_override, read_terms, terms_digest
from compliance.terms import Applying, Terms

MOST_ASKINGS = 5
"""How often facts are asked again when the projection moved meanwhile, before the call is given up."""

log = structlog.get_logger()


class FactStore:
    """Facts from Redis, in one shared round trip."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._digest, self._terms = "", Terms((), ())

    def foreseen(self, number: E164, lead: LeadId | None, campaign: str = "") -> Facts | None:
        """Give what would be known of a number if it were on no list, and nothing had changed since Redis last
        answered. None when that answer does not tell enough."""
        health = self._link.health
        if health.state is None or not self._knows(health.state):
            return None
        applying = self._terms.applying(number, campaign)
        return Facts(number, lead, health.server, health.state, health.leased, applying=applying, campaign=campaign)

    def facts(self, number: E164, lead: LeadId | None, campaign: str = "") -> Asking[Facts]:
        """Give what is known of `number` for `lead`, as the terms for `campaign` have it. Raises StoreUnavailable.

        The commands are spelled for the generation seen last. If the answers came from another one, they are
        asked again: the old generation outlives its successor's arrival by longer than any decision takes. So it is
        with the terms of the registries: they are fetched when their digest has moved, and kept.
        """
        expected = self._link.health.state
        for _ in range(MOST_ASKINGS):
            applying = self._terms.applying(number, campaign) if expected and self._knows(expected) else None
            answers = yield question(*self._commands(expected, applying, number, lead))
            before = answers.before
            if before is None or _same_build(before, expected):
                if before is None or applying is not None:
                    return self._facts(number, lead, answers, applying)._replace(campaign=campaign)
                known = self._learn(before, answers.replies[0])
                self._link.health.termless = None if known else before
                if not known:
                    return Facts(number, lead, answers.server, before, answers.leased)
            expected = before
        raise StoreUnavailable("the projection did not stand still")

    def _knows(self, state: State) -> bool:
        """Tell whether the terms that are kept are those of `state`."""
        return state.terms == self._digest and state.lists == self._terms.lists

    def _learn(self, state: State, document: Answer) -> bool:
        """Keep the terms of `state`, unless another call has meanwhile; tell whether this is what Redis gave."""
        if self._knows(state):
            return True
        if not isinstance(document, bytes) or terms_digest(document) != state.terms:
            return False
        try:
            terms = Terms(state.lists, read_terms(document))
        except (ValueError, KeyError, TypeError, AttributeError):
            log.exception("terms unreadable", digest=state.terms)
            return False
        self._digest, self._terms = state.terms, terms
        return True

    def _commands(
        self, state: State | None, applying: Applying | None, number: E164, lead: LeadId | None
    ) -> list[Command]:
        """Spell one SISMEMBER per list that applies, and the look-up of the override when there is a lead.

        Without terms that is not known: then they are what is asked for.
        """
        if state is None:
            return []
        if applying is None:
            return [("GET", self._link.keys.terms(state.generation))]
        exchange, line = exchange_and_line(number)
        commands: list[Command] = [
            ("SISMEMBER", listed_key(state.generation, name, exchange), line) for name in applying.lists
        ]
        if lead:
            commands.append(("GET", override_key(state.generation, number, lead)))
        return commands

    def _facts(self, number: E164, lead: LeadId | None, answers: Answers, applying: Applying | None) -> Facts:
        """Read the facts out of answers whose questions were spelled for `answers.before` and `applying`."""
        state = answers.before
        if state is None or applying is None:
            return Facts(number, lead, answers.server, None, answers.leased)
        on_lists, rest = answers.replies[: len(applying.lists)], answers.replies[len(applying.lists) :]
        return Facts(
            number,
            lead,
            answers.server,
            state,
            answers.leased,
            listed=tuple(name for name, reply in zip(applying.lists, on_lists, strict=True) if _is_member(reply)),
            override=_override(rest),
            applying=applying,
        )


def _same_build(one: State, other: State | None) -> bool:
    return other is not None and (one.generation, one.lists, one.terms) == (other.generation, other.lists, other.terms)


def _is_member(reply: Answer) -> bool:
    """Read SISMEMBER's reply. Raises StoreUnavailable for anything but 0 and 1: a doubt is not a no."""
    if reply in (0, 1):
        return bool(reply)
    raise StoreUnavailable(f"Redis would not say whether the number is listed: {reply!r}")


def _override(replies: Sequence[Answer]) -> LiveOverride | None:
    """Read the override, if one was asked for and is well-formed; anything doubtful is no override."""
    if not replies or not isinstance(replies[0], bytes):
        return None
    try:
        return read_override(replies[0])
    except ValueError:
        return None
