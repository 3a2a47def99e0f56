"""Unit-level profit of an experiment: households by arm, their baskets, and the sums that the statistics need.

The unit is the household. Known units are those seen before the experiment's start; the treated are those the campaign
was sent to. A unit without a purchase in the window counts, with a profit of zero (or minus what contacting it cost).
The comparison window has the same length and the same weekdays, in the weeks just before the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import pandas as pd

from runner.metrics.periods import Span, same_weekdays_before
from runner.metrics.profit import Costs


@dataclass(frozen=True)
class Experiment:
    """One campaign: its number, kind, first and last day."""

    number: int
    kind: str
    span: Span


@dataclass(frozen=True)
class Windows:
    """The days looked at: since the start, the same weekdays before it, and before those (for the placebo)."""

    now: Span
    pre: Span
    placebo: Span
    is_over: bool


def experiment(connection: duckdb.DuckDBPyConnection, number: int) -> Experiment | None:
    """The experiment with that number, or None."""
    row = connection.execute(
        "SELECT experiment, kind, starts_on, ends_on FROM experiments WHERE experiment = ?", [number]
    ).fetchone()
    return Experiment(row[0], row[1], Span(row[2], row[3])) if row else None


def windows(span: Span, as_of: date) -> Windows:
    """The windows of an experiment as seen at the end of the day `as_of`. Raises ValueError before its start."""
    if as_of < span.first:
        raise ValueError(f"The experiment starts on {span.first}, after the as-of day {as_of}.")
    now = Span(span.first, min(as_of, span.last))
    back = same_weekdays_before(now)
    return Windows(now, now.back(back), now.back(2 * back), is_over=as_of >= span.last)


#: What a unit earned in a window before, of its baskets; and its profit since the start.
_EARNED = "sum(revenue - goods) FILTER ({then}) - $handling * count(*) FILTER ({then})"
_PROFIT = "revenue - goods - baskets * $handling - coupons * $clearing - if(is_treated, $contact, 0)"
_MOMENTS = """
    if(is_treated, 'treated', 'control') AS arm, count(*) AS n, sum({y}) AS y, sum({y} * {y}) AS yy,
    sum({x}) AS x, sum({x} * {x}) AS xx, sum({x} * {y}) AS xy
"""


def collect(connection: duckdb.DuckDBPyConnection, experiment: int, windows: Windows, costs: Costs) -> None:
    """Make the table `units`: one row a known household with its arm and, in dollars, its sums in each window.

    profit is after contacting (treated units, once); pre and placebo are the profits of the two windows before.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE units AS
        WITH known AS (SELECT household_id FROM visits WHERE day < $first GROUP BY household_id),
        treated AS (SELECT DISTINCT household_id FROM assignments WHERE experiment = $experiment),
        basket AS (
            SELECT household_id, basket_id,
                   CASE WHEN day >= $first THEN 'now' WHEN day BETWEEN $pre_first AND $pre_last THEN 'pre'
                        WHEN day <= $old_last THEN 'placebo' END AS time,
                   sum(list_value) AS list_value, sum(discount) AS discount, sum(revenue) AS revenue,
                   sum(goods) AS goods
            FROM sales WHERE day BETWEEN $old_first AND $last GROUP BY ALL),
        sums AS (
            SELECT household_id, sum(list_value) FILTER (time = 'now') AS list_value,
                   sum(discount) FILTER (time = 'now') AS discount, sum(revenue) FILTER (time = 'now') AS revenue,
                   sum(goods) FILTER (time = 'now') AS goods, count(*) FILTER (time = 'now') AS baskets,
                   {_EARNED.format(then="time = 'pre'")} AS pre, {_EARNED.format(then="time = 'placebo'")} AS placebo
            FROM basket GROUP BY household_id),
        redeemed AS (SELECT household_id, count(*) AS coupons FROM redemptions
                     WHERE day BETWEEN $first AND $last AND experiment = $experiment GROUP BY household_id),
        flat AS (
            SELECT household_id, treated.household_id IS NOT NULL AS is_treated,
                   CAST(coalesce(list_value, 0) AS DOUBLE) AS list_value,
                   CAST(coalesce(discount, 0) AS DOUBLE) AS discount, CAST(coalesce(revenue, 0) AS DOUBLE) AS revenue,
                   CAST(coalesce(goods, 0) AS DOUBLE) AS goods, coalesce(baskets, 0) AS baskets,
                   coalesce(coupons, 0) AS coupons, CAST(coalesce(pre, 0) AS DOUBLE) AS pre,
                   CAST(coalesce(placebo, 0) AS DOUBLE) AS placebo
            FROM known LEFT JOIN treated USING (household_id) LEFT JOIN sums USING (household_id)
                 LEFT JOIN redeemed USING (household_id))
        SELECT *, baskets * $handling AS handling, coupons * $clearing AS clearing,
               if(is_treated, $contact, 0) AS contact, {_PROFIT} AS profit
        FROM flat ORDER BY household_id""",
        {
            "experiment": experiment,
            "first": windows.now.first,
            "last": windows.now.last,
            "pre_first": windows.pre.first,
            "pre_last": windows.pre.last,
            "old_first": windows.placebo.first,
            "old_last": windows.placebo.last,
            "handling": costs.handling,
            "clearing": costs.clearing,
            "contact": costs.contact,
        },
    )


def by_arm(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row an arm (Treated first): units, active units, baskets and the sums in dollars."""
    frame: pd.DataFrame = connection.execute("""
        SELECT if(is_treated, 'Treated', 'Not treated') AS arm, count(*) AS units,
               count(*) FILTER (WHERE baskets > 0) AS active, CAST(sum(baskets) AS BIGINT) AS baskets,
               CAST(sum(coupons) AS BIGINT) AS coupons, sum(list_value) AS list_value, sum(discount) AS discount,
               sum(revenue) AS revenue, sum(goods) AS goods, sum(handling) AS handling, sum(clearing) AS clearing,
               sum(contact) AS contact, sum(profit) AS profit
        FROM units GROUP BY is_treated ORDER BY is_treated DESC""").df()
    return frame


