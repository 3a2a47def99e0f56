"""Item 6: how long a command takes to start, beside the peers' `--version`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.place import base, env
from tests.bench.ratios import Samples, at_most, interleaved, medians, ratio
from tests.bench.running import tell, timed, tool
from tests.bench.shapes import Item, Row, Size

PEERS = ("papermill --version", "jupyter nbconvert --version")
#: What is asked most often, and by a person who waits.
OURS = (
    "runner --version",
    "runner --help",
    "runner oncall",
    "runner due --from 2017-11-20",
    "runner status --now 2017-11-17T08:40",
)
#: A start is short, so that it is timed more often than a report.
OFTEN = 3


def measure(size: Size) -> Item:
    """Each command from its start to its end, in turns."""
    folder = base(size)
    commands = {text: partial(timed, _command(text, folder), folder, env(folder)) for text in (*PEERS, *OURS)}
    for command in () if size.small else commands.values():  # what the first call leaves behind, later ones find
        command()
    found = _times(commands, size.rounds if size.small else size.rounds * OFTEN)
    notes = ("Each is a process of its own, from its start to its end, after one call that is not counted.",)
    return Item("startup", "Start-up of commands", tuple(rows(found)), notes, {"seconds": found})


def _times(commands: dict[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    return interleaved(commands, count, tell)


def _command(text: str, folder: Path) -> list[str]:
    """The command in this environment; one of ours about this project."""
    name, *words = text.split()
    return [*tool(name), *(["--project", str(folder)] if name == "runner" else []), *words]


def rows(found: Samples) -> Iterator[Row]:
    """Ours against the faster peer's version, then each in seconds."""
    middle = medians(found)
    peer = min(PEERS, key=lambda name: middle[name])
    yield at_most("runner oncall ÷ papermill --version", ratio(found["runner oncall"], found[PEERS[0]]), "", 1.0)
    for text in OURS:
        yield Row(f"{_short(text)} ÷ {peer}", ratio(found[text], found[peer]), "")
    for text in (*OURS, *PEERS):
        yield Row(_short(text), middle[text], "s")


def _short(text: str) -> str:
    """A command without its times."""
    return text.partition(" --from")[0].partition(" --now")[0]
