"""Experiments from per-arm sufficient statistics: one SQL query in, one effect with its interval out.

One row per arm is all that is needed, whatever the number of units:

    SELECT arm, count(*), sum(y), sum(y * y), sum(x), sum(x * x), sum(x * y) FROM units GROUP BY arm

with one row per unit (household, visitor) in `units`; y is the unit's figure in the experiment and x either its figure
before the experiment (`cuped`, `change`) or the denominator of a ratio (`ratio`). `Arm.of_sums` takes that row. Where
figures are large beside their spread, sum y - a and x - b for some constants and pass `about=(a, b)`, or sum integers.

Each estimate is an `Effect`; an `Effect` goes into `anytime` for looks before the planned end and into
`detectable` for the smallest effect that the experiment could have found. Nothing here makes an experiment randomised:
where assignment is not, an interval speaks of the groups compared and not of a cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, ndtri, stdtr, stdtrit

from runner.model import Level

#: What a database hands over as a sum.
Sum = int | float | Decimal | Fraction

_ROUNDING = 1e-6  # the relative error of a variance that is still passed over


@dataclass(frozen=True)
class Arm:
    """The units of one arm: their number, and mean, variance and covariance over units.

    n      units, at least 2
    mean   of y, in y's unit
    var    sample variance of y (divisor n - 1), in y's unit squared
    mean_x, var_x, cov  the same of x, and the sample covariance of x and y; all nan where there is no x

    Raises ValueError on fewer than two units, on figures that are not finite and on a negative variance.
    """

    n: int
    mean: float
    var: float
    mean_x: float = math.nan
    var_x: float = math.nan
    cov: float = math.nan

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(f"An arm needs at least two units to have a spread, not {self.n}.")
        _finite("y", self.mean, self.var)
        if self.has_x:
            _finite("x", self.mean_x, self.var_x, self.cov)
        if self.var < 0 or self.var_x < 0:
            raise ValueError(f"A variance cannot be negative: {min(self.var, self.var_x)}.")

    @property
    def has_x(self) -> bool:
        """True if the arm knows a second figure for each unit."""
        return not (math.isnan(self.mean_x) and math.isnan(self.var_x) and math.isnan(self.cov))

    @classmethod
    def of_sums(  # noqa: PLR0913, PLR0917 - the six sums of the query, in its order
        cls,
        n: int,
        y: Sum | None,
        yy: Sum | None,
        x: Sum | None = None,
        xx: Sum | None = None,
        xy: Sum | None = None,
        *,
        about: tuple[Sum, Sum] = (0, 0),
    ) -> Arm:
        """Make an arm of the sums of y, y², x, x² and xy over its n units, each y less about[0], each x less about[1].

        The subtraction of squares is exact, so integer and Decimal sums lose nothing. Raises ValueError if sums of
        floats have left less than six digits of a variance, and on everything that `Arm` refuses.
        """
        n, about_y, about_x = int(n), Fraction(about[0]), Fraction(about[1])
        if n < 2 or y is None or yy is None:
            return cls(n, math.nan, math.nan)
        mean, var = _moments(n, y, yy, "y")
        if x is None or xx is None or xy is None:
            return cls(n, float(mean + about_y), float(var))
        mean_x, var_x = _moments(n, x, xx, "x")
        cov = (_exact(xy, "xy") - n * mean * mean_x) / (n - 1)
        return cls(n, float(mean + about_y), float(var), float(mean_x + about_x), float(var_x), float(cov))

    @classmethod
    def of_values(cls, y: ArrayLike, x: ArrayLike | None = None) -> Arm:
        """Make an arm of one figure per unit (arrays of length n); for small data and for tests."""
        figures = np.asarray(y, dtype=np.float64)
        n = len(figures)
        if n < 2:
            return cls(n, math.nan, math.nan)
        _finite("y", *figures.tolist())
        if x is None:
            return cls(n, float(figures.mean()), float(figures.var(ddof=1)))
        others = np.asarray(x, dtype=np.float64)
        _finite("x", *others.tolist())
        (var, cov), (_, var_x) = np.cov(figures, others, ddof=1).tolist()
        return cls(n, float(figures.mean()), var, float(others.mean()), var_x, cov)


@dataclass(frozen=True)
class Effect:
    """Treated less control, per unit, with a two-sided interval; all in the figure's unit.

    difference      the estimate
    lower, upper    the interval at `level` (0.95: 95 %)
    standard_error  of the difference
    degrees         of freedom (Welch-Satterthwaite)
    p               two-sided, of no difference at all
    base            what the difference is relative to: the control arm's mean or ratio, adjusted if the difference
                    is; for `change` the treated arm's mean before plus the control arm's change
    """

    method: str
    difference: float
    lower: float
    upper: float
    standard_error: float
    degrees: float
    p: float
    level: float
    base: float

    @property
    def relative(self) -> float:
        """The difference as a fraction of `base`; nan where that is not above zero."""
        return self.difference / self.base if self.base > 0 else math.nan

    @property
    def conclusive(self) -> bool:
        """True if the interval leaves out zero."""
        return not self.lower <= 0 <= self.upper


@dataclass(frozen=True)
class Adjusted:
    """A difference adjusted for the time before the experiment, beside the plain one.

    theta      the slope of y on x within arms, in units of y per unit of x
    reduction  the share of the difference's variance that the adjustment takes away (0.5: half as many units needed)
    """

    effect: Effect
    plain: Effect
    theta: float
    reduction: float


@dataclass(frozen=True)
class SampleRatio:
    """Whether the arms have the sizes that the design gives them.

    p below .001 stops the verdict, below .01 warns: units were lost or assigned otherwise than planned.
    """

    counts: Mapping[str, int]
    expected: Mapping[str, float]
    chi_square: float
    degrees: int
    p: float
    level: Level


class _Estimate(NamedTuple):
    """One arm's mean of whatever is estimated, and the variance of a unit around it."""

    n: int
    mean: float
    var: float


