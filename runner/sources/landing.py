"""Rows that were fetched become part of the warehouse: by day, all or nothing, and never under a reader.

The database lets nobody write a file that others read. So the new state is made in a copy beside the file: the days
that changed are deleted and inserted in one transaction, the copy is brought to the disk and renamed into place, and
whoever reads the old file goes on reading it. Killed anywhere, the old state stays, and the next landing clears up. The
very same rows again change nothing: the file is not touched.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.notebook import daybook, loads, warehouse
from runner.notebook.loads import Load
from runner.sources.completeness import Counts, Verdict
from runner.sources.conforming import described

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FICLONE = 0x40049409  # ask a file system that can for a copy that shares its blocks
_WHOLE = Verdict(whole=True)


@dataclass(frozen=True)
class Parcel:
    """Rows of one table from one source, in the types of its contract.

    `by` is the column with a row's day and `days` are those that the rows replace, also the days without any; a table
    that is read whole has neither. `verdicts` says which days are whole (all that it does not name are). `instead` says
    who should have served it, and why it did not.
    """

    table: str
    rows: pa.Table
    source: str
    title: str
    by: str | None = None
    days: tuple[date, ...] = ()
    verdicts: Mapping[date, Verdict] = field(default_factory=dict)
    instead: str = ""


def land(project: Path, place: Path, parcels: Sequence[Parcel], at: datetime) -> tuple[Load, ...]:
    """Put rows into the warehouse file of a project; the loads that changed something, none where nothing did.

    Raises ReportStopped as `warehouse.prepare` does, and when another process holds the file for too long.
    """
    path = project / place
    path.parent.mkdir(parents=True, exist_ok=True)
    with warehouse.alone(path.with_suffix(".lock")):
        wanted = warehouse.rebuild(project, path)
        known = {(load.table, load.day): load for load in warehouse.landed(path)}
        fresh = [(parcel, _changed(parcel, known, at)) for parcel in parcels]
        changed = tuple(load for _, some in fresh for load in some)
        if changed:
            _replace(path, wanted, fresh)
    return changed


def _changed(parcel: Parcel, known: Mapping[tuple[str, date | None], Load], at: datetime) -> tuple[Load, ...]:
    """The loads of a parcel whose data are not those that are there."""
    was = {load: known.get((load.table, load.day)) for load in _loads(parcel, at)}
    return tuple(load for load, old in was.items() if old is None or (old.by, old.data) != (load.by, load.data))


def _loads(parcel: Parcel, at: datetime) -> Iterator[Load]:
    hashes = _hashes(parcel)
    days: tuple[date | None, ...] = parcel.days if parcel.by else (None,)
    for day in days:
        rows, sha256 = hashes.get(day, (0, ""))
        verdict = _WHOLE if day is None else parcel.verdicts.get(day, _WHOLE)
        who = (parcel.by, parcel.source, parcel.title, rows, sha256, at, verdict.whole, verdict.note, parcel.instead)
        yield Load(parcel.table, day, *who)


def _hashes(parcel: Parcel) -> dict[date | None, tuple[int, str]]:
    """For each day its rows and one hash over them, in whatever order they came."""
    columns = sorted(parcel.rows.column_names)

    def text(name: str) -> str:
        return f'CAST("{name}" AS VARCHAR)'

    # the length before each text: nothing in it can be taken for the end of a column
    row = " || ".join(f"""coalesce(length({text(name)}) || ':' || {text(name)}, '-')""" for name in columns)
    day = f'"{parcel.by}"' if parcel.by else "NULL"
    with _memory() as connection:
        connection.register("rows", parcel.rows)
        found = connection.execute(f"""
            SELECT day, count(*), sha256(string_agg(hash, '' ORDER BY hash))
            FROM (SELECT {day} AS day, sha256({row}) AS hash FROM rows) GROUP BY day""").fetchall()
    return {day: (rows, sha256) for day, rows, sha256 in found}


def _replace(path: Path, wanted: str, fresh: Sequence[tuple[Parcel, tuple[Load, ...]]]) -> None:
    """Make the new state in a copy, and let it take the file's place."""
    import duckdb  # noqa: PLC0415

    half = warehouse.begun(path)
    try:
        _copy(path, half)
        with duckdb.connect(str(half), config={"async_threads": 0}) as connection:
            connection.execute("BEGIN")
            for parcel, changed in fresh:
                if changed:
                    anew = loads.begins_anew(connection, parcel.table, parcel.by)
                    _put(connection, parcel, [load.day for load in changed], anew=anew)
                    loads.note(connection, changed)
            connection.execute("COMMIT")
            connection.execute("CHECKPOINT")
        warehouse.take_place(path, half, wanted)
    finally:
        half.unlink(missing_ok=True)


