"""Room on the disk: the files of old runs that went to nobody are removed, by the policy of settings.yml."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.config.files import Keep
from runner.ledger import Ledger, Run, finished, journal
from runner.ledger.journal import Act
from runner.model import Status
from runner.report import shelf
from runner.screen import near, screen_for


@dataclass(frozen=True)
class Removal:
    """A run whose files are to go, where they lie, and how many bytes they are."""

    run: Run
    folder: Path
    size: int


def prune(project: Project, now: datetime, *, dry: bool, as_json: bool) -> int:
    """Remove what the policy gives up, or with `dry` only show it."""
    ledger = Ledger.of(project)
    shelf.tidy(project, ledger, now)
    with ledger.read() as tx:
        kept = finished.owed_runs(tx)
    old = [run for run in ledger.runs() if run.run not in kept and _is_old(run, project.settings.keep, now)]
    found = [removal for run in old if (removal := _removal(project, run)) is not None]
    gone, troubles = (found, []) if dry else _remove_all(project, ledger, found, now)
    if gone and not dry:
        with ledger.write() as tx:
            details = {"runs": [item.run.run for item in gone], "bytes": sum(item.size for item in gone)}
            journal.act(tx, Act(now, "runner", "pruned", details))
    ledger.close()
    _show(gone, dry=dry, as_json=as_json)
    for trouble in troubles:
        print(trouble, file=sys.stderr)  # noqa: T201 - it is no row of what was removed
    return 1 if troubles else 0


def _is_old(run: Run, keep: Keep, now: datetime) -> bool:
    """Whether the policy gives a run's files up: it ended so long ago, and it went to nobody."""
    seconds = {
        Status.FAILED: keep.failed,
        Status.INTERRUPTED: keep.failed,
        Status.STOPPED: keep.failed,
        Status.HELD: keep.held,
        Status.READY: keep.undelivered,
    }.get(run.status)
    return seconds is not None and (run.finished_at or run.started_at) + timedelta(seconds=seconds) < now


def _removal(project: Project, run: Run) -> Removal | None:
    """What there is to remove of a run; None where it lies nowhere, or not where a run of this project lies."""
    folder = shelf.place(project, run)
    if not run.folder or shelf.work(project, run.run).exists() or not _is_ours(project, folder):
        return None
    return Removal(run, folder, sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()))


def _is_ours(project: Project, folder: Path) -> bool:
    """Whether a folder is three floors below reports/, by its real path: no link and no `..` leads elsewhere."""
    if not folder.is_relative_to(project.reports):
        return False
    parts = folder.relative_to(project.reports).parts
    real = project.reports.resolve().joinpath(*parts)
    return len(parts) == 3 and folder.resolve() == real


def _remove_all(
    project: Project, ledger: Ledger, found: list[Removal], now: datetime
) -> tuple[list[Removal], list[str]]:
    """What was removed, and a sentence for each folder that could not be; one never keeps the others."""
    gone, troubles = [], []
    for item in found:
        try:
            gone += [item] if _remove(project, ledger, item, now) else []
        except OSError as error:
            troubles.append(f"{near(item.folder)} cannot be removed: {error.strerror or error}.")
    return gone, troubles


def _remove(project: Project, ledger: Ledger, item: Removal, now: datetime) -> bool:
    """Remove a run's files and say so in its row; both or, when the row has changed or a file stays, neither."""
    day = now.astimezone(ZoneInfo(project.settings.time_zone)).date()
    with ledger.write() as tx:
        if item.run.run in finished.owed_runs(tx) or not finished.prune(tx, item.run, day):
            return False
        if item.folder.exists():
            shutil.rmtree(item.folder)
    return True


def _show(gone: list[Removal], *, dry: bool, as_json: bool) -> None:
    screen = screen_for(as_json=as_json, total=0)
    screen.table([{**_row(item), "removed": not dry} for item in gone], ("bytes", "status", "ended", "folder"))
    total = sum(item.size for item in gone)
    runs = "one run" if len(gone) == 1 else f"{len(gone)} runs"
    said = f"{total:,} bytes of {runs} {'would be freed' if dry else 'were freed'}; what was delivered stays."
    if not as_json:
        screen.say(said if gone else "Nothing is old enough to be removed.")


def _row(item: Removal) -> dict[str, Any]:
    run = item.run
    row: dict[str, Any] = {"run": run.run, "pipeline": run.pipeline, "period": run.period, "status": str(run.status)}
    ended = (run.finished_at or run.started_at).date().isoformat()
    return row | {"ended": ended, "bytes": item.size, "folder": near(item.folder)}
