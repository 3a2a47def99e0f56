"""Commands about runs: cancelled, looked into, approved, backfilled, pruned."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from runner import config
from runner.commands import backfill, gate, logs, prune, reports, runs
from runner.commands.gate import Wish
from runner.delivery.channels import Recorder
from runner.errors import UsageError
from runner.ledger import Delivery, Ledger, Process, Result, Run, deadlines, journal
from runner.model import SCRAP_MIME, Status
from runner.report import diary, notebooks, shelf
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.scheduler import work
from runner.scheduler.opening import open_office
from runner.scheduler.planning import plan
from runner.scheduler.tick import tick
from tests.small_projects import PIPELINE, SETTINGS, change, finished, mails, of_project, project, start
from tests.small_projects import runner as command

DAY = "2017-11-15"
NOW = datetime(2017, 11, 16, 13, 30, tzinfo=UTC)  # half an hour before the report of DAY is due
WARN = ('level=\\"pass\\"', 'level=\\"warn\\"')


@pytest.fixture
def opened():
    """Opens ledgers of projects, and closes them at the end."""
    made: list[Ledger] = []

    def open_(folder: Path) -> Ledger:
        made.append(Ledger.open(config.load(folder).ledger))
        return made[-1]

    yield open_
    for ledger in made:
        ledger.close()


@pytest.fixture
def said(capsys):
    """Calls a command in this process; its exit code and the objects that it wrote, one a line."""

    def call(function, *words, **more):
        code = function(*words, as_json=True, **more)
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


def until(seen):
    """What `seen` gives once it gives something; fails after half a minute."""
    end = time.monotonic() + 30
    while not (found := seen()):
        assert time.monotonic() < end, "it never came"
        os.sched_yield()
    return found


def wish(name, **more):
    """A wish for the report of a pipeline."""
    return reports.Wish(name, more.pop("as_of", DAY), **more)


def acts(ledger, what):
    """The acts of a kind in the journal."""
    with ledger.read() as tx:
        return [
            act for act in journal.acts(tx, datetime.min.replace(tzinfo=UTC), datetime.now(UTC)) if act.what == what
        ]


# Cancelling, and what a run said.


def test_a_cancelled_run_ends_alone_and_says_who_and_why(tmp_path, opened, said):
    """Another report of the same command goes on; who follows the log sees the end; nothing is left behind."""
    folder = project(tmp_path, "hangs", "good")
    ledger = opened(folder)
    making = start(folder, "run", "--all", "--as-of", DAY)
    run = until(lambda: ledger.making("hangs", DAY))
    following = start(folder, "logs", run.run, "--follow")
    assert any("Waiting" in line for line in following.stdout)
    code, (told,) = said(runs.cancel, config.load(folder), run.run, "ann", "It is in the way.")
    out, _ = making.communicate(timeout=60)
    last = json.loads(following.communicate(timeout=30)[0].splitlines()[-1])
    message = "Cancelled by Ann: It is in the way."
    assert (code, told["status"], told["message"]) == (0, "interrupted", message)
    assert (making.returncode, message in out) == (1, True)
    assert (following.returncode, last["status"], last["message"]) == (0, "interrupted", message)
    assert {run.pipeline: str(run.status) for run in ledger.runs()} == {"hangs": "interrupted", "good": "delivered"}
    assert Path(told["notebook"]).parent == shelf.place(config.load(folder), run)
    assert "never ran" in Path(told["notebook"]).read_text()
    assert of_project(folder) == []
    (act,) = acts(ledger, "cancelled")
    assert (act.who, act.details) == ("ann", {"run": run.run, "because": "It is in the way."})


def test_a_cancelled_run_of_the_scheduler_is_not_tried_again(tmp_path, opened):
    """Its deadline says that it was cancelled, and no tick takes it up, though attempts are left."""
    folder = project(tmp_path, "hangs")
    office = office_of(folder, opened(folder))
    assert len(tick(office, NOW).started) == 1
    run = until(lambda: office.ledger.making("hangs", DAY))
    until(lambda: any(event["event"] == "cell begins" for event in events(folder, run)))
    with office.ledger.write() as tx:
        journal.cancel(tx, journal.Cancellation(run.run, NOW, "ann", ""))
    until(lambda: tick(office, NOW).ended)
    owed = owed_of(office.ledger, "hangs")
    assert (owed.outcome, owed.next_try_at, owed.message) == ("cancelled", None, "Cancelled by Ann.")
    assert tick(office, NOW + timedelta(minutes=20)).started == ()


def office_of(folder, ledger):
    """A real scheduler's office whose clock stands at NOW."""
    found = config.load(folder)
    return open_office(Ctx(found, ledger, Clock(NOW), Stop(), lambda _: None), Recorder())


