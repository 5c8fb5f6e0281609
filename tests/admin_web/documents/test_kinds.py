"""The content of a document decides its type, and its name must agree with it."""

import zipfile
from io import BytesIO

import puremagic
import pytest

from admin_web.documents import WrongKind
from admin_web.documents.kinds import require_content, require_name
from admin_web.documents.word import is_word
from tests.support.samples import (
    ACCEPTED,
    DOCX,
    EML,
    EXE,
    FRAME,
    HEIC,
    HTML,
    JPEG,
    MAIN,
    MP3,
    PDF,
    PNG,
    TIFF,
    WAV,
    WITH_MACROS,
    archive,
    word,
)


def require(name: str, content: bytes, declared: str = "") -> str:
    named = require_name(name)
    require_content(name, named, BytesIO(content), declared)
    return named.media_type


@pytest.mark.parametrize(("name", "content", "media_type"), ACCEPTED)
def test_each_kind_on_the_list_is_told_by_its_content(name, content, media_type):
    assert require(name, content) == media_type


@pytest.mark.parametrize(("name", "content", "media_type"), ACCEPTED)
def test_a_file_of_a_kind_under_the_name_of_another_is_refused_with_both(name, content, media_type):
    for other, _, another in ACCEPTED:
        if another != media_type:
            with pytest.raises(WrongKind, match=r"by its content, not .* give it a name that ends in"):
                require(other, content)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("consent.pdf", EXE, "Windows program"),
        ("letter.eml", b"PK\x03\x04" + b"\0" * 60, "Office"),
        ("consent.pdf", b"\x7fELF\x02\x01\x01" + b"\0" * 60, "Linux program"),
        ("consent.pdf", HTML, "HTML"),
        ("consent.pdf", HTML + PDF, "HTML"),
        ("consent.pdf", b"GIF89a\x01\x00\x01\x00" + PDF, "GIF89a"),
        ("consent.pdf", b" " * 1024 + PDF, "plain text"),
        ("consent.pdf", b"<svg>" + PDF, "kind|text"),
        ("photo.heic", HEIC[:8] + b"avif" + b"\0\0\0\0mif1avif", "kind"),
        ("photo.heic", b"\0\0\x10\0ftypheic", "kind"),
        ("photo.heic", HEIC[4:], "kind"),
        ("consent.docx", word(WITH_MACROS), "macros"),
        ("consent.docx", word(**{"word/vbaProject.bin": b"x"}), "macros"),
        ("consent.docx", word(**{"word/activeX/activeX1.xml": b"x"}), "controls"),
        ("consent.docx", archive({"word/document.xml": b"x"}), "ZIP archive"),
        ("consent.docx", archive({"[Content_Types].xml": MAIN.encode()}), "ZIP archive"),
        ("consent.docx", word("vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"), "ZIP archive"),
        ("consent.docx", DOCX[:-30], "ZIP archive"),
        ("consent.docx", b"PK\x03\x04" + b"\0" * 60, "ZIP archive"),
        ("consent.docx", archive({"[Content_Types].xml": b" " * 2_000_000 + MAIN.encode()}), "ZIP archive"),
        ("consent.pdf", b"%PDF", "kind"),
        ("consent.pdf", b"I agree to be called.", "plain text"),
        ("scan.png", PNG[:8] + b"<html>", "kind"),
        ("scan.jpg", b"\xff\xd8\xff<script>", "kind"),
        ("fax.tif", b"II*", "kind|text"),
        ("call.wav", b"RIFF\x24\0\0\0AVI LIST", "kind"),
        ("call.mp3", b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\0" * 128 + HTML, "kind"),
        ("call.mp3", b"ID3\x04\x00\x00\xff\x00\x01\x00" + FRAME, "kind"),
        ("call.mp3", b"ID3", "kind|text"),
        ("call.mp3", b"\xff\xfeh\0t\0m\0l\0", "kind"),
        ("letter.eml", HTML, "HTML"),
        ("letter.eml", b"From: a\nDate: b\n<html><script>", "kind|text"),
        ("letter.eml", b"\n" + EML, "text"),
        ("letter.eml", b" folded\n" + EML, "text"),
        ("letter.eml", b"From: lead@example.com\r\nSubject: no date\r\n\r\nhello", "kind|text"),
        ("letter.eml", EML + b"\0", "kind"),
        ("letter.eml", b"var a = 1; // From: x\nDate: y\n", "text"),
    ],
)
def test_what_is_none_of_them_is_refused_in_a_sentence_that_says_what_it_is(name, content, what):
    with pytest.raises(WrongKind, match=what) as caught:
        require(name, content)
    assert f"“{name}”" in str(caught.value)
    assert ".pdf, .png, .jpg, .jpeg, .heic, .heif, .tif, .tiff, .wav, .mp3, .eml, .docx" in str(caught.value)


