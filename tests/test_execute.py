"""Execution of the failure notebooks in real kernels: what happened is what is told, and nothing is left running."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from runner.errors import CellFailed, DeadlinePassed, Interrupted, KernelDied, ReportStopped
from runner.report import notebooks
from runner.report.execute import BANNER, NOT_RUN, Request, Stop, execute
from runner.warm.processes import marked
from tests.small_projects import NOTEBOOKS, living


def run(tmp_path, name, *, stop=None, told=None, **more):
    """Execute a notebook of tests/notebooks; the outcome."""
    parameters = {"as_of": "2017-11-16", **more.pop("parameters", {})}
    request = Request(
        f"test-{name}-{tmp_path.name}",
        NOTEBOOKS / f"{name}.ipynb",
        tmp_path / "out.ipynb",
        parameters,
        **{"limit": 60.0, **more},
    )
    before = (NOTEBOOKS / f"{name}.ipynb").read_bytes()
    outcome = execute(request, (told if told is not None else []).append, stop or Stop())
    assert marked(request.run) == []
    assert (NOTEBOOKS / f"{name}.ipynb").read_bytes() == before
    return outcome


def states(nb):
    """What each code cell is said to have done."""
    return [cell.metadata.papermill.status for cell in nb.cells if cell.cell_type == "code"]


def printed(nb):
    """All text printed by the notebook."""
    return "".join(
        output.text for cell in nb.cells for output in cell.get("outputs", ()) if output.output_type == "stream"
    )


def test_a_good_notebook_runs_whole_with_the_values_given(tmp_path):
    """Every cell has its number, the values given were used, texts stayed texts, and each cell was told of."""
    told = []
    outcome = run(tmp_path, "good", told=told, parameters={"amount": 3.0, "shop": "007"})
    assert outcome.error is None
    assert set(states(outcome.notebook)) == {"completed"}
    assert "Revenue was 3.00, most of it in shop 007" in printed(outcome.notebook)
    stored = notebooks.read(NOTEBOOKS / "good.ipynb").cells
    assert [step.cell for step in told] == list(range(1, len(stored) + 1))  # nothing of the cell of given values
    assert {step.cells for step in told} == {len(stored)}
    assert [step.heading for step in told][-1] == "End"
    text = json.dumps(outcome.notebook)
    assert str(tmp_path) not in text
    assert str(NOTEBOOKS) not in text


@pytest.mark.parametrize(
    ("name", "error", "said", "expected"),
    [
        ("raises", CellFailed, "Cell 4 of 6 (section 'Raises') failed: ZeroDivisionError: division by zero.",
         ["completed", "completed", "completed", "failed", "not run"]),
        ("sys_exit", CellFailed, "left the notebook with sys.exit, so 2 cells after it never ran.",
         ["completed", "completed", "completed", "completed", "failed", "not run", "not run"]),
        ("kernel_dies", KernelDied, "The kernel's process ended at Cell 4 of 5",
         ["completed", "completed", "completed", "failed", "not run"]),
        ("kernel_killed", KernelDied, "The kernel's process ended at Cell 4 of 5",
         ["completed", "completed", "completed", "failed", "not run"]),
        ("stops_early", ReportStopped, "The till is away. Start it, then run again.",
         ["completed", "completed", "completed", "failed", "not run"]),
        ("skips_a_cell", CellFailed, "Cell 6 of 6 (section 'Skips a cell') never ran. Take the tag skip-execution off.",
         ["completed", "completed", "completed", "completed", "completed", "failed"]),
        ("allows_errors", CellFailed, "ZeroDivisionError", ["completed"] * 5 + ["failed", "not run"]),
    ],
)  # fmt: skip
def test_each_failure_is_told_by_its_own_name_and_the_partial_notebook_is_labelled(
    tmp_path, name, error, said, expected
):
    """The cells before ran, the culprit is marked and shows an error, the rest are marked as not run."""
    outcome = run(tmp_path, name)
    assert type(outcome.error) is error
    assert said in str(outcome.error)
    assert states(outcome.notebook) == expected
    assert_labelled(outcome)


def assert_labelled(outcome):
    """A banner on top, an error at the culprit, a mark on what never ran; papermill's status does not say otherwise."""
    nb = outcome.notebook
    assert nb.cells[0].metadata.tags == [BANNER]
    assert "not finished and must not be sent" in nb.cells[0].source
    by_state = {
        state: [cell for cell in nb.cells if cell.metadata.get("papermill", {}).get("status") == state]
        for state in ("failed", "not run")
    }
    assert [output.output_type for cell in by_state["failed"] for output in cell.outputs].count("error") == 1
    assert all(
        NOT_RUN in cell.metadata.tags and "not run" in cell.outputs[0].data["text/plain"]
        for cell in by_state["not run"]
    )
    assert nb.metadata.papermill.exception is True


def test_a_notebook_that_hangs_is_ended_at_the_limit(tmp_path):
    """The limit holds for the whole run; what was printed before it is kept."""
    began = time.monotonic()
    outcome = run(tmp_path, "hangs", limit=5.0)
    assert isinstance(outcome.error, DeadlinePassed)
    assert "limit of 5 s; it was at Cell 5 of 6 (section 'Waiting')" in str(outcome.error)
    assert time.monotonic() - began < 12
    assert printed(outcome.notebook) == "before\nwaiting\n"
    assert states(outcome.notebook)[-2:] == ["failed", "not run"]
    assert_labelled(outcome)


def test_a_limit_that_passes_before_the_first_cell_leaves_a_notebook_that_says_so(tmp_path):
    """There is nothing to show but what was not done."""
    outcome = run(tmp_path, "good", limit=0.05)
    assert isinstance(outcome.error, DeadlinePassed)
    assert set(states(outcome.notebook)) == {"not run"}


