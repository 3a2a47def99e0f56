"""`config/*.yml` -> frozen objects. Every error names the file, the key, what is wrong and the remedy, all at once.

YAML is read without its surprises: a key given twice is refused, `no` and `on` stay words, `12:30` and dates stay
text, `010` stays text. What is true or false is written `true` or `false`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

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


def _day(text: str) -> str:
    if not _is_day(text):
        raise ValueError("write a day as YYYY-MM-DD, such as 2017-06-10")
    return text


def _closed(text: str) -> str:
    if not _is_day(text) and not _is_day(f"2000-{text}"):
        raise ValueError('write "MM-DD" for every year, such as "12-25", or one day as YYYY-MM-DD')
    return text


def _is_day(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _number(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*", text):
        raise ValueError("write the experiment's number, such as 30")
    return text


def _shares(goods: Mapping[str, float]) -> Mapping[str, float]:
    if "*" not in goods:
        raise ValueError('has no key "*", which costs every department that is not named. Add one, such as "*": 0.65')
    return goods


def _bound(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("should be a number, or a day for columns of type day or time")  # noqa: TRY004 - pydantic's
    return value


def _listed(values: Any) -> Any:
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError("should be a list of texts or numbers: [A, B]")
    return values


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


class _Costs(_Strict):
    """`config/costs.yml`: what the reports assume of costs."""

    goods: Annotated[Mapping[str, Annotated[float, Field(ge=0, le=2)]], AfterValidator(_shares)]
    handling_per_basket: Annotated[float, Field(ge=0)]
    contact_per_household: Annotated[float, Field(ge=0)]
    clearing_per_redemption: Annotated[float, Field(ge=0)]


class _Holidays(_Strict):
    """`config/holidays.yml`: days on which ordinary figures are not to be expected."""

    closed_on: tuple[Annotated[str, AfterValidator(_closed)], ...] = ()
    closes_early: Mapping[Line, Annotated[int, Field(ge=0, le=24)]] = Field(default_factory=dict)
    named: Mapping[Annotated[str, AfterValidator(_day)], Line] = Field(default_factory=dict)


class _Design(_Strict):
    assignment: Literal["observational", "randomised"] = "observational"
    planned_share: Annotated[float, Field(gt=0, lt=1)] | None = None


class _Experiments(_Strict):
    """`config/experiments.yml`: how experiments were designed, as `runner.notebook.experiments` reads it."""

    defaults: _Design = _Design()
    experiments: Mapping[Annotated[str, AfterValidator(_number)], _Design] = Field(default_factory=dict)


class _Rules(_Strict):
    type: Literal["int64", "float64", "str", "day", "time"]
    nullable: bool = False
    min: Annotated[Any, AfterValidator(_bound)] = None
    max: Annotated[Any, AfterValidator(_bound)] = None
    values: Annotated[Any, AfterValidator(_listed)] = ()
    about: str = ""

    @model_validator(mode="after")
    def _bounds_fit(self) -> _Rules:
        given = [value for value in (self.min, self.max) if value is not None]
        wanted = {"int64": (int, float), "float64": (int, float), "str": ()}.get(self.type, (str,))
        if not all(isinstance(value, wanted) for value in given):
            raise ValueError(f"min and max do not fit the type {self.type}: numbers bound numbers, days bound days")
        if len(given) == 2 and given[0] > given[1]:
            raise ValueError(f"min {given[0]} lies above max {given[1]}. Exchange them")
        return self


class _Contract(_Strict):
    """`config/contracts/*.yml`: what a table must look like, as `runner.notebook.contracts` reads it."""

    table: Line | None = None
    key: tuple[str, ...] = ()
    columns: Mapping[str, _Rules]
    about: str = ""


#: Files that only notebooks read, and only some projects have.
_OPTIONAL: Mapping[str, type[BaseModel]] = {
    "config/costs.yml": _Costs,
    "config/holidays.yml": _Holidays,
    "config/experiments.yml": _Experiments,
}


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
            raise UsageError(f"No pipeline is called {name!r}.", _known(name, self.pipelines))
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


_Where = tuple[str | int, ...]


@dataclass
class _Found:
    """What reading the files has brought to light: problems, and on which line of which file each key stands."""

    folder: Path
    problems: list[_Problem] = field(default_factory=list)
    lines: dict[str, Mapping[_Where, int]] = field(default_factory=dict)

    def add(self, file: str, where: _Where, what: str, *, shown: _Where | None = None) -> None:
        """Note a problem at a key of a file, with the line of the key or of the nearest one above it."""
        lines = self.lines.get(file, {})
        line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), 0)
        self.problems.append(_Problem(file, _dotted(where if shown is None else shown), what, line))


def load(folder: Path) -> Project:
    """The project in `folder`.

    Raises ConfigError that lists every problem found in the files of config/, also in those that notebooks alone read.
    """
    folder = folder.resolve()
    if not (folder / "config" / "pipelines.yml").is_file():
        raise ConfigError(
            f"{folder} is not a project: it has no config/pipelines.yml.",
            "Go to a project's folder, name one with --project DIR, or make one with: runner init DIR",
        )
    found = _Found(folder)
    settings = _read("config/settings.yml", Settings, found)
    people = _read("config/people.yml", People, found)
    pipelines = _read("config/pipelines.yml", _Pipelines, found)
    _read_optional(found)
    if settings and people and pipelines:
        project = Project(folder, settings, people, pipelines.pipelines)
        for where, shown, what in _disagreements(project):
            found.add("config/pipelines.yml", where, what, shown=shown)
        if not found.problems:
            return project
    raise _error(found.problems)


def _error(problems: list[_Problem]) -> ConfigError:
    if len(problems) == 1:
        return ConfigError(str(problems[0]))
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(f"The configuration has {len(problems)} problems:{lines}")


def _read(file: str, model: type[_Model], found: _Found) -> _Model | None:
    try:
        data, lines, doubles = _parse((found.folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found.add(file, (), "the file is missing. Compare with a fresh project: runner init DIR")
        return None
    except OSError as error:
        found.add(file, (), f"cannot be read: {error.strerror}. Make it a file that you may read.")
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        found.problems.append(_Problem(file, "", f"is not YAML: {_yaml_trouble(error)}", _yaml_line(error)))
        return None
    found.lines[file] = lines
    for key, line in doubles:
        found.problems.append(_Problem(file, _dotted(key), "is given twice. Keep one of the two.", line))
    if model is _Pipelines:
        _name_pipelines(data, file, found)
    elif model in {*_OPTIONAL.values(), _Contract}:
        data = _completed(data, model)
    try:
        read = model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        twice = [key for key, _ in doubles]
        for detail in error.errors(include_url=False):
            where = tuple(part for part in detail["loc"] if part != "[key]")
            if not any(where[: len(key)] == key for key in twice):  # which of the two is meant is not known
                found.add(file, where, _what(model, detail, where))
        return None
    return None if doubles else read


def _read_optional(found: _Found) -> None:
    """Read what only notebooks use and some projects have: a mistake in it is told before a kernel starts."""
    for file, model in _OPTIONAL.items():
        if (found.folder / file).exists():
            read = _read(file, model, found)
            if isinstance(read, _Experiments):
                _check_designs(read, file, found)
    for path in sorted((found.folder / "config/contracts").glob("*.yml")):
        file = f"config/contracts/{path.name}"
        contract = _read(file, _Contract, found)
        for number, name in enumerate(contract.key if contract else ()):
            if contract and name not in contract.columns:
                what = f"{name!r} is no column. {_known(name, contract.columns)}"
                found.add(file, ("key", number), what, shown=("key",))


def _completed(data: Any, model: type[BaseModel]) -> Any:
    """The same data with keys that hold nothing left out, and a column given by its type alone written in full."""
    if not isinstance(data, dict):
        return data
    data = {key: value for key, value in data.items() if value is not None}
    if model is _Experiments and isinstance(data.get("experiments"), dict):
        data["experiments"] = {key: {} if value is None else value for key, value in data["experiments"].items()}
    if model is _Contract and isinstance(data.get("columns"), dict):
        data["columns"] = {
            name: {key: value for key, value in rules.items() if value is not None}
            if isinstance(rules, dict)
            else {"type": rules}
            for name, rules in data["columns"].items()
        }
    return data


def _check_designs(read: _Experiments, file: str, found: _Found) -> None:
    """A share was planned where lots were drawn, and nowhere else; an entry stands over the defaults."""
    designs: dict[_Where, _Design] = {("defaults",): read.defaults}
    base = read.defaults.model_dump(exclude_unset=True)
    for key, own in read.experiments.items():
        designs["experiments", key] = _Design(**{**base, **own.model_dump(exclude_unset=True)})
    for where, design in designs.items():
        if (design.assignment == "randomised") != (design.planned_share is not None):
            said = f"is {design.assignment} with a planned_share of {design.planned_share or 'null'}."
            found.add(file, where, f"{said} A randomised experiment needs the share, an observational one has null.")


def _name_pipelines(data: Any, file: str, found: _Found) -> None:
    entries = data.get("pipelines") if isinstance(data, dict) else None
    for name, entry in (entries or {}).items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict):
            if "name" in entry:
                found.add(file, ("pipelines", name, "name"), "unknown key. The entry's own key is its name.")
            entry["name"] = name


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


_SHOULD = {
    "missing": "is missing. Add it.",
    "string_type": "should be text. Put it in quotes.",
    "string_pattern_mismatch": "write a name in small letters, digits and _, beginning with a letter.",
    "float_type": "should be a number, such as 0.66.",
    "int_type": "should be a whole number, such as 17.",
    "bool_type": "should be true or false.",
    "tuple_type": "should be a list: [A, B].",
    "model_type": "should hold keys and values, indented below it.",
    "greater_than_equal": "is {input}; write {ge:g} or more.",
    "greater_than": "is {input}; write more than {gt:g}.",
    "less_than_equal": "is {input}; write {le:g} or less.",
    "less_than": "is {input}; write less than {lt:g}.",
}


def _what(model: type[BaseModel], detail: Any, where: _Where) -> str:
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        return f"unknown key. {_nearest(str(where[-1]), _fields_at(model, where[:-1]))}"
    if kind == "literal_error":
        return _not_listed(str(detail["input"]), detail["ctx"]["expected"])
    if kind.startswith("mapping"):
        kind = "model_type"
    if kind in _SHOULD:
        return _SHOULD[kind].format(input=detail["input"], **detail.get("ctx", {}))
    return f"{message.removeprefix('Value error, ')}."


def _not_listed(given: str, listed: str) -> str:
    close = difflib.get_close_matches(given, re.findall(r"'([^']*)'", listed), n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"is {given!r}; write {listed}.{hint}"


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


def _nearest(name: str, known: Collection[str]) -> str:
    """The known key that was meant; all of them when none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known) or 'none'}."


