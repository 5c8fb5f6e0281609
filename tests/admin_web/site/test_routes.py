"""Every route of the site, for every role: permissions, forged forms, and odd input."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from html.parser import HTMLParser
from itertools import product
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from aiohttp import FormData, web
from multidict import MultiDict
from sqlalchemy import text

from admin_web.people.permissions import GRANTED, Permission, allowed
from admin_web.record.models import Base
from admin_web.site.routes import ROUTES
from admin_web.site.routing import Route
from compliance.consent import Role
from tests.support.furnishing import furnish
from tests.support.paths import filled, filled_with
from tests.support.site import Answer, Browser, Site

PARTS = {
    "lead": "L-1",
    "name": "somebody",
    "user": "somebody",
    "number": "+14155550100",
    "kind": "numbers",
    "registry": "us-ftc",
    "list": "spring",
}
"""Parameters of paths: things that are on record. Every other parameter is the id 1."""

UNWATCHED = {"sessions", "sign_in_buckets", "site_secrets", "audit_events", "alembic_version"}
"""Tables that a request may change although it is refused or only reads: refusals and exports are on record."""

WRITES = [route for route in ROUTES if route.method != "GET"]


def shown(route: Route, role: str, answer: Answer) -> str:
    return f"{route.method} {route.path} ({route.may}) as {role}: {answer.status}"


async def ask(browser: Browser, route: Route) -> Answer:
    """Send a request as a browser does, with an empty form unless it is a GET."""
    if route.method == "GET":
        return await browser.get(filled(route.path, PARTS))
    if route.upload:
        return await browser.upload(filled(route.path, PARTS), {}, "document", None)
    return await browser.post(filled(route.path, PARTS))


@pytest.fixture
async def furnished(site: Site) -> Site:
    """A site with one of everything that a path can refer to."""
    return await furnish(site)


async def everything(site: Site) -> dict[str, list[tuple]]:
    """Return all rows of the tables that a GET request must not change."""
    names = [table.name for table in Base.metadata.sorted_tables if table.name not in UNWATCHED]
    async with site.database.read() as session:
        return {
            name: sorted(map(tuple, await session.execute(text(f"SELECT * FROM {name}"))), key=str) for name in names
        }


async def test_who_is_not_signed_in_reaches_the_sign_in_page_and_nothing_else(furnished: Site):
    before, wrong = await everything(furnished), []
    for route in ROUTES:
        answer = await ask(furnished.browser(), route)
        signs_in = answer.status == 303 and answer.location.startswith("/sign-in?next=")
        right = signs_in if route.method == "GET" else answer.status == 401
        if not right and route.may is not Permission.ANYBODY:
            wrong.append(shown(route, "nobody", answer))
    assert wrong == []
    assert await everything(furnished) == before
    assert {route.name for route in ROUTES if route.may is Permission.ANYBODY} == {"sign_in"}


@pytest.mark.exhaustive
async def test_a_role_without_the_permission_is_turned_away_and_nothing_is_changed(furnished: Site):
    before, wrong = await everything(furnished), []
    for role, route in product(Role, ROUTES):
        if not allowed(role, route.may):
            answer = await ask(await furnished.person(role), route)
            if answer.status != 403 or "Your role" not in answer.text:
                wrong.append(shown(route, role, answer))
    assert wrong == []
    assert await everything(furnished) == before


@pytest.mark.exhaustive
async def test_a_role_with_the_permission_is_let_through(furnished: Site):
    wrong = []
    for role, route in product(Role, ROUTES):
        if allowed(role, route.may):
            answer = await ask(await furnished.person(role), route)
            if answer.status in {401, 403, 405, 415} or answer.status >= 500:
                wrong.append(shown(route, role, answer))
    assert wrong == []


FORGED = {
    "without the token": ({"csrf": ""}, {}),
    "with a made-up token": ({"csrf": "x" * 43}, {}),
    "from another origin": ({}, {"Origin": "https://evil.example"}),
    "from an opaque origin": ({}, {"Origin": "null"}),
    "from another site": ({}, {"Sec-Fetch-Site": "cross-site"}),
    "from a sibling site": ({}, {"Sec-Fetch-Site": "same-site"}),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize(("fields", "headers"), FORGED.values(), ids=FORGED)
async def test_no_write_is_taken_from_a_forged_form(furnished: Site, fields: dict[str, str], headers: dict[str, str]):
    admin, wrong = await furnished.person(Role.ADMIN), []
    before = await everything(furnished)
    for route in WRITES:
        if route.may is Permission.ANYBODY and not headers:
            continue  # The form of an anonymous visitor has no token; only its origin can be checked.
        forged = await admin.post(filled(route.path, PARTS), fields, **headers)
        if forged.status != 403:
            wrong.append(shown(route, "admin", forged))
        if route.upload:
            uploaded = await admin.upload(
                filled(route.path, PARTS), fields, "document", ("a.pdf", b"%PDF-1.7", "x/y"), **headers
            )
            if uploaded.status != 403:
                wrong.append(f"upload: {shown(route, 'admin', uploaded)}")
    assert wrong == []
    assert await everything(furnished) == before


async def test_no_file_is_taken_before_the_token(furnished: Site):
    admin, wrong = await furnished.person(Role.ADMIN), []
    for route in [route for route in WRITES if route.upload]:
        form = FormData(default_to_multipart=True)
        form.add_field("document", b"%PDF-1.7", filename="a.pdf")
        form.add_field("csrf", admin.csrf)
        headers = {"Origin": admin.origin}
        async with admin.session.post(
            filled(route.path, PARTS), data=form, headers=headers, allow_redirects=False
        ) as answer:
            if answer.status != 403:
                wrong.append(f"{route.path}: {answer.status}")
    assert wrong == []


def test_every_page_has_a_permission_and_everything_else_is_known(site: Site):
    bare = {
        route.resource.canonical
        for route in site.app.router.routes()
        if route_of_handler(route.handler) is None and route.resource is not None
    }
    assert {path for path in bare if not path.startswith("/api/")} == {"/healthz", "/readyz", "/static"}


def route_of_handler(handler: object) -> Route | None:
    return getattr(handler, "dnc_route", None)


ODD = [
    "%00", "%ED%A0%80", "%FF", "-1", "1" * 30, "9" * 5000, "NaN", "1e999", "2026-99-99", "0001-01-01", "9999-12-31",
    "%27%3B--", "%25_%5C", "%E2%80%AE", "+1%20(415)%20555", "..%2F..%2Fetc%2Fpasswd", "%7B%7B7*7%7D%7D",
    "%0D%0ASet-Cookie:x",
]  # fmt: skip
"""Values that no form of the site sends, percent-encoded."""

KEYS = [
    ["\0"], ["\ud800"], [10**30], [-(10**30)], ["\0", 1],
    [{"at": "0001-01-01T00:00:00+14:00"}, 1], [1, {"at": "9999-12-31T23:59:59-14:00"}],
    [{"at": "2026-01-01T00:00:00+00:00"}, 10**30], ["x", 10**30], [True], [None], [[["x"]]], "x", 5,
]  # fmt: skip
"""Invalid page keys, before they are encoded for the URL."""


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of all query parameters that pages have read."""
    names: set[str] = set()

    class Query(MultiDict[str]):
        def get(self, name: str, default: Any = None) -> Any:
            names.add(name)
            return super().get(name, default)

        def __getitem__(self, name: str) -> str:
            names.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(web.BaseRequest, "query", property(lambda request: Query(request.rel_url.query)))
    return names


