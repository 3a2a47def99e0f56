"""YAML without its surprises, and with the line of every key.

A key given twice is refused, `no` and `on` stay words, `12:30` and dates stay text, `010` stays text. What is true or
false is written `true` or `false`.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

Where = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML with only true, false, null, whole and decimal numbers and text."""


_Loader.yaml_implicit_resolvers = {}


class _Swift(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where it is there: ten times as fast."""


_Swift.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def parse(text: str) -> tuple[Any, dict[Where, int], list[tuple[Where, int]]]:
    """The data, the line of each key, and the keys that are given twice."""
    try:
        return _parsed(_Swift(text))
    except yaml.YAMLError:  # said in the words of the other, whatever is installed
        return _parsed(_Loader(text))


def _parsed(loader: Any) -> tuple[Any, dict[Where, int], list[tuple[Where, int]]]:
    try:
        root = loader.get_single_node()
        lines: dict[Where, int] = {}
        doubles: list[tuple[Where, int]] = []
        data = _build(loader, root, (), lines, doubles) if root else None
    finally:
        loader.dispose()
    return data, lines, doubles


def _build(
    loader: Any,
    node: yaml.Node,
    where: Where,
    lines: dict[Where, int],
    doubles: list[tuple[Where, int]],
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


def line_of(error: Exception) -> int:
    """The line that an error of YAML speaks of; 0 when it names none."""
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 0


def trouble_of(error: Exception) -> str:
    """What an error of YAML says, with the remedy."""
    problem = getattr(error, "problem", None) or str(error)
    return f"{problem}. Check the indentation, and quote text that holds ': ' or ' #'."
