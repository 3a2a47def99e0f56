"""A notebook's `parameters` cell: read without running it, and what is given checked against it.

The cell holds only lines of the form `name: annotation = literal  # help`. An annotation is str, int, float, bool,
list, dict or "date" (text such as 2017-11-15). Texts from a command line are turned into values by the declared type
and by nothing else: 00123 stays the text "00123" where text is declared.
"""

from __future__ import annotations

import ast
import datetime as dt
import difflib
import io
import json
import math
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from runner.errors import ConfigError, UsageError
from runner.report import notebooks

Value = str | int | float | bool | list[Any] | dict[str, Any]

GRAMMAR = 'Write each line as  name: str = "text"  # help  (types: str, int, float, bool, list, dict, "date").'
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "date": (str,),
}
_EXAMPLES = {
    "str": "text",
    "int": "a whole number such as 18",
    "float": "a finite number such as 0.05",
    "bool": "true or false",
    "list": 'a JSON list such as ["a", "b"]',
    "dict": 'a JSON object such as {"a": 1}',
    "date": "a day such as 2017-11-15",
}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    kind: str
    default: Value
    help: str = ""

    def accepts(self, value: object) -> bool:
        """Whether a value is of the declared type, finite throughout, and for a date a real day."""
        if not isinstance(value, _TYPES[self.kind]) or (isinstance(value, bool) and self.kind != "bool"):
            return False
        return _is_day(value) if self.kind == "date" else _is_plain(value)

    def read(self, text: str) -> Value:
        """The value that a text on the command line means. Raises UsageError."""
        try:
            value = _read(self.kind, text)
        except ValueError:
            value = None
        if not self.accepts(value):
            raise UsageError(f"Parameter {self.name!r} cannot be {text!r}.", f"Write {_EXAMPLES[self.kind]}.")
        return cast("Value", value)


def _read(kind: str, text: str) -> Any:
    if kind in {"str", "date"}:
        return text
    if kind == "int":
        return int(_shaped(text, r"[+-]?[0-9]+"))
    if kind == "float":
        return float(_shaped(text, r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"))
    if kind == "bool":
        return {"true": True, "false": False}.get(text)
    return json.loads(text)


def _shaped(text: str, pattern: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError(text)
    return text


def _is_day(value: Any) -> bool:
    try:
        return bool(dt.date.fromisoformat(value).isoformat() == value)
    except ValueError:
        return False


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON through and through, with no NaN or infinity in it."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, str | int)


# Reading the cell.


def read(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares, by name.

    Raises ConfigError that names the notebook, the line and the remedy.
    """
    source = _cell(notebook)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        _refuse(notebook, error.lineno, f"is not plain Python: {error.msg}", GRAMMAR)
    helps = _comments(source)
    found: dict[str, Parameter] = {}
    for line in tree.body:
        parameter = _parameter(notebook, line, helps.get(line.end_lineno or 0, ""))
        if parameter.name in found:
            _refuse(notebook, line.lineno, f"gives {parameter.name!r} twice", "Keep one of the two.")
        found[parameter.name] = parameter
    return found


def _cell(notebook: Path) -> str:
    try:
        nb = notebooks.read(notebook)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{notebook.name} is not a notebook that can be read: {error}.", "Open it in JupyterLab and save it again."
        ) from error
    cells = [cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", ())]
    if len(cells) != 1 or cells[0].cell_type != "code":
        tagged = {0: "no cell", 1: "no code cell"}.get(len(cells), f"{len(cells)} cells")
        raise ConfigError(
            f"{notebook.name} has {tagged} tagged `parameters`; it needs exactly one.",
            "In JupyterLab: select the cell with the defaults, open the property inspector, and add the tag there.",
        )
    return str(cells[0].source)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _parameter(notebook: Path, line: ast.stmt, text: str) -> Parameter:
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
        _refuse(notebook, line.lineno, f"holds `{ast.unparse(line).splitlines()[0]}`", GRAMMAR)
    name, kind = line.target.id, _kind(line.annotation)
    if kind not in _TYPES:
        _refuse(notebook, line.lineno, f"declares {name!r} as `{ast.unparse(line.annotation)}`", GRAMMAR)
    try:
        default = ast.literal_eval(line.value)
    except ValueError:
        _refuse(notebook, line.lineno, f"computes the default of {name!r}", "Write the value itself: a literal.")
    parameter = Parameter(name, kind, default, text)
    if not parameter.accepts(default):
        _refuse(notebook, line.lineno, f"gives {name!r} a default that is no {kind}", f"Write {_EXAMPLES[kind]}.")
    return parameter


def _kind(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Name):
        return annotation.id
    return str(annotation.value) if isinstance(annotation, ast.Constant) else ""


def _refuse(notebook: Path, line: int | None, what: str, remedy: str) -> NoReturn:
    raise ConfigError(f"{notebook.name}: the parameters cell {what} (line {line}).", remedy)


# Checking what is given.


def check(notebook: Path, declared: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Value]:
    """What is given, found to be declared and of the right type.

    Raises UsageError that lists everything that is off.
    """
    troubles = list(_troubles(declared, given))
    if troubles:
        raise UsageError(f"{notebook.name}: {' '.join(troubles)}")
    return cast("dict[str, Value]", dict(given))


def _troubles(declared: Mapping[str, Parameter], given: Mapping[str, object]) -> Iterator[str]:
    for name, value in given.items():
        if name not in declared:
            yield _unknown(declared, name)
        elif not declared[name].accepts(value):
            yield f"parameter {name!r} cannot be {value!r}; it needs {_EXAMPLES[declared[name].kind]}."


def convert(notebook: Path, declared: Mapping[str, Parameter], texts: Mapping[str, str]) -> dict[str, Value]:
    """The values that texts from a command line mean. Raises UsageError."""
    unknown = [_unknown(declared, name) for name in texts if name not in declared]
    if unknown:
        raise UsageError(f"{notebook.name}: {' '.join(unknown)}")
    return {name: declared[name].read(text) for name, text in texts.items()}


def _unknown(declared: Mapping[str, Parameter], name: str) -> str:
    close = difflib.get_close_matches(name, list(declared), n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}?" if close else f"It has: {', '.join(declared) or 'none'}."
    return f"there is no parameter {name!r}. {hint}"
