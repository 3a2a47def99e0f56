"""Pictures of every page of the desk, light and dark, wide and narrow, to be looked at: python -m tests.look FOLDER.

With more words, only of pages whose path begins with one of them.

    python -m tests.look --readme FOLDER

takes the pictures of the README instead (FOLDER is .github/pictures): the shipped project on a morning on which one
report waits for somebody's decision.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from PIL import Image
from playwright.sync_api import Page

from runner.notebook import warehouse
from tests import browser, desk
from tests.company import ROOT
from tests.desk import HOUR, MINUTE, Server
from tests.desk_routes import looked_at

#: Tuesday 14 November 2017, 08:40 on the company's wall, and who looks.
MORNING = desk.MIDNIGHT + 8 * HOUR + 40 * MINUTE
READER = "engineer.b@example.com"
#: Sales of the day before four times: figures far beyond their usual range.
FOURFOLD = """
    INSERT INTO transactions
    SELECT transactions.* REPLACE (basket_id + 1000000000000 * times.number AS basket_id)
    FROM transactions, range(1, 4) AS times(number) WHERE day = DATE '2017-11-13'"""


def main(folder: Path, wanted: tuple[str, ...]) -> None:
    """Take them."""
    with desk.serving(desk.copy(Path(tempfile.mkdtemp()))) as server, browser.browsing() as chromium:
        for name, path, who in looked_at(server):
            if wanted and not path.startswith(wanted):
                continue
            for narrow in (False, True):
                for dark in (False, True):
                    with browser.window(chromium, server, who, narrow=narrow, dark=dark) as page:
                        page.goto(path)
                        settle(page)
                        look = f"{name}-{'narrow' if narrow else 'wide'}-{'dark' if dark else 'light'}.png"
                        browser.picture(page, folder / look)
                        print(folder / look)  # noqa: T201 - a command of a person


def settle(page: Page) -> None:
    """Wait for what is shown within the page: a report further down has not been drawn before it was in sight."""
    for frame in page.query_selector_all("iframe"):
        frame.scroll_into_view_if_needed()
        inner = frame.content_frame()
        if inner is not None:
            inner.wait_for_load_state("load")
    page.evaluate("document.fonts.ready")


def readme(folder: Path) -> None:
    """The two pictures of the README."""
    with shipped() as server, browser.browsing() as chromium:
        held = next(run.run for run in server.ledger.runs() if str(run.status) == "held")
        for name, path, height in (("desk-today", "/", 950), ("desk-run", f"/runs/{held}", 918)):
            with browser.window(chromium, server, READER) as page:
                page.goto(path)
                settle(page)
                place = folder / f"{name}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                tall = page.evaluate("document.documentElement.scrollHeight")
                area = {"x": 0, "y": 0, "width": browser.WIDE["width"], "height": min(height, tall)}
                page.screenshot(path=place, full_page=True, clip=area)
                with Image.open(place) as taken:
                    taken.convert("RGB").save(place, optimize=True)
                print(f"{place}: {place.stat().st_size // 1000} kB")  # noqa: T201 - a command of a person


@contextmanager
def shipped() -> Iterator[Server]:
    """A desk over the shipped project after a real morning: when the first report is out, sales become fourfold."""
    with tempfile.TemporaryDirectory(prefix="runner-look-") as name:
        folder = Path(name)
        for part in ("config", "notebooks", "templates"):
            shutil.copytree(ROOT / part, folder / part)
        built = warehouse.prepare(folder)
        desk.morning(folder, MORNING - 20 * MINUTE)  # daily growth is out
        with duckdb.connect(str(built)) as connection:
            connection.execute(FOURFOLD)
        built.with_suffix(".sha256").write_text(warehouse.stamp_of(built, warehouse.fingerprint(folder)))
        desk.morning(folder, MORNING)
        with desk.serving(folder, MORNING) as server:
            yield server


if __name__ == "__main__":
    if sys.argv[1] == "--readme":
        readme(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), tuple(sys.argv[2:]))
