"""Many reports at once: every place is used, in the right order, and none of them holds the others."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config, screen
from runner.commands import making, reports, runs
from runner.commands.making import Tell, make_all, worst
from runner.commands.turns import Turns, rests_on
from runner.config.values import usable_cores
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.model import Status
from runner.plan.deadlines import Deadline
from runner.report import inputs
from runner.report.draft import Clock, Ctx, Made
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.notebooks import NotebookNode
from runner.scheduler.crew import Threads
from runner.scheduler.office import Order
from tests.small_projects import SETTINGS, change, of_project, project, runner, start, write

DAY = "2017-11-15"
NOW = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)
ENTRY = """\
  looks:
    title: Looks
    notebook: good.ipynb
    period: experiment
    experiment: 1
    deadline: within 6 hours of experiment start
    owners: {primary: ann, secondary: bob, because: They asked.}
    readers: []
    sources: []
"""
#: What each experiment's notebook does, and when the experiment begins.
FAILS, HANGS, STOPS, WARNS = 2, 3, 4, 5
CODE = (
    rf"if experiment == {FAILS}:\n    raise ValueError(\"no till\")\n"
    rf"if experiment == {HANGS}:\n    print(open(\"never\").read())\n"
)


def looks(folder: Path, begins: dict[int, str], *, seats: int = 2, entry: str = "") -> Path:
    """A project of one pipeline about experiments; the second fails, the third waits for what nobody ever writes."""
    project(folder, "good", more=ENTRY + entry, settings=f"{SETTINGS}runs_at_once: {seats}\n")
    notebook = folder / "notebooks/good.ipynb"
    change(notebook, r"loud: bool = False", r"loud: bool = False\nexperiment: int = 1")
    levels = rf"{{{STOPS}: \"stop\", {WARNS}: \"warn\"}}.get(experiment, \"pass\")"
    change(notebook, r"level=\"pass\"", f"level={levels}")
    change(notebook, "print(f", f"{CODE}print(f")
    os.mkfifo(folder / "notebooks/never")
    entries = "".join(f'  {number}: {{begins: "{at}"}}\n' for number, at in begins.items())
    write(folder / "config/experiments.yml", f"experiments:\n{entries}" if entries else "experiments: {}\n")
    return folder


@pytest.fixture
def started():
    """Starts the command in a process of its own, which does not outlive the test."""
    begun: list[subprocess.Popen[str]] = []

    def start_(folder: Path, *words: str) -> subprocess.Popen[str]:
        begun.append(start(folder, *words))
        return begun[-1]

    yield start_
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def parsed(out: str) -> list[dict]:
    """The objects of `--json`."""
    return [json.loads(line) for line in out.splitlines()]


def ended(rows: list[dict]) -> dict[str, str]:
    """How the report of each experiment ended, by the lines said of them one by one."""
    return {
        row["period"].split("@")[0].removeprefix("experiment-"): row["status"] for row in rows if row["event"] == "made"
    }


# Whose turn it is.


@st.composite
def graphs(draw):
    """What each of some jobs rests on: jobs before it in a random order, so that there is no circle."""
    count = draw(st.integers(0, 12))
    places = draw(st.permutations(range(count)))
    return [
        draw(st.sets(st.sampled_from([other for other in range(count) if places[other] < places[number]])))
        if places[number]
        else set()
        for number in range(count)
    ]


def played(turns: Turns, seats: int, order: st.DataObject, ready) -> list[int]:
    """Let jobs begin and end in a drawn order; the order in which they began. Checks the promises at every step."""
    begun: list[int] = []
    at_work: set[int] = set()
    over: set[int] = set()
    while True:
        new = turns.begin()
        assert all(ready(number, over) for number in new)
        begun += new
        at_work |= set(new)
        assert len(at_work) <= seats
        waiting = [number for number in ready.all - set(begun) if ready(number, over)]
        assert not waiting or len(at_work) == seats
        if not at_work:
            return begun
        done = order.draw(st.sampled_from(sorted(at_work)))
        at_work.remove(done)
        over.add(done)
        turns.ended(done)


@dataclass
class Ready:
    """Whether a job can begin, by the plain definition."""

    before: list[set[int]]

    @property
    def all(self) -> set[int]:
        """Every job."""
        return set(range(len(self.before)))

    def __call__(self, number: int, over: set[int]) -> bool:
        """All that it rests on has ended."""
        return self.before[number] <= over


@given(graphs(), st.integers(1, 4), st.data())
def test_every_job_runs_once_after_its_inputs_and_no_seat_is_idle(graph, seats, data):
    """In any order of ends: never before its inputs, never more than the seats, no seat free while one could begin."""
    begun = played(Turns(graph, len(graph), seats), seats, data, Ready(graph))
    assert sorted(begun) == list(range(len(graph)))


@st.composite
def job_lists(draw):
    """Jobs of four pipelines, each of which rests on some of the former, for days of one week, in any order."""
    inputs_of = {}
    for name in "abcd":
        before = sorted(inputs_of)
        inputs_of[name] = tuple(draw(st.lists(st.sampled_from(before), max_size=3))) if before else ()
    days = st.integers(1, 7).map(lambda day: f"2017-11-0{day}")
    wanted = draw(st.lists(st.tuples(st.sampled_from("abcd"), days), max_size=12))
    return [Job(Named(name, inputs_of[name]), day) for name, day in wanted]


@dataclass(frozen=True)
class Named:
    """All of a pipeline that its turn depends on."""

    name: str
    inputs: tuple[str, ...] = ()


@given(job_lists(), st.integers(1, 3), st.data())
def test_a_job_waits_for_its_inputs_of_its_day_and_of_the_days_before(jobs, seats, data):
    """The short way by milestones says the very same as the definition, pair by pair."""
    plain = [
        {n for n, other in enumerate(jobs) if other.pipeline.name in job.pipeline.inputs and other.as_of <= job.as_of}
        for job in jobs
    ]
    begun = played(Turns(rests_on(jobs), len(jobs), seats), seats, data, Ready(plain))
    assert sorted(begun) == list(range(len(jobs)))


def test_of_those_that_can_begin_the_first_does():
    """A backfill makes the oldest first, also when a later one was free before."""
    turns = Turns([[], [], [0], []], 4, 2)
    assert turns.begin() == [0, 1]
    turns.ended(0)
    assert turns.begin() == [2]


def span(days: int) -> list[Job]:
    """Reports of so many days and of what each rests on."""
    start_ = datetime(2000, 1, 1, tzinfo=UTC)
    names = [(start_ + timedelta(days=day)).date().isoformat() for day in range(days)]
    return [Job(one, day) for day in names for one in (Named("base"), Named("top", ("base",)))]


def lines_run(jobs: list[Job]) -> int:
    """How many lines of runner/commands/turns.py run while all of some jobs take their turn."""
    counted, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, _):
        nonlocal counted
        if not frame.f_code.co_filename.endswith("turns.py"):
            return None
        counted += event == "line"
        return trace

    sys.settrace(trace)
    try:
        turns = Turns(rests_on(jobs), len(jobs), 2)
        while begun := turns.begin():
            for number in begun:
                turns.ended(number)
    finally:
        sys.settrace(before)
    return counted


def test_the_order_of_five_thousand_jobs_costs_ten_times_that_of_five_hundred():
    """Steps grow with the jobs, not with their square, though each day rests on all the days before."""
    assert sum(map(len, rests_on(span(2500)))) < 2 * 5000
    assert lines_run(span(2500)) < 10.5 * lines_run(span(250))


# Every experiment.


def test_every_experiment_that_has_begun_is_reported_and_none_holds_the_others(tmp_path):
    """One fails, one hangs to its limit, one is stopped, one held: four ways to end beside those that are well."""
    begins = {1: "2017-11-01 09:00", FAILS: "2017-11-02 09:00", HANGS: "2017-11-03 09:00", STOPS: "2017-11-04 09:00"}
    begins |= {WARNS: "2017-11-05 09:00", 6: f"{DAY} 23:59", 7: "2017-11-16 00:00", 8: "2018-01-01 09:00"}
    folder = looks(tmp_path, begins, entry="    cell_limit: 3 s\n")
    code, out, err = runner(folder, "run", "looks", "--every-experiment", "--as-of", DAY, "--json")
    rows = parsed(out)
    assert (code, err) == (1, "")
    assert [(row["experiment"], row["begins"]) for row in rows if row["event"] == "left out"] == [
        ("7", "2017-11-16"),
        ("8", "2018-01-01"),
    ]
    wanted = {"1": "ready", "2": "failed", "3": "failed", "4": "stopped", "5": "held", "6": "ready"}
    assert ended(rows) == wanted
    assert sum(row["event"] == "made" for row in rows) == len(wanted)
    assert {row["experiment"] for row in rows if row["event"] == "step"} == set(wanted)
    assert [row["done"] for row in rows if row["event"] == "made"] == [1, 2, 3, 4, 5, 6]
    assert [made["period"] for made in rows[-1]["reports"]] == [f"experiment-{number}@{DAY}" for number in wanted]
    assert "after its limit of 3 s" in rows[-1]["reports"][2]["message"]
    assert of_project(folder) == []


def test_what_is_there_already_is_not_made_again_and_people_see_what_is_left_out(tmp_path):
    """The second time nothing is executed; both say which experiments begin later."""
    folder = looks(tmp_path, {1: "2017-11-01 09:00", 6: "2017-11-02 09:00", 7: "2017-12-01 09:00"})
    words = ("run", "looks", "--every-experiment", "--as-of", DAY)
    for message in ("", "Nothing changed: made already."):
        code, out, err = runner(folder, *words)
        assert (code, err) == (0, "")
        assert out.startswith("Left out, because they begin later: 7 on 2017-12-01.\n")
        assert out.count("Nothing changed: made already.") == 2 * bool(message)
        assert "looks 1: ready (" in out


def test_a_cancelled_experiment_ends_alone(tmp_path, started):
    """While it hangs in its place all the others are made in the other one; then it ends at a word."""
    begins = dict.fromkeys((1, FAILS, HANGS, 6, 7), "2017-11-01 09:00")
    folder = looks(tmp_path, begins)
    making_ = started(folder, "run", "looks", "--every-experiment", "--as-of", DAY, "--json")
    rows = []
    while len(ended(rows)) < len(begins) - 1:
        rows.append(json.loads(making_.stdout.readline()))
    assert ended(rows) == {"1": "ready", "2": "failed", "6": "ready", "7": "ready"}
    ledger = Ledger.open(config.load(folder).ledger)
    (hanging,) = [run for run in ledger.runs() if run.status is Status.RUNNING]
    assert runs.cancel(config.load(folder), hanging.run, "ann", "Enough", as_json=True) == 0
    ledger.close()
    rest, err = making_.communicate(timeout=60)
    assert (making_.returncode, err) == (1, "")
    assert ended(parsed(rest)) == {"3": "interrupted"}
    assert parsed(rest)[-1]["reports"][2]["message"] == "Cancelled by Ann: Enough."


def test_ctrl_c_ends_all_and_those_that_had_not_begun_never_do(tmp_path, started):
    """130; what hung is interrupted, what waited for a place is counted and left, and nothing is alive."""
    folder = looks(tmp_path, dict.fromkeys((HANGS, *range(10, 30)), "2017-11-01 09:00"), seats=1)
    making_ = started(folder, "run", "looks", "--every-experiment", "--as-of", DAY)
    ledger = Ledger.open(config.load(folder).ledger)
    until = time.monotonic() + 60
    while not any('"heading": "Good"' in path.read_text() for path in folder.glob("reports/.work/*/events.jsonl")):
        assert time.monotonic() < until
        os.sched_yield()
    making_.send_signal(signal.SIGINT)
    out, err = making_.communicate(timeout=60)
    assert (making_.returncode, err) == (130, "")
    assert "21 reports: 1 interrupted, 20 not begun." in out
    assert out.count("looks ") < 6
    assert [run.status for run in ledger.runs()] == [Status.INTERRUPTED]
    ledger.close()
    assert of_project(folder) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--all"], "--every-experiment belongs to one pipeline. Name it instead of --all."),
        (["good"], "good is not about an experiment. Leave --every-experiment out."),
        (
            ["looks", "--experiment", "1"],
            "--experiment names one, --every-experiment takes all. Leave one of them out.",
        ),
        (["looks", "-p", "amuont=1"], "there is no parameter 'amuont'. Did you mean 'amount'?"),
        (["looks", "-p", "experiment=1"], "'experiment' is not given with -p. Use --experiment."),
    ],
)
def test_every_experiment_of_what_has_none_is_refused(tmp_path, words, said):
    """One or two sentences, code 2, and nothing is begun."""
    folder = looks(tmp_path, {1: "2017-11-01 09:00"})
    code, out, err = runner(folder, "run", *words, "--every-experiment", "--as-of", DAY)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        ({1: "2017-11-16 09:00", 2: "2017-12-01 09:00"}, "Take a day from 2017-11-16 on: the first begins then."),
        ({}, "None is known: name them in the table `experiments`"),
    ],
)
def test_a_day_before_every_experiment_is_refused(tmp_path, begins, said):
    """Nothing to report is a question about the day, with the day that would do."""
    found = config.load(looks(tmp_path, begins))
    with pytest.raises(UsageError, match=f"No experiment had begun by {DAY}") as refused:
        reports.run(found, reports.Wish("looks", DAY, every_experiment=True), as_json=True)
    assert said in str(refused.value)


def test_an_experiment_that_is_off_by_itself_is_told_at_its_turn(tmp_path):
    """A name that the notebook cannot take ends its own report; where none fits, all are refused before the start."""
    found = config.load(looks(tmp_path, {}))
    pipeline = found.pipelines["looks"]
    jobs = [Job(pipeline, DAY, name) for name in ("first", "1")]
    with_one = context(found, "one.sqlite")
    making.refuse(jobs, with_one)
    with pytest.raises(UsageError, match="Parameter 'experiment' cannot be 'first'"):
        making.refuse(jobs[:1], with_one)
    first, second = make_all(jobs, with_one, SILENT)
    assert (first.status, first.period, second.status) == (Status.FAILED, f"experiment-first@{DAY}", Status.READY)
    with_one.ledger.close()


# The floor.


SILENT = Tell(lambda *_: None, lambda *_: None)


def context(found, name: str) -> Ctx:
    """What making shares, with a ledger of its own."""
    return Ctx(found, Ledger.open(found.folder / name), Clock(NOW), Stop(), lambda _: None)


def test_nothing_of_a_finished_report_is_kept(tmp_path):
    """Its notebook is gone when its end is told: two hundred reports need no more memory than two."""
    found = config.load(looks(tmp_path, {}, seats=1))
    ctx = context(found, "ledger.sqlite")
    seen: dict[str, list[weakref.ref]] = {}

    def step(job, told):
        if told.stage == "prove":  # the executed notebook and the finished document are there
            whole = [item for item in gc.get_objects() if isinstance(item, NotebookNode) and "cells" in item]
            seen[job.experiment] = list(map(weakref.ref, whole))

    def made(job, item):
        gc.collect()
        assert item.status is Status.READY
        assert seen[job.experiment]
        assert [ref for ref in seen[job.experiment] if ref() is not None] == []

    jobs = [Job(found.pipelines["looks"], DAY, name) for name in ("1", "6")]
    assert len(make_all(jobs, ctx, Tell(step, made))) == 2
    ctx.ledger.close()


def descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_of_a_thousand_jobs_only_those_at_work_hold_descriptors(tmp_path):
    """A job that waits for its place has no stop yet, which would be two open files each."""
    found = config.load(looks(tmp_path, {}, seats=2))
    ctx = context(found, "ledger.sqlite")
    most = 0

    def count(*_):
        nonlocal most
        most = max(most, descriptors())

    before = descriptors()
    jobs = [Job(found.pipelines["looks"], DAY, f"no number {number}") for number in range(1000)]
    all_made = make_all(jobs, ctx, Tell(count, count, count))
    ctx.ledger.close()
    assert {made.status for made in all_made} == {Status.FAILED}
    assert most - before < 20


@pytest.mark.parametrize(
    ("codes", "asked", "code"),
    [((0, 0), False, 0), ((0, 3, 0), False, 3), ((3, 1, 0), False, 1), ((0, 0), True, 130), ((1, 3), True, 130)],
)
def test_the_exit_code_is_the_worst_of_the_members(codes, asked, code):
    """Stopped or failed over held over ready; an interruption over all."""
    stop = Stop()
    if asked:
        stop.ask()
    assert worst([Made("p", "d", Status.READY, exit_code=number) for number in codes], stop) == code


def test_who_waits_for_a_crew_is_woken_when_an_attempt_ends(tmp_path):
    """The end of a run is an event: it can be read until it has been asked for."""
    found = config.load(project(tmp_path, "no_parameters"))
    ctx = context(found, "ledger.sqlite")
    crew = Threads(ctx)
    assert select.select([crew], [], [], 0)[0] == []
    deadline = Deadline("no_parameters", DAY, DAY, NOW.date(), None, NOW, NOW, NOW)
    crew.start(Order("token", deadline, 1), NOW)
    assert select.select([crew], [], [], 60)[0] == [crew]
    (done,) = crew.finished(NOW)
    assert done.status is Status.FAILED
    assert select.select([crew], [], [], 0)[0] == []
    ctx.ledger.close()


# Seats.


def test_auto_is_a_seat_for_each_core_that_may_be_used(tmp_path):
    """Where only one core is given, one report is made at a time; a number stands over that."""
    assert config.load(project(tmp_path, "good")).settings.seats == usable_cores() == len(os.sched_getaffinity(0))
    core = min(os.sched_getaffinity(0))
    asked = "from runner.config import values; print(values.usable_cores())"
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); {asked}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1\n"
    project(tmp_path / "other", "good", settings=f"{SETTINGS}runs_at_once: 7\n")
    assert config.load(tmp_path / "other").settings.seats == 7


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("many", "write auto, for one on each core"),
        ("true", "write auto"),
        ("65", "is 65; write 1 or more. At most 64"),
    ],
)
def test_seats_are_auto_or_a_number(tmp_path, value, said):
    """Anything else is refused in words."""
    project(tmp_path, "good", settings=f"{SETTINGS}runs_at_once: {value}\n")
    with pytest.raises(config.ConfigError, match=f"runs_at_once: {said}"):
        config.load(tmp_path)


# What is seen of many.


def two_hundred() -> list[Made]:
    """The ends of two hundred reports, good and bad."""
    folder = Path("/elsewhere/reports/unit_profit")
    fine = Made("unit_profit", "p", Status.DELIVERED, run="r", folder=folder, sent=2)
    found = [replace(fine, period=f"experiment-{number}@{DAY}", fresh=number > 9) for number in range(150)]
    words = "The till is away, and what it would have said is not known to anybody at all. " * 9
    for number in range(30):
        about = "The very same." if number < 20 else f"{number}: {words}"
        found.append(
            Made("unit_profit", f"experiment-{200 + number}@{DAY}", Status.FAILED, about, words, run="r", exit_code=1)
        )
    found += [Made("unit_profit", "p", Status.HELD, "Look.", "runner approve r", run="r", exit_code=3)] * 12
    found += [Made("unit_profit", "p", Status.STOPPED, "Stop.", "Correct it.", run="r", exit_code=1)] * 5
    return found + [Made("unit_profit", "p", Status.INTERRUPTED, "It was not begun.", "Run it again.", exit_code=1)] * 3


def test_the_summary_of_two_hundred_fits_one_screen(capsys):
    """Counts, the first that failed with what to do, one of each kind, and where the rest is."""
    screen.Screen(200).summary(two_hundred())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert sum(1 + len(line) // 100 for line in lines) <= 24
    assert lines[1] == "200 reports: 150 delivered, 12 held, 5 stopped, 30 failed, 3 not begun."
    assert lines[2] == "10 of them were made already: nothing changed."
    assert lines[3] == "300 messages written to the maildir."
    assert lines[4] == f"unit_profit  failed  experiment-200@{DAY}, and 19 more like it"
    assert lines[5] == "  The very same."
    assert lines[-3] == f"And {30 - 22 + 5 + 12} more; each has its line above."
    assert lines[-2] == "The same command makes what was not begun; what is there already is not made again."
    assert lines[-1] == "All of them, newest first: runner list unit_profit"


def test_programs_get_a_line_for_each_of_two_hundred_and_all_in_the_last(capsys):
    """Nothing is left out for them, and each line says how many have ended."""
    lines = screen.Lines(200)
    for made in two_hundred():
        lines.made(made)
    lines.summary(two_hundred())
    *rows, last = parsed(capsys.readouterr().out)
    assert [(row["done"], row["total"]) for row in rows] == [(number, 200) for number in range(1, 201)]
    assert Counter(made["status"] for made in last["reports"])["failed"] == 30


def test_of_many_each_end_is_one_line_with_what_runs_now_and_how_long_it_may_last(capsys):
    """No line for a step; the time left follows from the ends in this very run, once one round has ended."""
    clock = [0.0]
    many = screen.Screen(20, lambda: clock[0])
    for name in ("a", "b"):
        many.begun(name)
        many.step(screen_step(name))
    for at, name, new in ((10.0, "a", "c"), (20.0, "b", "d")):
        clock[0] = at
        many.begun(new)
        many.made(Made(name, "d", Status.READY, "All is well."))
    clock[0] = 30.0
    many.made(Made("c", "d", Status.FAILED, "No till."))
    assert capsys.readouterr().out.splitlines() == [
        "a: ready (1 of 20; under way: b, c)",
        "b: ready (2 of 20; under way: c, d)",
        "c: failed (3 of 20; under way: d; about 3 min left). No till.",
    ]


def screen_step(name: str):
    """Something that begins in a report."""
    from runner.report.draft import Step  # noqa: PLC0415

    return Step(name, "render")


def test_the_time_left_follows_the_pace_of_late():
    """What was there already ends at once and says nothing of what is made after it."""
    clock = [0.0]
    pace = screen.Pace(400, lambda: clock[0])
    for number in range(300):
        clock[0] += 0.0 if number < 200 else 2.0
        pace.begun("x")
        pace.ended("x")
    assert pace.left() == 200.0
    assert pace.remaining() == "about 3 min left"
    assert screen.Pace(3, lambda: 0.0).remaining() == ""


# What a report is made of is read once.


def reader():
    """Reads a file's text, and counts how often."""
    calls = []

    def read(path):
        calls.append(path)
        return path.read_text()

    return read, calls


def test_a_file_that_did_not_change_is_read_once(tmp_path):
    """By its state on the disk; another file in its place, of equal size and time, is read."""
    path, (read, calls) = tmp_path / "a", reader()
    path.write_text("one")
    assert [inputs.remembered(read, path, settled=0) for _ in range(3)] == ["one"] * 3
    assert len(calls) == 1
    other = tmp_path / "b"
    other.write_text("two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert inputs.remembered(read, path, settled=0) == "two"


def test_a_file_touched_just_now_is_read_each_time(tmp_path):
    """Written twice within one tick of the clock, with equal size and its time set back, it may look the same."""
    path, (read, calls) = tmp_path / "a", reader()
    for text in ("one", "two", "six"):
        path.write_text(text)
        os.utime(path, ns=(0, 0))
        assert [inputs.remembered(read, path), inputs.remembered(read, path)] == [text, text]
    assert len(calls) == 6


def test_a_source_that_is_gone_or_locked_is_noticed_though_it_is_remembered(tmp_path):
    """It is opened each time."""
    path, (read, _) = tmp_path / "a", reader()
    path.write_text("one")
    inputs.remembered(read, path, settled=0)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        inputs.remembered(read, path, settled=0)
