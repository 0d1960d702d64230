"""A reader with a real browser, who notes everything that a page should not do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["DESKTOP", "PHONE", "TABLET", "Reader"]

PHONE, TABLET, DESKTOP = (360, 740), (820, 1180), (1280, 800)

WATCH = """
window.seenBroken = [];
document.addEventListener('securitypolicyviolation',
  (event) => window.seenBroken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Reader:
    """A window on one site.

    Attributes:
        page: the window.
        base: the address of the site, without a slash at its end.
        asked: the addresses that the pages asked for, relative to the site.
        trouble: what no page may do: write to the console, throw, break its policy, ask for anything elsewhere or for
            what is not there.
    """

    def __init__(
        self, browser: Browser, base: str, size: tuple[int, int] = DESKTOP, scheme: str = "light", scripts: bool = True
    ) -> None:
        options: dict[str, Any] = {"color_scheme": scheme, "java_script_enabled": scripts, "reduced_motion": "reduce"}
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        self.context.set_default_timeout(60_000)
        self.page, self.base, self.scripts = self.context.new_page(), base, scripts
        self.asked: list[str] = []
        self.trouble: list[str] = []
        self.context.add_init_script(WATCH)
        self.context.on("request", lambda request: self._ask(request.url))
        self.context.on("requestfailed", lambda request: self._fail(request.url, str(request.failure)))
        self.context.on("response", lambda response: self._fail(response.url, response.status))
        self.context.on("weberror", lambda error: self.trouble.append(str(error.error)))
        self.context.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))

    def _ask(self, address: str) -> None:
        if address.startswith(f"{self.base}/"):
            self.asked.append(address.removeprefix(f"{self.base}/"))
        else:
            self.trouble.append(f"asked for {address}")

    def _fail(self, address: str, how: str | int) -> None:
        # What is still on its way when the reader goes on is aborted.
        if not (how == "net::ERR_ABORTED" or (isinstance(how, int) and how < 400)):
            self.trouble.append(f"{address}: {how}")

    def open(self, name: str) -> None:
        """Open a page of the site (its path, perhaps with a state behind a #)."""
        self.note()
        self.page.goto(f"{self.base}/{name}")
        self.settle()

    def note(self) -> None:
        """Note what the open page broke of its policy."""
        if self.scripts and self.page.url.startswith(self.base):
            self.trouble += self.page.evaluate("window.seenBroken.splice(0)")

    def settle(self) -> None:
        """Wait until the scripts of the page have said in a sentence what they show."""
        from playwright.sync_api import expect

        status = self.page.locator("#status")
        if self.scripts and status.count():
            expect(status).to_have_text(re.compile(r"\.$"), timeout=60_000)

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size (width, height)."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the visible elements, with plain spaces."""
        return [" ".join(item.inner_text().split()) for item in self.page.locator(selector).all() if item.is_visible()]

    def text(self, selector: str) -> str:
        """Return the text of the one element that is found."""
        return " ".join(self.page.locator(selector).inner_text().split())

    @property
    def state(self) -> str:
        """What stands behind the # of the address."""
        return self.page.evaluate("location.hash.slice(1)")
