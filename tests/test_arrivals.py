"""Data that have landed: what must be there, who may say so, and work that begins before its hour, never after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.acts.arrivals import arrived
from runner.config import Project
from runner.config.ends import Sources
from runner.errors import UsageError
from runner.ledger import Ledger, arrivals, deadlines, incidents, journal
from runner.ledger.arrivals import Arrival
from runner.ledger.deadlines import Owed
from runner.ledger.deadlines import State as Owing
from runner.plan.arrivals import data_day, may_begin, named, ways, whole_up_to
from runner.plan.calendar import BusinessCalendar, instant, local_day
from runner.plan.deadlines import Begin, Timetable, deadlines_of
from runner.scheduler import planning
from runner.scheduler.tick import tick
from tests import small_office, small_projects
from tests.small_office import (
    DAY,
    DUE,
    FAILS,
    FINE,
    HOLDS,
    HOUR,
    MIDNIGHT,
    MINUTE,
    SALES,
    Hands,
    drive,
    office,
    pipeline,
)

ZONE = ZoneInfo("America/New_York")
YESTERDAY = date(2017, 11, 13)  # what the report of DUE is about
STARTS = DUE - HOUR
NIGHT = MIDNIGHT + 2 * HOUR
TILLS, ONLINE = "tills", "online"


def sources() -> Sources:
    """Two shops' sources and their replica, and what is fetched from where."""
    kinds = {name: {"kind": "files", "title": name.title(), "url": f"data/{name}"} for name in (TILLS, ONLINE, "copy")}
    tables = {"sales": {"from": (TILLS, "copy")}, "orders": {"from": (ONLINE,)}}
    said = {"sources": kinds, "tables": tables}
    return Sources.model_validate(said)


def on(*rested_on: str, deadline: str = "daily by 09:00", **more: Any) -> Any:
    """A report that rests on these."""
    return pipeline("sales", deadline, sources=rested_on, **more)


# What must be there.


def test_the_warehouse_is_there_with_the_first_source_of_each_of_its_tables():
    """A replica that is asked only where the first fails need not be announced; nor can it stand for the first."""
    needed = ways(on("warehouse"), sources())
    assert whole_up_to(needed, {TILLS: YESTERDAY, ONLINE: YESTERDAY}) == YESTERDAY
    assert whole_up_to(needed, {"copy": YESTERDAY, ONLINE: YESTERDAY}) is None
    assert whole_up_to(needed, {TILLS: YESTERDAY}) is None
    assert whole_up_to(needed, {TILLS: YESTERDAY, ONLINE: YESTERDAY - DAY}) == YESTERDAY - DAY


def test_whoever_loads_the_warehouse_as_a_whole_speaks_for_all_its_sources():
    """`warehouse` is enough; a file of the pipeline is wanted beside it all the same."""
    assert whole_up_to(ways(on("warehouse"), sources()), {"warehouse": YESTERDAY}) == YESTERDAY
    both = ways(on("warehouse", "data/plan.csv"), sources())
    assert whole_up_to(both, {"warehouse": YESTERDAY}) is None
    assert whole_up_to(both, {"warehouse": YESTERDAY, "data/plan.csv": YESTERDAY}) == YESTERDAY


def test_a_report_that_rests_on_no_source_is_never_there_by_arrivals():
    """Nothing at all is not all that is needed."""
    assert ways(on(), sources()) == ()
    assert whole_up_to((), {TILLS: YESTERDAY}) is None


def test_sources_are_named_as_config_names_them():
    """Those of sources.yml, and what pipelines rest on."""
    assert named([on("warehouse", "data/plan.csv")], sources()) == (TILLS, ONLINE, "copy", "data/plan.csv", "warehouse")


def test_the_data_of_a_week_end_with_its_sunday():
    """Whatever day of the week after it is reported on."""
    week = on("warehouse", deadline="Mondays by 08:00", period="week")
    assert {data_day(week, date(2017, 11, day)) for day in range(13, 20)} == {date(2017, 11, 12)}


PROMISES = (
    on("x", deadline="daily by 09:00"),
    on("x", deadline="business days by 10:00"),
    on("x", deadline="by 09:00 next business day"),
    on("x", deadline="Mondays by 08:00", period="week"),
    on("x", deadline="Fridays by 08:00", period="week"),
    on("x", deadline="within 6 hours of experiment start", period="experiment", experiment=18),
)
BEGIN = Begin("18", instant(date(2017, 3, 10), time(10), ZONE))
TIMETABLE = Timetable(ZONE, BusinessCalendar("NYSE"), (BEGIN,))
MARCH = datetime(2017, 3, 6, tzinfo=ZONE)  # the clocks are put forward on the 12th


