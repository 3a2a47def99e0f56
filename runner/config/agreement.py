"""What the files of config/ say of each other: where it stands, the key that is shown, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from runner.config.files import WAREHOUSE, OnCall, Pipeline
from runner.config.names import known
from runner.config.project import Project
from runner.config.values import local_time
from runner.config.yaml import Where

Wrong = tuple[str, Where, Where, str]

PIPELINES = "config/pipelines.yml"
ONCALL = "config/oncall.yml"
DUTIES = "config/duties.yml"
SOURCES = "config/sources.yml"
SETTINGS = "config/settings.yml"
#: What notebooks see in the warehouse besides its tables (`runner.notebook.warehouse.connect`).
TAKEN = frozenset({"lines", "visits", "sales", "sales_by_day", "days", "breaches", "cost_shares"})


def disagreements(project: Project) -> Iterator[Wrong]:
    """(file, key, key as shown, what is wrong) of everything in which two files do not fit together."""
    for pipeline in project.pipelines.values():
        entry = ("pipelines", pipeline.name)
        for where, what in _wrong(project, pipeline):
            yield PIPELINES, (*entry, *where), (*entry, *(part for part in where if isinstance(part, str))), what
    yield from _cycles(project)
    yield from _rota(project)
    yield from _duties(project)
    yield from _sources(project)
    yield from _desk(project)


def _wrong(project: Project, pipeline: Pipeline) -> Iterator[tuple[Where, str]]:
    """Pairs of key and what is wrong with it."""
    engineers, readers = project.people.engineers, project.people.readers
    for role in ("primary", "secondary"):
        name = getattr(pipeline.owners, role)
        if name not in engineers:
            yield ("owners", role), f"no engineer {name!r} in config/people.yml. {known(name, engineers)}"
    if pipeline.owners.primary == pipeline.owners.secondary:
        yield ("owners", "secondary"), "is the primary too. Name another engineer: someone must step in."
    for number, name in enumerate(pipeline.readers):
        if name not in readers:
            yield ("readers", number), f"no list {name!r} in config/people.yml. {known(name, readers)}"
    for number, name in enumerate(pipeline.approvers):
        if name not in engineers:
            yield ("approvers", number), f"no engineer {name!r} in config/people.yml. {known(name, engineers)}"
    for number, name in enumerate(pipeline.inputs):
        if name not in project.pipelines:
            yield ("inputs", number), f"no pipeline is called {name!r}. {known(name, project.pipelines)}"
    yield from _wrong_files(project, pipeline)


def _wrong_files(project: Project, pipeline: Pipeline) -> Iterator[tuple[Where, str]]:
    if not pipeline.notebook.endswith(".ipynb") or not project.notebook(pipeline).is_file():
        yield ("notebook",), f"there is no notebook notebooks/{pipeline.notebook}. Write it, or correct the name."
    for number, source in enumerate(pipeline.sources):
        if source != WAREHOUSE and not (project.folder / source).is_file():
            yield ("sources", number), f"there is no file {source}. Name a file of this project, or `{WAREHOUSE}`."
    if (pipeline.experiment is not None) != (pipeline.period == "experiment"):
        yield ("experiment",), "belongs to `period: experiment`, and to no other. Add or remove one of the two."
    if project.reports / pipeline.name == project.maildir:
        yield (), "has the name of the folder of mails. Rename the pipeline, or set maildir in settings.yml."


def _cycles(project: Project) -> Iterator[Wrong]:
    """One problem for each pipeline that would wait for itself."""
    for name in project.pipelines:
        path = _way_back(project, name)
        if path:
            text = " needs ".join(path)
            where = ("pipelines", name, "inputs")
            yield PIPELINES, where, where, f"a circle: {text}. Remove one input."


def _way_back(project: Project, start: str) -> tuple[str, ...]:
    trails: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for name in getattr(project.pipelines.get(trail[-1]), "inputs", ()):
            if name == start:
                return (*trail, name)
            if name not in seen:
                seen.add(name)
                trails.append((*trail, name))
    return ()


def _rota(project: Project) -> Iterator[Wrong]:
    """Names in the rota that are nobody's, and spans that end before they begin."""
    if project.oncall is None:
        return
    engineers = project.people.engineers
    for where, name in _named(project.oncall):
        if name not in engineers:
            shown = tuple(part for part in where if isinstance(part, str))
            yield ONCALL, where, shown, f"no engineer {name!r} in config/people.yml. {known(name, engineers)}"
    for part in ("overrides", "away"):
        for number, span in enumerate(getattr(project.oncall, part)):
            if local_time(span.begins) >= local_time(span.ends):
                yield ONCALL, (part, number, "ends"), (part, "ends"), "does not come after begins. Exchange the two."


