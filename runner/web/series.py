"""Figures over time: each as it was told, the range it was expected in, what the checks said of it; and its curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from runner.ledger.history import Told
from runner.model import Finding, Level
from runner.notebook.figures import NUMERIC, shown
from runner.web.charts import Curve, Sample, curve


@dataclass(frozen=True)
class Point:
    """One figure of one report: the value as it was told, the range it was expected in, what the checks said of it.

    `doubt` is what a check said of this very figure, `doubts` what checks said of the report besides.
    """

    run: str
    period: str
    value: float | None
    text: str
    lower: float | None = None
    upper: float | None = None
    usual: str = ""
    doubt: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """One figure over time, oldest first, drawn where it is a number; `low` and `high` in words."""

    name: str
    label: str
    points: tuple[Point, ...]
    curve: Curve | None
    low: str = ""
    high: str = ""

    @property
    def has_range(self) -> bool:
        """Whether the expected range is known of any of its values."""
        return any(point.lower is not None for point in self.points)


def series_of(reports: Sequence[Told]) -> list[Series]:
    """Every figure that the newest report told, over the reports before it."""
    if not reports:
        return []
    points: dict[str, list[Point]] = {}
    for told in reports:
        for figure in told.figures:
            points.setdefault(figure.name, []).append(_point(told, figure.name))
    return [_series(figure.name, figure.label, figure.unit, points[figure.name]) for figure in reports[-1].figures]


def _series(name: str, label: str, unit: str, points: Sequence[Point]) -> Series:
    drawn = curve([Sample(point.value, point.lower, point.upper) for point in points])
    if drawn is None:
        return Series(name, label, tuple(points), None)
    values = [point.value for point in points if point.value is not None and math.isfinite(point.value)]
    return Series(name, label, tuple(points), drawn, printed(min(values), unit), printed(max(values), unit))


def _point(told: Told, name: str) -> Point:
    figure = next(one for one in told.figures if one.name == name)
    doubts = tuple(f"{one.check}: {one.message}" for one in told.findings if one.level is not Level.PASS)
    value = figure.value
    number = None if isinstance(value, str) else float(value)
    point = Point(told.run, period_words(told.period), number, figure.text, doubts=doubts)
    found = None if number is None else _range_of(told.findings, figure.label, number)
    if found is None:
        return point
    lower, upper = _number(found.numbers["lower"]), _number(found.numbers["upper"])
    usual = "" if lower is None or upper is None else f"{printed(lower, figure.unit)} to {printed(upper, figure.unit)}"
    doubt = found.message if found.level is not Level.PASS else ""
    others = tuple(text for text in doubts if not doubt or doubt not in text)
    return replace(point, lower=lower, upper=upper, usual=usual, doubt=doubt, doubts=others)


def _range_of(findings: Iterable[Finding], label: str, value: float) -> Finding | None:
    """The check that held this very number against a range: it observed the same, under the same name."""
    for one in findings:
        observed, what = _number(one.numbers.get("observed")), one.check.removeprefix("usual range of ").lower()
        same = observed is not None and abs(observed - value) <= 1e-4 + 1e-9 * abs(value)
        if same and {"lower", "upper"} <= set(one.numbers) and label.lower().startswith(what):
            return one
    return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def printed(value: float, unit: str) -> str:
    """A value as readers see it; one of a unit that is not known by its digits alone."""
    try:
        return shown(value, unit if unit in NUMERIC else "number")
    except ValueError:
        return f"{value:,.4g}"


def period_words(key: str) -> str:
    """A period for people, shortly: a day with its weekday; others as they are called."""
    try:
        day = date.fromisoformat(key)
    except ValueError:
        return key.replace("@", ", as of ")
    return f"{day:%a} {day.day} {day:%b %Y}" if len(key) == 10 else key
