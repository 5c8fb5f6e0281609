"""Every line of a file becomes part of a row, readable or not. None is skipped silently."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.lists.sheet import LONGEST_LINE, MOST_LINES, PIECE, NotASheet, Sheet, SheetRow


def sheet(content: bytes | str) -> Sheet:
    raw = content.encode() if isinstance(content, str) else content
    return Sheet(io.BufferedReader(io.BytesIO(raw)), "list.csv", len(raw))


def rows(content: bytes | str) -> list[SheetRow]:
    return list(sheet(content))


def cells(content: bytes | str) -> list[list[str] | None]:
    return [row.cells for row in rows(content)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_one_number_per_line_in_any_systems_line_ends(line_end: str):
    assert cells(line_end.join(["+14155550100", " 4155550101 ", "", '"4155550102"', ""])) == [
        ["+14155550100"],
        ["4155550101"],
        ["4155550102"],
    ]


def test_a_line_of_a_plain_list_is_one_cell_whatever_is_in_it():
    """If the line were split at the comma, the second number would be lost."""
    assert cells("4155550100\n4155550101,4155550102\n") == [["4155550100"], ["4155550101,4155550102"]]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Do Not Call list as of 29 November 2026\nname,phone,added\nA,+14155550112,2026-01-02\n", ","),
        ("List, of us, made by B, today\nname;phone\nA;+14155550112\nB;+14155550113\n", ";"),
        ("Acme\nDo Not Call list\nname\tphone\nA\t+14155550112\n", "\t"),
        ("Doe, John;4155550100;x\nRoe, Jane;4155550101;y\n", ";"),
        ("Doe, John;4155550100\nRoe, Jane;4155550101\n", ";"),
        ("name;note\n4155550100;one, two, three\n4155550101;one, two\n", ";"),
        ("List; as of today\n4155550100\n4155550101\n", None),
        ("4155550100\n4155550101\n4155550102; moved\n", None),
        ('"4155550100"\n"4155550101"\n', None),
        ("sep=;\nname;phone;city\nA;+14155550179;Springfield\n", ";"),
        ("SEP=|\r\na, b|c, d\r\n", "|"),
        ('"sep=\t"\na,b\tc\n', "\t"),
        ("\nsep=:\nname:4155550100\n", ":"),
        ("sep=;,,\nname;4155550100\n", ";"),
        ("separate,4155550100\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_is_declared_or_that_most_lines_have(text: str, delimiter: str | None):
    assert sheet(text).delimiter == delimiter


def test_a_declared_delimiter_is_no_row_and_the_lines_after_it_keep_their_numbers():
    assert rows("sep=;\nphone;name\n4155550100;A\n") == [
        SheetRow(2, "phone;name", ["phone", "name"]),
        SheetRow(3, "4155550100;A", ["4155550100", "A"]),
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("'+14155550131", "+14155550131"),
        ("'4155550132", "4155550132"),
        (" '(415) 555-0133", "(415) 555-0133"),
        ("\u20194155550134", "4155550134"),
        ('="04155550135"', "04155550135"),
        ('"=""04155550136"""', "04155550136"),
        ("'=1+1", "=1+1"),
        ("'t Hooft", "'t Hooft"),
        ("O'Hara", "O'Hara"),
        ("''", "''"),
    ],
)
@pytest.mark.parametrize("before", ["name,", ""])
def test_the_marks_by_which_a_spreadsheet_keeps_digits_as_text_are_taken_off(before: str, written: str, read: str):
    head = "x,y\nx,y\n" if before else ""
    assert cells(f"{head}{before}{written}\n")[-1][-1] == read


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_between_quotation_marks_is_text(delimiter: str):
    text = delimiter.join(["number", '"a, b; c"', "note"]) + "\n" + delimiter.join(["4155550100", "x", ""])
    assert cells(text) == [["number", "a, b; c", "note"], ["4155550100", "x", ""]]


def test_rows_know_the_line_they_start_on_and_their_own_text():
    assert rows('number,note\n\n1,"two\nlines"\n2,x\n') == [
        SheetRow(1, "number,note", ["number", "note"]),
        SheetRow(3, '1,"two\nlines"', ["1", "two\nlines"]),
        SheetRow(5, "2,x", ["2", "x"]),
    ]


