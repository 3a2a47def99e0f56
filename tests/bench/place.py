"""Where the benchmark works: copies of this project with a pipeline more, the notebook of trivial cells."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat

from tests.bench.running import ROOT, timed, tool
from tests.bench.shapes import Size

AS_OF = "2017-11-15"
TRIVIAL = "trivial"
FIVE = ("daily_growth", "aggregate_profit", "aggregate_growth", "aggregate_engagement", "unit_profit")

_ENTRY = """
  trivial:
    title: Trivial
    notebook: trivial.ipynb
    period: day
    deadline: daily by 12:00
    owners: {primary: engineer_a, secondary: engineer_b, because: It is measured.}
    readers: [experiment_team]
    sources: []
"""
#: The imports of our five reports, and next to no work.
_CELLS = (
    'as_of: "date" = "2017-11-15"  # the day reported',
    (
        "import duckdb\nimport matplotlib\nimport pandas as pd\nimport scrapbook\n\n"
        'from runner.notebook import Report\n\nreport = Report("trivial", as_of)'
    ),
    (
        'report.check("two and two", ok=2 + 2 == 4, message="Two and two are four.")\n'
        'report.figure("answer", 42, label="The answer")'
    ),
    'report.say("On {day} the answer was **{answer}**.", day=report.day)',
    'report.table(pd.DataFrame({"word": ["one", "two"], "value": [1, 2]}), "words", "Two words")',
    "report.show_findings()",
)


def trivial() -> nbformat.NotebookNode:
    """The notebook of trivial cells."""
    cells = [nbformat.v4.new_code_cell(source, id=f"trivial-{place}") for place, source in enumerate(_CELLS)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    heading = nbformat.v4.new_markdown_cell("# Trivial", id="trivial-heading")
    return nbformat.v4.new_notebook(cells=[heading, *cells], metadata={"kernelspec": kernel})


def base(size: Size) -> Path:
    """A project with a warehouse, and the record that aggregate growth rests on; made once a run of the benchmark.

    The small version does not make that report, and does without the record.
    """
    folder = size.folder / "base"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("config", "notebooks", "templates"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        _settle(folder, warm=False)  # no resident process is to outlive the making of the base
        with (folder / "config" / "pipelines.yml").open("a", encoding="utf-8") as file:
            file.write(_ENTRY)
        nbformat.write(trivial(), folder / "notebooks" / "trivial.ipynb")
        _stock(folder)
        if not size.small:
            run = [*tool("runner"), "--project", str(folder), "run", "daily_growth", "--as-of", AS_OF, "--no-deliver"]
            timed(run, folder, {})
        (folder / "ready").touch()
    return folder


def _stock(folder: Path) -> None:
    """The warehouse of this project with its daybook, which are built first where they are not there."""
    from runner.notebook import daybook, warehouse  # noqa: PLC0415 - heavy, and asked once

    built = warehouse.prepare(ROOT)
    (folder / ".cache" / daybook.FOLDER).mkdir(parents=True)
    for path in (built, built.with_suffix(".sha256"), daybook.place(built)):
        shutil.copy2(path, folder / ".cache" / path.relative_to(built.parent))


def _settle(folder: Path, *, warm: bool) -> None:
    """The settings of this project, with warm kernels or, where the runner has them, without."""
    text = (ROOT / "config" / "settings.yml").read_text("utf-8")
    if knows_warm_kernels():
        kept = [line for line in text.splitlines() if not line.startswith("warm_kernels:")]
        text = "\n".join([*kept, f"warm_kernels: {'true' if warm else 'false'}", ""])
    (folder / "config" / "settings.yml").write_text(text, "utf-8")


def knows_warm_kernels() -> bool:
    """Whether the runner has warm kernels, and so the key that switches them off."""
    from runner.config import Settings  # noqa: PLC0415 - heavy, and asked once

    return "warm_kernels" in Settings.model_fields


def copy(size: Size, name: str, *, warm: bool) -> Path:
    """A copy of the base of that name, with warm kernels or without."""
    folder = size.folder / name
    if not folder.exists():
        shutil.copytree(base(size), folder)
        _settle(folder, warm=warm)
    return folder


def env(folder: Path) -> Mapping[str, str]:
    """The environment of what runs in a project: caches inside it, one thread a library, as the Makefile has it."""
    cache = folder / ".cache"
    return {
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        "IPYTHONDIR": str(cache / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(cache / "jupyter"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def name_of(report: str) -> str:
    """A report's name in a table."""
    return report.replace("_", " ")
