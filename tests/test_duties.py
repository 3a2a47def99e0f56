"""Duties fall due once a period, on the wall clock, on business days where a month's day is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.rhythm import Every, Rhythm, parse
from runner.plan.calendar import BusinessCalendar
from runner.plan.deadlines import Timetable
from runner.plan.duties import Due, dues, in_words

NEW_YORK = ZoneInfo("America/New_York")
TIMETABLE = Timetable(NEW_YORK, BusinessCalendar("NYSE"))
BEGINS = date(2017, 1, 2)
FORMS = (
    "daily by 06:00",
    "Mondays by 10:00",
    "every 2 weeks on Monday by 10:00",
    "every quarter by day 10 at 10:00",
    "twice a year by day 15 at 10:00",
)
ZONES = [ZoneInfo(name) for name in ("America/New_York", "Australia/Lord_Howe", "America/Nuuk", "UTC")]


@st.composite
def rhythms(draw):
    """Any text of the grammar."""
    at = draw(st.times()).strftime("%H:%M")
    weekday = draw(st.sampled_from(["Monday", "Thursday", "Sunday"]))
    day, weeks = draw(st.integers(1, 28)), draw(st.integers(2, 52))
    return draw(
        st.sampled_from(
            [
                f"daily by {at}",
                f"{weekday}s by {at}",
                f"every {weeks} weeks on {weekday} by {at}",
                f"every quarter by day {day} at {at}",
                f"twice a year by day {day} at {at}",
            ]
        )
    )


def instants():
    """Any instant of some years, to the minute."""
    return st.datetimes(datetime(2016, 1, 1), datetime(2021, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def due(text, first, last, begins=BEGINS, timetable=TIMETABLE):
    """The dues between two days, given as YYYY-MM-DD."""
    span = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, last))
    return dues("audit", parse(text), begins, timetable, *span)


def wall(found):
    """Period and wall-clock time in New York of each."""
    return [(one.period, f"{one.due_at.astimezone(NEW_YORK):%Y-%m-%d %H:%M}") for one in found]


class TestWords:
    @pytest.mark.parametrize(
        ("text", "rhythm"),
        [
            (FORMS[0], Rhythm(Every.DAY, time(6))),
            (FORMS[1], Rhythm(Every.WEEK, time(10), weekday=0)),
            ("every 3 weeks on Sunday by 23:59", Rhythm(Every.WEEK, time(23, 59), weekday=6, weeks=3)),
            (FORMS[3], Rhythm(Every.QUARTER, time(10), day=10)),
            (FORMS[4], Rhythm(Every.HALF_YEAR, time(10), day=15)),
        ],
    )
    def test_each_form_is_understood(self, text, rhythm):
        """The five forms mean what they say, with space around them or without."""
        assert parse(text) == parse(f" {text} ") == rhythm

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "daily",
            "daily by 24:00",
            "daily by 6:00",
            "Mondags by 10:00",
            "every 1 weeks on Monday by 10:00",
            "every 0 weeks on Monday by 10:00",
            "every 53 weeks on Monday by 10:00",
            "every quarter by day 29 at 10:00",
            "every quarter by day 0 at 10:00",
            "twice a year by day 15",
            "Mondays by 10:00\nand more",
        ],
    )
    def test_anything_else_is_told_the_forms(self, text):
        """A refusal lists every form, and each form it lists is understood."""
        with pytest.raises(ValueError, match="write one of: ") as caught:
            parse(text)
        said = str(caught.value).removeprefix("write one of: ").split("; ")
        assert tuple(form.partition(" (")[0] for form in said) == FORMS


class TestDues:
    def test_daily_keeps_the_wall_time_across_a_clock_change(self):
        """06:00 stays 06:00 when the clocks go back: 24, then 25 hours lie between."""
        found = due(FORMS[0], "2017-11-04", "2017-11-07")
        assert wall(found) == [(f"2017-11-0{day}", f"2017-11-0{day} 06:00") for day in (4, 5, 6)]
        assert [one.due_at - one.opens_at for one in found] == [timedelta(hours=hours) for hours in (24, 25, 24)]

    def test_a_time_in_the_gap_is_the_first_after_it(self):
        """02:30 on the morning on which the clocks skip it is 03:00."""
        assert wall(due("daily by 02:30", "2017-03-12", "2017-03-13")) == [("2017-03-12", "2017-03-12 03:00")]

    def test_weekly(self):
        """Mondays are named by the week that they begin, also the first of an ISO year."""
        assert wall(due(FORMS[1], "2017-11-14", "2017-11-28")) == [
            ("2017-W47", "2017-11-20 10:00"),
            ("2017-W48", "2017-11-27 10:00"),
        ]
        assert wall(due(FORMS[1], "2018-12-28", "2019-01-02")) == [("2019-W01", "2018-12-31 10:00")]

    def test_every_two_weeks_counts_from_the_begin(self):
        """From Wednesday 4 January 2017 the first Monday is the 9th; another week of begin is the other weeks."""
        first, other = (
            [day for _, day in wall(due(FORMS[2], "2017-01-01", "2017-02-10", begins=date(2017, 1, day)))]
            for day in (4, 10)
        )
        assert first == ["2017-01-09 10:00", "2017-01-23 10:00", "2017-02-06 10:00"]
        assert other == ["2017-01-16 10:00", "2017-01-30 10:00"]

    def test_quarters(self):
        """A quarter's day moves over a weekend and over a day without business, and keeps its quarter."""
        assert wall(due(FORMS[3], "2017-01-01", "2018-01-20")) == [
            ("2017-Q1", "2017-01-10 10:00"),
            ("2017-Q2", "2017-04-10 10:00"),
            ("2017-Q3", "2017-07-10 10:00"),
            ("2017-Q4", "2017-10-10 10:00"),
            ("2018-Q1", "2018-01-10 10:00"),
        ]
        assert wall(due("every quarter by day 1 at 10:00", "2017-01-01", "2017-12-31", begins=date(2016, 1, 1))) == [
            ("2017-Q1", "2017-01-03 10:00"),  # Sunday, then New Year's Day as observed
            ("2017-Q2", "2017-04-03 10:00"),  # Saturday
            ("2017-Q3", "2017-07-03 10:00"),  # Saturday
            ("2017-Q4", "2017-10-02 10:00"),  # Sunday
        ]

    def test_half_years(self):
        """The drill is due in January, after Martin Luther King's day, and in July."""
        assert wall(due(FORMS[4], "2017-01-03", "2018-07-01")) == [
            ("2017-H1", "2017-01-17 10:00"),
            ("2017-H2", "2017-07-17 10:00"),
            ("2018-H1", "2018-01-16 10:00"),
        ]

    def test_the_company_may_close_on_the_day(self):
        """A day that the company's own calendar closes is no business day either."""
        closed = Timetable(NEW_YORK, BusinessCalendar("NYSE", {"2017-10-10": "Relocation"}))
        assert wall(due(FORMS[3], "2017-10-01", "2017-12-31", timetable=closed)) == [("2017-Q4", "2017-10-11 10:00")]

    def test_nothing_is_due_before_the_begin(self):
        """A duty begins with its first day on or after its begin, and that first one is open before."""
        found = due(FORMS[3], "2016-01-01", "2017-12-31", begins=date(2017, 4, 11))
        assert [one.period for one in found] == ["2017-Q3", "2017-Q4"]
        assert found[0] == Due(
            "audit",
            "2017-Q3",
            datetime(2017, 4, 10, 14, tzinfo=UTC),
            datetime(2017, 7, 10, 14, tzinfo=UTC),
        )

    def test_the_window_holds_its_first_instant_and_not_its_last(self):
        """What is due at the very end of a window belongs to the next."""
        at = datetime(2017, 11, 20, 15, tzinfo=UTC)
        hour, duty = timedelta(hours=1), ("audit", parse(FORMS[1]), BEGINS, TIMETABLE)
        assert dues(*duty, at - hour, at) == ()
        assert [one.due_at for one in dues(*duty, at, at + hour)] == [at]


