"""A run's notebook as a person looks at it: each cell with its source and what it put out, bounded, without any markup.

What the notebook put out is read as the report reads it (`runner.document.blocks`), so nothing of it can run anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.document import blocks, pictures, shapes
from runner.document.texts import clean, line
from runner.report import notebooks
from runner.report.execute import BANNER, NOT_RUN
from runner.report.notebooks import NotebookNode

#: Bytes of a notebook that is read at all, characters of one source, one text and one cell, rows of one table.
LARGEST, SOURCE, TEXT, CELL, ROWS = 60_000_000, 12_000, 6_000, 24_000, 40
#: Characters of one picture, and of all that is shown of one notebook; cells that are shown.
PICTURE, ALL, CELLS = 1_500_000, 6_000_000, 300
_GIVEN = "injected-parameters"


@dataclass(frozen=True)
class Part:
    """One thing that a cell put out; `kind` is text, words, picture, table or tiles. `left_out` says what is missing.

    A picture has its address in `text` and its description in `title`.
    """

    kind: str
    text: str = ""
    title: str = ""
    columns: tuple[tuple[str, str], ...] = ()  # label, side
    rows: tuple[tuple[str, ...], ...] = ()
    left_out: str = ""

    @property
    def weight(self) -> int:
        """Roughly how many characters it takes."""
        return len(self.text) + sum(len(cell) for row in self.rows for cell in row)


@dataclass(frozen=True)
class Fault:
    """What ended a cell: the error's name, what it says, where it was."""

    name: str
    said: str
    trace: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell; `number` as people count them (0: none of theirs). `state` is ran, failed or not run."""

    number: int
    kind: str  # code, or words
    source: str
    heading: str = ""
    state: str = "ran"
    given: bool = False  # the parameters of this run
    seconds: float | None = None
    parts: tuple[Part, ...] = ()
    fault: Fault | None = None
    left_out: str = ""

    @property
    def shown(self) -> bool:
        """Whether it put out anything to see."""
        return bool(self.parts or self.fault)


def under_way(path: Path) -> tuple[Cell, ...] | None:
    """The cells of a notebook that is being executed; None where there is none yet, or it is far too large."""
    try:
        return of(path.read_bytes()) if path.stat().st_size <= LARGEST else None
    except OSError:
        return None


def of(data: bytes) -> tuple[Cell, ...] | None:
    """The cells of a notebook by the bytes of its file; None where it cannot be read, or is far too large."""
    if len(data) > LARGEST:
        return None
    try:
        return tuple(_bounded(_cells(notebooks.of(data))))
    except (ValueError, KeyError, TypeError, AttributeError):  # written just now and cut off, or no notebook
        return None


def _bounded(cells: Iterable[Cell]) -> Iterator[Cell]:
    """No more than a browser is glad to show."""
    spent = 0
    for count, cell in enumerate(cells):
        if count >= CELLS:
            return
        weight = sum(part.weight for part in cell.parts)
        if spent + weight > ALL:
            yield replace(cell, parts=(), left_out="What this cell put out is too much for this page.")
        else:
            spent += weight
            yield cell


def _cells(nb: NotebookNode) -> Iterator[Cell]:
    number, heading = 0, ""
    for node in nb.cells:
        tags = set(node.get("metadata", {}).get("tags", ()))
        if BANNER in tags:
            continue
        source = _joined(node.get("source"))
        given = _GIVEN in tags
        number += not given
        if node.get("cell_type") == "markdown":
            heading = next((line(row.lstrip("#")) for row in source.splitlines() if row.startswith("#")), heading)
        yield _cell(node, Cell(0 if given else number, "words", _cut(source, SOURCE), heading, given=given))


def _cell(node: NotebookNode, cell: Cell) -> Cell:
    if node.get("cell_type") != "code":
        return cell
    fault = next((_fault(one) for one in node.get("outputs", ()) if one.get("output_type") == "error"), None)
    if NOT_RUN in node.get("metadata", {}).get("tags", ()):
        return replace(cell, kind="code", state="not run")
    parts, left_out = _fitting(_parts(node.get("outputs", ())))
    state = "failed" if fault else "ran"
    return replace(cell, kind="code", state=state, seconds=_seconds(node), parts=parts, fault=fault, left_out=left_out)


def _seconds(node: NotebookNode) -> float | None:
    told = node.get("metadata", {}).get("papermill", {})
    if isinstance(told.get("duration"), int | float):
        return float(told["duration"])
    try:
        ended = node["metadata"]["execution"]["shell.execute_reply"]
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(told["start_time"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def _fault(output: Mapping[str, Any]) -> Fault:
    trace = "\n".join(clean(row) for row in output.get("traceback", ()))
    said = _cut(line(output.get("evalue", "")), 2_000)
    return Fault(line(output.get("ename", "")) or "Error", said, _cut(trace, TEXT))


# What a cell put out.


def _parts(outputs: Iterable[NotebookNode]) -> Iterator[Part]:
    said = [one for one in outputs if one.get("output_type") != "error"]
    warned = [_joined(one.get("text")) for one in said if one.get("name") == "stderr"]
    tiles: tuple[tuple[str, ...], ...] = ()
    for part in (part for block in blocks.shown(said) for part in _part(block)):
        if part.kind == "tiles":  # one after the other, they stand side by side
            tiles += part.rows
            continue
        yield from [Part("tiles", rows=tiles)] if tiles else []
        tiles = ()
        yield part
    yield from [Part("tiles", rows=tiles[:ROWS])] if tiles else []
    if any(warned):
        yield _text("".join(warned), "Standard error")


def _fitting(parts: Iterable[Part]) -> tuple[tuple[Part, ...], str]:
    """As many parts as one cell may show, and a word about the rest."""
    kept: list[Part] = []
    spent = 0
    for part in parts:
        weight = part.weight if part.kind != "picture" else 0
        if spent + weight > CELL and kept:
            return tuple(kept), "It put out more, which is left out here."
        spent += weight
        kept.append(part)
    return tuple(kept), ""


def _part(block: shapes.Block) -> Iterator[Part]:
    match block:
        case shapes.Table():
            yield _table(block)
        case shapes.Chart():
            yield _picture(block)
        case shapes.Kpis(tiles):
            yield Part("tiles", rows=tuple((tile.label, tile.text, tile.change) for tile in tiles[:ROWS]))
        case shapes.Preformatted(text):
            yield _text(text)
        case shapes.Heading(spans=spans) | shapes.Paragraph(spans):
            yield Part("words", _cut(shapes.plain(spans), TEXT))
        case shapes.Note(title=title, blocks=inner):
            yield Part("words", _cut(title, TEXT))
            yield from (part for one in inner for part in _part(one))
        case shapes.Listing(items=items):
            yield from (part for item in items for one in item for part in _part(one))
        case shapes.Maths(tex):
            yield _text(tex)


def _text(text: str, title: str = "") -> Part:
    kept = clean(text).strip("\n")
    left_out = f"{len(kept) - TEXT:,} more characters are left out here." if len(kept) > TEXT else ""
    return Part("text", kept[:TEXT], title, left_out=left_out)


def _table(table: shapes.Table) -> Part:
    rows = tuple(tuple(_cut(cell, 300) for cell in row) for row in table.texts[:ROWS])
    more = len(table.rows) - len(rows)
    left_out = f"{more:,} more rows are left out here." if more > 0 else ""
    columns = tuple((_cut(column.label, 120), column.align) for column in table.columns)
    return Part("table", title=_cut(table.caption, 300), columns=columns, rows=rows, left_out=left_out)


def _picture(chart: shapes.Chart) -> Part:
    address = pictures.uri(chart.svg, chart.png)
    if len(address) > PICTURE and chart.png:
        address = pictures.uri("", chart.png)
    if not address or len(address) > PICTURE:
        return Part("words", left_out=f"A picture is too large to be shown here: {_cut(chart.title or chart.alt, 200)}")
    return Part("picture", address, _cut(chart.alt or chart.title, 500))


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _cut(text: str, most: int) -> str:
    text = clean(text)
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
