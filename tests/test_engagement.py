"""Engagement against small tables worked out by hand: visits, sessions, hours, weeks in which households came again."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.metrics import engagement
from runner.metrics.engagement import Sessions, Stickiness, Week
from runner.metrics.periods import Span, one_day
from tests.small_warehouse import line, opened

WEEK = Span(date(2017, 3, 13), date(2017, 3, 19))  # Monday to Sunday


def visits(*times, household=1, basket=1):
    """A basket at each time, numbered from `basket`."""
    return [line(household, sold_at, basket + place) for place, sold_at in enumerate(times)]


class TestWeek:
    def test_by_hand(self, tmp_path):
        """Visits are baskets, interactions are visits and coupons, and each household counts once."""
        lines = [
            *visits("2017-03-13 00:00", "2017-03-19 23:59"),
            line(1, "2017-03-13 00:00", 1, product=2),
            *visits("2017-03-15 12:00", household=2, basket=3),
            *visits("2017-03-12 23:59", "2017-03-20 00:00", household=3, basket=4),
        ]
        redemptions = [(1, 1, 1, "2017-03-13"), (4, 1, 1, "2017-03-19"), (4, 1, 1, "2017-03-20")]
        found = engagement.week(opened(tmp_path, lines, redemptions=redemptions), WEEK)
        assert found == Week(visits=3, lines=4, redemptions=2, households=2)
        assert found.interactions == 3 + 2
        assert found.visits_each == pytest.approx(3 / 2)

    def test_nobody_came(self, tmp_path):
        """A week without a visit is all zeros, and visits a household are nan."""
        found = engagement.week(opened(tmp_path), WEEK)
        assert found == Week(0, 0, 0, 0)
        assert math.isnan(found.visits_each)

    def test_the_as_of_day_hides_later_rows(self, tmp_path):
        """On Wednesday evening the week holds Monday to Wednesday."""
        lines = visits("2017-03-13 12:00", "2017-03-15 12:00", "2017-03-16 12:00")
        assert engagement.week(opened(tmp_path, lines, as_of=date(2017, 3, 15)), WEEK).visits == 2


class TestDaily:
    def test_by_hand(self, tmp_path):
        """A row a trading day; two coupons of a day do not double its visits."""
        lines = [*visits("2017-03-13 10:00", "2017-03-13 11:00", "2017-03-15 09:00")]
        redemptions = [(1, 1, 1, "2017-03-13"), (1, 2, 1, "2017-03-13"), (1, 3, 1, "2017-03-14")]
        frame = engagement.daily(opened(tmp_path, lines, redemptions=redemptions))
        assert frame[["visits", "households", "redemptions", "interactions"]].to_numpy().tolist() == [
            [2, 1, 2, 4], [1, 1, 0, 1],
        ]  # fmt: skip


class TestSessions:
    def test_thirty_minutes_are_one_session(self, tmp_path):
        """A basket exactly 30 minutes after another belongs to its session."""
        found = engagement.sessions(opened(tmp_path, visits("2017-03-13 10:00:00", "2017-03-13 10:30:00")), WEEK)
        assert found == Sessions(count=1, timed=1, median_minutes=30.0, longest_minutes=30.0)

    def test_a_second_more_is_two_sessions(self, tmp_path):
        """A basket a second later than that begins a session of its own, and neither has a duration."""
        found = engagement.sessions(opened(tmp_path, visits("2017-03-13 10:00:00", "2017-03-13 10:30:01")), WEEK)
        assert (found.count, found.timed) == (2, 0)
        assert math.isnan(found.median_minutes)
        assert found.timed_share == 0.0

    def test_thirty_one_minutes_are_two_sessions(self, tmp_path):
        """So does one after 31 minutes."""
        assert engagement.sessions(opened(tmp_path, visits("2017-03-13 10:00", "2017-03-13 10:31")), WEEK).count == 2

    def test_a_session_goes_on_from_its_last_basket(self, tmp_path):
        """Three baskets 25 minutes apart are one session of 50 minutes."""
        times = ("2017-03-13 10:00", "2017-03-13 10:25", "2017-03-13 10:50")
        found = engagement.sessions(opened(tmp_path, visits(*times)), WEEK)
        assert (found.count, found.longest_minutes) == (1, 50.0)

    def test_over_midnight(self, tmp_path):
        """A session that begins before midnight and ends after it is one session."""
        found = engagement.sessions(opened(tmp_path, visits("2017-03-14 23:50", "2017-03-15 00:10")), WEEK)
        assert found == Sessions(1, 1, 20.0, 20.0)

    def test_the_span_cuts_a_session(self, tmp_path):
        """Of a session over the span's last midnight only what lies in the span is seen."""
        found = engagement.sessions(opened(tmp_path, visits("2017-03-19 23:50", "2017-03-20 00:10")), WEEK)
        assert (found.count, found.timed) == (1, 0)

    def test_two_households_at_once(self, tmp_path):
        """Two households at the same minute have a session each."""
        lines = visits("2017-03-13 10:00") + visits("2017-03-13 10:01", household=2, basket=9)
        assert engagement.sessions(opened(tmp_path, lines), WEEK).count == 2

    def test_two_baskets_at_one_moment(self, tmp_path):
        """Two baskets of one second are one session of zero minutes."""
        found = engagement.sessions(opened(tmp_path, visits("2017-03-13 10:00", "2017-03-13 10:00")), WEEK)
        assert found == Sessions(1, 1, 0.0, 0.0)

    def test_the_median_rests_on_timed_sessions(self, tmp_path):
        """Sessions of one basket have no duration and do not pull the median to zero."""
        lines = visits(
            "2017-03-13 10:00", "2017-03-13 10:10", "2017-03-14 10:00", "2017-03-14 10:20", "2017-03-15 10:00"
        )
        found = engagement.sessions(opened(tmp_path, lines), WEEK)
        assert (found.count, found.timed, found.median_minutes) == (3, 2, (10 + 20) / 2)
        assert found.timed_share == pytest.approx(2 / 3)

    def test_nobody_came(self, tmp_path):
        """Without visits there are no sessions, and what rests on them is nan."""
        found = engagement.sessions(opened(tmp_path), WEEK)
        assert (found.count, found.timed) == (0, 0)
        assert math.isnan(found.median_minutes)
        assert math.isnan(found.longest_minutes)
        assert math.isnan(found.timed_share)

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 24 * 60 - 1)), min_size=1, max_size=25))
    def test_sessions_agree_with_a_plain_loop(self, tmp_path, seen):
        """For any visits the SQL counts the sessions that a loop over each household's sorted minutes counts."""
        lines = [line(who, f"2017-03-14 {minute // 60:02}:{minute % 60:02}", n) for n, (who, minute) in enumerate(seen)]
        count = 0
        for household in {who for who, _ in seen}:
            minutes = sorted(minute for who, minute in seen if who == household)
            count += 1 + sum(later - earlier > 30 for earlier, later in pairwise(minutes))
        assert engagement.sessions(opened(tmp_path, lines), WEEK).count == count


