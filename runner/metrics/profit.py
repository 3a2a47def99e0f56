"""Profit, from the till line up: list value - discounts = revenue; - goods - handling - clearing = profit.

Every function takes a connection made by `runner.notebook.warehouse.connect`, whose views carry revenue, discount,
list_value and goods in dollars: `lines` by till line; `sales` and `sales_by_day`, which are summed as far as the
daybook has done so; and `visits`, who came when. The cost of goods and the two rates of `Costs` are assumptions
(config/costs.yml); revenue and discounts are data. A coupon's face value is paid back by its manufacturer and stays in
revenue; the retailer's match of it is a discount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import duckdb
import pandas as pd

from runner.metrics.periods import Span

#: Departments shown by name; the smaller ones are summed as OTHER.
SHOWN_DEPARTMENTS = 11
#: Weekly baskets, over the last 13 weeks, from which a shop counts as large and as medium.
LARGE, MEDIUM = 40, 10


@dataclass(frozen=True)
class Costs:
    """Assumed rates in dollars: per basket served, per household contacted, per coupon redeemed."""

    handling: float
    contact: float
    clearing: float

    @classmethod
    def of(cls, costs: Mapping[str, Any]) -> Costs:
        """The rates of config/costs.yml. Raises KeyError when one is missing."""
        return cls(
            float(costs["handling_per_basket"]),
            float(costs["contact_per_household"]),
            float(costs["clearing_per_redemption"]),
        )


@dataclass(frozen=True)
class Total:
    """Sums over a span, in dollars, with the counts behind them."""

    list_value: float
    discount: float
    revenue: float
    goods: float
    handling: float
    clearing: float
    baskets: int
    households: int
    lines: int

    @property
    def margin(self) -> float:
        """Gross margin: revenue less the assumed cost of goods."""
        return self.revenue - self.goods

    @property
    def profit(self) -> float:
        """Gross margin less handling and clearing."""
        return self.margin - self.handling - self.clearing

    @property
    def margin_rate(self) -> float:
        """Gross margin as a share of revenue; nan without revenue."""
        return self.margin / self.revenue if self.revenue else float("nan")

    @property
    def discount_rate(self) -> float:
        """Discounts as a share of list value; nan without sales."""
        return self.discount / self.list_value if self.list_value else float("nan")


MONEY = """
    CAST(coalesce(sum(list_value), 0) AS DOUBLE) AS list_value, CAST(coalesce(sum(discount), 0) AS DOUBLE) AS discount,
    CAST(coalesce(sum(revenue), 0) AS DOUBLE) AS revenue, CAST(coalesce(sum(goods), 0) AS DOUBLE) AS goods
