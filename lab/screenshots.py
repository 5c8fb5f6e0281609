"""Take the screenshots in `docs/images/`, from the real site with the demo's data: `python -m lab.screenshots`."""

import os
import secrets
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page
from redis import Redis

from lab import demo_history
from lab.chromium import launched
from lab.data_dir import claimed
from lab.process import NotStarted, free_port
from lab.stack import Stack

IMAGES = Path(__file__).parent.parent / "docs" / "images"

READ_S = 60.0
"""Maximum wait in seconds until the worker has archived the day's calls and read their call-detail records."""

WITHOUT_RECORD = 10
"""Maximum number of calls without a call-detail record. These are the canary's calls, which bypass the PBX."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One screenshot: the page at `path`, cropped to `height` CSS pixels."""

    name: str
    path: str
    height: int = 900
    theme: Literal["light", "dark"] = "light"


PICTURES = (
    Picture("dashboard", "/", height=1000),
    Picture("lead", "/leads/demo-8", height=1100),
    Picture("consent", "/leads/demo-5/override", height=1000),
    Picture("monitor", "/monitor", theme="dark"),
    Picture("calls", "/calls", height=1100),
    Picture("registry", "/registries/us-ftc", height=1475, theme="dark"),
)


def main() -> None:
    """Start the product with the demo's data in a new directory, and take every screenshot."""
    said: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="dnc-") as directory,
        launched() as browser,
        claimed(Path(directory)) as data_dir,
    ):
        binds = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS", "WEB")}
        cdr_file = Path(directory) / "cdr.csv"
        paths = {"DNC_DATA_DIR": directory, "DNC_REDIS_URL": "", "DNC_DATABASE_URL": "", "DNC_CDR_FILE": str(cdr_file)}
        os.environ |= {**paths, **binds}
        stack = Stack(said.append, data_dir)
        try:
            stack.start()
            stack.command("dnc-admin", "seed-demo")
            stack.canary()
            _import_registry(stack, Path(directory) / "202 415.txt")
            with Redis(unix_socket_path=str(stack.data_dir / "redis.sock")) as redis:
                demo_history.record(redis, cdr_file)
            take(browser, stack.site, password="\n".join(said).rpartition("once: ")[2].split()[0])
        finally:
            stack.stop()


def _import_registry(stack: Stack, file: Path) -> None:
    """Add a registry for three area codes, and import two of them. All numbers in it are reserved for fiction."""
    file.write_text("".join(f"{area},55501{line:02}\n" for area in (202, 415) for line in range(0, 100, 3)))
    words = ("--account", "a seller's own", "--area-codes", "202 415 917")
    stack.command("dnc-admin", "registry", "add", "us-ftc", *words)
    stack.command("dnc-admin", "import", "us-ftc", str(file), "--obtained", f"{datetime.now(UTC):%Y-%m-%d}")


def take(browser: Browser, site: str, password: str) -> None:
    """Sign in as the first admin and take every screenshot, with two device pixels per CSS pixel."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(base_url=site, device_scale_factor=2, reduced_motion="reduce")
    page = context.new_page()
    _sign_in(page, password)
    _wait_for_records(page)
    for picture in PICTURES:
        page.set_viewport_size({"width": 1440, "height": picture.height})
        page.emulate_media(color_scheme=picture.theme)
        page.goto(picture.path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=IMAGES / f"{picture.name}.png")


def _sign_in(page: Page, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account")  # A first password opens only its change.
    page.get_by_label("Current password").fill(password)
    own = secrets.token_urlsafe(15)
    page.get_by_label("New password", exact=True).fill(own)
    page.get_by_label("New password again").fill(own)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("Your password is changed").wait_for()


def _wait_for_records(page: Page) -> None:
    """Reload the call log until it shows how the latest calls ended. Raises NotStarted after `READ_S` seconds."""
    deadline = time.monotonic() + READ_S
    while page.goto("/calls") and page.get_by_text("no record yet").count() > WITHOUT_RECORD:
        if time.monotonic() > deadline:
            raise NotStarted("the worker has not read the call-detail records")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