def owed_of(ledger, pipeline, period=DAY):
    """A deadline in the book."""
    with ledger.read() as tx:
        return deadlines.find(tx, (pipeline, period))


def events(folder, run):
    """What a run that is under way has said."""
    return list(diary.read(shelf.work(config.load(folder), run.run)))


def test_what_cannot_be_cancelled_is_told_with_names(tmp_path, opened):
    """An unknown run, one that is over, and a person nobody knows: each with what may have been meant."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    under_way, over = leave(found, ledger, "20171116T133000-aaaaaa", Status.RUNNING), "20171116T133000-bbbbbb"
    leave(found, ledger, over, Status.FAILED, period="2017-11-14")
    for words, what in [
        (("20171116T133000-aaaaab", "ann"), f"Did you mean '{under_way.run}'?"),
        ((over, "ann"), f"Run {over} is not under way: it is failed. Under way: {under_way.run}."),
        ((under_way.run, "anne"), "No engineer is called 'anne'. Did you mean 'ann'?"),
    ]:
        with pytest.raises(UsageError) as refused:
            runs.cancel(found, *words, "", as_json=True)
        assert what in str(refused.value)
    assert acts(ledger, "cancelled") == []


def test_cancelling_a_run_whose_process_is_gone_clears_it_up(tmp_path, opened, said):
    """Nobody is there to hear it: it is marked interrupted at once."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    leave(found, ledger, "r1", Status.RUNNING, process=replace(Process.this(), started="1"))
    code, (told,) = said(runs.cancel, found, "r1", "ann", "")
    assert (code, told["status"]) == (0, "interrupted")
    assert ledger.making("good", DAY) is None


def test_the_log_of_a_failed_run_ends_with_what_there_is_to_look_at(tmp_path, opened, said, capsys):
    """Readable lines on request, JSON lines in a pipe; the kernel's last words and the partial notebook."""
    folder = project(tmp_path, "kernel_dies")
    said(reports.run, config.load(folder), wish("kernel_dies"))
    (run,) = opened(folder).runs()
    logs.logs(config.load(folder), str(finished(folder)[0]), as_json=False, follow=False)
    lines = capsys.readouterr().out
    begun = datetime.fromisoformat(next(diary.read(finished(folder)[0]))["at"])  # may be a second after its start
    local = begun.astimezone(ZoneInfo("America/New_York"))
    assert lines.startswith(f"     0.0 s  {local:%H:%M:%S %Z}  run begins")
    assert "cell 2 of" in lines
    assert "KernelDied: The kernel's process ended" in lines
    assert "is failed. The kernel's process ended" in lines
    assert f"Partial notebook: {finished(folder)[0]}/kernel_dies.ipynb" in lines
    code, out, err = command(folder, "logs", run.run)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert {row["run"] for row in rows} == {run.run}
    assert (rows[-1]["event"], rows[-1]["status"]) == ("stands", "failed")
    assert rows[-1]["kernel_log"] == (finished(folder)[0] / "kernel.log").read_text().splitlines()[-20:]


