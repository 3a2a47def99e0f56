"""A real browser without a screen: Debian's Chromium, driven by Playwright. Where there is none, tests fail loudly.

`.ci/run` installs it (package chromium). RUNNER_BROWSER names another; RUNNER_BROWSER=none skips, and says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.desk import Server

_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}
#: A bound on every wait in the browser, in milliseconds.
PATIENCE = 20_000


def program() -> str:
    """The browser's file. Skips only where that is said; fails where none is found."""
    named = os.environ.get("RUNNER_BROWSER", "")
    if named == "none":
        pytest.skip("RUNNER_BROWSER=none: NO BROWSER TEST WAS RUN")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.fail("No browser: apt-get install chromium, or name one with RUNNER_BROWSER.")
    return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(_ARGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def window(browser: Browser, server: Server, who: str = "", *, narrow: bool = False, dark: bool = False,
           zone: str = "America/New_York", **more: Any) -> Iterator[Page]:  # fmt: skip
    """A window of somebody who is signed in (nobody without an address). Errors of the page's script fail the test."""
    context: BrowserContext = browser.new_context(
        base_url=server.address,
        viewport=NARROW if narrow else WIDE,
        color_scheme="dark" if dark else "light",
        timezone_id=zone,
        **more,
    )
    context.set_default_timeout(PATIENCE)
    cookies = [{"name": "zone", "value": zone.replace("/", "%2F"), "url": server.address}]
    if who:
        cookies.append({"name": "desk", "value": server.sign_in(who), "url": server.address, "httpOnly": True})
    context.add_cookies(cookies)  # type: ignore[arg-type]
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        yield page
        assert [error for error in errors if "Failed to load resource" not in error] == []
    finally:
        context.close()


def picture(page: Page, path: Path) -> None:
    """The whole page as a picture, to be looked at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
