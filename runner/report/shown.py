"""Secrets that a run shows: found in its notebook and its files, and taken out before anything of it is kept.

A notebook is looked through cell by cell, so that the error can name the cell. What held a secret is not kept: a note
stands in its place. Errors keep their words, without the secret, for they say what is wrong.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import RunnerError, SecretShown
from runner.leaks import Leak, Scanner
from runner.report import notebooks
from runner.report.execute import BANNER, banner, where
from runner.report.notebooks import NotebookNode

#: Pictures of bytes: no words, but what stands in their own metadata.
_PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CHART = re.compile(rb"data:image/svg\+xml;base64,[A-Za-z0-9+/=]*")
#: Files that go on without a secret; others are not kept.
_LOGS = {"kernel.log", "events.jsonl"}
#: Places that one error names.
_MOST = 3
_METADATA = "The notebook's metadata"


def error_of(leaks: Iterable[Leak]) -> SecretShown:
    """The error that says where, and of which variable."""
    told = [str(leak) for leak in leaks]
    more = f" And {len(told) - _MOST} more." if len(told) > _MOST else ""
    return SecretShown(
        " ".join(told[:_MOST]) + more, "Take it out of the notebook; nothing was sent, and it was not kept."
    )


def cleaned(error: RunnerError, scanner: Scanner) -> RunnerError:
    """The same error with the names of secrets in their place."""
    error.what, error.remedy = scanner.redact(error.what), scanner.redact(error.remedy)
    error.typed = scanner.redact(error.typed)
    error.args = (error.what, error.remedy)
    return error


# The notebook.


def take_out(nb: NotebookNode, scanner: Scanner) -> tuple[Leak, ...]:
    """Take every secret out of a notebook; where they were. It is looked through once more before it is let go."""
    leaks = look(nb, scanner)
    if leaks:
        for cell in nb.cells:
            if _found(cell, scanner):
                _clear(cell, scanner)
        nb.metadata = without(nb.metadata, scanner)
        if not any(BANNER in cell.metadata.get("tags", ()) for cell in nb.cells):
            nb.cells.insert(0, banner(str(error_of(leaks))))
    if leaks and look(nb, scanner):  # where replacing is not enough, nothing is left of it
        nb.cells, nb.metadata = [notebooks.words(f"> **{error_of(leaks)}**")], notebooks.node()
    return leaks


def look(nb: NotebookNode, scanner: Scanner) -> tuple[Leak, ...]:
    """Every cell that shows a secret, and the metadata."""
    found = [(index, _found(cell, scanner)) for index, cell in enumerate(nb.cells)]
    leaks = [Leak(scanner.redact(where(nb, index)), what) for index, what in found if what]  # a heading may be it
    what = _found(nb.metadata, scanner)
    return (*leaks, Leak(_METADATA, what)) if what else tuple(leaks)


def _found(thing: Any, scanner: Scanner) -> str | None:
    """The first secret anywhere in a part of a notebook."""
    text = "\n".join(_words(thing))
    found = scanner.found(text)
    if not found and "\x1b" in text:  # IPython paints what it shows of the code
        found = scanner.found(_COLOURS.sub("", text))
    if not found and scanner.knows:
        found = next((what for data in _pictures(thing) if (what := scanner.found_in(data))), None)
    return found


def _words(thing: Any) -> Iterator[str]:
    """Every text, also the names of things."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, list):
        for item in thing:
            yield from _words(item)
    elif isinstance(thing, dict):
        for name, item in thing.items():
            yield name
            if name not in _PICTURES:
                yield from _words(item)


def _pictures(thing: Any) -> Iterator[bytes]:
    if isinstance(thing, list):
        for item in thing:
            yield from _pictures(item)
    elif isinstance(thing, dict):
        for name, item in thing.items():
            if name in _PICTURES and isinstance(item, str):
                with suppress(ValueError):
                    yield b64decode(item)
            else:
                yield from _pictures(item)


def _clear(cell: NotebookNode, scanner: Scanner) -> None:
    for name in ("source", "metadata", "attachments"):
        if name in cell:
            cell[name] = without(cell[name], scanner)
    if "outputs" in cell:
        cell.outputs = [_replaced(output, scanner) for output in cell.outputs]


def _replaced(output: NotebookNode, scanner: Scanner) -> Any:
    """An output that may be kept: a note for one that shows a secret, the words alone for an error."""
    what = _found(output, scanner)
    if not what:
        return output
    if output.output_type == "error":
        return without(output, scanner)
    text = str(Leak("what stood here", what))
    return notebooks.output("display_data", data={"text/markdown": f"*{text} It was not kept.*", "text/plain": text})


def without(thing: Any, scanner: Scanner) -> Any:
    """A part of a notebook with the names of secrets in their place; a text that holds one loses its colours, too."""
    if isinstance(thing, str):
        plain = _COLOURS.sub("", thing)
        return scanner.redact(plain) if scanner.found(plain) else thing
    if isinstance(thing, list):
        return [without(item, scanner) for item in thing]
    if isinstance(thing, dict):
        return notebooks.node(**{scanner.redact(name): without(item, scanner) for name, item in thing.items()})
    return thing


# Files.


def refuse(words: str, scanner: Scanner) -> None:
    """Raise SecretShown if the words of a PDF show a secret, be it broken at the end of a line."""
    what = scanner.found(words) or scanner.known("".join(words.split()))
    if what:
        raise error_of([Leak("The text of the PDF", what)])


def in_files(files: Mapping[str, str | bytes], scanner: Scanner) -> tuple[Leak, ...]:
    """Which of the files that are about to be written show a secret."""
    found = ((name, _found_in(_own(name, content), scanner)) for name, content in files.items())
    return tuple(Leak(f"The file {name}", what) for name, what in found if what)


def _own(name: str, content: str | bytes) -> str | bytes:
    """A file without the charts inside it: each is a file, too, and looked at by itself."""
    if not name.endswith(".html"):
        return content
    return _CHART.sub(b"", content) if isinstance(content, bytes) else content


def _found_in(content: str | bytes, scanner: Scanner) -> str | None:
    return scanner.found(content) if isinstance(content, str) else scanner.found_in(content)


def sweep(folder: Path, scanner: Scanner, clean: Iterable[str] = ()) -> tuple[Leak, ...]:
    """Remove every file of a folder that shows a secret; which they were.

    Logs go on without it, and what is hidden is the run's own business; neither is told. `clean` are the names of files
    that were seen to already.
    """
    leaks = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in clean):
        data = path.read_bytes()
        what = scanner.found_in(data)
        if not what:
            continue
        path.unlink()
        if path.name in _LOGS:
            path.write_text(scanner.redact(_COLOURS.sub("", data.decode("utf-8", "replace"))), encoding="utf-8")
        elif not path.name.startswith("."):
            leaks.append(Leak(f"The file {path.relative_to(folder).as_posix()}", what))
    return tuple(leaks)
