"""`python -m lab.screenshots`: the README's pictures, of the real site over the demo's data, into `docs/images/`."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from lab.chromium import launched
from lab.process import free_port
from lab.stack import Stack

IMAGES = Path(__file__).parent.parent / "docs" / "images"


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as it is shown in the README, `height` pixels of it."""

    name: str
    path: str
    height: int = 900
    theme: Literal["light", "dark"] = "light"


PICTURES = (
    Picture("dashboard", "/"),
    Picture("lead", "/leads/demo-2"),
    Picture("consent", "/leads/demo-1/override"),
    Picture("monitor", "/monitor", theme="dark"),
    Picture("calls", "/calls"),
)


def main() -> None:
    """Start the product over a new directory, with the demo, and take every picture."""
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, launched() as browser:
        binds = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS", "WEB")}
        os.environ |= {"DNC_DATA_DIR": directory, "DNC_REDIS_URL": "", "DNC_DATABASE_URL": "", **binds}
        stack = Stack(said.append)
        try:
            stack.start()
            stack.command("dnc-admin", "seed-demo")
            stack.canary()
            take(browser, stack.site, password="\n".join(said).rpartition("once: ")[2].split()[0])
        finally:
            stack.stop()


def take(browser: Browser, site: str, password: str) -> None:
    """Sign in as the first admin and take every picture, at two pixels a point."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(base_url=site, device_scale_factor=2, reduced_motion="reduce")
    page = context.new_page()
    _sign_in(page, password)
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
    page.wait_for_url(lambda url: "/sign-in" not in url)


if __name__ == "__main__":
    main()
