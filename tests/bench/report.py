"""Item 1: one report, from its trigger to HTML and PDF on disk, every way it can be made."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import peer, place
from tests.bench.one import COLD, PARTS, PEER, SHELL, WARM, Taken, samples
from tests.bench.place import FIVE, TRIVIAL, name_of
from tests.bench.ratios import at_least, medians, middle, ratio
from tests.bench.shapes import Item, Row, Size

TARGETS = {TRIVIAL: 15.0, **dict.fromkeys(FIVE, 5.0)}
_CONTENDERS = (PEER, COLD, SHELL, WARM)


def measure(size: Size) -> Item:
    """Seconds of each contender for each report, and how many times faster ours is when warm."""
    taken = samples(size)
    rows = tuple(row for report in taken for row in _rows(report, taken))
    return Item("report", "One report, from its trigger to HTML and PDF on disk", rows, _notes(), _details(taken))


def _rows(report: str, taken: Taken) -> Iterator[Row]:
    walls = {name: [sample["wall"] for sample in taken[report][name]] for name in _CONTENDERS}
    faster = ratio(walls[PEER], walls[WARM])
    yield at_least(f"{name_of(report)}: peer ÷ ours warm", faster, "times", TARGETS[report])
    for name, value in medians(walls).items():
        yield Row(f"{name_of(report)}: {name}", value, "s")


def _notes() -> tuple[str, ...]:
    notes = [
        (
            "The peer chain is papermill, jupyter nbconvert --to html, then the PDF, with the ordinary kernel, each a "
            "command of its own. Kernel: everything of the execution but the cells."
        ),
        peer.note(),
    ]
    if not place.knows_warm_kernels():
        notes.append("This runner has no warm kernels: warm means a serving process alone, and every kernel is cold.")
    return tuple(notes)


def _details(taken: Taken) -> dict[str, object]:
    """Medians of the parts, and every sample."""
    shown = ("wall", *PARTS)
    median = {
        report: {
            name: middle([{part: sample[part] for part in shown} for sample in found[name]]) for name in _CONTENDERS
        }
        for report, found in taken.items()
    }
    return {"medians": median, "samples": taken}
