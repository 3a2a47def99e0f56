"""Whole reports from small notebooks through real kernels: what is kept, what is handed over, what is not."""

from __future__ import annotations

import email
import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path

import pytest

from runner import config
from runner.commands import reports as running
from runner.ledger import Ledger, Process, Run
from runner.model import Status
from runner.plan.periods import Period
from runner.report import diary, draft, inputs, notebooks, produce, release, shelf
from runner.report import job as jobs
from runner.report.execute import Stop
from tests.small_projects import PIPELINE, change, finished, mails, of_project, project, reports, start, write

DAY = "2017-11-15"


@pytest.fixture
def make(capsys):
    """Make one report (or all) in this process; the exit code and what became of each, by pipeline."""

    def made(folder: Path, name: str = "", **more):
        wish = running.Wish(name, more.pop("as_of", DAY), **more)
        code = running.run(config.load(folder), wish, as_json=True)
        return code, reports(capsys.readouterr().out)

    return made


def ledger(folder: Path) -> Ledger:
    """The project's ledger."""
    return Ledger.open(config.load(folder).ledger)


def manifest(folder: Path) -> dict:
    """The manifest of a finished run."""
    return json.loads((folder / "manifest.json").read_text())


def test_the_life_of_a_report(tmp_path, make):
    """Delivered once; not made again; made again but not sent again; a changed figure is held and not sent."""
    folder = project(tmp_path, "good")
    code, made = make(folder, "good")
    assert (code, made["good"]["status"], made["good"]["sent"]) == (0, "delivered", 2)
    (first,) = finished(folder)
    assert_whole(first)
    assert_mails(folder)

    code, made = make(folder, "good")
    assert (code, made["good"]["fresh"], made["good"]["message"]) == (0, False, "Nothing changed: already delivered.")
    assert (finished(folder), len(mails(folder))) == ([first], 2)

    code, made = make(folder, "good", again=True)
    assert (code, made["good"]["fresh"], made["good"]["sent"]) == (0, True, 0)
    assert "it was not sent" in made["good"]["message"]
    assert (len(finished(folder)), len(mails(folder))) == (2, 2)

    code, made = make(folder, "good", texts={"amount": "13"})
    assert (code, made["good"]["status"], made["good"]["trouble"]) == (3, "held", "restatement")
    assert "Revenue (12.50 before, 13.00 now)" in made["good"]["message"]
    assert len(mails(folder)) == 2
    assert (finished(folder)[-1] / "good.pdf").is_file()
    assert [manifest(run)["version"] for run in finished(folder)] == [1, 1, 2]

    code, made = make(folder, "good", texts={"amount": "13"})
    assert (code, made["good"]["fresh"]) == (3, False)
    assert len(finished(folder)) == 3


def test_a_changed_file_goes_to_nobody_and_making_it_again_mends_it(tmp_path, make):
    """One reader had it, then its PDF was changed: the other gets the file that is made anew, never the changed one."""
    folder = project(tmp_path, "good")
    make(folder, "good")
    (first,) = finished(folder)
    book = ledger(folder)
    with book.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET sent_at = NULL WHERE recipient LIKE 'oscar%'")
    next(path for path in mails(folder) if "To: Oscar" in path.read_text()).unlink()
    (first / "good.pdf").write_bytes(b"%PDF-1.7 changed")
    failed = release.hand_over(book.runs()[0], context(folder, book))
    assert (failed.exit_code, failed.sent, str(failed.trouble)) == (1, 0, "delivery failed")
    assert "runner run good --as-of 2017-11-15 --again" in failed.remedy
    assert len(mails(folder)) == 1
    code, made = make(folder, "good")
    assert (code, made["good"]["fresh"], made["good"]["status"], made["good"]["sent"]) == (0, True, "delivered", 1)
    sent = next(path for path in mails(folder) if "To: Oscar" in path.read_text())
    (pdf,) = email.message_from_bytes(sent.read_bytes(), policy=default).iter_attachments()
    assert pdf.get_content() == (finished(folder)[-1] / "good.pdf").read_bytes()
    assert [item.sent_at is not None for item in book.deliveries("good", DAY, 1)] == [True, True]
    book.close()


