"""Deadlines: exact ones of the shipped plan, and rules that hold for every promise, zone and window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config import Owners, Person, Pipeline, Project, Settings, load
from runner.plan.calendar import BusinessCalendar, instant, local_day
from runner.plan.deadlines import (
    Begin,
    Timetable,
    all_deadlines,
    deadline_of,
    deadlines_of,
    input_of,
    room_of,
)

ROOT = Path(__file__).resolve().parents[1]
ZONE = ZoneInfo("America/New_York")
NYSE = Timetable(ZONE, BusinessCalendar("NYSE"))
SETTINGS = Settings(company="C", time_zone="America/New_York", sender=Person(name="R", email="r@example.com"))
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CALENDARS = [BusinessCalendar(name) for name in ("NYSE", "US", "GB")]
ZONES = [ZoneInfo(name) for name in ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC")]
PROMISES = ["daily by {}", "business days by {}", "by {} next business day", "Wednesdays by {}", "Mondays by {}"]
INSTANTS = st.integers(0, 25 * 365 * 86400).map(lambda n: datetime(2010, 1, 1, tzinfo=UTC) + timedelta(seconds=n))


def pipeline(deadline: str, **more) -> Pipeline:
    """A pipeline with a promise."""
    entry = {"name": "p", "title": "P", "notebook": "p.ipynb", "period": "day", "readers": (), "sources": ()}
    owners = Owners(primary="a", secondary="b", because="They asked.")
    return Pipeline(**{**entry, "owners": owners, "deadline": deadline, **more})


@cache
def shipped() -> Project:
    """The project as it is shipped."""
    return load(ROOT)


def at(text: str, zone: ZoneInfo = ZONE) -> datetime:
    """The instant of a local `2017-11-24 09:00`."""
    wall = datetime.fromisoformat(text)
    return instant(wall.date(), wall.time(), zone)


def shown(deadline, zone: ZoneInfo = ZONE) -> tuple[str, ...]:
    """Pipeline, period, and the three instants on the local clock."""
    times = (deadline.starts_at, deadline.ready_at, deadline.due_at)
    return (deadline.pipeline, deadline.period, *(f"{moment.astimezone(zone):%a %d %H:%M}" for moment in times))


@st.composite
def plans(draw, *, elapsed: bool = True):
    """Draw a pipeline with any promise, a timetable, and an instant soon after which experiments begin, some again."""
    clock = st.times().map(lambda t: f"{t:%H:%M}")
    form = draw(st.sampled_from([*PROMISES, *(["within 6 hours of experiment start"] if elapsed else [])]))
    period = "experiment" if "experiment" in form else draw(st.sampled_from(["day", "week", "experiment"]))
    entry = pipeline(
        form.format(draw(clock)),
        period=period,
        experiment=18 if period == "experiment" else None,
        ready_by=draw(st.none() | clock),
        room=draw(st.none() | st.integers(1, 100).map("{} h".format)),
    )
    first = draw(INSTANTS)
    hours = draw(st.lists(st.integers(-8, 100), max_size=6))
    begins = tuple(Begin(str(number % 3), first + n * HOUR) for number, n in enumerate(hours))
    return entry, Timetable(draw(st.sampled_from(ZONES)), draw(st.sampled_from(CALENDARS)), begins), first


class TestThanksgiving2017:
    def test_the_week_of_the_shipped_plan(self):
        """From Monday 20 to Monday 27 November the five pipelines owe exactly these, in this order."""
        project = shipped()
        days = project.holidays
        timetable = Timetable(
            ZoneInfo(project.settings.time_zone),
            BusinessCalendar(days.business_calendar, days.no_business, days.business),
            (Begin("20", at("2017-11-27 09:00")),),
        )
        found = all_deadlines(
            project.pipelines.values(), project.settings, timetable, at("2017-11-20 00:00"), at("2017-11-28 00:00")
        )
        owed = [
            ("aggregate_engagement", "2017-W46", "Mon 20 07:24", "Mon 20 08:00", "Mon 20 08:00"),
            ("aggregate_profit", "2017-11-17", "Mon 20 08:24", "Mon 20 09:00", "Mon 20 09:00"),
            ("aggregate_growth", "2017-11-19", "Mon 20 09:24", "Mon 20 10:00", "Mon 20 10:00"),
            ("daily_growth", "2017-11-19", "Mon 20 08:00", "Mon 20 09:00", "Mon 20 12:00"),
            ("aggregate_profit", "2017-11-20", "Tue 21 08:24", "Tue 21 09:00", "Tue 21 09:00"),
            ("aggregate_growth", "2017-11-20", "Tue 21 09:24", "Tue 21 10:00", "Tue 21 10:00"),
            ("daily_growth", "2017-11-20", "Tue 21 08:00", "Tue 21 09:00", "Tue 21 12:00"),
            ("aggregate_profit", "2017-11-21", "Wed 22 08:24", "Wed 22 09:00", "Wed 22 09:00"),
            ("aggregate_growth", "2017-11-21", "Wed 22 09:24", "Wed 22 10:00", "Wed 22 10:00"),
            ("daily_growth", "2017-11-21", "Wed 22 08:00", "Wed 22 09:00", "Wed 22 12:00"),
            ("aggregate_growth", "2017-11-22", "Thu 23 09:24", "Thu 23 10:00", "Thu 23 10:00"),
            ("daily_growth", "2017-11-22", "Thu 23 08:00", "Thu 23 09:00", "Thu 23 12:00"),
            ("aggregate_profit", "2017-11-22", "Fri 24 08:24", "Fri 24 09:00", "Fri 24 09:00"),
            ("aggregate_growth", "2017-11-23", "Fri 24 09:24", "Fri 24 10:00", "Fri 24 10:00"),
            ("daily_growth", "2017-11-23", "Fri 24 08:00", "Fri 24 09:00", "Fri 24 12:00"),
            ("aggregate_growth", "2017-11-24", "Sat 25 09:24", "Sat 25 10:00", "Sat 25 10:00"),
            ("daily_growth", "2017-11-24", "Sat 25 08:00", "Sat 25 09:00", "Sat 25 12:00"),
            ("aggregate_growth", "2017-11-25", "Sun 26 09:24", "Sun 26 10:00", "Sun 26 10:00"),
            ("daily_growth", "2017-11-25", "Sun 26 08:00", "Sun 26 09:00", "Sun 26 12:00"),
            ("aggregate_engagement", "2017-W47", "Mon 27 07:24", "Mon 27 08:00", "Mon 27 08:00"),
            ("aggregate_profit", "2017-11-24", "Mon 27 08:24", "Mon 27 09:00", "Mon 27 09:00"),
            ("aggregate_growth", "2017-11-26", "Mon 27 09:24", "Mon 27 10:00", "Mon 27 10:00"),
            ("daily_growth", "2017-11-26", "Mon 27 08:00", "Mon 27 09:00", "Mon 27 12:00"),
            ("unit_profit", "experiment-20@2017-11-27", "Mon 27 10:00", "Mon 27 15:00", "Mon 27 15:00"),
        ]
        assert [shown(deadline) for deadline in found] == owed
        assert found[-1].experiment == "20"

    def test_the_company_may_close_friday(self):
        """Wednesday's profit is due on Friday by NYSE, and on Monday once the company closes on Friday."""
        promised = pipeline("by 09:00 next business day")
        closed = BusinessCalendar("NYSE", no_business={"2017-11-24": "Day after Thanksgiving"})
        dues = [
            deadline_of(promised, SETTINGS, Timetable(ZONE, calendar), date(2017, 11, 22)).due_at
            for calendar in (NYSE.calendar, closed)
        ]
        assert dues == [at("2017-11-24 09:00"), at("2017-11-27 09:00")]


