"""Spans of days: their ends belong to them, their lengths add up, their texts are a reader's."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.metrics.periods import (
    Span,
    month_to_date,
    one_day,
    same_weekdays_before,
    week_before,
    year_to_date,
)

DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


@st.composite
def spans(draw):
    """Draw a span of up to 400 days."""
    first = draw(DAYS)
    return Span(first, first + timedelta(days=draw(st.integers(0, 400))))


class TestSpan:
    def test_holds_both_ends(self):
        """From the 1st to the 15th are fifteen days."""
        span = Span(date(2017, 11, 1), date(2017, 11, 15))
        assert len(span) == 15
        assert (span.days()[0], span.days()[-1]) == (span.first, span.last)

    def test_refuses_the_wrong_way_round(self):
        """A span that ends before it starts is an error that names both days."""
        with pytest.raises(ValueError, match=r"end \(2017-11-14\) before it starts \(2017-11-15\)"):
            Span(date(2017, 11, 15), date(2017, 11, 14))

    def test_goes_back_over_a_month_end(self):
        """A week before 1 to 3 March is 22 to 24 February."""
        assert Span(date(2017, 3, 1), date(2017, 3, 3)).back(7) == Span(date(2017, 2, 22), date(2017, 2, 24))

    def test_goes_back_over_a_leap_day(self):
        """A day before 1 March is 29 February in a leap year alone."""
        assert one_day(date(2016, 3, 1)).back(1) == one_day(date(2016, 2, 29))
        assert one_day(date(2017, 3, 1)).back(1) == one_day(date(2017, 2, 28))

    @given(spans(), st.integers(0, 60))
    def test_back_keeps_length_and_whole_weeks_keep_weekdays(self, span, weeks):
        """Going back changes no length, and by whole weeks no weekday."""
        earlier = span.back(7 * weeks)
        assert len(earlier) == len(span)
        assert [day.weekday() for day in earlier.days()] == [day.weekday() for day in span.days()]

    @given(spans())
    def test_days_are_each_day_once(self, span):
        """The days of a span are as many as its length, in order, a day apart."""
        days = span.days()
        assert len(days) == len(span)
        assert {later - earlier for earlier, later in pairwise(days)} <= {timedelta(days=1)}

    @pytest.mark.parametrize(
        ("first", "last", "text"),
        [
            ("2017-11-15", "2017-11-15", "15 Nov 2017"),
            ("2017-11-01", "2017-11-15", "1\N{EN DASH}15 Nov 2017"),
            ("2017-10-30", "2017-11-05", "30 Oct \N{EN DASH} 5 Nov 2017"),
            ("2016-12-26", "2017-01-01", "26 Dec 2016 \N{EN DASH} 1 Jan 2017"),
            ("2016-11-01", "2017-11-15", "1 Nov 2016 \N{EN DASH} 15 Nov 2017"),
        ],
    )
    def test_text(self, first, last, text):
        """A span says its month once where both ends share it, and its year once where they share that."""
        assert Span(date.fromisoformat(first), date.fromisoformat(last)).text == text


class TestPeriods:
    def test_month_to_date(self):
        """The month to 15 November begins on the 1st."""
        assert month_to_date(date(2017, 11, 15)) == Span(date(2017, 11, 1), date(2017, 11, 15))

    def test_month_to_date_on_the_first_and_the_last(self):
        """On the first of a month it is one day long, on the last of February 28."""
        assert len(month_to_date(date(2017, 2, 1))) == 1
        assert len(month_to_date(date(2017, 2, 28))) == 28

    def test_year_to_date(self):
        """The year to 15 November has 319 days: ten whole months make 304."""
        assert len(year_to_date(date(2017, 11, 15))) == 304 + 15

    @pytest.mark.parametrize(
        ("as_of", "monday"),
        [
            ("2017-11-15", "2017-11-06"),  # a Wednesday
            ("2017-11-13", "2017-11-06"),  # the Monday after: the week had ended by its start
            ("2017-11-12", "2017-10-30"),  # its Sunday: not over yet
            ("2017-01-04", "2016-12-26"),
        ],
    )
    def test_week_before(self, as_of, monday):
        """The last whole week runs Monday to Sunday and had ended when the as-of day began."""
        first = date.fromisoformat(monday)
        assert week_before(date.fromisoformat(as_of)) == Span(first, first + timedelta(days=6))

    @pytest.mark.parametrize(("length", "back"), [(1, 7), (7, 7), (8, 14), (14, 14), (17, 21), (56, 56)])
    def test_same_weekdays_before(self, length, back):
        """The way back is the length rounded up to whole weeks."""
        first = date(2017, 10, 30)
        assert same_weekdays_before(Span(first, first + timedelta(days=length - 1))) == back

    @given(spans())
    def test_the_span_before_never_overlaps(self, span):
        """A span moved back by its same weekdays ends before it starts, less than a week before."""
        earlier = span.back(same_weekdays_before(span))
        assert timedelta(days=1) <= span.first - earlier.last <= timedelta(days=7)