def _put(
    connection: duckdb.DuckDBPyConnection, parcel: Parcel, days: Sequence[date | None], *, anew: bool = False
) -> None:
    connection.register("rows", parcel.rows)
    table = f'"{parcel.table}"'
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS SELECT * FROM rows LIMIT 0")
    if anew:
        connection.execute(f"DELETE FROM {table}")
    _fit(connection, table)
    where = f'WHERE "{parcel.by}" IN (SELECT unnest(?::DATE[]))' if parcel.by else ""
    values = [list(days)] if parcel.by else []
    connection.execute(f"DELETE FROM {table} {where}", values)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM rows {where}", values)
    connection.unregister("rows")


def _fit(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Give a table the columns that its contract has now; of what was landed before, a new one is empty."""
    there, given = described(connection, table), described(connection, "rows")
    for name in [name for name in given if name not in there]:
        connection.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {given[name]}')
    for name in [name for name in there if name not in given]:
        connection.execute(f'ALTER TABLE {table} DROP COLUMN "{name}"')


def _copy(path: Path, half: Path) -> None:
    """A copy of a file; where the file system can, one that shares its blocks and takes no time."""
    with path.open("rb") as source, half.open("wb") as target:
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        except OSError:
            shutil.copyfileobj(source, target, 1 << 20)


@contextmanager
def _memory() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb  # noqa: PLC0415

    with duckdb.connect(config={"threads": 1, "async_threads": 0}) as connection:
        yield connection


# What is there already.


@dataclass(frozen=True)
class Stock:
    """What a warehouse file holds of one table: its types, its counts by day since a day, and its loads."""

    shape: Mapping[str, str]
    counts: tuple[Counts, ...]
    loads: tuple[Load, ...]

    @property
    def partial(self) -> frozenset[date]:
        """The days that are known as partial."""
        return frozenset(load.day for load in self.loads if load.day and not load.whole)


def stock(project: Path, place: Path, table: str, columns: tuple[str | None, str | None], since: date) -> Stock:
    """What is there of a table; `columns` are those of day and time. Builds the warehouse where there is none.

    What config had landed by another column of days, or whole, is as if it were not there: it is asked for again.
    """
    path = warehouse.build(project, place)
    with _memory() as connection:
        connection.execute(daybook.attached(path, "warehouse"))
        landed = [load for load in loads.of(connection, "warehouse") if load.table == table]
        mine = tuple(load for load in landed if load.by == columns[0])
        shape = described(connection, f'warehouse."{table}"')
        is_known = bool(shape) and len(mine) == len(landed)
        counts = _counts(connection, f'warehouse."{table}"', columns, since) if is_known else ()
    return Stock(shape, counts, mine)


def counted(rows: pa.Table, columns: tuple[str | None, str | None]) -> tuple[Counts, ...]:
    """The counts by day of rows that are not landed yet; `columns` are those of day and time."""
    with _memory() as connection:
        connection.register("rows", rows)
        return _counts(connection, "rows", columns, date.min)


def _counts(
    connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[str | None, str | None], since: date
) -> tuple[Counts, ...]:
    day, time = columns
    if day is None:
        return ()
    hour = f'hour("{time}")' if time else "0"
    found = connection.execute(
        f'SELECT "{day}", {hour}, count(*) FROM {table} WHERE "{day}" >= ? GROUP BY ALL ORDER BY ALL', [since]
    ).fetchall()
    days: dict[date, dict[int, int]] = {}
    for one, number, rows in found:
        days.setdefault(one, {})[number] = rows
    return tuple(Counts(one, sum(hours.values()), hours if time else {}) for one, hours in days.items())