def test_a_log_for_people_holds_no_control_character_and_no_endless_line(tmp_path, opened, said, capsys):
    """What a check, the runner or a kernel said may hold anything; a terminal is shown words, a program everything."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    run = leave(found, ledger, "r1", Status.FAILED)
    (shelf.place(found, run) / "kernel.log").write_text("  dying\x1b[2J\x07\n")
    evil = "\x1b]0;title\x07\x1b[31mred\n\u202enot " + "x" * 5000
    book = diary.Diary(shelf.place(found, run), run, lambda: NOW, str)
    book.note("finding", check="rows", level="warn", message=evil)
    ledger.mark(replace(run, message=evil))
    logs.logs(found, "r1", as_json=False, follow=False)
    out = capsys.readouterr().out
    assert [letter for letter in out if not letter.isprintable() and letter != "\n"] == []
    assert "warn: rows. red not xxx" in out
    assert "    " + "  dying\n" in out
    assert out.count(" more characters)") == 2
    assert max(map(len, out.splitlines())) < 2100
    _, rows = said(logs.logs, found, "r1", follow=False)
    assert rows[0]["message"] == evil


def test_following_a_log_ends_cleanly_with_ctrl_c(tmp_path, opened):
    """Whoever has seen enough leaves with 130 and no traceback; the run goes on."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    run = leave(found, ledger, "r1", Status.RUNNING)
    shelf.work(found, "r1").mkdir(parents=True)
    diary.Diary(shelf.work(found, "r1"), run, lambda: NOW, str).note("run begins")
    following = start(found.folder, "logs", "r1", "--follow")
    assert "run begins" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.communicate(timeout=30) == ("", "")
    assert following.returncode == 130
    assert ledger.run("r1").status is Status.RUNNING


def leave(found, ledger, name, status, **more):
    """A run of `good` that ended at `at` with a status, a version, messages owed and a record, whole in its place."""
    at, period, recorded = more.pop("at", NOW), more.pop("period", DAY), more.pop("recorded", 7)
    owed, version = more.pop("owed", ()), more.pop("version", 1)
    run = Run(name, "good", period, name, at, **more)
    ledger.begin(run)
    if status is Status.RUNNING:
        return run
    scrap = {"name": "record:daily", "data": {"columns": ["day", "revenue"], "rows": [[period, recorded]]}}
    cell = notebooks.code("glue()")
    cell.outputs = [notebooks.output("display_data", data={SCRAP_MIME: scrap})]
    nb = notebooks.notebook(notebooks.words("# Good"), cell)
    nb.metadata["runner"] = {"title": "Good", "period_text": period}
    shelf.put_json(shelf.work(found, name), "good.ipynb", nb)
    shelf.put(shelf.work(found, name), "good.pdf", b"%PDF-1.7" + b" " * 500)
    folder = f"reports/good/{period}/{name}"
    ended = replace(run, status=status, version=version, finished_at=at, folder=folder, message="Look at it.")
    ledger.finish(Result(ended, artifacts=shelf.artifacts(shelf.work(found, name)), owed=owed))
    shelf.move(found, ended)
    return ended


# Approving.


def test_an_approved_report_goes_out_and_meets_its_deadline_when_it_does(tmp_path, opened, said):
    """Held by the scheduler, approved by a person: records kept, readers written to, the deadline met at that time."""
    folder = project(tmp_path, "good")
    change(folder / "notebooks/good.ipynb", *WARN)
    ledger = opened(folder)
    office = office_of(folder, ledger)
    tick(office, NOW)
    until(lambda: tick(office, NOW).ended)
    (held,) = ledger.runs()
    assert (held.status, owed_of(ledger, "good").outcome, mails(folder)) == (Status.HELD, "held", [])
    late = NOW + timedelta(hours=2)
    code, lines = said(gate.approve, config.load(folder), Wish(held.run, "ann", "I counted.", late))
    (made,) = lines[-1]["reports"]
    assert (code, made["status"], made["sent"]) == (0, "delivered", 2)
    assert made["message"] == "Approved by Ann: I counted."
    assert ledger.records("good", "daily", DAY, DAY) == [{"day": DAY, "revenue": 7}]
    assert len(mails(folder)) == 2
    owed = owed_of(ledger, "good")
    assert (owed.state, owed.on_time) == (deadlines.State.MET, False)
    assert late <= owed.ended_at < late + timedelta(minutes=1)
    assert [incident.open for incident in tick(office, late + timedelta(minutes=1)).incidents] == [False]
    with ledger.read() as tx:
        (act,) = (act for act in journal.acts(tx, late, late + timedelta(seconds=1)) if act.what == "approved")
    assert (act.who, act.details["run"], act.details["because"]) == ("ann", held.run, "I counted.")
    assert act.details["held"] == "All rows are there."
    code, lines = said(reports.run, config.load(folder), wish("good"))
    assert (code, lines[-1]["reports"][0]["message"]) == (0, "Nothing changed: already delivered.")
    assert ledger.run(held.run).message == "Approved by Ann: I counted."