class TestEveryPlan:
    @given(plans(), st.integers(0, 90))
    def test_in_order_and_each_period_once(self, plan, days):
        """A later period is never due earlier, no period is due twice, and each lies in the window."""
        entry, timetable, first = plan
        found = deadlines_of(entry, SETTINGS, timetable, first, first + days * DAY)
        assert [d.due_at for d in found] == sorted(d.due_at for d in found)
        assert [d.as_of for d in found] == sorted(d.as_of for d in found)
        assert len({d.key for d in found}) == len(found)
        assert all(first <= d.due_at < first + days * DAY for d in found)

    @given(plans(), st.lists(st.floats(0, 1), max_size=4))
    def test_windows_cut_anywhere_lose_and_double_nothing(self, plan, cuts):
        """However a span is cut, its windows together give the same deadlines."""
        entry, timetable, first = plan
        last = first + 40 * DAY
        whole = deadlines_of(entry, SETTINGS, timetable, first, last)
        on_a_deadline = [d.due_at for d in whole[1:3]]
        edges = [first, *sorted([*(first + cut * 40 * DAY for cut in cuts), *on_a_deadline]), last]
        parts = [deadlines_of(entry, SETTINGS, timetable, a, b) for a, b in pairwise(edges)]
        assert tuple(d for part in parts for d in part) == whole

    def test_a_window_holds_its_begin_and_not_its_end(self):
        """A deadline at the very begin of a window is in it, one at its end is not."""
        entry, due = pipeline("daily by 10:00"), at("2017-11-22 10:00")
        assert [d.due_at for d in deadlines_of(entry, SETTINGS, NYSE, due, due + DAY)] == [due]

    @given(plans())
    def test_starts_then_ready_then_due(self, plan):
        """Work starts no later than it is to be ready, and that is no later than it is due; all of it in UTC."""
        entry, timetable, first = plan
        for deadline in deadlines_of(entry, SETTINGS, timetable, first, first + 40 * DAY):
            times = (deadline.starts_at, deadline.ready_at, deadline.due_at)
            assert list(times) == sorted(times)
            assert {moment.tzinfo for moment in times} == {UTC}

    @given(plans())
    def test_a_period_finds_its_deadline(self, plan):
        """Asked for one period, it is the deadline that the calendar listed; on other days of that week, too."""
        entry, timetable, first = plan
        for deadline in deadlines_of(entry, SETTINGS, timetable, first, first + 40 * DAY):
            assert deadline_of(entry, SETTINGS, timetable, deadline.as_of, deadline.experiment) == deadline
            if entry.period == "week":
                monday = deadline.as_of - timedelta(days=deadline.as_of.weekday())
                asked = {deadline_of(entry, SETTINGS, timetable, monday + n * DAY) for n in range(7)}
                assert asked == {deadline}

    @given(plans(elapsed=False), st.dates(date(2015, 1, 1), date(2030, 1, 1)))
    def test_what_was_not_listed_has_no_deadline(self, plan, day):
        """A day has a deadline of its own exactly if the calendar lists one for it."""
        entry, timetable, _ = plan
        found = deadline_of(entry, SETTINGS, timetable, day)
        first = instant(day - 7 * DAY, time(), timetable.zone)
        listed = deadlines_of(entry, SETTINGS, timetable, first, first + 30 * DAY)
        assert (found is None) or found in listed
        assert (found is not None) or (entry.period == "week" or day not in {d.as_of for d in listed})

    @given(plans(elapsed=False))
    def test_business_day_promises_keep_business_days(self, plan):
        """What is promised for business days is never due on a weekend or a holiday."""
        entry, timetable, first = plan
        business = "business" in entry.deadline
        for deadline in deadlines_of(entry, SETTINGS, timetable, first, first + 60 * DAY):
            due = local_day(deadline.due_at, timetable.zone)
            assert not business or not timetable.calendar.holiday(due)


