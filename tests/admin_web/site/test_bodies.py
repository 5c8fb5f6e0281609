"""The encodings of a request's body: UTF-8 as it is, or 415 before anything is read, unpacked or written."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from admin_web.people.tokens import Scope, make_token
from compliance.consent import Role
from compliance.http_body import why_not_decoded, why_not_read
from tests.support.records import ADMIN, LEAD
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


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/suppress"])
@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": FORM, "Content-Encoding": "gzip"}, {"Content-Type": f"{FORM}; charset=utf-16"}],
    ids=["bomb", "charset"],
)
async def test_a_refused_body_costs_much_less_cpu_than_to_unpack_it(site: Site, path: str, headers: dict[str, str]):
    browser, bomb = await site.person(Role.ADMIN), gzip.compress(b"x" * 50_000_000)
    began = time.process_time()
    gzip.decompress(bomb)
    unpacked = time.process_time() - began
    spent = []
    for _ in range(12):
        before = time.process_time()
        sent = {"Origin": browser.origin, **headers}
        async with browser.session.post(path, data=bomb, headers=sent) as answer:
            assert answer.status == 415
        spent.append(time.process_time() - before)
    # The median, because the machine may be busy.
    assert sorted(spent)[len(spent) // 2] < unpacked / 4


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


POSTED = b"POST /sign-in HTTP/1.1\r\nContent-Length: 6\r\nContent-Type: application/x-www-form-urlencoded"
POST = POSTED + b"\r\n"
GET = b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n"
MALFORMED = {
    "origin-half-an-address": (POST + b"Host: x\r\nOrigin: http://[\r\n\r\nname=a", 403),
    "origin-unnormalised": (POST + "Host: x\r\nOrigin: http://℀\r\n\r\nname=a".encode(), 403),
    "origin-and-host-empty": (POST + b"Host:\r\nOrigin: null\r\n\r\nname=a", 403),
    "body-not-utf-8": (POST + b"Host: x\r\nOrigin: http://x\r\n\r\nname=\xff", 400),
    "charset-in-rfc-2231": (
        POSTED + b"; charset*=utf-8''%ff\r\nHost: x\r\nOrigin: http://x\r\n\r\nname=a",
        415,
    ),
    "port-out-of-range": (GET % (b"/none", b"x:99999", b"Referer: http://x/"), 404),
    "host-no-text": (GET % (b"/none", b"\xff", b"Referer: http://x/"), 404),
    "referer-half-an-address": (GET % (b"/none", b"x", b"Referer: http://["), 404),
    "file-name-too-long": (GET % (b"/static/" + b"a" * 3000, b"x", b"X: y"), 404),
    "next-half-an-address": (GET % (b"/sign-in?next=//[", b"x", b"X: y"), 200),
}


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_the_clients_fault(site: Site, sent: bytes, status: int):
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(sent)
        async with asyncio.timeout(60):
            line = await reader.readline()
        writer.close()
    assert line.startswith(f"HTTP/1.1 {status} ".encode())
    assert [entry for entry in logs if entry["log_level"] in {"error", "critical"}] == []


@pytest.mark.parametrize("path", [f"/leads/{LEAD}/override", "/api/v1/overrides"])
async def test_a_form_that_names_an_impossible_charset_is_refused(site: Site, path: str):
    browser, token = await site.person(Role.ADMIN), await make_token(site.database, ADMIN, "crm", [Scope.OVERRIDE])
    body = b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n' + b"u" * 40 + b"\r\n--b--"
    headers = {"Origin": browser.origin, "Content-Type": "multipart/form-data; boundary=b"}
    async with browser.session.post(path, data=body, headers={**headers, "Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 400


async def test_a_form_with_endless_empty_fields_is_cut_off(site: Site):
    browser, sent = await site.person(Role.ADMIN), 0
    csrf = f'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{browser.csrf}\r\n'.encode()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield csrf
        while sent < 50_000:
            sent += 1_000
            yield b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1_000
        yield b"--b--\r\n"

    headers = {"Origin": browser.origin, "Content-Type": "multipart/form-data; boundary=b"}
    async with browser.session.post(f"/leads/{LEAD}/override", data=endless(), headers=headers) as answer:
        assert answer.status == 413