def test_an_approved_restatement_goes_out_as_the_next_version(tmp_path, opened, said):
    """Changed figures on the same record: readers get version 2, and version 1 stays what it was."""
    folder = project(tmp_path, "good")
    said(reports.run, config.load(folder), wish("good"))
    assert said(reports.run, config.load(folder), wish("good", texts={"amount": "13"}))[0] == 3
    ledger = opened(folder)
    newest, first = ledger.runs()
    place = str(shelf.place(config.load(folder), newest))
    decision = Wish(place, "bob", "The till was counted again", datetime.now(UTC))
    assert said(gate.approve, config.load(folder), decision)[0] == 0
    assert (ledger.delivered("good", DAY).run, ledger.run(first.run).status) == (newest.run, Status.DELIVERED)
    assert [len(ledger.deliveries("good", DAY, version)) for version in (1, 2)] == [2, 2]
    assert len(mails(folder)) == 4


def test_a_report_without_readers_is_ready_once_approved(tmp_path, opened, said):
    """There is nobody to write to; its record counts."""
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "readers: [owners]", "readers: []")
    ledger = opened(folder)
    leave(config.load(folder), ledger, "r1", Status.HELD)
    code, lines = said(gate.approve, config.load(folder), Wish("r1", "ann", "Right", NOW))
    assert (code, lines[-1]["reports"][0]["status"], ledger.run("r1").status) == (0, "ready", Status.READY)
    assert ledger.records("good", "daily", DAY, DAY) == [{"day": DAY, "revenue": 7}]


OLGA = (Delivery("olga@example.com", "<1@example.com>", NOW),)
EARLIER = NOW - timedelta(hours=1)


def is_ready(found, ledger):
    """It is not held."""
    leave(found, ledger, "r1", Status.READY)


def is_older(found, ledger):
    """Another was held after it."""
    leave(found, ledger, "r1", Status.HELD, at=EARLIER)
    leave(found, ledger, "r2", Status.HELD)


def is_overtaken(found, ledger):
    """Another was made after it, and was good."""
    leave(found, ledger, "r1", Status.HELD, at=EARLIER)
    leave(found, ledger, "r2", Status.READY)


def is_delivered(found, ledger):
    """Readers have its version by another run."""
    leave(found, ledger, "r0", Status.DELIVERED, at=EARLIER, owed=OLGA)
    leave(found, ledger, "r1", Status.HELD)


def is_touched(found, ledger):
    """Its PDF is not the one that was held."""
    run = leave(found, ledger, "r1", Status.HELD)
    (shelf.place(found, run) / "good.pdf").write_bytes(b"other")


def is_being_made(found, ledger):
    """Its report is being made again."""
    leave(found, ledger, "r1", Status.HELD, at=EARLIER)
    leave(found, ledger, "r2", Status.RUNNING)


