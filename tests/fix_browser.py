"""A real browser over the served pages: Debian's chromium, software WebGL, loopback only.

browser  session   chromium, or a visible skip
visit    function  opens pages that fail the test on any policy violation, script error or foreign request
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from tests.fix_stack import missing

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
DESK = {"width": 1440, "height": 860}
PHONE = {"width": 390, "height": 844}
REPORT_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', e => "
    "console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"
)
# A page that is left while it still loads aborts its requests; that is not an error of ours.
HARMLESS = ("net::ERR_ABORTED",)


@dataclass
class Visit:
    """Opens contexts on one browser and remembers what went wrong in them."""

    browser: Browser
    faults: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, *, phone: bool = False, **options: Any) -> Page:
        """Return a page in a context of its own."""
        context = self.browser.new_context(
            viewport=PHONE if phone else DESK,  # type: ignore[arg-type]
            is_mobile=phone, has_touch=phone, locale="zh-CN", timezone_id="Asia/Shanghai", **options,
        )  # fmt: skip
        context.add_init_script(REPORT_VIOLATIONS)
        context.route("**/*", self._loopback_only)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("console", self._heard)
        self.contexts.append(context)
        return page

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not any(word in message.text for word in HARMLESS):
            self.faults.append(f"console: {message.text}")

    def _loopback_only(self, route: Route) -> None:
        host = urlsplit(route.request.url).hostname
        if host not in {"127.0.0.1", "localhost"}:
            self.faults.append(f"request to {route.request.url}")
            route.abort()
        else:
            route.continue_()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("browser", "chromium is not on the PATH")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    visits = Visit(browser)
    yield visits
    for context in visits.contexts:
        context.close()
    assert visits.faults == []


def await_map(page: Page, ready: str = "window.__fleet && window.__fleet.size > 0") -> None:
    """Wait until the map exists and is idle; by polling, since wait_for_function needs eval (our policy)."""
    poll(page, f"Boolean(window.__map && ({ready}) && window.__map.loaded())")


def poll(page: Page, expression: str, *, within_ms: int = 20_000) -> Any:
    """Evaluate until true."""
    for _ in range(within_ms // 100):
        if answer := page.evaluate(expression):
            return answer
        page.wait_for_timeout(100)
    pytest.fail(f"not within {within_ms} ms: {expression}")
