"""One file of config/ -> its model, or every problem in it: the file, the line, the key and the remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from runner.config.files import OPTIONAL, Contract, Design, Experiments, Pipeline, Pipelines
from runner.config.names import known, nearest
from runner.config.yaml import Where, line_of, parse, trouble_of
from runner.errors import ConfigError

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """One thing that is off: where it stands and what to do."""

    file: str
    key: str
    what: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.key + ': ' if self.key else ''}{self.what}"


@dataclass
class Found:
    """What reading the files has brought to light: problems, and on which line of which file each key stands."""

    folder: Path
    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, Mapping[Where, int]] = field(default_factory=dict)

    def add(self, file: str, where: Where, what: str, *, shown: Where | None = None) -> None:
        """Note a problem at a key of a file, with the line of the key or of the nearest one above it."""
        lines = self.lines.get(file, {})
        line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), 0)
        self.problems.append(Problem(file, _dotted(where if shown is None else shown), what, line))


def error_of(problems: list[Problem]) -> ConfigError:
    """One error that tells of every problem."""
    if len(problems) == 1:
        return ConfigError(str(problems[0]))
    lines = "".join(f"\n  {problem}" for problem in problems)
    return ConfigError(f"The configuration has {len(problems)} problems:{lines}")


def read(file: str, model: type[_Model], found: Found) -> _Model | None:
    """The model of a file; None when something is off, which is then among what was found."""
    try:
        data, lines, doubles = parse((found.folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found.add(file, (), "the file is missing. Compare with a fresh project: runner init DIR")
        return None
    except OSError as error:
        found.add(file, (), f"cannot be read: {error.strerror}. Make it a file that you may read.")
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        found.problems.append(Problem(file, "", f"is not YAML: {trouble_of(error)}", line_of(error)))
        return None
    found.lines[file] = lines
    for key, line in doubles:
        found.problems.append(Problem(file, _dotted(key), "is given twice. Keep one of the two.", line))
    if model is Pipelines:
        _name_pipelines(data, file, found)
    elif model in {*OPTIONAL.values(), Contract}:
        data = _completed(data, model)
    try:
        content = model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        twice = [key for key, _ in doubles]
        for detail in error.errors(include_url=False):
            where = tuple(part for part in detail["loc"] if part != "[key]")
            if not any(where[: len(key)] == key for key in twice):  # which of the two is meant is not known
                found.add(file, where, _what(model, detail, where))
        return None
    return None if doubles else content


def read_optional(found: Found) -> dict[type[BaseModel], BaseModel]:
    """The files that only some projects have, by model: a mistake in any is told before a kernel starts."""
    models: dict[type[BaseModel], BaseModel] = {}
    for file, model in OPTIONAL.items():
        if (found.folder / file).exists():
            content = read(file, model, found)
            if content is not None:
                models[model] = content
            if isinstance(content, Experiments):
                _check_designs(content, file, found)
    for path in sorted((found.folder / "config/contracts").glob("*.yml")):
        file = f"config/contracts/{path.name}"
        contract = read(file, Contract, found)
        for number, name in enumerate(contract.key if contract else ()):
            if contract and name not in contract.columns:
                what = f"{name!r} is no column. {known(name, contract.columns)}"
                found.add(file, ("key", number), what, shown=("key",))
    return models


def _completed(data: Any, model: type[BaseModel]) -> Any:
    """The same data with keys that hold nothing left out, and a column given by its type alone written in full."""
    if not isinstance(data, dict):
        return data
    data = {key: value for key, value in data.items() if value is not None}
    if model is Experiments and isinstance(data.get("experiments"), dict):
        data["experiments"] = {key: {} if value is None else value for key, value in data["experiments"].items()}
    if model is Contract and isinstance(data.get("columns"), dict):
        data["columns"] = {
            name: {key: value for key, value in rules.items() if value is not None}
            if isinstance(rules, dict)
            else {"type": rules}
            for name, rules in data["columns"].items()
        }
    return data


def _check_designs(content: Experiments, file: str, found: Found) -> None:
    """A share was planned where lots were drawn, and nowhere else; an entry stands over the defaults."""
    designs: dict[Where, Design] = {("defaults",): content.defaults}
    base = content.defaults.model_dump(exclude_unset=True)
    for key, own in content.experiments.items():
        designs["experiments", key] = Design(**{**base, **own.model_dump(exclude_unset=True)})
    for where, design in designs.items():
        if (design.assignment == "randomised") != (design.planned_share is not None):
            said = f"is {design.assignment} with a planned_share of {design.planned_share or 'null'}."
            found.add(file, where, f"{said} A randomised experiment needs the share, an observational one has null.")


def _name_pipelines(data: Any, file: str, found: Found) -> None:
    entries = data.get("pipelines") if isinstance(data, dict) else None
    for name, entry in (entries or {}).items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict):
            if "name" in entry:
                found.add(file, ("pipelines", name, "name"), "unknown key. The entry's own key is its name.")
            entry["name"] = name


_SHOULD = {
    "missing": "is missing. Add it.",
    "string_type": "should be text. Put it in quotes.",
    "string_pattern_mismatch": "write a name in small letters, digits and _, beginning with a letter.",
    "string_too_long": "write a name of at most {max_length} characters.",
    "float_type": "should be a number, such as 0.66.",
    "int_type": "should be a whole number, such as 17.",
    "bool_type": "should be true or false.",
    "tuple_type": "should be a list: [A, B].",
    "too_short": "should have at least {min_length}.",
    "model_type": "should hold keys and values, indented below it.",
    "greater_than_equal": "is {input}; write {ge:g} or more.",
    "greater_than": "is {input}; write more than {gt:g}.",
    "less_than_equal": "is {input}; write {le:g} or less.",
    "less_than": "is {input}; write less than {lt:g}.",
}


def _what(model: type[BaseModel], detail: Any, where: Where) -> str:
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        return f"unknown key. {nearest(str(where[-1]), _fields_at(model, where[:-1]))}"
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


def _fields_at(model: Any, where: Where) -> tuple[str, ...]:
    """The keys that may stand at this place of the file."""
    for part in where:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        elif get_origin(model) is not None:
            model = next((arg for arg in reversed(get_args(model)) if isinstance(arg, type)), None)
    if isinstance(model, type) and issubclass(model, BaseModel):
        fields = model.model_fields.items()
        return tuple(field.alias or name for name, field in fields if name != "name" or model is not Pipeline)
    return ()


def _dotted(where: Where) -> str:
    return ".".join(str(part) for part in where)
