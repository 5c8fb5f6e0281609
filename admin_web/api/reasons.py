"""The reasons of verdicts in words, over the API."""

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, operation
from admin_web.api.problem import Problem
from admin_web.people.tokens import Scope
from compliance.rule import opens_by_override, sentence_of


class GetReason(Arguments):
    """The reason to explain, as a slug."""

    reason: words.ReasonSlug


class ReasonShown(Result):
    """A reason in words. `openable` says whether an override can open a block for this reason."""

    reason: str
    sentence: str
    openable: bool


@operation("get-reason", "GET", "/reasons/{reason}", Scope.READ, refuses=("unknown-reason",))
async def get_reason(_: ApiCall, asked: GetReason) -> ReasonShown:
    """Explain the reason of a verdict, and whether an override opens a block for it.

    Raises Problem for a reason that no verdict has.
    """
    sentence = sentence_of(asked.reason)
    if sentence == asked.reason:
        raise Problem("unknown-reason", f"No verdict has the reason {asked.reason}.")
    return ReasonShown(reason=asked.reason, sentence=sentence, openable=opens_by_override(asked.reason))
