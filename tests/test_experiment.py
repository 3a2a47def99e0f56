"""Experiments: worked examples, scipy as the oracle, coverage by simulation, and what must not change an effect."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from runner.metrics import experiment
from runner.metrics.experiment import Arm, anytime, change, cuped, detectable, difference, ratio, sample_ratio
from runner.model import Level

CONTROL = [10.0, 12.0, 9.0, 11.0, 13.0]
TREATED = [14.0, 15.0, 11.0, 16.0]


def sums(y, x=None, about=(0, 0)):
    """Give the row of the query, from one figure per unit."""
    y = [value - about[0] for value in y]
    row = [len(y), sum(y), sum(v * v for v in y)]
    if x is not None:
        x = [value - about[1] for value in x]
        row += [sum(x), sum(v * v for v in x), sum(a * b for a, b in zip(x, y, strict=True))]
    return row


def draw(seed, n, correlation=0.8, lift=0.0):
    """Profit before and during, correlated, for n units."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, 20.0, n)
    y = correlation * (x - 40) + 50 + lift + rng.normal(0, 10, n)
    return y, x


def arms(seed=1, n=400, **more):
    """Two arms that differ by chance alone."""
    return Arm.of_values(*draw(seed, n, **more)), Arm.of_values(*draw(seed + 1, n + 50, **more))


figures = st.lists(st.floats(-1e4, 1e4).map(lambda v: round(v, 2)), min_size=3, max_size=30)


class TestArm:
    def test_worked_example(self):
        """Five units of 10, 12, 9, 11, 13 have mean 11 and variance 2.5."""
        arm = Arm.of_sums(5, 55, 615)
        assert (arm.n, arm.mean, arm.var, arm.has_x) == (5, 11.0, 2.5, False)

    def test_covariance_by_hand(self):
        """For y = 1, 2, 6 and x = 2, 4, 6 the covariance is 5: (-2·-2 + -1·0 + 3·2) / 2."""
        arm = Arm.of_sums(*sums([1, 2, 6], [2, 4, 6]))
        assert (arm.mean, arm.var, arm.mean_x, arm.var_x, arm.cov) == (3.0, 7.0, 4.0, 4.0, 5.0)

    @given(figures)
    def test_sums_say_what_values_say(self, y):
        """An arm made of sums of cents equals the arm made of the figures themselves."""
        exact, x = [Decimal(str(v)) for v in y], [Decimal(k * k) for k in range(len(y))]
        of_sums, of_values = Arm.of_sums(*sums(exact, x)), Arm.of_values(y, [float(v) for v in x])
        for name in ("mean", "var", "mean_x", "var_x", "cov"):
            assert getattr(of_sums, name) == pytest.approx(getattr(of_values, name), rel=1e-9, abs=1e-6)

    def test_integer_sums_survive_a_large_offset(self):
        """Cents around ten billion keep their exact variance, because integer sums are subtracted exactly."""
        y = [10**12 + cents for cents in (1, 2, 3, 4)]
        assert Arm.of_sums(*sums(y)).var == pytest.approx(5 / 3, rel=1e-15)

    def test_a_constant_may_be_taken_off_before_summing(self):
        """Float sums about a constant give the offset figures' mean, variance and covariance."""
        y, x = draw(3, 500)
        arm = Arm.of_sums(*sums(y + 1e9, x + 1e7, about=(1e9, 1e7)), about=(1e9, 1e7))
        plain = Arm.of_values(y, x)
        assert arm.mean == pytest.approx(1e9 + plain.mean)
        assert arm.mean_x == pytest.approx(1e7 + plain.mean_x)
        assert (arm.var, arm.var_x, arm.cov) == pytest.approx((plain.var, plain.var_x, plain.cov), rel=1e-6)

    def test_a_variance_lost_in_rounding_is_refused(self):
        """Float sums of figures a billion times their spread are an error that names the remedy."""
        with pytest.raises(ValueError, match="less a constant near its mean"):
            Arm.of_sums(*sums([1e9 + v for v in CONTROL]))

    @pytest.mark.parametrize("n", [0, 1])
    def test_an_arm_without_a_spread_is_refused(self, n):
        """No unit or one unit is an error, whether the sums are there or NULL."""
        with pytest.raises(ValueError, match=f"at least two units.*not {n}"):
            Arm.of_sums(n, None, None)
        with pytest.raises(ValueError, match="at least two units"):
            Arm.of_values([1.0] * n)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_figures_that_are_no_numbers_are_refused(self, bad):
        """A nan or an infinity among the units is an error and not an effect of nan."""
        makers = (lambda: Arm.of_sums(3, bad, 1.0), lambda: Arm.of_values([1.0, bad]), lambda: Arm(3, 1.0, bad))
        for make in makers:
            with pytest.raises(ValueError, match="figures of y must all be numbers"):
                make()
        with pytest.raises(ValueError, match="figures of x must all be numbers"):
            Arm(3, 1.0, 1.0, bad, 1.0, 1.0)

    def test_missing_sums_are_refused(self):
        """Units without any sum, as a query over NULLs gives them, are an error."""
        with pytest.raises(ValueError, match="must all be numbers"):
            Arm.of_sums(5, None, None)

    def test_a_negative_variance_is_refused(self):
        """A variance below zero is an error."""
        with pytest.raises(ValueError, match="cannot be negative"):
            Arm(5, 1.0, -1.0)


