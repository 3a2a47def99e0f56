"""The usual way to a report: papermill, then nbconvert, then a browser (or WeasyPrint) for the PDF."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.place import AS_OF, env
from tests.bench.running import Failed, timed, tool

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Printer:
    """What turns the HTML into a PDF: a browser by its path, or the name of a module, or nothing."""

    browser: str = ""
    module: str = ""

    @property
    def name(self) -> str:
        """How a note calls it."""
        return Path(self.browser).name if self.browser else self.module


@cache
def printer() -> Printer:
    """The browser where one is installed, else WeasyPrint, else nothing."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return Printer(browser=found)
    return Printer(module="weasyprint" if importlib.util.find_spec("weasyprint") else "")


def note() -> str:
    """Which PDF step the chain has, as a sentence."""
    if printer().browser:
        return (
            f"The peer's PDF is printed by headless {printer().name}, with outside addresses switched off "
            "(nbconvert's page asks for scripts of a CDN), so that no network is timed."
        )
    if printer().module:
        return "No Chromium is installed: the peer's PDF is set by WeasyPrint."
    return "Neither Chromium nor WeasyPrint is installed: the peer makes no PDF here, so its time is without that step."


def chain(project: Path, report: str, out: Path, parameters: Mapping[str, str] | None = None) -> dict[str, float]:
    """Seconds of the three commands, and of the notebook's cells as papermill noted them. Raises Failed."""
    executed = out / f"{report}.ipynb"
    out.mkdir(parents=True, exist_ok=True)
    words = [word for name, value in {"as_of": AS_OF, **(parameters or {})}.items() for word in ("-p", name, value)]
    execute = [*tool("papermill"), f"{report}.ipynb", str(executed), *words, "-k", "python3", "--no-progress-bar"]
    spent = {"papermill": timed(execute, project / "notebooks", env(project))}
    return spent | finish(project, executed) | {"cells": cells(executed)}


def finish(project: Path, executed: Path) -> dict[str, float]:
    """Seconds from an executed notebook to HTML and PDF on disk."""
    html, pdf = executed.with_suffix(".html"), executed.with_suffix(".pdf")
    convert = [*tool("jupyter"), "nbconvert", "--to", "html", "--output", html.name, str(executed)]
    spent = {"html": timed(convert, executed.parent, env(project))}
    command = _print(html, pdf, executed.parent / f"browser-{executed.stem}")
    spent["pdf"] = timed(command, executed.parent, env(project)) if command else 0.0
    if command and not pdf.exists():
        raise Failed(f"{printer().name} left no PDF.")
    return spent


def _print(html: Path, pdf: Path, profile: Path) -> list[str]:
    if printer().browser:
        words = ("--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
        return [printer().browser, *words, f"--user-data-dir={profile}", f"--print-to-pdf={pdf}", html.as_uri()]
    return [sys.executable, "-m", "weasyprint", str(html), str(pdf)] if printer().module else []


def cells(executed: Path) -> float:
    """Seconds that the cells took, by papermill's own note in the notebook."""
    found = json.loads(executed.read_text("utf-8"))["cells"]
    return sum(float(cell["metadata"].get("papermill", {}).get("duration") or 0) for cell in found)