@given(
    promise=st.sampled_from(PROMISES),
    whole=st.none() | st.dates(date(2017, 3, 1), date(2017, 3, 25)),
    minutes=st.integers(0, 20 * 24 * 60),
)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_work_begins_at_its_hour_or_once_its_data_are_whole(promise, whole, minutes):
    """Never before all is there, never later than its hour, never before its experiment; and once, then always."""
    now = MARCH + timedelta(minutes=minutes)
    for deadline in deadlines_of(promise, small_office.settings(), TIMETABLE, MARCH, MARCH + 20 * DAY):
        begins = may_begin(promise, deadline, whole, now)
        if now >= deadline.starts_at:
            assert begins
        elif begins:
            assert whole is not None
            assert whole >= data_day(promise, deadline.as_of)
            assert promise.period != "experiment" or now >= BEGIN.at
        if begins:
            assert may_begin(promise, deadline, whole, now + timedelta(minutes=1))
            assert may_begin(promise, deadline, (whole or date(2017, 3, 1)) + DAY, now) or now >= deadline.starts_at
        assert may_begin(promise, deadline, None, now) == (now >= deadline.starts_at)


@pytest.mark.parametrize("promise", PROMISES[:5], ids=lambda promise: promise.deadline)
def test_a_deadline_is_in_the_book_before_its_data_can_land(promise):
    """Each is written so far ahead that its last day is not over; a holiday of a week or more aside."""
    for deadline in deadlines_of(promise, small_office.settings(), TIMETABLE, MARCH, MARCH + 60 * DAY):
        last = data_day(promise, deadline.as_of) + DAY
        landed = instant(last, time(), ZONE)
        assert deadline.due_at - (planning.AHEAD - planning.REFRESH) < landed <= deadline.due_at


# Who may say so, and what is kept of it.


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(tmp_path / "ledger.db")
    yield made
    made.close()


def shop(*entries: Any, **more: Any) -> Project:
    """The small shop, with sources."""
    return small_office.project(*(entries or (on("warehouse"),)), sources=sources(), **more)


def say(ledger: Ledger, project: Project, source: str, day: date = YESTERDAY, at: datetime = NIGHT) -> bool:
    """Somebody says that data landed."""
    return arrived(project, ledger, Arrival(source, day, at, "token loader"))


def test_an_arrival_is_on_record_once(ledger):
    """Said twice, it is one arrival and one act, which bear the first instant."""
    assert [say(ledger, shop(), TILLS), say(ledger, shop(), TILLS, at=NIGHT + HOUR)] == [True, False]
    with ledger.read() as tx:
        acts = journal.acts(tx, MIDNIGHT, MIDNIGHT + DAY)
        assert [(act.at, act.who, act.what, act.details) for act in acts] == [
            (NIGHT, "token loader", "data arrived", {"source": "tills", "day": "2017-11-13"})
        ]
        assert arrivals.find(tx, TILLS, YESTERDAY) == Arrival(TILLS, YESTERDAY, NIGHT, "token loader")


def test_an_unknown_source_is_refused_with_those_there_are(ledger):
    """Nothing is written down of it."""
    with pytest.raises(UsageError, match=r"No source is called 'till'.*'tills'.*Known: tills, online"):
        say(ledger, shop(), "till")
    with ledger.read() as tx:
        assert not arrivals.is_any(tx)
        assert journal.acts(tx, MIDNIGHT, MIDNIGHT + DAY) == ()


def test_a_day_is_whole_at_the_earliest_while_it_lasts_on_the_plans_clock(ledger):
    """At 23:30 in New York it is the next day in London, and not the next day here."""
    late = MIDNIGHT - HOUR / 2  # Monday 23:30 in New York
    assert say(ledger, shop(), TILLS, YESTERDAY, late)
    with pytest.raises(UsageError, match="2017-11-14 has not begun in America/New_York"):
        say(ledger, shop(), TILLS, YESTERDAY + DAY, late)


def test_what_is_said_later_is_not_known_before(ledger):
    """A look at an instant knows what was said by then, and of each source the last day."""
    say(ledger, shop(), TILLS, YESTERDAY - DAY, NIGHT)
    say(ledger, shop(), TILLS, YESTERDAY, NIGHT + HOUR)
    say(ledger, shop(), TILLS, YESTERDAY - 2 * DAY, NIGHT + HOUR)
    with ledger.read() as tx:
        assert arrivals.newest(tx, [TILLS, ONLINE], NIGHT - MINUTE) == {}
        assert arrivals.newest(tx, [TILLS, ONLINE], NIGHT) == {TILLS: YESTERDAY - DAY}
        assert arrivals.newest(tx, [TILLS, ONLINE], NIGHT + HOUR) == {TILLS: YESTERDAY}


