"""Where the desk is: a small file that it hangs out while it is there, for whoever looks for it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from runner.config import Project
from runner.ledger.process import Process

#: What the desk keeps for itself lies here, below reports/.
FOLDER = ".desk"


@dataclass(frozen=True)
class Plate:
    """A desk at work: its process, the address that people type, that by which this machine reaches it.

    `shift` is how far its clock is from that of the machine, in seconds: in a rehearsal it is another time.
    """

    process: Process
    address: str
    local: str
    shift: float = 0.0
    tied: bool = False  # it lives and ends with a scheduler

    def at(self, now: datetime) -> datetime:
        """What its clock shows when that of the machine shows this."""
        return now + timedelta(seconds=self.shift)

    def hang(self, project: Project) -> None:
        """Write the file."""
        path = path_of(project)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, {**vars(self), "process": self.process.as_dict()})


def folder_of(project: Project) -> Path:
    """Where the desk keeps what is its own."""
    return project.reports / FOLDER


def path_of(project: Project) -> Path:
    """The file."""
    return folder_of(project) / "desk.json"


def plate_of(project: Project) -> Plate | None:
    """The desk that is at work for a project on this machine; None where there is none, or it has ended.

    Of another machine's (or of a container that is gone) nobody here can know whether it is at work, or end it.
    """
    try:
        told = json.loads(path_of(project).read_text(encoding="utf-8"))
        plate = Plate(**{**told, "process": Process(**told["process"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_here = plate.process.host == Process.this().host
    return plate if is_here and not plate.process.gone else None


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of the desk's own: the whole of it, or nothing."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While this lasts, nobody else is in the same: of those who come at once, one follows the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def take_down(project: Project) -> None:
    """Remove the file, if it is about the process that asks."""
    plate = plate_of(project)
    if plate is not None and plate.process == Process.this():
        path_of(project).unlink(missing_ok=True)
