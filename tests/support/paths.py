"""Paths of routes with something put in for their parts."""

import re
from collections.abc import Mapping
from urllib.parse import quote

PART = re.compile(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")
"""`{override}`, or with what it must match, `{override:\\d{1,18}}`."""


def filled(path: str, parts: Mapping[str, str]) -> str:
    """A path with `parts` by name; a part that is not among them is the id 1."""
    return PART.sub(lambda part: quote(parts.get(part[1], "1")), path)


def filled_with(path: str, text: str) -> str:
    """A path with the same text, percent-encoded already, for each of its parts."""
    return PART.sub(lambda _: text, path)
