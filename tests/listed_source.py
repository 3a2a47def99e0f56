"""A source of rows that a test lists: it answers as the protocol says, and fails as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa

from runner.config import Source as Config
from runner.errors import SourceFailed
from runner.sources.inquiry import Place
from runner.sources.source import Want

#: The types of the table `receipts`, as a source that has types of its own gives them.
SALES = pa.schema(
    [("receipt", pa.int64()), ("amount", pa.float64()), ("sold_at", pa.timestamp("us")), ("day", pa.date32())]
)


def sale(receipt: int, at: str, amount: float = 1.25) -> dict[str, object]:
    """A row of the table `receipts`; `at` is `YYYY-MM-DD HH:MM`."""
    moment = datetime.fromisoformat(at)
    return {"receipt": receipt, "amount": amount, "sold_at": moment, "day": moment.date()}


def busy(day: date, hours: Iterable[int] = range(9, 18), each: int = 25, first: int = 0) -> list[dict[str, object]]:
    """So many sales in each of these hours of a day, each with a number of its own."""
    start = first or day.toordinal() * 10_000
    return [
        sale(start + hour * 100 + number, f"{day} {hour:02}:{number:02}") for hour in hours for number in range(each)
    ]


def table(rows: Iterable[dict[str, object]]) -> pa.Table:
    """Rows of `receipts` as a source gives them."""
    return pa.Table.from_pylist(list(rows), SALES)


@dataclass
class Listed:
    """The rows of one table; `upto` its watermark, `failing` what it answers instead. `asked` are the wants it got."""

    rows: list[dict[str, object]] = field(default_factory=list)
    upto: datetime | None = None
    failing: SourceFailed | None = None
    shaped: Callable[[pa.Table], pa.Table] = lambda given: given
    asked: list[Want] = field(default_factory=list)

    def read(self, want: Want, left: float) -> pa.Table:  # noqa: ARG002
        """The rows of the days asked for."""
        self.asked.append(want)
        if self.failing:
            raise self.failing
        first, last = want.first or date.min, want.last or date.max
        return self.shaped(table(row for row in self.rows if first <= row["day"] <= last))

    def watermark(self, want: Want, left: float) -> datetime | None:  # noqa: ARG002
        """As it was told."""
        if self.failing:
            raise self.failing
        return self.upto

    def probe(self, left: float) -> None:
        """It is there."""

    def rights(self, left: float) -> frozenset[str] | None:  # noqa: ARG002
        """Nobody knows."""
        return None


def place(name: str, source: Listed) -> Place:
    """The source under a name, asked once."""
    return Place(name, Config(kind="files", title=name.title(), url="nowhere", tries=1), source)
