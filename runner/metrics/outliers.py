"""Is this day's figure out of line? A band of weekday times level, learnt from the days before it alone.

How a day is judged. With x the day's figure and z = √x:

1. Expected: √expected = level x weekday factor. A weekday's factor is the median, over that weekday's last
   `Rules.weeks` ordinary days, of z over the mean z of the seven ordinary days up to it; the seven factors average 1.
   The level is an exponentially weighted mean of z / factor (weight `Rules.smoothing`).
2. Scale: 1.4826 x the median absolute one-step error of the last `Rules.window` ordinary days (the MAD about zero),
   once for rises on the square-root scale, where counts have an even spread, and once for drops on the log scale,
   where the lower bound never reaches zero, so that a day without figures is always below it.
3. Width: upper = (√expected + k·scale)², lower = expected·exp(-k·scale), and neither is nearer to the expected
   figure than `Rules.least`. A zero counts as half the smallest ordinary day so far. Where the lower bound comes
   down to that, or a quarter of the ordinary days are zero, it is 0 and no drop is detectable: zeros are ordinary.
4. k is calibrated to `Rules.budget` alarms a year, so q = budget / 365 alarms a day. A past day's score is the larger
   of its rise and its drop in scales (at most 10). With u the score that the highest tenth of all past scores exceed
   and b = median(excess over u) / ln 2, an exponential tail gives k = u + b·ln(0.1 / q), the score that a share q of
   days exceeds. The median lets a run of faulty days leave k as it was. k is at least the normal two-sided quantile
   of q (2.54 at four a year) times 1 + 7/n, n the number of past scores: wider while there is little history.

Days that teach nothing. Annotated days (holidays and their neighbours, launches, closed days) are shown with their
name, never flagged, and leave level, factors, scales and k alone. Flagged days leave level, factors and scales alone;
their scores do count for k, for else each false alarm would narrow the band and bring the next. Seven flagged days in
a row on one side, zeros not counted, are a new level and not an outlier: it is taken up from then on (`Band.shifts`).
Nothing is flagged in the first `Rules.warm_up` ordinary days. Whatever is said of a day is a function of the days
before it and of itself, so it never changes when later days arrive.

Zero, missing, doubled and copied days are exact questions with functions of their own; ask them first.

Measured on completejourney 2017: 364 days in New York time, `calendar.special_days` as annotations, these rules, 314
judged days. Alarms a year, and the share of judged, unflagged days on which a fault put in their place is flagged:

              alarms   zero   halved   + 50 %   doubled   would be flagged on the last day
    revenue      4.7  100 %     99 %     85 %     100 %   - 27 %   + 28 %
    lines        1.2  100 %     97 %     77 %     100 %   - 28 %   + 31 %
    baskets      2.3  100 %    100 %     99 %     100 %   - 15 %   + 16 %
    households   2.3  100 %    100 %    100 %     100 %   - 15 %   + 16 %

Two limits of that table: the days around Thanksgiving were named with this year in sight (without any annotation there
are 8.7 to 9.8 alarms a year), and one year cannot tell 2 alarms a year from 5. Ten made-up histories of four years for
each law of errors gave, year by year, 2.7, 3.5, 4.3, 4.5 alarms (normal), 5.4, 8.2, 6.3, 3.8 (Student's t, 4 degrees of
freedom) and 7.2, 5.4, 3.2, 4.4 (Laplace): heavy tails take time to learn. Thin series lose power: revenue of the salad
bar, some 50 dollars a day, is flagged on 3 % of halved days and 68 % of zero days, and its minimum detectable change
says so. Faults on more than one day in twenty widen the band, since k is learnt from flagged days too.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

NONE, LOW, HIGH = "none", "low", "high"

_WEEK = 7
_MAD_TO_SIGMA = 1.4826
_TAIL = 0.1  # the share of scores that the tail is fitted to
_LARGEST_SCORE = 10.0  # a scale next to nothing must not make one score outweigh a year
_SURPRISE = 4.0  # scales by which one day may move the level, so that a fault in the warm-up does not carry it off


@dataclass(frozen=True)
class Rules:
    """How one metric is watched; the defaults suit a year of a shop's daily figures.

    budget     alarms a year that readers put up with (0 < budget < 183)
    least      smallest relative change worth an alarm, as a fraction (0.10 = 10 %; below 1)
    warm_up    ordinary days before anything is flagged (at least 14)
    smoothing  weight of the newest day in the level (0 to 1)
    weeks      ordinary days of its own kind that a weekday's factor rests on
    window     ordinary days that the scales rest on
    """

    budget: float = 4.0
    least: float = 0.10
    warm_up: int = 28
    smoothing: float = 0.2
    weeks: int = 8
    window: int = 90

    def __post_init__(self) -> None:
        if not 0 < self.budget < 183:
            raise ValueError(f"The alert budget must lie between 0 and 183 alarms a year, not {self.budget}.")
        if not 0 <= self.least < 1:
            raise ValueError(f"The least change must be a fraction from 0 to below 1, not {self.least}.")
        if self.warm_up < 2 * _WEEK:
            raise ValueError(f"The warm-up needs at least 14 days to know the weekdays, not {self.warm_up}.")
        if not 0 < self.smoothing <= 1 or self.weeks < 1 or self.window < _WEEK:
            raise ValueError("Smoothing must lie in (0, 1], weeks be at least 1 and window at least 7.")

    @property
    def floor(self) -> float:
        """The normal two-sided quantile of the budget, in scales: the least k there can be."""
        return NormalDist().inv_cdf(1 - self.budget / 365 / 2)


@dataclass(frozen=True)
class Change:
    """The smallest relative changes that would be flagged, in per cent of the expected figure; nan if there is none."""

    drop: float
    rise: float


@dataclass(frozen=True)
class Day:
    """One day of a band: `change` is the relative difference to the expected figure in per cent."""

    date: date
    observed: float
    expected: float
    lower: float
    upper: float
    change: float
    flag: str
    annotated: str
    judged: bool


@dataclass(frozen=True, eq=False)
class Band:
    """A metric's days beside what was to be expected of them; arrays of equal length, in the metric's own unit.

    dates      datetime64[D]
    observed   as given; nan is a day without a figure
    expected, lower, upper  nan until there is a day to learn from (bounds: eight)
    flag       "none", "low" or "high"
    annotated  the special day's name, "" on ordinary days
    judged     False in the warm-up, on annotated days and where there is no figure: no flag was possible
    shifts     days on which a new level was taken up after a week of flags
    """

    dates: NDArray[np.datetime64]
    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    flag: NDArray[np.str_]
    annotated: NDArray[np.str_]
    judged: NDArray[np.bool_]
    rules: Rules
    shifts: tuple[date, ...] = ()

    def __len__(self) -> int:
        return len(self.dates)

    def day(self, index: int = -1) -> Day:
        """One day, by default the last. Raises IndexError if there is none."""
        observed, expected = float(self.observed[index]), float(self.expected[index])
        return Day(
            self.dates[index].item(), observed, expected, float(self.lower[index]), float(self.upper[index]),
            _percent(observed, expected), str(self.flag[index]), str(self.annotated[index]), bool(self.judged[index]),
        )  # fmt: skip

    @property
    def flagged(self) -> tuple[Day, ...]:
        """The days out of line, oldest first."""
        return tuple(self.day(int(index)) for index in np.flatnonzero(self.flag != NONE))

    @property
    def warming_up(self) -> bool:
        """True if the last day still lies in the warm-up."""
        return len(self) == 0 or _learnt(self) < self.rules.warm_up

    @property
    def minimum_detectable_change(self) -> Change:
        """What it would have taken to be flagged on the last day, had it been an ordinary one; nan in the warm-up."""
        if self.warming_up:
            return Change(math.nan, math.nan)
        last = self.day()
        drop = -_percent(last.lower, last.expected) if last.lower > 0 else math.nan
        return Change(drop, _percent(last.upper, last.expected))

    @property
    def alarms_per_year(self) -> float:
        """Flags raised for each 365 days that were judged; nan if none was."""
        judged = int(self.judged.sum())
        return 365 * int((self.flag != NONE).sum()) / judged if judged else math.nan

    @property
    def note(self) -> str:
        """One sentence on what the band can and cannot say of the last day."""
        if self.warming_up:
            have, need = (_learnt(self) if len(self) else 0), self.rules.warm_up
            return f"Warm-up: {have} of {need} ordinary days are known; nothing is flagged yet."
        change = self.minimum_detectable_change
        drop = "No drop" if math.isnan(change.drop) else f"A drop of {change.drop:.0f} %"
        rise = "no rise" if math.isnan(change.rise) else f"a rise of {change.rise:.0f} %"
        return f"{drop} {'and' if math.isnan(change.drop) else 'or'} {rise} would be flagged."


def band(
    dates: ArrayLike, values: ArrayLike, annotated: Mapping[date, str] | None = None, rules: Rules | None = None
) -> Band:
    """Judge each day of a daily metric against the days before it.

    dates      T days in rising order, each once (dates, datetime64 or a pandas index; gaps are allowed)
    values     T figures, none below zero in the ordinary run of things; nan for a day without a figure. A figure
               below zero is judged as zero.
    annotated  names of the days that are not to be judged

    Raises ValueError if the lengths differ, a day comes twice or out of order, or a figure is infinite.
    """
    days, figures = _days(dates), np.asarray(values, dtype=np.float64)
    _check(days, figures)
    learner = _Learner(rules or Rules())
    names = [(annotated or {}).get(day, "") for day in days.tolist()]
    verdicts = [
        learner.judge(day, figure, special=bool(name))
        for day, figure, name in zip(days.tolist(), figures.tolist(), names, strict=True)
    ]
    expected, lower, upper = np.array([row[:3] for row in verdicts], dtype=np.float64).reshape(-1, 3).T
    return Band(
        dates=days,
        observed=figures,
        expected=expected,
        lower=lower,
        upper=upper,
        flag=np.array([row.flag for row in verdicts], dtype="U4"),
        annotated=np.array(names, dtype=np.str_),
        judged=np.array([row.judged for row in verdicts], dtype=np.bool_),
        rules=learner.rules,
        shifts=tuple(learner.shifts),
    )


def zero_days(dates: ArrayLike, values: ArrayLike, closed: Iterable[date] = ()) -> tuple[date, ...]:
    """Days whose figure is exactly zero although the doors were open, in the order given."""
    shut = set(closed)
    figures = np.asarray(values, dtype=np.float64)
    return tuple(day for day in _days(dates)[figures == 0].tolist() if day not in shut)


def missing_days(dates: ArrayLike, expected: Iterable[date], values: ArrayLike | None = None) -> tuple[date, ...]:
    """Days of `expected` that have no row, or no figure (nan) where `values` are given, in date order."""
    days = _days(dates)
    if values is not None:
        days = days[~np.isnan(np.asarray(values, dtype=np.float64))]
    return tuple(sorted(set(expected) - set(days.tolist())))


def duplicate_days(dates: ArrayLike) -> dict[date, int]:
    """Days that have more than one row, with the number of their rows, in date order."""
    return {day: count for day, count in sorted(Counter(_days(dates).tolist()).items()) if count > 1}


def copied_days(dates: ArrayLike, figures: ArrayLike) -> dict[date, date]:
    """Days whose every figure equals an earlier day's, so a load that was repeated: day -> the earliest such day.

    figures  T x m, of several unrelated metrics to the cent: two of them rarely agree by chance. Rows that are all
             zero or hold a nan are left out.
    """
    first: dict[tuple[float, ...], date] = {}
    copies: dict[date, date] = {}
    rows = np.asarray(figures, dtype=np.float64)
    for day, row in zip(_days(dates).tolist(), map(tuple, rows.tolist()), strict=True):
        if any(row) and not any(map(math.isnan, row)) and first.setdefault(row, day) != day:
            copies[day] = first[row]
    return copies


class _Verdict(NamedTuple):
    expected: float
    lower: float
    upper: float
    flag: str
    judged: bool


class _Outlook(NamedTuple):
    """One day as it is seen on the evening before: √expected, the scales of rises and drops, the bounds."""

    factor: float
    root: float
    up: float
    down: float
    lower: float
    upper: float


@dataclass
class _Learner:
    """What the days so far have taught; `judge` is called once a day, in order."""

    rules: Rules
    shifts: list[date] = field(default_factory=list)
    level: float = math.nan
    ordinary: int = 0
    zeros: int = 0  # ordinary days of zero
    smallest: float = math.inf  # the smallest ordinary figure above zero
    scores: list[float] = field(default_factory=list)  # sorted
    streak: list[tuple[str, float]] = field(default_factory=list)  # flagged days in a row: side, level seen

    def __post_init__(self) -> None:
        self.rises: deque[float] = deque(maxlen=self.rules.window)
        self.drops: deque[float] = deque(maxlen=self.rules.window)
        self.week: deque[float] = deque(maxlen=_WEEK)
        self.ratios: list[deque[float]] = [deque(maxlen=self.rules.weeks) for _ in range(_WEEK)]
        self.medians = [1.0] * _WEEK

    def judge(self, day: date, figure: float, *, special: bool) -> _Verdict:
        """Say what was to be expected of one day and whether it is out of line; then learn from it."""
        view = self._outlook(day)
        known = not (special or math.isnan(figure))
        judged = known and self.ordinary >= self.rules.warm_up
        flag = _flag(figure, view) if judged else NONE
        if known:
            self._learn(day, max(figure, 0.0), view, flag)
        return _Verdict(view.root**2, view.lower, view.upper, flag, judged)

    def _outlook(self, day: date) -> _Outlook:
        factor = self.medians[day.weekday()] * _WEEK / sum(self.medians)
        root, up, down = factor * self.level, _scale(self.rises), _scale(self.drops)
        if len(self.rises) < _WEEK:
            return _Outlook(factor, root, up, down, math.nan, math.nan)
        k, expected, least = _width(self.scores, self.rules), root * root, self.rules.least
        lower = min(expected * math.exp(-k * down), expected * (1 - least))
        if lower <= self._above_zero(0.0) or 4 * self.zeros >= self.ordinary:
            lower = 0.0
        return _Outlook(factor, root, up, down, lower, max((root + k * up) ** 2, expected * (1 + least)))

    def _above_zero(self, figure: float) -> float:
        """Count a zero as half the smallest ordinary day so far, so that it has a logarithm."""
        return max(figure, self.smallest / 2 if self.smallest < math.inf else 0.0)

    def _learn(self, day: date, figure: float, view: _Outlook, flag: str) -> None:
        root = math.sqrt(figure)
        seen = root / view.factor if view.factor > 0 else math.nan  # a weekday of zeros says nothing of the level
        if not math.isnan(self.level):
            self._learn_errors(figure, view, flag)
        if flag != NONE:
            self._learn_shift(day, flag, seen)
            return
        self.streak.clear()
        self._learn_level(seen, view)
        self._learn_weekday(day.weekday(), root)
        self.ordinary += 1
        self.zeros += figure == 0
        self.smallest = min(self.smallest, figure or math.inf)

    def _learn_errors(self, figure: float, view: _Outlook, flag: str) -> None:
        rise = math.sqrt(figure) - view.root
        drop = -_log_ratio(self._above_zero(figure), view.root**2)
        if len(self.rises) >= _WEEK:
            insort(self.scores, min(_LARGEST_SCORE, max(_over(rise, view.up), _over(drop, view.down))))
        if flag == NONE:
            self.rises.append(abs(rise))
            self.drops.append(abs(drop))

    def _learn_level(self, seen: float, view: _Outlook) -> None:
        if math.isnan(self.level) or math.isnan(seen):
            self.level = seen if math.isnan(self.level) else self.level
            return
        step = seen - self.level
        if len(self.rises) > _WEEK and view.up > 0:
            most = _SURPRISE * view.up / view.factor
            step = max(-most, min(most, step))
        self.level += max(self.rules.smoothing, 1 / (self.ordinary + 1)) * step

    def _learn_weekday(self, weekday: int, root: float) -> None:
        self.week.append(root)
        mean = sum(self.week) / len(self.week)
        if len(self.week) == _WEEK and mean > 0:
            self.ratios[weekday].append(root / mean)
            self.medians[weekday] = _median(self.ratios[weekday])

    def _learn_shift(self, day: date, flag: str, seen: float) -> None:
        """Seven flags on one side are a new level; zeros are an outage however long, and annotated days are passed."""
        if seen == 0 or math.isnan(seen):
            return
        self.streak = [step for step in self.streak if step[0] == flag] + [(flag, seen)]
        if len(self.streak) == _WEEK:
            self.level = _median([level for _, level in self.streak])
            self.shifts.append(day)
            self.streak.clear()


def _flag(figure: float, view: _Outlook) -> str:
    if figure < view.lower:
        return LOW
    return HIGH if figure > view.upper else NONE


def _width(scores: Sequence[float], rules: Rules) -> float:
    """Width k from the sorted past scores; see the module's point 4."""
    count, share = len(scores), rules.budget / 365
    floor = rules.floor * (1 + 7 / max(count, 1))
    beyond = math.ceil(max(_TAIL, share) * count)
    if beyond < 2 or beyond >= count:
        return floor
    edge = scores[count - beyond - 1]
    spread = (_median(scores[count - beyond :]) - edge) / math.log(2)
    return max(floor, edge + spread * math.log(beyond / count / share))