class TestPromises:
    @pytest.mark.parametrize(
        ("promise", "days", "gap"),
        [
            ("daily by 10:00", [20, 21, 22, 23, 24, 25, 26], {1}),
            ("business days by 10:00", [20, 21, 22, 24], {1}),
            ("by 10:00 next business day", [20, 21, 22, 24], {3, 1, 2}),
            ("Wednesdays by 10:00", [22], {1}),
        ],
    )
    def test_due_days_and_days_reported(self, promise, days, gap):
        """In the week of Thanksgiving each kind is due on these days, about a day so long before."""
        found = deadlines_of(pipeline(promise), SETTINGS, NYSE, at("2017-11-20 00:00"), at("2017-11-27 00:00"))
        assert [local_day(d.due_at, ZONE).day for d in found] == days
        assert {(local_day(d.due_at, ZONE) - d.as_of).days for d in found} == gap

    @pytest.mark.parametrize(
        ("promise", "due"),
        [
            ("Mondays by 08:00", "2018-01-01 08:00"),
            ("Thursdays by 08:00", "2018-01-04 08:00"),
            ("business days by 08:00", "2018-01-02 08:00"),
            ("daily by 08:00", "2018-01-01 08:00"),
        ],
    )
    def test_a_week_is_reported_once(self, promise, due):
        """The week that ended on New Year's Eve is due once, on the first day that the promise allows."""
        weekly = pipeline(promise, period="week")
        found = deadlines_of(weekly, SETTINGS, NYSE, at("2018-01-01 00:00"), at("2018-01-08 00:00"))
        assert [(d.period, d.due_at) for d in found] == [("2017-W52", at(due))]

    def test_an_experiment_at_a_fixed_hour_is_the_configured_one(self):
        """A daily look is at the pipeline's own experiment; another one was not promised."""
        looks = pipeline("daily by 10:00", period="experiment", experiment=18)
        found = deadline_of(looks, SETTINGS, NYSE, date(2017, 11, 15))
        assert (found.period, found.experiment) == ("experiment-18@2017-11-15", "18")
        assert deadline_of(looks, SETTINGS, NYSE, date(2017, 11, 15), "30") is None

    def test_ten_years_owe_each_day_once(self):
        """Over ten years a daily promise has one deadline for each day, at ten on the wall whatever the clocks do."""
        found = deadlines_of(pipeline("daily by 10:00"), SETTINGS, NYSE, at("2017-01-01 00:00"), at("2027-01-01 00:00"))
        assert [d.as_of for d in found] == [date(2016, 12, 31) + n * DAY for n in range(3652)]
        assert {d.due_at.astimezone(ZONE).time() for d in found} == {time(10)}