def difference(control: Arm, treated: Arm, level: float = 0.95) -> Effect:
    """Compare mean y per unit: Welch's t interval (Welch 1947, degrees after Satterthwaite 1946).

    se² = s²c/nc + s²t/nt. Raises ValueError if no unit differs from another in either arm.
    """
    _spread(control, treated)
    return _welch("Welch", _Estimate(*_y(control)), _Estimate(*_y(treated)), level)


def ratio(control: Arm, treated: Arm, level: float = 0.95) -> Effect:
    """Compare Σy / Σx, such as revenue per visit where the unit is the household: delta method.

    With r = ȳ/x̄, a unit's variance is (s²y - 2r·sxy + r²·s²x) / x̄² (Deng, Knoblich, Lu 2018); then as `difference`.
    Raises ValueError if an arm has no x or its mean is zero.
    """
    _need_x(control, treated)
    _spread(control, treated)
    return _welch("delta method", _ratio(control), _ratio(treated), level)


def cuped(control: Arm, treated: Arm, level: float = 0.95) -> Adjusted:
    """Compare mean y per unit adjusted by x, the same units' figure before (Deng, Xu, Kohavi, Walker 2013).

    theta = pooled within-arm cov(x, y) / var(x); a unit's figure becomes y - theta·(x - mean of x in both arms), its
    variance s²y - 2·theta·sxy + theta²·s²x; then as `difference`. x must be settled before a randomised assignment.
    Where the arms were chosen by x they stay apart, since only theta of their old distance is taken away: campaign 18
    of completejourney gets +37 dollars a household in revenue here and +14 from `change`.
    Raises ValueError if an arm has no x or x is the same for every unit.
    """
    _need_x(control, treated)
    plain = difference(control, treated, level)
    theta = _theta(control, treated)
    middle = (control.n * control.mean_x + treated.n * treated.mean_x) / (control.n + treated.n)
    effect = _welch("CUPED", _adjust(control, theta, middle), _adjust(treated, theta, middle), level)
    return Adjusted(effect, plain, theta, 1 - (effect.standard_error / plain.standard_error) ** 2)


