"""What the API says of a failure: what is on record, and what the caller can do."""

import pytest

from admin_web.api.problem import problem_of
from admin_web.documents import DocumentsUnavailable
from admin_web.services import DatabaseUnavailable, OutcomeUnknown

UNKNOWN = "It is not known whether the change was recorded. Look before you send the request again."
PARTLY = "A part of the request was recorded and stays. Send the request again to complete it."


@pytest.mark.parametrize(
    ("error", "recorded", "said", "retry"),
    [
        (DatabaseUnavailable("/var/lib/x", "try again"), 0, "Nothing was changed. Try again in a moment.", "2"),
        (DatabaseUnavailable("/x"), 2, PARTLY, "2"),
        (OutcomeUnknown("/x"), 0, UNKNOWN, None),
        (OutcomeUnknown("/x"), 3, UNKNOWN, None),
    ],
)
def test_a_request_that_the_database_fails_says_what_is_on_record(error, recorded, said, retry):
    problem = problem_of(error, recorded)
    assert problem is not None
    assert (problem.status, problem.detail, problem.headers.get("Retry-After")) == (503, said, retry)


def test_documents_that_cannot_be_kept_are_said_without_their_directory():
    problem = problem_of(DocumentsUnavailable("Documents cannot be kept or read in /var/lib/dnc: full."))
    assert problem is not None
    assert (problem.status, problem.detail) == (503, DocumentsUnavailable.public)
