"""Growth: what each day brought in, whether it is whole, whether two systems agree on it, and how it adds up.

Every function takes a connection made by `runner.notebook.warehouse.connect`, which sees nothing later than its as-of
day. Households are de-identified loyalty-card holders; "new" is first seen in these data, so the first weeks, in which
almost everyone is seen for the first time, are a burn-in and count for nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import pandas as pd

from runner.metrics.opening import silent_hours
from runner.metrics.periods import Span

#: Days at the start of the data in which a first sight says nothing of acquisition.
BURN_IN = 91
#: What a day is recorded as, for the reports that rest on it.
RECORDED = ("lines", "baskets", "households", "new_households", "revenue", "redemptions")


def daily(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row a trading day: lines, baskets, households, new households, revenue (dollars), redemptions."""
    frame: pd.DataFrame = connection.execute("""
        WITH first AS (SELECT household_id, min(day) AS day FROM visits GROUP BY household_id),
        fresh AS (SELECT day, count(*) AS new_households FROM first GROUP BY day),
        redeemed AS (SELECT day, count(*) AS redemptions FROM redemptions GROUP BY day)
        SELECT day, lines, baskets, households, coalesce(new_households, 0) AS new_households,
               CAST(revenue AS DOUBLE) AS revenue, coalesce(redemptions, 0) AS redemptions
        FROM days LEFT JOIN fresh USING (day) LEFT JOIN redeemed USING (day) ORDER BY day""").df()
    return frame


def hours(connection: duckdb.DuckDBPyConnection, day: date, weeks: int = 8) -> pd.DataFrame:
    """Till lines by hour (24 rows): the day's, and the median, least and most of the same weekday before it."""
    frame: pd.DataFrame = connection.execute(
        """
        WITH hour AS (SELECT unnest(range(24)) AS hour),
        known AS (SELECT day FROM days
                  WHERE day < $day AND day >= $day - 7 * $weeks::INTEGER AND isodow(day) = isodow($day)),
        counts AS (SELECT day, hour(sold_at) AS hour, CAST(sum(lines) AS BIGINT) AS lines FROM visits
                   WHERE day = $day OR day IN (SELECT day FROM known) GROUP BY ALL),
        past AS (SELECT known.day, hour.hour, coalesce(lines, 0) AS lines
                 FROM known CROSS JOIN hour LEFT JOIN counts ON counts.day = known.day AND counts.hour = hour.hour)
        SELECT hour.hour, coalesce(any_value(counts.lines), 0) AS lines, median(past.lines) AS usual,
               min(past.lines) AS least, max(past.lines) AS most
        FROM hour LEFT JOIN counts ON counts.hour = hour.hour AND counts.day = $day
             LEFT JOIN past ON past.hour = hour.hour
        GROUP BY hour.hour ORDER BY hour.hour""",
        {"day": day, "weeks": weeks},
    ).df()
    return frame


@dataclass(frozen=True)
class Completeness:
    """How whole a day is: hours without a line that always have some, and its volume against the usual one."""

    silent_hours: tuple[int, ...]
    volume: float  # lines of the day / usual lines of that weekday; nan without history

    @property
    def is_whole(self) -> bool:
        """No silent hour."""
        return not self.silent_hours


def completeness(by_hour: pd.DataFrame, closing: int = 24) -> Completeness:
    """Judge a day from the frame of `hours`: an hour is silent when it has no line and was always busy before.

    `closing` is the hour from which nothing is expected on this day (early closing on a holiday).
    """
    columns = (by_hour[name].fillna(0) for name in ("lines", "least"))
    lines, least = (dict(zip(map(int, by_hour["hour"]), column, strict=True)) for column in columns)
    silent = silent_hours(lines, least, closing)
    usual = float(by_hour["usual"].sum())
    volume = float(by_hour["lines"].sum()) / usual if usual else float("nan")
    return Completeness(silent, volume)


#: How a household's coupons of a day compare between till and coupon system.
MATCHED = "matched"
OUTSIDE = "till only, not a campaign coupon"
NO_REDEMPTION = "till only, campaign coupon"
NO_DISCOUNT = "redemption only"


def reconcile(connection: duckdb.DuckDBPyConnection, span: Span) -> pd.DataFrame:
    """One row a household and day with a coupon in either system: till lines, discount in dollars, redemptions, status.

    The till knows every coupon; the coupon system only those of campaigns. A till coupon on products that no running
    campaign of that household covers is explained (a newspaper's, say). What is left unexplained is NO_REDEMPTION (the
    campaign's coupon at the till, nothing in the coupon system) and NO_DISCOUNT (redeemed, no discount at the till).
    """
    frame: pd.DataFrame = connection.execute(
        f"""
        WITH coupon AS MATERIALIZED (
            SELECT household_id, day, product_id, coupon_disc FROM transactions
            WHERE coupon_disc > 0 AND day BETWEEN $first AND $last),
        covered AS (
            SELECT DISTINCT coupon.household_id, coupon.day
            FROM coupon JOIN assignments a USING (household_id)
                 JOIN experiments e ON e.experiment = a.experiment AND coupon.day BETWEEN e.starts_on AND e.ends_on
                 JOIN coupons c ON c.experiment = e.experiment AND c.product_id = coupon.product_id),
        till AS (
            SELECT household_id, day, count(*) AS till_lines, CAST(sum(coupon_disc) AS DOUBLE) AS discount,
                   (household_id, day) IN (SELECT (household_id, day) FROM covered) AS is_covered
            FROM coupon GROUP BY household_id, day),
        system AS (SELECT household_id, day, count(*) AS redemptions FROM redemptions
                   WHERE day BETWEEN $first AND $last GROUP BY household_id, day)
        SELECT day, household_id, coalesce(till_lines, 0) AS till_lines, coalesce(discount, 0.0) AS discount,
               coalesce(redemptions, 0) AS redemptions,
               CASE WHEN till_lines IS NOT NULL AND redemptions IS NOT NULL THEN '{MATCHED}'
                    WHEN till_lines IS NULL THEN '{NO_DISCOUNT}'
                    WHEN is_covered THEN '{NO_REDEMPTION}' ELSE '{OUTSIDE}' END AS status
        FROM till FULL JOIN system USING (household_id, day)
        ORDER BY day, status, household_id""",
        {"first": span.first, "last": span.last},
    ).df()
    return frame