def context(folder: Path, book: Ledger) -> draft.Ctx:
    """What a making shares, told to nobody."""
    return draft.Ctx(config.load(folder), book, draft.Clock(datetime.now(UTC)), Stop(), lambda _: None)


def test_no_channel_of_the_config_reaches_a_kernel(tmp_path):
    """Every variable that people.yml or the heartbeat names is withheld, with its file, and the token of the watch."""
    folder = project(tmp_path, "good")
    change(folder / "config/people.yml", "ann@example.com}", "ann@example.com, channels: [env:ANNS_PAGER]}")
    settings = folder / "config/settings.yml"
    write(settings, f"{settings.read_text()}heartbeat: {{every: 5 min, channel: env:BEAT}}\n")
    names = {"ANNS_PAGER", "BEAT", "RUNNER_WATCH_TOKEN"}
    assert produce.withheld(config.load(folder)) == names | {f"{name}_FILE" for name in names}


def test_a_real_kernel_of_a_report_has_no_address(tmp_path, make, monkeypatch):
    """A report that prints its environment shows no pager, neither in its notebook nor in any file."""
    folder = project(tmp_path, "good")
    change(folder / "config/people.yml", "ann@example.com}", "ann@example.com, channels: [env:ANNS_PAGER]}")
    change(folder / "notebooks/good.ipynb", "print(f", r"import os\nprint(dict(os.environ))\nprint(f")
    monkeypatch.setenv("ANNS_PAGER", "ntfy://secret-7781")
    monkeypatch.setenv("OTHER", "other-7781")
    make(folder, "good", deliver=False)
    text = (finished(folder)[0] / "good.ipynb").read_text()
    assert "other-7781" in text
    assert "secret-7781" not in text


def test_a_held_report_names_the_command_that_lets_it_go(tmp_path, make):
    """Whoever reads that a person decides, reads how; the second time, too."""
    folder = project(tmp_path, "good")
    change(folder / "notebooks/good.ipynb", 'level=\\"pass\\"', 'level=\\"warn\\"')
    for _ in range(2):
        made = make(folder, "good")[1]["good"]
        assert f'runner approve {finished(folder)[0].name} --by WHO --because "..."' in made["remedy"]


def test_the_diary_counts_each_cell_once(tmp_path, make):
    """The numbers of cells are those of the stored notebook, each once."""
    folder = project(tmp_path, "good")
    make(folder, "good")
    begun = [event for event in diary.read(finished(folder)[0]) if event["event"] == "cell begins"]
    assert [(event["cell"], event["of"]) for event in begun] == [(number, 5) for number in range(1, 6)]


def test_figures_that_readers_do_not_have_are_never_called_delivered(tmp_path, make):
    """A run that was made before another was delivered is not taken up again: its other figures are a restatement."""
    folder = project(tmp_path, "good")
    assert make(folder, "good", deliver=False)[1]["good"]["status"] == "ready"
    assert make(folder, "good", texts={"amount": "13"})[1]["good"]["status"] == "delivered"
    code, made = make(folder, "good")
    assert (code, made["good"]["status"], made["good"]["trouble"]) == (3, "held", "restatement")
    assert len(mails(folder)) == 2


def test_a_message_that_may_have_been_written_is_remembered(tmp_path, make):
    """Killed between writing and noting, and then with other figures: nobody gets them unseen."""
    folder = project(tmp_path, "good")
    make(folder, "good")
    with ledger(folder).write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET sent_at = NULL")
    code, made = make(folder, "good", texts={"amount": "13"})
    assert (code, made["good"]["status"], made["good"]["trouble"]) == (3, "held", "restatement")


def test_a_check_whose_output_was_cleared_still_counts(tmp_path, make):
    """The gate hears every finding that was made, also one that the notebook wiped off its output."""
    folder = project(tmp_path, "clears_a_check")
    code, made = make(folder, "clears_a_check")
    assert (code, made["clears_a_check"]["status"]) == (1, "stopped")
    assert "'totals agree' was made" in made["clears_a_check"]["message"]
    assert mails(folder) == []


