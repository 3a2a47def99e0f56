"""Item 3: many experiment reports on all cores, against papermill in a process pool; and what a kernel more weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import peer, place
from tests.bench.machine import cores
from tests.bench.ratios import at_least, at_most, medians, slope
from tests.bench.running import Failed, Held, Worker, held, tell, watched, worker
from tests.bench.shapes import Item, Row, Size

#: Times the reports a minute, and MB for each further kernel.
FASTER, HEAVIER = 10.0, 40.0
OURS, NOTEBOOKS, WHOLE = "ours", "papermill pool, notebooks alone", "papermill pool, to HTML and PDF"
_LIMIT = 900.0
_MADE = {"ready", "held"}

Wishes = list[dict[str, str]]


@dataclass(frozen=True)
class _Sizes:
    """How many reports each contender makes, in how many turns, and the concurrencies whose memory is looked at."""

    ours: int
    notebooks: int
    whole: int
    turns: int
    levels: tuple[int, ...]


def _sizes(size: Size) -> _Sizes:
    return _Sizes(2, 1, 1, 1, (1, 2)) if size.small else _Sizes(200, 24, 16, 2, (1, 2, 4, 8))


def measure(size: Size) -> Item:
    """Reports a minute of each contender, and MB for each further concurrent kernel."""
    sizes = _sizes(size)
    ours, theirs = place.copy(size, "many", warm=True), place.copy(size, "pool", warm=False)
    with ExitStack() as stack:
        serving, pool = (stack.enter_context(worker(folder, place.env(folder))) for folder in (ours, theirs))
        wishes = serving.ask("experiments", project=str(ours), count=sizes.ours)
        makers = _makers(serving, pool, (ours, theirs), size.folder / "pooled")
        if not size.small:
            tell("fan-out: one of each before the timing")
            for make in makers.values():
                make(wishes[:1], cores())
        speed = _speed(makers, wishes, sizes)
        memory = _memory(makers, {OURS: serving.pid, NOTEBOOKS: pool.pid}, wishes, sizes)
    return _item(speed, memory, sizes, len(wishes))


# Contenders: each makes some reports, so many at once, and answers with the seconds it took.

#: How the command line of a warm parent, and so of its forks, is told.
WARM = "runner.warm.nursery"

Make = Callable[[Wishes, int], float]


def _makers(serving: Worker, pool: Worker, folders: tuple[Path, Path], out: Path) -> dict[str, Make]:
    ours, theirs = map(str, folders)
    turn = iter(range(1_000_000))

    def make(wishes: Wishes, at_once: int) -> float:
        return whole(serving.ask("many", _LIMIT, project=ours, wishes=wishes, at_once=at_once))

    def pooled(*, finish: bool) -> Make:
        def run(wishes: Wishes, at_once: int) -> float:
            words = {"project": theirs, "wishes": wishes, "at_once": at_once, "finish": finish}
            try:
                return float(pool.ask("pool", _LIMIT, **words, out=f"{out}/{next(turn)}")["wall"])
            except Failed as failed:  # papermill's wait for a kernel is known to miss its answer now and then
                tell(f"fan-out: once more, the pool failed: {failed}")
                return float(pool.ask("pool", _LIMIT, **words, out=f"{out}/{next(turn)}")["wall"])

        return run

    return {OURS: make, NOTEBOOKS: pooled(finish=False), WHOLE: pooled(finish=True)}


def whole(told: Mapping[str, Any]) -> float:
    """The seconds, if every report was made. Raises Failed with the first that was not: it would have been quick."""
    bad = [made for made in told["made"] if made["status"] not in _MADE]
    if bad:
        raise Failed(
            f"{len(bad)} of {len(told['made'])} reports were not made: {bad[0]['status']}: {bad[0]['message']}"
        )
    return float(told["wall"])


def _speed(makers: Mapping[str, Make], wishes: Wishes, sizes: _Sizes) -> dict[str, list[float]]:
    """Reports a minute of each contender, turn by turn; each turn has its own part of the reports."""
    found: dict[str, list[float]] = {name: [] for name in makers}
    counts = {OURS: sizes.ours, NOTEBOOKS: sizes.notebooks, WHOLE: sizes.whole}
    for turn in range(sizes.turns):
        for name, make in makers.items():
            mine = wishes[turn :: sizes.turns]
            count = counts[name] // sizes.turns
            sample = mine[:: max(1, len(mine) // count)][:count]
            tell(f"fan-out: turn {turn + 1}/{sizes.turns}  {name}, {len(sample)} reports")
            found[name].append(60 * len(sample) / make(sample, cores()))
    return found


def _memory(
    makers: Mapping[str, Make], pids: Mapping[str, int], wishes: Wishes, sizes: _Sizes
) -> dict[str, list[tuple[int, Held]]]:
    """The most that each contender held at each concurrency: its process, everything below it, and its warm parent."""
    found: dict[str, list[tuple[int, Held]]] = {name: [] for name in pids}
    for level in sizes.levels:
        for name, pid in pids.items():
            tell(f"fan-out: memory of {name}, {level} at once")
            count = level * (1 if name == NOTEBOOKS else sizes.turns)  # ours ends so soon that one wave may not overlap
            with watched(partial(held, pid, WARM if name == OURS else "")) as seen:
                makers[name](wishes[:count], level)
            found[name].append((level, max(seen, key=lambda moment: moment.total)))
    return found


def _item(
    speed: Mapping[str, Sequence[float]],
    memory: Mapping[str, Sequence[tuple[int, Held]]],
    sizes: _Sizes,
    made: int,
) -> Item:
    title = f"{made} experiment reports on {cores()} cores"
    notes = (
        (
            f"Ours makes {sizes.ours} whole reports: HTML, PDF, proof and ledger. The pool (one worker a core) makes a "
            f"sample of them, {sizes.notebooks} as notebooks alone and {sizes.whole} to HTML and PDF as readers get "
            "them; its rate is scaled from that."
        ),
        (
            "Memory: the largest PSS of the process that serves (or holds the pool), of all below it, and of the "
            f"warm parent and all its forks, at {', '.join(map(str, sizes.levels))} at once, while reports are worked "
            "out; the slope is what one more report adds: its kernel, papermill's process, its guard and its press."
        ),
        peer.note(),
    )
    totals = {name: [(level, moment.total) for level, moment in points] for name, points in memory.items()}
    processes = {name: {level: moment.each for level, moment in points} for name, points in memory.items()}
    details = {"reports_a_minute": dict(speed), "pss_mb": totals, "processes": processes}
    return Item("fanout", title, tuple(rows(speed, totals)), notes, details)


def rows(speed: Mapping[str, Sequence[float]], memory: Mapping[str, Sequence[tuple[int, float]]]) -> list[Row]:
    """Rates with their ratios, slopes of memory, and the memory at each concurrency."""
    rate = medians(speed)
    unit = "MB"
    return [
        at_least("ours ÷ the pool, notebooks alone", rate[OURS] / rate[NOTEBOOKS], "times", FASTER),
        at_least("ours ÷ the pool, to HTML and PDF", rate[OURS] / rate[WHOLE], "times", FASTER),
        *(Row(f"{name}: reports a minute", value, "a minute") for name, value in rate.items()),
        at_most("ours: PSS of each further report with its kernel", slope(memory[OURS]), unit, HEAVIER),
        Row("papermill: PSS of each further report with its kernel", slope(memory[NOTEBOOKS]), unit),
        *(
            Row(f"{name.partition(',')[0]}: PSS, {level} at once", value, unit)
            for name, points in memory.items()
            for level, value in points
        ),
    ]
