"""Bands as findings: in line, low, high, a special day, too early to judge; and days that must all be there."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from runner.errors import Trouble
from runner.metrics.periods import Span
from runner.model import Level
from runner.notebook import bands, charts
from runner.notebook.bands import Metric

FIRST = date(2017, 3, 6)  # a Monday, with no holiday in the weeks after it
NOTHING = {"closed_on": ["12-25"], "named": {}}
REVENUE = Metric("Revenue", "usd")


def daily(count=100, last=None, first=FIRST):
    """Make a frame of calm days around 1,000 dollars that differ by weekday; `last` replaces the last day's revenue."""
    days = pd.date_range(first, periods=count)
    weekday = np.array([0.9, 0.8, 0.85, 0.9, 1.0, 1.3, 1.25])[days.day_of_week]
    noise = np.random.default_rng(3).normal(1, 0.03, count)
    frame = pd.DataFrame({"day": days, "revenue": 1000 * weekday * noise, "lines": np.arange(count) + 500})
    if last is not None:
        frame.loc[count - 1, "revenue"] = last
    return frame


def found(frame, config=NOTHING):
    """Give the finding on a frame's last revenue."""
    return bands.finding(bands.bands(frame, {"revenue": REVENUE}, config)["revenue"], REVENUE)


class TestFinding:
    def test_in_line(self):
        """An ordinary day passes with its range in words and in numbers."""
        finding = found(daily())
        assert (finding.level, finding.trouble, finding.check) == (Level.PASS, None, "usual range of revenue")
        assert finding.message.startswith("Revenue: $")
        assert "is within the usual range $" in finding.message
        assert finding.numbers["lower"] < finding.numbers["observed"] < finding.numbers["upper"]
        assert finding.numbers["budget"] == 4.0

    @pytest.mark.parametrize(("last", "side"), [(0.0, "below"), (300.0, "below"), (3000.0, "above")])
    def test_out_of_range(self, last, side):
        """A day of nothing, a third or three times the usual warns, and says on which side."""
        finding = found(daily(last=last))
        assert (finding.level, finding.trouble) == (Level.WARN, Trouble.OUTLIER)
        assert f"Revenue: ${last:,.0f} is {side} the usual range $" in finding.message

    def test_special_day(self):
        """The same outlier on a day that the company has named passes, and the message names the day."""
        frame = daily(last=3000.0)
        finding = found(frame, {"named": {frame["day"].iloc[-1].date(): "Loyalty card relaunch"}})
        assert (finding.level, finding.trouble) == (Level.PASS, None)
        assert finding.message == "Revenue: $3,000 is not judged, the day is special (Loyalty card relaunch)."

    def test_holidays_are_special_by_themselves(self):
        """Thanksgiving is known without being listed."""
        frame = daily(last=5.0, first=date(2017, 11, 23) - timedelta(days=99))
        assert "Thanksgiving" in found(frame).message
        assert found(frame).level is Level.PASS

    def test_warming_up(self):
        """In the first weeks nothing is judged, and the message says how much is known."""
        finding = found(daily(count=10, last=0.0))
        assert finding.level is Level.PASS
        assert "is not judged. Warm-up: 9 of" in finding.message
        assert finding.numbers["observed"] == 0.0

    @pytest.mark.parametrize("count", [1, 10, 100])
    @pytest.mark.parametrize("last", [None, 0.0, np.nan])
    def test_numbers_are_json(self, count, last):
        """Whatever is not known yet is null in the numbers, and never nan."""
        json.dumps(found(daily(count, last=last)).as_dict(), allow_nan=False)

    def test_later_days_change_nothing(self):
        """The finding on a day is the same whether or not later days are known."""
        whole = daily()
        then = bands.bands(whole.head(80), {"revenue": REVENUE}, NOTHING)["revenue"].day()
        now = bands.bands(whole, {"revenue": REVENUE}, NOTHING)["revenue"].day(79)
        assert then == now


class TestSpecialDays:
    def test_named_days_as_text_and_as_days(self):
        """A named day counts whether YAML read its date as a day or as text."""
        for day in (date(2017, 6, 10), "2017-06-10"):
            special = bands.special_days(FIRST, date(2017, 6, 30), {"named": {day: "Relaunch"}})
            assert special[date(2017, 6, 10)] == "Relaunch"

    def test_closed_days(self):
        """A day on which the shops are shut each year is closed in each."""
        assert list(bands.closed_days(date(2016, 1, 1), date(2017, 12, 31), NOTHING)) == [
            date(2016, 12, 25), date(2017, 12, 25),
        ]  # fmt: skip

    def test_an_empty_file(self):
        """A company without days of its own needs no entry."""
        assert bands.closed_days(FIRST, FIRST, {"closed_on": None, "named": None}) == {}
        assert bands.special_days(date(2017, 3, 1), date(2017, 3, 1), {"named": None}) == {}


