"""What was landed in a warehouse file: its table `_loads`, one row a table and day, and what follows from it.

A table that is read whole has one row without a day. Rows of the demonstration package are in no load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

TABLE = "_loads"
#: `by` names the column with a row's day; `note` says why a day is partial, `instead` who should have served it.
CREATE = f"""
    CREATE TABLE IF NOT EXISTS {TABLE} (
        "table" VARCHAR NOT NULL, day DATE, "by" VARCHAR, source VARCHAR NOT NULL, title VARCHAR NOT NULL,
        rows BIGINT NOT NULL, sha256 VARCHAR NOT NULL, loaded_at TIMESTAMP NOT NULL, whole BOOLEAN NOT NULL,
        note VARCHAR NOT NULL, instead VARCHAR NOT NULL)"""
_COLUMNS = '"table", day, "by", source, title, rows, sha256, loaded_at, whole, note, instead'


@dataclass(frozen=True)
class Load:
    """The rows of one table and day: who served them, how many, their hash, and whether the day is whole."""

    table: str
    day: date | None
    by: str | None
    source: str
    title: str
    rows: int
    sha256: str
    loaded_at: datetime
    whole: bool = True
    note: str = ""
    instead: str = ""

    @property
    def data(self) -> tuple[str, date | None, int, str, bool]:
        """What of it tells of the data, and not of the way they came."""
        return self.table, self.day, self.rows, self.sha256, self.whole


def read(path: Path) -> tuple[Load, ...]:
    """Every load of a warehouse file, by table and day; none where there is no such table."""
    import duckdb  # noqa: PLC0415 - most warehouses have no loads

    quoted = str(path).replace("'", "''")
    with duckdb.connect(config={"threads": 1, "async_threads": 0}) as connection:
        connection.execute(f"ATTACH '{quoted}' AS warehouse (READ_ONLY)")
        return of(connection, "warehouse")


def of(connection: duckdb.DuckDBPyConnection, schema: str) -> tuple[Load, ...]:
    """Every load of an attached database, by table and day."""
    import duckdb  # noqa: PLC0415

    try:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM {schema}.{TABLE} ORDER BY ALL").fetchall()
    except duckdb.CatalogException:
        return ()
    found = (Load(**dict(zip(Load.__dataclass_fields__, row, strict=True))) for row in rows)
    return tuple(replace(load, loaded_at=load.loaded_at.replace(tzinfo=UTC)) for load in found)


def begins_anew(connection: duckdb.DuckDBPyConnection, table: str, by: str | None) -> bool:
    """Forget the loads of a table by another column of days than `by`, or whole; whether there were any."""
    connection.execute(CREATE)
    gone = f'DELETE FROM {TABLE} WHERE "table" = ? AND "by" IS DISTINCT FROM ? RETURNING 1'
    return bool(connection.execute(gone, [table, by]).fetchall())


def note(connection: duckdb.DuckDBPyConnection, found: Sequence[Load]) -> None:
    """Put loads into the database of a connection, in place of those of the same table and day."""
    connection.execute(CREATE)
    if not found:
        return
    gone = f"DELETE FROM {TABLE} WHERE {' OR '.join([_SAME] * len(found))}"
    connection.execute(gone, [key for load in found for key in (load.table, load.day)])
    rows = [tuple(vars(replace(load, loaded_at=_plain(load.loaded_at))).values()) for load in found]
    one = f"({', '.join('?' * len(rows[0]))})"
    connection.execute(
        f"INSERT INTO {TABLE} VALUES {', '.join([one] * len(rows))}", [cell for row in rows for cell in row]
    )


_SAME = '("table" = ? AND day IS NOT DISTINCT FROM ?)'


def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def digest(found: Iterable[Load], as_of: date | None = None) -> str:
    """SHA-256 over the data that a report of the day `as_of` can see, of all days without one: equal data, equal hash.

    Who served them and when makes no difference.
    """
    seen = [load for load in found if as_of is None or load.day is None or load.day <= as_of]
    lines = sorted(repr((table, str(day), rows, sha256, whole)) for table, day, rows, sha256, whole in map(_data, seen))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _data(load: Load) -> tuple[str, date | None, int, str, bool]:
    return load.data


def served_by(found: Iterable[Load], table: str, as_of: date) -> str:
    """Who served what a report of the day sees of a table: the newest day's first; empty where nothing was landed."""
    seen = [load for load in found if load.table == table and (load.day is None or load.day <= as_of)]
    newest_first = sorted(seen, key=lambda load: load.day or as_of, reverse=True)
    titles = list(dict.fromkeys(load.title for load in newest_first if load.rows))
    return ", before: ".join([titles[0], ", ".join(titles[1:])]) if len(titles) > 1 else "".join(titles)


def carry(connection: duckdb.DuckDBPyConnection, former: str) -> None:
    """Put what was landed in the database attached as `former` into the one of the connection, in place of its own."""
    found = of(connection, former)
    for table in dict.fromkeys(load.table for load in found):
        mine = [load for load in found if load.table == table]
        by, shape = mine[0].by, f'CREATE TABLE IF NOT EXISTS "{table}" AS SELECT * FROM {former}."{table}" LIMIT 0'
        days = f"""WHERE "{by}" IN (SELECT day FROM {former}.{TABLE} WHERE "table" = '{table}')""" if by else ""
        connection.execute(shape)
        connection.execute(f'DELETE FROM "{table}" {days}')
        connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM {former}."{table}" {days}')
    if found:
        note(connection, found)
