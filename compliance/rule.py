"""The rule: an ordered tuple of checks. The gate judges calls by it, and the site judges leads and lists by it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from compliance import verdict
from compliance.check import Check, Need
from compliance.checks import lists, patterns, projection, registries
from compliance.facts import Facts, LiveOverride
from compliance.numbers import E164, InvalidNumber
from compliance.verdict import DIALPLAN_REASONS, FREE, GATE_REASONS, Reason, Ruling, Verdict, allow, block

CHECKS: tuple[Check, ...] = (
    projection.CHECK,
    lists.CHECK,
    patterns.CHECK,
    registries.CHECK,
)
"""The checks, in the order in which they are applied. The first block that no override outweighs goes on record."""


class Objection(NamedTuple):
    """A ruling that blocks, and the check that made it."""

    check: Check
    ruling: Ruling


def decide(number: E164 | InvalidNumber, facts: Facts | None, at: datetime) -> Ruling:
    """Judge one call at `at` (aware UTC). `facts` is None if Redis could not be queried.

    The call is blocked if there is no number, or if the facts are missing or belong to another number.
    """
    if isinstance(number, InvalidNumber):
        return block(verdict.INVALID_NUMBER, number.reason)
    if facts is None:
        return block(verdict.STORE_UNAVAILABLE)
    if facts.number != number:
        return block(verdict.INTERNAL_ERROR, "facts-of-another-number")
    return judge(facts, at)


def judge(facts: Facts, at: datetime, checks: Sequence[Check] | None = None) -> Ruling:
    """Judge a call by its facts at `at` (aware UTC), by the whole rule or only by `checks`.

    A live override of this lead outweighs only those blocks that an override can open (`opens_by_override`).
    """
    opened: LiveOverride | None = None
    remark: Ruling | None = None
    # CHECKS is read on each call of this function, so a test can add a check by replacing this one name.
    for check in CHECKS if checks is None else checks:
        ruling = check.judge(facts, at)
        if ruling is None:
            continue
        if ruling.verdict is Verdict.ALLOW:
            remark = remark or ruling
        elif check.opens_by_override and (live := facts.opened(at)):
            opened = live
        else:
            # The override is live, so the record must say why it did not open the call.
            why = "" if ruling.detail or not check.opens_by_override else facts.closed
            return replace(ruling, detail=why) if why else ruling
    if opened:
        return allow(verdict.OVERRIDE, override=opened.id)
    return remark or FREE


def objections(facts: Facts, at: datetime, checks: Sequence[Check] | None = None) -> list[Objection]:
    """Return every block that a call without an override would get at `at` (aware UTC), in the order of the rule.

    If the check of the projection blocks, the other facts are unreliable, so no further check is applied.
    """
    found: list[Objection] = []
    for check in CHECKS if checks is None else checks:
        ruling = check.judge(facts, at)
        if ruling is not None and ruling.verdict is Verdict.BLOCK:
            found.append(Objection(check, ruling))
            if Need.PROJECTION in check.needs:
                break
    return found


def check_of(reason: str) -> Check | None:
    """Return the check that a reason belongs to; None for a reason of the gate itself or of the dialplan."""
    return next((check for check in CHECKS if check.sentence(Reason(reason))), None)


def sentences() -> dict[Reason, str]:
    """Return each reason of the gate with its sentence. Each registry adds a further reason: see `listed_on`."""
    of_checks = {reason: sentence for check in CHECKS for reason, sentence in check.reasons.items()}
    return {**GATE_REASONS, **of_checks}


def sentence_of(reason: str) -> str:
    """Return a reason as a sentence for people. Return an unknown reason unchanged."""
    check, known = check_of(reason), Reason(reason)
    return check.sentence(known) if check else {**GATE_REASONS, **DIALPLAN_REASONS}.get(known, reason)


def opens_by_override(reason: str) -> bool:
    """Return whether an override of the lead allows a call that is blocked for this reason."""
    check = check_of(reason)
    return check is not None and check.opens_by_override


def openable(ruling: Ruling) -> bool:
    """Return whether a ruling is a block that an override of the lead would outweigh."""
    return ruling.verdict is Verdict.BLOCK and opens_by_override(ruling.reason)


def stops_every_call(reason: str) -> bool:
    """Return whether every call is blocked at this moment if one call is blocked for this reason."""
    check = check_of(reason)
    return reason == verdict.STORE_UNAVAILABLE if check is None else check.stops_every_call


def may_open(facts: Facts) -> bool:
    """Return whether an override could change the ruling on a call with these facts, now or at another moment."""
    return any(check.opens_by_override and check.can_block(facts) for check in CHECKS)


def foreseeable() -> bool:
    """Return whether every check can be applied to foreseen facts."""
    for check in CHECKS:  # noqa: SIM110 - a loop takes a third of the time of `all`, and this is on the call path
        if not check.foreseeable:
            return False
    return True
