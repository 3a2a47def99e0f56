"""From config to sources that can be asked: opened by name, and connected to nothing until somebody asks.

A source whose secret is not set is opened all the same. Asked, it fails like one whose credential was revoked: that is
what a person has to mend, and the next source of the table may serve meanwhile.

Every answer of an opened source is bounded in time as a whole, whatever its kind and whatever it hangs on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runner.config import ends
from runner.sources.access import Access
from runner.sources.inquiry import Place
from runner.sources.limit import within
from runner.sources.source import Source, Want

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


def opened(
    name: str, config: ends.Source, folder: Path, environment: Mapping[str, str], tables: Collection[str] = ()
) -> Source:
    """The source of this name. `folder` is the project's; secrets are read from `environment` when they are needed.

    `tables` are the tables that the project reads from it: `rights` looks whether each of them may be read.
    """
    access = Access(name, config, folder, environment, tables)
    return Bounded(access, _KINDS[config.kind](access))


def places(
    names: Iterable[str], sources: ends.Sources, folder: Path, environment: Mapping[str, str]
) -> tuple[Place, ...]:
    """The named sources in order, opened, as `inquiry.ask` takes them."""
    return tuple(_place(name, sources, folder, environment) for name in names)


def _place(name: str, sources: ends.Sources, folder: Path, environment: Mapping[str, str]) -> Place:
    config = sources.sources[name]
    tables = [table for table, entry in sources.tables.items() if name in entry.from_]
    return Place(name, config, opened(name, config, folder, environment, tables))


@dataclass(frozen=True)
class Bounded:
    """A source that answers or fails in the time there is."""

    access: Access
    inner: Source

    def read(self, want: Want, left: float) -> pa.Table:
        """As `Source.read`."""
        return self._ask(left, lambda: self.inner.read(want, left))

    def watermark(self, want: Want, left: float) -> datetime | None:
        """As `Source.watermark`."""
        return self._ask(left, lambda: self.inner.watermark(want, left))

    def probe(self, left: float) -> None:
        """As `Source.probe`."""
        self._ask(left, lambda: self.inner.probe(left))

    def rights(self, left: float) -> frozenset[str] | None:
        """As `Source.rights`."""
        return self._ask(left, lambda: self.inner.rights(left))

    def _ask(self, left: float, question: Callable[[], T]) -> T:
        try:
            return within(left, question)
        except TimeoutError:
            raise self.access.unavailable(f"did not answer within {left:.3g} s.") from None


# Each kind brings its own libraries, which only those who use it wait for.


def _web(access: Access) -> Source:
    from runner.sources.web import Web  # noqa: PLC0415

    return Web(access)


def _database(access: Access) -> Source:
    from runner.sources.database import Database  # noqa: PLC0415

    return Database(access)


def _files(access: Access) -> Source:
    from runner.sources.files import Files  # noqa: PLC0415

    return Files(access)


def _duck(access: Access) -> Source:
    from runner.sources.duck import Duck  # noqa: PLC0415

    return Duck(access)


def _package(access: Access) -> Source:
    from runner.sources.package import Package  # noqa: PLC0415

    return Package(access)


_KINDS: Mapping[str, Callable[[Access], Source]] = {
    "http": _web,
    "sql": _database,
    "files": _files,
    "duckdb": _duck,
    "package": _package,
}