def test_a_person_says_so_by_a_command(tmp_path):
    """In an engineer's name; said again it was known; whatever cannot be is refused, and nothing is noted."""
    folder = small_projects.project(tmp_path, "good")
    small_projects.change(folder / "config" / "pipelines.yml", "sources: []", "sources: [data/till.csv]")
    small_projects.write(folder / "data" / "till.csv", "day,amount\n")
    said = ("arrived", "data/till.csv", "2017-11-13", "--now", "2017-11-14T02:00", "--json")
    first, again = (small_projects.runner(folder, *said, "--by", "ann") for _ in range(2))
    assert [(code, json.loads(out)["new"]) for code, out, _ in (first, again)] == [(0, True), (0, False)]
    for words, why in {
        ("--by", "eve"): "No engineer is called 'eve'",
        ("--by", "ann", "--now", "2017-11-12T23:00"): "2017-11-13 has not begun",
    }.items():
        code, _, err = small_projects.runner(folder, *said, *words)
        assert (code, why in err) == (2, True), err
    code, _, err = small_projects.runner(folder, "arrived", "data/till.csv", "13 November", "--by", "ann")
    assert (code, "'13 November' is no day" in err) == (2, True)
    book = Ledger.open(folder / "reports" / "ledger.sqlite")
    with book.read() as tx:
        assert [act.who for act in journal.acts(tx, MIDNIGHT - DAY, MIDNIGHT + DAY)] == ["ann"]
    book.close()


# The scheduler.


def owed(ledger: Ledger, key: tuple[str, str] = SALES) -> Owed:
    """A deadline as it stands."""
    with ledger.read() as tx:
        found = deadlines.find(tx, key)
    assert found is not None
    return found


def begun(desk: Any) -> list[tuple[datetime, str]]:
    """When each attempt began, and at what."""
    return [(at, f"{order.deadline.pipeline} {order.deadline.period}") for at, order in desk.crew.begun]


def test_a_run_begins_once_all_its_sources_have_landed(ledger):
    """Not with the first of two; with the second at once, hours before the clock says, and only once."""
    desk = office(ledger, shop())
    assert tick(desk, MIDNIGHT).started == ()
    say(ledger, desk.project, TILLS)
    assert tick(desk, NIGHT).started == ()
    say(ledger, desk.project, ONLINE)
    drive(desk, NIGHT + MINUTE, DUE)
    assert begun(desk) == [(NIGHT + MINUTE, "sales 2017-11-13")]
    assert (owed(ledger).state, owed(ledger).on_time) == (Owing.MET, True)
    with ledger.read() as tx:
        assert incidents.opened(tx) == {}


def test_what_lands_late_or_only_in_part_changes_nothing(ledger):
    """The clock and the deadline hold: every look, attempt and ending is the very same as without a word."""
    plain = Ledger.open(ledger_beside(ledger))
    alike = []
    for book, said in ((plain, False), (ledger, True)):
        desk = office(book, shop(), Hands(book, {SALES: (FAILS, FINE)}))
        tick(desk, MIDNIGHT)
        if said:
            say(book, desk.project, TILLS)
            say(book, desk.project, ONLINE, YESTERDAY - DAY)
        looks = drive(desk, NIGHT, STARTS + 2 * MINUTE)
        if said:
            say(book, desk.project, ONLINE, at=STARTS + 2 * MINUTE)
        looks += drive(desk, STARTS + 3 * MINUTE, DUE + DAY)
        alike.append(([(look.at, len(look.started), look.incidents) for look in looks], begun(desk), owed(book)))
    plain.close()
    (looks, attempts, ending), (other_looks, other_attempts, other_ending) = alike
    assert looks == other_looks
    assert attempts == other_attempts
    assert replace(ending, run=None) == replace(other_ending, run=None)


def ledger_beside(_: Ledger) -> str:
    """A ledger of its own, in memory."""
    return "sqlite:///:memory:"