@pytest.mark.parametrize(
    ("prepare", "what"),
    [
        (is_ready, "Run r1 is ready, not held."),
        (is_older, "A newer run of the same report, r2, is held. Look at that one."),
        (is_overtaken, "A newer run of the same report, r2, is ready. Nothing is left to approve."),
        (is_delivered, "Readers have, or are owed, version 1 of it already, made by run r0."),
        (is_touched, "The files of run r1 are not those that were held. Make the report again."),
        (is_being_made, "is being made again by run r2."),
    ],
)
def test_what_must_not_go_out_cannot_be_approved(tmp_path, opened, prepare, what):
    """One sentence says why, and nothing has changed: no message, no record, no act."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    prepare(found, ledger)
    before = (ledger.run("r1"), ledger.records("good", "daily", DAY, DAY))
    with pytest.raises(UsageError) as refused:
        gate.approve(found, Wish("r1", "ann", "Right", NOW), as_json=True)
    assert what in str(refused.value)
    assert (ledger.run("r1"), ledger.records("good", "daily", DAY, DAY)) == before
    assert (acts(ledger, "approved"), mails(found.folder)) == ([], [])


@pytest.mark.parametrize(("who", "because", "what"), [("olga", "Right", "No engineer"), ("ann", " ", "Why may it")])
def test_approving_needs_an_engineer_and_a_reason(tmp_path, opened, who, because, what):
    """A reader, or silence, releases nothing."""
    found = config.load(project(tmp_path, "good"))
    leave(found, opened(found.folder), "r1", Status.HELD)
    with pytest.raises(UsageError, match=what):
        gate.approve(found, Wish("r1", who, because, NOW), as_json=True)


def test_a_reason_is_one_short_line(tmp_path, opened, said):
    """Line ends and control characters go; more than 500 characters are refused, and nothing has changed."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    leave(found, ledger, "r1", Status.HELD)
    with pytest.raises(UsageError, match="The reason has 501 characters"):
        gate.approve(found, Wish("r1", "ann", "x" * 501, NOW), as_json=True)
    assert ledger.run("r1").status is Status.HELD
    code, lines = said(gate.approve, found, Wish("r1", "ann", "I\x1b]0;bad\x07 counted\n\n twice.\x00", NOW))
    assert (code, lines[-1]["reports"][0]["message"]) == (0, "Approved by Ann: I counted twice.")
    leave(found, ledger, "r2", Status.RUNNING, period="2017-11-14", process=replace(Process.this(), started="1"))
    with pytest.raises(UsageError, match="The reason has 600 characters"):
        runs.cancel(found, "r2", "ann", "x" * 600, as_json=True)
    said(runs.cancel, found, "r2", "ann", "in\nthe way")
    assert [act.details["because"] for act in acts(ledger, "cancelled")] == ["in the way"]


