"""Trial runs: a notebook run by hand with other values, for whoever asked for it and nobody else.

A trial runs in a copy of the project, in a process of its own (`trial_run`): it takes no claim, writes no record and no
figure into the ledger, and no reader, deadline or approval can come upon it. What is known of it lies in its folder,
`reports/.desk/trials/<id>`, so that every desk of the project shows the same, also one that began later.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.config import Pipeline, Project
from runner.errors import UsageError
from runner.ledger.process import Process
from runner.report import diary
from runner.report.job import Job
from runner.report.warming import search_path
from runner.scheduler import doorplate

#: So many trials at once, of everybody; fewer where fewer reports are made at once.
AT_ONCE = 2
#: So many are kept to be looked at.
KEPT = 50
ORDER, PROCESS, CANCELLED, OUTCOME, PROJECT = "trial.json", "process.json", "cancelled.json", "outcome.json", "project"
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
_GONE = {"status": "interrupted", "message": "It ended before its time: the desk that ran it is gone."}


@dataclass(frozen=True)
class Wish:
    """What is to be tried, by whom: the words as they were typed, by parameter."""

    who: str
    pipeline: str
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def typed(self) -> dict[str, str]:
        """Every parameter with what was typed for it."""
        carried = {"as_of": self.as_of} | ({"experiment": self.experiment} if self.experiment is not None else {})
        return {**carried, **self.texts}

    def job(self, pipeline: Pipeline) -> Job:
        """The report that it asks for: made whatever there is already, handed to nobody."""
        return Job(pipeline, self.as_of, self.experiment, self.texts, again=True, deliver=False)


@dataclass(frozen=True)
class Trial:
    """One trial as its folder tells of it."""

    id: str
    folder: Path
    wish: Wish
    began_at: datetime
    process: Process | None = None
    cancelled_by: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, however that was."""
        return bool(self.outcome)

    @property
    def status(self) -> str:
        """How it ended, or that it runs."""
        return str(self.outcome.get("status", "running"))

    @property
    def made(self) -> Path | None:
        """The folder of what it made."""
        place = self.outcome.get("folder")
        return self.folder / PROJECT / place if place else None

    def file(self, end: str) -> Path | None:
        """What it made of one kind: `.html`, `.pdf`, `.ipynb`; also what was not proven."""
        name = self.wish.pipeline
        places = [self.made / f"{name}{middle}{end}" for middle in ("", ".unproven")] if self.made else []
        return next((path for path in places if path.is_file()), None)


@dataclass(frozen=True)
class Progress:
    """How far a trial has come: its stages, and the cell it is at."""

    stages: tuple[tuple[datetime, str], ...] = ()
    cell: int = 0
    cells: int = 0
    heading: str = ""

    @property
    def stage(self) -> str:
        """The stage it is at."""
        return self.stages[-1][1] if self.stages else ""


class Full(UsageError):  # noqa: N818 - it is nobody's error
    """No trial may begin just now. `mine` is the one that whoever asks has under way."""

    def __init__(self, what: str, remedy: str, mine: str = "") -> None:
        super().__init__(what, remedy)
        self.mine = mine


# Looking.


def folder_of(project: Project) -> Path:
    """Where trials lie."""
    return doorplate.folder_of(project) / "trials"


def find(project: Project, name: str) -> Trial | None:
    """One trial by its id."""
    return _read(folder_of(project) / name) if _ID.fullmatch(name) else None


def newest(project: Project, most: int = KEPT) -> tuple[Trial, ...]:
    """Trials, newest first."""
    names = sorted((path.name for path in folder_of(project).glob("*T*-*") if _ID.fullmatch(path.name)), reverse=True)
    found = (_read(folder_of(project) / name) for name in names[:most])
    return tuple(trial for trial in found if trial is not None)