def _known(name: str, known: Collection[str]) -> str:
    """All known names, and before them the one that was meant where it is very near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"Known: {', '.join(known) or 'none'}."


# What the files say of each other: where it stands, the key that is shown, and what is wrong.


_Wrong = tuple[_Where, _Where, str]


def _disagreements(project: Project) -> Iterator[_Wrong]:
    for pipeline in project.pipelines.values():
        entry = ("pipelines", pipeline.name)
        for where, what in _wrong(project, pipeline):
            yield (*entry, *where), (*entry, *(part for part in where if isinstance(part, str))), what
    yield from _cycles(project)


def _wrong(project: Project, pipeline: Pipeline) -> Iterator[tuple[_Where, str]]:
    """Pairs of key and what is wrong with it."""
    engineers, readers = project.people.engineers, project.people.readers
    for role in ("primary", "secondary"):
        name = getattr(pipeline.owners, role)
        if name not in engineers:
            yield ("owners", role), f"no engineer {name!r} in config/people.yml. {_known(name, engineers)}"
    if pipeline.owners.primary == pipeline.owners.secondary:
        yield ("owners", "secondary"), "is the primary too. Name another engineer: someone must step in."
    for number, name in enumerate(pipeline.readers):
        if name not in readers:
            yield ("readers", number), f"no list {name!r} in config/people.yml. {_known(name, readers)}"
    for number, name in enumerate(pipeline.inputs):
        if name not in project.pipelines:
            yield ("inputs", number), f"no pipeline is called {name!r}. {_known(name, project.pipelines)}"
    yield from _wrong_files(project, pipeline)


def _wrong_files(project: Project, pipeline: Pipeline) -> Iterator[tuple[_Where, str]]:
    if not pipeline.notebook.endswith(".ipynb") or not project.notebook(pipeline).is_file():
        yield ("notebook",), f"there is no notebook notebooks/{pipeline.notebook}. Write it, or correct the name."
    for number, source in enumerate(pipeline.sources):
        if source != WAREHOUSE and not (project.folder / source).is_file():
            yield ("sources", number), f"there is no file {source}. Name a file of this project, or `{WAREHOUSE}`."
    if (pipeline.experiment is not None) != (pipeline.period == "experiment"):
        yield ("experiment",), "belongs to `period: experiment`, and to no other. Add or remove one of the two."
    if project.reports / pipeline.name == project.maildir:
        yield (), "has the name of the folder of mails. Rename the pipeline, or set maildir in settings.yml."


def _cycles(project: Project) -> Iterator[_Wrong]:
    """One problem for each pipeline that would wait for itself."""
    for name in project.pipelines:
        path = _way_back(project, name)
        if path:
            text = " needs ".join(path)
            yield ("pipelines", name, "inputs"), ("pipelines", name, "inputs"), f"a circle: {text}. Remove one input."


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
