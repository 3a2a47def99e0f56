"""A source's columns -> the types of the contract, exactly or not at all.

What drifted is said by name (`runner.sources.drift`); what has the right kind of type is cast and cast back, and a
value that does not come back is refused; then every row is counted against every rule. Nothing that a report would stop
for gets into the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import SourceFailed, Trouble
from runner.model import Level
from runner.notebook import contracts
from runner.notebook.contracts import Contract
from runner.sources import drift

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: What a type of a contract is in the database, where the table does not yet say it more exactly.
_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "str": "VARCHAR", "day": "DATE", "time": "TIMESTAMP"}
_SHOWN = 4
_REMEDY = "Change the source back, or the contract and what rests on it."


@dataclass(frozen=True)
class Given:
    """Whose rows they are, and what they look like (`fingerprint.taken`)."""

    title: str
    facts: Mapping[str, Any]


def conform(rows: pa.Table, contract: Contract, shape: Mapping[str, str], given: Given) -> pa.Table:
    """The same rows in the contract's columns and types. `shape` is the database type of columns that are there.

    Raises SourceFailed (schema changed) that names what is off.
    """
    import duckdb  # noqa: PLC0415 - only who has rows to conform

    breaks = [change.sentence for change in drift.against(contract, given.facts) if change.breaks]
    if breaks:
        raise _changed(given.title, contract.table, breaks)
    with duckdb.connect(config={"threads": 1, "async_threads": 0}) as connection:
        connection.register("given", rows)
        types = {name: _target(name, rows, contract, shape) for name in contract.columns}
        inexact = _inexact(connection, types)
        if inexact:
            raise _changed(given.title, contract.table, inexact)
        listed = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in types.items())
        connection.execute(f'CREATE TABLE "{contract.table}" AS SELECT {listed} FROM given')
        finding = contracts.check(connection, contract)
        if finding.level is Level.STOP:
            raise SourceFailed(f"From {given.title}: {finding.message}", _REMEDY, Trouble.SCHEMA_CHANGED)
        return connection.cursor().sql(f'SELECT * FROM "{contract.table}"').to_arrow_table()


def described(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table with their types in the database; none where there is no such table."""
    import duckdb  # noqa: PLC0415

    try:
        return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    except duckdb.CatalogException:
        return {}


def _target(name: str, given: pa.Table, contract: Contract, shape: Mapping[str, str]) -> str:
    """The type that a column gets: the one it has in the warehouse, else decimals as they are given, else the usual."""
    import pyarrow as pa  # noqa: PLC0415

    if name in shape:
        return shape[name]
    kind = given.schema.field(name).type
    if pa.types.is_decimal(kind) and kind.precision <= 38:
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _TYPES[contract.columns[name].type]


def _inexact(connection: duckdb.DuckDBPyConnection, types: Mapping[str, str]) -> list[str]:
    """For each column with values that cannot be had in its type, or would be others, how many there are."""
    were = described(connection, "given")
    counts = ", ".join(
        f'count(*) FILTER (WHERE CAST(TRY_CAST("{name}" AS {kind}) AS {were[name]}) IS DISTINCT FROM "{name}")'
        for name, kind in types.items()
    )
    found = connection.execute(f"SELECT {counts} FROM given").fetchone() or ()
    bad = {name: count for name, count in zip(types, found, strict=False) if count}
    return [f"{count:,} values of column {name} are no {types[name]}" for name, count in bad.items()]


def _changed(title: str, table: str, said: Sequence[str]) -> SourceFailed:
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    text = f"{title} gives {table} otherwise than the contract says: {'; '.join(said[:_SHOWN])}{more}."
    return SourceFailed(text, _REMEDY, Trouble.SCHEMA_CHANGED)