def test_a_file_that_is_read_must_be_a_source(tmp_path, make):
    """A file that the entry does not list would change unseen, so reading it fails the run and names the remedy."""
    folder = project(tmp_path, "reads_a_file")
    (folder / "sales.csv").write_text("day,amount\n2017-11-15,5\n")
    code, made = make(folder, "reads_a_file")
    assert (code, made["reads_a_file"]["status"]) == (1, "failed")
    assert "sales.csv, which is not among the sources" in made["reads_a_file"]["message"]
    change(folder / "config/pipelines.yml", "sources: []", "sources: [sales.csv]")
    assert make(folder, "reads_a_file")[1]["reads_a_file"]["status"] == "delivered"


def test_a_module_beside_the_notebook_is_an_input(tmp_path, make):
    """A helper that a notebook imports from its own folder is part of what its report is made of."""
    folder = project(tmp_path, "good")
    make(folder, "good")
    (folder / "notebooks/helper.py").write_text("RATE = 2\n")
    assert make(folder, "good")[1]["good"]["fresh"] is True


def assert_whole(folder: Path) -> None:
    """A run's folder holds everything, its manifest says so, and the ledger agrees."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {"good.ipynb", "good.html", "good.pdf", "figures.json", "manifest.json", "events.jsonl"}
    said = manifest(folder)
    assert (said["status"], said["parameters"], said["findings"]["pass"] > 0) == ("ready", {"as_of": DAY}, True)
    assert {item["path"]: item["sha256"] for item in said["artifacts"]} == {
        name: inputs.file_digest(folder / name) for name in names - {"manifest.json"}
    }
    assert {"notebooks/good.ipynb", "config/pipelines.yml:good", "runner/cli/base.py"} <= set(said["code"])
    assert said["data"]["sources"]["till"]["rows"] == 3
    assert "papermill" in said["environment"]["distributions"]
    figures = json.loads((folder / "figures.json").read_text())
    assert [(figure["name"], figure["value"]) for figure in figures["figures"]] == [
        ("revenue", 12.5),
        ("best", "00123"),
    ]
    nb = notebooks.read(folder / "good.ipynb")
    assert nb.metadata.runner.status == "ready"
    assert nb.metadata.runner.owners == ["Ann (primary)", "Bob (secondary)"]
    project_folder = folder.parents[3]
    kept = ledger(project_folder)
    run = kept.run(folder.name)
    assert (run.status, run.folder) == (Status.DELIVERED, f"reports/good/{DAY}/{folder.name}")
    assert [figure.value for figure in kept.figures(run.run)] == [12.5, "00123"]
    assert kept.records("good", "daily", DAY, DAY) == [{"day": DAY, "revenue": 7}]
    assert {item.path for item in kept.artifacts(run.run)} == names
    kept.close()
    assert list((project_folder / "reports/.work").iterdir()) == []


def assert_mails(folder: Path) -> None:
    """One message for each reader, to that reader alone, with the PDF."""
    found = [email.message_from_bytes(path.read_bytes(), policy=default) for path in mails(folder)]
    assert sorted(message["To"] for message in found) == ["Olga <olga@example.com>", "Oscar <oscar@example.com>"]
    assert len({message["Message-ID"] for message in found}) == 2
    for message in found:
        (attached,) = message.iter_attachments()
        assert attached.get_content_type() == "application/pdf"
        assert attached.get_content().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("name", "code", "status", "trouble", "said"),
    [
        ("warns", 3, "held", "outlier", "Revenue is unusually high."),
        ("nothing_checked", 3, "held", None, "Nothing was checked"),
        ("foreign_script", 3, "held", "rendering failed", "PDF"),
        ("stops", 1, "stopped", "data incomplete", "Four hours are missing."),
        ("stops_early", 1, "stopped", "source unavailable", "The till is away."),
        ("nan_figure", 1, "stopped", "data incomplete", "The figure 'revenue' is nan: no number."),
        ("raises", 1, "failed", "cell failed", "ZeroDivisionError"),
    ],
)
def test_a_report_that_is_not_good_is_kept_and_sent_to_nobody(  # noqa: PLR0917
    tmp_path, make, name, code, status, trouble, said
):
    """Held ones are rendered for a person to look at; of stopped and failed ones only the notebook is kept."""
    folder = project(tmp_path, name)
    found, made = make(folder, name)
    assert (found, made[name]["status"], made[name]["trouble"]) == (code, status, trouble)
    assert said in made[name]["message"]
    assert made[name]["remedy"]
    (run,) = finished(folder)
    assert (manifest(run)["status"], manifest(run)["message"]) == (status, made[name]["message"])
    assert notebooks.read(run / f"{name}.ipynb").metadata.runner.status == status
    assert (run / f"{name}.pdf").exists() == (status == "held")
    assert mails(folder) == []
    kept = ledger(folder)
    assert kept.run(run.name).status == status
    assert kept.records(name, "daily", DAY, DAY) == []
    kept.close()


def test_a_report_made_without_delivery_is_handed_over_later_and_only_to_those_missed(tmp_path, make):
    """--no-deliver leaves it ready; the next run sends without executing; a new reader gets the same report."""
    folder = project(tmp_path, "good")
    assert make(folder, "good", deliver=False)[1]["good"]["status"] == "ready"
    assert mails(folder) == []
    code, made = make(folder, "good")
    assert (code, made["good"]["fresh"], made["good"]["sent"]) == (0, False, 2)
    change(
        folder / "config/people.yml",
        "    - {name: Oscar",
        "    - {name: Otto, email: otto@example.com}\n    - {name: Oscar",
    )
    code, made = make(folder, "good")
    assert (code, made["good"]["fresh"], made["good"]["sent"], len(mails(folder))) == (0, False, 1, 3)
    assert len(finished(folder)) == 1


def test_a_message_that_cannot_be_written_is_told_and_owed(tmp_path, make):
    """The report stays ready; the next run writes what is owed and makes nothing."""
    folder = project(tmp_path, "good")
    write(folder / "reports/mail", "in the way")
    code, made = make(folder, "good")
    assert (code, made["good"]["status"], made["good"]["trouble"]) == (1, "ready", "delivery failed")
    assert "olga@example.com" in made["good"]["message"]
    (folder / "reports/mail").unlink()
    code, made = make(folder, "good")
    assert (code, made["good"]["status"], made["good"]["fresh"], made["good"]["sent"]) == (0, "delivered", False, 2)


def test_whatever_a_report_is_made_of_counts_and_nothing_else(tmp_path):
    """Cells, parameters, sources, config and templates change the fingerprint; stored outputs and readers do not."""
    more = "    sources: [data/till.csv]\n"
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "    sources: []\n", more)
    write(folder / "data/till.csv", "1")
    write(folder / "templates/page.html", "1")
    before = fingerprint(folder)
    change(folder / "config/people.yml", "name: Olga", "name: Olga P.")
    change(folder / "notebooks/good.ipynb", '"execution_count": null', '"execution_count": 3')
    assert fingerprint(folder) == before
    seen = {before}
    for path, old, new in [
        ("data/till.csv", "1", "2"),
        ("templates/page.html", "1", "2"),
        ("notebooks/good.ipynb", "most of it", "all of it"),
        ("config/settings.yml", "Corner Shop", "Corner Shops"),
        ("config/pipelines.yml", "title: good", "title: better"),
    ]:
        change(folder / path, old, new)
        seen.add(fingerprint(folder))
    assert len(seen) == 6


def fingerprint(folder: Path) -> str:
    """The digest of what the report of the project is made of."""
    found = config.load(folder)
    pipeline = found.pipelines["good"]
    kept = Ledger.open(found.ledger)
    made_of = inputs.Inputs(
        inputs.code(found, pipeline, found.templates), {}, inputs.data(found, pipeline, kept, DAY), inputs.environment()
    )
    kept.close()
    return made_of.digest


def test_a_report_whose_file_was_touched_is_made_again(tmp_path, make):
    """A finished file that differs from its hash is not taken for the report."""
    folder = project(tmp_path, "good")
    make(folder, "good", deliver=False)
    (first,) = finished(folder)
    with (first / "good.pdf").open("ab") as file:
        file.write(b"x")
    assert make(folder, "good", deliver=False)[1]["good"]["fresh"]
    assert len(finished(folder)) == 2


def test_one_failure_never_stops_the_others_and_inputs_come_first(tmp_path, make):
    """The worst exit code counts; the one that needs the failed one runs after it."""
    folder = project(tmp_path, "raises", "warns", "good")
    change(folder / "config/pipelines.yml", "    title: good", "    inputs: [raises]\n    title: good")
    (folder / "notebooks/warns.ipynb").write_text(
        (folder / "notebooks/good.ipynb").read_text().replace("parameters", "lost")
    )
    code, made = make(folder)
    assert code == 1
    assert {name: item["status"] for name, item in made.items()} == {
        "raises": "failed",
        "warns": "failed",
        "good": "delivered",
    }
    assert "no cell tagged `parameters`" in made["warns"]["message"]
    kept = ledger(folder)
    runs = {run.pipeline: run for run in kept.runs()}
    kept.close()
    assert runs["good"].started_at >= runs["raises"].finished_at


@pytest.mark.parametrize(
    ("as_of", "key", "text"),
    [
        ("2017-11-13", "2017-W45", "Week of 6–12 Nov 2017"),
        ("2017-11-19", "2017-W45", "Week of 6–12 Nov 2017"),
        ("2017-11-20", "2017-W46", "Week of 13–19 Nov 2017"),
        ("2018-01-01", "2017-W52", "Week of 25–31 Dec 2017"),
        ("2021-01-04", "2020-W53", "Week of 28 Dec 2020 – 3 Jan 2021"),
    ],
)
def test_a_week_is_the_last_whole_one_whatever_day_it_is_asked_for(tmp_path, as_of, key, text):
    """Asked for on Monday or on Sunday, it is the same period; years end where their weeks end."""
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "period: day", "period: week")
    found = config.load(folder)
    plan = jobs.check(jobs.Job(found.pipelines["good"], as_of), found)
    assert plan.period == Period(key, text)
    assert plan.values == {"as_of": as_of}


EXPERIMENT = PIPELINE.format(name="trial", notebook="trial").replace(
    "period: day", "period: experiment\n    experiment: 18"
)


def test_an_experiment_has_its_own_period_for_each_look(tmp_path, make):
    """The key names experiment and day; the value has the notebook's type; the default comes from pipelines.yml."""
    folder = project(tmp_path, "good")
    write(folder / "config/pipelines.yml", f"pipelines:\n{EXPERIMENT}")
    text = (
        (folder / "notebooks/good.ipynb")
        .read_text()
        .replace("recorded: int = 7", "recorded: int = 7\\nexperiment: int = 1")
    )
    write(folder / "notebooks/trial.ipynb", text)
    code, made = make(folder, "trial")
    assert (code, made["trial"]["period"]) == (0, f"experiment-18@{DAY}")
    assert manifest(finished(folder)[0])["parameters"] == {"as_of": DAY, "experiment": 18}
    assert finished(folder)[0].parent == folder / f"reports/trial/experiment-18@{DAY}"
    with pytest.raises(Exception, match="Parameter 'experiment' cannot be 'x'"):
        make(folder, "trial", experiment="x")
    with pytest.raises(Exception, match=r"No experiment is called '\.\./18'"):
        make(folder, "trial", experiment="../18")


