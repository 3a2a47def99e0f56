"""Fairness counts real hours by person and loses none; a change of the rota moves hours and makes none."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import config
from runner.plan.calendar import BusinessCalendar, instant
from runner.plan.fairness import Change, Held, Share, by_year, difference, gains, held, holders, tally, touched
from runner.plan.oncall import Rota, Shift

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [ZoneInfo(name) for name in ("America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Nuuk", "UTC")]
HOLIDAYS = BusinessCalendar("US").holiday
PEOPLE = ("ada", "ben", "cleo", "dan")
STEP = timedelta(minutes=30)


def at(text):
    """The UTC instant of a wall-clock time in New York."""
    wall = datetime.fromisoformat(text)
    return instant(wall.date(), wall.time(), NEW_YORK)


def shift(start, end, primary, secondary=None, because=("rotation",)):
    """A shift between two wall-clock times in New York."""
    return Shift(at(start), at(end), primary, secondary, because)


def weekly(first, weeks, zone=NEW_YORK):
    """The plain rota of four: Mondays 09:00, the next in line as secondary."""
    mondays = [instant(first + timedelta(days=7 * n), time(9), zone) for n in range(weeks + 1)]
    return tuple(
        Shift(start, end, PEOPLE[n % 4], PEOPLE[(n + 1) % 4], ("rotation",))
        for n, (start, end) in enumerate(pairwise(mondays))
    )


@st.composite
def windows(draw, start=None, steps=None):
    """Contiguous shifts of any people and lengths in half hours."""
    start = start or datetime(2017, 1, 1, tzinfo=UTC) + STEP * draw(st.integers(0, 48 * 800))
    cuts = draw(st.lists(st.integers(1, (steps or 1500) - 1), max_size=12, unique=True)) if steps != 1 else []
    edges = [start + STEP * n for n in sorted({0, *cuts, steps or 1500})]
    found = []
    for first, last in pairwise(edges):
        primary = draw(st.sampled_from(PEOPLE))
        secondary = draw(st.sampled_from([who for who in (*PEOPLE, None) if who != primary]))
        found.append(Shift(first, last, primary, secondary, ("drawn",)))
    return tuple(found)


@st.composite
def pairs(draw):
    """Two rotas over one window."""
    start = datetime(2017, 1, 1, tzinfo=UTC) + STEP * draw(st.integers(0, 48 * 800))
    steps = draw(st.integers(2, 1500))
    return draw(windows(start, steps)), draw(windows(start, steps))


def walked(shifts, zone, calendar):
    """The hours by (person, kind), counted half hour by half hour: slow and plain."""
    counted = Counter()
    for one in shifts:
        moment = one.start
        while moment < one.end:
            wall = moment.astimezone(zone)
            counted[one.primary, "hours"] += 0.5
            counted[one.primary, "nights"] += 0.5 * (wall.hour >= 22 or wall.hour < 6)
            counted[one.primary, "weekends"] += 0.5 * (wall.weekday() >= 5)
            counted[one.primary, "holidays"] += 0.5 * (calendar(wall.date()) not in ("", "Saturday", "Sunday"))
            counted[one.secondary, "secondary_hours"] += 0.5
            moment += STEP
    return counted


class TestTally:
    def test_a_plain_week(self):
        """A week from Monday 09:00 has 168 hours, 56 of them at night and 48 on the weekend."""
        (ada, ben) = tally([shift("2017-06-05T09:00", "2017-06-12T09:00", "ada", "ben")], NEW_YORK, HOLIDAYS)
        assert ada == Share("ada", 168, 56, 48, 0, 0)
        assert ben == Share("ben", 0, 0, 0, 0, 168)

    @pytest.mark.parametrize(("day", "hours"), [("2017-03-11", 7), ("2017-11-04", 9), ("2017-06-03", 8)])
    def test_a_night_has_its_true_length(self, day, hours):
        """The night of a clock change lasts 7 or 9 hours, any other 8."""
        after = date.fromisoformat(day) + timedelta(days=1)
        (ada,) = tally([shift(f"{day}T22:00", f"{after}T06:00", "ada")], NEW_YORK, HOLIDAYS)
        assert (ada.hours, ada.nights) == (hours, hours)

    def test_a_holiday_is_a_local_day_with_a_name(self):
        """Thanksgiving counts from midnight to midnight in New York; a Saturday is no holiday for its name."""
        (ada,) = tally([shift("2017-11-22T20:00", "2017-11-26T00:00", "ada")], NEW_YORK, HOLIDAYS)
        assert (ada.holidays, ada.weekends) == (24, 24)
        assert HOLIDAYS(date(2017, 11, 25)) == "Saturday"

    @settings(max_examples=40, deadline=None)
    @given(windows(), st.sampled_from(ZONES))
    def test_agrees_with_a_walk(self, shifts, zone):
        """Every column equals a count half hour by half hour, across clock changes of whole and of half hours."""
        counted = walked(shifts, zone, HOLIDAYS)
        for share in tally(shifts, zone, HOLIDAYS):
            for kind in ("hours", "nights", "weekends", "holidays", "secondary_hours"):
                assert getattr(share, kind) == pytest.approx(counted[share.who, kind]), (share.who, kind)

    @given(windows(), st.sampled_from(ZONES))
    def test_hours_add_up_to_the_window(self, shifts, zone):
        """The primary hours of all people are the hours of the window, in total and by year."""
        hours = (shifts[-1].end - shifts[0].start) / timedelta(hours=1)
        assert sum(share.hours for share in tally(shifts, zone, HOLIDAYS)) == pytest.approx(hours)
        years = by_year(shifts, zone, HOLIDAYS)
        assert sum(share.hours for shares in years.values() for share in shares) == pytest.approx(hours)

    def test_a_year_ends_at_local_midnight(self):
        """A shift across New Year counts in both years, cut at midnight in New York and not in UTC."""
        years = by_year([shift("2017-12-31T09:00", "2018-01-02T09:00", "ada")], NEW_YORK, HOLIDAYS)
        assert {year: [share.hours for share in shares] for year, shares in years.items()} == {2017: [15], 2018: [33]}

    def test_a_day_that_never_came(self):
        """Samoa had no 30 December 2011: two days there are two days."""
        apia = ZoneInfo("Pacific/Apia")
        start, end = instant(date(2011, 12, 29), time(0), apia), instant(date(2012, 1, 1), time(0), apia)
        (ada,) = tally([Shift(start, end, "ada", None, ())], apia, lambda _: "")
        assert (ada.hours, ada.nights, ada.weekends) == (48, 16, 24)


class TestHolidays:
    def test_a_cut_holiday_is_held_by_two(self):
        """Thanksgiving cut at 09:00 is held for 9 hours and for 15, and whoever has more stands for it."""
        days = held(
            [
                shift("2017-11-20T09:00", "2017-11-23T09:00", "ada"),
                shift("2017-11-23T09:00", "2017-11-27T09:00", "ben"),
            ],
            NEW_YORK,
            HOLIDAYS,
        )
        thanksgiving = date(2017, 11, 23)
        assert days == (
            Held(thanksgiving, "Thanksgiving Day", "ada", 9),
            Held(thanksgiving, "Thanksgiving Day", "ben", 15),
        )
        assert holders(days) == {"Thanksgiving Day": {2017: "ben"}}

    def test_four_people_freeze_the_holidays(self):
        """On the plain weekly rota of four, one person holds Thanksgiving and Christmas for years."""
        found = holders(held(weekly(date(2024, 1, 1), 208), NEW_YORK, HOLIDAYS))
        years = dict.fromkeys((2024, 2025, 2026, 2027), "dan")
        assert found["Thanksgiving Day"] == years
        assert found["Christmas Day"] == years

    @given(windows())
    def test_holiday_hours_agree_with_the_tally(self, shifts):
        """The hours of the named holidays are the holiday hours of the tally."""
        by_person = Counter()
        for one in held(shifts, NEW_YORK, HOLIDAYS):
            by_person[one.who] += one.hours
        for share in tally(shifts, NEW_YORK, HOLIDAYS):
            assert share.holidays == pytest.approx(by_person[share.who])


class TestDifference:
    @given(windows())
    def test_the_same_is_no_difference(self, shifts):
        """A rota does not differ from itself, however its shifts are cut."""
        middle = shifts[0].start + (shifts[0].end - shifts[0].start) / 2
        first = shifts[0]
        cut = (
            Shift(first.start, middle, first.primary, first.secondary, ("one",)),
            Shift(middle, first.end, first.primary, first.secondary, ("two",)),
            *shifts[1:],
        )
        assert difference(shifts, shifts) == difference(shifts, cut) == ()
        assert difference((), ()) == ()

    def test_an_override_moves_two_days(self):
        """Ben takes two days of Ada: one span, Ada loses 48 hours and Ben gains them; the secondary steps back."""
        before = (shift("2017-07-31T09:00", "2017-08-07T09:00", "ada", "ben"),)
        after = (
            shift("2017-07-31T09:00", "2017-08-01T09:00", "ada", "ben"),
            shift("2017-08-01T09:00", "2017-08-02T09:00", "ben", "cleo"),
            shift("2017-08-02T09:00", "2017-08-03T09:00", "ben", "cleo"),
            shift("2017-08-03T09:00", "2017-08-07T09:00", "ada", "ben"),
        )
        changes = difference(before, after)
        assert changes == (Change(at("2017-08-01T09:00"), at("2017-08-03T09:00"), "ada", "ben", "ben", "cleo"),)
        assert gains(changes) == {"ada": -48, "ben": 48}
        assert gains(changes, "secondary") == {"ben": -48, "cleo": 48}
        assert touched(changes) == {"ada", "ben", "cleo"}

    def test_a_swap_is_shown_with_no_gain(self):
        """Whoever gives as much as they take gains 0 and is touched; a partner who stays is not."""
        before = (
            shift("2017-08-01T09:00", "2017-08-02T09:00", "ada", "dan"),
            shift("2017-08-02T09:00", "2017-08-03T09:00", "ben", "dan"),
        )
        after = (
            shift("2017-08-01T09:00", "2017-08-02T09:00", "ben", "dan"),
            shift("2017-08-02T09:00", "2017-08-03T09:00", "ada", "dan"),
        )
        changes = difference(before, after)
        assert gains(changes) == {"ada": 0, "ben": 0}
        assert touched(changes) == {"ada", "ben"}

    @settings(deadline=None)
    @given(pairs())
    def test_changes_hold_exactly_where_people_differ(self, pair):
        """At every half hour a change holds if and only if people differ there, and it names both sides' people."""
        before, after = pair
        changes = difference(before, after)
        moment = before[0].start
        while moment < before[-1].end:
            (old,), (new,) = ([one for one in side if one.start <= moment < one.end] for side in pair)
            people = (old.primary, new.primary, old.secondary, new.secondary)
            found = [
                (one.before, one.after, one.secondary_before, one.secondary_after)
                for one in changes
                if one.start <= moment < one.end
            ]
            assert found == ([people] if (people[0], people[2]) != (people[1], people[3]) else [])
            moment += STEP
        for one, other in pairwise(changes):
            assert one.end < other.start or (one.before, one.after, one.secondary_before, one.secondary_after) != (
                other.before,
                other.after,
                other.secondary_before,
                other.secondary_after,
            )

    @given(pairs())
    def test_gains_add_up_to_nothing(self, pair):
        """What some gain others lose, and each gain is the difference of the tallies."""
        before, after = pair
        moved = gains(difference(before, after))
        assert sum(moved.values()) == pytest.approx(0)
        old, new = (Counter({one.who: one.hours for one in tally(side, NEW_YORK, HOLIDAYS)}) for side in pair)
        for who in PEOPLE:
            assert moved.get(who, 0) == pytest.approx(new[who] - old[who])

    def test_other_windows_are_refused(self):
        """Two rotas of different windows cannot be compared, and the sentence says what to do."""
        week = weekly(date(2017, 1, 2), 2)
        for other in (week[:1], week[1:], ()):
            with pytest.raises(ValueError, match=r"different windows\. Cut both to one"):
                difference(week, other)


def test_ten_years_of_the_shipped_rota():
    """Over ten years of the shipped rota every hour is counted once, and the holidays are where the plan puts them."""
    rules = config.load(Path(__file__).resolve().parents[1]).oncall
    shifts = Rota(rules).shifts(at("2017-01-02T09:00"), at("2027-01-04T09:00"))
    hours = (shifts[-1].end - shifts[0].start) / timedelta(hours=1)
    zone = ZoneInfo(rules.time_zone)
    assert sum(share.hours for share in tally(shifts, zone, HOLIDAYS)) == hours
    found = holders(held(shifts, zone, HOLIDAYS))
    assert set(found["Thanksgiving Day"].values()) == {"engineer_b"}  # cut on its morning: B has 15 hours of it
    assert set(found["Christmas Day"].values()) == {"engineer_d"}
    assert {year: who for year, who in found["New Year's Day"].items() if year > 2017} == dict.fromkeys(
        range(2018, 2027 + 1), "engineer_c"
    )
