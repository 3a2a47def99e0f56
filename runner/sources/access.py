"""What a source of any kind is opened with: its entry in config, the project's folder, and where its secrets are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import secrets
from runner.config import ends
from runner.errors import ConfigError, SourceFailed, Trouble
from runner.sources.source import Want

if TYPE_CHECKING:
    import pyarrow as pa

#: How much one answer may hold in memory, in bytes: beyond that the days are to be asked for in smaller parts.
LARGEST = 2_000_000_000


@dataclass(frozen=True)
class Access:
    """A source as config has it. `tables` are the tables that this project reads from it, where that is known."""

    name: str
    config: ends.Source
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    tables: Collection[str] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        return self.config.title

    @property
    def places(self) -> tuple[str, ...]:
        """Where the project's tables are found there."""
        return tuple(self.config.at.get(table, table) for table in self.tables)

    def text(self, value: str) -> str:
        """A value of config, or the secret that it names. Raises SourceFailed when the secret is not set."""
        if not value.startswith("env:"):
            return value
        try:
            return secrets.read(value, self.environment)
        except ConfigError as error:
            what = f"{self.title} cannot be asked. {error.what}"
            raise SourceFailed(what, error.remedy, Trouble.PERMISSION_REVOKED) from None

    def unavailable(
        self, what: str, remedy: str = "Ask those who run it.", *, wait: float | None = None
    ) -> SourceFailed:
        """What may have passed in a moment. `what` goes on after the title."""
        return SourceFailed(f"{self.title} {what}", remedy, passing=True, wait=wait)

    def gone(self, what: str, remedy: str) -> SourceFailed:
        """A source that is not to be had until somebody does something."""
        return SourceFailed(f"{self.title} {what}", remedy)

    def revoked(
        self, what: str, remedy: str = "Have the credential renewed, or its rights given back."
    ) -> SourceFailed:
        """A source that does not let us in."""
        return SourceFailed(f"{self.title} {what}", remedy, Trouble.PERMISSION_REVOKED)

    def changed(self, what: str, remedy: str = "Compare the source with the table's contract.") -> SourceFailed:
        """Data that are not what the contract says."""
        return SourceFailed(f"{self.title} {what}", remedy, Trouble.SCHEMA_CHANGED)

    def incomplete(self, what: str, remedy: str, *, passing: bool = False) -> SourceFailed:
        """Data that are not all there."""
        return SourceFailed(f"{self.title} {what}", remedy, Trouble.DATA_INCOMPLETE, passing=passing)

    def too_large(self, want: Want) -> SourceFailed:
        """More than one answer may hold."""
        remedy = "Ask for fewer days at once, or raise nothing before it is known why there is so much."
        return self.gone(f"gives more than {LARGEST // 1_000_000:,} MB of {want.table}.", remedy)

    def hold_names(self, want: Want, names: Iterable[str]) -> None:
        """Raise SourceFailed when a column that is needed is not there, or a name comes twice."""
        found = list(names)
        needed = dict.fromkeys([*(column.name for column in want.columns), *([want.day] if want.day else [])])
        lost = [name for name in needed if name not in found]
        if lost:
            raise self.changed(f"has {want.table} without {_listed(lost)}.")
        twice = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
        if twice:
            raise self.changed(f"has {_listed(twice)} of {want.table} more than once.")

    def hold_days(self, want: Want, table: pa.Table) -> pa.Table:
        """The same table. Raises SourceFailed when a row's day is none of those asked for."""
        if not (want.day and (want.first or want.last) and table.num_rows):
            return table
        if table.filter(asked_days(self, want, table[want.day])).num_rows < table.num_rows:
            what = f"gives rows of {want.table} that belong to other days than those asked for, or to none."
            raise self.changed(what, "See whether it still keeps to the days that it is asked for.")
        return table


def asked_days(access: Access, want: Want, days: Any) -> Any:
    """Which values of an Arrow column of days, or of times without a zone, lie in the days asked for; null does not.

    Raises SourceFailed where it is a column of neither.
    """
    import pyarrow as pa  # noqa: PLC0415 - only who has rows needs it
    import pyarrow.compute as pc  # noqa: PLC0415

    first, last = want.first or date.min, want.last or date.max
    try:
        moments = days.cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    except pa.ArrowException:
        raise access.changed(f"has {want.table} with a {want.day!r:.60} that is no day.") from None
    low, high = pa.scalar(first, pa.date32()), pa.scalar(last, pa.date32())
    return pc.fill_null(pc.and_(pc.greater_equal(moments, low), pc.less_equal(moments, high)), False)  # noqa: FBT003


def _listed(names: list[str]) -> str:
    """Names that a source gave, so that no one of them can pass for anything else."""
    shown = ", ".join(repr(name[:60]) for name in names[:6])
    return f"the column{'s' if len(names) > 1 else ''} {shown}{' …' if len(names) > 6 else ''}"