class TestDurations:
    def test_bands(self, tmp_path):
        """A duration on an edge belongs to the band that ends there; sessions of one basket to none."""
        lines = []
        for place, minutes in enumerate((0, 2, 3, 5, 10, 20, 21, 30)):
            lines += visits(f"2017-03-{13 + place % 7} 10:00", f"2017-03-{13 + place % 7} 10:{minutes % 60:02}",
                            household=place, basket=place * 10)  # fmt: skip
        lines += visits("2017-03-13 10:00", "2017-03-13 10:30", "2017-03-13 11:00", household=50, basket=500)
        lines += visits("2017-03-13 10:00", household=51, basket=600)
        frame = engagement.durations(opened(tmp_path, lines), WEEK)
        dash = "\N{EN DASH}"
        assert dict(zip(frame["duration"], frame["sessions"], strict=True)) == {
            f"0{dash}2 min": 2, f"2{dash}5 min": 2, f"5{dash}10 min": 1, f"10{dash}20 min": 1, f"20{dash}30 min": 2,
            "over 30 min": 1,
        }  # fmt: skip

    def test_all_bands_are_always_there(self, tmp_path):
        """Without a session the bands are there with zeros."""
        assert engagement.durations(opened(tmp_path), WEEK)["sessions"].tolist() == [0] * 6


