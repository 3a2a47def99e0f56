"""Run it: a notebook run by hand with other values, watched live, and shown to nobody else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import nbformat
from starlette.responses import FileResponse, Response

from runner.config import Pipeline, Project
from runner.errors import ConfigError, RunnerError, UsageError
from runner.report import inputs, notebooks, parameters
from runner.report.job import EARLIEST, LATEST, check
from runner.report.parameters import Parameter
from runner.scheduler.begins import experiments_of
from runner.web import files, trials
from runner.web.access import ENGINEER
from runner.web.page import NotFound, Page
from runner.web.trials import Full, Trial, Wish
from runner.web.visit import Visit

#: Trials that the first page lists.
_LISTED = 12
#: Characters of one value: more is data, and belongs into a source.
_LONGEST = 10_000
_INPUTS = {"date": "date", "int": "number", "float": "number", "bool": "check", "list": "area", "dict": "area"}
#: What happens in each stage, in words.
STAGES = {
    "copy": "Copying the project",
    "fetch": "Asking the sources",
    "execute": "Running the notebook",
    "read": "Reading its figures",
    "compare": "Comparing with what was recorded",
    "gate": "Judging what the checks found",
    "render": "Making the pages and the PDF",
    "prove": "Reading them back",
}
_FILES = {
    "report": (".html", "text/html; charset=utf-8"),
    "pdf": (".pdf", "application/pdf"),
    "notebook": (".ipynb", "application/x-ipynb+json"),
}


@dataclass(frozen=True)
class Field:
    """One field of the form: what kind of input it is, what stands in it, and what is wrong with that."""

    name: str
    kind: str
    value: str
    help: str = ""
    options: tuple[tuple[str, str], ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def key(self) -> str:
        """The name of its input: a parameter may be called like a field of our own."""
        return f"p-{self.name}"

    @property
    def label(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ").capitalize()


# The form.


def _pipeline(visit: Visit) -> Pipeline:
    found = visit.project.pipelines.get(visit.params["pipeline"])
    if found is None:
        raise NotFound
    return found


def fields_of(project: Project, pipeline: Pipeline) -> tuple[Field, ...]:
    """The fields that a notebook's parameters make, each with its default. Raises ConfigError as `read` does."""
    declared = inputs.remembered(parameters.read, project.notebook(pipeline))
    fixed = {**pipeline.parameters}
    if pipeline.experiment is not None:
        fixed["experiment"] = pipeline.experiment
    found = (_field(one, fixed.get(name, one.default)) for name, one in declared.items())
    return tuple(_chosen(project, pipeline, one) if one.name == "experiment" else one for one in found)


def _field(one: Parameter, value: Any) -> Field:
    kind = _INPUTS.get(one.kind, "area" if "\n" in str(value) else "text")
    text = json.dumps(value, ensure_ascii=False) if one.kind in {"list", "dict", "bool"} else str(value)
    more = {"int": {"step": "1"}, "float": {"step": "any"}}.get(one.kind, {})
    if one.kind == "date":
        more = {"min": f"{EARLIEST}-01-01", "max": f"{LATEST}-12-31"}
    return Field(one.name, kind, text, one.help[:1].upper() + one.help[1:], more=more)


def _chosen(project: Project, pipeline: Pipeline, one: Field) -> Field:
    """The experiment as a choice among those that are known; where none can be asked for, as it is."""
    if pipeline.period != "experiment":
        return one
    try:
        known = experiments_of(project, [pipeline])
    except RunnerError:
        return one
    zone = ZoneInfo(project.settings.time_zone)
    days = {begin.experiment: begin.at.astimezone(zone) for begin in known}
    options = tuple((name, f"{name}, since {at:%a} {at.day} {at:%b %Y}") for name, at in days.items())
    if one.value not in days:
        options = ((one.value, one.value), *options)
    return replace(one, kind="choice", options=options) if known else one


