"""The channel variables, globals and CDR fields that gate, site and dialplan share, spelled here only.

`dialplan/README.md` says what each one means; `scripts/dialplan_lint.py` holds the dialplan to these names.
"""

VERDICT = "DNC_VERDICT"
"""`ALLOW-<unique id of the channel>` or `BLOCK`."""

NUMBER = "DNC_NUMBER"
"""The number that was judged, E.164, and the only one that may be dialled; empty on a block."""

REASON = "DNC_REASON"
"""Why, as a slug."""

DECISION = "DNC_DECISION"
"""The id of the decision record. A verdict without one is no verdict: the gate's line was cut short."""

CDR_VERDICT = "dnc_verdict"
CDR_REASON = "dnc_reason"
CDR_DECISION = "dnc_decision"
CDR_NUMBER = "dnc_number"
CDR_LEAD = "dnc_lead"
CDR_AGENT = "dnc_agent"

CDR_FIELDS = (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER, CDR_LEAD, CDR_AGENT)
"""The fields of a call-detail record that name its decision, and who called."""

GATE_CDR_FIELDS = tuple(f"CDR({field})" for field in (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER))
"""What the gate sets of them. The lead it leaves to the dialplan: nothing that the PBX sent is sent back."""

GLOBALS = ("DNC_GATE", "DNC_TIMEOUT", "DNC_NOTICE")
"""What an operator sets: where the gates are, how many seconds they may take, what a blocked caller hears."""

CAMPAIGN = "DNC_CAMPAIGN"
"""What an operator may set on a channel: the campaign of its call, which some registries may spare."""

CALL_LEAD = "DNC_CALL_LEAD"
CALL_AGENT = "DNC_CALL_AGENT"

CLICKED = (CALL_LEAD, CALL_AGENT)
"""What the site sets on the channel of a click-to-call: the lead that is called, and by whom."""

OWN = (
    *("DNC_LEAD", "DNC_MORE", "DNC_LIMIT", "DNC_BACK"),
    *("DNC_REST", "DNC_ADDRESS", "DNC_WITHIN", "DNC_UNTIL", "DNC_LEFT"),
)
"""What the dialplan keeps for itself while it screens."""