def test_nothing_is_approved_before_it_was_made(tmp_path, opened):
    """An approval dated before the end of its run is refused."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    leave(found, ledger, "r1", Status.HELD)
    with pytest.raises(UsageError, match="Time does not go back: run r1 ended at 2017-11-16 13:30:00 UTC"):
        gate.approve(found, Wish("r1", "ann", "Right", EARLIER), as_json=True)
    assert (ledger.run("r1").status, acts(ledger, "approved")) == (Status.HELD, [])


# Days gone by.


def two(folder):
    """A project of `good` and of `total`, which rests on it; for one day both think for a while, and fail."""
    entry = PIPELINE.format(name="total", notebook="good").replace("    sources", "    inputs: [good]\n    sources")
    project(folder, "good", more=entry, settings=f"{SETTINGS}runs_at_once: 4\n")
    fails = r"import time\nif as_of == \"2017-11-14\":\n    time.sleep(2)\n    raise ValueError(as_of)\n"
    change(folder / "notebooks/good.ipynb", "print(f", f"{fails}print(f")
    return config.load(folder)


def test_a_backfill_makes_what_was_promised_and_is_missing(tmp_path, opened, said):
    """Oldest first, inputs before what rests on them; one that fails holds nobody; readers get nothing."""
    found = two(tmp_path)
    ledger = opened(tmp_path)
    said(reports.run, found, wish("good", as_of="2017-11-13"))
    span = backfill.Wish("total", date(2017, 11, 13), date(2017, 11, 15))
    code, rows = said(backfill.backfill, found, replace(span, dry=True), NOW)
    wanted = [("total", "13"), ("good", "14"), ("total", "14"), ("good", "15"), ("total", "15")]
    assert (code, [(row["report"], row["period"][-2:]) for row in rows]) == (0, wanted)
    assert {row["stands"] for row in rows} == {"not made"}
    assert len(ledger.runs()) == 1
    code, lines = said(backfill.backfill, found, span, NOW)
    made = [(item["pipeline"], item["period"][-2:], item["status"]) for item in lines[-1]["reports"]]
    assert code == 1
    assert made == [(*one, "failed" if "14" in one else "ready") for one in wanted]
    assert {line["as_of"] for line in lines if line["event"] == "step"} == {f"2017-11-{day}" for day in (13, 14, 15)}
    ended = {run.period: run.finished_at for run in ledger.runs("good") if run.period > "2017-11-13"}
    assert all(run.started_at >= ended[day] for run in ledger.runs("total") for day in ended if day <= run.period)
    assert len(mails(tmp_path)) == 2  # those of the run before


def test_a_long_dry_run_is_cut_for_people_and_whole_for_programs(tmp_path, said, capsys):
    """Fifty lines and the count; every one as JSON."""
    found = config.load(project(tmp_path, "good"))
    span = backfill.Wish("good", date(2017, 1, 1), date(2017, 10, 27), dry=True)
    assert backfill.backfill(found, span, NOW, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (52, "300 reports. The first 50 are shown; --json lists all.")
    assert len(said(backfill.backfill, found, span, NOW)[1]) == 300
    backfill.backfill(found, replace(span, first=date(2017, 10, 27)), NOW, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "1 report."


def test_a_backfill_does_not_repeat_what_is_there_and_delivers_only_on_request(tmp_path, said):
    """The second time nothing is executed; with --deliver what is ready goes out, once."""
    found = two(tmp_path)
    span = backfill.Wish("good", date(2017, 11, 13), date(2017, 11, 13))
    seen = []
    for deliver in (False, False, True, True):
        _, lines = said(backfill.backfill, found, replace(span, deliver=deliver), NOW)
        (made,) = lines[-1]["reports"]
        seen.append((made["status"], made["fresh"], made["sent"]))
    assert seen == [("ready", True, 0), ("ready", False, 0), ("delivered", False, 2), ("delivered", False, 0)]
    assert len(mails(tmp_path)) == 2


@pytest.mark.parametrize(
    ("first", "last", "what"),
    [
        ("2017-11-15", "2017-11-14", "The span ends before it begins."),
        ("2017-11-18", "2017-11-19", "No report of good as of 2017-11-18 to 2017-11-19 was promised (by 09:00 next"),
        ("2017-11-20", "2017-11-21", "No report of good as of 2017-11-20 to 2017-11-21 is to be begun yet."),
    ],
)
def test_a_backfill_of_nothing_is_refused(tmp_path, first, last, what):
    """The calendar decides: nothing is promised of a weekend by some promises, and the future is the scheduler's."""
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "daily by 09:00", "by 09:00 next business day")
    span = backfill.Wish("good", date.fromisoformat(first), date.fromisoformat(last))
    with pytest.raises(UsageError) as refused:
        backfill.backfill(config.load(folder), span, NOW, as_json=True)
    assert what in str(refused.value)


def test_a_backfill_never_makes_todays_deadline_look_met(tmp_path, opened, said):
    """Yesterday's report, delivered today, leaves today's owed; only today's own meets it."""
    folder = project(tmp_path, "good")
    ledger = opened(folder)
    office = office_of(folder, ledger)
    zone = ZoneInfo("America/New_York")
    noon = datetime(2017, 11, 16, 12, tzinfo=zone)
    plan(office, NOW)
    for day, state in (("2017-11-14", deadlines.State.OPEN), (DAY, deadlines.State.MET)):
        span = backfill.Wish("good", date.fromisoformat(day), date.fromisoformat(day), deliver=True)
        assert said(backfill.backfill, config.load(folder), span, NOW)[0] == 0
        work.recover(office, noon)
        assert owed_of(ledger, "good").state is state


# Room on the disk.

LONG_AGO = NOW - timedelta(days=100)