"""


def total(connection: duckdb.DuckDBPyConnection, span: Span, costs: Costs) -> Total:
    """Profit and loss of a span of days; all zeros when nothing was sold."""
    row = connection.execute(
        f"""
        SELECT money.*, baskets, households, redeemed
        FROM (SELECT {MONEY}, coalesce(CAST(sum(lines) AS BIGINT), 0) AS lines
              FROM sales_by_day WHERE day BETWEEN $first AND $last) money,
             (SELECT count(DISTINCT basket_id) AS baskets, count(DISTINCT household_id) AS households
              FROM visits WHERE day BETWEEN $first AND $last),
             (SELECT count(*) AS redeemed FROM redemptions WHERE day BETWEEN $first AND $last)""",
        {"first": span.first, "last": span.last},
    ).fetchone()
    list_value, discount, revenue, goods, lines, baskets, households, redeemed = row or (0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0)
    return Total(
        list_value=list_value,
        discount=discount,
        revenue=revenue,
        goods=goods,
        handling=baskets * costs.handling,
        clearing=redeemed * costs.clearing,
        baskets=baskets,
        households=households,
        lines=lines,
    )


def statement(totals: Mapping[str, Total]) -> pd.DataFrame:
    """Profit and loss as rows (item) by spans (columns), costs as negative numbers, in dollars."""
    rows: list[tuple[str, str, int]] = [
        ("List value of goods sold", "list_value", 1),
        ("Retailer's discounts", "discount", -1),
        ("Revenue", "revenue", 1),
        ("Cost of goods (assumed)", "goods", -1),
        ("Gross margin", "margin", 1),
        ("Handling (assumed)", "handling", -1),
        ("Coupon clearing (assumed)", "clearing", -1),
        ("Profit", "profit", 1),
    ]
    columns = {name: [sign * getattr(total, key) for _, key, sign in rows] for name, total in totals.items()}
    return pd.DataFrame({"item": [item for item, _, _ in rows], **columns})


def daily(connection: duckdb.DuckDBPyConnection, costs: Costs) -> pd.DataFrame:
    """One row a trading day up to the as-of day: the sums of `Total` with margin and profit, in dollars."""
    frame = connection.execute(f"""
        SELECT money.*, baskets, households, lines, redeemed
        FROM days JOIN (SELECT day, {MONEY} FROM sales_by_day GROUP BY day) money USING (day)
             LEFT JOIN (SELECT day, count(*) AS redeemed FROM redemptions GROUP BY day) USING (day)
        ORDER BY day""").df()
    margin = frame["revenue"] - frame["goods"]
    handling = frame["baskets"] * costs.handling
    clearing = frame["redeemed"].fillna(0) * costs.clearing
    return frame.drop(columns="redeemed").assign(
        margin=margin, handling=handling, clearing=clearing, profit=margin - handling - clearing
    )


def by_department(connection: duckdb.DuckDBPyConnection, span: Span) -> pd.DataFrame:
    """One row a department with its list value, discount, revenue, goods and margin in dollars, largest first.

    The first SHOWN_DEPARTMENTS by revenue keep their names; the others are one last row, OTHER.
    """
    frame = connection.execute(
        f"""
        WITH sums AS (
            SELECT department, sum(list_value) AS list_value, sum(discount) AS discount, sum(revenue) AS revenue,
                   sum(goods) AS goods, row_number() OVER (ORDER BY sum(revenue) DESC, department) AS place
            FROM sales_by_day WHERE day BETWEEN ? AND ? GROUP BY department)
        SELECT if(place <= {SHOWN_DEPARTMENTS}, department, 'OTHER') AS department, {MONEY}
        FROM sums GROUP BY 1 ORDER BY min(place)""",
        [span.first, span.last],
    ).df()
    return frame.assign(margin=frame["revenue"] - frame["goods"])


def by_store_group(connection: duckdb.DuckDBPyConnection, span: Span) -> pd.DataFrame:
    """One row a size group of shops (large, medium, small) with its sums in dollars and counts.

    The data name no region or format, so shops are grouped by size: baskets a week over the 13 weeks up to the span's
    last day, or over as many as the data hold. The group of a shop can therefore change from one report to the next; a
    shop without a basket in those weeks is small.
    """
    frame = connection.execute(
        f"""
        WITH size AS (
            SELECT store_id, count(DISTINCT basket_id) / any_value(weeks) AS weekly
            FROM visits, (SELECT greatest(1, least(13, (CAST($last AS DATE) - min(day) + 1) / 7)) AS weeks FROM days)
            WHERE day BETWEEN CAST($last AS DATE) - 90 AND $last GROUP BY store_id),
        grouped AS (
            SELECT store_id, CASE WHEN weekly >= {LARGE} THEN 'Large' WHEN weekly >= {MEDIUM} THEN 'Medium'
                                  ELSE 'Small' END AS store_group FROM size)
        SELECT coalesce(store_group, 'Small') AS store_group, count(DISTINCT store_id) AS stores, {MONEY},
               count(DISTINCT basket_id) AS baskets, count(DISTINCT household_id) AS households,
               CAST(sum(lines) AS BIGINT) AS lines
        FROM sales LEFT JOIN grouped USING (store_id) WHERE day BETWEEN $first AND $last
        GROUP BY 1 ORDER BY 1""",
        {"first": span.first, "last": span.last},
    ).df()
    return frame.assign(margin=frame["revenue"] - frame["goods"])


@dataclass(frozen=True)
class Bridge:
    """Why profit changed between two spans, in dollars; the five steps sum to the change exactly.

    With L list value, m the margin on list value and index 0 the prior span: volume (L1 - L0) m0; mix, the departments'
    shift at their prior margins (of a new department, at its margin before discounts); discounts, the departments'
    discount rates at today's volume; handling and clearing as they are. The assumed cost shares are the same in both
    spans, so there is no step for unit costs.
    """

    before: float
    volume: float
    mix: float
    discounts: float
    handling: float
    clearing: float
    after: float

    @property
    def steps(self) -> dict[str, float]:
        """The steps between before and after."""
        return {field.name: getattr(self, field.name) for field in fields(self)[1:-1]}


def bridge(connection: duckdb.DuckDBPyConnection, now: Span, before: Span, costs: Costs) -> Bridge:
    """The bridge of profit from the span `before` to the span `now`. Raises ValueError when either sold nothing."""
    one, zero = total(connection, now, costs), total(connection, before, costs)
    if not one.list_value or not zero.list_value:
        raise ValueError("A bridge needs sales in both spans.")
    both = _departments(connection, now, before)
    rate0 = zero.margin / zero.list_value
    volume = (one.list_value - zero.list_value) * rate0
    kept = both["margin0"].div(both["list0"]).where(both["list0"] > 0, both["full1"].div(both["list1"])).fillna(0.0)
    mix = float((both["list1"] * kept).sum()) - one.list_value * rate0
    discounts = float((both["margin1"] - both["list1"] * kept).sum())
    return Bridge(
        zero.profit, volume, mix, discounts, zero.handling - one.handling, zero.clearing - one.clearing, one.profit
    )


def _departments(connection: duckdb.DuckDBPyConnection, now: Span, before: Span) -> pd.DataFrame:
    """List value and margin of every department in both spans, in dollars, zero where it sold nothing.

    full1 is the margin that the present span would have brought without discounts.
    """
    frame: pd.DataFrame = connection.execute(
        """
        SELECT department,
               CAST(coalesce(sum(list_value) FILTER (WHERE day BETWEEN $a AND $b), 0) AS DOUBLE) AS list1,
               CAST(coalesce(sum(revenue - goods) FILTER (WHERE day BETWEEN $a AND $b), 0) AS DOUBLE) AS margin1,
               CAST(coalesce(sum(list_value - goods) FILTER (WHERE day BETWEEN $a AND $b), 0) AS DOUBLE) AS full1,
               CAST(coalesce(sum(list_value) FILTER (WHERE day BETWEEN $c AND $d), 0) AS DOUBLE) AS list0,
               CAST(coalesce(sum(revenue - goods) FILTER (WHERE day BETWEEN $c AND $d), 0) AS DOUBLE) AS margin0
        FROM sales_by_day GROUP BY department ORDER BY department""",
        {"a": now.first, "b": now.last, "c": before.first, "d": before.last},
    ).df()
    return frame
