"""The five shipped notebooks: their stored form, their golden outputs, and the finished reports they lead to."""

from __future__ import annotations

import email
import hashlib
import json
import mailbox
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from email import policy
from pathlib import Path

import nbformat
import pytest
import scrapbook

from runner.notebook import daybook, warehouse
from tests import conformance

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
AS_OF = "2017-11-15"
FIVE = ("aggregate_engagement", "aggregate_growth", "aggregate_profit", "daily_growth", "unit_profit")
#: A bound on every process that a test starts, in seconds.
PATIENCE = 240


@dataclass(frozen=True)
class Finished:
    """A copy of the project in which `runner run --all` has been run once."""

    folder: Path
    exit_code: int
    output: str

    def run(self, pipeline: str) -> Path:
        """The folder of the one run of a pipeline."""
        (found,) = (self.folder / "reports" / pipeline).glob("*/*/")
        return found


def runner(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command on a project, bounded; from the copy of the package beside the project, if there is one."""
    command = [str(Path(sys.executable).with_name("runner")), "--project", str(folder), *words]
    code = folder.parent / "code"
    more = {"PYTHONPATH": str(code)} if code.is_dir() else {}
    env = {**os.environ, **more}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env)


def nbval(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """`pytest --nbval` over notebooks of a project, with real comparison; of pytest's plugins nbval alone."""
    files = [str(folder / "notebooks" / f"{name}.ipynb") for name in names]
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(folder), *files]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=folder, env=env)