def test_a_runner_that_is_killed_leaves_nothing_half_made(tmp_path, make):
    """SIGKILL in the middle: no folder appears, no process stays, and the next start clears up and says interrupted."""
    folder = project(tmp_path, "slow_then_interrupted", "good")
    process = start(folder, "run", "slow_then_interrupted", "--as-of", DAY)
    for line in process.stdout:
        if "Long work" in line:
            break
    assert of_project(folder)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert finished(folder) == []
    assert not (folder / "reports/slow_then_interrupted").exists()
    assert [run.status for run in ledger(folder).runs()] == [Status.RUNNING]
    end = time.monotonic() + 10
    while of_project(folder) and time.monotonic() < end:
        os.sched_yield()
    assert of_project(folder) == []
    make(folder, "good", deliver=False)
    kept = ledger(folder)
    assert [run.status for run in kept.runs("slow_then_interrupted")] == [Status.INTERRUPTED]
    kept.close()
    assert list((folder / "reports/.work").iterdir()) == []


def test_a_runner_killed_between_ledger_and_shelf_is_made_good(tmp_path):
    """The ledger is the point of no return: a run that it holds as finished gets its folder at the next start."""
    found = config.load(project(tmp_path, "good"))
    kept = Ledger.open(found.ledger)
    old = replace(Process.this(), started="1")
    run = Run("r1", "good", DAY, "", running.datetime.now(running.UTC), process=old)
    kept.begin(run)
    ended = replace(run, status=Status.READY, folder="reports/good", finished_at=run.started_at)
    shelf.put(shelf.work(found, "r1"), "manifest.json", "{}")
    shelf.put(shelf.work(found, "stray"), "half", "")
    kept.mark(ended)
    shelf.tidy(found, kept, run.started_at)
    kept.close()
    assert (shelf.place(found, run) / "manifest.json").read_text() == "{}"
    assert list((found.reports / shelf.WORK).iterdir()) == []