def remainder(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a day of `reconcile`'s frame: pairs, unexplained pairs, and their share (0 to 1)."""
    unexplained = pairs["status"].isin([NO_REDEMPTION, NO_DISCOUNT])
    days = pairs.assign(unexplained=unexplained).groupby("day", as_index=False)
    frame = days.agg(pairs=("status", "size"), unexplained=("unexplained", "sum"))
    return frame.assign(share=frame["unexplained"] / frame["pairs"])


def missing(recorded: Collection[date], span: Span, closed: Collection[date]) -> list[date]:
    """Days of the span that were not recorded although the shops were open, in order."""
    known = set(recorded) | set(closed)
    return [day for day in span.days() if day not in known]


def weekly(records: pd.DataFrame, last: date) -> pd.DataFrame:
    """Whole weeks that end on the weekday of `last`: sums of revenue, baskets, new households; growth as shares.

    `records` has one row a day (columns `day` and RECORDED). growth is against the week before, growth_4 against the
    week four before (nan where there is none). The first, part week is left out.
    """
    frame = records.assign(week=[(last - day.date()).days // 7 for day in pd.to_datetime(records["day"])])
    sums = frame.groupby("week").agg(
        days=("day", "size"), revenue=("revenue", "sum"), baskets=("baskets", "sum"), new=("new_households", "sum")
    )
    span = (last - pd.to_datetime(records["day"]).min().date()).days + 1
    sums = sums[sums.index < span // 7].sort_index(ascending=False)
    ends = [last - timedelta(days=7 * int(week)) for week in sums.index]
    return sums.assign(
        week_ending=pd.to_datetime(ends),
        growth=sums["revenue"].pct_change(),
        growth_4=sums["revenue"].pct_change(4),
    ).reset_index(drop=True)


def cohorts(connection: duckdb.DuckDBPyConnection, as_of: date, burn_in: date) -> pd.DataFrame:
    """Households by the month they were first seen in: how many, and the share of them active in each later month.

    Columns: cohort (first of the month), households, m0, m1, … (shares 0 to 1; NaN where the month is not over by
    `as_of`). Months that begin before `burn_in` are left out: who was seen then had mostly been a customer before.
    """
    frame = connection.execute(
        """
        WITH first AS (SELECT household_id, date_trunc('month', min(day)) AS cohort
                       FROM visits GROUP BY household_id),
        active AS (SELECT DISTINCT household_id, date_trunc('month', day) AS month FROM visits)
        SELECT CAST(cohort AS DATE) AS cohort, CAST(datediff('month', cohort, month) AS INTEGER) AS age,
               count(*) AS active
        FROM first JOIN active USING (household_id) WHERE cohort >= ? GROUP BY ALL ORDER BY ALL""",
        [burn_in],
    ).df()
    if frame.empty:
        return pd.DataFrame(columns=["cohort", "households"])
    wide = frame.pivot_table(index="cohort", columns="age", values="active", aggfunc="sum")
    wide = wide.reindex(columns=range(int(wide.columns.max()) + 1))
    size = wide[0].copy()
    shares = wide.div(size, axis=0)
    for cohort in shares.index:
        for age in shares.columns:
            if _month_end(cohort, int(age)) > as_of:
                shares.loc[cohort, age] = float("nan")
            elif pd.isna(shares.loc[cohort, age]):
                shares.loc[cohort, age] = 0.0
    shares.columns = [f"m{age}" for age in shares.columns]
    shares.insert(0, "households", size.to_numpy(dtype=int))
    return shares.reset_index()


def _month_end(cohort: pd.Timestamp, age: int) -> date:
    end: date = (cohort + pd.offsets.MonthEnd(0) + pd.offsets.MonthEnd(age)).date()
    return end


def active_households(connection: duckdb.DuckDBPyConnection, span: Span) -> int:
    """Households with at least one basket in the span."""
    row = connection.execute(
        "SELECT count(DISTINCT household_id) FROM visits WHERE day BETWEEN ? AND ?", [span.first, span.last]
    ).fetchone()
    return int(row[0]) if row else 0


def active_every_week(connection: duckdb.DuckDBPyConnection, last: date, weeks: int) -> list[int]:
    """Households with a basket in four weeks, for each of the `weeks` weeks' ends up to `last`, the oldest first."""
    rows = connection.execute(
        """
        WITH seen AS (SELECT DISTINCT household_id, (CAST($last AS DATE) - day) // 7 AS week FROM visits
                      WHERE day > CAST($last AS DATE) - 7 * (CAST($weeks AS INTEGER) + 3) AND day <= $last)
        SELECT count(DISTINCT household_id)
        FROM range($weeks) ends (week) LEFT JOIN seen ON seen.week BETWEEN ends.week AND ends.week + 3
        GROUP BY ends.week ORDER BY ends.week DESC""",
        {"last": last, "weeks": weeks},
    ).fetchall()
    return [int(row[0]) for row in rows]
