"""A headless Chromium, driven by Playwright, for the browser tests and the screenshots."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from lab.process import NotInstalled

UNUSED = (
    # A window of each context would load these pages for an address bar that nobody sees.
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "SpareRendererForSitePerProcess",  # a process for a next page, which most contexts never open
)  # fmt: skip
"""Features of Chromium that take CPU time in each context, and that no page of ours uses."""

OFF_IN_PLAYWRIGHT = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
    "PreconnectToSearch",
)  # fmt: skip
"""Features that Playwright turns off (`chromiumSwitches.ts`). Chromium obeys only the last list, which is ours."""

FLAGS = (
    "--no-sandbox",  # Chromium's own sandbox does not start as root.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join((*OFF_IN_PLAYWRIGHT, *UNUSED))}",
)


def chromium_binary() -> Path:
    """Return the path of Chromium. Raises NotInstalled."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    raise NotInstalled("No Chromium: install the package chromium.")


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium with a new profile, and yield it. Raises NotInstalled.

    Until the `with` block ends, Playwright's event loop runs in the calling thread, which cannot run another.
    """
    binary = chromium_binary()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
