"""What a person or a program sees: bars on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runner.model import Status

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from runner.report.draft import Made, Step

_STAGES = {"read": "reading", "compare": "comparing", "gate": "gate", "render": "rendering", "prove": "proving"}


#: More reports than these are told in short: a line at the end of each, and of all of them what fits one screen.
FEW = 10
#: Of many, so many that need a person are told in full, each text in so many letters at most.
_SHOWN, _LETTERS = 3, 150
#: Names that one line lists.
_NAMES = 4
#: Ends from which the pace is taken: the newest, but at least three rounds of what runs side by side.
_LATELY, _ROUNDS = 20, 3
_FINE = (Status.DELIVERED, Status.READY)
_NOT_BEGUN = "not begun"
_ORDER = (*_FINE, Status.HELD, Status.STOPPED, Status.FAILED, Status.RUNNING, Status.INTERRUPTED, _NOT_BEGUN)
#: What a person looks at first; one that another runner took over has no end here.
_RANK = (Status.FAILED, Status.RUNNING, Status.STOPPED, Status.INTERRUPTED, Status.HELD, *_FINE)


class Pace:
    """How far several reports are: how many have ended of how many, which are under way, and when the rest may end."""

    def __init__(self, total: int, seconds: Callable[[], float]) -> None:
        self.total, self.done = total, 0
        self.under_way: dict[str, None] = {}
        self._seconds, self._abreast = seconds, 1
        self._ends: deque[float] = deque([seconds()], maxlen=1 + 64 * _ROUNDS)

    def begun(self, name: str) -> None:
        """One has got its place."""
        self.under_way[name] = None
        self._abreast = max(self._abreast, len(self.under_way))

    def ended(self, name: str) -> None:
        """One has ended."""
        self.under_way.pop(name, None)
        self.done += 1
        self._ends.append(self._seconds())

    def left(self) -> float | None:
        """Seconds until all have ended, as fast as they did lately in this very run; None before one round has."""
        if self.done < self._abreast or self.done >= self.total:
            return None
        ends = list(self._ends)[-1 - max(_LATELY, _ROUNDS * self._abreast) :]
        return (ends[-1] - ends[0]) / (len(ends) - 1) * (self.total - self.done)

    def text(self) -> str:
        """How far they are, in words: `3 of 27; under way: a, b; about 2 min left`."""
        names = list(self.under_way)
        shown = ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
        parts = [f"{self.done} of {self.total}", f"under way: {shown}" if names else "", self.remaining()]
        return "; ".join(part for part in parts if part)

    def remaining(self) -> str:
        """The time left, in words; empty while it is not known."""
        left = self.left()
        return "" if left is None else f"about {_span(left)} left"


def _span(seconds: float) -> str:
    """A length of time as people round it."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


