"""The engine by its name in papermill itself: few writes, whole files, and true states."""

from __future__ import annotations

import pytest
from nbclient.exceptions import DeadKernelError
from papermill.engines import NotebookExecutionManager, papermill_engines
from papermill.execute import execute_notebook

from runner.report import notebooks
from runner.report.engine import SAVE_EVERY, Keeper, RunnerEngine
from tests.small_projects import NOTEBOOKS


@pytest.fixture(autouse=True)
def _named():
    """The engine under its name, as the installed package registers it."""
    papermill_engines.register("runner", RunnerEngine)


def test_papermill_runs_a_notebook_with_our_engine(tmp_path):
    """`papermill --engine runner` works on its own, without the rest of the runner."""
    path = tmp_path / "out.ipynb"
    execute_notebook(NOTEBOOKS / "good.ipynb", path, {"amount": 2.0}, engine_name="runner", progress_bar=False)
    nb = notebooks.read(path)
    assert "Revenue was 2.00" in str(nb.cells)
    assert {cell.metadata.papermill.status for cell in nb.cells} == {"completed"}


def test_a_cell_that_never_ran_stays_pending(tmp_path):
    """The engine that papermill brings calls it completed."""
    path = tmp_path / "out.ipynb"
    with pytest.raises(DeadKernelError):
        execute_notebook(NOTEBOOKS / "kernel_dies.ipynb", path, {}, engine_name="runner", progress_bar=False)
    assert [cell.metadata.papermill.status for cell in notebooks.read(path).cells] == [
        "completed",
        "completed",
        "completed",
        "running",
        "pending",
    ]


def prepared(count: int):
    """A notebook as papermill hands it to an engine."""
    nb = notebooks.notebook(*(notebooks.code(f"{number}") for number in range(count)))
    nb.metadata["papermill"] = notebooks.node()
    for cell in nb.cells:
        cell.metadata["papermill"] = notebooks.node()
    return nb


def test_a_hundred_quick_cells_are_written_twice_and_not_two_hundred_times(tmp_path):
    """At the start and at the end; papermill's own keeper writes for every cell, twice."""
    told, written = [], []

    class Counting(Keeper):
        def save_now(self):
            written.append(1)
            super().save_now()

    keeper = Counting(prepared(100), tmp_path / "out.ipynb", told.append)
    keeper.notebook_start()
    for number, cell in enumerate(keeper.nb.cells):
        keeper.cell_start(cell, cell_index=number)
        keeper.cell_complete(cell, cell_index=number)
    keeper.notebook_complete()
    assert 2 <= len(written) <= 3
    assert [event["index"] for event in told] == list(range(100))
    assert issubclass(Keeper, NotebookExecutionManager)
    assert SAVE_EVERY >= 1


def test_a_slow_save_makes_the_next_one_rarer(tmp_path):
    """Saving takes at most a twentieth of the time, however large the notebook has grown."""
    keeper = Keeper(prepared(1), tmp_path / "out.ipynb", lambda _: None)
    nb = keeper.nb
    nb.cells[0].outputs = [notebooks.output("stream", text="x" * 30_000_000)]
    keeper.save_now()
    before = keeper.next_save
    keeper.save()
    assert keeper.next_save == before
