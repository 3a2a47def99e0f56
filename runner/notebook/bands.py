"""Is today's figure in line? The band of `runner.metrics.outliers` as findings, one table and one chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from runner.errors import Trouble
from runner.metrics import outliers
from runner.metrics.opening import closed_days, closing_hour, special_days
from runner.metrics.outliers import Band, Rules
from runner.metrics.periods import Span
from runner.model import Finding, Level
from runner.notebook import charts
from runner.notebook.figures import shown

__all__ = [
    "LABELS",
    "UNITS",
    "Metric",
    "bands",
    "closed_days",
    "closing_hour",
    "draw",
    "finding",
    "gaps",
    "special_days",
    "special_note",
    "table",
]

#: Days that a chart of a band shows.
SHOWN_DAYS = 70


@dataclass(frozen=True)
class Metric:
    """One daily series that is watched: what a reader calls it, its unit, and the alarms a year that are accepted."""

    label: str
    unit: str = "count"
    budget: float = 4.0


def special_note(now: Span, before: Span, config: Mapping[str, Any]) -> str:
    """What a reader must know of special and closed days in two spans that are compared; empty where there are none."""
    said = []
    for name, span in (("", now), ("the days compared with, ", before)):
        special = special_days(span.first, span.last, config)
        if special:
            listed = ", ".join(f"{day.day} {day:%b} ({what})" for day, what in special.items())
            said.append(f"In {name}{span.text}: {listed}.")
    if said:
        said.append("A change between the two is then not by itself growth or decline.")
    open_now, open_before = (len(span) - len(closed_days(span.first, span.last, config)) for span in (now, before))
    if open_now != open_before:
        said.append(f"The shops were open on {open_now} days, against {open_before}.")
    return " ".join(said)


def bands(daily: pd.DataFrame, metrics: Mapping[str, Metric], config: Mapping[str, Any]) -> dict[str, Band]:
    """The band of each metric, a column of `daily` (one row a day, in order, with a column `day`)."""
    days = pd.to_datetime(daily["day"]).dt.date
    special = special_days(days.iloc[0], days.iloc[-1], config)
    return {
        name: outliers.band(days.to_numpy("datetime64[D]"), daily[name], special, Rules(budget=metric.budget))
        for name, metric in metrics.items()
    }


def finding(band: Band, metric: Metric) -> Finding:
    """Whether the band's last day is in line: pass, or warn when it is out of its usual range."""
    last = band.day()
    name = f"usual range of {metric.label.lower()}"
    observed = f"{metric.label}: {shown(last.observed, metric.unit)}"
    numbers = {
        "observed": _rounded(last.observed), "expected": _rounded(last.expected), "lower": _rounded(last.lower),
        "upper": _rounded(last.upper), "alarms_per_year": _rounded(band.alarms_per_year), "budget": metric.budget,
    }  # fmt: skip
    if not last.judged:
        why = f", the day is special ({last.annotated})." if last.annotated else f". {band.note}"
        return Finding(name, Level.PASS, f"{observed} is not judged{why}", None, numbers)
    usual = f"the usual range {shown(last.lower, metric.unit)} to {shown(last.upper, metric.unit)}"
    if last.flag == outliers.NONE:
        return Finding(name, Level.PASS, f"{observed} is within {usual}.", None, numbers)
    side = "above" if last.flag == outliers.HIGH else "below"
    return Finding(name, Level.WARN, f"{observed} is {side} {usual}.", Trouble.OUTLIER, numbers)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def gaps(daily: pd.DataFrame, column: str, config: Mapping[str, Any], back: int = 56) -> Finding:
    """Check the last `back` days: none missing, none zero, none twice, none a copy of another. Stop or pass.

    A copy is looked for only where `daily` has a column `revenue`: counts alone agree by chance, cents do not.
    """
    days = pd.to_datetime(daily["day"]).dt.date
    last = days.iloc[-1]
    first = max(days.iloc[0], last - timedelta(days=back - 1))
    closed = closed_days(first, last, config)
    wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    recent = daily[(days >= first).to_numpy()]
    stamps = pd.to_datetime(recent["day"]).to_numpy("datetime64[D]")
    numeric = recent.select_dtypes("number").to_numpy(dtype=float)
    copied = tuple(outliers.copied_days(stamps, numeric)) if "revenue" in recent else ()
    problems = {
        "missing": outliers.missing_days(stamps, [day for day in wanted if day not in closed]),
        "zero": outliers.zero_days(stamps, recent[column], closed),
        "double": tuple(outliers.duplicate_days(stamps)),
        "copied": copied,
    }
    found = [f"{len(listed)} {kind} ({listed[0].isoformat()} …)" for kind, listed in problems.items() if listed]
    text = f"Of the last {len(wanted)} days, {'; '.join(found)}." if found else (
        f"The last {len(wanted)} days are all there, each once; none is zero or a copy of another."
    )  # fmt: skip
    level = Level.STOP if found else Level.PASS
    counts = {kind: len(listed) for kind, listed in problems.items()}
    return Finding("every day present once", level, text, Trouble.DATA_INCOMPLETE if found else None, counts)