def test_what_rests_on_a_report_waits_for_it(ledger):
    """Its data being there, growth begins once sales is delivered, also before its hour, and never is called late."""
    growth = pipeline("growth", "daily by 10:00", inputs=("sales",), sources=("warehouse",))
    desk = office(ledger, shop(on("warehouse"), growth))
    tick(desk, MIDNIGHT)
    say(ledger, desk.project, "warehouse")
    drive(desk, NIGHT, DUE)
    assert begun(desk) == [(NIGHT, "sales 2017-11-13"), (NIGHT + 5 * MINUTE, "growth 2017-11-13")]
    with ledger.read() as tx:
        assert incidents.between(tx, MIDNIGHT, DUE) == ()


def test_an_early_run_waits_for_a_seat_without_being_called_late(ledger):
    """Where others have every seat, the deadline stays where the calendar has it, and nobody is told anything."""
    visits = pipeline("visits", "daily by 09:00", sources=("warehouse",), room="2 h")
    crowd = shop(on("warehouse"), visits, settings=small_office.settings(runs_at_once=1))
    desk = office(ledger, crowd, Hands(ledger, {SALES: (small_office.HANGS,)}))
    tick(desk, MIDNIGHT)
    say(ledger, crowd, "warehouse")
    drive(desk, NIGHT, NIGHT + HOUR)
    assert begun(desk) == [(NIGHT, "sales 2017-11-13")]
    assert owed(ledger, ("visits", "2017-11-13")).deadline.starts_at == DUE - 2 * HOUR


def test_data_that_were_not_whole_after_all_cost_nobody_a_report(ledger):
    """An early run that fails for good is begun anew at its hour, with all its attempts, as if it was not tried."""
    desk = office(ledger, shop(), Hands(ledger, {SALES: (FAILS, FAILS, FINE)}))
    tick(desk, MIDNIGHT)
    say(ledger, desk.project, "warehouse")
    drive(desk, NIGHT, NIGHT + HOUR)
    waiting = owed(ledger)
    assert (waiting.state, waiting.outcome, waiting.attempts) == (Owing.OPEN, "failed", 0)
    assert (waiting.deadline.starts_at, waiting.next_try_at) == (STARTS, STARTS)
    drive(desk, NIGHT + HOUR, DUE)
    assert [at for at, _ in begun(desk)] == [NIGHT, STARTS]


def test_a_person_decides_on_an_early_run_that_is_held(ledger):
    """It is told at once, and not made anew at its hour."""
    desk = office(ledger, shop(), Hands(ledger, {SALES: (HOLDS,)}))
    tick(desk, MIDNIGHT)
    say(ledger, desk.project, "warehouse")
    drive(desk, NIGHT, DUE - MINUTE)
    assert [at for at, _ in begun(desk)] == [NIGHT]
    with ledger.read() as tx:
        assert [incident.state for incident in incidents.opened(tx).values()] == ["held"]


def test_a_new_plan_leaves_an_early_run_alone(ledger):
    """The book is written anew while it is under way: it keeps its begin and its holder."""
    desk = office(ledger, shop(), Hands(ledger, {SALES: (small_office.HANGS,)}))
    tick(desk, MIDNIGHT)
    say(ledger, desk.project, "warehouse")
    tick(desk, NIGHT)
    other = shop(on("warehouse", room="3 h"))
    tick(replace(desk, project=other, notes={}), NIGHT + MINUTE)
    assert (owed(ledger).deadline.starts_at, owed(ledger).attempts) == (NIGHT, 1)
    assert owed(ledger).holder is not None


def test_the_day_announced_is_begun_and_no_other(ledger):
    """Of all deadlines that lie ahead only those whose data are there; a week with its Sunday."""
    week = pipeline("weekly", "Mondays by 08:00", period="week", sources=("warehouse",))
    desk = office(ledger, shop(on("warehouse"), week))
    tick(desk, MIDNIGHT)
    sunday = date(2017, 11, 19)
    say(ledger, desk.project, "warehouse", sunday, at=MIDNIGHT + 6 * DAY)
    drive(desk, MIDNIGHT + 6 * DAY, MIDNIGHT + 6 * DAY + HOUR)
    assert {text for _, text in begun(desk)} >= {"weekly 2017-W46", "sales 2017-11-19"}
    assert "sales 2017-11-20" not in {text for _, text in begun(desk)}


def test_the_days_are_those_of_the_plans_zone():
    """The report of a day is begun early by the day of the plan's clock, whatever day it is in UTC."""
    late = MIDNIGHT - HOUR / 2
    assert local_day(late, ZONE) == YESTERDAY
    [deadline] = deadlines_of(on("warehouse"), small_office.settings(), TIMETABLE, DUE, DUE + HOUR)
    assert may_begin(on("warehouse"), deadline, YESTERDAY, late)
    assert not may_begin(on("warehouse"), deadline, YESTERDAY - DAY, late)
