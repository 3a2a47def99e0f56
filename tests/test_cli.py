"""The command line: words in, text and exit code out; and the signals."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.ledger import Ledger, incidents
from runner.model import Status
from runner.plan.incidents import opened
from tests.small_projects import change, finished, mails, of_project, project, reports, runner, start, started

ROOT = Path(__file__).resolve().parents[1]
DAY = "2017-11-15"
HEAVY = ("papermill", "nbformat", "pandas", "sqlalchemy", "rich.progress", "yaml", "psutil")


def test_help_is_there_for_every_command_and_imports_nothing_heavy(tmp_path):
    """Help costs a tenth of a second, and says what a command does."""
    code = (
        "import sys, runner.cli; sys.argv = ['runner', 'run', '--help']\ntry: runner.cli.main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")
    for words in ((), ("run",), ("check",), ("list",), ("init",)):
        exit_code, text, _ = started(tmp_path, *words, "--help")
        assert exit_code == 0
        assert "Usage:" in text
    assert "--as-of DATE" in started(tmp_path, "run", "--help")[1]
    assert started(tmp_path, "--version")[1].startswith("runner 0.")


#: What makes reports, and takes a second to import.
MAKERS = (
    *("pandas", "pyarrow", "matplotlib", "numpy", "duckdb", "scipy", "papermill", "nbclient", "nbconvert", "IPython"),
    *("typst", "scrapbook", "pandera", "ziamath", "apprise"),
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped project as it is once a question has been asked: its warehouse is built, and an incident is open."""
    folder = tmp_path_factory.mktemp("shipped")
    for name in ("config", "notebooks", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    assert runner(folder, "due", "--from", "2017-10-30")[0] == 0
    ledger = Ledger.open(folder / "reports/ledger.sqlite")
    with ledger.write() as tx:
        incidents.keep(tx, opened("daily_growth", DAY, datetime(2017, 11, 16, 17, tzinfo=UTC)), [], datetime.now(UTC))
    ledger.close()
    return folder


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--help", (*MAKERS, "nbformat", "sqlalchemy", "pydantic")),
        ("--version", (*MAKERS, "nbformat", "sqlalchemy", "pydantic")),
        ("oncall", (*MAKERS, "nbformat", "jinja2", "holidays.countries.france")),
        ("oncall --at 2017-11-24T08:00 --explain", (*MAKERS, "nbformat", "jinja2")),
        ("due --from 2017-10-30", (*MAKERS, "nbformat", "jinja2", "holidays.countries.france")),
        ("status --now 2017-11-17T08:40", (*MAKERS, "nbformat", "jinja2")),
        ("incidents", (*MAKERS, "nbformat", "jinja2")),
        ("ack 1 --by engineer_a --now 2017-11-17T08:40", (*MAKERS, "nbformat", "jinja2")),
        ("duties --now 2017-11-17T08:40", (*MAKERS, "nbformat")),
        ("check", MAKERS),  # it reads the notebooks
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_question_imports_nothing_that_makes_reports(shipped, words, heavy):
    """Neither what computes, nor what executes, nor what draws: whoever asks who is on call waits for no chart."""
    code = (
        f"import sys, runner.cli; sys.argv = ['runner', '--project', {str(shipped)!r}, *{words.split()!r}]\n"
        f"try: runner.cli.main()\nfinally: print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.endswith("[]\n")
    assert len(done.stdout.splitlines()) > 1


def test_due_knows_the_experiments_without_the_database(shipped):
    """As it did when it asked the database."""
    _, out, _ = runner(shipped, "due", "--from", "2017-10-30", "--to", "2017-10-31", "--json")
    found = [row for row in map(json.loads, out.splitlines()) if row["pipeline"] == "unit_profit"]
    assert [(row["experiment"], row["starts_at"]) for row in found] == [("18", "2017-10-30T14:00:00+00:00")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "Name one pipeline, or say --all."),
        (["run", "good", "--all", "--as-of", DAY], "Name one pipeline, or say --all."),
        (["run", "good"], "Which day is reported? Say it with --as-of, for example --as-of 2017-11-15."),
        (["run", "good", "--as-of", "yesterday"], "--as-of 'yesterday' is not a day. Write it like 2017-11-15."),
        (["run", "good", "--as-of", "20171115"], "is not a day"),
        (["run", "good", "--as-of", "0001-01-01"], "is not a day"),
        (["run", "god", "--as-of", DAY], "No pipeline is called 'god'. Did you mean 'good'?"),
        (["run", "good", "--as-of", DAY, "--experiment", "3"], "good is not about an experiment."),
        (["run", "good", "--as-of", DAY, "-p", "amuont=1"], "there is no parameter 'amuont'. Did you mean 'amount'?"),
        (["run", "good", "--as-of", DAY, "-p", "amount=much"], "Parameter 'amount' cannot be 'much'."),
        (["run", "good", "--as-of", DAY, "-p", "amount"], "-p 'amount' is no parameter. Write -p name=value."),
        (["run", "good", "--as-of", DAY, "-p", "amount=1", "-p", "amount=2"], "Parameter 'amount' is given twice."),
        (["run", "good", "--as-of", DAY, "-p", "as_of=2017-01-01"], "'as_of' is not given with -p. Use --as-of."),
        (["run", "--all", "--as-of", DAY, "-p", "amount=1"], "-p belongs to one pipeline."),
        (["run", "no_parameters", "--as-of", DAY], "no_parameters.ipynb has no cell tagged `parameters`"),
        (["run", "good", "--as-off", DAY], "No such option: --as-off"),
        (["rum"], "No such command 'rum'."),
        (["approve"], "Missing argument 'RUN'. See: runner approve --help"),
    ],
)
def test_words_that_cannot_be_understood_end_with_2_before_anything_starts(tmp_path, words, said):
    """One or two sentences on standard error, no traceback, nothing on standard output, nothing run."""
    folder = project(tmp_path, "good", "no_parameters")
    code, out, err = runner(folder, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert finished(folder) == []


def test_a_folder_that_is_no_project_ends_with_2(tmp_path):
    """The remedy is named."""
    code, _, err = started(tmp_path, "check")
    assert code == 2
    assert "runner init DIR" in err


def test_check_says_ok_for_each_pipeline_or_what_is_off(tmp_path):
    """Nothing is executed; one that is off makes the exit code 2 and does not hide the others."""
    folder = project(tmp_path, "good", "two_parameters", "warns")
    change(folder / "notebooks/warns.ipynb", "as_of: ", "day: ")
    code, out, _ = runner(folder, "check")
    assert code == 2
    assert "good: OK\n" in out
    assert "two_parameters: two_parameters.ipynb has 2 cells tagged" in out
    assert "warns: warns.ipynb has no parameter 'as_of', which carries the period." in out


def test_check_notes_a_public_desk_whose_proxy_is_not_believed(tmp_path):
    """All visitors would count as one client; a note, and nothing once the proxy is named."""
    folder = project(tmp_path, "good")
    settings = folder / "config" / "settings.yml"
    before = settings.read_text()
    settings.write_text(f"{before}\ndesk: {{public: https://desk.example.com}}\n")
    code, out, _ = runner(folder, "check")
    assert (code, "desk: note: public is set without proxies: every visitor counts as one client" in out) == (0, True)
    settings.write_text(f"{before}\ndesk: {{public: https://desk.example.com, proxies: [127.0.0.1]}}\n")
    assert "desk: note" not in runner(folder, "check")[1]


def test_all_ends_with_a_summary_that_says_what_where_and_what_to_do(tmp_path):
    """Plain lines without escape codes; relative paths; the worst exit code."""
    folder = project(tmp_path, "raises", "warns", "good")
    code, out, err = started(folder, "run", "--all", "--as-of", DAY)
    assert (code, err) == (1, "")
    assert "\x1b" not in out
    summary = out.split("\n\n")[-1]
    assert f"good    delivered    {DAY}" in summary
    assert "2 messages written to the maildir." in summary
    assert f"reports/raises/{DAY}/" in summary
    assert str(folder) not in summary
    assert "failed: ZeroDivisionError: division by zero." in summary
    assert "The notebook of this run shows the traceback." in summary
    assert "a person decides whether it goes out" in summary
    listed = runner(folder, "list", "--json")[1].splitlines()
    assert {json.loads(line)["status"] for line in listed} == {"failed", "held", "delivered"}


def test_json_is_one_object_a_line_and_nothing_else(tmp_path):
    """A program reads every line; the last one sums up."""
    folder = project(tmp_path, "good")
    code, out, err = runner(folder, "run", "good", "--as-of", DAY, "--json", "--no-deliver", "-p", "shop=00123")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events][-2:] == ["made", "summary"]
    assert {event["stage"] for event in events if event["event"] == "step"} == {
        "execute",
        "read",
        "compare",
        "gate",
        "render",
        "prove",
    }
    assert reports(out)["good"]["status"] == "ready"
    assert mails(folder) == []


