"""Unit-level profit of an experiment, each sum worked out by hand for five households."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from runner.metrics import units
from runner.metrics.periods import Span
from runner.metrics.units import Experiment
from tests.small_warehouse import COSTS, line, opened

SPAN = Span(date(2017, 3, 15), date(2017, 3, 21))  # a Wednesday to the Tuesday after
EXPERIMENTS = (
    (7, "Type A", "2017-03-15", "2017-03-21"),
    (8, "Type B", "2017-03-21", "2017-04-30"),
    (9, "Type C", "2017-03-22", "2017-04-30"),
)
#: Households 1 and 2 are treated and known, 3 and 4 known and not treated, 5 and 6 not known before the start.
ASSIGNMENTS = ((7, 1), (7, 2), (7, 5), (8, 1), (8, 3), (9, 4))
LINES = (
    line(1, "2017-03-01 12:00", 101, "5.00"),  # placebo week
    line(1, "2017-03-08 12:00", 102, "10.00"),  # pre week
    line(1, "2017-03-09 12:00", 103, "20.00", product=2),
    line(1, "2017-03-15 12:00", 104, "40.00", card="10.00"),  # first day
    line(1, "2017-03-21 23:59", 105, "8.00", product=3),  # last day
    line(1, "2017-03-22 00:00", 106, "99.00"),  # after the end
    line(2, "2017-01-01 12:00", 201, "50.00"),  # known, and silent since
    line(3, "2017-03-14 12:00", 301, "30.00"),  # the day before the start
    line(3, "2017-03-15 12:00", 302, "2.00", product=2),  # loses money: fuel's margin is below handling
    line(4, "2017-03-07 12:00", 401, "6.00"),  # last day of the placebo week
    line(5, "2017-03-15 12:00", 501, "70.00"),  # treated, first seen on the first day
    line(6, "2017-03-16 12:00", 601, "70.00"),
)
REDEMPTIONS = ((1, 1, 7, "2017-03-15"), (1, 2, 7, "2017-03-21"), (1, 3, 8, "2017-03-21"), (1, 4, 7, "2017-03-22"))
PROFIT_1 = (40 - 50 * 0.6) + (8 - 8 * 0.5) - 2 * 1.00 - 2 * 0.10 - 0.75
PRE_1 = (10 - 10 * 0.6) + (20 - 20 * 0.9) - 2 * 1.00
PLACEBO_1 = (5 - 5 * 0.6) - 1.00
PROFIT_3 = (2 - 2 * 0.9) - 1.00
PRE_3 = (30 - 30 * 0.6) - 1.00
PLACEBO_4 = (6 - 6 * 0.6) - 1.00


def near(value):
    """To a millionth of a dollar."""
    return pytest.approx(value, abs=1e-6)


def trial(folder, as_of=date(2017, 3, 31), number=7):
    """Open the warehouse above and collect the units of one experiment."""
    tables = {"experiments": EXPERIMENTS, "assignments": ASSIGNMENTS, "redemptions": REDEMPTIONS}
    shop = opened(folder, LINES, as_of=as_of, **tables)
    windows = units.windows(units.experiment(shop, number).span, as_of)
    units.collect(shop, number, windows, COSTS)
    return shop, windows


def rows(shop):
    """Give the table of units as {household: row}."""
    return shop.execute("SELECT * FROM units").df().set_index("household_id").to_dict("index")


class TestWindows:
    def test_over(self):
        """A week that is over is compared with the week before, and that with the one before it."""
        found = units.windows(SPAN, date(2017, 4, 1))
        assert (found.now, found.pre, found.placebo) == (SPAN, SPAN.back(7), SPAN.back(14))
        assert found.is_over

    def test_running(self):
        """On its third day an experiment is compared with the same three weekdays of the week before."""
        found = units.windows(SPAN, date(2017, 3, 17))
        assert found.now == Span(SPAN.first, date(2017, 3, 17))
        assert found.pre == Span(date(2017, 3, 8), date(2017, 3, 10))
        assert not found.is_over

    def test_is_over_on_its_last_day(self):
        """At the end of its last day an experiment is over, a day earlier it is not."""
        assert units.windows(SPAN, SPAN.last).is_over
        assert not units.windows(SPAN, date(2017, 3, 20)).is_over

    def test_first_day(self):
        """On the first day the window is one day long."""
        assert len(units.windows(SPAN, SPAN.first).now) == 1

    def test_nine_days_go_back_two_weeks(self):
        """A window longer than a week is moved by whole weeks, so that it never overlaps the one before."""
        found = units.windows(Span(date(2017, 3, 15), date(2017, 3, 23)), date(2017, 3, 31))
        assert found.pre == found.now.back(14)
        assert found.placebo == found.now.back(28)

    def test_refuses_before_the_start(self):
        """The day before its start there is nothing to look at, and the error names both days."""
        with pytest.raises(ValueError, match=r"starts on 2017-03-15, after the as-of day 2017-03-14"):
            units.windows(SPAN, date(2017, 3, 14))


class TestExperiment:
    def test_known(self, tmp_path):
        """An experiment is its number, kind and days."""
        shop = opened(tmp_path, experiments=EXPERIMENTS)
        assert units.experiment(shop, 7) == Experiment(7, "Type A", SPAN)

    def test_unknown(self, tmp_path):
        """A number that is in no row gives None."""
        assert units.experiment(opened(tmp_path, experiments=EXPERIMENTS), 6) is None


class TestCollect:
    def test_units_are_the_households_known_before(self, tmp_path):
        """Who is first seen on the first day is no unit, treated or not; who was seen once before is one."""
        shop, _ = trial(tmp_path)
        assert {household: row["is_treated"] for household, row in rows(shop).items()} == {
            1: True, 2: True, 3: False, 4: False,
        }  # fmt: skip

    def test_profit_by_hand(self, tmp_path):
        """Profit is margin less handling, clearing of this experiment's coupons and contact, within the window."""
        found = rows(trial(tmp_path)[0])
        assert {household: row["profit"] for household, row in found.items()} == near(
            {1: PROFIT_1, 2: -0.75, 3: PROFIT_3, 4: 0.0}
        )
        assert found[1]["coupons"] == 2  # neither the other campaign's nor the one after the end
        assert (found[1]["revenue"], found[1]["discount"], found[1]["list_value"]) == near((48.0, 10.0, 58.0))

    def test_windows_before_by_hand(self, tmp_path):
        """The two windows before hold margin less handling of their own days, and not contact or clearing."""
        found = rows(trial(tmp_path)[0])
        assert {household: row["pre"] for household, row in found.items()} == near({1: PRE_1, 2: 0, 3: PRE_3, 4: 0})
        assert {household: row["placebo"] for household, row in found.items()} == near(
            {1: PLACEBO_1, 2: 0, 3: 0, 4: PLACEBO_4}
        )

    def test_an_early_look(self, tmp_path):
        """On the first day only that day counts, and its comparison is the same weekday a week before."""
        found = rows(trial(tmp_path, as_of=SPAN.first)[0])
        assert found[1]["profit"] == near((40 - 50 * 0.6) - 1.00 - 0.10 - 0.75)
        assert found[1]["pre"] == near((10 - 10 * 0.6) - 1.00)

    def test_collecting_again_replaces(self, tmp_path):
        """Collecting another experiment over the same connection leaves nothing of the first."""
        shop, _ = trial(tmp_path)
        units.collect(shop, 8, units.windows(Span(date(2017, 3, 21), date(2017, 4, 30)), date(2017, 3, 31)), COSTS)
        assert {household for household, row in rows(shop).items() if row["is_treated"]} == {1, 3}
        assert len(rows(shop)) == 6  # 5 and 6 are known by then


