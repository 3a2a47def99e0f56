"""`config/*.yml` -> frozen objects. Every error names the file, the key, what is wrong and the remedy, all at once.

YAML is read without its surprises: a key given twice is refused, `no` and `on` stay words, `12:30` and dates stay
text, `010` stays text. What is true or false is written `true` or `false`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from runner.errors import ConfigError, UsageError

WAREHOUSE = "warehouse"
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


# What a value may be: each refuses with one sentence that says how it should look.


def _seconds(text: Any) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", text) if isinstance(text, str) else None
    if not found or not float(found[1]):
        raise ValueError("write a length of time as a number and a unit: 90 s, 10 min, 2 h")
    return float(found[1]) * _SECONDS[found[2]]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("write a time zone by its place: America/New_York, Europe/Berlin, UTC") from error
    return name


def _email(text: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text):
        raise ValueError("write one address: name@example.com")
    return text


def _inside(text: str) -> str:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("write a path relative to the project's folder, without ..")
    return text


def _ledger(text: str) -> str:
    if "://" not in text:
        return _inside(text)
    scheme = text.partition("://")[0]
    if scheme != "sqlite" and "+" not in scheme:
        raise ValueError(f"name the driver in the address: {scheme}+DRIVER://…, such as postgresql+psycopg://…")
    return text


def _line(text: str) -> str:
    if not text.strip() or "\n" in text.strip():
        raise ValueError("write one line of text")
    return text.strip()


Line = Annotated[str, AfterValidator(_line)]
Email = Annotated[str, AfterValidator(_email)]
Inside = Annotated[str, AfterValidator(_inside)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


# The files.


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Person(_Strict):
    """Someone with a name and an address."""

    name: Line
    email: Email


class Settings(_Strict):
    """`config/settings.yml`: the company, its places and its limits (seconds)."""

    company: Line
    currency: Line = "USD"
    time_zone: Annotated[str, AfterValidator(_zone)]
    confidential: str = ""
    sender: Person
    ledger: Annotated[str, AfterValidator(_ledger)] = "reports/ledger.sqlite"
    warehouse: Inside = ".cache/warehouse.duckdb"
    maildir: Inside = "reports/mail"
    run_limit: Seconds = 600.0
    render_limit: Seconds = 60.0
    runs_at_once: Annotated[int, Field(ge=1, le=64)] = 2


class People(_Strict):
    """`config/people.yml`: engineers by key, readers by list."""

    engineers: Mapping[Key, Person]
    readers: Mapping[Key, tuple[Person, ...]]


class Owners(_Strict):
    """The two engineers of a pipeline, and why these two."""

    primary: str
    secondary: str
    because: Line


class Pipeline(_Strict):
    """One entry of `config/pipelines.yml`; `name` is its key."""

    name: str
    title: Line
    subtitle: str = ""
    notebook: Inside
    period: Literal["day", "week", "experiment"]
    experiment: str | int | None = None
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    deadline: Line
    owners: Owners
    readers: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    sources: tuple[Inside, ...]
    limit: Seconds | None = None
    cell_limit: Seconds | None = None


class _Pipelines(_Strict):
    pipelines: Annotated[Mapping[Key, Pipeline], Field(min_length=1)]


@dataclass(frozen=True)
class Project:
    """A folder with `config/` and `notebooks/`, read and found to be in order."""

    folder: Path
    settings: Settings
    people: People
    pipelines: Mapping[str, Pipeline]

    @property
    def reports(self) -> Path:
        """Where finished reports lie: reports/<pipeline>/<period>/<run>/."""
        return self.folder / "reports"

    @property
    def maildir(self) -> Path:
        """Where finished messages lie."""
        return self.folder / self.settings.maildir

    @property
    def ledger(self) -> str:
        """The ledger's database address."""
        text = self.settings.ledger
        return text if "://" in text else f"sqlite:///{self.folder / text}"

    @property
    def templates(self) -> tuple[Path, ...]:
        """The project's own folder of templates, if it has one; it comes before those shipped."""
        own = self.folder / "templates"
        return (own,) if own.is_dir() else ()

    def notebook(self, pipeline: Pipeline) -> Path:
        """The notebook of a pipeline."""
        return self.folder / "notebooks" / pipeline.notebook

    def readers(self, pipeline: Pipeline) -> tuple[Person, ...]:
        """Everyone on the pipeline's lists, each address once."""
        people = (person for name in pipeline.readers for person in self.people.readers[name])
        return tuple({person.email.lower(): person for person in people}.values())

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of this name. Raises UsageError with the nearest name."""
        if name not in self.pipelines:
            raise UsageError(f"No pipeline is called {name!r}.", _nearest(name, self.pipelines))
        return self.pipelines[name]

    def in_order(self) -> tuple[Pipeline, ...]:
        """All pipelines, inputs first, otherwise as written."""
        done: dict[str, Pipeline] = {}

        def place(pipeline: Pipeline) -> None:
            for name in pipeline.inputs:
                place(self.pipelines[name])
            done.setdefault(pipeline.name, pipeline)

        for pipeline in self.pipelines.values():
            place(pipeline)
        return tuple(done.values())


# Loading.


_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class _Problem:
    file: str
    key: str
    what: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.key + ': ' if self.key else ''}{self.what}"


def load(folder: Path) -> Project:
    """The project in `folder`.

    Raises ConfigError that lists every problem found in the three files.
    """
    folder = folder.resolve()
    if not (folder / "config" / "pipelines.yml").is_file():
        raise ConfigError(
            f"{folder} is not a project: it has no config/pipelines.yml.",
            "Go to a project's folder, name one with --project DIR, or make one with: runner init DIR",
        )
    problems: list[_Problem] = []
    settings = _read(folder / "config/settings.yml", Settings, problems)
    people = _read(folder / "config/people.yml", People, problems)
    pipelines = _read(folder / "config/pipelines.yml", _Pipelines, problems)
    if settings and people and pipelines:
        project = Project(folder, settings, people, pipelines.pipelines)
        problems.extend(_disagreements(project))
    if problems:
        raise _error(problems)
    return project


def _error(problems: list[_Problem]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(str(problems[0]))
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(f"The configuration has {len(problems)} problems:{lines}")


def _read(path: Path, model: type[_Model], problems: list[_Problem]) -> _Model | None:
    file = f"config/{path.name}"
    try:
        data, lines, doubles = _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(_Problem(file, "", "the file is missing. Compare with a fresh project: runner init DIR"))
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(_Problem(file, "", f"is not YAML: {_yaml_trouble(error)}", _yaml_line(error)))
        return None
    problems.extend(_Problem(file, _dotted(key), "is given twice. Keep one of the two.", line) for key, line in doubles)
    if model is _Pipelines:
        problems.extend(_name_pipelines(data, file))
    try:
        found = model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems.extend(_problem(file, model, detail, lines) for detail in error.errors(include_url=False))
        return None
    return None if doubles else found


def _name_pipelines(data: Any, file: str) -> Iterator[_Problem]:
    entries = data.get("pipelines") if isinstance(data, dict) else None
    for name, entry in (entries or {}).items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict):
            if "name" in entry:
                yield _Problem(file, f"pipelines.{name}.name", "unknown key. The entry's own key is its name.")
            entry["name"] = name


_Where = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML with only true, false, null, whole and decimal numbers and text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _parse(text: str) -> tuple[Any, dict[_Where, int], list[tuple[_Where, int]]]:
    """The data, the line of each key, and the keys that are given twice."""
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        lines: dict[_Where, int] = {}
        doubles: list[tuple[_Where, int]] = []
        data = _build(loader, root, (), lines, doubles) if root else None
    finally:
        loader.dispose()
    return data, lines, doubles


def _build(
    loader: _Loader,
    node: yaml.Node,
    where: _Where,
    lines: dict[_Where, int],
    doubles: list[tuple[_Where, int]],
) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*where, i), lines, doubles) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        lines[(*where, key)] = key_node.start_mark.line + 1
        if key in data:
            doubles.append(((*where, key), key_node.start_mark.line + 1))
        data[key] = _build(loader, value_node, (*where, key), lines, doubles)
    return data


def _yaml_line(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 0


def _yaml_trouble(error: Exception) -> str:
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem}. Check the indentation, and quote text that holds ': ' or ' #'."


def _dotted(where: _Where) -> str:
    return ".".join(str(part) for part in where)


def _problem(file: str, model: type[BaseModel], detail: Any, lines: Mapping[_Where, int]) -> _Problem:
    where = tuple(part for part in detail["loc"] if part != "[key]")
    known = lines.get(where) or lines.get(where[:-1], 0)
    return _Problem(file, _dotted(where), _what(model, detail, where), known)


def _what(model: type[BaseModel], detail: Any, where: _Where) -> str:
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        return f"unknown key. {_nearest(str(where[-1]), _fields_at(model, where[:-1]))}"
    if kind == "missing":
        return "is missing. Add it."
    if kind == "string_type":
        return "should be text. Put it in quotes."
    if kind == "string_pattern_mismatch":
        return "write a name in small letters, digits and _, beginning with a letter."
    if kind == "model_type" or kind.startswith("mapping"):
        return "should hold keys and values, indented below it."
    return f"{message.removeprefix('Value error, ')}."


def _fields_at(model: Any, where: _Where) -> tuple[str, ...]:
    """The keys that may stand at this place of the file."""
    for part in where:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        elif get_origin(model) is not None:
            model = next((arg for arg in reversed(get_args(model)) if isinstance(arg, type)), None)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return tuple(name for name in model.model_fields if name != "name" or model is not Pipeline)
    return ()


def _nearest(name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known) or 'none'}."


# What the files say of each other.


def _disagreements(project: Project) -> Iterator[_Problem]:
    for pipeline in project.pipelines.values():
        for key, what in _wrong(project, pipeline):
            yield _Problem("config/pipelines.yml", f"pipelines.{pipeline.name}.{key}".rstrip("."), what)
    yield from _cycles(project)


def _wrong(project: Project, pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Pairs of key and what is wrong with it."""
    engineers, readers = project.people.engineers, project.people.readers
    for role in ("primary", "secondary"):
        name = getattr(pipeline.owners, role)
        if name not in engineers:
            yield f"owners.{role}", f"no engineer {name!r} in config/people.yml. {_nearest(name, engineers)}"
    if pipeline.owners.primary == pipeline.owners.secondary:
        yield "owners.secondary", "is the primary too. Name another engineer: someone must step in."
    for name in pipeline.readers:
        if name not in readers:
            yield "readers", f"no list {name!r} in config/people.yml. {_nearest(name, readers)}"
    for name in pipeline.inputs:
        if name not in project.pipelines:
            yield "inputs", f"no pipeline is called {name!r}. {_nearest(name, project.pipelines)}"
    yield from _wrong_files(project, pipeline)


def _wrong_files(project: Project, pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    if not pipeline.notebook.endswith(".ipynb") or not project.notebook(pipeline).is_file():
        yield "notebook", f"there is no notebook notebooks/{pipeline.notebook}. Write it, or correct the name."
    for source in pipeline.sources:
        if source != WAREHOUSE and not (project.folder / source).is_file():
            yield "sources", f"there is no file {source}. Name a file of this project, or `{WAREHOUSE}`."
    if (pipeline.experiment is not None) != (pipeline.period == "experiment"):
        yield "experiment", "belongs to `period: experiment`, and to no other. Add or remove one of the two."
    if project.reports / pipeline.name == project.maildir:
        yield "", "has the name of the folder of mails. Rename the pipeline, or set maildir in settings.yml."


def _cycles(project: Project) -> Iterator[_Problem]:
    """One problem for each pipeline that would wait for itself."""
    for name in project.pipelines:
        path = _way_back(project, name)
        if path:
            text = " needs ".join(path)
            yield _Problem("config/pipelines.yml", f"pipelines.{name}.inputs", f"a circle: {text}. Remove one input.")


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
