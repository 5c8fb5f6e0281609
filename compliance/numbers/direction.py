"""Invisible characters that change the order in which the characters around them are shown."""

# Right-to-left marks, embeddings, overrides and isolates (Unicode Standard Annex 9), and the isolate that takes its
# direction from the text. The marks for left to right are not among them: with those, digits look the same as without.
# Numbers that are copied from web pages and address books are often enclosed in them.
TURNING = frozenset("\u061c\u200f\u202b\u202e\u2067\u2068")

_CODES = {ord(mark): f"<U+{ord(mark):04X}>" for mark in TURNING}


def visible(text: str) -> str:
    """Return the text with the code of each such character, such as `<U+202E>`, in its place."""
    return text if text.isascii() else text.translate(_CODES)