@pytest.mark.parametrize(
    "before",
    [b"", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1b%-12345X@PJL ENTER LANGUAGE=PDF\r\n", b" " * (1024 - 8)],
)
def test_the_header_of_a_pdf_may_stand_anywhere_in_its_first_1024_bytes(before):
    assert require("consent.pdf", before + PDF) == "application/pdf"


def test_a_mail_that_quotes_the_header_of_a_pdf_is_a_mail():
    assert require("letter.eml", EML.replace(b"You may", b"%PDF-1.4 may")) == "message/rfc822"
    with pytest.raises(WrongKind, match="is a mail"):
        require("letter.pdf", EML.replace(b"You may", b"%PDF-1.4 may"))


def test_an_archive_with_a_large_directory_is_not_opened(monkeypatch):
    large = word(**{f"word/{line}.xml": b"" for line in range(20_000)})
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert not is_word(BytesIO(large))
    assert not is_word(BytesIO(b"PK\x03\x04" + b"\0" * 100_000))
    end = len(DOCX) - 22
    assert not is_word(BytesIO(DOCX[:end] + b"PK\x06\x07" + b"\0" * 16 + DOCX[end:]))


@pytest.mark.parametrize(
    "name",
    [
        "consent.exe",
        "consent.docm",
        "consent.doc",
        "consent.pdf.exe",
        "consent",
        "consent.txt",
        "page.html",
        ".pdf",
        "a.pdf.",
        "scan.svg",
    ],
)
def test_a_name_with_another_ending_is_refused_whatever_the_content(name):
    with pytest.raises(WrongKind, match=r"Choose a file whose name ends in \.pdf, "):
        require_name(name)


def test_what_the_sender_declares_is_not_believed_and_must_not_contradict():
    for declared in ("", "application/octet-stream", "application/x-pdf", "text/html"):
        assert require("consent.pdf", PDF, declared) == "application/pdf"
    with pytest.raises(WrongKind, match="sent as image/png"):
        require("consent.pdf", PDF, "image/png")


@pytest.mark.parametrize("content", [PDF, PNG, JPEG, TIFF, WAV])
def test_another_eye_sees_the_same_kind(content):
    """Our table of types must agree with puremagic, which is maintained by others."""
    names = {"application/pdf", "image/png", "image/jpeg", "image/tiff", "audio/wave", "audio/x-wav"}
    assert names & {guess.mime_type for guess in puremagic.magic_string(content)}


def test_a_mail_whose_header_is_longer_than_what_is_read_is_refused_not_misread():
    with pytest.raises(WrongKind):
        require("letter.eml", b"X-Long: " + b"a" * 70_000 + b"\r\n" + EML)
    assert require("letter.eml", EML.replace(b"Subject", b"X: " + b"b" * 60_000 + b"\r\nSubject")) == "message/rfc822"


def test_a_tag_that_is_longer_than_the_file_hides_nothing():
    with pytest.raises(WrongKind):
        require("call.mp3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + MP3)
