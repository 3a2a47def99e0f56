"""A feed shows what the rota says, to each person their own, and keeps its UIDs from export to export."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from runner import config
from runner.plan.feed import feed, uid, whole
from runner.plan.oncall import Rota, Shift

STAMP = datetime(2017, 11, 1, 12, tzinfo=UTC)
START = datetime(2017, 11, 20, 14, tzinfo=UTC)
PEOPLE = ("ada", "ben", "cleo", "dan")
NAMES = {"ada": "Ada Lovelace", "ben": "Ben, of; Kent", "cleo": "Cléo"}
SHIFTS = (
    Shift(START, START + timedelta(days=3), "ada", "ben", ("rotation: ben", "holidays: Thanksgiving week")),
    Shift(START + timedelta(days=3), START + timedelta(days=7), "ben", None, ("rotation: ben",)),
    Shift(START + timedelta(days=7), START + timedelta(days=14), "cleo", "dan", ("rotation: cleo",)),
)


@st.composite
def rotas(draw):
    """Contiguous shifts of any people, cut at any second."""
    cuts = draw(st.sets(st.integers(1, 3_000_000), min_size=1, max_size=10))
    found = []
    for first, last in pairwise([0, *sorted(cuts)]):
        primary = draw(st.sampled_from(PEOPLE))
        secondary = draw(st.sampled_from([who for who in (*PEOPLE, None) if who != primary]))
        span = (START + timedelta(seconds=first), START + timedelta(seconds=last))
        found.append(Shift(*span, primary, secondary, ("drawn",)))
    return tuple(found)


def exported(shifts, who=None, names=None, stamp=STAMP):
    """A feed as written."""
    return feed(shifts, who, NAMES if names is None else names, "runner.example.com", stamp)


def events(*args, **options):
    """The events of a feed, parsed back."""
    return Calendar.from_ical(exported(*args, **options)).events


def on_duty(found, moment):
    """The roles that events give at an instant."""
    return [str(one["summary"]) for one in found if one.start <= moment < one.end]


class TestEvents:
    def test_an_event_says_role_person_and_reason(self):
        """Both roles of a shift are events that their summaries tell apart; the description has the chain of rules."""
        primary, secondary = events(SHIFTS[:1])
        assert str(primary["summary"]) == "On call, primary: Ada Lovelace"
        assert str(secondary["summary"]) == "On call, secondary: Ben, of; Kent"
        assert str(primary["description"]).splitlines() == [
            "Primary: Ada Lovelace",
            "Secondary: Ben, of; Kent",
            "- rotation: ben",
            "- holidays: Thanksgiving week",
        ]
        assert (primary.start, primary.end) == (SHIFTS[0].start, SHIFTS[0].end)
        assert (primary["transp"], primary["sequence"]) == ("TRANSPARENT", 0)
        assert primary["dtstamp"].dt == primary["last-modified"].dt == STAMP

    def test_the_calendar_is_one_to_subscribe_to(self):
        """The head says who wrote it, that it is published, and whose it is."""
        calendar = Calendar.from_ical(exported(SHIFTS, "ben"))
        assert (calendar["version"], calendar["method"]) == ("2.0", "PUBLISH")
        assert calendar["prodid"] == "-//runner//on call//EN"
        assert b"X-WR-CALNAME:On call: Ben\\, of\\; Kent\r\n" in exported(SHIFTS, "ben")

    def test_each_feed_has_its_persons_duties_alone(self):
        """The feeds of all people together are the feed of everybody, and each has one person's events."""
        everybody = {str(one["uid"]): str(one["summary"]) for one in events(SHIFTS)}
        single = {who: {str(one["uid"]): str(one["summary"]) for one in events(SHIFTS, who)} for who in PEOPLE}
        assert {key: text for found in single.values() for key, text in found.items()} == everybody
        assert [len(found) for found in single.values()] == [1, 2, 1, 1]
        assert set(single["dan"].values()) == {"On call, secondary: dan"}
        assert events(SHIFTS, "nobody") == []

    def test_one_half_past_one_of_two(self):
        """An hour in the night in which the clocks go back is exact: the second 01:30 is 06:30 in UTC."""
        second = datetime(2017, 11, 5, 6, 30, tzinfo=UTC)
        (one,) = events([Shift(second, second + timedelta(hours=1), "ada", None, ())])
        assert (one.start, one.end) == (second, second + timedelta(hours=1))

    @given(rotas(), st.integers(0, 3_000_000))
    def test_agrees_with_the_shifts(self, shifts, second):
        """At any instant, and at each boundary, the events on are exactly the people of the shift that holds it."""
        found = events(shifts)
        for moment in (START + timedelta(seconds=second), *(one.start for one in shifts), shifts[-1].end):
            wanted = [
                f"On call, {role}: {NAMES.get(who, who)}"
                for one in shifts
                if one.start <= moment < one.end
                for role, who in (("primary", one.primary), ("secondary", one.secondary))
                if who
            ]
            assert on_duty(found, moment) == wanted


