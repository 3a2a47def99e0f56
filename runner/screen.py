"""What a person or a program sees: bars on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runner.model import Status

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from runner.report.produce import Made, Step

_STAGES = {"read": "reading", "compare": "comparing", "gate": "gate", "render": "rendering", "prove": "proving"}


class Screen:
    """Plain lines on standard output: one when a stage begins, one when a report is made, and the summary."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        """Write one line at once. A reader that is gone must not end the run."""
        with self.lock:
            try:
                print(text, flush=True)  # noqa: T201 - this is the screen
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def line(self, _row: Mapping[str, Any], text: str) -> None:
        """One row of a listing."""
        self.say(text)

    def step(self, step: Step) -> None:
        """Something has begun. A line for each new heading and stage, not for each cell."""
        text = _doing(step)
        if self.last.get(step.pipeline) != text:
            self.last[step.pipeline] = text
            self.say(f"{step.pipeline}: {text}")

    def made(self, made: Made) -> None:
        """A report has come to its end; the summary says why."""
        self.say(f"{made.pipeline}: {made.status}")

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Rows below their headings, each column as wide as its longest text."""
        texts = [[column.upper() for column in columns], *([str(row[column]) for column in columns] for row in rows)]
        widths = [max(len(text[number]) for text in texts) for number in range(len(columns))]
        for line in texts if rows else []:
            self.say("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())

    def summary(self, all_made: Sequence[Made]) -> None:
        """For each report: what came out, where it lies, what to do about what failed."""
        width = max(len(made.pipeline) for made in all_made)
        self.say("")
        for made in all_made:
            self.say(f"{made.pipeline:<{width}}  {made.status:<11}  {made.period:<24}  {self.where(made)}".rstrip())
            for text in (made.message, made.remedy, _sent(made)):
                if text:
                    self.say(f"{'':<{width}}  {text}")

    def where(self, made: Made) -> str:
        """A run's folder, relative to where the person stands if it lies below."""
        return near(made.folder) if made.folder else ""


class Lines(Screen):
    """JSON lines on standard output, for programs."""

    def _put(self, row: Mapping[str, Any]) -> None:
        self.say(json.dumps(row, ensure_ascii=False))

    def line(self, row: Mapping[str, Any], _text: str) -> None:
        """One row of a listing."""
        self._put(row)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:  # noqa: ARG002
        """Each row as one object, with everything in it."""
        for row in rows:
            self._put(row)

    def step(self, step: Step) -> None:
        """Something has begun."""
        self._put({"event": "step", **vars(step)})

    def made(self, made: Made) -> None:
        """A report has come to its end."""
        self._put({"event": "made", **_plain(made)})

    def summary(self, all_made: Sequence[Made]) -> None:
        """All of them once more, in one line."""
        self._put({"event": "summary", "reports": [_plain(made) for made in all_made]})


class Bars(Screen):
    """Bars on a terminal: one for all reports, one for the cells of each."""

    def __init__(self, total: int) -> None:
        super().__init__()
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars: Progress = Progress(*columns, TextColumn("{task.fields[doing]}"), transient=True)
        self.tasks: dict[str, TaskID] = {}
        self.all = self.bars.add_task("reports", total=total, doing="", visible=total > 1)

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """Write one line above the bars."""
        self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, step: Step) -> None:
        """Move a report's bar."""
        task = self._task(step.pipeline)
        if step.cells:
            self.bars.update(task, completed=step.cell - 1, total=step.cells, doing=step.heading)
        else:
            self.bars.update(task, doing=_doing(step))

    def _task(self, pipeline: str) -> TaskID:
        if pipeline not in self.tasks:
            self.tasks[pipeline] = self.bars.add_task(pipeline, total=None, doing="")
        return self.tasks[pipeline]

    def made(self, made: Made) -> None:
        """Take a report's bar away and say how it ended."""
        if made.pipeline in self.tasks:
            self.bars.remove_task(self.tasks.pop(made.pipeline))
        self.bars.advance(self.all)
        self.say(f"{made.pipeline}: {made.status}. {made.message}".rstrip())

    def summary(self, all_made: Sequence[Made]) -> None:
        """The same lines as elsewhere, below the bars that are gone."""
        self.bars.stop()
        super().summary(all_made)


def screen_for(*, as_json: bool, total: int) -> Screen:
    """The screen that fits: JSON when asked for, bars on a terminal, plain lines elsewhere."""
    if as_json:
        return Lines()
    fancy = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and total
    return Bars(total) if fancy else Screen()


def _doing(step: Step) -> str:
    if step.stage == "execute":
        return f"executing: {step.heading}" if step.heading else "executing"
    return _STAGES.get(step.stage, step.stage)


def _sent(made: Made) -> str:
    return f"{made.sent} message{'s' if made.sent > 1 else ''} written to the maildir." if made.sent else ""


def _plain(made: Made) -> dict[str, Any]:
    row = {key: str(value) if isinstance(value, Status | Path) else value for key, value in vars(made).items()}
    return {**row, "trouble": made.trouble and str(made.trouble)}


def near(folder: Path) -> str:
    """A folder by its short path where it lies below the one that the person stands in."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