def _typed(visit: Visit, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields with what was typed; an empty box of a checkbox is not sent at all."""
    kept = ((one, visit.form.get(one.key, "false" if one.kind == "check" else "")) for one in fields)
    return tuple(replace(one, value=text.replace("\r\n", "\n")) for one, text in kept)


def _checked(visit: Visit, pipeline: Pipeline, fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The fields, each with what is wrong with it beside it."""
    declared = inputs.remembered(parameters.read, visit.project.notebook(pipeline))
    return tuple(_looked_at(visit.project, declared[one.name], one) for one in fields)


def _looked_at(project: Project, parameter: Parameter, one: Field) -> Field:
    if len(one.value) > _LONGEST:
        return replace(one, error=f"That is too long: write at most {_LONGEST:,} characters.")
    shown = project.censor.scanner.found(one.value)
    if shown:  # it is not even shown again to whoever typed it
        error = f"That shows {shown}. A secret is no parameter: it would stand in the report."
        return replace(one, value="", error=error)
    try:
        parameter.read(one.value)
    except UsageError as error:
        return replace(one, error=error.remedy)
    except RecursionError:
        return replace(one, error="That is nested too deeply.")
    if parameter.kind == "date" and not EARLIEST <= int(one.value[:4]) <= LATEST:
        return replace(one, error=f"Take a day of the years {EARLIEST} to {LATEST}.")
    return one


def _wish(visit: Visit, pipeline: Pipeline, fields: tuple[Field, ...]) -> Wish:
    """What the fields ask for; the period is carried by words of its own."""
    texts = {one.name: one.value for one in fields}
    as_of = texts.pop("as_of", "")
    experiment = texts.pop("experiment", None) if pipeline.period == "experiment" else None
    return Wish(visit.visitor.who, pipeline.name, as_of, experiment, texts)


@dataclass(frozen=True)
class Obstacle:
    """Why nothing was begun: a sentence, a remedy, and the trial that is in the way."""

    what: str
    remedy: str = ""
    trial: str = ""


def _form(visit: Visit, pipeline: Pipeline, fields: tuple[Field, ...], trouble: Obstacle | None = None) -> Response:
    wrong = trouble is not None or any(one.error for one in fields)
    lab = visit.project.settings.desk.jupyter
    path = f"notebooks/{pipeline.notebook}"
    data = {
        "pipeline": pipeline,
        "fields": fields,
        "trouble": trouble,
        "lab": f"{lab.rstrip('/')}/lab/tree/{quote(path)}" if lab else "",
        "command": f"jupyter lab {path}",
    }
    return visit.page("try_form.html.j2", 422 if wrong else 200, **data)


def index(visit: Visit) -> Response:
    """Every report that can be tried, and what was tried of late."""
    recent = trials.newest(visit.project, _LISTED)
    return visit.page("try.html.j2", pipelines=visit.project.pipelines.values(), trials=recent)


def form(visit: Visit) -> Response:
    """The form of one notebook, with its defaults; with `?like=` the values of an earlier trial."""
    pipeline = _pipeline(visit)
    try:
        fields = fields_of(visit.project, pipeline)
    except (ConfigError, OSError) as error:
        return _form(visit, pipeline, (), _unreadable(error))
    like = trials.find(visit.project, visit.query.get("like", ""))
    typed = like.wish.typed if like is not None and like.wish.pipeline == pipeline.name else {}
    return _form(visit, pipeline, tuple(replace(one, value=typed.get(one.name, one.value)) for one in fields))


def _unreadable(error: Exception) -> Obstacle:
    if isinstance(error, RunnerError):
        return Obstacle(error.what, error.remedy)
    return Obstacle("The notebook cannot be read.", "Put its file where config/pipelines.yml says that it is.")


def run(visit: Visit) -> Response:
    """Begin a trial."""
    pipeline = _pipeline(visit)
    found = _asked(visit, pipeline)
    if isinstance(found, Response):
        return found
    fields, wish = found
    try:
        trial = trials.start(visit.project, wish, visit.now, visit.desk.environment)
    except Full as error:
        return _form(visit, pipeline, fields, Obstacle(error.what, error.remedy, error.mine))
    visit.act("tried", trial=trial.id, pipeline=pipeline.name, parameters=wish.typed)
    return visit.to(f"/try/runs/{trial.id}")


def copy(visit: Visit) -> Response:
    """The notebook with these values filled in, to be opened elsewhere; nothing of it is run."""
    pipeline = _pipeline(visit)
    found = _asked(visit, pipeline)
    if isinstance(found, Response):
        return found
    fields, wish = found
    try:
        values = check(wish.job(pipeline), visit.project).values
    except (UsageError, ConfigError) as error:
        return _form(visit, pipeline, fields, Obstacle(error.what, error.remedy))
    visit.act("took a notebook", pipeline=pipeline.name, parameters=wish.typed)
    text = filled(visit.project.notebook(pipeline), values)
    name = f"{Path(pipeline.notebook).stem}-{wish.as_of}.ipynb"
    return files.download(text, name, _FILES["notebook"][1])


def _asked(visit: Visit, pipeline: Pipeline) -> tuple[tuple[Field, ...], Wish] | Response:
    """What the form asks for, found to be in order; or the form once more, with what is wrong."""
    try:
        fields = _checked(visit, pipeline, _typed(visit, fields_of(visit.project, pipeline)))
        wish = _wish(visit, pipeline, fields)
        if any(one.error for one in fields):
            return _form(visit, pipeline, fields)
        check(wish.job(pipeline), visit.project)
    except UsageError as error:
        return _form(visit, pipeline, fields, Obstacle(error.what, error.remedy))
    except (ConfigError, OSError) as error:
        return _form(visit, pipeline, (), _unreadable(error))
    return fields, wish


def filled(notebook: Path, values: Mapping[str, Any]) -> str:
    """A notebook without outputs, with a cell of values as papermill puts it there."""
    from papermill.iorw import load_notebook_node  # noqa: PLC0415 - heavy, and only here
    from papermill.parameterize import parameterize_notebook  # noqa: PLC0415

    made = parameterize_notebook(load_notebook_node(str(notebook)), dict(values))
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("papermill", None)
    made.metadata.papermill = notebooks.node(parameters=dict(values))
    return str(nbformat.writes(made))  # type: ignore[no-untyped-call]


# One trial.


def _trial(visit: Visit) -> Trial:
    found = trials.find(visit.project, visit.params["trial"])
    if found is None:
        raise NotFound
    return found


def watch(visit: Visit) -> Response:
    """How far a trial has come; once it has ended, what came of it."""
    trial = _trial(visit)
    pipeline = visit.project.pipelines.get(trial.wish.pipeline)
    told = trials.progress(trial)
    found = trials.figures(trial) if trial.is_over else {}
    data = {
        "trial": trial,
        "title": pipeline.title if pipeline else trial.wish.pipeline,
        "known": pipeline is not None,
        "told": told,
        "done": _done(told),
        "stages": STAGES,
        "figures": found.get("figures", ()),
        "findings": found.get("findings", ()),
        "report": trial.file(".html"),
        "pdf": trial.file(".pdf"),
        "notebook": trial.file(".ipynb"),
    }
    return visit.page("try_run.html.j2", **data)


def _done(told: trials.Progress) -> int:
    """How much is done, in hundredths: most of the time goes into the cells."""
    order = list(STAGES)
    place = order.index(told.stage) if told.stage in order else 0
    if told.stage == "execute" and told.cells:
        return 10 + 70 * max(told.cell - 1, 0) // told.cells
    return (2, 5, 10, 80, 82, 84, 86, 95)[place] if told.stages else 0


def cancel(visit: Visit) -> Response:
    """Ask a trial to end."""
    trial = _trial(visit)
    back = f"/try/runs/{trial.id}"
    try:
        trials.cancel(trial, visit.visitor.who, visit.now)
    except UsageError as error:
        return visit.to(back, error.what, "plain")
    visit.act("cancelled a trial", trial=trial.id, pipeline=trial.wish.pipeline)
    return visit.to(back, "It is being cancelled.")


def file(visit: Visit) -> Response:
    """What a trial made: the report as a page that can do nothing, the PDF, the executed notebook."""
    kind = visit.params["kind"]
    if kind not in _FILES:
        raise NotFound
    end, media = _FILES[kind]
    path = _trial(visit).file(end)
    if path is None:
        raise NotFound
    if kind == "report":
        return FileResponse(path, media_type=media, headers=files.SEALED)
    return FileResponse(path, media_type=media, headers=files.to_keep(f"trial-{path.name}"))


PAGES = (
    Page("/try", ENGINEER, index),
    Page("/try/runs/{trial}", ENGINEER, watch),
    Page("/try/runs/{trial}/cancel", ENGINEER, post=cancel),
    Page("/try/runs/{trial}/{kind}", ENGINEER, file),
    Page("/try/{pipeline}", ENGINEER, form, run),
    Page("/try/{pipeline}/notebook", ENGINEER, post=copy),
)
