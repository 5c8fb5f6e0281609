"""Folding of names for search: case, accents and surplus spaces are removed."""

import unicodedata

LONGEST_FOLDED = 400
"""Characters of a folded name that are kept. Folding may lengthen a name, because some letters fold to several."""


def folded(name: str) -> str:
    """Return the folded name: `  Søren  MÜLLER ` becomes `søren muller`."""
    # The name is decomposed before folding, because letters such as a double-struck S have no lower case until they are
    # decomposed. It is decomposed again after folding, as in Unicode's compatibility caseless match (The Unicode
    # Standard, section 3.13). Folding may lengthen a name: ß becomes ss.
    plain = _plain(_plain(name).casefold())
    return " ".join(plain.split())[:LONGEST_FOLDED].rstrip()


def _plain(name: str) -> str:
    """Decompose letters (NFKD) and remove combining marks."""
    return "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
