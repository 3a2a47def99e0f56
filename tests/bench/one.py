"""One report made every way, in turns: the samples behind items 1 and 2, taken once a run of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench import peer, place
from tests.bench.place import AS_OF, FIVE, TRIVIAL
from tests.bench.ratios import interleaved
from tests.bench.running import Failed, Worker, tell, timed, tool, worker
from tests.bench.shapes import Size

PEER, COLD, SHELL, WARM, PLAIN = "peer", "ours cold", "ours from a shell", "ours warm", "plain"
PARTS = ("kernel", "cells", "render", "proof", "rest")
#: A report held for a person is as whole as one that is ready; `runner run` says so with its exit code.
_MADE, _CODES = {"ready", "held"}, (0, 3)

#: report -> contender -> one sample a round, each with `wall` and its parts in seconds.
Taken = dict[str, dict[str, list[dict[str, float]]]]


def reports(size: Size) -> tuple[str, ...]:
    """The reports that are measured."""
    return (TRIVIAL,) if size.small else (TRIVIAL, *FIVE)


def samples(size: Size) -> Taken:
    """Every sample. Items 1 and 2 read the same ones: what is compared must come from the same minutes.

    Raises Failed, the second time at once.
    """
    kept = size.folder / "one_report.json"
    if not kept.exists():
        kept.write_text(json.dumps(_tried(size)), "utf-8")
    read = json.loads(kept.read_text("utf-8"))
    if "failed" in read:
        raise Failed(read["failed"])
    taken: Taken = read["taken"]
    return taken


def _tried(size: Size) -> dict[str, Any]:
    try:
        return {"taken": _take(size)}
    except Failed as error:
        return {"failed": str(error)}


@dataclass(frozen=True)
class _Scene:
    """The copies of the project and the processes that live on between rounds."""

    size: Size
    peers: Path
    cold: Path
    shell: Path
    serving: Worker
    plain: Worker

    def peer(self, report: str) -> dict[str, float]:
        """papermill, nbconvert, the browser."""
        return of_peer(peer.chain(self.peers, report, self.size.folder / "peer"))

    def command(self, folder: Path, report: str) -> dict[str, float]:
        """`runner run` from a shell."""
        before = set(_runs(folder, report))
        words = ("run", report, "--as-of", AS_OF, "--again", "--no-deliver")
        wall = timed([*tool("runner"), "--project", str(folder), *words], folder, place.env(folder), fine=_CODES)
        made = sorted(set(_runs(folder, report)) - before)
        if not made or not (made[-1] / f"{report}.pdf").exists():
            raise Failed(f"runner run {report} left no PDF.")
        return of_run(made[-1], report, wall)

    def warm(self, report: str) -> dict[str, float]:
        """The trigger inside a process that serves."""
        told = self.serving.ask("make", project=str(self.serving_folder), pipeline=report, as_of=AS_OF)
        if told["status"] not in _MADE:
            raise Failed(f"{report}: {told['status']}: {told['message']}")
        return of_run(Path(told["folder"]), report, told["wall"])

    @property
    def serving_folder(self) -> Path:
        """The project of the serving process; a shell's runs lie in another, so neither waits for the other."""
        return self.size.folder / "serving"

    def limit(self, report: str) -> dict[str, float]:
        """The cells as plain Python, and the two render calls."""
        notebook = self.serving_folder / "notebooks" / f"{report}.ipynb"
        cells = self.plain.ask("cells", notebook=str(notebook), parameters={"as_of": AS_OF})
        executed = max(_runs(self.serving_folder, report)) / f"{report}.ipynb"
        render = self.plain.ask("renders", project=str(self.serving_folder), executed=str(executed))
        return {"wall": cells + render, "cells": cells, "render": render}


def _runs(folder: Path, report: str) -> Iterable[Path]:
    """Folders of finished runs; their names begin with the instant, so the last one is the newest."""
    return (found.parent for found in (folder / "reports" / report).glob("*/*/manifest.json"))


def _take(size: Size) -> Taken:
    tell("one report: set-up")
    folders = {name: place.copy(size, name, warm=name != "cold") for name in ("peer", "cold", "shell", "serving")}
    with ExitStack() as stack:
        serving, plain = (
            stack.enter_context(worker(folders["serving"], {**place.env(folders["serving"]), **more}))
            for more in ({}, {"RUNNER_PROJECT": str(folders["serving"])})
        )
        scene = _Scene(size, folders["peer"], folders["cold"], folders["shell"], serving, plain)
        return {report: _take_one(scene, report) for report in reports(size)}


def _take_one(scene: _Scene, report: str) -> dict[str, list[dict[str, float]]]:
    contenders = {
        PEER: lambda: scene.peer(report),
        COLD: lambda: scene.command(scene.cold, report),
        SHELL: lambda: scene.command(scene.shell, report),
        WARM: lambda: scene.warm(report),
        PLAIN: lambda: scene.limit(report),
    }
    # What is warm is timed from its second time on; the others find the machine's caches filled by the first report.
    tell(f"{report}: once before the timing")
    for name, contender in contenders.items():
        if name in (WARM, PLAIN) or (not scene.size.small and (name == SHELL or report == TRIVIAL)):
            contender()
    return interleaved(contenders, scene.size.rounds, lambda turn: tell(f"{report}: {turn}"))


# From what was left to parts; pure but for reading.


def of_peer(spent: Mapping[str, float]) -> dict[str, float]:
    """The parts of the peer chain out of the seconds of its commands."""
    wall = spent["papermill"] + spent["html"] + spent["pdf"]
    parts = {"kernel": spent["papermill"] - spent["cells"], "cells": spent["cells"]}
    parts |= {"render": spent["html"] + spent["pdf"], "proof": 0.0, "rest": 0.0}
    return {"wall": wall, **parts, "html": spent["html"], "pdf": spent["pdf"]}


def of_run(folder: Path, report: str, wall: float) -> dict[str, float]:
    """The parts of one of our runs, out of its diary and the executed notebook."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    notebook = json.loads((folder / f"{report}.ipynb").read_text("utf-8"))
    return parts(events, notebook, wall)


def parts(events: Sequence[Mapping[str, Any]], notebook: Mapping[str, Any], wall: float) -> dict[str, float]:
    """Seconds of kernel, cells, render, proof and the rest; together they are the wall time."""
    spans = stages(events)
    cells = span_of_cells(notebook)
    known = {
        "kernel": max(0.0, spans.get("execute", 0.0) - cells),
        "cells": cells,
        "render": spans.get("render", 0.0),
        "proof": spans.get("prove", 0.0),
    }
    return {"wall": wall, **known, "rest": wall - sum(known.values())}


def stages(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of each stage: from its line in the diary to the next stage's, or to the run's end."""
    marks = [event for event in events if event["event"] in {"stage begins", "run ends"}]
    return {str(now["stage"]): _at(after["at"]) - _at(now["at"]) for now, after in pairwise(marks) if "stage" in now}


def span_of_cells(notebook: Mapping[str, Any]) -> float:
    """Seconds from the first cell's start to the last cell's end, as noted in the notebook."""
    noted = [cell["metadata"].get("papermill", {}) for cell in notebook["cells"]]
    starts = [_at(note["start_time"]) for note in noted if note.get("start_time")]
    ends = [_at(note["end_time"]) for note in noted if note.get("end_time")]
    return max(ends) - min(starts) if starts and ends else 0.0


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