def copy_project(folder: Path) -> Path:
    """The shipped project in another folder, with the warehouse if it is built already."""
    for name in ("config", "notebooks", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    place = warehouse.prepare(ROOT)
    (folder / ".cache" / daybook.FOLDER).mkdir(parents=True)
    for file in (place, place.with_suffix(".sha256"), daybook.place(place)):
        shutil.copy2(file, folder / ".cache" / file.relative_to(place.parent))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    # A report is made of the package's modules, too: one that is edited between two runs of these tests makes the
    # second run new, and rightly so. The copy stands still.
    parent = tmp_path_factory.mktemp("shipped")
    shutil.copytree(ROOT / "runner", parent / "code" / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    (parent / "project").mkdir()
    folder = copy_project(parent / "project")
    done = runner(folder, "run", "--all", "--as-of", AS_OF)
    return Finished(folder, done.returncode, done.stdout + done.stderr)


def messages(folder: Path) -> list[email.message.EmailMessage]:
    """Every message in a project's maildir."""
    box = mailbox.Maildir(folder / "reports" / "mail", create=False)
    return [email.message_from_bytes(box.get_bytes(key), policy=policy.default) for key in sorted(box.keys())]


# The stored form


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_as_a_golden_run(path):
    """A stored notebook ran top to bottom, has one parameters cell, no error and nothing on stderr."""
    notebook = nbformat.read(path, 4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert "/tmp/" not in path.read_text(), "an output carries a path of the machine it was made on"


def test_notebooks_are_normalised():
    """nbstripout, told to keep outputs, counts and ids, finds nothing to clean in any of them."""
    words = ("--verify", "--keep-output", "--keep-count", "--keep-id")
    command = [sys.executable, "-m", "nbstripout", *words, *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_five_notebooks():
    """The project ships the five reports it was asked for, and no other."""
    assert tuple(path.stem for path in NOTEBOOKS) == FIVE


# From one command to finished reports


def test_one_command_delivers_five_reports(finished):
    """`runner run --all` ends with exit code 0 and says for each report that it was delivered and where it lies."""
    assert finished.exit_code == 0, finished.output
    for name in FIVE:
        assert finished.run(name).relative_to(finished.folder).as_posix() in finished.output
    assert finished.output.count("delivered") >= len(FIVE)


@pytest.mark.parametrize("name", FIVE)
def test_run_folder_is_whole(finished, name):
    """A run's folder holds notebook, HTML, PDF, charts, figures and a manifest whose hashes are those of the files."""
    folder = finished.run(name)
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = {entry["path"]: entry["sha256"] for entry in manifest["artifacts"]}
    assert {f"{name}.ipynb", f"{name}.html", f"{name}.pdf", "figures.json"} <= set(listed)
    assert any(path.endswith(".svg") for path in listed)
    assert any(path.endswith(".png") for path in listed)
    for path, digest in listed.items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest, path
    assert (manifest["status"], manifest["decision"]) == ("ready", "deliver")


@pytest.mark.parametrize("name", FIVE)
def test_every_finding_passed_and_was_kept(finished, name):
    """On the golden day every check of every report passes, and each left its finding in the executed notebook."""
    scraps = scrapbook.read_notebook(str(finished.run(name) / f"{name}.ipynb")).scraps
    levels = {key: scrap.data["level"] for key, scrap in scraps.items() if key.startswith("finding:")}
    assert len(levels) >= 8
    assert set(levels.values()) == {"pass"}, levels


@pytest.mark.parametrize("name", FIVE)
def test_figures_are_those_of_the_golden_run(finished, name):
    """The runner reports the very figures that the stored notebook, run by hand, holds; scrapbook reads them alike."""
    by_hand = scrapbook.read_notebook(str(ROOT / "notebooks" / f"{name}.ipynb")).scraps
    golden = {key.removeprefix("figure:"): s.data["text"] for key, s in by_hand.items() if key.startswith("figure:")}
    figures = json.loads((finished.run(name) / "figures.json").read_text())["figures"]
    assert {figure["name"]: figure["text"] for figure in figures} == golden
    assert len(golden) >= 6


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("profile", [conformance.UA, conformance.A3], ids=["ua-1", "a-3a"])
def test_pdf_conforms(finished, name, profile):
    """An independent checker finds nothing wrong with each report's PDF, for readers with aids and for the archive."""
    data = (finished.run(name) / f"{name}.pdf").read_bytes()
    assert conformance.failures(data, profile) == []


def test_each_reader_gets_one_message_with_the_report(finished):
    """Every reader of every report has one message, to them alone, with the PDF of that run attached."""
    found = messages(finished.folder)
    assert len({(message["To"], message["Subject"]) for message in found}) == len(found) >= 2 * len(FIVE)
    pdfs = {hashlib.sha256((finished.run(name) / f"{name}.pdf").read_bytes()).hexdigest() for name in FIVE}
    for message in found:
        (pdf,) = (part for part in message.walk() if part.get_content_type() == "application/pdf")
        assert hashlib.sha256(pdf.get_payload(decode=True)).hexdigest() in pdfs
        assert message["To"].count("@") == 1


def test_second_run_changes_nothing(finished):
    """Run again on the same inputs nothing is executed, no file changes and nobody is written to a second time."""
    before = {
        path: path.stat().st_mtime_ns
        for path in (finished.folder / "reports").rglob("*.*")
        if "ledger" not in path.name
    }
    again = runner(finished.folder, "run", "--all", "--as-of", AS_OF)
    after = {
        path: path.stat().st_mtime_ns
        for path in (finished.folder / "reports").rglob("*.*")
        if "ledger" not in path.name
    }
    assert again.returncode == 0, again.stdout + again.stderr
    assert before == after
    assert "executing" not in again.stdout


def test_day_without_data_stops_with_one_sentence(finished):
    """A day for which there are no data ends with exit code 1 and one clear sentence; nothing is delivered."""
    known = len(messages(finished.folder))
    done = runner(finished.folder, "run", "daily_growth", "--as-of", "2018-06-01")
    assert done.returncode == 1
    assert "There are no sales for 1 Jun 2018 in the warehouse; its last day is 31 Dec 2017." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(messages(finished.folder)) == known
    (folder,) = (finished.folder / "reports" / "daily_growth" / "2018-06-01").iterdir()
    assert not list(folder.glob("*.pdf"))


def test_missing_daily_record_stops_the_aggregate(tmp_path):
    """Aggregate growth stops, and names the command to run, when the daily report has recorded nothing."""
    folder = copy_project(tmp_path)
    done = runner(folder, "run", "aggregate_growth", "--as-of", AS_OF)
    assert done.returncode == 1
    assert "has not recorded 319 days" in done.stdout
    assert f"runner run daily_growth --as-of {AS_OF}" in done.stdout


def test_lots_that_fell_otherwise_than_planned_stop_the_report(tmp_path):
    """Where lots were drawn the sample ratio is checked: 1,133 of 2,452 treated is not the half that was planned."""
    folder = copy_project(tmp_path)
    design = folder / "config" / "experiments.yml"
    randomised = "experiments: {18: {assignment: randomised, planned_share: 0.5}}"
    design.write_text(design.read_text().replace("experiments: {}", randomised))
    done = runner(folder, "run", "unit_profit", "--as-of", AS_OF)
    assert done.returncode == 1, done.stdout
    assert "1,133 of 2,452 units are treated where 50% was planned" in done.stdout
    assert not (folder / "reports" / "mail").exists()


def test_a_changed_assumption_is_a_restatement_and_is_held(finished, tmp_path):
    """A re-run that changes a delivered figure is held, names the figures, and writes to nobody."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder)
    costs = folder / "config" / "costs.yml"
    costs.write_text(costs.read_text().replace("GROCERY: 0.66", "GROCERY: 0.67"))
    known = len(messages(folder))
    done = runner(folder, "run", "aggregate_profit", "--as-of", AS_OF)
    assert done.returncode == 3, done.stdout
    assert "($1,872 before, " in done.stdout
    assert len(messages(folder)) == known


# Golden outputs


def test_outputs_are_compared(finished):
    """Nbval runs each notebook by hand, with its defaults, and finds every stored output again."""
    done = nbval(finished.folder, *FIVE)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "passed" in done.stdout


def test_nbval_sees_a_changed_number(finished, tmp_path):
    """A number changed in a stored output makes nbval fail: the comparison is real."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns("mail", ".work"))
    path = folder / "notebooks" / "aggregate_profit.ipynb"
    text = path.read_text()
    assert text.count("$193,479") > 1
    path.write_text(text.replace("$193,479", "$193,480"))
    done = nbval(folder, "aggregate_profit")
    assert done.returncode == 1, done.stdout[-2000:]
    assert "193,480" in done.stdout
