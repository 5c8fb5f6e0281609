"""The names of the channel variables, globals and CDR fields that gate, site and dialplan share.

The Python code writes these names in no other module.
`dialplan/README.md` documents each one. `scripts/dialplan_lint.py` checks that the dialplan uses these names.
"""

VERDICT = "DNC_VERDICT"
"""`ALLOW-<unique id of the channel>` or `BLOCK`."""

NUMBER = "DNC_NUMBER"
"""The number that was judged, in E.164: the only number that the dialplan may dial. Empty on a block."""

REASON = "DNC_REASON"
"""The reason of the verdict, as a slug."""

DECISION = "DNC_DECISION"
"""The id of the decision record. If it is missing, the gate's line was cut off, and the verdict is invalid."""

CDR_VERDICT = "dnc_verdict"
CDR_REASON = "dnc_reason"
CDR_DECISION = "dnc_decision"
CDR_NUMBER = "dnc_number"
CDR_LEAD = "dnc_lead"
CDR_AGENT = "dnc_agent"

CDR_FIELDS = (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER, CDR_LEAD, CDR_AGENT)
"""The fields of a call-detail record for the decision, the lead and the agent who called."""

GATE_CDR_FIELDS = tuple(f"CDR({field})" for field in (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER))
"""The CDR fields that the gate sets. The dialplan sets the lead, because the gate does not send the lead back."""

GLOBALS = ("DNC_GATE", "DNC_TIMEOUT", "DNC_NOTICE")
"""Globals that an operator sets: the gates' addresses, their time limit in seconds, and the notice to the caller."""

CAMPAIGN = "DNC_CAMPAIGN"
"""A variable that an operator can set on a channel: the campaign of the call. A registry can exempt campaigns."""

CALL_LEAD = "DNC_CALL_LEAD"
CALL_AGENT = "DNC_CALL_AGENT"

CLICKED = (CALL_LEAD, CALL_AGENT)
"""The variables that the site sets on the channel of a click-to-call: the lead and the agent."""

OWN = (
    *("DNC_LEAD", "DNC_MORE", "DNC_LIMIT", "DNC_BACK"),
    *("DNC_REST", "DNC_ADDRESS", "DNC_WITHIN", "DNC_UNTIL", "DNC_LEFT"),
)
"""Variables that only the dialplan uses, during the screening."""