def test_a_terminal_gets_bars_and_the_same_summary(tmp_path):
    """On a terminal cells move a bar; the summary stays when the bars are gone."""
    folder = project(tmp_path, "good")
    master, slave = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "runner.cli",
        "--project",
        str(folder),
        "run",
        "good",
        "--as-of",
        DAY,
        "--no-deliver",
    ]
    process = subprocess.Popen(words, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
    os.close(slave)
    out = b""
    try:
        while chunk := os.read(master, 65536):
            out += chunk
    except OSError:  # the terminal's other end is closed
        pass
    os.close(master)
    assert process.wait() == 0
    assert "━".encode() in out
    assert f"good  ready        {DAY}".encode() in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_at_once_and_truthfully(tmp_path, number):
    """Exit code 130, a summary of all, no process left, the partial notebook kept, the ledger says interrupted."""
    folder = project(tmp_path, "slow_then_interrupted", "hangs", "good")
    process = start(folder, "run", "--all", "--as-of", DAY, "--json")
    for line in process.stdout:
        if "Long work" in line:
            break
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert time.monotonic() - began < 10
    assert of_project(folder) == []
    made = reports(out)
    assert {item["status"] for item in made.values()} == {"interrupted"}
    assert made["good"]["message"] == "It was not begun."
    assert "slow_then_interrupted" in {path.parents[1].name for path in finished(folder)}
    ledger = Ledger.open(f"sqlite:///{folder}/reports/ledger.sqlite")
    assert {run.status for run in ledger.runs()} == {Status.INTERRUPTED}
    ledger.close()
    assert list((folder / "reports/.work").iterdir()) == []
    assert mails(folder) == []


def test_two_runners_at_once_never_make_the_same_report(tmp_path):
    """The second is told who is at it, and ends with 1."""
    folder = project(tmp_path, "slow_then_interrupted")
    words = ("run", "slow_then_interrupted", "--as-of", DAY)
    first = start(folder, *words)
    for line in first.stdout:
        if "executing" in line:
            break
    code, out, _ = runner(folder, *words)
    assert code == 1
    assert f"is being made by process {first.pid}" in out
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)


