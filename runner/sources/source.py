"""What every kind of source can do, and what is asked of it.

A source gives rows as an Arrow table whose columns are as the source names and types them; whoever asked holds them
against the contract. Whatever goes wrong is a SourceFailed that says whether the very same question may be answered in
a moment (`passing`). No source retries, sleeps or falls back by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Want:
    """What is asked: a table, where the source has it, and the days of it (both included), or all of it.

    `columns` are those of the contract, in its order: a source without types of its own (CSV, JSON) reads them so.
    """

    table: str
    place: str
    columns: tuple[Wanted, ...]
    day: str | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Wanted:
    """A column of a contract: its name and its type there (int64, float64, str, day, time)."""

    name: str
    type: str
    nullable: bool = False


class Source(Protocol):
    """One place that data come from. `left` is how many seconds there are for the answer, all of it."""

    def read(self, want: Want, left: float) -> pa.Table:
        """The rows. Raises SourceFailed."""

    def watermark(self, want: Want, left: float) -> datetime | None:
        """Up to which instant (aware) the source has everything of a table; None where it cannot say."""

    def probe(self, left: float) -> None:
        """Ask whether it answers at all, and lets us in. Raises SourceFailed."""

    def rights(self, left: float) -> frozenset[str] | None:
        """What our credential may do there, in the words of `may` in config; None where that cannot be known."""