def test_a_cell_limit_ends_the_cell_and_the_run(tmp_path):
    """A limit of one cell is told as such."""
    outcome = run(tmp_path, "hangs", cell_limit=2.0)
    assert isinstance(outcome.error, DeadlinePassed)
    assert "was ended after its limit of 2 s" in str(outcome.error)
    assert states(outcome.notebook)[-2:] == ["failed", "not run"]


@pytest.mark.parametrize(
    ("name", "limit", "day"), [("forks_and_hangs", 5.0, "2017-01-07"), ("leaves_a_process", 60.0, "2017-01-08")]
)
def test_a_grandchild_that_hides_is_found_and_ended(tmp_path, name, limit, day):
    """Its own session, no parent, no mark in its environment: it is gone all the same, after failure and success."""
    before = set(living("os.setsid()"))
    outcome = run(tmp_path, name, limit=limit, parameters={"as_of": day})
    assert (outcome.error is None) == (name == "leaves_a_process")
    mine = [process for process in living("os.setsid()") if day in process.cmdline()]
    assert set(mine) - before == set()


def test_a_stop_ends_a_running_cell_at_once(tmp_path):
    """The wish is heard in the middle of a cell, from another thread."""
    stop, told = Stop(), Asked()
    told.stop = stop
    outcome = run(tmp_path, "slow_then_interrupted", stop=stop, told=told)
    assert isinstance(outcome.error, Interrupted)
    assert "begun" in printed(outcome.notebook)
    assert_labelled(outcome)


class Asked(list):
    """Progress that asks for a stop one moment after the long cell has begun."""

    def append(self, step):
        """Note a step."""
        super().append(step)
        if step.heading == "Long work" and step.cell == step.cells - 1:
            threading.Timer(0.3, self.stop.ask).start()


def test_a_cell_that_prints_without_end_is_cut_and_told(tmp_path):
    """Three million characters: one million is kept, and the cut is said once."""
    outcome = run(tmp_path, "prints_much")
    assert outcome.error is None
    assert 1_000_000 < len(printed(outcome.notebook)) < 1_100_000
    assert printed(outcome.notebook).count("was cut") == 1


def test_the_environment_and_the_banner_of_the_kernel_stay_out_of_the_notebook(tmp_path, monkeypatch, capfd):
    """A secret in the environment is not in the file, and nothing of the kernel shows on the terminal."""
    monkeypatch.setenv("DATABASE_PASSWORD", "swordfish-7781")
    run(tmp_path, "good")
    assert "swordfish-7781" not in "".join(path.read_text(errors="replace") for path in tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_kernel_does_not_inherit_what_is_withheld(tmp_path, monkeypatch):
    """A notebook that prints its whole environment shows no address of a channel; all else is there."""
    for name in ("ANNS_PAGER", "ANNS_PAGER_FILE", "OTHER"):
        monkeypatch.setenv(name, f"{name.lower()}-7781")
    source = notebooks.notebook(notebooks.code("import os\nprint(dict(os.environ))"))
    notebooks.write(source, tmp_path / "prints.ipynb")
    withheld = frozenset({"ANNS_PAGER", "ANNS_PAGER_FILE"})
    request = Request("test-withheld", tmp_path / "prints.ipynb", tmp_path / "out.ipynb", {}, 60.0, withheld=withheld)
    outcome = execute(request, lambda _: None, Stop())
    assert outcome.error is None
    assert "other-7781" in printed(outcome.notebook)
    assert "ANNS_PAGER" not in printed(outcome.notebook)


@pytest.mark.parametrize("tags", [(), ("parameters",)])
def test_the_number_of_a_cell_is_that_of_the_stored_notebook(tmp_path, tags):
    """Wherever the cell of given values was put (on top, or after the parameters), no number comes twice."""
    cells = [
        notebooks.words("# One"),
        notebooks.code("as_of = 1", *tags),
        notebooks.words("# Two"),
        notebooks.code("2"),
    ]
    notebooks.write(notebooks.notebook(*cells), tmp_path / "counts.ipynb")
    told = []
    request = Request("test-counts", tmp_path / "counts.ipynb", tmp_path / "out.ipynb", {"as_of": 2}, 60.0)
    assert execute(request, told.append, Stop()).error is None
    assert [(step.cell, step.cells, step.heading) for step in told] == [
        (1, 4, "One"),
        (2, 4, "One"),
        (3, 4, "Two"),
        (4, 4, "Two"),
    ]


def test_no_file_is_left_beside_the_notebook_but_the_kernels_log(tmp_path):
    """The request and half-written files are gone."""
    run(tmp_path, "good")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernel.log", "out.ipynb"]


def test_this_process_never_changes_its_folder(tmp_path):
    """Papermill's own cwd= does; ours belongs to the child."""
    here = Path.cwd()
    run(tmp_path, "raises")
    assert Path.cwd() == here


def test_a_notebook_file_is_the_old_one_or_the_new_one(tmp_path):
    """Writing goes through another name, and reading half a file is a ValueError."""
    path = tmp_path / "a.ipynb"
    notebooks.write(notebooks.notebook(notebooks.code("1")), path)
    notebooks.write(notebooks.notebook(notebooks.code("2")), path)
    assert notebooks.read(path).cells[0].source == "2"
    assert [found.name for found in tmp_path.iterdir()] == ["a.ipynb"]
    path.write_text(path.read_text()[:50])
    with pytest.raises(ValueError, match=r"(?i)json|notebook"):
        notebooks.read(path)