class TestDifference:
    def test_worked_example(self):
        """Means 11 and 14, squared errors 2.5/5 and 4.667/4, give 3 with se 1.291, and Welch's degrees."""
        effect = difference(Arm.of_values(CONTROL), Arm.of_values(TREATED))
        a, b = 2.5 / 5, 14 / 3 / 4
        assert effect.difference == 3.0
        assert effect.standard_error == pytest.approx(math.sqrt(a + b))
        assert effect.degrees == pytest.approx((a + b) ** 2 / (a**2 / 4 + b**2 / 3))
        assert effect.relative == pytest.approx(3 / 11)

    @given(figures, figures)
    def test_agrees_with_scipy(self, a, b):
        """Interval, p and degrees are scipy's ttest_ind(equal_var=False)."""
        if np.ptp(a) < 1 or np.ptp(b) < 1:
            return
        ours = difference(Arm.of_values(a), Arm.of_values(b), 0.9)
        theirs = stats.ttest_ind(b, a, equal_var=False)
        interval = theirs.confidence_interval(0.9)
        assert (ours.lower, ours.upper) == pytest.approx((interval.low, interval.high), rel=1e-8, abs=1e-8)
        assert (ours.p, ours.degrees) == pytest.approx((theirs.pvalue, theirs.df), rel=1e-8)

    @given(figures, figures)
    def test_swapping_the_arms_flips_the_sign(self, a, b):
        """Control against treated is the negative of treated against control, with the same p."""
        one, other = Arm.of_values(a), Arm.of_values(b)
        if one.var + other.var == 0:
            return
        there, back = difference(one, other), difference(other, one)
        assert (there.lower, there.upper, there.p) == pytest.approx((-back.upper, -back.lower, back.p))
        assert there.difference == -back.difference

    @given(figures, figures, st.sampled_from([0.01, 100.0, 1e6]))
    def test_a_change_of_unit_changes_nothing_else(self, a, b, factor):
        """Cents instead of dollars scale the interval and leave p and the relative difference."""
        if np.ptp(a) < 1 or np.ptp(b) < 1:
            return
        plain = difference(Arm.of_values(a), Arm.of_values(b))
        scaled = difference(Arm.of_values(np.array(a) * factor), Arm.of_values(np.array(b) * factor))
        near = {"rel": 1e-7, "abs": 1e-9 * factor}
        assert (scaled.lower, scaled.upper) == pytest.approx((plain.lower * factor, plain.upper * factor), **near)
        assert scaled.p == pytest.approx(plain.p, rel=1e-6)

    def test_covers_the_truth_95_times_in_100(self):
        """Over 2,000 experiments with skewed profit and unequal arms the interval holds the truth in 94 to 96 %."""
        rng = np.random.default_rng(11)
        held = 0
        for _ in range(2000):
            a, b = rng.gamma(2, 20, 150), rng.gamma(2, 30, 300)
            effect = difference(Arm.of_values(a), Arm.of_values(b))
            held += effect.lower <= 20 <= effect.upper
        assert 0.94 <= held / 2000 <= 0.96

    def test_one_arm_may_be_constant_but_not_both(self):
        """Where no unit differs from another there is an error; one arm with a spread is enough."""
        flat, spread = Arm.of_values([5.0, 5.0, 5.0]), Arm.of_values(CONTROL)
        assert difference(flat, spread).degrees == pytest.approx(4)
        with pytest.raises(ValueError, match="no spread"):
            difference(flat, flat)

    @pytest.mark.parametrize("level", [0.0, 1.0, 95])
    def test_a_level_is_a_fraction(self, level):
        """95 instead of 0.95 is an error."""
        with pytest.raises(ValueError, match=r"such as 0\.95"):
            difference(*arms(), level)

    def test_relative_to_nothing_is_no_number(self):
        """A control arm that earns nothing has no relative difference."""
        assert math.isnan(difference(Arm(5, 0.0, 1.0), Arm(5, 1.0, 1.0)).relative)

    def test_conclusive_means_that_zero_is_outside(self):
        """Three dollars plus or minus three are inconclusive at 95 % and conclusive at 90 %."""
        a, b = Arm.of_values(CONTROL), Arm.of_values(TREATED)
        assert [difference(a, b, level).conclusive for level in (0.99, 0.9)] == [False, True]


