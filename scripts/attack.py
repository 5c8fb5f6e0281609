"""Attack a site with demo data on loopback: schemathesis against the API, wapiti against the pages, as an admin.

`scripts/attack [--minutes N] [--only api | site]` installs what is needed and runs this. It prints each finding, what
wapiti did not reach, and every server error. Exits with code 1 if a finding is not in `EXPLAINED`.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, CookieJar, FormData
from redis import Redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from admin_web.cli.demo_data import LEADS
from admin_web.people.tokens import MOST_PER_MINUTE, Scope
from admin_web.site.routes import ROUTES
from admin_web.webhooks.events import Event
from lab import demo_history
from lab.data_dir import claimed
from lab.process import free_port
from lab.stack import Stack

WAPITI = Path(__file__).resolve().parent.parent / ".venv-attack" / "bin" / "wapiti"

MODULES = (
    "cookieflags", "csp", "http_headers", "methods", "htaccess", "csrf", "redirect", "upload", "crlf", "shellshock",
    "ldap", "xss,permanentxss", "sql", "exec", "file", "timesql",
)  # fmt: skip
"""Modules that need no server elsewhere and no list from elsewhere, the quick ones first: they leave their time to
those that send many requests. `permanentxss` looks for what `xss` has sent, so the two run together.

Left out: ssrf, xxe, log4shell, spring4shell, takeover (they need a server on the internet), brute_login_form and buster
(the throttle and the route tests cover what they try), ssl and https_redirect (the proxy in front does TLS), and those
that look for other products (cms, wp_enum, drupal_enum, nikto, wapp, htp, network_device, backup).
"""

KEPT_FROM = ("/sign-out", "/account/*", "/users/admin/*", "/healthz", "/readyz", "/static/*")
"""Pages that wapiti must not touch: they would end its own session, or they are no pages."""

SAMPLES = 2
"""How many pages of each route wapiti begins with, for example the pages of two leads."""

EXPLAINED: Mapping[str, str] = {
    "Secure Flag cookie": "The demo site speaks HTTP. Over HTTPS each cookie is Secure.",
    "LDAP Injection": "Nothing uses LDAP. wapiti sees that a form accepts one value and refuses another.",
}
"""Findings that docs/security.md explains, by wapiti's category."""

CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""
"""A well-formed request can still be refused: for an invalid number, or another statement than the attestation."""


