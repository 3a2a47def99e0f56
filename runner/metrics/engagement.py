"""Engagement: how often households come, for how long, when, and whether they come back.

An interaction is a visit (one basket) or a redeemed coupon. A basket carries one time stamp, so a duration exists only
for a session of several baskets: visits of one household that follow each other within GAP minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pandas as pd

from runner.metrics.periods import Span

#: Minutes after a basket within which the next one of the same household belongs to the same session.
GAP = 30


@dataclass(frozen=True)
class Week:
    """Interactions of a span: visits, till lines, coupons redeemed, and the households behind them."""

    visits: int
    lines: int
    redemptions: int
    households: int

    @property
    def interactions(self) -> int:
        """Visits and redeemed coupons together."""
        return self.visits + self.redemptions

    @property
    def visits_each(self) -> float:
        """Visits an active household; nan when there is none."""
        return self.visits / self.households if self.households else float("nan")


def week(connection: duckdb.DuckDBPyConnection, span: Span) -> Week:
    """The interactions of a span of days."""
    row = connection.execute(
        """SELECT count(DISTINCT basket_id), coalesce(CAST(sum(lines) AS BIGINT), 0), count(DISTINCT household_id)
           FROM visits WHERE day BETWEEN ? AND ?""",
        [span.first, span.last],
    ).fetchone() or (0, 0, 0)
    redeemed = connection.execute(
        "SELECT count(*) FROM redemptions WHERE day BETWEEN ? AND ?", [span.first, span.last]
    ).fetchone() or (0,)
    return Week(int(row[0]), int(row[1]), int(redeemed[0]), int(row[2]))


def daily(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row a trading day: visits, households, revenue (dollars), redemptions, interactions."""
    frame = connection.execute("""
        SELECT day, baskets AS visits, households, CAST(revenue AS DOUBLE) AS revenue,
               coalesce(redemptions, 0) AS redemptions
        FROM days LEFT JOIN (SELECT day, count(*) AS redemptions FROM redemptions GROUP BY day) USING (day)
        ORDER BY day""").df()
    return frame.assign(interactions=frame["visits"] + frame["redemptions"])


@dataclass(frozen=True)
class Sessions:
    """Sessions of a span; the median minutes rest on the `timed` ones alone (nan when there is none)."""

    count: int
    timed: int
    median_minutes: float
    longest_minutes: float

    @property
    def timed_share(self) -> float:
        """Share of sessions that have a duration (0 to 1); nan without sessions."""
        return self.timed / self.count if self.count else float("nan")


SESSIONS = f"""
    WITH visit AS (SELECT household_id, basket_id, min(sold_at) AS came FROM visits
                   WHERE day BETWEEN ? AND ? GROUP BY household_id, basket_id),
    gap AS (SELECT *, came - lag(came) OVER (PARTITION BY household_id ORDER BY came, basket_id) AS since FROM visit),
    numbered AS (SELECT *, count(*) FILTER (WHERE since IS NULL OR since > INTERVAL {GAP} MINUTE)
                        OVER (PARTITION BY household_id ORDER BY came, basket_id) AS session FROM gap),
    session AS (SELECT household_id, session, count(*) AS baskets, epoch(max(came) - min(came)) / 60 AS minutes
                FROM numbered GROUP BY household_id, session)
"""


def sessions(connection: duckdb.DuckDBPyConnection, span: Span) -> Sessions:
    """Sessions that lie in the span; durations in minutes from the first basket to the last."""
    row = connection.execute(
        f"""{SESSIONS} SELECT count(*), count(*) FILTER (WHERE baskets > 1),
            median(minutes) FILTER (WHERE baskets > 1), max(minutes) FROM session""",
        [span.first, span.last],
    ).fetchone() or (0, 0, None, None)
    nan = float("nan")
    median, longest = (nan if value is None else float(value) for value in row[2:])
    return Sessions(int(row[0]), int(row[1]), median, longest)


#: Upper edges of the bands of `durations`, in minutes.
EDGES = (2, 5, 10, 20, 30)


