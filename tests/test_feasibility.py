"""Plans that cannot be kept: the shipped one can, the plan as it was written cannot, and each remedy mends."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from runner.config import Project, load
from runner.plan.calendar import BusinessCalendar
from runner.plan.deadlines import Begin, Timetable
from runner.plan.feasibility import Problem, problems
from runner.plan.forecast import Forecast, forecast
from tests.small_projects import change

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2017, 11, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLAN = "config/pipelines.yml"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the shipped project without its data."""
    for name in ("config", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def found(project: Project, forecasts: dict[str, Forecast] | None = None) -> tuple[Problem, ...]:
    """The problems of a project in November and December 2017, in which experiments 19 and 20 begin."""
    days = project.holidays
    timetable = Timetable(
        ZoneInfo(project.settings.time_zone),
        BusinessCalendar(days.business_calendar, days.no_business, days.business),
        tuple(Begin(name, datetime(2017, 11, day, 14, tzinfo=UTC)) for name, day in (("19", 15), ("20", 27))),
    )
    return problems(project.pipelines, project.settings, timetable, forecasts or {}, NOW)


def changed(folder: Path, *changes: tuple[str, str], forecasts: dict[str, Forecast] | None = None) -> list[Problem]:
    """The problems after changes of pipelines.yml."""
    for old, new in changes:
        change(folder / PLAN, old, new)
    return list(found(load(folder), forecasts))


class TestShippedPlan:
    def test_can_be_kept(self, folder):
        """The shipped config has no problem, with an assumed forecast and with runs of half a minute."""
        project = load(folder)
        assert found(project) == ()
        assert found(project, {name: forecast([30.0] * 9, 1) for name in project.pipelines}) == ()

    def test_as_it_was_written_contradicts_itself(self, folder):
        """Without ready_by, aggregate growth at 10:00 rests on daily growth at 12:00: that, and nothing else."""
        (problem,) = changed(folder, ('    ready_by: "09:00"\n', ""))
        assert problem == Problem(
            PLAN,
            "pipelines.aggregate_growth.inputs",
            "is to be ready at 10:00 and rests on daily_growth, which is ready at 12:00 "
            "(first: Tuesday 31 October 2017). Give daily_growth a ready_by of 09:57 or earlier, "
            "or promise aggregate_growth later.",
            severe=True,
        )

    @pytest.mark.parametrize(("hour", "count"), [("09:57", 0), ("09:58", 1)])
    def test_the_remedy_mends_and_a_minute_later_does_not(self, folder, hour, count):
        """The ready_by that the message proposes is the latest that can be kept."""
        assert len(changed(folder, ('ready_by: "09:00"', f'ready_by: "{hour}"'))) == count


class TestInputs:
    def test_of_business_days_cannot_carry_a_daily_report(self, folder):
        """A daily report that rests on one of business days is told so: it waits over the weekend, or has no input."""
        late, never = changed(folder, ("inputs: [daily_growth]", "inputs: [aggregate_profit]"))
        assert "which is ready at 09:00 on Monday (first: Friday 3 November 2017). Promise" in late.what
        assert "not promised for each of its dates (first: Saturday 4 November 2017)" in never.what
        assert (late.severe, never.severe) == (True, False)
        assert {late.key, never.key} == {"pipelines.aggregate_growth.inputs"}

    @pytest.mark.parametrize(("ready_by", "count"), [("07:30", 0), ("08:00", 1)])
    def test_a_week_rests_on_its_last_day(self, folder, ready_by, count):
        """A report of Monday 08:00 can rest on Sunday's if that is there early on Monday."""
        told = changed(
            folder,
            ('ready_by: "09:00"', f'ready_by: "{ready_by}"'),
            ("    deadline: Mondays by 08:00\n", "    deadline: Mondays by 08:00\n    inputs: [daily_growth]\n"),
        )
        assert [problem.key for problem in told] == ["pipelines.aggregate_engagement.inputs"] * count


class TestRoom:
    @pytest.mark.parametrize(
        ("room", "slow", "severe", "need"),
        [
            ("1 h", 61 * MINUTE, True, "a slow run takes 1 h 1 min"),
            ("8 min", 5 * MINUTE, False, "one attempt may take 10 min"),
        ],
    )
    def test_too_little_is_told(self, folder, room, slow, severe, need):
        """Less room than a slow run takes breaks promises, than an attempt may take is a warning; the remedy mends."""
        forecasts = {"daily_growth": Forecast(MINUTE, slow, 30)}
        (problem,) = changed(folder, ("room: 1 h", f"room: {room}"), forecasts=forecasts)
        assert (problem.key, problem.severe) == ("pipelines.daily_growth.room", severe)
        assert need in problem.what
        remedy = re.search(r"Give it a room of (.*) or more", problem.what)[1]
        assert changed(folder, (f"room: {room}", f"room: {remedy}"), forecasts=forecasts) == []

    def test_cannot_reach_back_before_an_experiment(self, folder):
        """A span shorter than the room is told: work cannot begin before the experiment does."""
        (problem,) = changed(folder, ("within 6 hours", "within 4 hours"))
        assert (problem.key, problem.severe) == ("pipelines.unit_profit.deadline", False)
        assert problem.what == ("leaves 4 h for the work, and its room is 5 h. Promise a span of 5 h or more.")

    def test_a_span_must_hold_a_slow_run(self, folder):
        """A span from the experiment's start that a slow run overruns breaks promises."""
        (problem,) = changed(folder, ("within 6 hours", "within 2 minutes"))
        assert (problem.key, problem.severe) == ("pipelines.unit_profit.deadline", True)


class TestData:
    @pytest.mark.parametrize(("room", "count"), [("9 h", 0), ("10 h", 1)])
    def test_work_begins_after_the_day_it_reports(self, folder, room, count):
        """Room may reach back to the midnight that ends the day reported, and no further."""
        told = changed(folder, ("room: 1 h", f"room: {room}"))
        assert [(problem.key, problem.severe) for problem in told] == [("pipelines.daily_growth.room", True)] * count
        for problem in told:
            assert problem.what == (
                "begins at 23:00 on Tuesday, before the day that it reports is over (first: Tuesday 31 October 2017). "
                "Give it a room of 9 h or less, or promise it later."
            )

    @pytest.mark.parametrize(("room", "count"), [("8 h", 0), ("9 h", 1)])
    def test_and_after_the_week_it_reports(self, folder, room, count):
        """A week is over at the midnight before Monday."""
        told = changed(folder, ("deadline: Mondays by 08:00\n", f"deadline: Mondays by 08:00\n    room: {room}\n"))
        assert ["before the week that it reports" in problem.what for problem in told] == [True] * count
