"""Schema contracts: what a table must look like before a report may rest on it.

A contract is one file in `config/contracts/<table>.yml`. Names and types are held against the table's own description,
and every row is counted against every rule in one SQL statement, whatever the size of the table; what the daybook has
counted of past days (`runner.notebook.daybook`) is not counted again. A frame in memory is held against it by pandera
(on a million rows with half of them bad that takes seconds, the count takes milliseconds).

    table: transactions
    key: [basket_id, product_id]
    columns:
      quantity: {type: int64, min: 0, about: "units; gallons-thousandths for fuel"}
      brand: {type: str, nullable: true, values: [National, Private]}
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, Trouble
from runner.model import Finding, Level
from runner.notebook import project

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pandera.pandas as pa

TOP_KEYS = {"table", "key", "columns", "about"}
KEYS = {"type", "nullable", "min", "max", "values", "about"}
TYPES = {
    "int64": ("BIGINT", "INTEGER", "HUGEINT"),
    "float64": ("DOUBLE", "DECIMAL"),
    "str": ("VARCHAR",),
    "day": ("DATE",),
    "time": ("TIMESTAMP",),
}
#: Rows (contract, rule, day, rows) for the daybook, and what they are counted from; `_day` is a row's day.
_BY_DAY = """
    WITH seen AS (SELECT *, {day} AS _day FROM {table})
    SELECT '{contract}' AS contract, rule, _day, rows FROM ({counted}) WHERE rule IS NULL OR rows > 0"""
_OF_RULES = "SELECT unnest([{names}]) AS rule, _day, unnest([{counts}]) AS rows FROM seen GROUP BY _day"
_OF_KEY = """
    SELECT {name} AS rule, _day, sum(n) AS rows
    FROM (SELECT _day, count(*) AS n FROM seen GROUP BY _day
          UNION ALL SELECT _day, -count(*) FROM (SELECT min(_day) AS _day FROM seen GROUP BY {key}) GROUP BY _day)
    GROUP BY _day"""
_CHECKED = "SELECT CAST(NULL AS VARCHAR) AS rule, CAST(NULL AS DATE) AS _day, 0 AS rows"


@dataclass(frozen=True)
class Column:
    """One column's rules; `low` and `high` are inclusive."""

    type: str
    nullable: bool = False
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()

    def broken(self, name: str) -> dict[str, str]:
        """Each rule's name with the SQL condition of a row that breaks it."""
        column = f'"{name}"'
        absent = f"{column} IS NULL OR isnan({column})" if self.type == "float64" else f"{column} IS NULL"
        rules = {} if self.nullable else {f"{name} is null": absent}
        if self.low is not None:
            rules[f"{name} below {self.low}"] = f"{column} < {_literal(self.low)}"
        if self.high is not None:
            rules[f"{name} above {self.high}"] = f"{column} > {_literal(self.high)}"
        if self.values:
            listed = ", ".join(_literal(value) for value in self.values)
            rules[f"{name} outside its list"] = f"{column} NOT IN ({listed})"
        return rules


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


@dataclass(frozen=True)
class Contract:
    """What one table must look like; `key` names the columns that together are unique."""

    table: str
    columns: Mapping[str, Column]
    key: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.DataFrameSchema:
        """The same rules as a strict pandera schema, for frames in pandas types."""
        import pandera.pandas as pa  # noqa: PLC0415 - only frames in memory need it

        return pa.DataFrameSchema(
            {name: _pandera(column) for name, column in self.columns.items()},
            strict=True,
            unique=list(self.key) or None,
            name=self.table,
        )

    @property
    def rules(self) -> dict[str, str]:
        """Every rule that a row can break on its own, with its SQL condition."""
        return {rule: sql for name, column in self.columns.items() for rule, sql in column.broken(name).items()}

    @property
    def repeated(self) -> str:
        """The name of the rule that the key is unique."""
        return f"a repeated {' and '.join(self.key)}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rules, as hexadecimal text."""
        return hashlib.sha256(repr((self.table, self.rules, self.key)).encode()).hexdigest()

    def by_day(self, schema: str, is_dated: bool) -> str:  # noqa: FBT001 - as the daybook knows it
        """The query of the rows (contract, rule, day, rows) that the daybook keeps; `schema` is where the table lies.

        Summed up to a day they are what the rows up to that day break: a key that comes again counts on the later day.
        A table that is not dated has no day (null). Every contract that was checked has one row without a rule.
        """
        rules, key, counted = self.rules, ", ".join(f'"{name}"' for name in self.key), [_CHECKED]
        if rules:
            counts = ", ".join(f"count(*) FILTER (WHERE {sql})" for sql in rules.values())
            counted.append(_OF_RULES.format(names=", ".join(map(_literal, rules)), counts=counts))
        if key:
            counted.append(_OF_KEY.format(name=_literal(self.repeated), key=key))
        day, table = "day" if is_dated else "CAST(NULL AS DATE)", f'{schema}."{self.table}"'
        return _BY_DAY.format(day=day, table=table, contract=self.fingerprint, counted=" UNION ALL ".join(counted))


