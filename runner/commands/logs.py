"""What a run said: its diary line by line, and what is left to look at when it did not come to a good end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner.commands.runs import file_of, find
from runner.commands.signals import INTERRUPTED, Bell, heard
from runner.config import Project
from runner.document import texts
from runner.ledger import Ledger, Run, finished
from runner.model import Status
from runner.report import diary, shelf
from runner.screen import Screen, near, screen_for

_LOOK = 0.3
#: Lines of kernel.log that are shown.
_TAIL = 20
#: Characters of one line that a person is shown.
_LONGEST = 2000
#: Fields that every line of a diary has; the rest depends on the event.
_COMMON = {"at", "event", "run", "pipeline", "period"}
_GOOD = {Status.READY, Status.DELIVERED, Status.HELD, Status.RUNNING}


@dataclass(frozen=True)
class Book:
    """The diary of one run, where it lies, and the zone of its readers."""

    project: Project
    ledger: Ledger
    run: Run
    zone: ZoneInfo

    def events(self) -> list[dict[str, Any]]:
        """What is written so far. A run that ends moves between two looks: it is looked for in both places again."""
        place, work = shelf.place(self.project, self.run), shelf.work(self.project, self.run.run)
        return next((found for folder in (place, work, place) if (found := list(diary.read(folder)))), [])

    def now(self) -> Run:
        """The run as the ledger has it now."""
        return self.ledger.run(self.run.run) or self.run


def logs(project: Project, name: str, *, as_json: bool, follow: bool) -> int:
    """Show what a run said; with `follow` until it ends."""
    ledger = Ledger.of(project)
    book = Book(project, ledger, find(ledger, name), ZoneInfo(project.settings.time_zone))
    screen = screen_for(as_json=as_json, total=0)
    with heard(Bell()) as bell:
        for event in _events(book, bell, follow=follow):
            screen.line(event, _line(event, book))
    if not bell.asked:
        _rest(screen, book)
    ledger.close()
    return INTERRUPTED if bell.asked else 0


def _events(book: Book, bell: Bell, *, follow: bool) -> Iterator[dict[str, Any]]:
    seen = 0
    while True:
        run = book.now()  # before the diary is read: what it said last is there once it has ended
        events = book.events()
        yield from events[seen:]
        seen = max(seen, len(events))
        if not follow or run.status is not Status.RUNNING or run.process.gone:
            return
        if bell.event.wait(_LOOK):  # whoever has seen enough leaves; the run goes on
            return


# For people.


def _line(event: dict[str, Any], book: Book) -> str:
    at = datetime.fromisoformat(event["at"])
    since = (at - book.run.started_at).total_seconds()
    return f"{since:8.1f} s  {at.astimezone(book.zone):%H:%M:%S %Z}  {_shown(texts.line(_words(event)))}"


def _shown(text: str) -> str:
    """A line for people: what a notebook or a library said may hold anything, and be of any length."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text) - _LONGEST:,} more characters)"


def _words(event: dict[str, Any]) -> str:
    kind = event["event"]
    if kind == "cell begins":
        heading = f": {event['heading']}" if event.get("heading") else ""
        return f"cell {event.get('cell')} of {event.get('of')}{heading}"
    if kind == "stage begins":
        return f"stage {event.get('stage')}"
    if kind == "finding":
        return f"{event.get('level')}: {event.get('check')}. {event.get('message')}"
    if kind == "error":
        return f"{event.get('error')}: {event.get('message')} {event.get('remedy') or ''}".rstrip()
    if kind == "run ends":
        return f"run ends: {event.get('status')}. {event.get('message') or ''}".rstrip()
    rest = {key: value for key, value in event.items() if key not in _COMMON and value}
    return f"{kind}  " + ", ".join(f"{key} {_short(value)}" for key, value in rest.items()) if rest else kind


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={inner}" for key, inner in value.items())
    return str(value)[:12]


# What is left.


def _rest(screen: Screen, book: Book) -> None:
    """How the run stands, and what there is to look at."""
    run = book.now()
    kernel = _tail(file_of(book.project, run, "kernel.log")) if run.status not in _GOOD else []
    files = {"notebook": f"{run.pipeline}.ipynb", "traceback": "traceback.txt"}
    found = {name: file_of(book.project, run, file) for name, file in files.items()}
    row: dict[str, Any] = {"event": "stands", "run": run.run, "status": str(run.status), "message": run.message}
    row |= {name: path and str(path) for name, path in found.items()}
    screen.line(row | {"kernel_log": kernel}, "\n".join(_said(run, kernel, found)))


def _said(run: Run, kernel: list[str], found: dict[str, Path | None]) -> Iterator[str]:
    yield ""
    yield _shown(texts.line(f"{run.pipeline} for {run.period} is {run.status}. {run.message}"))
    if finished.is_pruned(run):
        return
    if kernel:
        yield "The end of kernel.log:"
        yield from (f"    {_shown(texts.clean(line))}" for line in kernel)
    if found["notebook"]:
        yield f"{'Notebook' if run.status in _GOOD else 'Partial notebook'}: {near(found['notebook'])}"
    if found["traceback"]:
        yield f"Traceback: {near(found['traceback'])}"


def _tail(path: Path | None) -> list[str]:
    if path is None:
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