def _scale(errors: Iterable[float]) -> float:
    """1.4826 x the median of absolute errors; nan without any."""
    return _MAD_TO_SIGMA * _median(errors)


def _median(values: Iterable[float]) -> float:
    """Median, on short lists ten times as fast as numpy's; nan of nothing."""
    ordered = sorted(values)
    half, odd = divmod(len(ordered), 2)
    if not ordered:
        return math.nan
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def _over(error: float, scale: float) -> float:
    """Error in scales; nothing where all past errors were nothing and no scale exists."""
    return error / scale if scale > 0 else 0.0


def _log_ratio(figure: float, expected: float) -> float:
    return math.log(figure / expected) if figure > 0 and expected > 0 else 0.0


def _percent(figure: float, expected: float) -> float:
    return 100 * (figure / expected - 1) if expected > 0 else math.nan


def _learnt(band: Band) -> int:
    """Ordinary, unflagged days before the last day."""
    return int(((band.annotated == "") & ~np.isnan(band.observed) & (band.flag == NONE))[:-1].sum())


def _days(dates: ArrayLike) -> NDArray[np.datetime64]:
    held: Any = dates
    return np.asarray(held if hasattr(held, "dtype") else list(held), dtype="datetime64[D]")


def _check(days: NDArray[np.datetime64], figures: NDArray[np.float64]) -> None:
    if days.shape != figures.shape or days.ndim != 1:
        raise ValueError(f"A band needs one figure for each day, not {figures.shape} figures for {days.shape} days.")
    if np.any(np.diff(days) <= np.timedelta64(0, "D")):
        raise ValueError("The days must come once each and in rising order; see duplicate_days.")
    if np.any(np.isinf(figures)):
        raise ValueError(f"The figure of {days[np.isinf(figures)][0]} is infinite.")
