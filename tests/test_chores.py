"""Duties that reports show: which run is the evidence of which period."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from runner.ledger import Ledger, Result, Run, duties
from runner.model import Finding, Level, Status
from runner.plan.duties import Due
from runner.scheduler import chores
from tests.small_office import DAY, HOUR, duty, office, project

CHECK = "two systems agree"
DUE = datetime(2017, 11, 14, 18, tzinfo=UTC)  # Tuesday 13:00 in New York


@pytest.fixture
def desk():
    """An office with one nightly duty that a check of the report of sales shows."""
    ledger = Ledger.open("sqlite://")
    shown = {"pipeline": "sales", "checks": (CHECK,)}
    yield office(ledger, project(duties={"nightly": duty("daily by 13:00", "dan", shown_by=shown)}))
    ledger.close()


def open_(desk, *days):
    """Periods of the duty that fell due so many days after Tuesday; each opened when the one before was due."""
    with desk.ledger.write() as tx:
        duties.note(tx, [Due("nightly", period(n), DUE + (n - 1) * DAY, DUE + n * DAY) for n in days])


def period(day):
    """The name of the period due so many days after Tuesday."""
    return f"{date(2017, 11, 14) + timedelta(days=day)}"


def made(desk, name, at, as_of, *, level=Level.PASS, status=Status.READY):
    """A run of the report that began at an instant, about a day."""
    run = Run(name, "sales", as_of or name, name, at, parameters={"as_of": as_of} if as_of else {})
    desk.ledger.begin(run)
    ended = replace(run, status=status, finished_at=at)
    desk.ledger.finish(Result(ended, findings=(Finding(CHECK, level, "They agree."),)))


def look(desk, now):
    """Which run is the evidence of each period, once it was looked at an instant."""
    desk.notes.clear()
    chores.look(desk, now)
    with desk.ledger.read() as tx:
        known = duties.between(tx, DUE - 90 * DAY, DUE + 90 * DAY)
    return {task.due.period: task.evidence.get("run") for task in known if task.done_at}


def test_the_report_of_the_morning_shows_the_duty_of_the_day(desk):
    """Begun since the duty opened, about yesterday, with the check."""
    open_(desk, 0)
    made(desk, "r1", DUE - 5 * HOUR, "2017-11-13")
    assert look(desk, DUE - 4 * HOUR) == {period(0): "r1"}


@pytest.mark.parametrize(
    ("at", "as_of", "more"),
    [
        (DUE - 25 * HOUR, "2017-11-13", {}),
        (DUE - 5 * HOUR, "2017-11-11", {}),
        (DUE - 5 * HOUR, "2016-11-13", {}),
        (DUE - 5 * HOUR, "", {}),
        (DUE - 5 * HOUR, "2017-11-13", {"level": Level.STOP}),
        (DUE - 5 * HOUR, "2017-11-13", {"status": Status.FAILED}),
    ],
    ids=["before it opened", "old data", "data of last year", "no day", "stopped by the check", "failed"],
)
def test_a_run_that_shows_nothing_is_no_evidence(desk, at, as_of, more):
    """A report that began too early, is about days long gone, or whose check stopped it, leaves the duty open."""
    open_(desk, 0)
    made(desk, "r1", at, as_of, **more)
    assert look(desk, DUE - 4 * HOUR) == {}


def test_one_run_is_the_evidence_of_one_period(desk):
    """Two periods wait; a late run about the first one's day is that one's, and the other waits for its own."""
    open_(desk, 0, 1)
    made(desk, "late", DUE + HOUR, "2017-11-13")
    assert look(desk, DUE + 2 * HOUR) == {period(0): "late"}
    assert look(desk, DUE + 3 * HOUR) == {period(0): "late"}
    made(desk, "own", DUE + 19 * HOUR, "2017-11-14")
    assert look(desk, DUE + 20 * HOUR) == {period(0): "late", period(1): "own"}


def test_a_duty_that_was_missed_does_not_take_the_next_ones_evidence(desk):
    """The next day's run shows the next day's duty; the missed one waits for a report of its own day."""
    open_(desk, 0, 1)
    made(desk, "next", DUE + 19 * HOUR, "2017-11-14")
    assert look(desk, DUE + 20 * HOUR) == {period(1): "next"}
    made(desk, "again", DUE + 21 * HOUR, "2017-11-13")
    assert look(desk, DUE + 22 * HOUR) == {period(0): "again", period(1): "next"}


def test_data_of_the_day_before_count_once_nothing_better_is_there(desk):
    """The day before the one on which the duty opened is recent enough."""
    open_(desk, 0)
    made(desk, "r1", DUE - 5 * HOUR, "2017-11-12")
    assert look(desk, DUE - 4 * HOUR) == {period(0): "r1"}
