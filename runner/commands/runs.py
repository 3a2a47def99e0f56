"""One run: found by its name, ended before its time."""

from __future__ import annotations

import difflib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.acts import attempts
from runner.acts.people import engineer
from runner.acts.wishes import Wish, reason_of
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import Ledger, Run
from runner.model import Status
from runner.report import shelf
from runner.screen import near, screen_for

#: Seconds in which a run that is asked to end must have ended.
PATIENCE = 15.0
_LOOK = 0.1


def find(ledger: Ledger, name: str, wanted: Status | None = None) -> Run:
    """A run by its name or its folder. Raises UsageError with the names that may have been meant.

    `wanted` says which runs the command is about; they are the ones named.
    """
    run = ledger.run(Path(name).name)
    if run is None:
        raise UsageError(f"No run is called {name!r}.", _near(name, ledger, wanted))
    return run


def _near(name: str, ledger: Ledger, wanted: Status | None) -> str:
    runs = [run.run for run in ledger.runs() if wanted is None or run.status is wanted]
    close = difflib.get_close_matches(Path(name).name, runs, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    which = f"{'Under way' if wanted is Status.RUNNING else str(wanted).capitalize()}" if wanted else "The newest"
    return f"{which}: {_listed(runs)}."


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"


# Cancelling.


def cancel(project: Project, name: str, who: str, because: str, *, as_json: bool) -> int:
    """Ask a run to end, wait until it has, and say how; the exit code (1: it has not, or ended by itself before)."""
    engineer(project, who)
    reason = reason_of(because)
    ledger = Ledger.of(project)
    run = find(ledger, name, Status.RUNNING)
    if run.status is not Status.RUNNING:
        raise UsageError(f"Run {run.run} is not under way: it is {run.status}.", _near("", ledger, Status.RUNNING))
    attempts.cancel(project, ledger, Wish(run, who, reason, datetime.now(UTC)))
    ended = _ended(project, ledger, run)
    ledger.close()
    screen_for(as_json=as_json, total=0).line(_plain(project, ended), _told(project, ended))
    return 0 if ended.status is Status.INTERRUPTED else 1


def _ended(project: Project, ledger: Ledger, run: Run) -> Run:
    """The run once it has ended and lies in its place, or as it is when patience ends."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        now = ledger.run(run.run) or run
        if now.status is not Status.RUNNING and (not now.folder or shelf.place(project, now).exists()):
            return now
        time.sleep(_LOOK)
    return ledger.run(run.run) or run


def _told(project: Project, run: Run) -> str:
    if run.status is Status.RUNNING:
        return f"{run.pipeline} for {run.period} was asked to end and has not yet. See: runner logs {run.run} --follow"
    partial = file_of(project, run, f"{run.pipeline}.ipynb")
    kept = f" Partial notebook: {near(partial)}" if partial and run.status is Status.INTERRUPTED else ""
    return f"{run.pipeline} for {run.period}: {run.status}. {run.message}{kept}"


def _plain(project: Project, run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {"run": run.run, "pipeline": run.pipeline, "period": run.period}
    notebook = file_of(project, run, f"{run.pipeline}.ipynb")
    return row | {"status": str(run.status), "message": run.message, "notebook": notebook and str(notebook)}


def file_of(project: Project, run: Run, name: str) -> Path | None:
    """A file of a run, wherever the run lies just now."""
    places = (shelf.place(project, run) / name, shelf.work(project, run.run) / name)
    return next((path for path in places if path.is_file()), None)
