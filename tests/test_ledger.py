"""The ledger: claims that exclude each other, state that changes whole, values that keep their type."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from runner.errors import ConfigError, RunFailed, Trouble
from runner.ledger import Artifact, Delivery, Ledger, Process, Result, Run, Taken
from runner.model import Decision, Figure, Finding, Level, Status

NOW = datetime(2017, 11, 16, 13, tzinfo=UTC)
DAY = "2017-11-15"
FIGURES = (
    Figure("lines", 3, "3", "Lines"),
    Figure("revenue", 0.1 + 0.2, "0.30", "Revenue", "usd2", prior=2, change="+1 %", tone="good", note="late"),
    Figure("best", "00123", "00123", "Best shop", "text"),
)
FINDINGS = (
    Finding("rows", Level.PASS, "All there.", None, {"rows": 3}),
    Finding("level", Level.WARN, "High.", Trouble.OUTLIER, {"usual": [1.5, None]}),
)


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger in a file."""
    opened = Ledger.open(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def run(name="r1", pipeline="sales", period=DAY, **more):
    """A run that is beginning."""
    return Run(name, pipeline, period, "inputs", NOW, **more)


def done(ledger, made, **more):
    """Begin and finish a run as ready; the run."""
    ledger.begin(made)
    ended = replace(made, status=Status.READY, decision=Decision.DELIVER, version=made.version or 1, finished_at=NOW)
    ledger.finish(Result(ended, **more))
    return ended


def gone_process():
    """A process of this machine that has ended."""
    here = Process.this()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return replace(here, pid=child.pid, started="1")


def table(*rows):
    """A record of (day, revenue) rows."""
    return {"daily": {"columns": ["day", "revenue"], "rows": [list(row) for row in rows]}}


def test_everything_a_run_leaves_comes_back_as_it_was(ledger):
    """Whole numbers, floats and texts keep their type; findings keep their numbers; instants their zone."""
    ended = done(
        ledger,
        run(parameters={"as_of": DAY}),
        findings=FINDINGS,
        figures=FIGURES,
        artifacts=(Artifact("a.pdf", "0", 3),),
    )
    assert ledger.run("r1") == ended
    assert ledger.findings("r1") == FINDINGS
    assert ledger.figures("r1") == FIGURES
    assert [type(figure.value) for figure in ledger.figures("r1")] == [int, float, str]
    assert ledger.artifacts("r1") == (Artifact("a.pdf", "0", 3),)
    assert ledger.run("r1").started_at.utcoffset() == timedelta(0)


def test_an_instant_of_another_zone_is_the_same_instant_and_one_without_zone_is_refused(ledger):
    """Local time never enters the ledger."""
    ledger.begin(replace(run(), started_at=NOW.astimezone(timezone(timedelta(hours=-5)))))
    assert ledger.run("r1").started_at == NOW
    with pytest.raises(Exception, match="time zone"):
        ledger.begin(replace(run("r2", period="other"), started_at=datetime(2017, 1, 1)))  # noqa: DTZ001


def test_a_report_that_is_being_made_is_refused_a_second_time(ledger):
    """The refusal names the process and leaves no trace; another period is free."""
    ledger.begin(run())
    with pytest.raises(Taken, match=rf"sales for {DAY} is being made by process \d+"):
        ledger.begin(run("r2"))
    assert ledger.run("r2") is None
    ledger.begin(run("r3", period="2017-11-16"))
    ledger.begin(run("r4", pipeline="other"))


def test_a_finished_run_gives_its_claim_back(ledger):
    """The next run of the same report may begin at once."""
    done(ledger, run())
    ledger.begin(run("r2"))


def test_the_claim_of_a_process_that_is_gone_is_taken_over(ledger):
    """The old run is marked interrupted, truthfully, in the same transaction."""
    ledger.begin(run(process=gone_process()))
    ledger.begin(run("r2"))
    assert (ledger.run("r1").status, ledger.run("r1").trouble) == (Status.INTERRUPTED, Trouble.INTERRUPTED)


@pytest.mark.parametrize("change", [{"boot": "another boot"}, {"started": "0"}])
def test_a_number_used_again_is_another_process(change):
    """After a restart of the machine, or of the counter, the same number means someone else."""
    assert not Process.this().gone
    assert replace(Process.this(), **change).gone


def test_nothing_is_assumed_of_a_process_on_another_machine():
    """Its claim stays; the message names the machine."""
    assert not replace(gone_process(), host="elsewhere").gone


def test_runs_whose_process_is_gone_are_cleared_up(ledger):
    """Only they; running ones of the living stay."""
    ledger.begin(run(process=gone_process()))
    ledger.begin(run("r2", period="other"))
    assert [found.run for found in ledger.clear_up(NOW)] == ["r1"]
    assert (ledger.run("r1").status, ledger.run("r2").status) == (Status.INTERRUPTED, Status.RUNNING)
    assert ledger.clear_up(NOW) == ()


CLAIMER = """
import sys
from datetime import UTC, datetime
from runner.ledger import Ledger, Run, Taken
ledger = Ledger.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for period in range(40):
    try:
        ledger.begin(Run(f"{sys.argv[2]}-{period}", "sales", str(period), "", datetime.now(UTC)))
        won += 1
    except Taken:
        pass
print(won, flush=True)
sys.stdin.readline()
"""


def test_of_two_processes_exactly_one_claims_each_report(tmp_path):
    """Forty reports, two runners at once: forty claims, none twice, and no database error."""
    (tmp_path / "claimer.py").write_text(CLAIMER)
    words = [sys.executable, str(tmp_path / "claimer.py"), str(tmp_path / "ledger.sqlite")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[1]}
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    both = [subprocess.Popen([*words, name], env=env, **pipes) for name in ("a", "b")]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    won = [int(process.stdout.readline()) for process in both]
    assert sum(won) == 40
    for process in both:
        process.communicate("\n")


def test_a_finish_that_fails_changes_nothing(ledger):
    """Half a result is never kept: the run still runs, and none of its figures is there."""
    ledger.begin(run())
    twice = (FIGURES[0], FIGURES[0])
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.finish(Result(replace(run(), status=Status.READY), findings=FINDINGS, figures=twice))
    assert ledger.run("r1").status is Status.RUNNING
    assert ledger.findings("r1") == ()


def test_records_are_kept_by_day_and_asked_for_by_day(ledger):
    """A span takes both its ends; rows come back as dicts in order of days."""
    done(ledger, run(), records=table(("2017-11-15", 3), ("2017-11-13", 1), ("2017-11-14", None)))
    assert ledger.records("sales", "daily", "2017-11-13", NOW.date()) == [
        {"day": "2017-11-13", "revenue": 1},
        {"day": "2017-11-14", "revenue": None},
        {"day": "2017-11-15", "revenue": 3},
    ]
    assert ledger.records("sales", "other", DAY, DAY) == []


def test_a_record_that_changes_is_told_and_never_overwritten(ledger):
    """Equal rows are left, new ones added, a different one refused."""
    done(ledger, run(), records=table((DAY, 3.0)))
    assert ledger.restated("sales", table((DAY, 3), ("2017-11-16", 4))) == ()
    assert ledger.restated("sales", table((DAY, 4))) == (f"daily {DAY}",)
    with pytest.raises(RunFailed, match="differs from the one kept"):
        done(ledger, run("r2", period="other"), records=table((DAY, 4)))
    done(ledger, run("r3", period="third"), records=table((DAY, 3), ("2017-11-16", 4)))
    assert [row["revenue"] for row in ledger.records("sales", "daily", DAY, "2017-11-16")] == [3.0, 4]


def test_the_fingerprint_of_records_follows_their_content_up_to_a_day(ledger):
    """A later day does not touch it; an earlier one does."""
    empty = ledger.records_digest("sales", DAY)
    done(ledger, run(), records=table(("2017-11-16", 9)))
    assert ledger.records_digest("sales", DAY) == empty
    done(ledger, run("r2", period="other"), records=table((DAY, 1)))
    assert ledger.records_digest("sales", DAY) != empty


def test_a_record_without_days_is_refused(ledger):
    """Later reports ask by day."""
    with pytest.raises(RunFailed, match="no column `day`"):
        ledger.restated("sales", {"daily": {"columns": ["x"], "rows": [[1]]}})


def test_a_message_is_owed_once_and_sent_once(ledger):
    """The first time counts, whoever tries again; a version is made of the run that owed it first, for all."""
    first = done(ledger, run(), owed=(Delivery("a@x.org", "<1>"), Delivery("b@x.org", "<2>")))
    second = done(ledger, run("r2"), owed=(Delivery("a@x.org", "<other>"), Delivery("late@x.org", "<3>")))
    assert [item.message_id for item in ledger.deliveries("sales", DAY, 1)] == ["<1>", "<2>", "<3>"]
    ledger.sent(second, "a@x.org", NOW)
    ledger.sent(first, "a@x.org", NOW + timedelta(hours=1))
    assert ledger.deliveries("sales", DAY, 1)[0].sent_at == NOW
    ledger.sent(second, "late@x.org", NOW - timedelta(hours=1))
    assert ledger.delivered("sales", DAY).run == "r1"


def test_the_newest_version_owed_is_what_readers_have(ledger):
    """A version that is owed counts at once: a runner killed in between may have written it without a note."""
    first = done(ledger, run(), owed=(Delivery("a@x.org", "<1>"),))
    ledger.sent(first, "a@x.org", NOW)
    second = done(ledger, run("r2", version=2), owed=(Delivery("a@x.org", "<2>"),))
    assert ledger.delivered("sales", DAY).run == second.run == "r2"


def test_runs_are_listed_newest_first(ledger):
    """Of one pipeline, of one period, or all."""
    for n, pipeline in enumerate(("a", "b", "a")):
        done(ledger, replace(run(f"r{n}", pipeline), started_at=NOW + timedelta(minutes=n)))
    assert [found.run for found in ledger.runs()] == ["r2", "r1", "r0"]
    assert [found.run for found in ledger.runs("a", DAY)] == ["r2", "r0"]
    assert ledger.runs("a", "other") == ()


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path):
    """An older program must not write into tables that it does not know."""
    Ledger.open(tmp_path / "l.sqlite").close()
    with sqlite3.connect(tmp_path / "l.sqlite") as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="newer version of the runner"):
        Ledger.open(tmp_path / "l.sqlite")


