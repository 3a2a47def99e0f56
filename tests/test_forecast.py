"""Forecasts of run times, and risk that is told before a deadline passes: why, and from which instant on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config import Owners, Person, Pipeline, Settings
from runner.plan.forecast import (
    Forecast,
    Progress,
    assumed_of,
    forecast,
    latest_safe_start,
    next_risk_at,
    risk,
    words,
)

ZONE = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
#: A run usually takes 8 minutes, a slow one 12; due is 10:00 in New York.
USUAL = Forecast(8 * MINUTE, 12 * MINUTE, 30)
DUE = datetime(2017, 11, 24, 15, 0, tzinfo=UTC)
SECONDS = st.floats(0.1, 1e5)


def before(minutes: float) -> datetime:
    """The instant so many minutes before the deadline."""
    return DUE - minutes * MINUTE


def why(progress: Progress, minutes: float) -> str:
    """The risk so many minutes before the deadline."""
    return risk(DUE, progress, USUAL, before(minutes), ZONE)


class TestForecast:
    @pytest.mark.parametrize(
        ("past", "usual", "slow"),
        [
            ([], 60, 90),
            ([100], 100, 150),
            ([100, 100, 100, 400], 100, 400),
            ([100] * 5, 100, 100),
            ([*range(1, 20)], 10, 19),
            ([*range(1, 21)], 10.5, 20),
            ([*range(1, 22)], 11, 20),
            ([*range(1, 102)], 51, 96),
        ],
    )
    def test_is_careful_with_little_history(self, past, usual, slow):
        """Usual is the median; slow is the 95th percentile of many runs, the longest of some, more than that of few."""
        assert forecast(past, 60) == Forecast(timedelta(seconds=usual), timedelta(seconds=slow), len(past))

    @given(st.lists(SECONDS, max_size=60), SECONDS, st.randoms())
    def test_slow_is_never_below_usual_and_order_does_not_matter(self, past, assumed, random):
        """A slow run takes at least the usual time, and the order of the history changes nothing."""
        found = forecast(past, assumed)
        assert found.slow >= found.usual > timedelta(0)
        assert forecast(random.sample(past, len(past)), assumed) == found

    @pytest.mark.parametrize(("more", "seconds"), [({}, 120), ({"limit": "5 min"}, 60), ({"usual": "7 s"}, 7)])
    def test_is_assumed_without_history(self, more, seconds):
        """A pipeline without history is taken to last as its entry says, or a fifth of its limit."""
        settings = Settings(company="C", time_zone="UTC", sender=Person(name="R", email="r@example.com"))
        owners = Owners(primary="a", secondary="b", because="They asked.")
        entry = {"name": "p", "title": "P", "notebook": "p.ipynb", "period": "day", "readers": (), "sources": ()}
        pipeline = Pipeline(**{**entry, "owners": owners, "deadline": "daily by 09:00", **more})
        assert assumed_of(pipeline, settings) == seconds

    def test_latest_safe_start_leaves_room_for_a_slow_run(self):
        """A run that begins at the latest safe start and is slow ends at the deadline."""
        assert latest_safe_start(DUE, USUAL) == before(12)


class TestRisk:
    @pytest.mark.parametrize(
        ("progress", "minutes", "sentence"),
        [
            (Progress(), 12.1, ""),
            (Progress(), 12, "It has not begun and had to begin by 09:48 to be ready by 10:00."),
            (
                Progress(waits_for=("Daily growth", "Unit profit")),
                5,
                "It still waits for Daily growth and Unit profit and had to begin by 09:48 to be ready by 10:00.",
            ),
            (Progress(waits_for=("Daily growth",)), 30, ""),
            (Progress(started_at=before(12), tries=1), 12, ""),
            (
                Progress(started_at=before(11.5), tries=1),
                11,
                "The run began at 09:48, and if it is a slow one it ends at 10:01, after 10:00.",
            ),
            (Progress(started_at=before(40), tries=1), 20, ""),
            (
                Progress(started_at=before(40), tries=1),
                12,
                "The run began at 09:20 and takes longer than the 12 min of a slow run; due is 10:00.",
            ),
            (Progress(next_try_at=before(12), tries=1), 17, ""),
            (
                Progress(next_try_at=before(6), tries=2),
                50,
                "2 tries failed, and the next, at 09:54, may end at 10:06, after 10:00.",
            ),
            (
                Progress(next_try_at=before(20), tries=1),
                3,
                "The last try failed, and the next, meant for 09:40, has not begun; due is 10:00.",
            ),
            (Progress(), 0, ""),
            (Progress(started_at=before(1)), -5, ""),
        ],
    )
    def test_says_why_before_the_deadline(self, progress, minutes, sentence):
        """While all is well nothing is said, then one sentence with local times; from the deadline on it is late."""
        assert why(progress, minutes) == sentence

    def test_names_the_day_where_it_is_another(self):
        """A start that had to be on the evening before says so."""
        midnight = datetime(2017, 11, 24, 5, 5, tzinfo=UTC)
        text = risk(midnight, Progress(), USUAL, midnight - MINUTE, ZONE)
        assert text == "It has not begun and had to begin by 23:53 on Thursday to be ready by 00:05."

    @given(
        st.sampled_from(["started_at", "next_try_at", "waits_for", ""]),
        st.integers(0, 90),
        st.integers(0, 90),
        st.integers(1, 20),
        st.integers(1, 30),
    )
    def test_turns_at_the_instant_that_is_foretold(self, kind, event, now, usual, slow):
        """If nothing changes there is no risk until the instant foretold, and risk from then on up to the deadline."""
        expected = Forecast(usual * MINUTE, max(usual, slow) * MINUTE, 9)
        value = ("Daily growth",) if kind == "waits_for" else before(event)
        progress = Progress(**{kind: value}) if kind else Progress()
        turn = next_risk_at(DUE, progress, expected, before(now))
        seen = [bool(risk(DUE, progress, expected, before(m), ZONE)) for m in range(now, -1, -1)]
        foretold = [turn is not None and before(m) >= turn and m > 0 for m in range(now, -1, -1)]
        already = seen[0]
        assert seen == ([m > 0 for m in range(now, -1, -1)] if already else foretold)
        assert not (already and turn)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (60, "1 min"), (61, "2 min"), (3600, "1 h"), (5400, "1 h 30 min"), (3599.5, "1 h")],
)
def test_lengths_in_words(seconds, text):
    """A length of time is told in seconds below a minute, and then in hours and minutes begun."""
    assert words(timedelta(seconds=seconds)) == text
