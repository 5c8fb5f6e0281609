"""Mask numbers for logs."""

import re

_UNSHOWN = re.compile("[^+0-9]")


def mask(number: str) -> str:
    """Return a number masked for a log, such as `+1415*****00`: at most 16 characters, all `+`, digits, `*` or `?`."""
    shown = _UNSHOWN.sub("?", number[:16])
    if len(shown) < 8:
        return "*" * len(shown)
    head = shown[: min(5, len(shown) - 5)]
    return head + "*" * (len(shown) - len(head) - 2) + shown[-2:]
