"""A warehouse small enough to work out by hand: the tables of runner/notebook/warehouse.py, filled with a few rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

from runner.metrics.profit import Costs
from runner.notebook import warehouse

#: The tables with the types that the real ones have; test_warehouse.py holds them against a real one.
TABLES = {
    "products": "product_id BIGINT, manufacturer_id BIGINT, department VARCHAR, brand VARCHAR, category VARCHAR, "
    "kind VARCHAR",
    "transactions": "household_id BIGINT, store_id BIGINT, basket_id BIGINT, product_id BIGINT, quantity BIGINT, "
    "sales_value DECIMAL(10,2), retail_disc DECIMAL(10,2), coupon_disc DECIMAL(10,2), coupon_match_disc DECIMAL(10,2), "
    "sold_at TIMESTAMP, day DATE",
    "experiments": "experiment BIGINT, kind VARCHAR, starts_on DATE, ends_on DATE",
    "assignments": "experiment BIGINT, household_id BIGINT",
    "coupons": "experiment BIGINT, coupon_upc BIGINT, product_id BIGINT",
    "redemptions": "household_id BIGINT, coupon_upc BIGINT, experiment BIGINT, day DATE",
}
#: Product 1 is grocery, 2 fuel, 3 floral; product 99 is in no list.
PRODUCTS = (
    (1, 10, "GROCERY", "National", "BREAD", None),
    (2, 20, "FUEL", "Private", None, None),
    (3, 30, "FLORAL", "National", "ROSES", "RED"),
)
#: Cost of goods as a share of list value: a department's own, or the rest's.
SHARES = {"GROCERY": 0.6, "FUEL": 0.9, "*": 0.5}
COSTS = Costs(handling=1.0, contact=0.75, clearing=0.1)
END = date(2017, 12, 31)


def line(
    household: int,
    sold_at: str,
    basket: int,
    sales: str = "10.00",
    product: int = 1,
    *,
    store: int = 1,
    card: str = "0.00",
    coupon: str = "0.00",
    match: str = "0.00",
) -> tuple[object, ...]:
    """A till line sold at `YYYY-MM-DD HH:MM[:SS]` in New York time; money as text."""
    return (household, store, basket, product, 1, sales, card, coupon, match, sold_at, sold_at[:10])


def build(path: Path, tables: Mapping[str, Iterable[Sequence[object]]]) -> Path:
    """Write a warehouse file with these rows; a table that is not named stays empty, products are PRODUCTS."""
    with duckdb.connect(str(path)) as connection:
        for table, columns in TABLES.items():
            connection.execute(f"CREATE TABLE {table} ({columns})")
            rows = list(tables.get(table, PRODUCTS if table == "products" else ()))
            if rows:
                frame = pd.DataFrame(rows, dtype=object)  # noqa: F841  the statement below names it
                connection.execute(f"INSERT INTO {table} SELECT * FROM frame")
    return path


def opened(
    folder: Path,
    lines: Iterable[Sequence[object]] = (),
    *,
    as_of: date = END,
    shares: Mapping[str, float] = SHARES,
    **tables: Iterable[Sequence[object]],
) -> duckdb.DuckDBPyConnection:
    """Build a new warehouse in the folder and open it the way notebooks do."""
    path = folder / f"warehouse-{len(list(folder.iterdir()))}.duckdb"
    return warehouse.connect(build(path, {"transactions": lines, **tables}), as_of, dict(shares))
