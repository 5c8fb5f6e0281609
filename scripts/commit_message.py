#!/usr/bin/env python3
"""Check that a commit message begins with `area: summary`, under 72 characters, and an empty line before its body.

Usage, as a commit-msg hook: commit_message.py FILE. Prints one line for each fault, and then exits with code 1.
"""

import re
import sys
from pathlib import Path

MOST = 71
"""Maximum length of a subject in characters. `git log --oneline` and mails then show the subject on one line."""

SUBJECT = re.compile(r"[a-z0-9_./-]+(, [a-z0-9_./-]+)*: \S.*[^.\s]")
OF_GIT = ("Merge ", 'Revert "', "fixup! ", "squash! ", "amend! ")
"""Beginnings of subjects that git writes. They are exempt from the form."""


def faults(message: str) -> list[str]:
    """Return the faults of a commit message, one line for each."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject, *rest = lines or [""]
    if subject.startswith(OF_GIT):
        return []
    found = []
    if not SUBJECT.fullmatch(subject):
        found.append(f"write the subject as `area: imperative summary`, without a full stop: {subject!r}")
    if len(subject) > MOST:
        found.append(f"the subject has {len(subject)} characters; at most {MOST} are allowed")
    if rest and rest[0].strip():
        found.append("leave the second line empty")
    return found


if __name__ == "__main__":
    told = faults(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("".join(f"{line}\n" for line in told), end="", file=sys.stderr)
    raise SystemExit(1 if told else 0)