def durations(connection: duckdb.DuckDBPyConnection, span: Span) -> pd.DataFrame:
    """How long the sessions with a duration last: bands of minutes with their number of sessions."""
    cases = " ".join(f"WHEN minutes <= {edge} THEN {place}" for place, edge in enumerate(EDGES))
    rows = connection.execute(
        f"""{SESSIONS} SELECT CASE {cases} ELSE {len(EDGES)} END AS band, count(*) FROM session
            WHERE baskets > 1 GROUP BY band""",
        [span.first, span.last],
    ).fetchall()
    counts = dict(rows)
    lows = (0, *EDGES)
    dash = "\N{EN DASH}"
    names = [f"{low}{dash}{high} min" for low, high in zip(lows, EDGES, strict=False)] + [f"over {EDGES[-1]} min"]
    return pd.DataFrame({"duration": names, "sessions": [counts.get(place, 0) for place in range(len(names))]})


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def pattern(connection: duckdb.DuckDBPyConnection, span: Span) -> pd.DataFrame:
    """Visits by weekday (7 rows, Monday first) and hour (24 columns, 0 to 23) over the span."""
    frame = connection.execute(
        """SELECT isodow(sold_at) AS weekday, hour(sold_at) AS hour, count(DISTINCT basket_id) AS visits
           FROM visits WHERE day BETWEEN ? AND ? GROUP BY ALL""",
        [span.first, span.last],
    ).df()
    wide = frame.pivot_table(index="weekday", columns="hour", values="visits", aggfunc="sum")
    full = wide.reindex(index=range(1, 8), columns=range(24)).fillna(0).astype(int)
    return full.set_axis(pd.Index(DAYS, name="weekday"), axis=0)


def retention(connection: duckdb.DuckDBPyConnection, last_week: Span, weeks: int = 12) -> pd.DataFrame:
    """For each of the last weeks: households active, and the share of them who came again a week and four weeks later.

    Columns week_starting, households, next_week, fourth_week (shares 0 to 1, NaN where that week is not over yet).
    """
    start = last_week.first - timedelta(days=7 * (weeks - 1))
    frame: pd.DataFrame = connection.execute(
        """
        WITH active AS (SELECT DISTINCT household_id, CAST(date_trunc('week', day) AS DATE) AS week FROM visits
                        WHERE day BETWEEN $start AND $last)
        SELECT a.week AS week_starting, count(*) AS households,
               if(a.week + 7 <= $monday, count(b.household_id) / count(*), NULL) AS next_week,
               if(a.week + 28 <= $monday, count(c.household_id) / count(*), NULL) AS fourth_week
        FROM active a LEFT JOIN active b ON b.household_id = a.household_id AND b.week = a.week + 7
             LEFT JOIN active c ON c.household_id = a.household_id AND c.week = a.week + 28
        GROUP BY a.week ORDER BY a.week""",
        {"start": start, "last": last_week.last, "monday": last_week.first},
    ).df()
    return frame


@dataclass(frozen=True)
class Stickiness:
    """Active households an open day (mean), in the week, and in the four weeks that end with it."""

    daily: float
    weekly: int
    monthly: int

    @property
    def share(self) -> float:
        """Mean daily over four-weekly active households (0 to 1); nan when nobody came."""
        return self.daily / self.monthly if self.monthly else float("nan")


def stickiness(connection: duckdb.DuckDBPyConnection, last_week: Span) -> Stickiness:
    """How much of the four-weekly audience comes on an average open day (one with a sale) of the last week."""
    start = last_week.last - timedelta(days=27)
    row = connection.execute(
        """
        SELECT count(DISTINCT (household_id, day)) FILTER (WHERE day >= $monday)
                   / greatest(1, count(DISTINCT day) FILTER (WHERE day >= $monday)),
               count(DISTINCT household_id) FILTER (WHERE day >= $monday), count(DISTINCT household_id)
        FROM visits WHERE day BETWEEN $start AND $last""",
        {"monday": last_week.first, "start": start, "last": last_week.last},
    ).fetchone() or (0, 0, 0)
    return Stickiness(float(row[0]), int(row[1]), int(row[2]))