def test_a_reader_that_closes_the_pipe_does_not_end_the_run(tmp_path):
    """`runner run … | head -1` makes the report all the same."""
    folder = project(tmp_path, "good")
    process = start(folder, "run", "good", "--as-of", DAY, "--no-deliver")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.communicate(timeout=60)[1] == ""
    (run,) = finished(folder)
    assert json.loads((run / "manifest.json").read_text())["status"] == "ready"


def test_init_writes_a_project_that_runs_at_once(tmp_path):
    """One command makes it, the next makes its report and the message; the figures come from its CSV."""
    folder = tmp_path / "my own"
    code, out, _ = runner(tmp_path, "init", str(folder))
    assert code == 0
    words = shlex.split(out.splitlines()[-1])
    assert words[1:3] == ["-m", "runner.cli"]
    words = words[3:]
    assert words[:2] == ["--project", str(folder)]
    code, out, err = runner(folder, *words[2:])
    assert (code, err) == (0, ""), out
    assert len(mails(folder)) == 1
    (run,) = finished(folder)
    figures = {one["name"]: one["value"] for one in json.loads((run / "figures.json").read_text())["figures"]}
    _, orders, revenue = (folder / "data/sales.csv").read_text().splitlines()[-1].split(",")
    assert (figures["orders"], figures["revenue"]) == (int(orders), float(revenue))
    assert sorted(path.name for path in (run / "charts").iterdir()) == ["revenue-by-day.png", "revenue-by-day.svg"]
    code, out, _ = runner(folder, "run", "daily_sales", "--as-of", "2030-01-01")
    assert code == 1
    assert "Choose a day that data/sales.csv holds" in out


@pytest.mark.parametrize("typed", [".venv/bin/runner", "../a b/runner", "runner"])
def test_init_prints_the_command_as_it_can_be_typed_here(tmp_path, typed, monkeypatch, capsys):
    """As it was called; by its bare name where the shell finds it; quoted where that is needed."""
    from runner import cli  # noqa: PLC0415

    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/runner").write_text("#!/bin/sh\n")
    (tmp_path / "bin/runner").chmod(0o755)
    called = str(tmp_path / "bin/runner") if typed == "runner" else typed
    monkeypatch.setattr(sys, "argv", [called, "init", str(tmp_path / "new one")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last)[:3] == [typed, "--project", str(tmp_path / "new one")]
    assert (tmp_path / "new one/README.md").read_text().count("\nrunner ") == 3


def test_help_shows_examples_and_exit_codes_on_lines_of_their_own(tmp_path):
    """And the bare command shows its help once."""
    text = runner(tmp_path, "run", "--help")[1]
    assert "\n    runner run --all --as-of 2017-11-15\n" in text
    assert "\n    130  interrupted\n" in text
    bare = subprocess.run([sys.executable, "-m", "runner.cli"], capture_output=True, text=True, check=False)
    said = bare.stdout + bare.stderr
    assert (bare.returncode, said.count("Usage:"), said.count("See:")) == (2, 1, 0)


def test_list_says_when_what_and_where_in_columns(tmp_path):
    """The time is that of the project's place, the folder is near."""
    folder = project(tmp_path, "good")
    assert runner(folder, "list") == (0, "", "")
    assert runner(folder, "run", "good", "--as-of", DAY, "--no-deliver")[0] == 0
    head, row = runner(folder, "list")[1].splitlines()
    assert head.split() == ["STARTED", "STATUS", "PIPELINE", "PERIOD", "FOLDER"]
    assert row[row.index("ready") :].split()[:3] == ["ready", "good", DAY]
    assert head.index("STATUS") == row.index("ready")
    assert head.index("FOLDER") == row.index(f"reports/good/{DAY}/")
    assert row.split()[2] in {"EST", "EDT"}


def test_init_leaves_a_folder_that_holds_something_alone(tmp_path):
    """Nothing is overwritten, and a file is no folder."""
    (tmp_path / "a").write_text("mine")
    for name in (tmp_path, tmp_path / "a"):
        code, _, err = runner(tmp_path, "init", str(name))
        assert code == 2
        assert "is not an empty folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
