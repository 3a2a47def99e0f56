"""A report in the making, what the making of every report shares, and what comes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.config import Project
from runner.errors import RunFailed, RunnerError, Trouble
from runner.ledger import Ledger, Run
from runner.model import Scraps, Status
from runner.report import shelf
from runner.report.diary import Diary
from runner.report.execute import Stop
from runner.report.inputs import Inputs
from runner.report.job import Plan
from runner.report.notebooks import NotebookNode
from runner.report.press import Press, Presses
from runner.report.restatement import Restates


@dataclass(frozen=True)
class Clock:
    """Tells the time from one reading: the instant a command began, and what has passed since."""

    start: datetime
    began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return (self.start + timedelta(seconds=time.monotonic() - self.began)).astimezone(UTC)


@dataclass(frozen=True)
class WallClock(Clock):
    """The clock of the machine, read anew each time: whoever stays must notice that the machine slept."""

    start: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Step:
    """Something has begun: a stage, or a cell of the notebook (numbers from 1)."""

    pipeline: str
    stage: str
    cell: int = 0
    cells: int = 0
    heading: str = ""


@dataclass(frozen=True)
class Ctx:
    """What the making of every report shares."""

    project: Project
    ledger: Ledger
    clock: Clock
    stop: Stop
    tell: Callable[[Step], None]
    lease: timedelta | None = None  # how long a run may stand still before another runner takes it over
    withheld: frozenset[str] = frozenset()  # more variables that no kernel gets: a copy no longer names its channels
    presses: Presses = field(default_factory=Presses)
    press: Press | None = None  # of one report, while it is made
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)  # for secrets


#: Exit codes of how a run ended; all others are 1.
_EXIT = {Status.READY: 0, Status.DELIVERED: 0, Status.HELD: 3}


@dataclass(frozen=True)
class Made:
    """What came of a job: how it ended, where it lies, and what a person may do about it."""

    pipeline: str
    period: str
    status: Status
    message: str = ""
    remedy: str = ""
    trouble: Trouble | None = None
    run: str = ""
    folder: Path | None = None
    fresh: bool = True  # False: an earlier run was good enough
    sent: int = 0
    by_mail: bool = False  # a mail server took what was sent; else it lies in the maildir
    exit_code: int = 0
    passing: bool = False  # what kept it from being made may pass by itself

    @classmethod
    def of(cls, run: Run, ctx: Ctx) -> Made:
        """What came of a run, as the ledger has it."""
        folder, code = shelf.place(ctx.project, run), _EXIT.get(run.status, 1)
        said = (run.pipeline, run.period, run.status, run.message)
        return cls(*said, trouble=run.trouble, run=run.run, folder=folder, exit_code=code)


@dataclass(frozen=True)
class Draft:
    """A report in the making; each stage fills in more."""

    plan: Plan
    run: Run
    inputs: Inputs | None = None
    nb: NotebookNode | None = None
    scraps: Scraps = field(default_factory=Scraps)
    restates: Restates | None = None
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    error: RunnerError | None = None
    detail: str = ""

    @property
    def notebook(self) -> NotebookNode:
        """The executed notebook. Raises RunFailed before there is one."""
        if self.nb is None:
            raise RunFailed("There is no executed notebook.")
        return self.nb


def diary_of(run: Run, ctx: Ctx) -> Diary:
    """The diary of a run that is under way."""
    return Diary(shelf.work(ctx.project, run.run), run, ctx.clock.now, ctx.project.censor.redact)