def moments(connection: duckdb.DuckDBPyConnection, outcome: str, before: str) -> dict[str, dict[str, float]]:
    """By arm: n and the sums of y, y², x, x² and xy, with y = `outcome` and x = `before` (columns of `units`)."""
    known = {"profit", "pre", "placebo", "revenue", "baskets"}
    if not {outcome, before} <= known:
        raise ValueError(f"Moments are taken of {', '.join(sorted(known))}, not of {outcome!r} and {before!r}.")
    sums = _MOMENTS.format(y=outcome, x=before)
    found = connection.execute(f"SELECT {sums} FROM units GROUP BY is_treated ORDER BY is_treated DESC").fetchall()
    return {arm: _named(sums) for arm, *sums in found}


def _named(sums: Sequence[float]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(("n", "y", "yy", "x", "xx", "xy"), sums, strict=True)}


def looks(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, days: Sequence[date], costs: Costs
) -> dict[date, dict[str, dict[str, float]]]:
    """By day and arm: the `moments` of profit and pre as they were on those days, the lines being read once.

    Needs the table `units`, which `collect` makes: who is known and who is treated is the same on every day. Raises
    ValueError on a day before the experiment's start.
    """
    every = (windows(experiment.span, day) for day in days)
    seen = list({one.now.last: one for one in every}.values())  # a day after the end is that of the end
    rows = [f"(DATE '{one.now.last}', DATE '{one.pre.first}', DATE '{one.pre.last}')" for one in seen]
    found = connection.execute(
        f"""
        WITH look (last, pre_first, pre_last) AS (VALUES {", ".join(rows)}),
        basket AS (
            SELECT household_id, basket_id, day, day >= $first AS is_now, sum(revenue) AS revenue, sum(goods) AS goods
            FROM sales WHERE day BETWEEN $begin AND $end GROUP BY ALL),
        seen AS (
            SELECT last, household_id, basket_id, is_now, sum(revenue) AS revenue, sum(goods) AS goods
            FROM basket JOIN look ON is_now AND day <= last OR day BETWEEN pre_first AND pre_last GROUP BY ALL),
        sums AS (
            SELECT last, household_id, sum(revenue) FILTER (is_now) AS revenue, sum(goods) FILTER (is_now) AS goods,
                   count(*) FILTER (is_now) AS baskets, {_EARNED.format(then="NOT is_now")} AS pre
            FROM seen GROUP BY ALL),
        redeemed AS (SELECT last, household_id, count(*) AS coupons FROM redemptions JOIN look ON day <= last
                     WHERE day >= $first AND experiment = $experiment GROUP BY ALL),
        flat AS (
            SELECT last, is_treated, CAST(coalesce(sums.revenue, 0) AS DOUBLE) AS revenue,
                   CAST(coalesce(sums.goods, 0) AS DOUBLE) AS goods, coalesce(sums.baskets, 0) AS baskets,
                   coalesce(redeemed.coupons, 0) AS coupons, CAST(coalesce(sums.pre, 0) AS DOUBLE) AS pre
            FROM units CROSS JOIN look LEFT JOIN sums USING (last, household_id)
                 LEFT JOIN redeemed USING (last, household_id)),
        unit AS (SELECT last, is_treated, pre, {_PROFIT} AS profit FROM flat)
        SELECT last, {_MOMENTS.format(y="profit", x="pre")}
        FROM unit GROUP BY last, is_treated ORDER BY last, is_treated DESC""",
        {
            "experiment": experiment.number,
            "first": experiment.span.first,
            "begin": min(one.pre.first for one in seen),
            "end": max(one.now.last for one in seen),
            "handling": costs.handling,
            "clearing": costs.clearing,
            "contact": costs.contact,
        },
    ).fetchall()
    by_day: dict[date, dict[str, dict[str, float]]] = {one.now.last: {} for one in seen}
    for last, arm, *sums in found:
        by_day[last][arm] = _named(sums)
    return by_day