def test_one_folder_that_cannot_be_moved_stops_nobody(tmp_path, make, caplog):
    """A finished run whose place is taken by a file is told and left; other reports are made."""
    folder = project(tmp_path, "good", "raises")
    found = config.load(folder)
    kept = Ledger.open(found.ledger)
    run = Run("r1", "raises", DAY, "", running.datetime.now(running.UTC), process=replace(Process.this(), started="1"))
    kept.begin(run)
    shelf.put(shelf.work(found, "r1"), "manifest.json", "{}")
    kept.mark(replace(run, status=Status.READY, folder="reports/raises", finished_at=run.started_at))
    kept.close()
    write(found.reports / "raises", "in the way")
    code, made = make(folder, "good")
    assert (code, made["good"]["status"]) == (0, "delivered")
    assert "r1 cannot be settled" in caplog.text
    assert (shelf.work(found, "r1") / "manifest.json").is_file()


def test_a_run_that_cannot_be_kept_ends_as_failed(tmp_path, make):
    """When the ledger refuses what a run leaves, the run is failed at once, not running, and goes to nobody."""
    folder = project(tmp_path, "day_twice")
    code, made = make(folder, "day_twice")
    assert (code, made["day_twice"]["status"]) == (1, "failed")
    assert "could not be kept" in made["day_twice"]["message"]
    kept = ledger(folder)
    (run,) = kept.runs("day_twice")
    assert run.status is Status.FAILED
    assert kept.records("day_twice", "daily", DAY, DAY) == []
    kept.close()
    assert (finished(folder), mails(folder)) == ([], [])


