"""Paths of routes with values for their parameters."""

import re
from collections.abc import Mapping
from urllib.parse import quote

PART = re.compile(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")
"""A parameter of a path: `{override}`, or with its pattern `{override:\\d{1,18}}`."""


def filled(path: str, parts: Mapping[str, str]) -> str:
    """Return a path with `parts` as its parameters. A parameter without a part gets the id 1."""
    return PART.sub(lambda part: quote(parts.get(part[1], "1")), path)


def filled_with(path: str, text: str) -> str:
    """Return a path with the same text, already percent-encoded, for each parameter."""
    return PART.sub(lambda _: text, path)
