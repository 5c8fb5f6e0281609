"""Labels for people in place of slugs: actions, subjects, actors, sources, lists and the particulars of audit events.

The slug stays beside its label where an operator searches by it. Machine formats (CSV, JSON, the API) keep slugs alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import phonenumbers

from admin_web.services.job_kinds import JOB_KINDS
from compliance.consent import Basis
from compliance.known_registries import preset_of
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL
from compliance.refusal import as_sentence
from compliance.terms import BLOCK, PASS, WARN

ACTIONS: Mapping[str, str] = {
    "add-campaign-list": "Campaign list made",
    "add-lead": "Lead added",
    "add-pattern": "Pattern put on the Do-Not-Call list",
    "add-registry": "Registry added",
    "add-user": "User added",
    "add-webhook": "Webhook added",
    "assign-telephone": "Telephone assigned to a person",
    "ask-job": "Background job queued",
    "call-lead": "Call requested",
    "cancel-job": "Background job cancelled",
    "change-lead": "Lead changed",
    "confirm-override": "Override confirmed after a recovery",
    "discard-history": "Redis of another history thrown away",
    "change-password": "Own password changed",
    "change-token": "API token handed over",
    "change-user": "User changed",
    "disable-user": "User disabled",
    "disable-webhook": "Webhook turned off",
    "document-unfit": "Consent document refused: missing or damaged",
    "enable-user": "User enabled",
    "end-entries": "Entries of the Do-Not-Call list ended",
    "end-entry": "Entry of the Do-Not-Call list ended",
    "end-job": "Background job ended",
    "end-telephone": "Telephone no longer assigned to a person",
    "end-session": "Own session ended",
    "end-sessions": "All sessions of a user ended",
    "expire-override": "Override expired",
    "export": "Records exported",
    "forbidden": "Refused: not permitted",
    "forged-form": "Refused: form from elsewhere",
    "grant-override": "Override placed",
    "hang-up": "Call hung up after a revocation",
    "hold-override": "Override held by a recovery",
    "import-numbers": "File imported to the Do-Not-Call list",
    "import-registry": "Registry imported",
    "lift": "Lifted from the Do-Not-Call list",
    "lift-pattern": "Pattern lifted from the Do-Not-Call list",
    "make-token": "API token made",
    "mend-drift": "Redis put right: it differed from the record",
    "password-refused": "Wrong current password",
    "queue-lead": "Lead put into the dial queue",
    "read-document": "Consent document downloaded",
    "recover": "Differences recovered from Redis",
    "release-lead": "Claim of a lead given back",
    "renew-recovery-codes": "Own recovery codes renewed",
    "reset-totp": "One-time codes reset",
    "review-override": "Override reviewed",
    "revoke-override": "Override revoked",
    "keep-override": "Override kept",
    "withdraw-request": "Request not to be called withdrawn",
    "revoke-token": "API token revoked",
    "see-recovery": "Recovery looked at",
    "set-campaigns": "Campaigns of a list set",
    "set-password": "New password set",
    "set-terms": "Terms of a registry set",
    "set-time-zone": "Own time zone set",
    "sign-in": "Signed in",
    "sign-out": "Signed out",
    "sign-in-refused": "Sign-in refused",
    "suppress": "Put on the Do-Not-Call list",
    "throttled": "Refused: too many attempts",
    "token-refused": "API token refused",
    "try-webhook": "Test event sent to a webhook",
    "turn-off-totp": "Own one-time codes turned off",
    "turn-on-totp": "Own one-time codes turned on",
    "undo-import": "Import to the Do-Not-Call list undone",
    "unlock-user": "Sign-in of a user unlocked",
    "unqueue-lead": "Lead taken out of the dial queue",
    "wrap-up": "Call wrapped up",
}
"""Every action that audit events record, by its slug."""

SUBJECTS: Mapping[str, str] = {
    "lead": "Lead",
    "number": "Number",
    "list": "List",
    "import": "Import",
    "override": "Override",
    "pattern": "Pattern",
    "user": "User",
    "token": "API token",
    "webhook": "Webhook",
    "job": "Background job",
    "telephone": "Telephone",
    "projection": "Copy in Redis",
    "recovery": "Recovery",
    "registry": "Registry",
    "page": "Page",
    "export": "Export",
    "site": "Site",
}
"""Every kind of subject that audit events record, by its slug."""

SOURCES: Mapping[str, str] = {
    "switch": "Do-Not-Call switch",
    "wrap-up": "Wrap-up of a call",
    "list-page": "Do-Not-Call list page",
    "import": "File import",
    "api": "API",
    "shell": "Command line",
    "demo": "Demo data",
    "recovered": "Recovered from Redis",
}
"""How entries come onto the company's own list. Programs that use the API may send other sources."""

BASES: Mapping[str, str] = {
    Basis.SIGNED_CONSENT: "Signed consent",
    Basis.WRITTEN_CONSENT: "Written consent",
    Basis.EXISTING_RELATIONSHIP: "Existing relationship",
    Basis.OTHER: "Other",
}

OUTCOMES: Mapping[str, str] = {
    "no-answer": "No answer",
    "call-back": "Call back",
    "sale": "Sale",
    "not-interested": "Not interested",
    "wrong-number": "Wrong number",
    "do-not-call": "Do Not Call",
}
"""Labels of the outcomes with which a person wraps up a call."""

