"""The commands' work: many reports side by side, their progress, and the summary at the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Pipeline, Project
from runner.errors import ConfigError, RunnerError, UsageError
from runner.ledger import Ledger, Run
from runner.model import Status
from runner.report import parameters, shelf
from runner.report.execute import Stop
from runner.report.produce import Clock, Ctx, Job, Made, produce
from runner.report.produce import check as check_job
from runner.screen import Screen, near, screen_for

INTERRUPTED = 130
_WORST = (INTERRUPTED, 1, 3, 0)


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line; no pipeline means all of them."""

    pipeline: str
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    deliver: bool = True


def run(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Make what is wished for; the exit code. Raises UsageError and ConfigError before anything is started."""
    jobs = _jobs(project, wish)
    ledger = Ledger.open(project.ledger)
    clock = Clock(datetime.now(UTC))
    with screen_for(as_json=as_json, total=len(jobs)) as screen, _heard(Stop()) as stop:
        ctx = Ctx(project, ledger, clock, stop, screen.step)
        for job in jobs:
            _check(job, ctx, alone=len(jobs) == 1)
        shelf.tidy(project, ledger, clock.now())
        made = _make_all(jobs, ctx, screen)
        screen.summary(made)
    ledger.close()
    codes = {INTERRUPTED} if stop.asked else {item.exit_code for item in made}
    return next(code for code in _WORST if code in codes)


def _jobs(project: Project, wish: Wish) -> tuple[Job, ...]:
    chosen = (project.pipeline(wish.pipeline),) if wish.pipeline else project.in_order()
    if not wish.pipeline and wish.texts:
        raise UsageError("-p belongs to one pipeline.", "Name it instead of --all.")
    return tuple(_job(wish, pipeline) for pipeline in chosen)


def _job(wish: Wish, pipeline: Pipeline) -> Job:
    alone = bool(wish.pipeline)
    experiment = wish.experiment if alone or pipeline.period == "experiment" else None
    return Job(pipeline, wish.as_of, experiment, wish.texts, wish.again, wish.deliver)


def _check(job: Job, ctx: Ctx, *, alone: bool) -> None:
    """Refuse a wish that cannot be begun. Of several, one that is off is told at its turn and the others run."""
    try:
        check_job(job, ctx)
    except UsageError:
        raise
    except ConfigError:
        if alone:
            raise


# Side by side, inputs first.


def _make_all(jobs: tuple[Job, ...], ctx: Ctx, screen: Screen) -> list[Made]:
    """Every job, at most `runs_at_once` at a time, each after its inputs; the results in the order of the jobs."""
    done: dict[str, Made] = {}
    waiting = list(jobs)
    running: dict[Future[Made], Job] = {}
    with ThreadPoolExecutor(ctx.project.settings.runs_at_once) as pool:
        while waiting or running:
            for job in _ready(waiting, done, jobs):
                waiting.remove(job)
                running[pool.submit(_make, job, ctx)] = job
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                job = running.pop(future)
                done[job.pipeline.name] = made = future.result()
                screen.made(made)
    return [done[job.pipeline.name] for job in jobs]


def _ready(waiting: list[Job], done: Mapping[str, Made], jobs: tuple[Job, ...]) -> list[Job]:
    asked = {job.pipeline.name for job in jobs}
    return [job for job in waiting if all(name in done or name not in asked for name in job.pipeline.inputs)]


def _make(job: Job, ctx: Ctx) -> Made:
    """One report; an error of its own never reaches the others."""
    if ctx.stop.asked:
        return Made(job.pipeline.name, job.as_of, Status.INTERRUPTED, "It was not begun.", "Run it again.", exit_code=1)
    try:
        return produce(job, ctx)
    except RunnerError as error:
        return Made(job.pipeline.name, job.as_of, Status.FAILED, error.what, error.remedy, error.trouble, exit_code=1)
    except Exception as error:  # noqa: BLE001 - a fault of ours (a full disk, say) ends this report alone
        what = f"The runner itself failed: {type(error).__name__}: {error}"
        return Made(job.pipeline.name, job.as_of, Status.FAILED, what, "Please report it.", exit_code=1)


@contextmanager
def _heard(stop: Stop) -> Iterator[Stop]:
    """While this lasts, Ctrl-C and SIGTERM ask everyone to end instead of ending this process."""
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    asked = [0.0]

    def ask(_number: int, _frame: FrameType | None) -> None:
        # A second wish, unless it is the echo of the first: leave at once. Children end when this process is gone.
        if stop.asked and time.monotonic() > asked[0] + 1:
            os._exit(INTERRUPTED)
        asked[0] = asked[0] or time.monotonic()
        stop.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Looking.


def check(project: Project, *, as_json: bool) -> int:
    """Load every notebook's parameters and say OK or what is off; the exit code."""
    troubles = {pipeline.name: _trouble(project, pipeline) for pipeline in project.in_order()}
    screen = screen_for(as_json=as_json, total=len(troubles))
    for name, trouble in troubles.items():
        screen.line({"pipeline": name, "ok": not trouble, "message": trouble}, f"{name}: {trouble or 'OK'}")
    return 2 if any(troubles.values()) else 0


def _trouble(project: Project, pipeline: Pipeline) -> str:
    notebook = project.notebook(pipeline)
    try:
        declared = parameters.read(notebook)
        parameters.check(notebook, declared, dict(pipeline.parameters))
    except RunnerError as error:
        return str(error)
    needed = ("as_of", "experiment") if pipeline.period == "experiment" else ("as_of",)
    missing = [name for name in needed if name not in declared]
    return f"{notebook.name} has no parameter {missing[0]!r}, which carries the period." if missing else ""


def listing(project: Project, pipeline: str, *, as_json: bool) -> int:
    """Show the ledger's runs, newest first."""
    name = project.pipeline(pipeline).name if pipeline else None
    ledger = Ledger.open(project.ledger)
    screen = screen_for(as_json=as_json, total=0)
    zone = ZoneInfo(project.settings.time_zone)
    rows = [_row(project, run_, zone, as_json=as_json) for run_ in ledger.runs(name)]
    screen.table(rows, ("started", "status", "pipeline", "period", "folder"))
    ledger.close()
    sys.stdout.flush()
    return 0


def _row(project: Project, run_: Run, zone: ZoneInfo, *, as_json: bool) -> dict[str, Any]:
    """One run: for a program whole, for a person with the time of the project's place and the shortest path."""
    row: dict[str, Any] = {"run": run_.run, "pipeline": run_.pipeline, "period": run_.period}
    row |= {"status": str(run_.status), "message": run_.message, "folder": run_.folder}
    if as_json:
        return row | {"started": run_.started_at.isoformat()}
    folder = near(project.folder / run_.folder) if run_.folder else ""
    return row | {"started": f"{run_.started_at.astimezone(zone):%Y-%m-%d %H:%M %Z}", "folder": folder}
