"""A real Chromium without a window, driven by Playwright: for the tests in a browser and for the screenshots."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from lab.process import NotInstalled

FLAGS = (
    "--no-sandbox",  # Chromium's own sandbox does not start as root.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_binary() -> Path:
    """Find Chromium. Raises NotInstalled."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    raise NotInstalled("No Chromium: install the package chromium.")


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium with a fresh profile. Raises NotInstalled.

    Until this ends, the thread that called it can run no event loop of its own: Playwright's runs there.
    """
    binary = chromium_binary()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
