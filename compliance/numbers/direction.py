"""Invisible characters that change the order in which the characters around them are shown."""

# Right-to-left marks, embeddings, overrides and isolates (Unicode Standard Annex 9), and the isolate that takes its
# direction from the text. Left-to-right marks are not included, because they do not change how digits look.
# Numbers that are copied from web pages and address books are often enclosed in such marks.
TURNING = frozenset("\u061c\u200f\u202b\u202e\u2067\u2068")

_CODES = {ord(mark): f"<U+{ord(mark):04X}>" for mark in TURNING}


def visible(text: str) -> str:
    """Return the text with each such character replaced by its code, such as `<U+202E>`."""
    return text if text.isascii() else text.translate(_CODES)
