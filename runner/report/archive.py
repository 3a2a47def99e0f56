"""A report packed into one file, to be handed over by hand: report, charts, tables, and a page that says what it is.

The same run makes the same bytes: members are sorted, dated alike, and stored as they are. Names of members are made of
harmless letters and lie in one folder, whatever the notebook called its charts.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.document import blocks
from runner.document.shapes import Column, Document, Table
from runner.document.tables import csv_of
from runner.errors import DeliveryFailed
from runner.ledger import Artifact, Run
from runner.model import Figure
from runner.report import notebooks, shelf

#: Tells spreadsheets that a table is UTF-8; without it they take it for the letters of the machine.
_MARK = b"\xef\xbb\xbf"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_FIGURES = (Column("Figure"), Column("Shown", "right"), Column("Value", "right"), Column("Unit"))
#: The report itself, by the ends of its files.
_PAGES = {".pdf": "the report", ".html": "the report as a web page"}
#: What a reader finds beside the report: files and folders by the beginning of their paths.
_FOLDERS = {
    "figures.csv": "its figures, to be opened as a spreadsheet",
    "tables/": "its tables, to be opened as spreadsheets",
    "charts/": "its charts as pictures",
}
_COLUMN = 28
_UNPROVEN = (
    "UNPROVEN. NOT TO BE PASSED ON.\n\n"
    "The report could not be finished, and nobody has proven what is in here. It is for the engineer who\n"
    "looks into it. No reader gets any of it.\n\n"
)


@dataclass(frozen=True)
class Archive:
    """A packed report: the name of its file, its bytes, and the names of what is in it."""

    name: str
    data: bytes
    members: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Kept:
    """A finished run where it lies: its files, as the ledger knows them, and its figures."""

    run: Run
    folder: Path
    artifacts: tuple[Artifact, ...]
    figures: tuple[Figure, ...]


def proven(kept: Kept) -> Archive:
    """The archive of a report that may go out. Raises DeliveryFailed when a file is not the one that was proven."""
    name = kept.run.pipeline
    wanted = [item.path for item in kept.artifacts if _is_for_readers(item.path, name)]
    if not {f"{name}.pdf", f"{name}.html"} <= set(wanted):
        raise DeliveryFailed(f"Run {kept.run.run} has no finished report.", "Make the report again.")
    try:
        files = {path: (kept.folder / path).read_bytes() for path in wanted}
        document = _document(kept)
    except (OSError, ValueError):
        files, document = {}, None
    # Read first, and only then held against the ledger: what was read is what was proven.
    if document is None or not shelf.intact(kept.folder, kept.artifacts):
        what = f"The files of run {kept.run.run} are not those that were proven, so nothing was packed."
        raise DeliveryFailed(what, "Make the report again; never hand out changed files.")
    return _packed(kept, {**files, **_tables(document, kept.figures)}, _about(document, kept.run))


def unproven(kept: Kept) -> Archive:
    """The charts and tables of a report that could not be finished, for an engineer. Raises DeliveryFailed."""
    try:
        document = _document(kept)
    except (OSError, ValueError) as error:
        what = f"Run {kept.run.run} has no notebook to take charts and tables from."
        raise DeliveryFailed(what, "Make the report again.") from error
    pictures = blocks.pictures(document)
    charts = {f"charts/{picture.slug}.png": picture.png for picture in pictures if picture.png}
    charts |= {f"charts/{picture.slug}.svg": picture.svg.encode() for picture in pictures if picture.svg}
    about = f"{_UNPROVEN}{_about(document, kept.run)}"
    return _packed(kept, {**charts, **_tables(document, kept.figures)}, about, "-UNPROVEN")


def _is_for_readers(path: str, name: str) -> bool:
    return path in {f"{name}.pdf", f"{name}.html"} or path.startswith("charts/")


def _document(kept: Kept) -> Document:
    return blocks.document_of(notebooks.read(kept.folder / f"{kept.run.pipeline}.ipynb"), kept.run.pipeline)


def _tables(document: Document, figures: tuple[Figure, ...]) -> dict[str, bytes]:
    """Every table as CSV by its path, and the figures as one more."""
    shown = [block for block in document.walk() if isinstance(block, Table)]
    found = {f"tables/{table.name}.csv": csv_of(table) for table in shown}
    if figures:
        found["figures.csv"] = csv_of(_of_figures(figures))
    return {path: _MARK + text.encode() for path, text in found.items()}


def _of_figures(figures: tuple[Figure, ...]) -> Table:
    values = tuple((figure.label, figure.text, figure.value, figure.unit) for figure in figures)
    return Table(_FIGURES, (), values=values)


def _about(document: Document, run: Run) -> str:
    meta = document.meta
    lines = [meta.title, meta.company, meta.period_text or meta.period, f"Version {run.version or 1}, run {run.run}"]
    return "\n".join(text for text in (*lines, meta.confidential) if text) + "\n\n"


# The file.


def _packed(kept: Kept, files: Mapping[str, bytes], about: str, suffix: str = "") -> Archive:
    run = kept.run
    name = _safe(f"{run.pipeline}-{run.period}-v{run.version or 1}{suffix}")
    members = {_member(path): data for path, data in sorted(files.items())}
    members = {"README.txt": _readme(about, members).encode(), **members}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in members.items():
            archive.writestr(_info(f"{name}/{path}"), data)
    return Archive(f"{name}.zip", out.getvalue(), tuple(members))


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16  # a plain file, whatever machine packs it
    return info


def _member(path: str) -> str:
    """A path of harmless letters that leads nowhere else."""
    return "/".join(_safe(part) for part in path.split("/"))


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).lstrip(".-") or "part"


def _readme(about: str, members: Mapping[str, bytes]) -> str:
    """What this is, a line for each file as `sha256sum --check` reads it, and whom to ask whether it still holds."""
    hashes = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in members.items())
    found = "".join(f"{name:<{_COLUMN}}{what}\n" for name, what in _contents(members))
    asks = "Whether the PDF or the web page is the one that was sent, and still holds, its senders can say:"
    asked = f"{asks}\nrunner verify FILE\n\n" if any(path.endswith(".pdf") for path in members) else ""
    sums = f"Every file with its SHA-256, which tells a changed one:\n\n{hashes}"
    return f"{about}{found}\n{asked}{sums}"


def _contents(members: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """What a reader finds where, in words."""
    for ending, what in _PAGES.items():
        yield from ((path, what) for path in members if path.endswith(ending) and "/" not in path)
    for folder, what in _FOLDERS.items():
        if any(path.startswith(folder) for path in members):
            yield folder, what