class TestRatio:
    def test_a_constant_denominator_is_a_mean(self):
        """With two visits for every unit the ratio's effect is half the effect per unit."""
        a, b = draw(5, 100)[0], draw(6, 120)[0]
        twice = ratio(Arm.of_values(a, np.full(100, 2.0)), Arm.of_values(b, np.full(120, 2.0)))
        plain = difference(Arm.of_values(a), Arm.of_values(b))
        assert (2 * twice.lower, 2 * twice.upper, twice.p) == pytest.approx((plain.lower, plain.upper, plain.p))

    def test_worked_example(self):
        """Revenue 2, 4, 9 over 1, 2, 3 visits is 2.5 a visit with a unit variance of 1.75 / 4."""
        arm = Arm.of_values([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])  # variances 13 and 1, covariance 3.5
        unit = (13 - 2 * 2.5 * 3.5 + 2.5**2 * 1) / 2**2
        effect = ratio(arm, arm)
        assert (unit, effect.base, effect.difference) == pytest.approx((1.75 / 4, 2.5, 0.0))
        assert effect.standard_error == pytest.approx(math.sqrt(2 * unit / 3))

    def test_standard_error_is_that_of_a_resampling(self):
        """The delta method's standard error agrees with 1,000 resamplings of the units to one part in ten."""
        rng = np.random.default_rng(7)
        visits = rng.poisson(4, 600) + 1.0
        spend = visits * rng.gamma(3, 10, 600)
        arm = Arm.of_values(spend, visits)
        picks = rng.integers(0, 600, (1000, 600))
        ratios = spend[picks].sum(axis=1) / visits[picks].sum(axis=1)
        assert ratio(arm, arm).standard_error == pytest.approx(math.sqrt(2) * ratios.std(), rel=0.1)

    def test_no_visits_at_all_are_refused(self):
        """A ratio over nothing is an error, and so is a ratio without a denominator."""
        with pytest.raises(ValueError, match="denominator"):
            ratio(Arm.of_values([1.0, 2.0], [0.0, 0.0]), Arm.of_values([1.0, 2.0], [1.0, 1.0]))
        with pytest.raises(ValueError, match="need x"):
            ratio(Arm(5, 1.0, 1.0), Arm(5, 1.0, 1.0))


class TestCuped:
    def test_agrees_with_a_regression(self):
        """Theta and the adjusted difference are those of least squares of y on arm and x."""
        (y0, x0), (y1, x1) = draw(1, 300), draw(2, 350, lift=3)
        columns = np.column_stack([np.ones(650), np.r_[np.zeros(300), np.ones(350)], np.r_[x0, x1]])
        _, gap, slope = np.linalg.lstsq(columns, np.r_[y0, y1], rcond=None)[0]
        ours = cuped(Arm.of_values(y0, x0), Arm.of_values(y1, x1))
        assert (ours.effect.difference, ours.theta) == pytest.approx((gap, slope), rel=1e-9)

    def test_a_figure_that_says_nothing_changes_next_to_nothing(self):
        """With x unrelated to y the adjusted interval is the plain one to one part in a hundred."""
        ours = cuped(*arms(n=5000, correlation=0.0))
        width = ours.effect.upper - ours.effect.lower
        assert width == pytest.approx(ours.plain.upper - ours.plain.lower, rel=0.01)
        assert ours.reduction == pytest.approx(0, abs=0.01)

    def test_a_figure_that_says_all_leaves_nothing(self):
        """With x = y the adjustment takes all the variance and all the difference away."""
        y, z = draw(1, 300)[0], draw(2, 300)[0]
        ours = cuped(Arm.of_values(y, y), Arm.of_values(z, z))
        assert ours.theta == pytest.approx(1)
        assert ours.reduction == pytest.approx(1)
        assert ours.effect.difference == pytest.approx(0, abs=1e-9)

    def test_covers_the_truth_with_a_shorter_interval(self):
        """Over 1,000 experiments the adjusted interval holds the effect in 93 to 97 % and is under half as long."""
        held, shorter = 0, []
        for seed in range(1000):
            ours = cuped(Arm.of_values(*draw(2 * seed, 200)), Arm.of_values(*draw(2 * seed + 1, 200, lift=2)))
            held += ours.effect.lower <= 2 <= ours.effect.upper
            shorter.append(ours.effect.standard_error / ours.plain.standard_error)
        assert 0.93 <= held / 1000 <= 0.97
        assert np.mean(shorter) < 0.5

    def test_an_offset_of_x_changes_nothing(self):
        """The same amount added to every unit's past leaves effect and control mean."""
        (y0, x0), (y1, x1) = draw(1, 100), draw(2, 100)
        one = cuped(Arm.of_values(y0, x0), Arm.of_values(y1, x1)).effect
        other = cuped(Arm.of_values(y0, x0 + 1000), Arm.of_values(y1, x1 + 1000)).effect
        assert (one.lower, one.upper, one.base) == pytest.approx((other.lower, other.upper, other.base))

    def test_a_past_that_is_the_same_for_all_is_refused(self):
        """With nothing to adjust by, or no past at all, there is an error that names the way out."""
        with pytest.raises(ValueError, match=r"use difference\(\)"):
            cuped(Arm.of_values(CONTROL, np.zeros(5)), Arm.of_values(TREATED, np.zeros(4)))
        with pytest.raises(ValueError, match="need x"):
            cuped(Arm.of_values(CONTROL), Arm.of_values(TREATED, TREATED))