def odd_queries(names: set[str]) -> list[str]:
    """Return queries with odd values for each parameter that a page reads, and with invalid page keys."""
    keys = [base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=") for key in KEYS]
    odd = [f"{name}={value}" for name in sorted(names) for value in ODD]
    return odd + [f"after={key}" for key in keys if "after" in names]


AT_ONCE = 4
"""Parallel requests: fewer than the site has database connections."""


async def a_few_at_once(ask: Callable[[str], Awaitable[Answer]], paths: list[str]) -> list[Answer]:
    """Request all paths, a few in parallel, because a request mostly waits for the database."""
    answers = []
    for begin in range(0, len(paths), AT_ONCE):
        answers += await asyncio.gather(*map(ask, paths[begin : begin + AT_ONCE]))
    return answers


@pytest.mark.exhaustive
@pytest.mark.timeout(900)  # A thousand pages.
async def test_no_query_makes_a_page_fail(furnished: Site, read_names: set[str]):
    admin, wrong = await furnished.person(Role.ADMIN), []
    for route in [route for route in ROUTES if route.method == "GET"]:
        read_names.clear()
        await admin.get(filled(route.path, PARTS))
        asked = [f"{filled(route.path, PARTS)}?{query}" for query in odd_queries(read_names)]
        for path, answer in zip(asked, await a_few_at_once(admin.get, asked), strict=True):
            if answer.status >= 500:
                wrong.append(f"{path[:120]}: {answer.status}")
    assert wrong == []


@pytest.mark.exhaustive
async def test_no_part_of_a_path_makes_a_page_fail(furnished: Site):
    admin, wrong = await furnished.person(Role.ADMIN), []
    for route in [route for route in ROUTES if "{" in route.path]:
        asked = [filled_with(route.path, value) for value in ODD]
        answers = await a_few_at_once(admin.get if route.method == "GET" else admin.post, asked)
        for path, answer in zip(asked, answers, strict=True):
            if answer.status >= 500:
                wrong.append(f"{route.method} {path[:80]}: {answer.status}")
    assert wrong == []


class Forms(HTMLParser):
    """The POST forms of a page: the action of each, and its fields with their current values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = given.get("method", "").lower() == "post"
            if self._open:
                self.found.append((given.get("action", ""), {}))
        elif self._open and tag in {"input", "select", "textarea", "button"} and given.get("name"):
            self.found[-1][1].setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "form"


def odd_sendings(fields: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the fields of a form with one of them left out, or with an odd value in one of them."""
    for name in fields.keys() - {"csrf"}:
        yield {field: value for field, value in fields.items() if field != name}
        for value in ODD:
            yield {**fields, name: unquote_to_bytes(value).decode("utf-8", "replace")}


@pytest.mark.exhaustive
async def test_no_form_makes_the_site_fail(furnished: Site):
    """Each form bears every odd value as browsers send it; those with a file bear them as such, the others once."""
    wrong, asked, uploads = [], set(), {filled(route.path, PARTS) for route in WRITES if route.upload}
    for route in [route for route in ROUTES if route.method == "GET"]:
        admin = await furnished.person(Role.ADMIN)
        page = await admin.get(filled(route.path, PARTS))
        for action, fields in Forms(page.text).found if page.status == 200 else ():
            if action in asked or action == "/sign-out":
                continue
            asked.add(action)
            path = action or filled(route.path, PARTS)
            for place, sent in enumerate(odd_sendings(fields)):
                answers = [await admin.post(path, {**sent, "csrf": admin.csrf})]
                if path in uploads or place == 0:
                    answers.append(await admin.upload(path, sent, "document", ("../a.pdf", b"%PDF-", "x/y")))
                wrong += [f"{path} {str(sent)[:200]}: {answer.status}" for answer in answers if answer.status >= 500]
    assert wrong == []


ONLY = {
    Permission.LIFT: {Role.ADMIN},
    Permission.IMPORT: {Role.ADMIN},
    Permission.REVIEW: {Role.ADMIN},
    Permission.REBUILD: {Role.ADMIN},
    Permission.MANAGE: {Role.ADMIN},
    Permission.SET_TERMS: {Role.ADMIN},
    Permission.OVERRIDE: {Role.SUPERVISOR, Role.ADMIN},
    Permission.EXPORT: {Role.ADMIN, Role.AUDITOR},
    Permission.SEE_AUDIT: {Role.ADMIN, Role.AUDITOR},
    Permission.SEE_OVERRIDES: {Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR},
    Permission.SEE_CALLS: {Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR},
    Permission.SEE_ENFORCEMENT: {Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR},
    Permission.SUPPRESS: {Role.AGENT, Role.SUPERVISOR, Role.ADMIN},
    Permission.EDIT_LEADS: {Role.AGENT, Role.SUPERVISOR, Role.ADMIN},
    Permission.CALL: {Role.AGENT, Role.SUPERVISOR, Role.ADMIN},
}
"""The permissions of each role, written a second time for comparison."""


@pytest.mark.parametrize("permission", list(Permission))
def test_the_table_of_permissions_is_the_one_that_was_agreed_on(permission: Permission):
    assert {role for role in Role if permission in GRANTED[role]} == ONLY.get(permission, set(Role))


NEEDS = {
    Permission.ANYBODY: "sign_in sign_in!",
    Permission.SIGNED_IN: (
        "account account-codes! account-codes-confirm! account-codes-end! account-codes-image account-codes-recovery! "
        "account-password! account-session! account-zone! dashboard sign_out!"
    ),
    Permission.SEE_LEADS: "lead leads",
    Permission.EDIT_LEADS: "lead-edit lead-edit! lead-new lead-new!",
    Permission.CALL: "lead-call! lead-wrap-up! queue",
    Permission.SUPPRESS: "campaign-list-numbers! lead-block! lists-add lists-add!",
    Permission.SEE_LISTS: "campaign-list campaign-lists lists lists-number patterns",
    Permission.LIFT: (
        "lead-lift lead-lift! lists-imported lists-imports lists-lift! lists-undo! lists-unlist! lists-withdraw!"
    ),
    Permission.IMPORT: (
        "imports imports! imports-preview imports-preview! job job-cancel! job-live job-report jobs "
        "registry-file registry-file! registry-files registry-files!"
    ),
    Permission.OVERRIDE: "lead-override lead-override!",
    Permission.SEE_OVERRIDES: "monitor monitor-document monitor-override recoveries",
    Permission.REVIEW: "monitor-confirm! monitor-review! monitor-keep! monitor-revoke! recoveries-seen!",
    Permission.SEE_CALLS: "calls calls-call calls-record",
    Permission.SEE_AUDIT: "audit",
    Permission.SEE_ENFORCEMENT: "enforcement enforcement-live registries registry",
    Permission.REBUILD: "enforcement-ask! enforcement-drop enforcement-drop!",
    Permission.SET_TERMS: (
        "campaign-list! campaign-lists! patterns! patterns-lift! patterns-preview registry! registry-new registry-new!"
    ),
    Permission.EXPORT: "audit-export calls-csv calls-jsonl lists-export monitor-export",
    Permission.MANAGE: (
        "telephones telephones! telephones-end! "
        "token-assign! token-new token-new! token-revoke! tokens user user! user-codes! user-disable! user-enable! "
        "user-new user-new! user-password! user-sign-out! user-tokens! user-unlock! users "
        "webhook webhook-disable! webhook-new webhook-new! webhook-test! webhooks"
    ),
}
"""The routes that need each permission, written a second time for comparison. `!` marks a POST."""


def test_each_route_needs_the_permission_that_was_agreed_on():
    needed = {f"{route.name}{'!' if route.method == 'POST' else ''}": route.may for route in ROUTES}
    assert len(needed) == len(ROUTES)
    assert needed == {name: permission for permission, names in NEEDS.items() for name in names.split()}
