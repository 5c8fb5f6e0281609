"""Pages of registries with none, a few and many of them; imports by keyboard alone, and without JavaScript."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from admin_web.record.changes import Records
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.registries import EditedTerms, add_registry
from tests.browser.browsing import Visitors, all_faults
from tests.browser.conftest import OpenAs, redis_in
from tests.browser.deeds import notice
from tests.browser.running import SHELL, Running
from tests.browser.test_keyboard import tab_to
from tests.support.registries import flat, take

MANY = 40
NUMBERS = ["+12025550101", "+12025550102", "+14155550103"]


@pytest.fixture
def own(chromium: Browser) -> Iterator[tuple[Running, OpenAs]]:
    """A product for this test alone, without registries: a US registry would apply to the numbers of other tests."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        directory = Path(path)
        with redis_in(directory) as redis, Running(directory / "whole", redis, f"sqlite:///{path}/dnc.sqlite3") as own:
            visitors = Visitors(chromium, own)
            yield own, visitors.open
            visitors.close()
            visitors.watch.quiet()


def looked_at(page: Page, *paths: str) -> None:
    for path in paths:
        page.goto(path)
        found = all_faults(page)
        assert not found, "\n".join([path, *found])


def add(product: Running, *names: str) -> None:
    async def work(records: Records) -> None:
        for name in names:
            await add_registry(records, SHELL, name, "US", EditedTerms(owner_account="SAN 1", when_uncovered="pass"))

    product.do(work)


def test_the_pages_hold_with_no_registry_a_few_and_many_and_with_many_versions(own: tuple[Running, OpenAs]):
    product, open_as = own
    page = open_as("admin", reduced_motion="reduce")
    looked_at(page, "/registries")
    expect(page.get_by_text("No registries yet")).to_be_visible()
    add(product, "us-ftc", "us-tx", "us-ok", "us-in", "us-la")
    looked_at(page, "/registries", "/registries/us-ftc", "/registries/us-ftc/import", "/enforcement")
    path = product.directory / "list.txt"
    for some in range(1, 13):
        path.write_text(flat(NUMBERS * some))
        product.do(lambda records: take(records, "us-ftc", path))
    add(product, *(f"a-list-of-our-own-number-{place}" for place in range(MANY)))
    looked_at(page, "/registries", "/registries/us-ftc", "/enforcement")


def test_a_form_with_errors_keeps_what_was_typed_and_has_nothing_for_axe_to_find(
    product: Running, parts: dict[str, str], open_as: OpenAs
):
    upload, page = parts["upload"], open_as("admin", reduced_motion="reduce")
    page.goto(f"/registries/uk-tps/import/{upload}")
    page.get_by_label("Obtained from the authority on").fill("2999-01-01")
    page.get_by_label("Account").fill("SAN 5")
    page.get_by_role("radio", name="Some area codes").check()
    page.get_by_role("button", name="Start the import").click()
    expect(page.get_by_text("This day is in the future")).to_be_visible()
    expect(page.get_by_label("Account")).to_have_value("SAN 5")
    expect(page.get_by_role("radio", name="Some area codes")).to_be_checked()
    found = all_faults(page)
    assert not found, "\n".join(found)


def test_a_file_is_imported_by_keyboard_alone_and_followed_to_its_end(own: tuple[Running, OpenAs], tmp_path: Path):
    product, open_as = own
    add(product, "us-md")
    path, page = tmp_path / "md.txt", open_as("admin", reduced_motion="reduce")
    path.write_text(flat(NUMBERS))
    page.on("filechooser", lambda chooser: chooser.set_files(path))
    page.goto("/registries/us-md")
    tab_to(page, "Import a file")
    page.keyboard.press("Enter")
    page.wait_for_url("**/import")
    tab_to(page, "file")
    page.keyboard.press("Enter")
    expect(page.get_by_label("File")).not_to_have_value("")
    tab_to(page, "Upload and preview")
    page.keyboard.press("Enter")
    expect(page.get_by_text("lines of area code, comma and seven digits").first).to_be_visible()
    tab_to(page, "taken_as")
    tab_to(page, "obtained")
    page.keyboard.type("11012026")
    tab_to(page, "Start the import")
    before = page.evaluate("window.kept = 'another page'")
    page.keyboard.press("Enter")
    expect(notice(page)).to_contain_text("The import is queued")
    expect(
        page.get_by_text("3 numbers, 3 added and 0 removed since the previous version; 3 rows, 0 rejected; in force.")
    ).to_be_visible()
    assert page.evaluate("window.kept") != before
    assert product.judged(NUMBERS[0]) == (False, "us-md-dnc")


def test_a_file_is_imported_without_scripts(own: tuple[Running, OpenAs], tmp_path: Path):
    product, open_as = own
    add(product, "us-nv")
    path, page = tmp_path / "nv.csv", open_as("admin", java_script_enabled=False)
    path.write_text("area,local,name\n775,5550101,Ada\n775,5550102,Bob\n")
    page.goto("/registries/us-nv/import")
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Upload and preview").click()
    page.get_by_label("Number", exact=True).select_option("2")
    page.get_by_label("Area code, if in its own column").select_option("1")
    page.get_by_role("button", name="Preview again").click()
    expect(page.get_by_text("(775) 555-0101")).to_be_visible()
    page.get_by_label("Obtained from the authority on").fill("2026-11-01")
    page.get_by_role("button", name="Start the import").click()
    expect(notice(page)).to_contain_text("The import is queued")
    done = "SELECT 1 FROM jobs WHERE kind = :kind AND outcome = 'done' AND message LIKE '%us-nv%'"
    assert product.worker is not None
    product.worker.wait_until(lambda: bool(product.rows(done, kind=IMPORT_REGISTRY.name)), within_s=90)
    page.reload()
    expect(page.get_by_text("2 numbers, 2 added and 0 removed")).to_be_visible()
    assert product.judged("+17755550102") == (False, "us-nv-dnc")
