"""A process that does what it is asked, one JSON object a line, and answers with times: `python -m tests.bench.worker`.

It stands for a serving process (`make`, `many`), for a warm process of plain Python (`cells`, `renders`), and for
papermill in a pool (`pool`). It ends when its standard input is closed.
"""

# ruff: noqa: PLC0415 - each order brings in what it needs, and no more: what is measured must be light

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from runner.warm.processes import adopt_orphans

# A serving process (`make`, `many`).


@cache
def _shop(folder: str) -> Any:
    """What the making of reports shares: the project and its ledger, opened once."""
    from runner import config
    from runner.ledger import Ledger
    from runner.report.draft import Clock, Ctx
    from runner.report.execute import Stop

    adopt_orphans()  # a resident process that is started for this one counts among its family
    project = config.load(Path(folder))
    return Ctx(project, Ledger.open(project.ledger), Clock(datetime.now(UTC)), Stop(), lambda _: None)


def _job(ctx: Any, wish: Mapping[str, Any]) -> Any:
    from runner.report.job import Job

    pipeline = ctx.project.pipeline(wish["pipeline"])
    return Job(pipeline, wish["as_of"], wish.get("experiment"), again=True, deliver=False)


def _told(made: Any) -> dict[str, Any]:
    return {"status": str(made.status), "message": made.message, "folder": str(made.folder or "")}


def make(*, project: str, **wish: Any) -> dict[str, Any]:
    """One report, from the trigger to its files on disk."""
    from runner.report.produce import produce

    ctx = _shop(project)
    job = _job(ctx, wish)
    began = time.perf_counter()
    made = produce(job, ctx)
    return {"wall": time.perf_counter() - began, **_told(made)}


def many(*, project: str, wishes: list[dict[str, Any]], at_once: int) -> dict[str, Any]:
    """Many reports side by side, as the commands make them."""
    from runner.commands.making import Tell, make_all

    ctx = _shop(project)
    settings = ctx.project.settings.model_copy(update={"runs_at_once": at_once})
    ctx = replace(ctx, project=replace(ctx.project, settings=settings))
    jobs = [_job(ctx, wish) for wish in wishes]
    began = time.perf_counter()
    made = make_all(jobs, ctx, Tell(lambda *_: None, lambda *_: None))
    return {"wall": time.perf_counter() - began, "made": [_told(one) for one in made]}


def experiments(*, project: str, count: int) -> list[dict[str, str]]:
    """So many different experiment reports that can be made: of each experiment, days spread over its course."""
    import duckdb

    from runner.metrics.periods import Span
    from runner.metrics.units import windows

    place = Path(project) / _shop(project).project.settings.warehouse
    with duckdb.connect(str(place), read_only=True) as warehouse:
        rows = warehouse.execute(EXPERIMENTS).fetchall()
        open_days = [
            day for (day,) in warehouse.execute("SELECT DISTINCT day FROM transactions ORDER BY day").fetchall()
        ]
    able = {
        number: [
            day
            for day in open_days
            if first <= day <= last and windows(Span(first, last), day).pre.first >= open_days[0]
        ]
        for number, first, last in rows
    }
    return [
        {"pipeline": "unit_profit", "experiment": str(number), "as_of": day.isoformat()}
        for number, day in spread({number: days for number, days in able.items() if days}, count)
    ]


#: Experiments with enough treated households for an interval, also after those are left out that were new.
EXPERIMENTS = """
    SELECT experiment, starts_on, ends_on FROM experiments JOIN (
        SELECT experiment, count(DISTINCT household_id) AS treated FROM assignments
        JOIN (SELECT household_id, min(day) AS since FROM transactions GROUP BY household_id) USING (household_id)
        JOIN experiments USING (experiment) WHERE since < starts_on GROUP BY experiment) USING (experiment)
    WHERE treated >= 30 ORDER BY experiment"""