def change(control: Arm, treated: Arm, level: float = 0.95) -> Effect:
    """Compare how far units came from their own figure before: difference in differences at the level of units.

    A unit's figure is y - x with variance s²y - 2·sxy + s²x (Card, Krueger 1994); then as `difference`. x and y must
    cover periods of equal length, or be rates; arms are taken to have moved in parallel but for the experiment.
    Raises ValueError if an arm has no x, or every unit changed by the same amount.
    """
    _need_x(control, treated)
    arms = [_Estimate(arm.n, arm.mean - arm.mean_x, _adjust(arm, 1.0, 0.0).var) for arm in (control, treated)]
    if not any(arm.var > 0 for arm in arms):
        raise ValueError("Every unit changed by the same amount, so there is no spread to measure an effect against.")
    effect = _welch("difference in differences", arms[0], arms[1], level)
    return replace(effect, base=treated.mean_x + arms[0].mean)


def anytime(effect: Effect, progress: float) -> Effect:
    """Widen an effect's interval so that it holds at every look at once: an asymptotic confidence sequence.

    progress  the share of the planned information that is in: units complete / units planned (above 0; above 1 is
              allowed). A fixed panel watched over time passes days gone / days planned: a household's days go together,
              which makes looks more alike and the sequence the safer.

    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), two-sided normal mixture: with a = 1 - level and
    v = t·rho² the interval is ± se·√((v + 1)/v · 2·log(√(v + 1)/a)); rho is tuned to be tightest at the planned end,
    so v = progress · (-2·log a + log(-2·log a + 1)). p is the smallest a at which the interval leaves out zero.
    It is asymptotic: begin to look when each arm has some hundred units. Raises ValueError if progress is not above 0.
    """
    if not 0 < progress < math.inf:
        raise ValueError(f"Progress is the share of the planned information, above 0 (1: the end), not {progress}.")
    v = progress * _tuned(1 - effect.level)
    half = effect.standard_error * math.sqrt((v + 1) / v * 2 * math.log(math.sqrt(v + 1) / (1 - effect.level)))
    return Effect(
        method=f"{effect.method}, confidence sequence",
        difference=effect.difference,
        lower=effect.difference - half,
        upper=effect.difference + half,
        standard_error=effect.standard_error,
        degrees=math.inf,
        p=_anytime_p(effect, v),
        level=effect.level,
        base=effect.base,
    )


