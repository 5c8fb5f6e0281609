"""Names as a search compares them: without case, accents and superfluous spaces."""

import unicodedata

LONGEST_FOLDED = 400
"""Characters of a folded name that are kept; a few letters fold to several."""


def folded(name: str) -> str:
    """Fold a name: `  Søren  MÜLLER ` gives `søren muller`."""
    # A letter may stand for another one that has a case (a double-struck S), and a case for several letters (ß).
    plain = _plain(_plain(name).casefold())
    return " ".join(plain.split())[:LONGEST_FOLDED].rstrip()


def _plain(name: str) -> str:
    """Take letters apart, and leave their marks out."""
    return "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