class TestSixHours:
    SOON = pipeline("within 6 hours of experiment start", period="experiment", experiment=18)

    @pytest.mark.parametrize(
        ("begin", "due"),
        [
            ("2017-11-05 00:00", "Sun 05 05:00"),  # clocks go back: five hours on the wall
            ("2017-03-12 00:00", "Sun 12 07:00"),  # clocks go forward: seven hours on the wall
            ("2017-10-30 09:00", "Mon 30 15:00"),
        ],
    )
    def test_are_real_hours(self, begin, due):
        """Six hours pass between begin and deadline, whatever the clocks do in between."""
        timetable = Timetable(ZONE, NYSE.calendar, (Begin("18", at(begin)),))
        (found,) = deadlines_of(self.SOON, SETTINGS, timetable, at(begin), at(begin) + DAY)
        assert found.due_at - at(begin) == 6 * HOUR
        assert f"{found.due_at.astimezone(ZONE):%a %d %H:%M}" == due

    def test_each_experiment_has_its_own(self):
        """Every begin counts, also of experiments that the entry does not name, and the day is the local one."""
        timetable = Timetable(
            ZONE, NYSE.calendar, (Begin("19", at("2017-11-15 23:30")), Begin("18", at("2017-10-30 09:00")))
        )
        found = deadlines_of(self.SOON, SETTINGS, timetable, at("2017-10-01 00:00"), at("2017-12-01 00:00"))
        assert [d.period for d in found] == ["experiment-18@2017-10-30", "experiment-19@2017-11-15"]
        assert deadline_of(self.SOON, SETTINGS, timetable, date(2017, 10, 30)) == found[0]
        assert deadline_of(self.SOON, SETTINGS, timetable, date(2017, 11, 15), "19") == found[1]
        assert deadline_of(self.SOON, SETTINGS, timetable, date(2017, 11, 16), "19") is None

    @pytest.mark.parametrize(("room", "start"), [("5 h", "10:00"), ("9 h", "09:00")])
    def test_work_never_starts_before_the_experiment(self, room, start):
        """Work starts so long before the deadline as its room says, yet not before there is anything to report."""
        timetable = Timetable(ZONE, NYSE.calendar, (Begin("18", at("2017-10-30 09:00")),))
        entry = pipeline(self.SOON.deadline, period="experiment", experiment=18, room=room, ready_by="08:00")
        found = deadline_of(entry, SETTINGS, timetable, date(2017, 10, 30), "18")
        assert found.starts_at == at(f"2017-10-30 {start}")
        assert found.ready_at == found.due_at == at("2017-10-30 15:00")


