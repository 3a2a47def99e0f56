"""The state of the warehouse that one report is made of: later landings of others do not change it under the report.

A pin is a folder beside the warehouse with links to the file, its stamp and its daybook. It goes with the report.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.notebook import daybook, warehouse


@contextmanager
def pinned(project: Path, place: Path, run: str) -> Iterator[Path]:
    """The path of a warehouse file that stays as it is now as long as this lasts.

    Raises ReportStopped as `warehouse.prepare` does.
    """
    path = warehouse.prepare(project, place)
    _clear(path)
    folder = _folder(path) / f"{run}.{os.getpid()}"
    (folder / daybook.FOLDER).mkdir(parents=True)
    try:
        with warehouse.alone(path.with_suffix(".lock")):
            for file in (path, path.with_suffix(".sha256")):
                _link(file, folder / file.name)
        kept = daybook.place(folder / path.name)
        with suppress(OSError):  # it saves time, and no more
            _link(path.parent / daybook.FOLDER / kept.name, kept)
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(path: Path) -> Path:
    return path.with_suffix(".pins")


def _link(file: Path, name: Path) -> None:
    """The same file under another name; where the file system knows no links, a copy with the same time."""
    try:
        name.hardlink_to(file)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(file, name)


def _clear(path: Path) -> None:
    """Remove the pins of processes that were killed."""
    for left in _folder(path).glob("*"):
        number = left.suffix[1:]
        if number.isdigit() and not warehouse.is_alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)
