"""Whether a day is whole: by the source's watermark, by hours that should not be still, by the usual volume."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.metrics import growth
from runner.metrics.opening import BUSY, silent_hours
from runner.sources import freshness
from runner.sources.completeness import Counts, Rules, due, end_of, judge

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2017, 11, 15)  # a Wednesday
AFTER = datetime(2017, 11, 16, 12, tzinfo=UTC)
HOURS = dict.fromkeys(range(9, 18), 30)
RULES = Rules(NEW_YORK, timed=True)


def counts(day=DAY, hours=HOURS):
    """The rows of a day by hour."""
    return Counts(day, sum(hours.values()), dict(hours))


def weeks(number=8, hours=HOURS, day=DAY):
    """The same weekday of so many weeks before."""
    return [counts(day - timedelta(weeks=week), hours) for week in range(1, number + 1)]


class TestWatermark:
    def test_at_the_end_of_the_day_it_is_whole(self):
        """A source that has everything up to midnight where the company is has the day; a second less is not enough."""
        end = datetime(2017, 11, 16, 5, tzinfo=UTC)
        assert end_of(DAY, NEW_YORK) == end
        assert judge(counts(), weeks(), RULES, end, AFTER).whole
        verdict = judge(counts(), weeks(), RULES, end - timedelta(seconds=1), AFTER)
        assert not verdict.whole
        assert verdict.note == "there is everything up to 23:59 on 15 November 2017 only"

    def test_nobody_has_what_has_not_happened(self):
        """A source that says it has everything up to tonight does not make this day whole at noon."""
        noon = datetime(2017, 11, 15, 17, tzinfo=UTC)
        assert not judge(counts(), weeks(), RULES, AFTER, noon).whole

    def test_without_one_time_and_lateness_stand_for_it(self):
        """A source that cannot say is taken to have everything that is older than its lateness."""
        rules = Rules(NEW_YORK, timedelta(hours=2), timed=True)
        end = end_of(DAY, NEW_YORK)
        assert judge(counts(), weeks(), rules, None, end + timedelta(hours=2)).whole
        early = judge(counts(), weeks(), rules, None, end + timedelta(hours=1))
        assert (early.whole, early.lacks) == (False, ())

    @pytest.mark.parametrize(("day", "hours"), [(date(2017, 3, 12), 23), (date(2017, 11, 5), 25), (DAY, 24)])
    def test_days_of_a_change_of_clocks(self, day, hours):
        """The day ends at midnight on the clocks of the company, whatever its length."""
        assert end_of(day, NEW_YORK) - end_of(day - timedelta(days=1), NEW_YORK) == timedelta(hours=hours)

    def test_a_day_under_way_lacks_nothing_that_cannot_be_there(self):
        """Of a day that is not over only what should be there by now is asked, also of its hours."""
        noon = datetime(2017, 11, 15, 17, 30, tzinfo=UTC)  # 12:30
        so_far = counts(hours={9: 30, 10: 30, 11: 30})
        verdict = judge(so_far, weeks(), RULES, None, noon)
        assert (verdict.whole, verdict.lacks) == (False, ())
        still = judge(counts(hours={9: 30, 11: 30}), weeks(), RULES, None, noon)
        assert "10:00" in still.note
        behind = judge(so_far, weeks(), RULES, noon - timedelta(hours=1), noon)
        assert "up to 11:30" in behind.note

    @given(st.datetimes(datetime(2016, 1, 1), datetime(2019, 1, 1)), st.integers(0, 48), st.integers(-3, 3))  # noqa: DTZ001
    def test_more_is_never_due_than_can_be_there(self, now, late, away):
        """What is due lies neither after the day's end nor nearer to now than the lateness."""
        at, rules = now.replace(tzinfo=UTC), Rules(NEW_YORK, timedelta(hours=late))
        day = at.date() + timedelta(days=away)
        found = due(day, rules, at)
        assert found <= end_of(day, NEW_YORK)
        assert found <= at - timedelta(hours=late)
        assert found in {end_of(day, NEW_YORK), at - timedelta(hours=late)}


