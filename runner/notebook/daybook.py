"""The daybook: what every report asks of past days, worked out once for a state of the warehouse and kept beside it.

It holds sums and counts alone and no assumption about costs, which are applied when it is read. Each of its rows rests
on the rows of one day, so a report of any as-of day reads those up to it and gets exactly what the lines would give:

    sales            one row a basket and department: its lines and its money
    days             one row a day: its lines, baskets, households and revenue
    sales_by_day     one row a day and department: lines and money
    breaches         rows of a day that break a rule of a contract; a contract that was checked has one without a rule

The file's name holds the fingerprint of the very warehouse file that it was made of: corrected and late rows bring a
new one. Where there is none (somebody's own database, a folder that takes no file) the same views are made of the
lines.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

    from runner.notebook.contracts import Contract

FOLDER = "daybook"  # beside the warehouse
TABLES = {
    "sales": """
        SELECT day, sold_at, household_id, store_id, basket_id, department,
               CAST(count(*) AS INTEGER) AS lines,
               CAST(sum(sales_value + retail_disc + coupon_match_disc) AS DECIMAL(12, 2)) AS list_value,
               CAST(sum(retail_disc + coupon_match_disc) AS DECIMAL(12, 2)) AS discount,
               CAST(sum(sales_value) AS DECIMAL(12, 2)) AS revenue
        FROM warehouse.transactions LEFT JOIN warehouse.products USING (product_id)
        WHERE day IS NOT NULL GROUP BY ALL ORDER BY day, household_id""",
    "days": """
        SELECT day, CAST(sum(lines) AS BIGINT) AS lines, count(DISTINCT basket_id) AS baskets,
               count(DISTINCT household_id) AS households, CAST(sum(revenue) AS DECIMAL(18, 2)) AS revenue
        FROM sales GROUP BY day ORDER BY day""",
    "sales_by_day": """
        SELECT day, department, CAST(sum(lines) AS BIGINT) AS lines,
               CAST(sum(list_value) AS DECIMAL(18, 2)) AS list_value,
               CAST(sum(discount) AS DECIMAL(18, 2)) AS discount, CAST(sum(revenue) AS DECIMAL(18, 2)) AS revenue
        FROM sales GROUP BY ALL ORDER BY day, department""",
    "breaches": "SELECT '' AS contract, '' AS rule, DATE '2000-01-01' AS day, 0::BIGINT AS rows LIMIT 0",
}

_MONEY = "list_value, discount, revenue"
_KEPT = {
    "visits": "SELECT day, sold_at, household_id, store_id, basket_id, lines FROM daybook.sales WHERE {seen}",
    "sales": "SELECT s.* {named}, list_value * {share} AS goods FROM daybook.sales s {costs} WHERE {seen}",
    "days": "SELECT * FROM daybook.days WHERE {seen}",
    "sales_by_day": """SELECT d.* {named}, list_value * {share} AS goods
                       FROM daybook.sales_by_day d {costs} WHERE {seen}""",
    "breaches": "SELECT * FROM daybook.breaches WHERE day IS NULL OR {seen}",
}
_FROM_LINES = {
    "visits": "SELECT day, sold_at, household_id, store_id, basket_id, 1 AS lines FROM transactions",
    "sales": f"""SELECT day, sold_at, household_id, store_id, basket_id, department, 1 AS lines, {_MONEY}, goods
                 FROM lines""",
    "days": """SELECT day, count(*) AS lines, count(DISTINCT basket_id) AS baskets,
                      count(DISTINCT household_id) AS households, sum(sales_value) AS revenue
               FROM transactions GROUP BY day""",
    "sales_by_day": f"SELECT day, department, 1 AS lines, {_MONEY}, goods FROM lines",
}


def place(warehouse: Path) -> Path:
    """Where the daybook of a warehouse file lies, as that file is now. Raises OSError when there is no such file."""
    state, tables = warehouse.stat(), " ".join(f"{table} {sql}" for table, sql in TABLES.items())
    whole = f"{state.st_size} {state.st_mtime_ns} {' '.join(tables.split())}"
    return warehouse.parent / FOLDER / f"{warehouse.stem}.{hashlib.sha256(whole.encode()).hexdigest()[:16]}.duckdb"


def can_be_made(warehouse: Path) -> bool:
    """Whether there is none yet, and the folder takes one."""
    return not place(warehouse).exists() and os.access(warehouse.parent, os.W_OK)


def lock(warehouse: Path) -> Path:
    """The file that whoever makes a daybook of the warehouse holds."""
    found = warehouse.parent / FOLDER / f"{warehouse.stem}.lock"
    found.parent.mkdir(exist_ok=True)
    return found


def make(warehouse: Path, contracts: Iterable[Contract], dated: Collection[str], config: Mapping[str, Any]) -> None:
    """Make the daybook of a warehouse file, and drop those of its former states; the caller holds the lock.

    `dated` names the tables with a column `day`; `config` is DuckDB's. A warehouse of another shape gets none: it only
    saves time, and what is wrong with the shape the contracts say of the warehouse itself.
    """
    import duckdb  # noqa: PLC0415 - whether there is one is known without it

    whole, former = place(warehouse), f"{warehouse.stem}.*"
    half = whole.with_suffix(f".{os.getpid()}.tmp")
    whole.parent.mkdir(exist_ok=True)
    for left in whole.parent.glob(f"{former}.tmp*"):  # of one who was killed
        left.unlink(missing_ok=True)
    try:
        with duckdb.connect(config=dict(config)) as connection:
            connection.execute(f"{attached(warehouse, 'warehouse')}; {attached(half, 'daybook', '')}; USE daybook")
            _fill(connection, [contract.by_day("warehouse", contract.table in dated) for contract in contracts])
        for old in whole.parent.glob(f"{former}.duckdb"):
            old.unlink(missing_ok=True)
        half.replace(whole)
    except duckdb.Error:
        return
    finally:
        half.unlink(missing_ok=True)


def _fill(connection: duckdb.DuckDBPyConnection, counts: Iterable[str]) -> None:
    """Every table; a contract that names columns that are not there is left to the report that asks."""
    import duckdb  # noqa: PLC0415

    for table, sql in TABLES.items():
        connection.execute(f"CREATE TABLE {table} AS {sql}")
    for count in counts:
        with suppress(duckdb.Error):
            connection.execute(f"INSERT INTO breaches {count}")


def attached(file: Path, name: str, how: str = "(READ_ONLY)") -> str:
    """The statement that opens a file under a name."""
    quoted = str(file).replace("'", "''")
    return f"ATTACH '{quoted}' AS {name} {how}"


def views(as_of: date, share: str, *, kept: bool) -> list[str]:
    """The statements that make the views `visits`, `sales`, `sales_by_day` and `days` of a connection.

    visits has at least one row a basket: who came when and where, and how many of its lines the row stands for; sales
    and sales_by_day have the lines summed as far as they are, with their cost of goods. Without a daybook the three
    are the lines themselves, and days is counted from them.
    `share` is a line's cost share, with `c` for the table cost_shares.
    """
    words = {
        "seen": f"day <= DATE '{as_of.isoformat()}'",
        "share": share,
        "named": "REPLACE (coalesce(department, 'UNKNOWN') AS department)",
        "costs": "LEFT JOIN cost_shares c USING (department)",
    }
    made = {name: sql.format(**words) for name, sql in _KEPT.items()} if kept else _FROM_LINES
    return [f"CREATE VIEW {name} AS {sql}" for name, sql in made.items()]
