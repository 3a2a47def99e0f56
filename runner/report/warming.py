"""What our warm parent is made of: the modules that reports need, and caches that every fork can share.

This module is light: whoever asks for a warm process imports it, and nothing of what the parent imports.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runner.warm.breed import Breed, Limits, private

_MODULES = (
    "runner.light",
    *("numpy", "pandas", "duckdb", "matplotlib", "matplotlib.pyplot", "scipy.special", "scrapbook"),
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger"),
    *("IPython.core.completerlib", "IPython.core.debugger", "IPython.extensions.storemagic", "sqlite3", "pdb"),
    *("holidays.countries.united_states", "holidays.financial.ny_stock_exchange"),
    *("tornado.platform.asyncio", "tornado.queues", "encodings.idna", "matplotlib_inline.backend_inline"),
    *("runner.notebook.report", "runner.notebook.experiments", "runner.metrics.profit", "runner.metrics.growth"),
    *("runner.metrics.engagement", "runner.metrics.experiment", "runner.metrics.units", "runner.metrics.outliers"),
    *("typst", "nh3", "pypdfium2", "PIL.Image", "runner.document.blocks", "runner.document.render"),
    *("runner.document.typeset", "runner.document.formulas", "runner.report.proof", "runner.report.press"),
    *("runner.report.child", "runner.report.kernels", "runner.report.warming"),
)
#: A cold kernel shows charts inline; a parent that imports matplotlib must know of it before.
_DEFAULTS = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
_PREPARE = ("runner.report.warming:warm",)


def breed(env: Mapping[str, str], limits: Limits | None = None) -> Breed:
    """The warm parent of our notebooks, for askers with this environment."""
    return Breed(_MODULES, _PREPARE, env, _DEFAULTS, limits or Limits())


def settled(folder: Path) -> dict[str, str]:
    """What every kernel of a project finds in its environment; history stays inside the project."""
    cache = folder / ".cache"
    return {
        "RUNNER_PROJECT": str(folder),
        "PYTHONPATH": search_path(),
        "PYTHONHASHSEED": "0",
        "MPLCONFIGDIR": _matplotlib(cache),
        "IPYTHONDIR": str(cache / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(cache / "jupyter"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _matplotlib(cache: Path) -> str:
    """One folder for all projects of this user: it holds the list of fonts; were it several, so were warm parents."""
    try:
        return str(private(os.environ) / "matplotlib")
    except OSError:
        return str(cache / "matplotlib")


def breed_of(folder: Path) -> Breed:
    """The warm parent of a project's runs."""
    return breed({**os.environ, **settled(folder)})


def search_path() -> str:
    """Where a process finds this very package, also when it is not installed."""
    ours = str(Path(__file__).resolve().parents[2])
    others = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(part for part in (ours, others) if part)


def warm() -> None:
    """Do once, in the parent, what is slow the first time: every fork then has it done."""
    _draw()
    _query()
    _validate()
    _render()


def _draw() -> None:
    """Fonts, glyphs, and what matplotlib imports late."""
    import matplotlib as mpl  # noqa: PLC0415 - only in the parent

    from runner.notebook import charts  # noqa: PLC0415

    with mpl.rc_context():  # whoever does not ask for our style does not get it
        charts.use()
        chart, (axis,) = charts.canvas(2.0)
        axis.plot([1, 2, 3], [1, 4, 9], label="0123456789 abcdefghijklmnopqrstuvwxyz")
        axis.set_title("ABCDEFGHIJKLMNOPQRSTUVWXYZ $%.,-")
        axis.legend()
        charts.units(axis, "usd")
        charts.svg(chart)
        charts.png(chart)


def _query() -> None:
    """The database's code in memory; told to keep to one thread, it starts none beside ours."""
    import duckdb  # noqa: PLC0415 - only in the parent

    with duckdb.connect(config={"threads": 1, "async_threads": 0}) as connection:
        connection.execute("CREATE TABLE lines AS SELECT range AS line, range % 7 AS day FROM range(10000)")
        connection.execute("SELECT day, count(DISTINCT line), sum(line) FROM lines GROUP BY day ORDER BY day").df()


def _render() -> None:
    """Templates compiled, and all that turns a notebook into HTML imported. The PDF compiler would start threads."""
    from runner.document import blocks, render  # noqa: PLC0415 - only in the parent
    from runner.report import notebooks  # noqa: PLC0415

    render.html(blocks.document_of(notebooks.notebook(notebooks.words("# A\n\nWords, $x^2$.\n\n| a |\n|---|\n| 1 |"))))


def _validate() -> None:
    """The compiled schema of notebooks, papermill's way with parameters, and who provisions kernels."""
    import nbformat  # noqa: PLC0415 - only in the parent
    from jupyter_client.provisioning.factory import KernelProvisionerFactory  # noqa: PLC0415
    from papermill.iorw import load_notebook_node  # noqa: PLC0415
    from papermill.parameterize import parameterize_notebook  # noqa: PLC0415

    from runner.report import notebooks  # noqa: PLC0415

    nb = load_notebook_node(notebooks.notebook(notebooks.code("a = 1", "parameters"), notebooks.words("# A")))
    nbformat.validate(nb)
    parameterize_notebook(nb, {"a": 2}, kernel_name="python3", language="python")
    KernelProvisionerFactory.instance()
