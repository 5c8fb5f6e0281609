"""Error responses of the API: problem details (RFC 9457), each with a stable type."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

from admin_web.documents import DocumentNotKept, DocumentsUnavailable, DocumentTooLarge
from admin_web.lists.sheet import NotASheet
from admin_web.services import DatabaseUnavailable, OutcomeUnknown, public_words
from admin_web.services.campaign_lists import UnknownList
from admin_web.services.idempotency import KeyReused
from admin_web.services.leads import LeadExists, UnknownLead
from admin_web.services.overrides import NothingToRenew, NotYetRenewable
from admin_web.services.patterns import PatternStands
from admin_web.services.revocation import OverrideExpired, UnknownOverride
from admin_web.services.suppression import NotListed
from compliance.numbers import InvalidNumber
from compliance.openable import (
    BasisNotEnough,
    ConsentOutdated,
    NotOpenable,
    NotSuppressed,
    OverrideStands,
    SameDayUnexplained,
)
from compliance.patterns import UnfitPattern
from compliance.refusal import NotPermitted, Refused

PROBLEM_JSON = "application/problem+json"
TYPE = "urn:dnc-gate:problem:"

KINDS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "The request does not fit the description of this operation"),
    "unauthorized": (401, "A bearer token is needed"),
    "forbidden": (403, "The token may not do this"),
    "unknown-route": (404, "There is no such path"),
    "unknown-lead": (404, "There is no such lead"),
    "unknown-override": (404, "There is no such override"),
    "unknown-list": (404, "There is no such campaign list"),
    "unknown-decision": (404, "There is no such decision"),
    "unknown-reason": (404, "No verdict has this reason"),
    "method-not-allowed": (405, "The path does not take this method"),
    "request-timeout": (408, "The request took too long to arrive"),
    "lead-exists": (409, "A lead with this id exists already"),
    "not-listed": (409, "The number is not on the list"),
    "pattern-stands": (409, "The pattern is in force already"),
    "not-suppressed": (409, "The number is not blocked, so there is nothing to open"),
    "not-openable": (409, "The lead is blocked for a reason that no override opens"),
    "consent-outdated": (409, "The person asked not to be called after the consent"),
    "same-day-unexplained": (409, "The person asked not to be called on the day of the consent"),
    "basis-not-enough": (409, "A consent on this basis does not open this number"),
    "override-stands": (409, "The lead has a live override already"),
    "override-expired": (409, "The override has expired"),
    "nothing-to-renew": (409, "The override is not the lead's live one"),
    "not-yet-renewable": (409, "The override does not end soon"),
    "still-at-it": (409, "The same request is being carried out"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "This kind of content is not accepted here"),
    "invalid-number": (422, "This is not one telephone number"),
    "invalid-pattern": (422, "This is not a pattern"),
    "document-not-kept": (422, "The document was not accepted"),
    "not-a-sheet": (422, "The content cannot be read as a list"),
    "key-reused": (422, "The idempotency key was used for another request"),
    "unknown-page": (422, "The list has no such page"),
    "refused": (422, "What was asked for is not allowed"),
    "too-many-requests": (429, "Too many requests"),
    "internal-error": (500, "The site failed"),
    "record-unavailable": (503, "The database cannot be reached"),
    "queue-unavailable": (503, "The queue is unavailable"),
    "documents-unavailable": (503, "Documents cannot be stored at the moment"),
}
"""Each type of problem by slug, with status and title. A slug is never renamed, only retired."""

SLUGS: Mapping[type[Exception], str] = {
    UnknownLead: "unknown-lead",
    UnknownOverride: "unknown-override",
    UnknownList: "unknown-list",
    PatternStands: "pattern-stands",
    UnfitPattern: "invalid-pattern",
    LeadExists: "lead-exists",
    NotListed: "not-listed",
    NotSuppressed: "not-suppressed",
    NotOpenable: "not-openable",
    ConsentOutdated: "consent-outdated",
    SameDayUnexplained: "same-day-unexplained",
    BasisNotEnough: "basis-not-enough",
    OverrideStands: "override-stands",
    OverrideExpired: "override-expired",
    NothingToRenew: "nothing-to-renew",
    NotYetRenewable: "not-yet-renewable",
    KeyReused: "key-reused",
    NotPermitted: "forbidden",
    InvalidNumber: "invalid-number",
    DocumentTooLarge: "too-large",
    DocumentsUnavailable: "documents-unavailable",
    DocumentNotKept: "document-not-kept",
    NotASheet: "not-a-sheet",
    DatabaseUnavailable: "record-unavailable",
    Refused: "refused",
}
"""The problem for each exception that services raise; subclasses come before their base classes."""


@dataclass(eq=False)
class Problem(Refused):
    """A request that is not carried out; `detail` is a sentence for the author of the program that sent it.

    `errors` point at the invalid parts of the request (JSON Pointers, RFC 6901).
    """

    slug: str
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """HTTP status of this type of problem."""
        return KINDS[self.slug][0]

    def answer(self) -> web.Response:
        """Build the response."""
        status, title = KINDS[self.slug]
        said: dict[str, Any] = {"type": TYPE + self.slug, "title": title, "status": status, "detail": self.detail}
        if self.errors:
            said["errors"] = list(self.errors)
        return web.Response(
            status=status, body=json.dumps(said).encode(), content_type=PROBLEM_JSON, headers=dict(self.headers)
        )


def problem_of(error: Exception, recorded: int = 0) -> Problem | None:
    """Convert an exception into a problem; None for an unexpected one, which is a fault of the site.

    `recorded` is the number of changes that the request had recorded before.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPException):
        return _of_http(error)
    if isinstance(error, web.RequestPayloadError):
        return Problem("bad-request", "The request was damaged on its way. Nothing was changed.")
    slug = next((slug for kind, slug in SLUGS.items() if isinstance(error, kind)), None)
    if slug is None:
        return None
    if isinstance(error, DatabaseUnavailable):  # The exception's text contains the address of the database.
        return _unavailable(error, recorded)
    return Problem(slug, public_words(error))


def _unavailable(error: DatabaseUnavailable, recorded: int) -> Problem:
    """Say what is on record, so that the caller knows what to send again."""
    if isinstance(error, OutcomeUnknown):
        said = "It is not known whether the change was recorded. Look before you send the request again."
        return Problem("record-unavailable", said)
    if recorded:
        said = "A part of the request was recorded and stays. Send the request again to complete it."
    else:
        said = "Nothing was changed. Try again in a moment."
    return Problem("record-unavailable", said, headers={"Retry-After": "2"})


def _of_http(error: web.HTTPException) -> Problem:
    """Convert what aiohttp raises by itself: no such path, no such method, a body that violates HTTP."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem("method-not-allowed", f"This path accepts {allowed}.", headers={"Allow": allowed})
    slugs = {HTTPStatus.NOT_FOUND: "unknown-route", HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large"}
    slug = slugs.get(HTTPStatus(error.status), "bad-request")
    see = "/api/v1/openapi.json lists the operations." if slug == "unknown-route" else error.reason
    return Problem(slug, see)
