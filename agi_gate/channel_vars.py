"""The channel variables, globals and CDR fields that the gate and the dialplan share, spelled here only.

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

CDR_FIELDS = (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER, CDR_LEAD)
"""The fields of a call-detail record that name its decision."""

GATE_CDR_FIELDS = tuple(f"CDR({field})" for field in (CDR_VERDICT, CDR_REASON, CDR_DECISION, CDR_NUMBER))
"""What the gate sets of them. The lead it leaves to the dialplan: nothing that the PBX sent is sent back."""

GLOBALS = ("DNC_GATE", "DNC_TIMEOUT", "DNC_NOTICE")
"""What an operator sets: where the gate is, how many seconds it may take, what a blocked caller hears."""

OWN = ("DNC_LEAD", "DNC_LIMIT", "DNC_BACK")
"""What the dialplan keeps for itself while it screens."""

GATE_UNREACHABLE = "gate-unreachable"
GATE_SILENT = "gate-silent"
GATE_BROKE_OFF = "gate-broke-off"
HUNG_UP = "hung-up"
BAD_ARGUMENTS = "bad-arguments"

DIALPLAN_REASONS = {
    GATE_UNREACHABLE: "The gate could not be reached.",
    GATE_SILENT: "The gate gave no answer in time.",
    GATE_BROKE_OFF: "The gate ended the conversation without a verdict for this very channel.",
    HUNG_UP: "The caller hung up before there was a verdict.",
    BAD_ARGUMENTS: "The dialplan was asked to screen something that is no pair of dialled digits and lead.",
}
"""The reasons that only a call-detail record carries, because no gate decided, as sentences for people."""
