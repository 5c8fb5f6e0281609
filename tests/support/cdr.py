"""Call-detail records as Asterisk writes them with `dialplan/cdr_custom.conf`."""

from admin_web.worker.call_details.rows import FIELDS

DECISION = "019ab3c4d5e6-9f3a1c22-0000001a"
ALLOWED = {
    "dstchannel": "PJSIP/trunk-00000002",
    "dnc_verdict": "ALLOW",
    "dnc_reason": "not-listed",
    "dnc_decision": DECISION,
    "dnc_number": "+14155550100",
}
BLOCKED = {"dnc_verdict": "BLOCK", "dnc_reason": "internal-dnc", "dnc_decision": DECISION}

_CALL = {
    "start": "1795495769.220612",
    "answer": "1795495769.223426",
    "end": "1795495780.726174",
    "duration": "11",
    "billsec": "11",
    "disposition": "ANSWERED",
    "src": "dialer",
    "dst": "+14155550100",
    "channel": "PJSIP/dialer-00000001",
    "lastapp": "Dial",
    "uniqueid": "1795495769.1",
    "linkedid": "1795495769.1",
    "sequence": "0",
}


def fields(**given: str) -> list[str]:
    """Return the fields of one record."""
    return [(_CALL | given).get(name, "") for name in FIELDS]


def line(**given: str) -> bytes:
    """Return one record as a line of the file."""
    return (",".join('"' + field.replace('"', '""') + '"' for field in fields(**given)) + "\n").encode()


def lines(count: int, **given: str) -> bytes:
    """Return the records of `count` unrelated calls."""
    ids = (f"{given.get('linkedid', 'call')}.{number}" for number in range(count))
    return b"".join(line(**{**given, "uniqueid": unique_id, "linkedid": unique_id}) for unique_id in ids)