def _named(oncall: OnCall) -> Iterator[tuple[Where, str]]:
    """Every place of the rota that names an engineer."""
    for part, key in (("rotation", "order"), ("holidays", "primary")):
        for number, entry in enumerate(getattr(oncall, part)):
            yield from (((part, number, key, place), name) for place, name in enumerate(getattr(entry, key)))
    for part, key in (("overrides", "primary"), ("away", "who")):
        for number, entry in enumerate(getattr(oncall, part)):
            yield (part, number, key), getattr(entry, key)


def _duties(project: Project) -> Iterator[Wrong]:
    """Owners and pipelines of duties that there are not."""
    engineers = project.people.engineers
    for name, duty in project.duties.items():
        if duty.owner != "on-call" and duty.owner not in engineers:
            what = f"no engineer {duty.owner!r} in config/people.yml, and not `on-call`. {known(duty.owner, engineers)}"
            yield DUTIES, ("duties", name, "owner"), ("duties", name, "owner"), what
        if duty.shown_by and duty.shown_by.pipeline not in project.pipelines:
            where = ("duties", name, "shown_by", "pipeline")
            what = (
                f"no pipeline is called {duty.shown_by.pipeline!r}. {known(duty.shown_by.pipeline, project.pipelines)}"
            )
            yield DUTIES, where, where, what


def _sources(project: Project) -> Iterator[Wrong]:
    """Tables that name a source that there is not, or one twice, or that cannot be fetched as they are described."""
    yield from _fetched(project)
    sources = project.sources.sources
    for name, table in project.sources.tables.items():
        where: Where = ("tables", name, "from")
        for number, source in enumerate(table.from_):
            if source not in sources:
                yield SOURCES, (*where, number), where, f"no source is called {source!r}. {known(source, sources)}"
            elif source in table.from_[:number]:
                yield SOURCES, (*where, number), where, f"names {source!r} twice. Keep one of the two."


def _fetched(project: Project) -> Iterator[Wrong]:
    """What fetching a table needs: a contract to hold it against, a first day that is one."""
    for name, table in project.sources.fetched.items():
        where: Where = ("tables", name)
        if name in TAKEN or name.startswith("_"):
            yield SOURCES, where, where, "has a name that notebooks see something else under. Choose another one."
        if not (project.folder / "config" / "contracts" / f"{name}.yml").is_file():
            yield SOURCES, where, where, f"is fetched and has no contract. Write config/contracts/{name}.yml."
        try:
            date.fromisoformat(table.begins or "2000-01-01")
        except ValueError:
            yield (
                SOURCES,
                (*where, "begins"),
                (*where, "begins"),
                f"{table.begins!r} is no day. Write it like 2017-11-15.",
            )


def _desk(project: Project) -> Iterator[Wrong]:
    """Lists of readers that the desk speaks of and that do not exist."""
    lists = project.people.readers
    for number, name in enumerate(project.settings.desk.stakeholders):
        if name not in lists:
            said = f"no list {name!r} in config/people.yml. {known(name, lists)}"
            yield SETTINGS, ("desk", "stakeholders", number), ("desk", "stakeholders"), said
