"""Two trial runs for the sample shop, laid down as a desk would have left them: one that is made, one under way."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.ledger import Process

MADE, RUNNING = "20171114T150000-0a1b2c", "20171114T153930-0a1b2d"
_CELLS = ("Good", "Good", "Good", "Good", "End")


def lay(folder: Path) -> None:
    """Lay them down; what the first one made are the files of the shop's own newest run of sales."""
    made = max((folder / "reports/sales").glob("*/*"), key=lambda run: run.name)
    place = made.relative_to(folder)
    texts = {"amount": "12.5", "shop": "00123", "loud": "false"}
    began = datetime(2017, 11, 14, 15, tzinfo=UTC)
    first = _trial(folder, MADE, "eve", began, texts)
    shutil.copytree(made, first / "project" / place)
    _events(first, began, ("copy", "execute", "read", "compare", "gate", "render", "prove"))
    _put(first / "outcome.json", {"status": "ready", "message": "", "remedy": "", "folder": place.as_posix()})
    under_way(folder, RUNNING, "dan")


def under_way(folder: Path, name: str, who: str) -> None:
    """One more that is at its third cell, for as long as this process lives."""
    at = datetime(2017, 11, 14, 15, 39, 30, tzinfo=UTC)
    place = _trial(folder, name, who, at, {"amount": "12.5", "shop": "00123", "loud": "false"})
    alive(folder, name)
    _events(place, at + timedelta(seconds=1), ("copy", "execute"), cells=3)


def alive(folder: Path, name: str) -> None:
    """Let this process be the one that runs it."""
    _put(folder / "reports/.desk/trials" / name / "process.json", Process.this().as_dict())


def _trial(folder: Path, name: str, who: str, at: datetime, texts: dict[str, str]) -> Path:
    place = folder / "reports/.desk/trials" / name
    place.mkdir(parents=True)
    wish = {"who": who, "pipeline": "sales", "as_of": "2017-11-13", "experiment": None, "texts": texts}
    _put(place / "trial.json", {"wish": wish, "now": at.isoformat(), "project": str(folder)})
    return place


def _events(place: Path, at: datetime, stages: tuple[str, ...], cells: int = 0) -> None:
    lines = [{"stage": stage, "cell": 0} for stage in stages]
    lines += [
        {"stage": "execute", "cell": number + 1, "cells": len(_CELLS), "heading": _CELLS[number]}
        for number in range(cells)
    ]
    said = ({"at": (at + timedelta(seconds=second)).isoformat(), **line} for second, line in enumerate(lines))
    (place / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in said))


def _put(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))
