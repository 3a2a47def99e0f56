"""Item 5: unit profit and aggregate profit on more and more data, against one hand-written statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import place
from tests.bench.ratios import at_most, differences, interleaved, ratio
from tests.bench.running import Failed, tell, worker
from tests.bench.shapes import Item, Row, Size

#: What each question may take of memory; whatever needs more goes to disk.
MEMORY_MB = 2000
#: Times the hand-written statement, and by how much growth may be worse than that of the data.
BY_HAND, LINEAR = 1.2, 1.1
#: So often is the question asked in one process, each time on a new connection: what is short needs more.
_TIMES = {1: 5, 2: 1, 10: 3, 70: 1}
_LIMIT = 900.0
#: Ours as reports ask, with the daybook of the file; ours from the lines, without it; the hand-written statement.
OURS, LINES, HAND = "ours", "ours from the lines", "by hand"
WHICH = ("unit profit", "aggregate profit")

#: question -> size -> who -> one answer a round: `seconds` (several), `peak_mb`.
Taken = dict[str, dict[int, dict[str, list[dict[str, Any]]]]]


def measure(size: Size) -> Item:
    """Time and memory at each size, and how both grow."""
    copies = (1, 2) if size.small else (1, 10, 70)
    base = place.base(size) / ".cache" / "warehouse.duckdb"
    taken: Taken = {which: {} for which in WHICH}
    builds: dict[int, dict[str, float]] = {}
    for count in copies:
        file = size.folder / f"data-{count}.duckdb"
        tell(f"data: building {count}×")
        builds[count] = _build(base, file, count, size)
        for which in WHICH:
            taken[which][count] = _asked(which, count, file, size)
        for left in size.folder.glob("**/data-*"):
            left.unlink()
    return _item(taken, builds)


def _build(base: Path, file: Path, count: int, size: Size) -> dict[str, float]:
    """A file with so many copies, its daybook, and its twin without one; the lines, and what the daybook took."""
    with worker(size.folder, {}) as builder:
        part = 16 if size.small else 1
        lines = builder.ask("enlarge", _LIMIT, base=str(base), file=str(file), copies=count, part=part)
    (size.folder / "alone").mkdir(exist_ok=True)
    (size.folder / "alone" / file.name).hardlink_to(file)
    with worker(size.folder, {}) as keeper:
        kept: dict[str, float] = keeper.ask("keep", _LIMIT, file=str(file), project=str(place.base(size)))
    return {"lines": lines, **kept}


def _asked(which: str, count: int, file: Path, size: Size) -> dict[str, list[dict[str, Any]]]:
    """All, in turns, each in a process of its own; Failed when their numbers differ."""

    def ask(who: str) -> dict[str, Any]:
        place_of = file.parent / "alone" / file.name if who == LINES else file
        words = {"which": which, "who": who, "file": str(place_of), "config": str(place.base(size) / "config")}
        with worker(size.folder, place.env(size.folder)) as asked:
            told: dict[str, Any] = asked.ask("question", _LIMIT, **words, times=_TIMES[count])
            return told

    contenders = {who: partial(ask, who) for who in (OURS, LINES, HAND)}
    found = interleaved(contenders, size.rounds, lambda turn: tell(f"data: {which}, {count}×: {turn}"))
    for who in (OURS, LINES):
        apart = differences(found[who][-1]["answer"], found[HAND][-1]["answer"])
        if apart:
            raise Failed(f"{which} on {count}×: {who} and the hand-written statement differ: {'; '.join(apart[:3])}")
    for answers in found.values():
        for answer in answers:
            answer["numbers"] = sum(map(len, answer.pop("answer").values()))
    return found


def _item(taken: Taken, builds: Mapping[int, Mapping[str, float]]) -> Item:
    sizes = ", ".join(f"{count}×: {each['lines']:,} till lines" for count, each in builds.items())
    notes = (
        f"{sizes}. Households and baskets of each copy have numbers of their own. All answer the same, to the cent.",
        (
            f"Each measurement is a process of its own with DuckDB's limit at {MEMORY_MB:,} MB; peak is the most that "
            "the whole process held, Python and libraries with it. Ours asks as reports do, with the daybook of the "
            "file, and once more from the lines alone; the hand-written statement knows the lines alone."
        ),
    )
    made = (*rows(taken), *_daybooks(builds))
    return Item("data", "The same question on more data", made, notes, {"builds": builds, "samples": taken})


def _daybooks(builds: Mapping[int, Mapping[str, float]]) -> list[Row]:
    count, last = list(builds.items())[-1]
    return [
        Row(f"the daybook of {count}×, made once", last["seconds"], "s"),
        at_most(f"the daybook of {count}×: peak memory", last["peak_mb"], "MB", MEMORY_MB),
    ]


def rows(taken: Taken) -> list[Row]:
    """For each question: ours against the hand-written at each size, growth from size to size, and peaks."""
    return [row for which in taken for row in (*_times(which, taken[which]), *_growth(which, taken[which]))]


def _seconds(found: Sequence[Mapping[str, Any]]) -> list[float]:
    return [median(one["seconds"]) for one in found]


def _times(which: str, sizes: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[Row]:
    made = []
    for count, found in sizes.items():
        seconds = {who: _seconds(each) for who, each in found.items()}
        for who in (OURS, LINES):
            times = ratio(seconds[who], seconds[HAND])
            made.append(at_most(f"{which}, {count}×: {who} ÷ by hand", times, "times", BY_HAND))
        made += [Row(f"{which}, {count}×: {who}", median(each), "s") for who, each in seconds.items()]
        for who in (OURS, LINES):
            peak = max(one["peak_mb"] for one in found[who])
            made.append(at_most(f"{which}, {count}×: peak memory, {who}", peak, "MB", MEMORY_MB))
    return made


def _growth(which: str, sizes: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[Row]:
    """From the last size but one to the last: on small data much is fixed cost."""
    small, big = list(sizes)[-2:]
    most = round(big / small * LINEAR, 2)

    def grown(who: str) -> float:
        return median(_seconds(sizes[big][who])) / median(_seconds(sizes[small][who]))

    goals = [
        at_most(f"{which}: {who}, time of {big}× ÷ of {small}×", grown(who), "times", most) for who in (OURS, LINES)
    ]
    return [*goals, Row(f"{which}: {HAND}, time of {big}× ÷ of {small}×", grown(HAND), "times")]


# In the worker.


def enlarge(*, base: str, file: str, copies: int, part: int) -> int:
    """Build a warehouse file with so many copies of every household; the number of its till lines.

    `part` 16 takes every sixteenth household alone. Days stay in order, as in a warehouse that grew by the day.
    """
    import duckdb  # noqa: PLC0415 - the benchmark itself stays light

    with suppress(FileNotFoundError):
        Path(file).unlink()
    limits = {"memory_limit": f"{MEMORY_MB}MB", "threads": 2, "temp_directory": f"{file}.tmp"}
    with duckdb.connect(file, config=limits) as connection:
        connection.execute(f"ATTACH '{base}' AS base (READ_ONLY)")
        for (table,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'base' ORDER BY table_name"
        ).fetchall():
            connection.execute(_copy(table, copies, part))
        return int((connection.execute("SELECT count(*) FROM transactions").fetchone() or (0,))[0])


def _copy(table: str, copies: int, part: int) -> str:
    """The statement that fills one table: once as it is, or once a copy with numbers of its own."""
    own = {
        "transactions": "household_id + copy * 10000 AS household_id, basket_id + copy * 100000000000 AS basket_id",
        "assignments": "household_id + copy * 10000 AS household_id",
        "redemptions": "household_id + copy * 10000 AS household_id",
    }.get(table)
    if own is None:
        return f"CREATE TABLE {table} AS SELECT * FROM base.{table}"
    order = "ORDER BY day" if table != "assignments" else ""
    return f"""CREATE TABLE {table} AS SELECT * EXCLUDE (copy) REPLACE ({own})
               FROM base.{table}, range({copies}) AS copies(copy) WHERE household_id % {part} = 0 {order}"""