def spread(able: Mapping[Any, list[Any]], count: int) -> list[tuple[Any, Any]]:
    """`count` different pairs out of the days of each, the same number of each, evenly spaced; in turns."""
    each = -(-count // len(able))
    while sum(min(each, len(days)) for days in able.values()) < count and each < max(map(len, able.values())):
        each += 1
    chosen = {
        one: [days[place * len(days) // min(each, len(days))] for place in range(min(each, len(days)))]
        for one, days in able.items()
    }
    turns = [(one, days[turn]) for turn in range(each) for one, days in chosen.items() if turn < len(days)]
    return turns[:count]


# A warm process of plain Python (`cells`, `renders`).


def cells(*, notebook: str, parameters: dict[str, str]) -> float:
    """Seconds that a notebook's cells take, run as plain Python in one namespace with their outputs captured."""
    sources = list(_sources(Path(notebook), parameters))
    codes = [compile(source, f"<cell {place}>", "exec") for place, source in enumerate(sources)]
    with _captured():
        space: dict[str, Any] = {"__name__": "__main__"}
        began = time.perf_counter()
        for code in codes:
            exec(code, space)
        return time.perf_counter() - began


def _sources(notebook: Path, parameters: Mapping[str, str]) -> Iterable[str]:
    """The code of a notebook; after the cell of parameters come the given ones."""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])
            if "parameters" in cell["metadata"].get("tags", ()):
                yield "\n".join(f"{name} = {value!r}" for name, value in parameters.items())


@contextlib.contextmanager
def _captured() -> Any:
    """What cells show is built as in a kernel, and kept."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output():
        yield


def renders(*, project: str, executed: str) -> float:
    """Seconds of the two render calls on the document of an executed notebook."""
    from runner.document import blocks, render
    from runner.report import notebooks

    settings, templates = _looks(project)
    document = blocks.document_of(notebooks.read(Path(executed)), file_of=lambda _: None)
    began = time.perf_counter()
    html, pdf = render.html(document, templates), render.pdf(document, templates, settings.render_limit)
    spent = time.perf_counter() - began
    assert html, pdf
    return spent


@cache
def _looks(folder: str) -> Any:
    from runner import config
    from runner.document import render

    project = config.load(Path(folder))
    return project.settings, tuple(dict.fromkeys((*project.templates, render.TEMPLATES)))


# papermill in a pool.


def pool(*, project: str, wishes: list[dict[str, str]], at_once: int, out: str, finish: bool) -> dict[str, Any]:
    """Many notebooks through papermill, one process a core; with `finish` also to HTML and PDF."""
    import papermill  # noqa: F401 - once, before the pool forks

    os.chdir(Path(project) / "notebooks")
    orders = [(project, wish, f"{out}/{place}", finish) for place, wish in enumerate(wishes)]
    began = time.perf_counter()
    with ProcessPoolExecutor(at_once) as executor:
        failed = [error for error in executor.map(_one_of_pool, orders) if error]
    if failed:
        raise RuntimeError(failed[0])
    return {"wall": time.perf_counter() - began}


def _one_of_pool(order: tuple[str, dict[str, str], str, bool]) -> str:
    import papermill

    from tests.bench import peer

    project, wish, out, finish = order
    executed = Path(out) / f"{wish['pipeline']}.ipynb"
    executed.parent.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"as_of": wish["as_of"]}
    given |= {"experiment": int(wish["experiment"])} if "experiment" in wish else {}
    try:
        papermill.execute_notebook(
            f"{wish['pipeline']}.ipynb", str(executed), given, kernel_name="python3", progress_bar=False
        )
        if finish:
            peer.finish(Path(project), executed)
    except Exception as error:  # noqa: BLE001 - an error must cross two processes as words
        return f"{type(error).__name__}: {str(error)[-400:]}"
    return ""


# Data.


def enlarge(**words: Any) -> int:
    """A warehouse file with copies of every household (`tests.bench.data`)."""
    from tests.bench import data

    return data.enlarge(**words)


def keep(**words: Any) -> dict[str, float]:
    """The daybook of a warehouse file (`tests.bench.questions`)."""
    from tests.bench import questions

    return questions.keep(**words)


def question(**words: Any) -> dict[str, Any]:
    """A question asked of a warehouse file (`tests.bench.questions`)."""
    from tests.bench import questions

    return questions.ask(**words)


ORDERS: dict[str, Callable[..., Any]] = {
    made.__name__: made for made in (make, many, experiments, cells, renders, pool, enlarge, keep, question)
}


def main() -> None:
    """Answer orders until there are no more. Standard output is for answers alone."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = {"answer": ORDERS[words.pop("order")](**words)}
        except Exception as error:  # noqa: BLE001 - the one who asked must hear of it
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
