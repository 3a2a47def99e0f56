"""Where runs lie: built in `reports/.work/<run>/`, then renamed whole to `reports/<pipeline>/<period>/<run>/`.

The ledger is the point of no return: a folder is moved after its run is recorded as finished. Killed before, the next
start throws the folder away; killed between, the next start moves it, or another scheduler that is at work already.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runner.config import Project
from runner.ledger import Artifact, Ledger, Run
from runner.model import Status
from runner.report.inputs import file_digest
from runner.warm.processes import end_marked

_log = logging.getLogger(__name__)

WORK = ".work"


def work(project: Project, run: str) -> Path:
    """The folder in which a run is built."""
    return project.reports / WORK / run


def place(project: Project, run: Run) -> Path:
    """The folder in which a finished run lies."""
    return project.reports / run.pipeline / run.period / run.run


def put(folder: Path, name: str, content: str | bytes) -> None:
    """Write one file of a run that is being built."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def put_json(folder: Path, name: str, content: Any, clean: Callable[[str], str] = str) -> None:
    """Write one JSON file; NaN and infinity are no JSON and raise ValueError. `clean` takes secrets out of its text."""
    put(folder, name, clean(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"))


def artifacts(folder: Path) -> tuple[Artifact, ...]:
    """Every file of a run's folder with its hash and size."""
    return tuple(_artifact(folder, path) for path in sorted(folder.rglob("*")) if path.is_file())


def _artifact(folder: Path, path: Path) -> Artifact:
    return Artifact(path.relative_to(folder).as_posix(), file_digest(path), path.stat().st_size)


def intact(folder: Path, expected: tuple[Artifact, ...]) -> bool:
    """Whether every file of a finished run is there, unchanged."""
    return bool(expected) and all(
        (folder / item.path).is_file() and file_digest(folder / item.path) == item.sha256 for item in expected
    )


def proven(folder: Path, item: Artifact) -> bytes | None:
    """What a file of a finished run holds; None where it is gone, or is not the one that was kept."""
    try:
        data = (folder / item.path).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == item.sha256 else None


def move(project: Project, run: Run) -> Path:
    """Let a finished run appear in its place, whole."""
    target = place(project, run)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(work(project, run.run))
    work(project, run.run).rename(target)
    return target


def drop(project: Project, run: str) -> None:
    """Throw away what a run has built that must not appear."""
    shutil.rmtree(work(project, run), ignore_errors=True)


def _sync(folder: Path) -> None:
    """Bring a folder's files to the disk, so that a power cut leaves no empty file under a finished name."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def tidy(project: Project, ledger: Ledger, now: datetime, lease: timedelta | None = None) -> tuple[Run, ...]:
    """Clear up after runners that were killed; hand back the runs that are now marked interrupted.

    `lease` as for `Ledger.clear_up`.
    """
    gone = ledger.clear_up(now, lease)
    for run in gone:
        end_marked(run.run)
    for folder in _folders(project):
        _settle_or_leave(project, folder, ledger.run(folder.name))
    return gone


def catch_up(project: Project, ledger: Ledger) -> None:
    """Settle the folders of ended runs whose runner is gone, and touch no other: it may be called at any time.

    A folder whose run this ledger does not know is left: a rehearsal has a ledger of its own.
    """
    for folder in _folders(project):
        run = ledger.run(folder.name)
        if run is not None and run.process.gone:
            _settle_or_leave(project, folder, run)


def _folders(project: Project) -> list[Path]:
    return sorted((project.reports / WORK).glob("*"))


def _settle_or_leave(project: Project, folder: Path, run: Run | None) -> None:
    try:
        _settle(project, folder, run)
    except OSError as error:  # one folder that cannot be moved never stops the other reports
        _log.warning("%s cannot be settled and is left in reports/%s: %s", folder.name, WORK, error)


def _settle(project: Project, folder: Path, run: Run | None) -> None:
    if run and run.status is Status.RUNNING:
        return  # its process lives
    if run and run.process.gone and run.folder and not place(project, run).exists():
        move(project, run)
    elif run is None or run.process.gone:
        shutil.rmtree(folder, ignore_errors=True)
