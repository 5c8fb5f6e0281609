"""The encodings of a request's body: UTF-8 as it is, or 415 before anything is read, unpacked or written."""

import asyncio
import gzip
import time

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from compliance.consent import Role
from compliance.http_body import why_not_decoded, why_not_read
from tests.support.records import LEAD
from tests.support.site import Site

FORM, JSON, TEXT = "application/x-www-form-urlencoded", "application/json", "text/plain"
REFUSED = {
    "latin-1": (f"{FORM}; charset=iso-8859-1", {}),
    "utf-16": (f"{FORM};charset=UTF-16", {}),
    "utf-7": (f'{FORM}; charset="utf-7"', {}),
    "unknown": (f"{FORM}; charset=nonsense", {}),
    "two": (f"{FORM}; charset=utf-8; charset=utf-7", {}),
    "gzip": (FORM, {"Content-Encoding": "gzip"}),
    "deflate": (FORM, {"Content-Encoding": "Deflate"}),
    "br": (FORM, {"Content-Encoding": "br"}),
    "several": (FORM, {"Content-Encoding": "identity, gzip"}),
    "unknown-encoding": (FORM, {"Content-Encoding": "nonsense"}),
}


@pytest.mark.parametrize(("content_type", "headers"), REFUSED.values(), ids=REFUSED)
async def test_a_body_in_another_encoding_is_refused_by_page_and_api(site: Site, content_type: str, headers):
    browser = await site.person(Role.ADMIN)
    for path, kind in ((f"/leads/{LEAD}/do-not-call", FORM), ("/api/v1/suppress", JSON), ("/api/v1/scrub", TEXT)):
        sent = {"Origin": browser.origin, "Content-Type": content_type.replace(FORM, kind), **headers}
        async with browser.session.post(path, data=b"x=1", headers=sent, skip_auto_headers=["User-Agent"]) as answer:
            assert (answer.status, answer.headers.get("Accept-Encoding")) == (415, "identity"), path


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=UTF-8", ';charset="utf-8"', "; charset=utf8"])
async def test_utf_8_is_accepted_in_every_spelling(site: Site, charset: str):
    browser = await site.person(Role.ADMIN)
    headers = {"Origin": browser.origin, "Content-Type": f"{FORM}{charset}"}
    async with browser.session.post("/sign-out", data=f"csrf={browser.csrf}", headers=headers) as answer:
        assert answer.status == 200


PARTS = [
    ({"Content-Type": "text/plain; charset=utf-16"}, True, "UTF-8"),
    ({"Content-Type": "text/csv; charset=windows-1252"}, False, ""),
    ({"Content-Encoding": "gzip"}, False, "Content-Encoding"),
    ({"Content-Transfer-Encoding": "base64"}, True, "Content-Transfer-Encoding"),
    ({"Content-Transfer-Encoding": "quoted-printable"}, False, "Content-Transfer-Encoding"),
    ({"Content-Transfer-Encoding": "8BIT", "Content-Encoding": "identity"}, True, ""),
    ({}, True, ""),
]


@pytest.mark.parametrize(("headers", "text", "said"), PARTS)
def test_a_part_of_a_form_follows_the_same_rule_and_a_file_keeps_its_own_charset(headers, text: bool, said: str):
    why = why_not_decoded(headers, text=text)
    assert said in why
    assert bool(said) is bool(why)


async def test_a_compressed_part_of_an_upload_is_refused(site: Site):
    browser = await site.person(Role.ADMIN)
    head = b'--b\r\nContent-Disposition: form-data; name="csrf"\r\nContent-Encoding: gzip\r\n\r\nx\r\n--b--'
    headers = {"Origin": browser.origin, "Content-Type": "multipart/form-data; boundary=b"}
    async with browser.session.post(f"/leads/{LEAD}/override", data=head, headers=headers) as answer:
        assert answer.status == 415


async def test_a_bomb_is_refused_without_being_unpacked(site: Site):
    browser, bomb = await site.person(Role.ADMIN), gzip.compress(b"x" * 50_000_000)
    headers = {"Origin": browser.origin, "Content-Type": FORM, "Content-Encoding": "gzip"}
    spent = []
    for _ in range(12):
        before = time.process_time()
        async with browser.session.post("/sign-in", data=bomb, headers=headers) as answer:
            assert answer.status == 415
        spent.append(time.process_time() - before)
    # Unpacking takes three times as long. The median, because the machine may be busy.
    assert sorted(spent)[len(spent) // 2] < 0.03


@pytest.mark.parametrize("path", [f"/leads/{LEAD}/do-not-call", "/sign-in", "/api/v1/scrub"])
async def test_a_client_that_leaves_while_it_sends_is_no_fault(site: Site, path: str):
    browser = await site.person(Role.ADMIN)
    host, port = browser.origin.removeprefix("http://").split(":")
    with capture_logs() as logs:
        for cut in (b"csrf=", b""):
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {browser.origin}\r\nContent-Length: 999\r\n"
            writer.write(f"{head}Content-Type: {FORM}\r\n\r\n".encode() + cut)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
            await asyncio.sleep(0.05)
    assert [entry for entry in logs if entry["log_level"] in {"error", "critical"}] == []


async def test_a_body_that_is_damaged_on_its_way_is_the_clients_fault(site: Site):
    browser = await site.person(Role.ADMIN)
    host, port = browser.origin.removeprefix("http://").split(":")
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /sign-in HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {browser.origin}\r\n"
        head += f"Transfer-Encoding: chunked\r\nContent-Type: {FORM}\r\n"
        writer.write(f"{head}\r\n5\r\nname=\r\nnonsense\r\n".encode())
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


def test_a_request_without_a_body_may_name_any_encoding():
    assert why_not_read(make_mocked_request("GET", "/", {"Content-Encoding": "gzip"})) == ""
