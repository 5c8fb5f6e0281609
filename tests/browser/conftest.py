"""The product and a Chromium for all tests of this directory; for each test the browsers of its people."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, Page

from lab.chromium import launched
from lab.process import NotInstalled
from lab.redis import RedisServer
from tests.browser.browsing import Watch
from tests.browser.running import PASSWORD, Running
from tests.conftest import unavailable
from tests.samples import PDF

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A Chromium, as long as this directory's tests run."""
    try:
        with launched() as browser:
            yield browser
    except NotInstalled as error:
        unavailable(error)


@pytest.fixture(scope="package")
def product() -> Iterator[Running]:
    """The whole product; every test has leads and numbers of its own in it."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        directory = Path(path)
        redis = RedisServer(directory / "redis")
        try:
            redis.start()
        except NotInstalled as error:
            unavailable(error)
        with Running(directory / "whole", redis, f"sqlite:///{directory / 'dnc.sqlite3'}") as product:
            yield product
        redis.stop()


class OpenAs(Protocol):
    """Opens a browser for a person of this role; `role=""` signs nobody in. What is more goes to `new_context`."""

    def __call__(self, role: str = "", **more: Any) -> Page: ...


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Sign in by the form."""
    page.goto("/sign-in")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


@pytest.fixture(scope="package")
def signed_in(chromium: Browser, product: Running) -> Callable[[str], Any]:
    """The cookies of a person who has signed in by the form, once for all tests."""
    states: dict[str, Any] = {}

    def state_of(role: str) -> Any:
        if role not in states:
            context = chromium.new_context(base_url=product.url)
            sign_in(context.new_page(), role)
            states[role] = context.storage_state()
            context.close()
        return states[role]

    return state_of


@pytest.fixture
def watch() -> Watch:
    """What every browser of this test said."""
    return Watch()


@pytest.fixture
def open_as(chromium: Browser, product: Running, signed_in: Callable[[str], Any], watch: Watch) -> Iterator[OpenAs]:
    """Open a browser for a person; nothing may be complained about in any of them."""
    contexts = []

    def opened(role: str = "", **more: Any) -> Page:
        state = signed_in(role) if role else None
        context = chromium.new_context(**{"base_url": product.url, "viewport": WIDE, "storage_state": state, **more})
        context.set_default_timeout(10_000)
        watch.over(context, product.url)
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    watch.quiet()


@pytest.fixture(scope="package")
def parts(product: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands for the parts of a path: one of everything on record. A part that is not named is the id 1."""
    document = tmp_path_factory.mktemp("furnished") / "consent.pdf"
    document.write_bytes(PDF)
    lead = product.lead(listed=True, name="Northwind Traders")
    product.lead(lead.number, name="Northwind Traders, second line")
    override = product.grant(lead, document)
    product.judged(lead.number, lead.id)
    product.judged(lead.number)
    return {"lead": lead.id, "number": lead.number, "list": "internal", "name": "agent", "override": str(override)}
