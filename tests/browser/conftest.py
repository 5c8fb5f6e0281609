"""The product and a Chromium for all tests of this directory; for each test the browsers of its people."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, Page

from admin_web.people.tokens import Scope, make_token
from admin_web.record.changes import Records
from admin_web.services.job_kinds import IMPORT_NUMBERS, IMPORT_REGISTRY
from admin_web.services.registries import EditedTerms, add_registry
from admin_web.services.webhooks import add_webhook
from admin_web.settings import AdminSettings
from admin_web.webhooks.events import Event
from lab.chromium import launched
from lab.process import NotInstalled
from lab.redis import RedisServer
from tests.browser.browsing import Visitors
from tests.browser.running import SHELL, Running
from tests.conftest import unavailable
from tests.support.samples import PDF


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
    """The whole product. Each test uses leads and numbers of its own."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        directory = Path(path)
        database = f"sqlite:///{directory / 'dnc.sqlite3'}"
        with redis_in(directory) as redis, Running(directory / "whole", redis, database) as product:
            yield product


@contextmanager
def redis_in(directory: Path) -> Iterator[RedisServer]:
    """Yield a Redis that keeps its data in `directory`."""
    redis = RedisServer(directory / "redis")
    try:
        redis.start()
    except NotInstalled as error:
        unavailable(error)
    yield redis
    redis.kill()


class OpenAs(Protocol):
    """Opens a browser for a person of this role; `role=""` signs nobody in. `more` goes to `new_context`."""

    def __call__(self, role: str = "", **more: Any) -> Page: ...


@pytest.fixture
def open_as(chromium: Browser, product: Running) -> Iterator[OpenAs]:
    """Returns a function that opens a browser for a person. Fails if any of them shows an error."""
    visitors = Visitors(chromium, product)
    yield visitors.open
    visitors.close()
    visitors.watch.quiet()


async def hand_out(records: Records) -> None:
    """Make a token for the API and a webhook, which is never sent to."""
    await make_token(records.database, SHELL, "crm", list(Scope))
    await add_webhook(records, SHELL, AdminSettings(), "https://crm.example/hooks/dnc", list(Event))


@pytest.fixture(scope="package")
def parts(product: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Parameters of paths: one of everything on record. Every other parameter is the id 1."""
    document = tmp_path_factory.mktemp("furnished") / "consent.pdf"
    document.write_bytes(PDF)
    lead = product.lead(listed=True, name="Northwind Traders")
    product.lead(lead.number, name="Northwind Traders, second line")
    override = product.grant(lead, document)
    product.judged(lead.number, lead.id)
    product.judged(lead.number)
    product.do(lambda records: add_registry(records, SHELL, "uk-tps", "", EditedTerms()))
    product.do(hand_out)
    sheets = {
        "sheet": product.sheet(b"name,home,work\nAda,4155550100,4155550101\n", "list.csv", IMPORT_NUMBERS.name),
        "upload": product.sheet(b"02079460000 \r\n01632960001 \r\nodd\r\n", "tps.txt", IMPORT_REGISTRY.name, "uk-tps"),
    }
    named = {"list": "internal", "name": "agent", "registry": "uk-tps", "override": str(override)}
    return named | sheets | {"lead": lead.id, "number": lead.number, "job": str(product.imported("uk-tps"))}