def main() -> int:
    """Start the site, run the attacks, print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="maximum duration of wapiti, in minutes")
    parser.add_argument("--only", choices=["api", "site"], help="run one of the two")
    asked = parser.parse_args()
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dnc-attack-") as directory, claimed(Path(directory)) as data_dir:
        binds = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS", "WEB")}
        paths = {"DNC_DATA_DIR": directory, "DNC_REDIS_URL": "", "DNC_DATABASE_URL": ""}
        os.environ |= {**paths, "DNC_CDR_FILE": f"{directory}/cdr.csv", **binds}
        stack = Stack(said.append, data_dir)
        try:
            stack.start()
            furnish(stack, Path(directory))
            open_findings = [] if asked.only == "site" else list(attack_api(stack, Path(directory)))
            if asked.only != "api":
                first = "\n".join(said).rpartition("once: ")[2].split()[0]
                cookie, pages = asyncio.run(prepared(stack.site.rstrip("/"), first))
                open_findings += attack_site(stack.site, cookie, pages, Path(directory), asked.minutes)
            open_findings += server_errors(Path(directory))
        finally:
            stack.stop()
    print(f"\n{len(open_findings)} findings that docs/security.md does not explain")
    for finding in open_findings:
        print(f"  {finding}")
    return 1 if open_findings else 0


def furnish(stack: Stack, directory: Path) -> None:
    """Record something of each kind that has a page: a blocked lead, calls, lists of both kinds, and an import."""
    stack.command("dnc-admin", "seed-demo")
    stack.command("dnc-admin", "suppress", LEADS[0].number)
    stack.command("dnc-admin", "campaign-list", "add", "summer", "--campaigns", "summer")
    stack.command("dnc-admin", "registry", "add", "us-ftc")
    (directory / "numbers.csv").write_text("number\n+12125550199\n")
    stack.command("dnc-admin", "import", "internal", str(directory / "numbers.csv"))
    with Redis(unix_socket_path=str(directory / "redis.sock")) as redis:
        demo_history.record(redis, Path(os.environ["DNC_CDR_FILE"]))


def attack_api(stack: Stack, directory: Path) -> Iterator[str]:
    """Run schemathesis with a token that has every scope. Yield a line if it found anything."""
    scopes = [word for scope in Scope for word in ("--scope", scope)]
    made = stack.command("dnc-admin", "token", "make", "attack", *scopes, "--per-minute", str(MOST_PER_MINUTE))
    token = made.split("once: ")[1].split()[0]
    (directory / "schemathesis.toml").write_text(CONFIG)
    program = Path(sys.executable).with_name("schemathesis")
    words = [
        program, "--no-color", "run", f"{stack.site}api/v1/openapi.json", "--header", f"Authorization: Bearer {token}",
        "--max-examples", "50", "--generation-database", "none", "--request-timeout", "30",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    ended = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=900, check=False)
    print(ended.stdout[-3000:])
    if ended.returncode != 0:
        yield "schemathesis: see above"


async def prepared(site: str, password: str) -> tuple[str, list[str]]:
    """Sign in as the first admin and choose another password. Return the session cookie and the pages to begin with."""
    async with ClientSession(site, cookie_jar=CookieJar(unsafe=True), headers={"Origin": site}) as browser:
        _, csrf = await posted(browser, "/sign-in", {"name": "admin", "password": password})
        own = secrets.token_urlsafe(15)
        change = {"present": password, "new": own, "again": own, "csrf": csrf}
        _, csrf = await posted(browser, "/account/password", change)
        # Nothing listens on this address, and it belongs to nobody.
        hook = {"url": "https://hooks.invalid/", f"event-{Event.SUPPRESS}": "on", "csrf": csrf}
        await posted(browser, "/webhooks/new", hook)
        registry_file = await uploaded(browser, "/registries/us-ftc/import", csrf)
        sheet = await uploaded(browser, "/imports/numbers", csrf)
        job, _ = await posted(browser, sheet, {"csrf": csrf})
        cookie = next(cookie.value for cookie in browser.cookie_jar if cookie.key == "dnc_session")
        began = [registry_file, sheet, job, f"{job}/live", f"{job}/report", f"/leads/{LEADS[0].id}"]
        return cookie, await samples(browser, began)


async def posted(browser: ClientSession, path: str, fields: FormData | Mapping[str, str]) -> tuple[str, str]:
    """Post a form. Return the path of the page that follows, and the token that its forms have."""
    async with browser.post(path, data=fields) as answer:
        answer.raise_for_status()
        return answer.url.path, re.findall(r'name="csrf" value="([^"]+)"', await answer.text())[0]


async def uploaded(browser: ClientSession, path: str, csrf: str) -> str:
    """Upload a list with one number and one bad row. Return the path of its preview."""
    form = FormData({"csrf": csrf})
    form.add_field("file", b"number\n+12125550198\nnone\n", filename="numbers.csv", content_type="text/csv")
    preview, _ = await posted(browser, path, form)
    return preview


async def samples(browser: ClientSession, more: Sequence[str]) -> list[str]:
    """Follow the links of the site from `more` and from its fixed pages. Return up to `SAMPLES` paths of each route.

    wapiti counts all pages below one path as files of one directory, and a thousand leads would hide the other pages.
    """
    found: Counter[str] = Counter()
    pages = [route.path for route in ROUTES if route.method == "GET"]
    paths = [*more, *(page for page in pages if "{" not in page)]
    taken: list[str] = []
    for path in paths:  # grows while it is walked through
        route = path if path in pages else next((page for page in pages if _reached(page, [path])), None)
        if route is None or path in taken or found[route] == SAMPLES:
            continue
        found[route] += 1
        taken.append(path)
        async with browser.get(path) as answer:
            if answer.content_type == "text/html":
                paths += re.findall(r'(?:href|hx-get)="(/[^"?#]*)', await answer.text())
    return taken


def attack_site(site: str, cookie: str, pages: Sequence[str], directory: Path, minutes: float) -> list[str]:
    """Run wapiti as the admin with this session, print its findings, and return those that are not explained."""
    root, report = site.rstrip("/"), directory / "wapiti.json"
    words = [
        str(WAPITI), "--url", site, "--scope", "domain", "--cookie-value", f"dnc_session={cookie}",
        "--header", "Sec-Fetch-Site: same-origin", "--depth", "1", "--max-files-per-dir", "60",
        "--max-parameters", "20", "--tasks", "4", "--no-bugreport", "--store-session", str(directory / "wapiti"),
        "--store-config", str(directory / "wapiti-config"), "--detailed-report", "1", "--verbose", "1",
        "--format", "json", "--output", str(report),
        *(word for page in pages for word in ("--start", root + page)),
        *(word for page in KEPT_FROM for word in ("--exclude", root + page)),
    ]  # fmt: skip
    said, ends = "", time.monotonic() + minutes * 60
    for place, modules in enumerate(MODULES):
        crawl = ["--skip-crawl"] if place else ["--flush-session", "--max-scan-time", str(minutes * 60 / 4)]
        seconds = max(1, (ends - time.monotonic()) / (len(MODULES) - place)) / len(modules.split(","))
        turn = [*words, *crawl, "--module", modules, "--max-attack-time", str(seconds)]
        try:
            ended = subprocess.run(turn, capture_output=True, text=True, timeout=minutes * 60 + 120, check=False)
        except subprocess.TimeoutExpired:
            return [f"wapiti did not end in time with {modules}"]
        said += ended.stdout + ended.stderr
    if not report.exists():
        return [f"wapiti wrote no report: {said[-2000:]}"]
    # Each report has what the earlier modules found too: wapiti keeps it in the session.
    found = json.loads(report.read_text())
    print_reach(found, said)
    return list(judged(found))


def judged(report: Mapping[str, Any]) -> Iterator[str]:
    """Print each finding of a report. Yield those that are not explained."""
    for kind in ("vulnerabilities", "anomalies"):
        for category, findings in report[kind].items():
            for one in findings:
                line = f"{category}: {one['method']} {one['path']} {one.get('parameter') or ''} {one['info']}"
                print(f"{'explained' if category in EXPLAINED else 'OPEN':<10}{line[:400]}")
                if category not in EXPLAINED:
                    yield line[:400]


def print_reach(report: Mapping[str, Any], said: str) -> None:
    """Print what wapiti reached and what it did not: pages, and modules whose time was up."""
    paths = {urlsplit(page["request"]["url"]).path for page in report["infos"].get("crawled_pages", [])}
    missed = [route.path for route in ROUTES if route.method == "GET" and not _reached(route.path, paths)]
    print(f"\nwapiti reached {report['infos']['crawled_pages_nbr']} requests on {len(paths)} paths.")
    print(f"Pages that it did not reach: {', '.join(dict.fromkeys(missed)) or 'none'}")
    print(f"Pages that it was kept from: {', '.join(KEPT_FROM)}")
    late = re.findall(r"Max attack time was reached for module (\w+)", said)
    print(f"Modules whose time was up: {', '.join(late) or 'none'}")


def _reached(route: str, paths: Iterable[str]) -> bool:
    """Return whether one of the paths belongs to a route, whose parameters are in braces."""
    pattern = re.compile("".join(_as_pattern(part) for part in re.split(r"(\{(?:[^{}]|\{[^}]*\})*\})", route)))
    return any(pattern.fullmatch(path) for path in paths)


def _as_pattern(part: str) -> str:
    """Return the pattern of one part of a route: `{name}`, `{name:pattern}`, or literal text."""
    if not part.startswith("{"):
        return re.escape(part)
    return part[1:-1].partition(":")[2] or "[^/]+"


def server_errors(directory: Path) -> Iterator[str]:
    """Yield each request on which a view failed, with the exception. Requests that are no HTTP are not among them."""
    for file in directory.rglob("site.log"):
        for line in file.read_text(errors="replace").splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if said.get("event") == "failed" and "path" in said:
                yield f"site log: {said['path']} {said.get('exception', '').strip().rpartition(chr(10))[2][:300]}"


if __name__ == "__main__":
    sys.exit(main())