def test_prune_removes_old_files_that_went_to_nobody(tmp_path, opened, said):
    """By the policy of each kind; what was delivered, owed, young or under way stays, and every row of the ledger."""
    found = config.load(project(tmp_path, "good"))
    ledger = opened(found.folder)
    owing = (Delivery("olga@example.com", "<1@example.com>"),)
    for number, (status, age, more) in enumerate(
        [
            (Status.DELIVERED, 900, {"owed": OLGA}),
            (Status.READY, 900, {"owed": owing}),
            (Status.READY, 31, {}),
            (Status.READY, 29, {}),
            (Status.HELD, 91, {}),
            (Status.HELD, 89, {}),
            (Status.FAILED, 31, {}),
            (Status.INTERRUPTED, 29, {}),
            (Status.STOPPED, 31, {}),
            (Status.RUNNING, 900, {}),
        ]
    ):
        leave(
            found, ledger, f"r{number}", status, period=f"2017-01-{number + 1:02}", at=NOW - timedelta(days=age), **more
        )
    before = {run.run: run.status for run in ledger.runs()}
    code, dry = said(prune.prune, found, NOW, dry=True)
    assert (code, sorted(row["run"] for row in dry)) == (0, ["r2", "r4", "r6", "r8"])
    assert len(list(found.reports.glob("good/*/*"))) == 9
    code, rows = said(prune.prune, found, NOW, dry=False)
    assert [{**row, "removed": False} for row in rows] == dry
    size = sum(item.size for item in ledger.artifacts("r2"))
    assert {row["bytes"] for row in rows} == {size}
    assert sorted(path.name for path in found.reports.glob("good/*/*")) == ["r0", "r1", "r3", "r5", "r7"]
    assert {run.run: run.status for run in ledger.runs()} == before
    pruned = ledger.run("r4")
    assert (pruned.folder, pruned.message) == ("", "Look at it. Its files were pruned on 2017-11-16.")
    with ledger.read() as tx:
        (act,) = journal.acts(tx, NOW, NOW + timedelta(seconds=1))
    assert (act.what, sorted(act.details["runs"]), act.details["bytes"]) == (
        "pruned",
        ["r2", "r4", "r6", "r8"],
        4 * size,
    )
    assert said(prune.prune, found, NOW, dry=False) == (0, [])


def test_prune_never_follows_a_link_out_of_reports(tmp_path, opened, said):
    """A folder that is a link, lies below one or beside reports/ is left, and so is what it leads to."""
    found = config.load(project(tmp_path / "project", "good"))
    ledger = opened(found.folder)
    (tmp_path / "elsewhere").mkdir()
    linked = leave(found, ledger, "r1", Status.FAILED, at=LONG_AGO, period="2017-01-01")
    below = leave(found, ledger, "r2", Status.FAILED, at=LONG_AGO, period="2017-01-02")
    for inside in (shelf.place(found, linked), shelf.place(found, below).parent):
        inside.rename(tmp_path / "elsewhere" / inside.name)
        inside.symlink_to(tmp_path / "elsewhere" / inside.name)
    leave(found, ledger, "r3", Status.FAILED, at=LONG_AGO, period="../../elsewhere")
    assert said(prune.prune, found, NOW, dry=False) == (0, [])
    assert len(list((tmp_path / "elsewhere").rglob("good.pdf"))) == 2
    assert (found.folder / "elsewhere/r3/good.pdf").is_file()


def test_a_pruned_report_is_made_again_and_listed_as_pruned(tmp_path, opened, said, capsys):
    """Its row stays; asked for again it is made anew, unless an older run of the same is still there."""
    folder = project(tmp_path, "good")
    found = config.load(folder)
    ledger = opened(folder)
    said(reports.run, found, wish("good", deliver=False))
    (first,) = ledger.runs()
    later = datetime.now(UTC) + timedelta(days=40)
    assert len(said(prune.prune, found, later, dry=False)[1]) == 1
    reports.listing(found, "", as_json=False)
    assert f"{first.run} (pruned)" in capsys.readouterr().out
    assert said(reports.run, found, wish("good"))[1][-1]["reports"][0]["fresh"] is True
    said(reports.run, found, wish("good", again=True))
    assert len(said(prune.prune, found, later, dry=False)[1]) == 1
    again = said(reports.run, found, wish("good"))[1][-1]["reports"][0]
    assert (again["fresh"], again["message"]) == (False, "Nothing changed: already delivered.")