def _pandera(column: Column) -> pa.Column:
    import pandera.pandas as pa  # noqa: PLC0415

    checks = []
    if column.low is not None:
        checks.append(pa.Check.ge(column.low))
    if column.high is not None:
        checks.append(pa.Check.le(column.high))
    if column.values:  # noqa: PD011  no frame
        checks.append(pa.Check.isin(list(column.values)))
    kind = {"day": "datetime64[us]", "time": "datetime64[us]"}.get(column.type, column.type)
    return pa.Column(kind, checks=checks, nullable=column.nullable)


def load(path: Path) -> Contract:
    """The contract in a file. Raises ConfigError that names the file, the key and the remedy."""
    try:
        data = project.parsed(path.read_text(encoding="utf-8"), f"contracts/{path.name}")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no contract {path.name} in config/contracts.", "Write one.") from error
    if not isinstance(data, dict) or not isinstance(data.get("columns"), dict):
        raise ConfigError(f"config/contracts/{path.name} has no `columns:`.", "List each column with its type.")
    columns = {str(name): _column(path.name, str(name), rules) for name, rules in data["columns"].items()}
    key = _key(path.name, data, columns)
    return Contract(str(data.get("table", path.stem)), columns, key)


def known(folder: Path) -> list[Contract]:
    """The contracts of a project that can be read; what is wrong with another is said to the report that needs it."""
    found = []
    for path in sorted((folder / "config" / "contracts").glob("*.yml")):
        with suppress(ConfigError):
            found.append(load(path))
    return found


def _key(file: str, data: Mapping[str, Any], columns: Mapping[str, Column]) -> tuple[str, ...]:
    unknown = sorted(str(name) for name in set(data) - TOP_KEYS)
    if unknown:
        raise ConfigError(
            f"config/contracts/{file} has an unknown key {unknown[0]!r}.", f"Use {', '.join(sorted(TOP_KEYS))}."
        )
    key = data.get("key") or []
    lost = [name for name in key if name not in columns] if isinstance(key, list) else [key]
    if lost:
        raise ConfigError(
            f"config/contracts/{file}: key names {lost[0]!r}, which is no column.", "List columns: key: [basket_id]."
        )
    return tuple(key)


def _column(file: str, name: str, rules: Any) -> Column:
    given = rules if isinstance(rules, dict) else {"type": rules}
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise ConfigError(
            f"config/contracts/{file}: column {name} has an unknown rule {unknown[0]!r}.",
            f"Use {', '.join(sorted(KEYS))}.",
        )
    if given.get("type") not in TYPES:
        raise ConfigError(
            f"config/contracts/{file}: column {name} has the type {given.get('type')!r}.", f"Use {', '.join(TYPES)}."
        )
    if not isinstance(given.get("values") or [], list):
        raise ConfigError(
            f"config/contracts/{file}: column {name} has values that are no list.", "Write values: [A, B]."
        )
    return Column(
        given["type"],
        bool(given.get("nullable", False)),
        given.get("min"),
        given.get("max"),
        tuple(given.get("values") or ()),
    )