def table(found: Mapping[str, Band], metrics: Mapping[str, Metric]) -> pd.DataFrame:
    """One row a metric: the last day against its range, and the smallest changes that would have been noticed."""
    rows = []
    for name, band in found.items():
        last, least, unit = band.day(), band.minimum_detectable_change, metrics[name].unit
        rows.append(
            {
                "metric": metrics[name].label,
                "observed": shown(last.observed, unit),
                "expected": shown(last.expected, unit),
                "range": f"{shown(last.lower, unit)}\N{EN DASH}{shown(last.upper, unit)}",
                "verdict": _verdict(last),
                "drop": least.drop / 100,
                "rise": least.rise / 100,
                "budget": metrics[name].budget,
                "alarms": band.alarms_per_year,
            }
        )
    return pd.DataFrame(rows)


LABELS = {
    "range": "Usual range", "drop": "Smallest drop noticed", "rise": "Smallest rise noticed",
    "budget": "Alarms a year, aimed at", "alarms": "Alarms a year, so far",
}  # fmt: skip
UNITS = {
    "observed": "figure",
    "expected": "figure",
    "range": "figure",
    "drop": "percent",
    "rise": "percent",
    "budget": "number",
    "alarms": "number",
}


def _verdict(day: outliers.Day) -> str:
    if day.annotated:
        return "special day"
    if not day.judged:
        return "not judged yet"
    return {"none": "in line", "low": "low", "high": "high"}[day.flag]


def draw(axis: Axes, band: Band, metric: Metric) -> str:
    """Draw the last SHOWN_DAYS days in their band; returns a sentence for the chart's alt text."""
    place = slice(max(0, len(band) - SHOWN_DAYS), None)
    days, observed = band.dates[place], band.observed[place]
    flagged, special = band.flag[place] != outliers.NONE, band.annotated[place] != ""
    axis.fill_between(days, band.lower[place], band.upper[place], color=charts.BAND, label="Usual range")
    axis.plot(days, band.expected[place], color=charts.SKY, linewidth=0.9, label="Expected")
    axis.plot(days, observed, color=charts.NAVY, marker="o", markersize=2.2, label=metric.label)
    if special.any():
        axis.plot(days[special], observed[special], "D", color=charts.GOLD, markersize=4.5, label="Special day")
    if flagged.any():
        axis.plot(days[flagged], observed[flagged], "X", color=charts.RUST, markersize=6, label="Out of range")
    axis.set_ylim(bottom=0)
    axis.margins(x=0.01)
    charts.units(axis, metric.unit)
    charts.days(axis)
    axis.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.1, handlelength=1.4)
    return (
        f"{metric.label} of the last {len(days)} days against the usual range of each day; "
        f"{int(flagged.sum())} of them out of range, {int(special.sum())} special days."
    )
