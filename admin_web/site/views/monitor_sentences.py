"""Sentences of the Compliance Monitor about an override: what revoking does, and what happened meanwhile."""

from datetime import datetime

from admin_web.queries.monitor import OverrideState, WholeOverride
from compliance.rule import sentence_of


def what_follows(whole: WholeOverride) -> str:
    """Return what revoking does to the lead and to the other leads on the number."""
    row, others, opened = whole.row, whole.neighbours.leads, whole.neighbours.open
    if not whole.objections:
        return f"{row.number} stands on no list now, so lead {row.lead} can be dialled without an override."
    if not whole.needed:
        return f"The override opens nothing now. Lead {row.lead} is blocked: {sentence_of(whole.final[0].reason)}"
    blocked = f"Lead {row.lead} is blocked on the very next dial."
    if not others:
        return f"{blocked} No other lead has this number."
    closed = f"{_leads(others - opened)} on this number {'is' if others - opened == 1 else 'are'} not open"
    stay = f"; {_leads(opened)} {'stays' if opened == 1 else 'stay'} open by an override of its own" if opened else ""
    return f"{blocked} {closed}{stay}."


def since_then(whole: WholeOverride, at: datetime) -> str:
    """Say how an override came to its end while somebody looked at it."""
    row = whole.row
    if row.state(at) is OverrideState.EXPIRED:
        how = f"ended by itself on {_moment(row.expires_at)}"
    elif row.revoked_at is not None:
        how = f"was revoked by {row.revoked_by} on {_moment(row.revoked_at)} (“{row.revoke_reason}”)"
    else:
        how = "is active"
    return f"Override {row.id} {how}: this is not how your form showed it. Nothing was changed; look again below."


def reviewed_already(whole: WholeOverride) -> str:
    """Say who was faster."""
    row = whole.row
    when = f" on {_moment(row.reviewed_at)}" if row.reviewed_at else ""
    return f"Override {row.id} was reviewed by {row.reviewed_by}{when} already. Nothing was changed."


def _leads(number: int) -> str:
    return "1 other lead" if number == 1 else f"{number} other leads"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