class TestGaps:
    def test_all_there(self):
        """A calm frame passes and says how many days were looked at."""
        finding = bands.gaps(daily(), "revenue", NOTHING)
        assert (finding.level, finding.trouble) == (Level.PASS, None)
        assert "last 56 days are all there" in finding.message
        assert finding.numbers == {"missing": 0, "zero": 0, "double": 0, "copied": 0}

    @pytest.mark.parametrize(
        ("spoil", "kind"),
        [
            (lambda frame: frame.drop(index=90), "missing"),
            (lambda frame: frame.assign(revenue=frame["revenue"].where(frame.index != 90, 0.0)), "zero"),
            (lambda frame: pd.concat([frame.loc[:90], frame.loc[90:].assign(lines=frame["lines"] + 7)]), "double"),
            (lambda frame: frame.assign(revenue=frame["revenue"].where(frame.index != 90, frame["revenue"][83]),
                                        lines=frame["lines"].where(frame.index != 90, frame["lines"][83])), "copied"),
        ],
        ids=["missing", "zero", "double", "copied"],
    )  # fmt: skip
    def test_each_fault_is_a_stop(self, spoil, kind):
        """A missing, zero, doubled or copied day stops the report; the finding names kind, count and day."""
        finding = bands.gaps(spoil(daily()), "revenue", NOTHING)
        assert (finding.level, finding.trouble) == (Level.STOP, Trouble.DATA_INCOMPLETE)
        assert f"1 {kind} ({FIRST + timedelta(days=90)} …)" in finding.message
        assert {name: count for name, count in finding.numbers.items() if count} == {kind: 1}

    def test_a_closed_day_is_not_missing(self):
        """Christmas may be missing where the shops are shut, and may not where they are not."""
        frame = daily(first=date(2017, 10, 1)).drop(index=85)  # 25 December
        assert bands.gaps(frame, "revenue", NOTHING).level is Level.PASS
        assert bands.gaps(frame, "revenue", {}).level is Level.STOP

    def test_old_faults_are_forgiven(self):
        """A fault before the days looked at no longer stops a report."""
        assert bands.gaps(daily().drop(index=40), "revenue", NOTHING).level is Level.PASS
        assert bands.gaps(daily().drop(index=40), "revenue", NOTHING, back=60).level is Level.STOP

    def test_a_short_history(self):
        """A frame of three days is looked at from its first day on."""
        assert "last 3 days" in bands.gaps(daily(3), "revenue", NOTHING).message


class TestTable:
    def test_rows(self):
        """One row a metric: its texts in its own unit, its verdict, and what would have been noticed."""
        metrics = {"revenue": REVENUE, "lines": Metric("Till lines")}
        frame = bands.table(bands.bands(daily(last=0.0), metrics, NOTHING), metrics)
        assert list(frame["metric"]) == ["Revenue", "Till lines"]
        assert list(frame["verdict"]) == ["low", "in line"]
        assert frame["observed"].tolist() == ["$0", "599"]
        assert frame["drop"].between(0.05, 1).all()
        assert frame["rise"].gt(0.05).all()
        assert set(bands.LABELS) | set(bands.UNITS) <= set(frame)

    def test_verdicts(self):
        """A special day and a day in the warm-up are called that."""
        frame = daily()
        special = {"named": {frame["day"].iloc[-1].date(): "Relaunch"}}
        metrics = {"revenue": REVENUE}
        assert bands.table(bands.bands(frame, metrics, special), metrics)["verdict"][0] == "special day"
        assert bands.table(bands.bands(frame.head(5), metrics, NOTHING), metrics)["verdict"][0] == "not judged yet"


class TestDraw:
    def test_alt_text_counts(self):
        """The sentence for the alt text counts the days, those out of range and the special ones."""
        frame = daily(last=0.0)
        config = {"named": {frame["day"].iloc[-3].date(): "Relaunch"}}
        with mpl.rc_context():
            charts.use()
            chart, (axis,) = charts.canvas()
            text = bands.draw(axis, bands.bands(frame, {"revenue": REVENUE}, config)["revenue"], REVENUE)
            assert not charts.is_blank(chart)
            assert {label.get_text() for label in axis.get_legend().get_texts()} == {
                "Usual range", "Expected", "Revenue", "Special day", "Out of range",
            }  # fmt: skip
        assert text.startswith("Revenue of the last 70 days")
        assert "1 of them out of range, " in text


class TestClosingHour:
    CONFIG: ClassVar = {"closes_early": {"Thanksgiving Day": 17, "Christmas Eve": 19}}

    @pytest.mark.parametrize(
        ("day", "hour"), [("2017-11-23", 17), ("2017-12-24", 19), ("2017-11-15", 24), ("2017-11-22", 24)]
    )
    def test_early_days(self, day, hour):
        """A day that closes early has its hour, an ordinary day and the day before a holiday have 24."""
        assert bands.closing_hour(date.fromisoformat(day), self.CONFIG) == hour

    def test_without_an_entry(self):
        """A company that lists none closes early on no day."""
        assert bands.closing_hour(date(2017, 11, 23), {}) == 24


class TestSpecialNote:
    CONFIG: ClassVar = {"closed_on": ["12-25"]}

    def test_ordinary_spans_need_no_note(self):
        """Two ordinary weeks are compared without a word."""
        week = Span(date(2017, 8, 7), date(2017, 8, 13))
        assert bands.special_note(week, week.back(7), self.CONFIG) == ""

    def test_a_special_day_on_either_side_is_named(self):
        """A reader is told which day was special, on which side, and what that takes from the comparison."""
        day = Span(date(2017, 11, 23), date(2017, 11, 23))
        now = bands.special_note(day, day.back(7), self.CONFIG)
        assert now.startswith("In 23 Nov 2017: 23 Nov (Thanksgiving Day).")
        then = bands.special_note(Span(date(2017, 11, 30), date(2017, 11, 30)), day, self.CONFIG)
        assert then.startswith("In the days compared with, 23 Nov 2017: 23 Nov (Thanksgiving Day).")
        assert all("not by itself growth or decline" in text for text in (now, then))

    def test_closed_days_are_counted(self):
        """A week with a closed day says on how many days the shops were open, against how many."""
        week = Span(date(2017, 12, 25), date(2017, 12, 31))
        assert "The shops were open on 6 days, against 7." in bands.special_note(week, week.back(7), self.CONFIG)