def progress(trial: Trial) -> Progress:
    """How far it has come."""
    stages: list[tuple[datetime, str]] = []
    cell: dict[str, Any] = {}
    for line in diary.read(trial.folder):
        if not line.get("cell") and (not stages or stages[-1][1] != line["stage"]):
            stages.append((datetime.fromisoformat(line["at"]), str(line["stage"])))
        cell = line if line.get("cell") or line["stage"] == "fetch" else cell
    return Progress(tuple(stages), cell.get("cell", 0), cell.get("cells", 0), str(cell.get("heading", "")))


def figures(trial: Trial) -> Mapping[str, Any]:
    """The figures and findings of one that came so far."""
    return _json(trial.made / "figures.json") if trial.made else {}


def _read(folder: Path) -> Trial | None:
    order = _json(folder / ORDER)
    if not order:
        return None
    told = _json(folder / PROCESS)
    process = Process(**told) if told else None
    gone = process is not None and process.gone  # asked first: its outcome is there by then, or never
    outcome = _json(folder / OUTCOME) or (_GONE if gone else {})
    by = str(_json(folder / CANCELLED).get("who", ""))
    return Trial(folder.name, folder, Wish(**order["wish"]), datetime.fromisoformat(order["now"]), process, by, outcome)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# Doing.


def start(project: Project, wish: Wish, now: datetime, environment: Mapping[str, str]) -> Trial:
    """Begin a trial; it goes on by itself. Raises Full where no more may run at once."""
    with doorplate.alone(folder_of(project) / ".lock"):
        _tidy(project)
        _refuse(project, wish.who)
        folder = folder_of(project) / f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        folder.mkdir(parents=True)
        order = {"wish": vars(wish), "now": now.isoformat(), "project": str(project.folder.resolve())}
        doorplate.write(folder / ORDER, order)
        process = _child(folder, environment)
        doorplate.write(folder / PROCESS, Process.of(process.pid).as_dict())
    threading.Thread(target=_see_off, args=(process,), name=folder.name, daemon=True).start()
    trial = find(project, folder.name)
    assert trial is not None  # noqa: S101 - written just now
    return trial


def _see_off(process: subprocess.Popen[bytes]) -> None:
    """Hold the line to a trial, whose end would be its end, until it has ended."""
    process.wait()
    if process.stdin:
        process.stdin.close()


def cancel(trial: Trial, who: str, now: datetime) -> None:
    """Ask a trial to end; it does within seconds. Raises UsageError where it has ended by itself."""
    if trial.is_over:
        raise UsageError("This trial run has ended already.", "There is nothing to cancel.")
    doorplate.write(trial.folder / CANCELLED, {"who": who, "at": now.isoformat()})


def _refuse(project: Project, who: str) -> None:
    under_way = [trial for trial in newest(project) if not trial.is_over]
    mine = next((trial for trial in under_way if trial.wish.who == who), None)
    if mine:
        what = f"You have a trial run of {mine.wish.pipeline} under way already."
        raise Full(what, "Each person has one at a time: wait for it, or cancel it.", mine.id)
    most = min(AT_ONCE, project.settings.seats)
    if len(under_way) >= most:
        names = " and ".join(sorted({project.name_of(trial.wish.who) for trial in under_way}))
        many = f"{len(under_way)} trial runs are" if len(under_way) > 1 else "A trial run is"
        raise Full(f"{many} under way, of {names}; no more run at once.", "Try again when one of them has ended.")


def _tidy(project: Project) -> None:
    """Drop the oldest, and what never began: nobody else is just beginning one."""
    found = newest(project, 10 * KEPT)
    dead = [trial for trial in found if trial.process is None and not trial.is_over]
    for trial in (*dead, *(old for old in found[KEPT - 1 :] if old.is_over)):
        shutil.rmtree(trial.folder, ignore_errors=True)


def _child(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "trial.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "runner.web.trial_run", str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**environment, "PYTHONPATH": search_path()},
            start_new_session=True,
        )
