"""Folding of names for search: case, accents and surplus spaces are removed."""

import unicodedata

LONGEST_FOLDED = 400
"""Characters of a folded name that are kept. A folded name may be longer than the name: some letters fold to several.
"""


def folded(name: str) -> str:
    """Return the folded name: `  Søren  MÜLLER ` becomes `søren muller`."""
    # Decompose before folding, since a double-struck S has no case of its own, and after it, as Unicode's compatibility
    # caseless match does (The Unicode Standard, section 3.13). Folding itself may lengthen a name: ß becomes ss.
    plain = _plain(_plain(name).casefold())
    return " ".join(plain.split())[:LONGEST_FOLDED].rstrip()


def _plain(name: str) -> str:
    """Decompose letters (NFKD) and remove combining marks."""
    return "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
