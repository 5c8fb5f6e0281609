"""What an answer of the API or of a command says of a change."""

import json
from dataclasses import dataclass
from typing import Any

from tests.faults.harness.history import Outcome

NOT_IN_FORCE = 3
STILL_AT_IT = "still-at-it"
"""The answer to a repeated request whose first attempt has not ended. What becomes of that one is not known."""

REFUSED_CODES = (1, 2)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: HTTP status or exit code (None without an answer), its words, and its fields if it is JSON."""

    code: int | None
    said: str

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a JSON answer; empty for any other."""
        try:
            found = json.loads(self.said)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def api_outcome(self) -> Outcome:
        """What the API says: only a refusal with a status below 500 says for certain that nothing changed."""
        if self.code is None or self.code >= 500 or self.code == 429 or STILL_AT_IT in self.said:
            return "unknown"
        if self.code >= 300:
            return "refused"
        return "in-force" if self.fields.get("in_force") else "recorded"

    @property
    def command_outcome(self) -> Outcome:
        """What the exit code of a command says."""
        if self.code == 0:
            return "in-force"
        if self.code == NOT_IN_FORCE:
            return "recorded"
        # A command that lost its database while it committed cannot know whether the change was made.
        return "refused" if self.code in REFUSED_CODES and "database" not in self.said.lower() else "unknown"
