"""Wall clock to instant in zones whose clocks change, and business days against another package."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.calendar import BusinessCalendar, clock, instant, local_day

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
APIA = ZoneInfo("Pacific/Apia")  # it skipped the whole of 30 December 2011
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
#: Zone, the day on which its clocks change in 2017, and the exact instant.
CHANGES = [
    (NEW_YORK, date(2017, 3, 12), datetime(2017, 3, 12, 7, tzinfo=UTC)),
    (NEW_YORK, date(2017, 11, 5), datetime(2017, 11, 5, 6, tzinfo=UTC)),
    (BERLIN, date(2017, 3, 26), datetime(2017, 3, 26, 1, tzinfo=UTC)),
    (BERLIN, date(2017, 10, 29), datetime(2017, 10, 29, 1, tzinfo=UTC)),
    (LORD_HOWE, date(2017, 10, 1), datetime(2017, 9, 30, 15, 30, tzinfo=UTC)),
    (LORD_HOWE, date(2017, 4, 2), datetime(2017, 4, 1, 15, tzinfo=UTC)),
    (APIA, date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC)),
]


def walked(zone: ZoneInfo, day: date) -> list[tuple[datetime, datetime]]:
    """(instant, what clocks show) for each minute of four days around a day, from the conversion UTC -> local alone."""
    start = datetime.combine(day, time(), UTC) - 2 * DAY
    return [(t, t.astimezone(zone).replace(tzinfo=None)) for t in (start + n * MINUTE for n in range(4 * 1440))]


class TestInstant:
    @pytest.mark.parametrize(("zone", "day", "change"), CHANGES, ids=str)
    def test_agrees_with_a_walk_over_every_minute(self, zone, day, change):
        """Every time of the day of a change is the first minute whose clock shows it, or the first after the gap."""
        minutes = walked(zone, day)
        for n in range(1440):
            wall = datetime.combine(day, time(n // 60, n % 60))
            shown = [t for t, local in minutes if local == wall]
            expected = shown[0] if shown else next(t for t, local in minutes if local > wall)
            assert instant(day, wall.time(), zone) == expected
            assert shown or expected == change

    @pytest.mark.parametrize(
        ("zone", "day", "at", "expected"),
        [
            (NEW_YORK, date(2017, 3, 12), time(1, 59), "06:59"),
            (NEW_YORK, date(2017, 3, 12), time(2, 0), "07:00"),
            (NEW_YORK, date(2017, 3, 12), time(2, 30, 0, 7), "07:00"),
            (NEW_YORK, date(2017, 3, 12), time(3, 0), "07:00"),
            (NEW_YORK, date(2017, 11, 5), time(1, 30), "05:30"),
            (NEW_YORK, date(2017, 11, 5), time(1, 30, fold=1), "05:30"),
            (NEW_YORK, date(2017, 11, 5), time(2, 0), "07:00"),
            (LORD_HOWE, date(2017, 10, 1), time(2, 15), "15:30"),
            (LORD_HOWE, date(2017, 4, 2), time(1, 45), "14:45"),
        ],
    )
    def test_exact_instants_at_a_change(self, zone, day, at, expected):
        """In the gap the first instant after it, in the doubled hour the first of the two, always in UTC."""
        found = instant(day, at, zone)
        assert f"{found:%H:%M}" == expected
        assert found.tzinfo is UTC

    @given(
        st.sampled_from([NEW_YORK, BERLIN, LORD_HOWE, APIA]),
        st.dates(date(2000, 1, 1), date(2040, 12, 31)),
        st.times(),
        st.integers(0, 3),
    )
    def test_later_on_the_wall_is_never_earlier(self, zone, day, at, days):
        """A later day, or the same day at midnight, keeps its order as instants, and the day is found again."""
        found = instant(day, at, zone)
        assert instant(day, time(), zone) <= found <= instant(day + days * DAY, time.max, zone)
        assert local_day(found, zone) == day or (zone is APIA and day == date(2011, 12, 30))


@pytest.mark.parametrize(
    ("moment", "text"), [((2017, 11, 24, 14, 48, 59), "09:48"), ((2017, 11, 24, 4, 50), "23:50 on Thursday")]
)
def test_clock_names_another_day(moment, text):
    """A time is told on the local clock to the minute begun, with the weekday if it is not the day beside it."""
    assert clock(datetime(*moment, tzinfo=UTC), NEW_YORK, datetime(2017, 11, 24, 15, tzinfo=UTC)) == text


class TestBusinessCalendar:
    @pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # of exchange_calendars itself
    def test_agrees_with_exchange_calendars(self):
        """From 2010 to 2026 the business days of NYSE are the sessions that another package lists."""
        first, last = date(2010, 1, 1), date(2026, 12, 31)
        oracle = exchange_calendars.get_calendar("XNYS", start=str(first), end=str(last))
        nyse = BusinessCalendar("NYSE")
        days = (first + n * DAY for n in range((last - first).days + 1))
        assert [day for day in days if nyse.is_business_day(day)] == [session.date() for session in oracle.sessions]

    @pytest.mark.parametrize(
        ("name", "day", "why"),
        [
            ("NYSE", date(2017, 11, 23), "Thanksgiving Day"),
            ("NYSE", date(2017, 11, 24), ""),
            ("NYSE", date(2017, 11, 25), "Saturday"),
            ("NYSE", date(2017, 4, 14), "Good Friday"),
            ("US", date(2017, 4, 14), ""),
            ("US", date(2017, 11, 10), "Veterans Day (observed)"),
            ("NYSE", date(2017, 11, 10), ""),
            ("US", date(2021, 12, 31), "New Year's Day (observed)"),
        ],
    )
    def test_says_why(self, name, day, why):
        """Markets and countries differ; each closed day is named, an open one is not."""
        assert BusinessCalendar(name).holiday(day) == why

    def test_the_company_has_the_last_word(self):
        """A day of the overlay is closed, or open, whatever the calendar says; in both it is closed."""
        calendar = BusinessCalendar(
            "NYSE",
            no_business={"2017-11-24": "Day after Thanksgiving", "2017-11-26": "Stocktaking"},
            business={"2017-11-25": "Sale", "2017-11-26": "Sale"},
        )
        assert calendar.holiday(date(2017, 11, 24)) == "Day after Thanksgiving"
        assert calendar.next(date(2017, 11, 22)) == date(2017, 11, 25)
        assert calendar.holiday(date(2017, 11, 26)) == "Stocktaking"

    @given(st.sampled_from(["NYSE", "US", "GB", "JP"]), st.dates(date(2010, 1, 1), date(2035, 12, 31)))
    def test_next_and_previous_are_the_nearest(self, name, day):
        """Between a day and the next or previous business day there is no other."""
        calendar = BusinessCalendar(name)
        for step, found in ((DAY, calendar.next(day)), (-DAY, calendar.previous(day))):
            between = [day + n * step for n in range(1, abs((found - day).days))]
            assert calendar.is_business_day(found)
            assert all(calendar.holiday(closed) for closed in between)