class TestChange:
    def test_is_the_difference_of_the_changes(self):
        """Difference in differences from sums equals Welch on each unit's change."""
        (y0, x0), (y1, x1) = draw(1, 90), draw(2, 70, lift=4)
        ours = change(Arm.of_values(y0, x0), Arm.of_values(y1, x1))
        plain = difference(Arm.of_values(y0 - x0), Arm.of_values(y1 - x1))
        assert (ours.difference, ours.lower, ours.upper, ours.p) == pytest.approx(
            (plain.difference, plain.lower, plain.upper, plain.p)
        )

    def test_removes_what_was_there_before(self):
        """Arms 250 apart before and during differ by 250 naively and by nothing in their change."""
        (y0, x0), (y1, x1) = draw(1, 2000), draw(2, 2000)
        control, treated = Arm.of_values(y0, x0), Arm.of_values(y1 + 250, x1 + 250)
        assert difference(control, treated).difference == pytest.approx(250, abs=5)
        assert not change(control, treated).conclusive
        assert change(control, treated).base == pytest.approx(treated.mean, abs=5)

    def test_units_that_all_changed_alike_are_refused(self):
        """One and the same change for every unit leaves nothing to measure against."""
        arm = Arm.of_values([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="changed by the same amount"):
            change(arm, arm)


class TestSampleRatio:
    def test_agrees_with_scipy(self):
        """Chi-square and p are scipy's chisquare, for arms of unequal plan."""
        found = sample_ratio({"a": 480, "b": 260, "c": 260}, {"a": 0.5, "b": 0.25, "c": 0.25})
        oracle = stats.chisquare([480, 260, 260], [500, 250, 250])
        assert (found.chi_square, found.p) == pytest.approx((oracle.statistic, oracle.pvalue))

    @pytest.mark.parametrize(
        ("treated", "level"), [(5000, Level.PASS), (5120, Level.PASS), (5140, Level.WARN), (5180, Level.STOP)]
    )
    def test_sizes_that_miss_the_plan_warn_and_stop(self, treated, level):
        """Of 10,000 units planned by halves, 5,120 pass, 5,140 warn (p = .0051) and 5,180 stop (p = .0003)."""
        found = sample_ratio({"control": 10_000 - treated, "treated": treated}, {"control": 0.5, "treated": 0.5})
        assert found.level is level

    @pytest.mark.parametrize(
        ("counts", "shares", "match"),
        [
            ({"a": 1}, {"a": 1.0}, "two or more"),
            ({"a": 1, "b": 1}, {"a": 0.5, "c": 0.5}, "same"),
            ({"a": 1, "b": 1}, {"a": 0.5, "b": 0.6}, "sum to 1"),
            ({"a": 1, "b": 1}, {"a": 1.0, "b": 0.0}, "above 0"),
            ({"a": 0, "b": 0}, {"a": 0.5, "b": 0.5}, "no units"),
        ],
    )
    def test_a_plan_that_cannot_be_is_refused(self, counts, shares, match):
        """One arm, other arms, shares that miss 1, a share of nothing, and no units are errors."""
        with pytest.raises(ValueError, match=match):
            sample_ratio(counts, shares)


class TestAnytime:
    def test_worked_example(self):
        """At the planned end the 95 % sequence reaches 3.0352 standard errors to each side, a fixed interval 1.96."""
        v = 2 * math.log(20) + math.log(2 * math.log(20) + 1)
        factor = math.sqrt((v + 1) / v * 2 * math.log(math.sqrt(v + 1) / 0.05))
        effect = difference(*arms())
        assert factor == pytest.approx(3.0352, abs=1e-4)
        assert anytime(effect, 1.0).upper == pytest.approx(effect.difference + factor * effect.standard_error)
        assert anytime(effect, 1.0).lower == pytest.approx(effect.difference - factor * effect.standard_error)

    def test_peeking_is_safe_with_it_and_not_without(self):
        """Of 500 experiments without effect, 30 looks each, under 5 % are called with it and over 15 % without."""
        rng = np.random.default_rng(23)
        naive = safe = 0
        for _ in range(500):
            a, b = rng.gamma(2, 20, 3000), rng.gamma(2, 20, 3000)
            looks = [(difference(Arm.of_values(a[:n]), Arm.of_values(b[:n])), n / 3000) for n in range(100, 3001, 100)]
            naive += any(effect.conclusive for effect, _ in looks)
            safe += any(anytime(effect, progress).conclusive for effect, progress in looks)
        assert naive / 500 > 0.15
        assert safe / 500 < 0.05

    @pytest.mark.parametrize("persistence", [0.0, 1.0])
    def test_a_panel_watched_by_the_day_is_safe_too(self, persistence):
        """Where the same households are watched for 30 days, alike or each its own way, under 5 % are called."""
        rng = np.random.default_rng(29)
        called = 0
        for _ in range(400):
            own = rng.normal(0, persistence, (2, 300, 1))
            total = np.cumsum(own + rng.gamma(2, 1, (2, 300, 30)), axis=2)
            looks = (difference(*map(Arm.of_values, total[:, :, day])) for day in range(30))
            called += any(anytime(effect, (day + 1) / 30).conclusive for day, effect in enumerate(looks))
        assert called / 400 < 0.05

    def test_p_and_interval_say_the_same(self):
        """The sequence's p is below .05 exactly where its 95 % interval leaves out zero."""
        for z in np.linspace(2, 4, 41):
            effect = experiment.Effect("made", z, 0, 0, 1.0, math.inf, 0, 0.95, 1.0)
            wide = anytime(effect, 0.7)
            assert (wide.p < 0.05) == wide.conclusive

    def test_more_information_narrows_it(self):
        """In standard errors the sequence is tightest at the planned end and wider before and long after."""
        effect = difference(*arms())
        widths = [anytime(effect, progress).upper for progress in (0.01, 0.1, 0.5, 1.0)]
        assert all(later < earlier for earlier, later in pairwise(widths))
        assert anytime(effect, 50).upper > anytime(effect, 1.0).upper > effect.upper

    @pytest.mark.parametrize("progress", [0, -1, math.nan, math.inf])
    def test_progress_must_be_a_share(self, progress):
        """Nothing done yet, and no number, are errors."""
        with pytest.raises(ValueError, match="Progress"):
            anytime(difference(*arms()), progress)


class TestDetectable:
    def test_worked_example(self):
        """With a standard error of 1 and many units the effect found four times in five is 1.960 + 0.842."""
        effect = difference(Arm(10**6, 0.0, 5e5), Arm(10**6, 0.0, 5e5))
        assert detectable(effect) == pytest.approx(2.8016, abs=1e-3)

    def test_is_found_four_times_in_five(self):
        """An effect of just that size is called in 77 to 83 % of 2,000 experiments."""
        rng = np.random.default_rng(31)
        size = detectable(difference(Arm(200, 0.0, 100.0), Arm(200, 0.0, 100.0)))
        y = rng.normal(0, 10, (2000, 2, 200))
        found = [difference(Arm.of_values(a), Arm.of_values(b + size)).conclusive for a, b in y]
        assert 0.77 <= np.mean(found) <= 0.83

    def test_power_is_a_fraction(self):
        """80 instead of 0.8 is an error."""
        with pytest.raises(ValueError, match="power"):
            detectable(difference(*arms()), 80)


@settings(max_examples=50)
@given(st.integers(2, 10**6), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_interval_holds_its_own_estimate(n, mean, var):
    """Whatever the arms, lower ≤ difference ≤ upper, and the sequence holds the plain interval."""
    effect = difference(Arm(n, 0.0, var), Arm(n + 1, mean, var))
    assert effect.lower <= effect.difference <= effect.upper
    assert 0 <= effect.p <= 1


def test_scipy_stats_is_not_loaded():
    """The module needs scipy.special alone: scipy.stats would cost every kernel half a second."""
    code = "import sys, runner.metrics.experiment; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