class TestStable:
    def test_equal_arguments_give_equal_bytes(self):
        """Two exports of one rota with one stamp are the same file; another stamp is another."""
        assert exported(SHIFTS) == exported(SHIFTS)
        assert exported(SHIFTS) != exported(SHIFTS, stamp=STAMP + timedelta(seconds=1))

    @given(rotas())
    def test_uids_are_unique(self, shifts):
        """No two events of a feed share a UID."""
        found = [str(one["uid"]) for one in events(shifts)]
        assert len(set(found)) == len(found)

    @given(rotas(), st.data())
    def test_uids_stay_when_the_window_moves(self, shifts, data):
        """Of two windows over the same shifts, what lies in both has the same UID in both."""
        low, high = data.draw(st.integers(0, len(shifts) - 1)), data.draw(st.integers(1, len(shifts)))
        part = {(one.start, str(one["summary"])): str(one["uid"]) for one in events(shifts[low:high])}
        all_of_it = {(one.start, str(one["summary"])): str(one["uid"]) for one in events(shifts)}
        assert part.items() <= all_of_it.items()

    def test_a_uid_follows_from_role_person_and_start_alone(self):
        """Another end, reason, partner, name or zone keeps the UID; another role, person or start does not."""
        (before, _), (after,) = (
            events([Shift(START, START + timedelta(days=days), "ada", partner, (f"{days}",))], names=names)
            for days, partner, names in ((3, "ben", {}), (4, None, {"ada": "Ada King"}))
        )
        assert before["uid"] == after["uid"]
        there = START.astimezone(ZoneInfo("America/New_York"))
        kinds = [("primary", "ada", START), ("secondary", "ada", START), ("primary", "ben", START)]
        kinds += [("primary", "ada", START + timedelta(microseconds=1))]
        assert len({uid(*kind, "x") for kind in kinds}) == 4
        assert uid("primary", "ada", there, "x") == uid("primary", "ada", START, "x")


class TestHostile:
    @pytest.mark.parametrize(
        "name",
        [
            "Eve\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:forged",
            "Eve\rX-A:1",
            "Eve\nATTENDEE:mailto:a@example.com",
            "a,b;c:d",
            'q"uo"te',
            "back\\slash",
            "\x00\x07\x1b[31m",
            "\u2028\u2029\x85\x0b\x0c",
            "\u202eevE",
            "長い名前" * 40,
            "\ud83d",
            "",
        ],
    )
    def test_a_name_stays_a_name(self, name):
        """Whatever a name or a reason holds, the feed has its two events, and nothing is forged."""
        shift = Shift(START, START + timedelta(days=1), "eve", "ada", (name, "rotation"))
        text = exported([shift], names={"eve": name})
        calendar = Calendar.from_ical(text)
        assert [sorted(one) for one in calendar.events] == [
            sorted(
                ("DESCRIPTION", "DTEND", "DTSTAMP", "DTSTART", "LAST-MODIFIED", "SEQUENCE", "SUMMARY", "TRANSP", "UID")
            )
        ] * 2
        assert [len(str(one["description"]).split("\n")) for one in calendar.events] == [4, 4]
        assert all(len(line) <= 75 for line in text.split(b"\r\n"))
        assert not set(text.replace(b"\r\n", b"")) & set(range(32))

    @given(st.text())
    def test_any_text_comes_through(self, name):
        """Any text can be exported and read back, on one line."""
        (one,) = events([Shift(START, START + timedelta(days=1), "eve", None, (name,))], names={"eve": name})
        assert len(str(one["summary"]).splitlines()) == 1


@pytest.fixture(scope="module")
def rota():
    """The rota that is shipped."""
    return Rota(config.load(Path(__file__).resolve().parents[1]).oncall)


FIRST = datetime(2017, 11, 15, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def shipped(rota):
    """The feed of ten weeks of it, with both holidays, parsed back."""
    return events(whole(rota, FIRST, FIRST + timedelta(days=70)), names={})


class TestShippedRota:
    @settings(deadline=None)
    @given(seconds=st.integers(0, 70 * 86400 - 1))
    def test_the_feed_says_what_the_rota_says(self, rota, shipped, seconds):
        """At any instant the feed has on call whom `Rota.at` has on call."""
        moment = FIRST + timedelta(seconds=seconds)
        shift = rota.at(moment)
        assert on_duty(shipped, moment) == [
            f"On call, primary: {shift.primary}",
            f"On call, secondary: {shift.secondary}",
        ]

    @settings(max_examples=30, deadline=None)
    @given(hours=st.integers(0, 60 * 24))
    def test_uids_stay_from_day_to_day(self, rota, hours):
        """An export of another hour shares every event of the time that both cover, with its UID."""
        later = FIRST + timedelta(hours=hours)
        end = FIRST + timedelta(days=90)
        first, second = ({str(one["uid"]): one for one in events(whole(rota, since, end))} for since in (FIRST, later))
        assert set(second) == {key for key, one in first.items() if one.end > later}

    def test_freezing_the_past_changes_no_event(self, rota):
        """A past that was frozen in the middle of a shift leaves the feed as it was, byte for byte."""
        middle, end = FIRST + timedelta(days=9, hours=5), FIRST + timedelta(days=70)
        frozen = Rota(rota.rules, history=rota.shifts(FIRST - timedelta(days=30), middle))
        assert exported(whole(frozen, FIRST, end)) == exported(whole(rota, FIRST, end))
