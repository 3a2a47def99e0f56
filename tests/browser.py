"""A real browser without a screen: Debian's Chromium, driven by Playwright. Where there is none, tests fail loudly.

`.ci/run` installs it (package chromium). RUNNER_BROWSER names another; RUNNER_BROWSER=none skips, and says so.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

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


@cache
def _opened() -> tuple[Browser, asyncio.AbstractEventLoop | None]:
    """The one browser of this process, which is closed at its end, and the loop that speaks with it."""
    before = asyncio._get_running_loop()
    playwright = sync_playwright().start()
    loop = asyncio._get_running_loop()
    atexit.register(_close, playwright, loop)
    found = playwright.chromium.launch(executable_path=program(), args=list(_ARGS))
    asyncio._set_running_loop(before)
    return found, loop


def _close(playwright: Playwright, loop: asyncio.AbstractEventLoop | None) -> None:
    asyncio._set_running_loop(loop)
    playwright.stop()


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser. Its loop is the running one until the block ends, and not for the tests that come afterwards."""
    program()
    before = asyncio._get_running_loop()
    found, loop = _opened()
    asyncio._set_running_loop(loop)
    try:
        yield found
    finally:
        asyncio._set_running_loop(before)


@contextmanager
def window(browser: Browser, server: Server, who: str = "", *, narrow: bool = False, dark: bool = False,
           zone: str = "America/New_York", **more: Any) -> Iterator[Page]:  # fmt: skip
    """A window of somebody who is signed in (nobody without an address). Errors of the page's script fail the test."""
    with opened(browser, server, who, narrow=narrow, dark=dark, zone=zone, **more) as page, sound(page):
        yield page


@contextmanager
def opened(browser: Browser, server: Server, who: str, *, narrow: bool = False, dark: bool = False,
           zone: str = "America/New_York", **more: Any) -> Iterator[Page]:  # fmt: skip
    """A window for several tests, each of which hears by itself whether the page's script is sound."""
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
    try:
        yield context.new_page()
    finally:
        context.close()


@contextmanager
def sound(page: Page) -> Iterator[None]:
    """Until the block ends, the page's script has no errors."""
    errors: list[str] = []

    def threw(error: object) -> None:
        errors.append(str(error))

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("pageerror", threw)
    page.on("console", said)
    yield
    page.remove_listener("pageerror", threw)
    page.remove_listener("console", said)
    assert [error for error in errors if "Failed to load resource" not in error] == []


def picture(page: Page, path: Path) -> None:
    """The whole page as a picture, to be looked at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
