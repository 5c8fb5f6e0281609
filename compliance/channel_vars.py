"""The channel variables, globals and CDR fields that gate, site and dialplan share: defined only here.

`dialplan/README.md` documents each one. `scripts/dialplan_lint.py` checks that the dialplan uses these names.
"""

VERDICT = "DNC_VERDICT"
"""`ALLOW-<unique id of the channel>` or `BLOCK`."""

NUMBER = "DNC_NUMBER"
"""The number that was judged, in E.164. No other number may be dialled. Empty on a block."""

REASON = "DNC_REASON"
"""The reason of the verdict, as a slug."""

DECISION = "DNC_DECISION"
"""The id of the decision record. Without it the gate's line was cut short, and the verdict does not count."""

CDR_VERDICT = "dnc_verdict"
CDR_REASON = "dnc_reason"
CDR_DECISION = "dnc_decision"
CDR_NUMBER = "dnc_number"
CDR_LEAD = "dnc_lead"
CDR_AGENT = "dnc_agent"

CDR_FIELDS = (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER, CDR_LEAD, CDR_AGENT)
"""The fields of a call-detail record for the decision, the lead and the agent who called."""

GATE_CDR_FIELDS = tuple(f"CDR({field})" for field in (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER))
"""The CDR fields that the gate sets. The dialplan sets the lead, because the gate returns nothing that the PBX sent."""

GLOBALS = ("DNC_GATE", "DNC_TIMEOUT", "DNC_NOTICE")
"""Globals that an operator sets: the gates' addresses, their time limit in seconds, the sound for a blocked caller."""

CAMPAIGN = "DNC_CAMPAIGN"
"""A variable that an operator may set on a channel: the campaign of the call. Some registries spare some campaigns."""

CALL_LEAD = "DNC_CALL_LEAD"
CALL_AGENT = "DNC_CALL_AGENT"

CLICKED = (CALL_LEAD, CALL_AGENT)
"""The variables that the site sets on the channel of a click-to-call: the lead and the agent."""

OWN = (
    *("DNC_LEAD", "DNC_MORE", "DNC_LIMIT", "DNC_BACK"),
    *("DNC_REST", "DNC_ADDRESS", "DNC_WITHIN", "DNC_UNTIL", "DNC_LEFT"),
)
"""The dialplan's own variables during the screening."""