def test_the_work_of_a_living_runner_is_left_alone(tmp_path):
    """Another runner that starts meanwhile does not take it for a leftover."""
    found = config.load(project(tmp_path, "good"))
    kept = Ledger.open(found.ledger)
    run = Run("r1", "good", DAY, "", running.datetime.now(running.UTC))
    kept.begin(run)
    shelf.put(shelf.work(found, "r1"), "good.ipynb", "{}")
    assert shelf.tidy(found, kept, run.started_at) == ()
    kept.close()
    assert (shelf.work(found, "r1") / "good.ipynb").is_file()


def test_a_report_without_readers_is_ready_and_stays_so(tmp_path, make):
    """There is nobody to deliver to, and nothing is said to have been delivered."""
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "readers: [owners]", "readers: []")
    for fresh in (True, False):
        code, made = make(folder, "good")
        assert (code, made["good"]["status"], made["good"]["fresh"]) == (0, "ready", fresh)


def test_a_source_that_changes_under_a_running_report_fails_it(tmp_path, make):
    """What was read can no longer be told; the remedy is to run it again."""
    folder = project(tmp_path, "good")
    change(folder / "config/pipelines.yml", "sources: []", "sources: [data/till.csv]")
    write(folder / "data/till.csv", "1")
    append = r"open(\"../data/till.csv\", \"a\").write(\"2\")\n"
    change(folder / "notebooks/good.ipynb", "print(f", append + "print(f")
    code, made = make(folder, "good")
    assert (code, made["good"]["status"]) == (1, "failed")
    assert "A source changed while the report was being made." in made["good"]["message"]
