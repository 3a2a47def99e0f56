"""Every page in a real browser: WCAG AA by axe, no sideways scrolling on a phone, nothing refused by its own policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests import browser, desk
from tests.desk import Server
from tests.desk_routes import ROWS, filled

AXE = Axe().axe_script
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}
SEEN = [row for row in ROWS if row.look]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.browsing() as found:
        yield found


@pytest.fixture(scope="module")
def windows(server, chromium) -> Iterator[Callable[[str], Page]]:
    """The window of each person, the same for all pages."""
    with ExitStack() as stack:
        yield cache(lambda who: stack.enter_context(browser.opened(chromium, server, who)))


@pytest.mark.parametrize("row", SEEN, ids=lambda row: row.look)
def test_a_page_can_be_used_by_everybody(server, windows, row):
    """Light on a wide screen and dark on a phone: axe finds nothing, and nothing sticks out sideways."""
    page = windows(row.who)
    with browser.sound(page):
        page.goto(filled(row.path, server))
        page.evaluate(AXE)
        for size, scheme in ((browser.WIDE, "light"), (browser.NARROW, "dark")):  # styles alone ask for either
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("rules => axe.run(document, rules).then(all => all.violations)", RULES)
            told = [(one["id"], node["html"][:200], node["failureSummary"]) for one in found for node in one["nodes"]]
            assert told == [], row.look
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, row.look
