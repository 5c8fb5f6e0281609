"""A list scrubbed window by window gets the same verdicts as in one piece: in order, and as of one moment."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.judging import listing, rulings
from admin_web.lists import scrub as scrubbing
from admin_web.lists.scrub import Judged, Window, judged, scrub, spelled
from admin_web.lists.scrub_input import ScrubRow
from admin_web.lists.sheet import NotASheet, Sheet
from admin_web.lists.spreadsheet import defused
from admin_web.record.changes import Records
from admin_web.services.leads import add_lead
from admin_web.services.overrides import grant_override
from admin_web.services.suppression import lift, suppress, suppress_many
from compliance import rule
from compliance.check import CallPart, Check, OpenedBy
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.verdict import NOT_LISTED, Reason, allow, block
from tests.support.records import ADMIN, CONSENT, LEAD, NUMBER, OTHER, SECOND, SUPERVISOR

ROWS = 60


def number(place: int) -> E164:
    return E164(f"+1{415 + place % 5}5550{place % 7:03}")


def content() -> bytes:
    """Return a list with rows of several lines, rows without a number, and leads."""
    odd = {3: '{},L-1,"two\nlines"', 5: "nonsense,L-2,", 7: ""}
    lines = [odd.get(place % 11, "{},L-1,").format(number(place)) for place in range(ROWS)]
    return "\n".join(["number,lead,note", *lines, f"{NUMBER},L-1,", f"{NUMBER},L-2,"]).encode()


async def said(records: Records) -> str:
    out, raw = io.StringIO(newline=""), content()
    await scrub(
        records.database, Sheet(io.BufferedReader(io.BytesIO(raw)), "a.csv"), out, region="US", at=records.now()
    )
    return out.getvalue()


async def test_however_it_is_cut_a_list_is_judged_the_same(records: Records, monkeypatch: pytest.MonkeyPatch):
    await suppress_many(records, ADMIN, [number(place) for place in range(0, ROWS, 3)], source="import")
    await suppress(records, ADMIN, NUMBER, source="phone")
    for lead in (LEAD, SECOND):
        await add_lead(records, ADMIN, lead, NUMBER)
    await grant_override(records, SUPERVISOR, CONSENT)
    whole = await said(records)
    assert [row[3:5] for row in csv.reader(io.StringIO(whole, newline=""))][-2:] == [
        ["ALLOW", "override"],
        ["BLOCK", "internal-dnc"],
    ]
    assert whole.count('nonsense,L-2,",,L-2,BLOCK,invalid-number,letters\r\n') == 5
    for piece, most, few in ((1, Window(1, 10**9), 1), (3, Window(7, 10**9), 2), (2, Window(10**9, 100), 3)):
        monkeypatch.setattr(scrubbing, "PIECE", piece)
        monkeypatch.setattr(scrubbing, "WHOLE", most)
        for module, name in ((listing, "MOST_NUMBERS"), (rulings, "MOST_NUMBERS"), (listing, "MOST_EXCHANGES")):
            monkeypatch.setattr(module, name, few)
        assert await said(records) == whole


async def test_a_list_is_judged_as_of_one_moment_whatever_is_recorded_meanwhile(
    records: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scrubbing, "PIECE", 1)
    rows: list[ScrubRow] = [(1, "", NUMBER, None), (2, "", OTHER, None), (3, "", OTHER, None)]
    found = []
    async with aclosing(judged(records.database, iter(rows), records.now(), Window(1, 10**9))) as pieces:
        async for piece in pieces:
            found += [ruling.reason for ruling in piece.rulings]
            await suppress(records, ADMIN, OTHER, source="phone")
    assert found == [NOT_LISTED] * 3


async def test_rows_that_cannot_be_read_end_a_scrub_with_the_line_that_is_the_matter(
    records: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scrubbing, "PIECE", 1_000)
    monkeypatch.setattr(scrubbing, "WHOLE", Window(3_000, 10**9))
    raw = b"+14155550100\n" * 20_000 + b"1" * 70_000
    sheet = Sheet(io.BufferedReader(io.BytesIO(raw)), "a.csv")
    with pytest.raises(NotASheet, match=r"a\.csv: line 20001 is longer"):
        await scrub(records.database, sheet, io.StringIO(), region="US", at=records.now())


async def test_no_more_is_read_than_a_window_holds(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scrubbing, "PIECE", 2)
    taken = 0

    def rows() -> Iterator[ScrubRow]:
        nonlocal taken
        for taken in range(1, 101):
            yield taken, f"{taken:1000}", NUMBER, None

    for most, held in ((Window(10, 10**9), 10), (Window(10**9, 5_000), 6)):
        async with aclosing(judged(records.database, rows(), records.now(), most)) as pieces:
            first = await anext(pieces)
        assert (len(first.rulings), taken) == (2, held)


ROW = st.tuples(
    st.text(st.sampled_from("ab ,\"\r\n=+-@\t\u00e9\udce9'"), max_size=8),
    st.sampled_from([NUMBER, OTHER, InvalidNumber("letters")]),
    st.sampled_from([None, LeadId("L-1"), LeadId("=L")]),
    st.sampled_from([allow(NOT_LISTED), block(Reason("us-ftc-dnc")), allow(NOT_LISTED, "stale-us-ftc")]),
)


@given(st.lists(ROW, min_size=1))
def test_rows_are_spelled_as_the_csv_writer_spells_them(rows):
    out = io.StringIO(newline="")
    for text, number, lead, ruling in rows:
        shown = "" if isinstance(number, InvalidNumber) else number
        csv.writer(out).writerow((defused(text), shown, lead or "", ruling.verdict.value, ruling.reason, ruling.detail))
    texts, numbers, leads, ruled = zip(*rows, strict=True)
    assert spelled(Judged(range(len(rows)), texts, numbers, leads, ruled)) == out.getvalue()


def per_row(opened_by: OpenedBy, judge) -> Check:
    """A check that tells rows with the same facts apart."""
    return Check(
        judge=judge,
        reasons={CAPPED: "Called too often."},
        needs=frozenset(),
        depends_on=frozenset({CallPart.NUMBER, CallPart.LEAD}),
        opened_by=opened_by,
    )


CAPPED, THIRD = Reason("capped"), LeadId("L-3")
CAPPED_ROWS = f"number,lead\n{NUMBER},L-1\n{NUMBER},L-2\n{OTHER},L-3\n{OTHER},\nnonsense,L-1\n"


@pytest.mark.parametrize(
    ("opened_by", "capped", "said"),
    [
        (OpenedBy.NOTHING, lambda facts: facts.lead == LEAD, ["capped", "internal-dnc", "not-listed", "not-listed"]),
        (OpenedBy.OVERRIDE, lambda facts: facts.lead == LEAD, ["override", "internal-dnc", "not-listed", "not-listed"]),
        # The number is on no list: its overrides are looked up all the same.
        (OpenedBy.OVERRIDE, lambda facts: facts.number == OTHER, ["override", "internal-dnc", "override", "capped"]),
        (OpenedBy.NOTHING, lambda facts: facts.number == OTHER, ["override", "internal-dnc", "capped", "capped"]),
    ],
)
async def test_a_check_that_looks_at_numbers_or_leads_is_judged_for_each_row(
    records: Records, monkeypatch: pytest.MonkeyPatch, opened_by, capped, said
):
    for lead, number in ((LEAD, NUMBER), (THIRD, OTHER)):
        await suppress(records, ADMIN, number, source="phone")
        await add_lead(records, ADMIN, lead, number)
        await grant_override(records, SUPERVISOR, replace(CONSENT, lead=lead))
    await lift(records, ADMIN, OTHER, reason="test")
    check = per_row(opened_by, lambda facts, _: block(CAPPED) if capped(facts) else None)
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, check))
    out, sheet = io.StringIO(newline=""), Sheet(io.BufferedReader(io.BytesIO(CAPPED_ROWS.encode())), "a.csv")
    done = await scrub(records.database, sheet, out, region="US", at=records.now())
    said = [*said, "invalid-number"]
    assert [row[4] for row in csv.reader(io.StringIO(out.getvalue()))][1:] == said
    assert dict(done.blocked) == Counter(reason for reason in said if reason not in {"override", "not-listed"})
