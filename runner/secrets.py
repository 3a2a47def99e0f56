"""Secrets: how they are named and where they are read.

A secret is named in config as `env:NAME`, and is the content of the variable NAME or of the file that NAME_FILE names.
No error, log line or representation here carries one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from runner.errors import ConfigError

_NAMED = re.compile(r"env:([A-Z][A-Z0-9_]*)")


def variables(names: Iterable[str]) -> frozenset[str]:
    """The environment variables behind names such as `env:TILLS_TOKEN`: each, and the one that may name its file."""
    found = {match[1] for name in names if (match := _NAMED.fullmatch(name))}
    return frozenset(found | {f"{name}_FILE" for name in found})


def read(name: str, environment: Mapping[str, str]) -> str:
    """The secret behind `env:NAME`. Raises ConfigError that names the variable and nothing of its content."""
    found = _NAMED.fullmatch(name)
    if not found:
        raise ConfigError(f"{name!r} names no secret.", "Write env:NAME.")
    variable = found[1]
    text, file = environment.get(variable, "").strip(), environment.get(f"{variable}_FILE", "").strip()
    if not text and file:
        with suppress(OSError, ValueError):
            text = Path(file).read_text("utf-8").strip()
        if not text:
            what = f"The file that {variable}_FILE names is empty or cannot be read."
            raise ConfigError(what, "Check its path and its rights.")
    if not text:
        raise ConfigError(f"The secret {variable} is not set.", f"Set {variable}, or {variable}_FILE to its file.")
    return text
