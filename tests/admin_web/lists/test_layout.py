"""No number of a file is lost without a word, however the file is laid out."""

import io
from itertools import chain, islice

from hypothesis import given
from hypothesis import strategies as st

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.layout import Layout, is_number
from admin_web.lists.sheet import Sheet
from admin_web.lists.unread import Unread

NUMBERS = st.integers(100, 199).map(lambda line: f"4155550{line}")
SPELLED = st.tuples(st.sampled_from(["", "+1", "'", "1 ", "(", '"']), NUMBERS).map(
    lambda parts: f"({parts[1][:3]}) {parts[1][3:]}" if parts[0] == "(" else parts[0] + parts[1]
)
WORDS = st.sampled_from(["", "A. Sample", "n/a", "2026-01-02", "94105", "A", "D", "x", "12345", "No. 5", "Oak, St"])
HEADINGS = st.sampled_from(["name", "phone", "home", "number", "area", "change", "Do Not Call list as of 2026", ""])
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    delimiter, width = draw(DELIMITERS), draw(st.integers(1, 4))
    above = draw(st.lists(st.lists(HEADINGS, min_size=1, max_size=4), max_size=3))
    rows = draw(st.lists(st.lists(SPELLED | WORDS, min_size=1, max_size=width + 1), min_size=1, max_size=9))
    return "".join(delimiter.join(row) + "\n" for row in [*above, *rows])


@given(texts(), st.sampled_from(["US", "DE", "GB"]))
def test_each_number_is_taken_or_its_row_reported_or_its_column_named(text: str, region: str):
    with Sheet(io.BufferedReader(io.BytesIO(text.encode())), "list.csv") as sheet:
        rows = iter(sheet)
        sample = list(islice(rows, SAMPLE))
        try:
            layout = Layout.found(sample, (), region)
        except NoColumn:
            return  # The operator is asked.
        unread = Unread(layout)
        read = [(row, layout.read(row.cells or [])) for row in unread.watched(chain(sample[layout.skipped :], rows))]
    assert not any(is_number(cell, region) for row in sample[: layout.skipped] for cell in row.cells or ())
    for row, (numbers, rejected) in read:
        found = [place for place, cell in enumerate(row.cells or ()) if is_number(cell, region)]
        taken = {place for column in layout.columns for place in column.places}
        assert rejected or numbers
        assert rejected or all(place in taken or place in unread.others for place in found)