class TestRules:
    @settings(deadline=None)
    @given(rhythms(), st.sampled_from(ZONES), st.dates(date(2015, 1, 1), date(2020, 1, 1)))
    def test_each_opens_when_the_one_before_was_due(self, text, zone, begins):
        """Dues are strictly in order, without a gap between them, and no period comes twice."""
        timetable = Timetable(zone, TIMETABLE.calendar)
        found = due(text, "2016-01-01", "2020-06-01", begins=begins, timetable=timetable)
        assert all(one.opens_at < one.due_at for one in found)
        assert all(other.opens_at == one.due_at for one, other in pairwise(found))
        assert len({one.key for one in found}) == len(found)

    @settings(deadline=None)
    @given(rhythms(), st.tuples(instants(), instants(), instants()))
    def test_windows_cut_anywhere_give_each_once(self, text, edges):
        """Two windows that meet give what the one over both gives."""
        first, middle, last = sorted(edges)
        duty = ("audit", parse(text), BEGINS, TIMETABLE)
        parts = [dues(*duty, *span) for span in ((first, middle), (middle, last))]
        assert (*parts[0], *parts[1]) == dues(*duty, first, last)

    @settings(deadline=None)
    @given(rhythms())
    def test_every_period_comes(self, text):
        """Four years have as many dues as the rhythm says: no period is left out."""
        found = due(text, "2017-01-01", "2021-01-01", begins=date(2016, 1, 1))
        rhythm = parse(text)
        if rhythm.every in (Every.QUARTER, Every.HALF_YEAR):
            assert len(found) == (16 if rhythm.every is Every.QUARTER else 8)
        else:
            step = 1 if rhythm.every is Every.DAY else 7 * rhythm.weeks
            assert abs(len(found) - 1461 / step) <= 1

    @settings(deadline=None)
    @given(rhythms(), st.sampled_from(ZONES))
    def test_the_wall_clock_shows_the_time(self, text, zone):
        """Each is due at its wall-clock time, or later where the clocks skip it; by months on a business day."""
        timetable = Timetable(zone, TIMETABLE.calendar)
        rhythm = parse(text)
        for one in due(text, "2017-01-01", "2019-01-01", timetable=timetable):
            local = one.due_at.astimezone(zone)
            skipped = local.replace(hour=rhythm.at.hour, minute=rhythm.at.minute).astimezone(UTC).astimezone(zone)
            assert local.time() == rhythm.at or skipped.time() != rhythm.at
            assert rhythm.day is None or TIMETABLE.calendar.is_business_day(local.date())


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("2017-11-20", "Monday 20 November 2017"),
        ("2017-W47", "week of 20 November 2017"),
        ("2018-W01", "week of 1 January 2018"),
        ("2018-Q1", "first quarter of 2018"),
        ("2017-H2", "second half of 2017"),
        ("2017-Q9", "2017-Q9"),
        ("2017-W99", "2017-W99"),
        ("", ""),
        ("x", "x"),
    ],
)
def test_a_period_is_said_in_words(period, said):
    """People read no keys; what is none of ours stays as it is."""
    assert in_words(period) == said