class TestByArm:
    def test_by_hand(self, tmp_path):
        """Each arm's sums are those of its units, treated first."""
        frame = units.by_arm(trial(tmp_path)[0])
        assert list(frame["arm"]) == ["Treated", "Not treated"]
        assert frame.set_index("arm").loc["Treated"].to_dict() == near(
            {
                "units": 2, "active": 1, "baskets": 2, "coupons": 2, "list_value": 58.0, "discount": 10.0,
                "revenue": 48.0, "goods": 50 * 0.6 + 8 * 0.5, "handling": 2.0, "clearing": 0.2, "contact": 2 * 0.75,
                "profit": PROFIT_1 - 0.75,
            }
        )  # fmt: skip
        assert frame.set_index("arm").loc["Not treated", ["units", "active", "contact", "profit"]].tolist() == near(
            [2, 1, 0.0, PROFIT_3]
        )

    def test_profit_is_the_sum_of_its_parts(self, tmp_path):
        """Revenue less goods, handling, clearing and contact is the profit of each arm."""
        frame = units.by_arm(trial(tmp_path)[0])
        parts = frame["revenue"] - frame[["goods", "handling", "clearing", "contact"]].sum(axis=1)
        assert parts.tolist() == near(frame["profit"].tolist())


class TestMoments:
    def test_by_hand(self, tmp_path):
        """The sums of y, y², x, x² and xy over two units an arm."""
        found = units.moments(trial(tmp_path)[0], "profit", "pre")
        assert found["treated"] == near(
            {
                "n": 2,
                "y": PROFIT_1 - 0.75,
                "yy": PROFIT_1**2 + 0.75**2,
                "x": PRE_1,
                "xx": PRE_1**2,
                "xy": PROFIT_1 * PRE_1,
            }
        )
        assert found["control"] == near(
            {"n": 2, "y": PROFIT_3, "yy": PROFIT_3**2, "x": PRE_3, "xx": PRE_3**2, "xy": PROFIT_3 * PRE_3}
        )

    @pytest.mark.parametrize(("outcome", "before"), [("profit", "household_id"), ("1; DROP TABLE units", "pre")])
    def test_refuses_other_columns(self, tmp_path, outcome, before):
        """Only columns that mean something are summed, so that no text reaches the statement."""
        with pytest.raises(ValueError, match="Moments are taken of"):
            units.moments(trial(tmp_path)[0], outcome, before)


