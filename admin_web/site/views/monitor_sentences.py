"""Sentences of the Compliance Monitor: what a revocation does, and what has changed since the form was shown."""

from datetime import datetime

from admin_web.queries.monitor import OverrideState, WholeOverride
from admin_web.site.labels import national, who
from compliance import dates
from compliance.rule import sentence_of


def what_follows(whole: WholeOverride) -> str:
    """Return what revoking does to the lead and to the other leads on its number."""
    row, others, opened = whole.row, whole.neighbours.leads, whole.neighbours.open
    if not whole.objections:
        return f"{national(row.number)} is on no list now, so lead {row.lead} can be dialled without an override."
    if row.held and row.recovery_id is not None:
        return f"The override opens nothing, because a recovery holds it. Lead {row.lead} stays blocked."
    if row.held:
        return f"The override opens nothing yet, because nobody has reviewed it. Lead {row.lead} stays blocked."
    if not whole.needed:
        return f"The override has no effect now. Lead {row.lead} is blocked: {sentence_of(whole.final[0].reason)}"
    blocked = f"Lead {row.lead} is blocked from the next call on."
    if not others:
        return f"{blocked} No other lead has this number."
    if not opened:
        return f"{blocked} {_leads(others)} on this number {'stays' if others == 1 else 'stay'} blocked."
    stay = f"{_leads(opened)} {'keeps its own override' if opened == 1 else 'keep their own overrides'}"
    if opened == others:
        return f"{blocked} {stay} on this number."
    rest = others - opened
    return f"{blocked} {_leads(rest)} on this number {'stays' if rest == 1 else 'stay'} blocked; {stay}."


def since_then(whole: WholeOverride, at: datetime) -> str:
    """Return how an override has ended since somebody opened its page."""
    row = whole.row
    if row.state(at) is OverrideState.EXPIRED:
        how = f"expired on {dates.utc(row.expires_at)}"
    elif row.revoked_at is not None:
        how = f"was revoked by {who(row.revoked_by or '')} on {dates.utc(row.revoked_at)} (“{row.revoke_reason}”)"
    else:
        how = "is active"
    return f"Override {row.id} {how}, after you opened this page. Nothing was changed; the page now shows it as it is."


def reviewed_already(whole: WholeOverride) -> str:
    """Return who has reviewed an override before this person could."""
    row = whole.row
    when = f" on {dates.utc(row.reviewed_at)}" if row.reviewed_at else ""
    return f"Override {row.id} was already reviewed by {who(row.reviewed_by or '')}{when}. Nothing was changed."


def _leads(number: int) -> str:
    return "1 other lead" if number == 1 else f"{number} other leads"