def deciles(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Mean profit a unit in dollars by tenth of each arm, from the least to the most profitable."""
    frame: pd.DataFrame = connection.execute("""
        WITH ranked AS (
            SELECT is_treated, profit, baskets,
                   ntile(10) OVER (PARTITION BY is_treated ORDER BY profit, household_id) AS tenth FROM units)
        SELECT tenth, avg(profit) FILTER (WHERE is_treated) AS treated,
               avg(profit) FILTER (WHERE NOT is_treated) AS not_treated
        FROM ranked GROUP BY tenth ORDER BY tenth""").df()
    return frame


def baskets(connection: duckdb.DuckDBPyConnection, span: Span, costs: Costs) -> pd.DataFrame:
    """Per arm, what an average basket of the known units brings, in dollars, from list value down to profit."""
    frame: pd.DataFrame = connection.execute(
        """
        WITH basket AS (
            SELECT basket_id, any_value(is_treated) AS is_treated, sum(l.list_value) AS list_value,
                   sum(l.discount) AS discount, sum(l.revenue) AS revenue, sum(l.goods) AS goods, sum(l.lines) AS lines
            FROM sales l JOIN units USING (household_id) WHERE day BETWEEN ? AND ? GROUP BY basket_id)
        SELECT if(is_treated, 'Treated', 'Not treated') AS arm, count(*) AS baskets, avg(lines) AS lines,
               avg(list_value) AS list_value, avg(discount) AS discount, avg(revenue) AS revenue, avg(goods) AS goods,
               avg(revenue - goods) - ? AS profit,
               count(*) FILTER (WHERE revenue - goods < ?) / count(*) AS loss_making
        FROM basket GROUP BY is_treated ORDER BY is_treated DESC""",
        [span.first, span.last, costs.handling, costs.handling],
    ).df()
    return frame


def daily(connection: duckdb.DuckDBPyConnection, first: date, last: date, costs: Costs) -> pd.DataFrame:
    """Profit a unit and day, in dollars, by arm, before contact and clearing: one row a day from first to last.

    Zero on a day on which an arm bought nothing, nan for an arm without units.
    """
    days = pd.DataFrame({"day": pd.date_range(first, last)})
    frame = connection.execute(
        """
        SELECT day, is_treated, CAST(sum(margin) AS DOUBLE) - ? * count(*) AS profit
        FROM (SELECT day, basket_id, any_value(is_treated) AS is_treated, sum(l.revenue - l.goods) AS margin
              FROM sales l JOIN units USING (household_id) WHERE day BETWEEN ? AND ? GROUP BY day, basket_id)
        GROUP BY day, is_treated""",
        [costs.handling, first, last],
    ).df()
    sizes = dict(connection.execute("SELECT is_treated, count(*) FROM units GROUP BY is_treated").fetchall())
    for arm, name in ((True, "treated"), (False, "not_treated")):
        profit = frame[frame["is_treated"] == arm].set_index("day")["profit"].reindex(days["day"], fill_value=0.0)
        days[name] = profit.to_numpy(dtype=float) / sizes[arm] if arm in sizes else float("nan")
    return days


def overlap(connection: duckdb.DuckDBPyConnection, experiment: int, span: Span) -> dict[str, float]:
    """Share of each arm's units that were in another campaign running in the same days (0 to 1)."""
    rows = connection.execute(
        """
        WITH other AS (SELECT DISTINCT household_id FROM assignments JOIN experiments USING (experiment)
                       WHERE experiment <> ? AND starts_on <= ? AND ends_on >= ?)
        SELECT if(is_treated, 'treated', 'control'), count(other.household_id) / count(*)
        FROM units LEFT JOIN other USING (household_id) GROUP BY is_treated""",
        [experiment, span.last, span.first],
    ).fetchall()
    return {str(arm): float(share) for arm, share in rows}
