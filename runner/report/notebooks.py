"""Notebook files: read, written whole or not at all, and made."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import runner.light  # noqa: F401 - before nbformat

import nbformat  # isort: skip
from nbformat import NotebookNode  # isort: skip

__all__ = ["NotebookNode", "bare", "code", "node", "notebook", "of", "output", "own", "read", "words", "write"]


def read(path: Path) -> NotebookNode:
    """A notebook in the newest format. Raises OSError, or ValueError when it is no notebook."""
    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-any-return, no-untyped-call]
    except (AttributeError, KeyError, nbformat.ValidationError) as error:  # JSON of another kind
        raise ValueError(f"{path.name} is no notebook: {error}") from error


def bare(path: Path) -> NotebookNode:
    """As `read`, without what stored runs put out: outputs, counts and their metadata are not even parsed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        for cell in data.get("cells", ()):
            if cell.get("cell_type") == "code":
                cell["outputs"], cell["execution_count"] = [], None
        return nbformat.reads(json.dumps(data), as_version=4)  # type: ignore[no-any-return, no-untyped-call]
    except (AttributeError, KeyError, TypeError, nbformat.ValidationError) as error:  # JSON of another kind
        raise ValueError(f"{path.name} is no notebook: {error}") from error


def own(path: Path) -> NotebookNode:
    """A notebook that this program has just written: not validated once more, which takes most of the time."""
    return of(path.read_bytes())


def of(data: bytes) -> NotebookNode:
    """As `own`, by what is in the file. Raises ValueError for what is no JSON."""
    return nbformat.from_dict(json.loads(data))  # type: ignore[no-any-return, no-untyped-call]


def write(nb: NotebookNode, path: Path, indent: int | None = 1) -> None:
    """Write a notebook so that the file is either the old one or the new one, never half.

    Without `indent` it is written four times as fast, in one line.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    part.write_text(json.dumps(nb, ensure_ascii=False, indent=indent, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


def words(text: str, *tags: str) -> NotebookNode:
    """A markdown cell."""
    return nbformat.v4.new_markdown_cell(text, metadata=_tags(tags))  # type: ignore[no-any-return, no-untyped-call]


def code(text: str, *tags: str) -> NotebookNode:
    """A code cell."""
    return nbformat.v4.new_code_cell(text, metadata=_tags(tags))  # type: ignore[no-any-return, no-untyped-call]


def output(kind: str, **parts: Any) -> NotebookNode:
    """An output of a code cell."""
    return nbformat.v4.new_output(kind, **parts)  # type: ignore[no-any-return, no-untyped-call]


def node(**parts: Any) -> NotebookNode:
    """A piece of metadata."""
    return NotebookNode(**parts)  # type: ignore[no-untyped-call]


def notebook(*cells: NotebookNode) -> NotebookNode:
    """A notebook for Python of these cells, whose ids follow from their places: the same notebook every time."""
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=list(cells))  # type: ignore[no-untyped-call]
    made.metadata = node(kernelspec=kernel, language_info={"name": "python"})
    return made  # type: ignore[no-any-return]


def _tags(tags: tuple[str, ...]) -> dict[str, Any]:
    return {"tags": list(tags)} if tags else {}