def detectable(effect: Effect, power: float = 0.8) -> float:
    """Give the true difference that an experiment of this size finds with the given power, in the figure's unit.

    (t(1 - a/2) + t(power)) · se, with a = 1 - level (Bloom 1995). Raises ValueError if the power lies outside (0, 1).
    """
    if not 0 < power < 1:
        raise ValueError(f"The power must lie between 0 and 1, not {power}.")
    quantiles = _quantile(effect.degrees, (1 + effect.level) / 2) + _quantile(effect.degrees, power)
    return quantiles * effect.standard_error


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Compare the number of units per arm with the design's shares: Pearson's chi-square (Fabijan et al. 2019).

    counts  arm -> units;  shares  arm -> planned share, above 0 each and 1 together.
    Raises ValueError if the arms differ, a share is not above 0, the shares miss 1, or there are no units.
    """
    _check_shares(counts, shares)
    total = sum(counts.values())
    expected = {arm: total * share for arm, share in shares.items()}
    chi_square = sum((counts[arm] - units) ** 2 / units for arm, units in expected.items())
    p = float(chdtrc(len(shares) - 1, chi_square))
    level = Level.STOP if p < 0.001 else Level.WARN if p < 0.01 else Level.PASS
    return SampleRatio(dict(counts), expected, chi_square, len(shares) - 1, p, level)


def _welch(method: str, control: _Estimate, treated: _Estimate, level: float) -> Effect:
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval must lie between 0 and 1, such as 0.95, not {level}.")
    gap = treated.mean - control.mean
    square_c, square_t = control.var / control.n, treated.var / treated.n
    error = math.sqrt(square_c + square_t)
    if error == 0:  # a perfect adjustment leaves nothing unexplained
        return Effect(method, gap, gap, gap, 0.0, math.inf, float(gap == 0), level, control.mean)
    degrees = 1 / sum(
        (square / error**2) ** 2 / (arm.n - 1) for square, arm in ((square_c, control), (square_t, treated))
    )
    half = _quantile(degrees, (1 + level) / 2) * error
    p = 2 * float(stdtr(degrees, -abs(gap) / error))
    return Effect(method, gap, gap - half, gap + half, error, degrees, p, level, control.mean)


def _y(arm: Arm) -> tuple[int, float, float]:
    return arm.n, arm.mean, arm.var


def _ratio(arm: Arm) -> _Estimate:
    if arm.mean_x == 0:
        raise ValueError("The denominator of a ratio is zero in one arm.")
    r = arm.mean / arm.mean_x
    return _Estimate(arm.n, r, _adjust(arm, r, 0.0).var / arm.mean_x**2)


def _theta(control: Arm, treated: Arm) -> float:
    spread = sum((arm.n - 1) * arm.var_x for arm in (control, treated))
    if spread <= 0:
        raise ValueError("x is the same for every unit, so it explains nothing; use difference() instead.")
    return sum((arm.n - 1) * arm.cov for arm in (control, treated)) / spread


def _adjust(arm: Arm, slope: float, middle: float) -> _Estimate:
    """Mean and variance of y - slope · (x - middle)."""
    var = arm.var - 2 * slope * arm.cov + slope**2 * arm.var_x
    return _Estimate(arm.n, arm.mean - slope * (arm.mean_x - middle), max(var, 0.0))


def _tuned(alpha: float) -> float:
    """T·rho² at the planned end T, where the sequence is tightest (Waudby-Smith et al. 2021, appendix)."""
    return -2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)


def _anytime_p(effect: Effect, v: float) -> float:
    """Solve the interval for the level at which its end is zero, with rho left as it was tuned."""
    if effect.standard_error == 0:
        return effect.p
    z = effect.difference / effect.standard_error
    return min(1.0, math.sqrt(v + 1) * math.exp(-z * z * v / (2 * (v + 1))))


def _quantile(degrees: float, share: float) -> float:
    return float(ndtri(share)) if math.isinf(degrees) else float(stdtrit(degrees, share))


def _spread(control: Arm, treated: Arm) -> None:
    if control.var == 0 and treated.var == 0:
        raise ValueError("No unit differs from another in its arm, so there is no spread to measure an effect against.")


def _need_x(control: Arm, treated: Arm) -> None:
    if not (control.has_x and treated.has_x):
        raise ValueError("Both arms need x, the second figure of each unit; this is a comparison of y by way of x.")


def _check_shares(counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    if set(counts) != set(shares) or len(shares) < 2:
        raise ValueError(f"Counts and shares must name the same two or more arms: {sorted(counts)}, {sorted(shares)}.")
    if not all(share > 0 for share in shares.values()) or not math.isclose(sum(shares.values()), 1, abs_tol=1e-9):
        raise ValueError(f"The planned shares must be above 0 and sum to 1: {dict(shares)}.")
    if sum(counts.values()) == 0 or min(counts.values()) < 0:
        raise ValueError(f"The arms hold no units to count: {dict(counts)}.")


def _finite(name: str, *figures: float) -> None:
    if not all(map(math.isfinite, figures)):
        raise ValueError(f"The figures of {name} must all be numbers; a unit without a figure must not be counted.")


def _exact(figure: Sum, name: str) -> Fraction:
    _finite(name, float(figure))
    return Fraction(figure)


def _moments(n: int, total: Sum, squares: Sum, name: str) -> tuple[Fraction, Fraction]:
    """Mean and sample variance, exactly those of the sums given."""
    mean = _exact(total, name) / n
    around = _exact(squares, name) - n * mean**2
    rounding = math.ulp(1.0) * math.sqrt(n) * float(squares) if isinstance(squares, float) else 0.0
    if rounding > _ROUNDING * float(around) or around < 0:
        raise ValueError(
            f"The spread of {name} is lost in the rounding of its sums: sum {name} less a constant near its mean and "
            "pass that constant as `about`, or sum integers."
        )
    return mean, around / (n - 1)


__all__ = [
    "Adjusted", "Arm", "Effect", "SampleRatio", "anytime", "change", "cuped", "detectable", "difference", "ratio",
    "sample_ratio",
]  # fmt: skip