class TestLooks:
    def test_each_look_is_what_was_known_then(self, tmp_path):
        """Of every day of the experiment, and of one after it, the sums are those of collecting as of that day."""
        shop, _ = trial(tmp_path)
        days = [*SPAN.days(), date(2017, 3, 25)]
        found = units.looks(shop, units.experiment(shop, 7), days, COSTS)
        assert list(found) == SPAN.days(), "the day after the end is that of the end"
        for day, arms in found.items():
            units.collect(shop, 7, units.windows(SPAN, day), COSTS)
            expected = units.moments(shop, "profit", "pre")
            assert list(arms) == list(expected) == ["treated", "control"]
            for arm, sums in arms.items():
                assert sums == pytest.approx(expected[arm], rel=1e-12), (day, arm)

    def test_by_hand(self, tmp_path):
        """On the first day household 1 has its first basket alone, against the same weekday a week before."""
        shop, _ = trial(tmp_path)
        treated = units.looks(shop, units.experiment(shop, 7), [SPAN.first], COSTS)[SPAN.first]["treated"]
        first, before = (40 - 50 * 0.6) - 1.00 - 0.10 - 0.75, (10 - 10 * 0.6) - 1.00
        assert treated == near(
            {"n": 2, "y": first - 0.75, "yy": first**2 + 0.75**2, "x": before, "xx": before**2, "xy": first * before}
        )

    def test_a_basket_over_midnight_is_served_once(self, tmp_path):
        """A basket with lines on two days of a window costs one handling from its first day on."""
        lines = [
            line(1, "2017-03-01 12:00", 1),
            line(1, "2017-03-15 23:59", 2, "10.00"),
            line(1, "2017-03-16 00:00", 2, "10.00"),
            line(2, "2017-03-01 12:00", 3),
        ]
        shop = opened(tmp_path, lines, experiments=EXPERIMENTS, assignments=[(7, 1)])
        subject = units.experiment(shop, 7)
        units.collect(shop, 7, units.windows(SPAN, SPAN.last), COSTS)
        found = units.looks(shop, subject, SPAN.days()[:2], COSTS)
        assert [arms["treated"]["y"] for arms in found.values()] == near([4 - 1.00 - 0.75, 8 - 1.00 - 0.75])

    def test_refuses_before_the_start(self, tmp_path):
        """There is nothing to look at before the first day."""
        shop, _ = trial(tmp_path)
        with pytest.raises(ValueError, match="starts on 2017-03-15"):
            units.looks(shop, units.experiment(shop, 7), [date(2017, 3, 14)], COSTS)


