"""Item 2: the limit. The same cells as plain Python in one warm process, plus the two render calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.one import PEER, PLAIN, WARM, samples
from tests.bench.place import name_of
from tests.bench.ratios import at_most
from tests.bench.shapes import Item, Row, Size

#: Ours may spend at most this part of what the peer chain spends beside the cells.
SHARE = 1 / 20


@dataclass(frozen=True)
class Overhead:
    """Seconds above the limit: the least that a report can take, ours above it, the peer above its own cells."""

    limit: float
    ours: float
    peer: float


def overhead(found: Mapping[str, Sequence[Mapping[str, float]]]) -> Overhead:
    """The overheads of one report: the median over its rounds, each with the limit of the same round."""
    turns = list(zip(found[PEER], found[WARM], found[PLAIN], strict=True))
    return Overhead(
        median(plain["wall"] for _, _, plain in turns),
        median(warm["wall"] - plain["wall"] for _, warm, plain in turns),
        median(peer["wall"] - plain["cells"] for peer, _, plain in turns),
    )


def measure(size: Size) -> Item:
    """What is spent above the limit, ours beside the peer's."""
    found = {report: overhead(each) for report, each in samples(size).items()}
    details = {report: vars(each) for report, each in found.items()}
    notes = (
        (
            "The limit: the notebook's cells as plain Python in one warm process, from the second pass on, plus "
            "render.html and render.pdf. Ours is over it by what is left of a warm report; the peer chain by what it "
            "spends beside its cells as plain Python."
        ),
    )
    return Item("limit", "Overhead above the limit", tuple(rows(found)), notes, details)


def rows(found: Mapping[str, Overhead]) -> Iterator[Row]:
    """The sum over the reports against its target, then each report."""
    ours, peer = (sum(getattr(each, name) for each in found.values()) for name in ("ours", "peer"))
    yield at_most("all reports: our overhead ÷ the peer's", ours / peer, "", SHARE)
    for report, each in found.items():
        yield Row(f"{name_of(report)}: our overhead ÷ the peer's", each.ours / each.peer, "")
        yield Row(f"{name_of(report)}: the limit", each.limit, "s")
        yield Row(f"{name_of(report)}: our overhead", each.ours, "s")
        yield Row(f"{name_of(report)}: the peer's overhead", each.peer, "s")
