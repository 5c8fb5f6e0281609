"""What Redis knows of a number: the facts that the rule is applied to."""

from collections.abc import Sequence

from agi_gate.asking import Answers, Asking, question
from agi_gate.link import Link
from agi_gate.wire import Answer, Command, StoreUnavailable
from compliance.numbers import E164, LeadId
from compliance.policy import Facts, LiveOverride, State
from compliance.redis_schema import exchange_and_line, listed_key, override_key, read_override

MOST_ASKINGS = 5
"""How often facts are asked again when the projection moved meanwhile, before the call is given up."""


class Store:
    """Facts from Redis, in one shared round trip."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def facts(self, number: E164, lead: LeadId | None) -> Asking[Facts]:
        """Give what is known of `number` for `lead`. Raises StoreUnavailable.

        The commands are spelled for the generation seen last. If the answers came from another one, they are
        asked again: the old generation outlives its successor's arrival by longer than any decision takes.
        """
        expected = self._link.health.state
        for _ in range(MOST_ASKINGS):
            answers = yield question(*_commands(expected, number, lead))
            if answers.before is None or _same_build(answers.before, expected):
                return _facts(number, lead, answers)
            expected = answers.before
        raise StoreUnavailable("the projection did not stand still")


def _same_build(one: State, other: State | None) -> bool:
    return other is not None and (one.generation, one.lists) == (other.generation, other.lists)


def _commands(state: State | None, number: E164, lead: LeadId | None) -> list[Command]:
    """Spell one SISMEMBER per list, and the look-up of the override when there is a lead."""
    if state is None:
        return []
    exchange, line = exchange_and_line(number)
    commands: list[Command] = [
        ("SISMEMBER", listed_key(state.generation, name, exchange), line) for name in state.lists
    ]
    if lead:
        commands.append(("GET", override_key(state.generation, number, lead)))
    return commands


def _facts(number: E164, lead: LeadId | None, answers: Answers) -> Facts:
    """Read the facts out of answers whose questions were spelled for `answers.before`."""
    state = answers.before
    if state is None:
        return Facts(number, lead, answers.server, None, answers.leased)
    on_lists, rest = answers.replies[: len(state.lists)], answers.replies[len(state.lists) :]
    return Facts(
        number,
        lead,
        answers.server,
        state,
        answers.leased,
        listed=tuple(name for name, reply in zip(state.lists, on_lists, strict=True) if _is_member(reply)),
        override=_override(rest),
    )


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