class TestDeciles:
    def test_tenths_rise_and_hold_every_unit(self, tmp_path):
        """Twenty units of profits 0 to 19 make tenths of means 0.5, 2.5 … 18.5; an arm without units is nan."""
        old = [line(n, "2017-03-01 12:00", n, "1.00") for n in range(1, 21)]
        new = [line(n, "2017-03-15 12:00", 100 + n, f"{2.5 * n}0") for n in range(1, 21)]
        shop = opened(tmp_path, old + new, experiments=EXPERIMENTS)
        units.collect(shop, 7, units.windows(SPAN, SPAN.last), COSTS)
        frame = units.deciles(shop)
        assert list(frame["tenth"]) == list(range(1, 11))
        assert list(frame["not_treated"]) == near([0.5 + 2 * n for n in range(10)])
        assert frame["treated"].isna().all()


class TestBaskets:
    def test_by_hand(self, tmp_path):
        """What an average basket brings, and the share that does not pay for its own handling."""
        shop, windows = trial(tmp_path)
        frame = units.baskets(shop, windows.now, COSTS).set_index("arm")
        assert frame.loc["Treated"].to_dict() == near(
            {
                "baskets": 2, "lines": 1, "list_value": (50 + 8) / 2, "discount": 10 / 2, "revenue": 48 / 2,
                "goods": (30 + 4) / 2, "profit": (10 + 4) / 2 - 1, "loss_making": 0,
            }
        )  # fmt: skip
        assert frame.loc["Not treated", ["baskets", "profit", "loss_making"]].tolist() == near([1, 0.2 - 1, 1])

    def test_two_lines_are_one_basket(self, tmp_path):
        """Two till lines of one basket are averaged as one basket of two lines."""
        lines = [*LINES, line(3, "2017-03-15 12:00", 302, "10.00")]
        shop = opened(tmp_path, lines, experiments=EXPERIMENTS)
        units.collect(shop, 7, units.windows(SPAN, SPAN.last), COSTS)
        row = units.baskets(shop, SPAN, COSTS).set_index("arm").loc["Not treated"]
        assert (row["baskets"], row["lines"]) == (3, (1 + 1 + 2) / 3)  # 104, 105 and 302: nobody was assigned


class TestDaily:
    def test_by_hand(self, tmp_path):
        """Profit a unit and day divides by all units of the arm and leaves contact and clearing out."""
        frame = units.daily(trial(tmp_path)[0], SPAN.first, SPAN.last, COSTS)
        assert list(frame["day"]) == list(pd.date_range(SPAN.first, SPAN.last))
        assert list(frame["treated"]) == near([(10 - 1) / 2, 0, 0, 0, 0, 0, (4 - 1) / 2])
        assert list(frame["not_treated"]) == near([(0.2 - 1) / 2, 0, 0, 0, 0, 0, 0])

    def test_an_arm_without_units_has_no_profit(self, tmp_path):
        """Where nobody was treated the treated have nan, not zero."""
        shop = opened(tmp_path, LINES, experiments=EXPERIMENTS)
        units.collect(shop, 7, units.windows(SPAN, SPAN.last), COSTS)
        assert units.daily(shop, SPAN.first, SPAN.last, COSTS)["treated"].isna().all()

    def test_an_arm_that_bought_nothing_earned_nothing(self, tmp_path):
        """An arm whose units all stayed away has a profit of zero on each day."""
        shop = opened(tmp_path, LINES, experiments=EXPERIMENTS, assignments=[(7, 2)])
        units.collect(shop, 7, units.windows(SPAN, SPAN.last), COSTS)
        assert units.daily(shop, SPAN.first, SPAN.last, COSTS)["treated"].tolist() == [0.0] * 7


class TestOverlap:
    def test_by_hand(self, tmp_path):
        """A campaign that starts on the last day overlaps, one that starts the day after does not."""
        shop, windows = trial(tmp_path)
        assert units.overlap(shop, 7, windows.now) == near({"treated": 1 / 2, "control": 1 / 2})  # households 1 and 3

    def test_its_own_campaign_is_no_other(self, tmp_path):
        """Before the second campaign starts no unit is in another one."""
        shop, _ = trial(tmp_path)
        assert units.overlap(shop, 7, Span(SPAN.first, date(2017, 3, 20))) == {"treated": 0.0, "control": 0.0}
