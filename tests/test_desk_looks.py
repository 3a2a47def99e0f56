"""Every page in a real browser: WCAG AA by axe, no sideways scrolling on a phone, nothing refused by its own policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests import browser, desk
from tests.desk import Server
from tests.desk_routes import ROWS, filled

AXE = Axe()
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
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


@pytest.mark.parametrize("row", SEEN, ids=lambda row: row.look)
def test_a_page_can_be_used_by_everybody(server, chromium, row):
    """Light on a wide screen and dark on a phone: axe finds nothing, and nothing sticks out sideways."""
    for narrow, dark in ((False, False), (True, True)):
        with browser.window(chromium, server, row.who, narrow=narrow, dark=dark) as page:
            page.goto(filled(row.path, server))
            found = AXE.run(page, options=RULES).response["violations"]
            told = [(one["id"], node["html"][:200], node["failureSummary"]) for one in found for node in one["nodes"]]
            assert told == [], row.look
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, row.look