PARTICULARS: Mapping[str, str] = {
    "account": "account",
    "addresses": "only from",
    "added": "newly added",
    "already": "already listed",
    "area_codes": "area codes to cover",
    "basis": "basis",
    "by_area_code": "covers only the area codes in its file",
    "campaigns": "campaigns",
    "channel": "channel",
    "code": "second factor",
    "country": "country",
    "decision": "decision",
    "disposition": "wrap-up number",
    "document": "document SHA-256",
    "ends_at": "ends",
    "entry": "entry number",
    "events": "events",
    "expires_at": "ends",
    "extension": "extension",
    "found": "differed",
    "some": "such as",
    "file": "file",
    "filter": "filter",
    "fresh_days": "fresh for days",
    "job": "job",
    "held": "overrides held",
    "lead": "lead",
    "kept": "kept",
    "lifted": "lifted",
    "list": "list",
    "limit": "limit",
    "lost": "overrides lost",
    "mark": "mark of the last write",
    "message": "message",
    "not_listed": "not on the list",
    "more": "more of these in a minute",
    "name": "user name",
    "note": "note",
    "number": "number",
    "numbers": "numbers",
    "outcome": "outcome",
    "patterns": "patterns",
    "person": "person",
    "reason": "reason",
    "recovery": "recovery number",
    "request": "request",
    "rejected": "rows rejected",
    "removed": "no longer listed",
    "replaces": "replaces override",
    "role": "role",
    "rows": "rows",
    "complete": "complete",
    "scopes": "may",
    "session": "session number",
    "sessions": "sessions ended",
    "since": "since",
    "sha256": "file SHA-256",
    "source": "source",
    "spared": "campaigns spared",
    "taken_as": "imported as",
    "terms": "stricter terms",
    "url": "address",
    "version": "version",
    "was": "before",
    "when_stale": "when stale",
    "when_uncovered": "numbers not covered",
    "why": "why",
    "zone": "time zone",
}
"""Labels of an audit event's details, for use in a line of text."""

GATE_DOUBTS: Mapping[str, str] = {
    "no-state": "Redis holds no copy of the lists.",
    "other-incarnation": (
        "Redis was restarted or replaced, slots of its shard moved, or it was found to differ widely from the "
        "database, since the copy was verified."
    ),
    "no-lease": "No worker keeps the copy in Redis current.",
    "no-terms": "Redis does not hold the terms of the registries.",
}
"""Why a gate blocks every call, by the slug in its heartbeat."""

_YES_NO = {"by_area_code"}
_MOMENTS = {"expires_at", "since"}

_VALUES: Mapping[str, Mapping[str, str]] = {
    "basis": BASES,
    "code": {"one-time": "one-time code", "recovery": "recovery code"},
    "job": {kind.name: kind.title for kind in JOB_KINDS.values()},
    "outcome": OUTCOMES,
    "source": SOURCES,
    "taken_as": {"full": "the whole registry", "part": "some area codes", "changes": "changes"},
    "when_stale": {WARN: "warn", BLOCK: "block calls"},
    "when_uncovered": {PASS: "calls pass", BLOCK: "calls are blocked"},
}


def national(number: str) -> str:
    """Format an E.164 number as it is written in its country. Text that is no number is returned unchanged."""
    try:
        parsed = phonenumbers.parse(E164(number))
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)


def action(slug: str) -> str:
    """Return what an audit event's action means; the slug itself when it is unknown."""
    return ACTIONS.get(slug, slug)


def subject(kind: str) -> str:
    """Return what a kind of subject is called; the slug itself when it is unknown."""
    return SUBJECTS.get(kind, kind)


def source(slug: str) -> str:
    """Return how an entry came onto the list; the text itself for the source that a program has sent."""
    return SOURCES.get(slug, slug)


def list_label(name: str) -> str:
    """Return what a list is called: `internal` is the company's own list, a known registry has its title."""
    if name == INTERNAL:
        return "company's own list"
    return preset_of(name).title if preset_of(name).country else f"list {name}"


def on_lists(names: Sequence[str]) -> str:
    """Return the lists that a number is on, to follow `on`: `the company's own Do-Not-Call list and 2 other lists`."""
    others = [name for name in names if name != INTERNAL]
    own = ["the company's own Do-Not-Call list"] if INTERNAL in names else []
    if len(others) == 1:
        return " and ".join([*own, f"the list {others[0]}"])
    return " and ".join([*own, f"{len(others)} {'other ' if own else ''}lists"] if others else own)


def actor(name: str) -> str:
    """Return who an actor is: `shell:root` is root at the shell, `token:crm` is API token crm, a user is their name."""
    kind, colon, rest = name.partition(":")
    match kind if colon else "":
        case "shell":
            return f"{rest} at the shell"
        case "token":
            return f"API token {rest}"
        case "system":
            return f"the {rest} process"
    return "the worker process" if name == "worker" else name


def who(name: str) -> str:
    """Return an actor for a sentence, with the recorded name where it differs: `root at the shell (shell:root)`."""
    label = actor(name)
    return label if label == name else f"{label} ({name})"


def gate_doubt(text: str) -> str:
    """Return why a gate blocks every call.

    The heartbeat holds a slug (in a cluster, after the name of the shard) or a message.
    """
    where, _, slug = text.rpartition(": ")
    if slug not in GATE_DOUBTS:
        return as_sentence(text)
    return f"{where}: {GATE_DOUBTS[slug]} ({slug})" if where else f"{GATE_DOUBTS[slug]} ({slug})"


def particulars(values: Mapping[str, object]) -> Iterator[tuple[str, str | datetime]]:
    """Yield the particulars of an audit event as label and text or moment, without the empty ones."""
    for name, value in sorted(values.items()):
        if value is not None and value != "":
            shown = _moment(str(value)) if name in _MOMENTS else None
            yield PARTICULARS.get(name, name.replace("_", " ")), shown or _text(name, value)


def _moment(text: str) -> datetime | None:
    """Read a recorded moment (aware). Return None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or name in _YES_NO:
        return "yes" if value else "no"
    if name == "list":
        return list_label(str(value))
    return _VALUES.get(name, {}).get(str(value), str(value))
