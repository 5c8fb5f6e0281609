"""Sentences about a lead, its number and the dial queue. Each follows from the facts, so that none is false.

`tests/admin_web/site/test_truth.py` walks the combinations of the facts and compares each sentence with them.
"""

from collections.abc import Sequence

from admin_web.queries.lead import LeadPage
from admin_web.queries.lead_state import Stand
from admin_web.services.do_not_call import Blocked
from admin_web.services.wrap_up import FINAL, Outcome
from admin_web.site.labels import national, on_lists
from compliance.numbers import LeadId
from compliance.redis_schema import INTERNAL
from compliance.refusal import as_sentence

TICKED = (
    "the ticked numbers at once, for every lead that has no override of its own on them, and ends this lead's "
    "overrides on them"
)
"""What a request of a lead with several numbers does."""

MOST_NAMED = 10
"""Maximum number of leads that a sentence names."""


def queue_place(queued: bool, stand: Stand) -> str:
    """Return whether the lead is in the dial queue, and whether the queue offers it."""
    if not queued:
        return "not in the dial queue"
    return "in the dial queue" if stand.dialable else "in the dial queue, which does not offer it while it is blocked"


def after_outcome(outcome: str, lead: LeadPage) -> str:
    """Return what an outcome does to the lead, for the form of the wrap-up."""
    if outcome == Outcome.DO_NOT_CALL:
        return _after_do_not_call(lead)
    if not lead.queued:
        return "Stays out of the queue."
    if outcome in FINAL:
        return "Leaves the queue."
    return f"Moves to the end of the queue{_unless(lead.best)}."


def _after_do_not_call(lead: LeadPage) -> str:
    if len(lead.numbers) > 1:
        return f"Blocks {TICKED}."
    ends = " Ends this lead's override." if lead.consent or lead.held else ""
    return f"Blocks the number at once, for {_all_but_open(lead)}.{ends}"


def switch_effect(lead: LeadPage) -> str:
    """Return what turning the Do-Not-Call switch on does."""
    if len(lead.numbers) > 1:
        return f"Off. Turning it on blocks {TICKED}."
    ends = ", and ends this lead's override" if lead.consent or lead.held else ""
    return f"Off. Turning it on blocks {_all_but_open(lead)} on this number at once{ends}."


def _all_but_open(lead: LeadPage) -> str:
    """Return which leads a request of this lead blocks: all but the others that have an override of their own."""
    others = lead.on_number - 1
    if not others:
        return "this lead"
    if not lead.others_open:
        return f"all {lead.on_number} leads"
    rest = f" and {_others(lead.others_blocked)}" if lead.others_blocked > 0 else ""
    keeps = "keeps its own override" if lead.others_open == 1 else "keep their own overrides"
    return f"this lead{rest} ({_others(lead.others_open)} {keeps})"


def switch_is_on(lead: LeadPage, *, may_lift: bool) -> str:
    """Return how the switch, which is on, can be turned off."""
    rest = [name for name in lead.stand.lists if name != INTERNAL]
    if not lead.listed_here:
        return f"On. The number is on {on_lists(rest)}, which cannot be changed here."
    who = "Lifting the number needs a reason" if may_lift else "Only an admin can lift the number, with a reason"
    return f"On. {who}{f'; it stays blocked by {on_lists(rest)}' if rest else ''}."


def other_leads(lead: LeadPage) -> str:
    """Return what an override of this lead means for the other leads on the number; empty if there are none."""
    if lead.on_number == 1:
        return ""
    blocked, opened = lead.others_blocked, lead.others_open
    stays = f"{_others(blocked)} on this number {'stays' if blocked == 1 else 'stay'} blocked."
    if not opened:
        return stays
    own = "has its own override" if opened == 1 else "have overrides of their own"
    has = f"{_others(opened)} on this number {own}."
    return f"{stays} {has}" if blocked > 0 else has


def blocked(done: Blocked) -> str:
    """Return what a lead's request did, with the leads that an override of their own still opens."""
    several, before = len(done.numbers) > 1, "as they were before" if len(done.numbers) > 1 else "as it was before"
    numbers = f"{', '.join(map(national, done.numbers))} {'are' if several else 'is'} on the Do-Not-Call list"
    said = f"{numbers}{'' if done.added else f', {before}'}."
    if done.ended:
        said += f" The lead's own override{' has' if len(done.ended) == 1 else 's have'} ended."
    if not done.still_open:
        # Not "no lead on it may be called": a lead may have another number.
        return f"{said} No lead may be called on {'them' if several else 'it'}."
    return f"{said} An override of their own still opens: {_named(done.still_open)}. An admin can revoke it."


def wrapped_up(*, was_queued: bool, queued: bool, stand: Stand) -> str:
    """Return where a wrapped-up lead is now."""
    if queued:
        return f"The call is wrapped up. The lead moved to the end of the dial queue{_unless(stand)}."
    return f"The call is wrapped up. The lead {'left' if was_queued else 'stays out of'} the dial queue."


def covered(stand: Stand) -> str:
    """Return which pattern of the company's own list blocks the number."""
    return f"The company's own list blocks all numbers that begin with +{stand.pattern}."


def unlisted_block(stand: Stand) -> str:
    """Return why an unlisted lead is blocked, and whether an override can open it."""
    why = as_sentence(stand.unchecked)
    said = f"Its number is on none of the lists that could be checked, but one list could not be checked: {why}"
    said = covered(stand) if stand.pattern else said
    return said if stand.final else f"{said} An override can open this lead all the same."


def _unless(stand: Stand) -> str:
    return "" if stand.dialable else ", which does not offer it while it is blocked"


def _others(number: int) -> str:
    return "1 other lead" if number == 1 else f"{number} other leads"


def _named(leads: Sequence[LeadId]) -> str:
    rest = len(leads) - MOST_NAMED
    return ", ".join(leads[:MOST_NAMED]) + (f" and {_others(rest)}" if rest > 0 else "")