def test_a_file_that_is_no_database_is_told(tmp_path):
    """Something else under the ledger's name is a ConfigError and stays untouched."""
    (tmp_path / "l.sqlite").write_text("not a database, but long enough to be taken for one " * 40)
    with pytest.raises(ConfigError, match="The ledger cannot be opened"):
        Ledger.open(tmp_path / "l.sqlite")


def test_an_address_names_the_database_and_an_unknown_driver_is_told(tmp_path):
    """sqlite:/// addresses work; a driver that is not installed is a ConfigError."""
    Ledger.open(f"sqlite:///{tmp_path}/deep/l.sqlite").close()
    assert (tmp_path / "deep/l.sqlite").is_file()
    for url in ("postgresql+nosuchdriver://x/y", "nosuchdatabase://x"):
        with pytest.raises(ConfigError, match="The ledger cannot be opened"):
            Ledger.open(url)


def test_the_database_waits_for_writers_and_keeps_its_references(tmp_path):
    """WAL, foreign keys and a busy timeout are on in every connection."""
    ledger = Ledger.open(tmp_path / "l.sqlite")
    with ledger.read() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    ledger.close()
    assert found == ["wal", 1, 30_000]


def test_of_many_who_look_while_they_look_none_waits_for_another(tmp_path):
    """Each holds one connection when it asks for its second: as many as there are threads get theirs at once."""
    ledger, all_look = Ledger.open(tmp_path / "ledger.sqlite"), threading.Barrier(30, timeout=10)

    def look(_: int) -> Run | None:
        with ledger.read():
            all_look.wait()
            found = ledger.run("nothing")
            all_look.wait()
        return found

    with ThreadPoolExecutor(30) as threads:
        assert list(threads.map(look, range(30))) == [None] * 30
    ledger.close()