class Screen:
    """Plain lines on standard output: one when a stage begins, one when a report is made, and the summary.

    Of many reports there is one line each, when it is made, and the summary fits one screen.
    """

    def __init__(self, total: int = 0, seconds: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.Lock()
        self.last: dict[str, str] = {}
        self.pace = Pace(total, seconds)
        self.many = total > FEW

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

    def begun(self, name: str) -> None:
        """A report has got its place."""
        self.pace.begun(name)

    def step(self, step: Step) -> None:
        """Something has begun. A line for each new heading and stage, not for each cell; of many reports none."""
        text = _doing(step)
        if self.last.get(step.pipeline) != text and not self.many:
            self.last[step.pipeline] = text
            self.say(f"{step.pipeline}: {text}")

    def made(self, made: Made) -> None:
        """A report has come to its end; the summary says why. Of many it does so for a few, so the line does."""
        self.pace.ended(made.pipeline)
        if self.many and _outcome(made) == _NOT_BEGUN:
            return
        why = f". {_cut(made.message)}" if self.many and made.status not in _FINE else ""
        far = f" ({self.pace.text()})" if self.pace.total > 1 else ""
        self.say(f"{made.pipeline}: {made.status}{far}{why}")

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Rows below their headings, each column as wide as its longest text."""
        texts = [[column.upper() for column in columns], *([str(row[column]) for column in columns] for row in rows)]
        widths = [max(len(text[number]) for text in texts) for number in range(len(columns))]
        for line in texts if rows else []:
            self.say("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())

    def summary(self, all_made: Sequence[Made]) -> None:
        """For each report: what came out, where it lies, what to do about what failed. For many, what fits a screen."""
        for line in self._in_short(all_made) if len(all_made) > FEW else self._in_full(all_made):
            self.say(line)

    def _in_full(self, all_made: Sequence[Made]) -> Iterator[str]:
        width = max(len(made.pipeline) for made in all_made)
        yield ""
        for made in all_made:
            yield f"{made.pipeline:<{width}}  {made.status:<11}  {made.period:<24}  {self.where(made)}".rstrip()
            yield from (f"{'':<{width}}  {text}" for text in (made.message, made.remedy, _sent([made])) if text)

    def _in_short(self, all_made: Sequence[Made]) -> Iterator[str]:
        """Counts, the first that need a person, and where to find the rest."""
        yield ""
        yield f"{len(all_made):,} reports: {_counts(all_made)}."
        kept = sum(not made.fresh for made in all_made)
        yield from (text for text in (_kept(kept), _sent(all_made)) if text)
        alike = _alike(all_made)
        for made, *others in alike[:_SHOWN]:
            more = f", and {len(others):,} more like it" if others else ""
            yield f"{made.pipeline}  {made.status}  {made.period}{more}  {self.where(made)}".rstrip()
            yield from (f"  {_cut(text)}" for text in (made.message, made.remedy) if text)
        rest = sum(map(len, alike[_SHOWN:]))
        if rest:
            yield f"And {rest:,} more; each has its line above."
        if any(_outcome(made) == _NOT_BEGUN for made in all_made):
            yield "The same command makes what was not begun; what is there already is not made again."
        names = {made.pipeline for made in all_made}
        yield f"All of them, newest first: runner list{'' if len(names) > 1 else f' {min(names)}'}"

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
        self.pace.ended(made.pipeline)
        self._put({"event": "made", **_plain(made), "done": self.pace.done, "total": self.pace.total})

    def summary(self, all_made: Sequence[Made]) -> None:
        """All of them once more, in one line."""
        self._put({"event": "summary", "reports": [_plain(made) for made in all_made]})


class Bars(Screen):
    """Bars on a terminal: one for all reports, one for the cells of each."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
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

    def begun(self, name: str) -> None:
        """Give a report its bar."""
        super().begun(name)
        self._task(name)

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
        self.pace.ended(made.pipeline)
        if made.pipeline in self.tasks:
            self.bars.remove_task(self.tasks.pop(made.pipeline))
        self.bars.update(self.all, advance=1, doing=self.pace.remaining())
        if not self.many or _outcome(made) != _NOT_BEGUN:
            self.say(f"{made.pipeline}: {made.status}. {made.message}".rstrip())

    def summary(self, all_made: Sequence[Made]) -> None:
        """The same lines as elsewhere, below the bars that are gone."""
        self.bars.stop()
        super().summary(all_made)


def screen_for(*, as_json: bool, total: int) -> Screen:
    """The screen that fits: JSON when asked for, bars on a terminal, plain lines elsewhere."""
    if as_json:
        return Lines(total)
    fancy = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and total
    return Bars(total) if fancy else Screen(total)


def _doing(step: Step) -> str:
    if step.stage == "execute":
        return f"executing: {step.heading}" if step.heading else "executing"
    if step.stage == "fetch":
        return f"fetching: {step.heading}"
    return _STAGES.get(step.stage, step.stage)


def _sent(all_made: Sequence[Made]) -> str:
    count = sum(made.sent for made in all_made)
    how = "taken by the mail server" if any(made.by_mail for made in all_made) else "written to the maildir"
    return f"{count} message{'s' if count > 1 else ''} {how}." if count else ""


def _kept(count: int) -> str:
    was = f"{count:,} of them were" if count > 1 else "1 of them was"
    return f"{was} made already: nothing changed." if count else ""


def _counts(all_made: Sequence[Made]) -> str:
    """How many came out how, in the order from good to bad."""
    counts = Counter(_outcome(made) for made in all_made)
    return ", ".join(f"{counts[name]:,} {name}" for name in _ORDER if counts[name])


def _outcome(made: Made) -> str:
    """How a report came out; one that never began is interrupted, and yet there is nothing of it to look at."""
    return _NOT_BEGUN if made.status is Status.INTERRUPTED and not made.run else str(made.status)


def _alike(all_made: Sequence[Made]) -> list[list[Made]]:
    """What a person has to look at, the worst first; those that say the very same of one pipeline together."""
    found: dict[tuple[str, Status, str], list[Made]] = {}
    for made in sorted(all_made, key=lambda made: _RANK.index(made.status)):
        if _outcome(made) != _NOT_BEGUN and (made.status not in _FINE or made.exit_code):
            found.setdefault((made.pipeline, made.status, made.message), []).append(made)
    return list(found.values())


def _cut(text: str) -> str:
    return textwrap.shorten(text, _LETTERS, placeholder=" …")


def _plain(made: Made) -> dict[str, Any]:
    row = {key: str(value) if isinstance(value, Status | Path) else value for key, value in vars(made).items()}
    return {**row, "trouble": made.trouble and str(made.trouble)}


def near(folder: Path) -> str:
    """A folder by its short path where it lies below the one that the person stands in; no name steers a terminal."""
    from runner.document.texts import clean  # noqa: PLC0415 - a plain lookup shows no folder

    here = Path.cwd()
    return " ".join(clean(folder.relative_to(here) if folder.is_relative_to(here) else folder).splitlines())
