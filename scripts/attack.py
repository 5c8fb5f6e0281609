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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, CookieJar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from admin_web.people.tokens import MOST_PER_MINUTE, Scope
from admin_web.site.routes import ROUTES
from lab.data_dir import claimed
from lab.process import free_port
from lab.stack import Stack

WAPITI = Path(__file__).resolve().parent.parent / ".venv-attack" / "bin" / "wapiti"

MODULES = (
    "cookieflags", "crlf", "csp", "csrf", "exec", "file", "htaccess", "http_headers", "ldap", "methods", "permanentxss",
    "redirect", "shellshock", "sql", "timesql", "upload", "xss",
)  # fmt: skip
"""Modules that need no server elsewhere and no list from elsewhere.

Left out: ssrf, xxe, log4shell, spring4shell, takeover (they need a server on the internet), brute_login_form and buster
(the throttle and the route tests cover what they try), ssl and https_redirect (the proxy in front does TLS), and those
that look for other products (cms, wp_enum, drupal_enum, nikto, wapp, htp, network_device, backup).
"""

KEPT_FROM = ("/sign-out", "/account/*", "/users/admin/*", "/healthz", "/readyz", "/static/*")
"""Pages that wapiti must not touch: they would end its own session, or they are no pages."""

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
    parser.add_argument("--minutes", type=float, default=20, help="most minutes for wapiti")
    parser.add_argument("--only", choices=["api", "site"], help="run one of the two")
    asked = parser.parse_args()
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dnc-attack-") as directory, claimed(Path(directory)) as data_dir:
        binds = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS", "WEB")}
        os.environ |= {"DNC_DATA_DIR": directory, "DNC_REDIS_URL": "", "DNC_DATABASE_URL": "", **binds}
        stack = Stack(said.append, data_dir)
        try:
            stack.start()
            stack.command("dnc-admin", "seed-demo")
            open_findings = [] if asked.only == "site" else list(attack_api(stack, Path(directory)))
            if asked.only != "api":
                first = "\n".join(said).rpartition("once: ")[2].split()[0]
                cookie = asyncio.run(signed_in(stack.site.rstrip("/"), first))
                open_findings += attack_site(stack.site, cookie, Path(directory), asked.minutes)
            open_findings += server_errors(Path(directory))
        finally:
            stack.stop()
    print(f"\n{len(open_findings)} findings that docs/security.md does not explain")
    for finding in open_findings:
        print(f"  {finding}")
    return 1 if open_findings else 0


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


async def signed_in(site: str, password: str) -> str:
    """Sign in as the first admin, choose another password, and return the session cookie."""
    async with ClientSession(site, cookie_jar=CookieJar(unsafe=True), headers={"Origin": site}) as browser:
        fields = {"name": "admin", "password": password}
        async with browser.post("/sign-in", data=fields) as answer:
            csrf = re.findall(r'name="csrf" value="([^"]+)"', await answer.text())[0]
        own = secrets.token_urlsafe(15)
        change = {"present": password, "new": own, "again": own, "csrf": csrf}
        async with browser.post("/account/password", data=change) as answer:
            answer.raise_for_status()
        return next(cookie.value for cookie in browser.cookie_jar if cookie.key == "dnc_session")


def attack_site(site: str, cookie: str, directory: Path, minutes: float) -> list[str]:
    """Run wapiti as the admin with this session, print its findings, and return those that are not explained."""
    report, seconds = directory / "wapiti.json", minutes * 60
    words = [
        str(WAPITI), "--url", site, "--scope", "domain", "--cookie-value", f"dnc_session={cookie}",
        "--header", "Sec-Fetch-Site: same-origin", "--module", ",".join(MODULES), "--depth", "6",
        "--max-links-per-page", "40", "--max-files-per-dir", "12", "--max-parameters", "20", "--tasks", "4",
        "--max-scan-time", str(seconds / 4), "--max-attack-time", str(seconds * 3 / 4 / len(MODULES)),
        "--no-bugreport", "--flush-session", "--store-session", str(directory / "wapiti"),
        "--store-config", str(directory / "wapiti-config"), "--detailed-report", "1", "--verbose", "1",
        "--format", "json", "--output", str(report),
    ]  # fmt: skip
    for route in ROUTES:
        if route.method == "GET" and "{" not in route.path:
            words += ["--start", site.rstrip("/") + route.path]
    for page in KEPT_FROM:
        words += ["--exclude", site.rstrip("/") + page]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 120, check=False)
    except subprocess.TimeoutExpired:
        return ["wapiti did not end in time, and wrote no report"]
    if not report.exists():
        return [f"wapiti wrote no report: {(ended.stdout + ended.stderr)[-2000:]}"]
    found = json.loads(report.read_text())
    print_reach(found, ended.stdout)
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


def _reached(route: str, paths: Sequence[str] | set[str]) -> bool:
    """Return whether one of the paths belongs to a route, whose parameters are in braces."""
    pattern = re.compile("".join(_as_pattern(part) for part in re.split(r"(\{(?:[^{}]|\{[^}]*\})*\})", route)))
    return any(pattern.fullmatch(path) for path in paths)


def _as_pattern(part: str) -> str:
    return "[^/]+" if part.startswith("{") else re.escape(part)


def server_errors(directory: Path) -> Iterator[str]:
    """Yield each request on which a view failed, with the exception. Requests that are no HTTP are not among them."""
    for file in directory.rglob("site.log"):
        lines = file.read_text(errors="replace").splitlines()
        for place, line in enumerate(lines):
            if re.search(r"\bfailed\b.*\bpath\b", line):
                why = [later for later in lines[place : place + 400] if re.match(r"[\w.]+(Error|Exception)\b", later)]
                yield f"site log: {line[:300]} {(why or [''])[0][:300]}"


if __name__ == "__main__":
    sys.exit(main())