def check(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Finding:
    """One finding: pass, or stop with each difference named and counted.

    Raises duckdb.Error only when the table cannot be read at all for a reason other than not being there.
    """
    import duckdb  # noqa: PLC0415 - contracts are read without it

    table = contract.table
    try:
        described = connection.execute(f'DESCRIBE "{table}"').fetchall()
    except duckdb.CatalogException:
        return _stop(table, [f"the table {table} is not there"], {"rows": 0})
    drift = _drift(contract, {row[0]: row[1] for row in described})
    if drift:
        return _stop(table, drift, {"columns": len(described)})
    rows, broken = _counted(connection, contract)
    if broken:
        return _stop(table, [f"{count:,} rows with {rule}" for rule, count in broken.items()], {"rows": rows, **broken})
    text = f"{table}: {rows:,} rows keep all {len(contract.rules) + len(contract.columns)} rules of its contract."
    return Finding(f"schema of {table}", Level.PASS, text, None, {"rows": rows, "columns": len(contract.columns)})


def check_frame(frame: pd.DataFrame, contract: Contract) -> Finding:
    """As `check`, for a frame in memory (a CSV, say): pandera alone, all failures in one go."""
    problems = _names(contract, [str(name) for name in frame]) or _explained(frame, contract)
    if problems:
        return _stop(contract.table, problems, {"rows": len(frame)})
    text = f"{contract.table}: {len(frame):,} rows keep their contract."
    return Finding(f"schema of {contract.table}", Level.PASS, text, None, {"rows": len(frame)})


def _drift(contract: Contract, found: Mapping[str, str]) -> list[str]:
    """What differs in names and types."""
    retyped = [
        f"column {name} is {found[name]}, not {column.type}"
        for name, column in contract.columns.items()
        if name in found and not _is_of(found[name], column)
    ]
    return _names(contract, found) + retyped


def _names(contract: Contract, found: Collection[str]) -> list[str]:
    lost = [f"column {name} is missing" for name in contract.columns if name not in found]
    return lost + [f"column {name} is new" for name in found if name not in contract.columns]


def _is_of(kind: str, column: Column) -> bool:
    """Whether a type of the database is the one declared: money of any width, but no list of it and no other clock."""
    return re.sub(r"\([\d, ]+\)$", "", kind) in TYPES[column.type]


def _counted(connection: duckdb.DuckDBPyConnection, contract: Contract) -> tuple[int, dict[str, int]]:
    """The table's rows, and how many of them break which rule: from the daybook where it has counted them."""
    import duckdb  # noqa: PLC0415

    kept = f"""SELECT (SELECT count(*) FROM "{contract.table}"), rule, CAST(sum(rows) AS BIGINT)
               FROM breaches WHERE contract = ? GROUP BY rule"""
    try:
        found = connection.execute(kept, [contract.fingerprint]).fetchall()
    except duckdb.CatalogException:  # no daybook
        found = []
    if not found:
        return _count(connection, contract)
    broken = {rule: count for _, rule, count in found}
    return found[0][0], {name: broken[name] for name in (*contract.rules, contract.repeated) if name in broken}


def _count(connection: duckdb.DuckDBPyConnection, contract: Contract) -> tuple[int, dict[str, int]]:
    rules = contract.rules
    counts = "".join(f", count(*) FILTER (WHERE {sql})" for sql in rules.values())
    key = ", ".join(f'"{name}"' for name in contract.key)
    twice = f", count(*) - count(DISTINCT ({key}))" if key else ""
    row = connection.execute(f'SELECT count(*){counts}{twice} FROM "{contract.table}"').fetchone() or (0,)
    return row[0], {name: count for name, count in zip([*rules, contract.repeated], row[1:], strict=False) if count}


def _explained(frame: pd.DataFrame, contract: Contract) -> list[str]:
    """List pandera's failures, a sentence each, fullest first."""
    import pandera.pandas as pa  # noqa: PLC0415

    try:
        contract.schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.astype(object).fillna("")
        counted = cases.groupby(["column", "check"], sort=False).size().sort_values(ascending=False)
        return [f"{column or 'table'}: {what} ({count:,} times)" for (column, what), count in counted.items()]
    return []


def _stop(table: str, problems: list[str], numbers: Mapping[str, Any]) -> Finding:
    text = f"{table} breaks its contract: {'; '.join(problems[:6])}{' …' if len(problems) > 6 else ''}."
    return Finding(f"schema of {table}", Level.STOP, text, Trouble.SCHEMA_CHANGED, dict(numbers))