def test_rows_of_blank_cells_are_blank():
    assert cells("a,b\n,,,\n \n1,2\n") == [["a", "b"], ["1", "2"]]


def test_a_space_before_a_quotation_mark_does_no_harm():
    assert cells('a, "b, c"\n') == [["a", "b, c"]]


def test_a_stray_quotation_mark_spoils_its_own_row_alone():
    read = rows('number,note\n4155550100,"open\n4155550101,x\n4155550102,"y"\n4155550103,z\n')
    assert [row.line for row in read] == [1, 2, 3, 4, 5]
    assert [row.cells and row.cells[0] for row in read] == ["number", None, "4155550101", "4155550102", "4155550103"]


def test_an_inch_mark_within_a_cell_takes_nothing_with_it():
    assert cells("number,note\n1,5' 10\" tall\n2,x\n")[1:] == [["1", "5' 10\" tall"], ["2", "x"]]


def test_a_quotation_mark_that_never_closes_spoils_its_own_row_alone():
    text = "number,note\n" + '1,"open\n' + "".join(f"{n},x\n" for n in range(2, 3 * MOST_LINES))
    read = cells(text)
    assert read[1] is None
    assert read[2:] == [[str(n), "x"] for n in range(2, 3 * MOST_LINES)]


@given(st.text(st.sampled_from('ab1,"\n;'), max_size=60))
def test_what_is_written_in_a_file_is_in_its_rows_once_and_in_order(text: str):
    written = [character for character in "x,y" + text if character.isalnum()]
    found = [character for row in sheet("x,y\n" + text) for character in row.text if character.isalnum()]
    assert found == written


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_encodings_of_spreadsheets_are_read(encoding: str):
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    content = marks.get(encoding, b"") + "number,name\n4155550100,Café\n".encode(encoding)
    assert cells(content) == [["number", "name"], ["4155550100", "Café"]]


def test_latin_1_in_a_name_harms_no_number():
    read = rows(b"number,name\n4155550100,Caf\xe9\n")
    assert read[1].cells is not None
    assert read[1].cells[0] == "4155550100"


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"PK\x03\x04rest of a spreadsheet", "save it as CSV"),
        (b"\xd0\xcf\x11\xe0 an older one", "save it as CSV"),
        ("4155550100\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"1" * (LONGEST_LINE + 1), "this is not a list"),
    ],
)
def test_what_is_no_list_is_refused_with_what_to_do(content: bytes, hint: str):
    with pytest.raises(NotASheet, match=hint):
        rows(content)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_rows(content: bytes):
    assert rows(content) == []


def test_a_file_tells_how_far_it_was_read(tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("4155550100\n" * 10_000)
    with Sheet.open(str(path)) as opened:
        reading = iter(opened)
        next(reading)
        assert opened.size == 110_000
        assert 0 < opened.bytes_read < 110_000
        assert len(list(reading)) == 9999
        assert opened.bytes_read == 110_000


@given(st.text(st.sampled_from('ab1 ,"\n\r\u2028\x1c'), max_size=60), st.integers(1, 9))
def test_rows_are_the_same_in_whatever_pieces_the_file_is_read(text: str, piece: int):
    text = "a,b\n" + text
    whole = rows(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("admin_web.lists.sheet.PIECE", piece)
        assert rows(text) == whole


@given(st.text(st.sampled_from("ab1 ,\t\x1c\u00a0\0'"), max_size=30).filter(lambda line: "'1" not in line))
def test_a_line_without_quotation_marks_is_cut_as_a_csv_reader_cuts_it(line: str):
    (cut,) = csv.reader([line + "\n"], skipinitialspace=True, strict=True)
    wanted = [cell.strip() for cell in cut]
    assert cells("a,b\n" * 2 + " " * 5000 + "\n" + line + "\n")[2:] == ([wanted] if any(wanted) else [])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", ""])
def test_a_line_may_be_just_short_enough(line_end: str):
    fits, lines = "x" * (LONGEST_LINE - 1) + line_end, PIECE // 2 - 1
    before = "a\n" * lines  # The next line begins at the end of a piece that is read.
    assert cells(before + fits)[lines:] == [["x" * (LONGEST_LINE - 1)]]
    with pytest.raises(NotASheet, match=f"line {lines + 1} is longer"):
        rows(before + "x" + fits)
