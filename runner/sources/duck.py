"""Tables of another DuckDB file of the project, opened for reading only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from runner.errors import SourceFailed
from runner.sources.access import LARGEST, Access
from runner.sources.source import Want

if TYPE_CHECKING:
    import pyarrow as pa

#: A view of that file may read nothing but that file; and what one answer takes besides its rows is bounded.
_CONFIG: dict[str, Any] = {"enable_external_access": False, "memory_limit": "2 GB", "threads": 2, "async_threads": 0}


@dataclass(frozen=True)
class Duck:
    """A DuckDB file."""

    access: Access

    def read(self, want: Want, left: float) -> pa.Table:
        """The rows of a table or view, of the days asked for."""
        with self._open(left) as connection:
            return rows(self.access, want, connection, name(want.place))

    def watermark(self, want: Want, left: float) -> datetime | None:  # noqa: ARG002 - as every kind of source
        """A file cannot say."""
        return None

    def probe(self, left: float) -> None:
        """Whether the file is there and can be opened."""
        with self._open(left) as connection:
            connection.execute("SELECT 1")

    def rights(self, left: float) -> frozenset[str] | None:  # noqa: ARG002
        """A file of our own has no credential."""
        return None

    @contextmanager
    def _open(self, left: float) -> Iterator[duckdb.DuckDBPyConnection]:
        path = self.access.folder / (self.access.config.file or "")
        if not path.is_file():
            raise self.access.gone("is not there.", "Make the file, or mend `file` in sources.yml.")
        with (
            failing(self.access),
            duckdb.connect(str(path), read_only=True, config=_CONFIG) as connection,
            interrupted(connection, left),
        ):
            yield connection


@contextmanager
def interrupted(connection: duckdb.DuckDBPyConnection, left: float) -> Iterator[None]:
    """End a query that takes longer than `left` seconds."""
    alarm = threading.Timer(left, connection.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


@contextmanager
def failing(access: Access) -> Iterator[None]:
    """Whatever DuckDB says no to, as a SourceFailed in our own words."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException):
        raise access.changed("does not know a table or column that is asked for.") from None
    except duckdb.InterruptException:
        raise access.unavailable("did not answer in time.", "Give it a longer `timeout`.") from None
    except duckdb.IOException as error:
        raise _unreadable(access, error) from None
    except duckdb.Error:
        raise access.gone("holds what DuckDB cannot read.", "Have the file written again.") from None


def _unreadable(access: Access, error: duckdb.IOException) -> SourceFailed:
    if "lock" in str(error).lower():
        return access.unavailable("is being written by another process.", "Wait until that has ended.")
    return access.gone("cannot be read as a DuckDB file.", "Have the file written again.")


def rows(access: Access, want: Want, connection: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
    """The rows of a relation (SQL), of the days asked for."""
    import pyarrow as pa  # noqa: PLC0415

    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
    access.hold_names(want, names)
    days = [(sign, day) for sign, day in ((">=", want.first), ("<=", want.last)) if day and want.day]
    where = " AND ".join(f"CAST({name(want.day or '')} AS DATE) {sign} ?" for sign, _ in days)
    query = f"SELECT * FROM {relation}{' WHERE ' if where else ''}{where}"
    given: list[date] = [day for _, day in days]
    parts, held = [], 0
    reader: Any = connection.sql(query, params=given).to_arrow_reader()
    for part in reader:
        parts.append(part)
        held += part.nbytes
        if held > LARGEST:
            raise access.too_large(want)
    return pa.Table.from_batches(parts, reader.schema)


def name(place: str) -> str:
    """A name, or `schema.name`, quoted."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in place.split("."))