class TestPattern:
    def test_by_hand(self, tmp_path):
        """Monday's first minute and Sunday's last are in their corners; a basket of two lines counts once."""
        lines = [*visits("2017-03-13 00:00", "2017-03-19 23:59"), line(1, "2017-03-13 00:00", 1, product=2)]
        frame = engagement.pattern(opened(tmp_path, lines), WEEK)
        assert frame.shape == (7, 24)
        assert list(frame.index) == list(engagement.DAYS)
        assert (frame.loc["Mon", 0], frame.loc["Sun", 23], frame.to_numpy().sum()) == (1, 1, 2)

    def test_two_weeks_add_up(self, tmp_path):
        """The same hour of two Mondays is counted twice in a span that holds both."""
        shop = opened(tmp_path, visits("2017-03-13 09:10", "2017-03-20 09:50"))
        assert engagement.pattern(shop, Span(WEEK.first, date(2017, 3, 26))).loc["Mon", 9] == 2

    def test_nobody_came(self, tmp_path):
        """Without a visit the whole grid is zero."""
        assert engagement.pattern(opened(tmp_path), WEEK).to_numpy().sum() == 0


class TestRetention:
    def test_by_hand(self, tmp_path):
        """Of two households of a week one came the week after, and one four weeks after."""
        lines = [
            *visits("2017-02-13 12:00", "2017-02-20 12:00"),
            *visits("2017-02-19 23:59", "2017-03-13 00:00", household=2, basket=10),
        ]
        frame = engagement.retention(opened(tmp_path, lines), WEEK)
        assert [day.date() for day in frame["week_starting"]] == [date(2017, 2, 13), date(2017, 2, 20), WEEK.first]
        assert frame["households"].tolist() == [2, 1, 1]
        assert frame.loc[0, ["next_week", "fourth_week"]].tolist() == [0.5, 0.5]

    def test_what_is_not_over_is_unknown(self, tmp_path):
        """The last week has no week after it yet, and the last four have no fourth."""
        lines = [line(1, f"{WEEK.first - timedelta(days=7 * n)} 12:00", n) for n in range(6)]
        frame = engagement.retention(opened(tmp_path, lines), WEEK)
        assert frame["next_week"].isna().tolist() == [False] * 5 + [True]
        assert frame["fourth_week"].isna().tolist() == [False, False, True, True, True, True]
        assert frame["next_week"].dropna().eq(1.0).all()

    def test_later_visits_are_not_seen(self, tmp_path):
        """A visit after the last week changes nothing, although the warehouse knows it."""
        lines = visits("2017-03-13 12:00", "2017-03-20 12:00")
        frame = engagement.retention(opened(tmp_path, lines), WEEK)
        assert len(frame) == 1
        assert math.isnan(frame.loc[0, "next_week"])

    def test_as_many_weeks_as_asked_for(self, tmp_path):
        """Of six weeks the last three are shown."""
        lines = [line(1, f"{WEEK.first - timedelta(days=7 * n)} 12:00", n) for n in range(6)]
        assert len(engagement.retention(opened(tmp_path, lines), WEEK, weeks=3)) == 3


class TestStickiness:
    def test_by_hand(self, tmp_path):
        """Mean daily households over the three days with a visit, the week's households, and those of four weeks."""
        lines = [
            *visits("2017-03-13 12:00", "2017-03-13 18:00", "2017-03-14 12:00"),  # one household on two days
            *visits("2017-03-19 12:00", household=2, basket=10),
            *visits("2017-02-20 00:00", household=3, basket=20),  # first of the 28 days
            *visits("2017-02-19 23:59", household=4, basket=30),  # the day before them
        ]
        found = engagement.stickiness(opened(tmp_path, lines), WEEK)
        assert found == Stickiness(daily=pytest.approx(3 / 3), weekly=2, monthly=3)
        assert found.share == pytest.approx(3 / 3 / 3)

    def test_nobody_came(self, tmp_path):
        """Without a visit in four weeks the share is nan."""
        assert math.isnan(engagement.stickiness(opened(tmp_path), WEEK).share)


def test_a_day_is_a_span_too(tmp_path):
    """Sessions and patterns can be asked of one day alone."""
    shop = opened(tmp_path, visits("2017-03-13 10:00", "2017-03-14 10:00"))
    assert engagement.sessions(shop, one_day(WEEK.first)).count == 1
    assert engagement.pattern(shop, one_day(WEEK.first)).to_numpy().sum() == 1