class TestRoom:
    @pytest.mark.parametrize(
        ("attempts", "waits", "limit", "minutes"),
        [
            (3, (60.0, 300.0), None, 36),
            (1, (60.0,), None, 10),
            (4, (60.0, 300.0), "2 min", 19),
            (2, (60.0, 300.0), None, 21),
        ],
    )
    def test_holds_every_attempt_and_wait(self, attempts, waits, limit, minutes):
        """By default the room is all attempts at their limit and the waits between; the last wait holds for later."""
        plan = SETTINGS.model_copy(update={"attempts": attempts, "retry_after": waits})
        assert room_of(pipeline("daily by 10:00", limit=limit), plan) == timedelta(minutes=minutes)

    @pytest.mark.parametrize(("ready_by", "ready"), [("09:00", "09:00"), ("10:30", "10:00"), (None, "10:00")])
    def test_ready_by_is_an_earlier_hour_of_the_due_day(self, ready_by, ready):
        """We hold ourselves to ready_by where it is earlier, and begin as long before it as the room says."""
        entry = pipeline("daily by 10:00", ready_by=ready_by, room="1 h")
        found = deadline_of(entry, SETTINGS, NYSE, date(2017, 11, 21))
        assert (found.ready_at, found.due_at) == (at(f"2017-11-22 {ready}"), at("2017-11-22 10:00"))
        assert found.starts_at == found.ready_at - HOUR


class TestInputs:
    @pytest.mark.parametrize(
        ("period", "promise", "as_of"),
        [("day", "daily by 10:00", date(2017, 11, 26)), ("week", "Mondays by 08:00", date(2017, 11, 26))],
    )
    def test_an_input_is_of_the_same_date(self, period, promise, as_of):
        """A day rests on the same day of its input, a week on its last day."""
        entry = pipeline(promise, period=period)
        source = pipeline("daily by 07:00").model_copy(update={"name": "source"})
        (deadline,) = deadlines_of(entry, SETTINGS, NYSE, at("2017-11-27 00:00"), at("2017-11-28 00:00"))
        assert input_of(deadline, entry, source, SETTINGS, NYSE).key == ("source", str(as_of))

    def test_an_input_may_not_be_promised(self):
        """Saturday's report has no input from a pipeline that reports business days."""
        entry, source = pipeline("daily by 10:00"), pipeline("by 09:00 next business day")
        saturday = deadline_of(entry, SETTINGS, NYSE, date(2017, 11, 25))
        assert input_of(saturday, entry, source, SETTINGS, NYSE) is None


def test_of_a_closed_day_nothing_is_owed():
    """The shops stay shut on Christmas Day: no report about it is promised, and those of the days beside it are."""
    closed = replace(NYSE, closed=("12-25", "2017-12-27"))
    first, last = datetime(2017, 12, 24, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC)
    growth = pipeline("daily by 10:00")
    found = [deadline.period for deadline in deadlines_of(growth, SETTINGS, closed, first, last)]
    assert found == ["2017-12-23", "2017-12-24", "2017-12-26", "2017-12-28", "2017-12-29", "2017-12-30"]
    assert deadline_of(growth, SETTINGS, closed, date(2017, 12, 25)) is None
