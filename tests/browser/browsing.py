"""Browsers of people: their pages are watched for errors, and checked for accessibility."""

import json
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Response, expect

from tests.browser.running import PASSWORD, Running

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 30_000
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Watch:
    """Errors, dialogs and foreign requests that must never occur while a person uses the site."""

    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests_elsewhere: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext, url: str) -> None:
        """Watch every page of `context`. The site is at `url`."""
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(f"script failed: {error.error}"))
        context.on("dialog", self._asked)
        context.on("response", self._answered)
        context.on("request", lambda request: self._asked_for(request.url, url))

    def quiet(self) -> None:
        """Assert that nothing of that occurred."""
        assert self.complaints == []
        assert self.dialogs == []
        assert self.requests_elsewhere == []

    def _heard(self, message: ConsoleMessage) -> None:
        refused = message.text.startswith("Failed to load resource: the server responded with a status of 4")
        if message.type in {"error", "warning"} and not refused:
            self.complaints.append(f"console {message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.request.method} {response.url}: {response.status}")

    def _asked_for(self, asked: str, url: str) -> None:
        if not asked.startswith((url, "data:", "blob:")):
            self.requests_elsewhere.append(asked)


class Visitors:
    """The browsers of one test, all watched."""

    def __init__(self, chromium: Browser, product: Running) -> None:
        self.watch = Watch()
        self._chromium, self._product = chromium, product
        self._contexts: list[BrowserContext] = []

    def open(self, role: str = "", **more: Any) -> Page:
        """Open a browser, signed in as a person of this role if given. `more` goes to `new_context`."""
        state = self._state_of(role) if role else None
        context = self._chromium.new_context(
            **{"base_url": self._product.url, "viewport": WIDE, "storage_state": state, **more}
        )
        context.set_default_timeout(PATIENCE_MS)
        self.watch.over(context, self._product.url)
        self._contexts.append(context)
        return context.new_page()

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _state_of(self, role: str) -> Any:
        """Return the cookies of a person of this role, who signs in once for all tests."""
        if role not in self._product.cookies:
            context = self._chromium.new_context(base_url=self._product.url)
            sign_in(context.new_page(), role)
            self._product.cookies[role] = context.storage_state()
            context.close()
        return self._product.cookies[role]


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Sign in by the form."""
    page.goto("/sign-in")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def faults(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return the faults that axe finds in the page as shown now, by `rules` only if given."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    run_only: dict[str, Any] = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": AXE_TAGS}
    options = json.dumps({"runOnly": run_only, "resultTypes": ["violations"]})
    found = page.evaluate(f"() => axe.run({options})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def in_the_dark(page: Page, *, dark: bool) -> None:
    page.evaluate("theme => { document.documentElement.dataset.bsTheme = theme }", "dark" if dark else "light")


def laid_out(page: Page) -> None:
    """Wait until the page is drawn in its new size, and its scripts have handled the resize."""
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def too_wide(page: Page) -> list[str]:
    """Return the elements that make the whole page wider than the screen."""
    return page.evaluate(
        """() => {
          const wide = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= wide) return [];
          return [...document.querySelectorAll("main *")]
            .filter((element) => element.getBoundingClientRect().right > wide + 1)
            .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5)
            .concat(`${document.documentElement.scrollWidth} of ${wide} px`);
        }"""
    )


def all_faults(page: Page) -> list[str]:
    """Return the faults of the page, wide and narrow, light and dark."""
    found = []
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        laid_out(page)
        in_the_dark(page, dark=False)
        found += [f"{size['width']} px, light: {fault}" for fault in faults(page)]
        in_the_dark(page, dark=True)
        found += [f"{size['width']} px, dark: {fault}" for fault in faults(page, ["color-contrast"])]
        found += [f"{size['width']} px, too wide: {part}" for part in too_wide(page)]
    return found
