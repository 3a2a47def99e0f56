"""Pictures of every page of the desk, light and dark, wide and narrow, to be looked at: python -m tests.look FOLDER.

With more words, only of pages whose path begins with one of them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests import browser, desk
from tests.desk_routes import looked_at


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
                        look = f"{name}-{'narrow' if narrow else 'wide'}-{'dark' if dark else 'light'}.png"
                        browser.picture(page, folder / look)
                        print(folder / look)  # noqa: T201 - a command of a person


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]))
