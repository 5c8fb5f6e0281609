"""Names as a search compares them: without case, accents and superfluous spaces."""

import unicodedata

LONGEST_FOLDED = 400
"""Characters of a folded name that are kept; a few letters fold to several."""


def folded(name: str) -> str:
    """Fold a name: `  Søren  MÜLLER ` gives `søren muller`."""
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(mark))
    return " ".join(bare.split())[:LONGEST_FOLDED].rstrip()