class TestHours:
    def test_a_busy_hour_without_a_row(self):
        """An hour that was busy in each of the weeks before and is empty now is named."""
        hours = {hour: number for hour, number in HOURS.items() if hour not in {11, 12}}
        verdict = judge(counts(hours=hours), weeks(), RULES, AFTER, AFTER)
        assert verdict.note == "there is nothing of 11:00, 12:00, when it is always busy"

    def test_two_weeks_are_no_habit(self):
        """Where data begin, what one or two weeks had is not taken for what always is."""
        hours = {hour: number for hour, number in HOURS.items() if hour != 11}
        assert judge(counts(hours=hours), weeks(2), RULES, AFTER, AFTER).whole
        assert not judge(counts(hours=hours), weeks(3), RULES, AFTER, AFTER).whole

    def test_an_hour_that_is_quiet_now_and_then(self):
        """One week with fewer rows in that hour, and an empty one is chance."""
        hours = {hour: number for hour, number in HOURS.items() if hour != 11}
        past = [*weeks(7), counts(DAY - timedelta(weeks=8), {**HOURS, 11: BUSY - 1})]
        assert judge(counts(hours=hours), past, RULES, AFTER, AFTER).whole

    def test_closed_and_short_days(self):
        """On a closed day nothing is expected, on a short one nothing after its closing."""
        nothing = Counts(DAY, 0)
        closed = Rules(NEW_YORK, timed=True, closed=frozenset({DAY}))
        assert judge(nothing, weeks(), closed, AFTER, AFTER).whole
        assert not judge(nothing, weeks(), RULES, AFTER, AFTER).whole
        short = Rules(NEW_YORK, timed=True, closing={DAY: 12})
        morning = counts(hours={9: 30, 10: 30, 11: 30})
        assert judge(morning, weeks(), short, AFTER, AFTER).whole
        assert "10:00" in judge(counts(hours={9: 30, 11: 30}), weeks(), short, AFTER, AFTER).note

    def test_closed_weeks_are_no_measure(self):
        """A closed day among the weeks before does not make an empty hour usual."""
        past = [counts(DAY - timedelta(weeks=1), {}), *weeks(8)[1:]]
        rules = Rules(NEW_YORK, timed=True, closed=frozenset({DAY - timedelta(weeks=1)}))
        assert not judge(counts(hours={9: 30}), past, rules, AFTER, AFTER).whole
        assert judge(Counts(DAY, 250, {9: 250}), past, RULES, AFTER, AFTER).whole

    @given(
        st.dictionaries(st.integers(0, 23), st.integers(0, 40)),
        st.dictionaries(st.integers(0, 23), st.integers(0, 40)),
        st.integers(0, 24),
    )
    def test_the_notebook_says_the_same(self, lines, least, closing):
        """What a fetch takes for a silent hour is what the report of the day takes for one."""
        frame = pd.DataFrame(
            {"hour": range(24), "lines": [lines.get(hour, 0) for hour in range(24)],
             "least": [least.get(hour, 0) for hour in range(24)], "usual": 1.0}
        )  # fmt: skip
        assert growth.completeness(frame, closing).silent_hours == silent_hours(lines, least, closing)


class TestVolume:
    def test_less_than_the_least_share(self):
        """Half the median of the weekday is enough where half is the least, one row less is not."""
        usual = 9 * 30
        assert judge(Counts(DAY, usual // 2, HOURS), weeks(), RULES, AFTER, AFTER).whole
        few = judge(Counts(DAY, usual // 2 - 1, HOURS), weeks(), RULES, AFTER, AFTER)
        assert few.note == "it has 134 rows, less than 50% of the usual 270"

    def test_two_weeks_are_no_measure(self):
        """Before three weeks are known nobody knows what is usual."""
        assert judge(Counts(DAY, 1, HOURS), weeks(2), RULES, AFTER, AFTER).whole
        assert not judge(Counts(DAY, 1, HOURS), weeks(3), RULES, AFTER, AFTER).whole

    def test_other_weekdays_and_older_weeks_are_no_measure(self):
        """Only the same weekday of the eight weeks before counts."""
        others = [counts(DAY - timedelta(days=n)) for n in range(1, 100) if n % 7 or n > 56]
        assert judge(Counts(DAY, 0), others, RULES, AFTER, AFTER).whole

    @given(st.integers(0, 1000), st.lists(st.integers(0, 1000), min_size=3, max_size=8), st.floats(0, 1))
    def test_more_rows_never_make_a_day_less_whole(self, rows, past, least):
        """A day that is whole stays so with one row more, and with a smaller least share."""
        measure = [Counts(DAY - timedelta(weeks=n + 1), number) for n, number in enumerate(past)]
        rules, looser = Rules(NEW_YORK, least=least), Rules(NEW_YORK, least=least / 2)
        if judge(Counts(DAY, rows), measure, rules, AFTER, AFTER).whole:
            assert judge(Counts(DAY, rows + 1), measure, rules, AFTER, AFTER).whole
            assert judge(Counts(DAY, rows), measure, looser, AFTER, AFTER).whole


class TestPauses:
    @given(st.floats(0, 3600), st.floats(0.01, 900))
    def test_they_fill_the_window_and_no_more(self, window, left):
        """The pauses end with the window, or with all the time there is."""
        waited, looks = 0.0, 0
        for wished in freshness.pauses():
            pause = freshness.pause(wished, window - waited, left - waited)
            if pause is None or pause < 0.001:
                break
            waited, looks = waited + pause, looks + 1
        assert looks <= 3600
        assert waited == pytest.approx(min(window, left), abs=0.01)

    def test_they_grow_to_the_longest(self):
        """Five seconds first, a minute at most."""
        first = [pause for _, pause in zip(range(12), freshness.pauses(), strict=False)]
        assert first[0] == freshness.FIRST_PAUSE
        assert first == sorted(first)
        assert first[-1] == freshness.LONGEST_PAUSE
