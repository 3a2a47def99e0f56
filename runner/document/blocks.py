"""An executed notebook to a `Document`: the one place that knows what notebooks contain. Pure.

Everything in a notebook may be wrong or hostile; what cannot be shown becomes a visible note, never a crash and
never silence. Code is never shown, standard error is dropped.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.document import foreign, markdown, restated
from runner.document import pictures as pics
from runner.document.shapes import (
    HALF_WIDTH,
    TEXT_WIDTH,
    Block,
    Break,
    Chart,
    Code,
    Column,
    Document,
    Emphasis,
    Findings,
    Heading,
    InlineMaths,
    Kpis,
    Link,
    Listing,
    Maths,
    Meta,
    Note,
    Paragraph,
    Picture,
    Preformatted,
    Rule,
    Span,
    Spans,
    Strong,
    Table,
    Text,
    Tile,
    plain,
)
from runner.document.texts import clean, line, slug, unique
from runner.model import BLOCK_MIME, SCRAP_MIME, Finding, Level

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = [
    "Block",
    "Break",
    "Chart",
    "Code",
    "Column",
    "Document",
    "Emphasis",
    "Findings",
    "Heading",
    "InlineMaths",
    "Kpis",
    "Link",
    "Listing",
    "Maths",
    "Meta",
    "Note",
    "Paragraph",
    "Picture",
    "Preformatted",
    "Rule",
    "Span",
    "Spans",
    "Strong",
    "Table",
    "Text",
    "Tile",
    "document_of",
    "pictures",
    "plain",
]

#: Reads a file that a markdown picture names relative to its notebook, or nothing.
FileOf = Callable[[str], bytes | None]

_HIDDEN = {"hide", "parameters", "injected-parameters", "remove_cell", "remove-cell", "remove_output"}
#: What the last expression of a plotting cell leaves behind: `<Axes: >`, `[<Line2D at 0x7f…>]`, `Text(0.5, 1.0, 'x')`.
_LEFTOVER = re.compile(
    r"\s*(?:[\[(]?<[\w. :|'\",()+-]*(?: at 0x[0-9a-f]+|: ?[^>]*)?>.*|Text\(.*\)|<Figure size .*>|\(?array\(\[.*)\s*",
    re.DOTALL,
)
_INTERACTIVE = ("application/vnd.plotly", "application/vnd.vega", "application/vnd.bokeh")
_MOST_LINES = 120
_LARGEST_HEIGHT = 7.6  # inches: a picture and its title fit on one page
_DEEPEST = 4
_UNTOLD = "No description was given for this picture."
_SEVERITY = {Level.STOP: 0, Level.WARN: 1, Level.PASS: 2}


def document_of(nb: NotebookNode, name: str = "Report", file_of: FileOf | None = None) -> Document:
    """The report that an executed notebook holds.

    `name` is the title of last resort; `file_of` reads pictures that markdown names by a relative path.
    Never raises on content.
    """
    given = nb.metadata.get("runner")
    given = given if isinstance(given, Mapping) else {}
    found = [block for cell in nb.cells for block in _cell(cell, file_of)]
    title = next((block for block in found if isinstance(block, Heading) and block.level == 1), None)
    body = restated.marked([block for block in found if block is not title], given.get("restates"))
    meta = _meta(given, (title.text if title else "") or line(name) or "Report")
    return Document(meta, tuple(_named(_levelled(body))))


def shown(outputs: Sequence[NotebookNode]) -> tuple[Block, ...]:
    """What one cell put out, as a report would show it. Never raises on content."""
    return tuple(_outputs(outputs))


def pictures(document: Document) -> tuple[Picture, ...]:
    """Each chart as files to keep: its slug (unique in the report), SVG text and PNG bytes."""
    charts = (block for block in document.walk() if isinstance(block, Chart))
    return tuple(Picture(chart.name, chart.svg, chart.png) for chart in charts)


def _meta(given: Mapping[str, Any], title: str) -> Meta:
    names = (
        "company",
        "pipeline",
        "subtitle",
        "period",
        "period_text",
        "run",
        "because",
        "deadline",
        "status",
        "confidential",
        "seal",
    )
    texts = {name: line(given[name]) for name in names if given.get(name)}
    owners = given.get("owners")
    stamp = given.get("timestamp")
    return Meta(
        title=line(given.get("title") or "") or line(title),
        owners=tuple(line(owner) for owner in owners) if isinstance(owners, list | tuple) else (),
        generated_at=line(given.get("generated_at") or ""),
        timestamp=stamp if isinstance(stamp, int) and 0 <= stamp < 2**33 else None,
        paper="a4" if given.get("paper") == "a4" else "us-letter",
        **texts,
    )


# --- cells and their outputs ---


def _cell(cell: NotebookNode, file_of: FileOf | None) -> Iterator[Block]:
    if set(cell.get("metadata", {}).get("tags", ())) & _HIDDEN:
        return
    if cell.cell_type == "markdown":
        yield from markdown.blocks_of(_joined(cell.get("source")), _finder(cell, file_of))
    elif cell.cell_type == "code":
        yield from _outputs(cell.get("outputs", ()))


def _outputs(outputs: Sequence[NotebookNode]) -> Iterator[Block]:
    printed: list[str] = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            printed += [_joined(output.get("text"))] if output.get("name") == "stdout" else []
            continue
        yield from _printed(printed)
        printed = []
        if kind == "error":
            yield _error(output)
        elif kind in {"display_data", "execute_result"}:
            yield from _display(output)
    yield from _printed(printed)


def _printed(parts: list[str]) -> Iterator[Block]:
    # A progress bar writes over itself: of each line only what was last written counts.
    raw = "".join(parts).replace("\r\n", "\n").split("\n")
    lines = [clean(row.rstrip("\r").rpartition("\r")[2]).expandtabs(4).rstrip() for row in raw]
    text = "\n".join(_shortened(lines)).strip("\n")
    if text.strip():
        yield Preformatted(text)


def _shortened(lines: list[str]) -> list[str]:
    left_out = len(lines) - _MOST_LINES
    return lines if left_out <= 0 else [*lines[:_MOST_LINES], f"… {left_out} further lines are not shown"]


def _error(output: NotebookNode) -> Note:
    what = line(output.get("evalue", "")) or "A cell ended with an error."
    return Note("stop", f"This report is incomplete ({line(output.get('ename', 'error'))})", (_paragraph(what),))


def _display(output: NotebookNode) -> Iterator[Block]:
    data = output.get("data", {})
    if SCRAP_MIME in data or "application/papermill.record+json" in data:
        return
    if BLOCK_MIME in data:
        yield from _runner_block(data, output.get("metadata", {}))
        return
    for mime, read in _READERS.items():
        if mime in data:
            blocks = tuple(read(data, output.get("metadata", {})))
            if blocks or mime == "text/plain":
                yield from blocks
                return
    if any(mime.startswith(_INTERACTIVE) for mime in data):
        yield _unshown("An interactive chart has no picture to print.")


def _joined(value: Any) -> str:
    return "".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value or "")


def _paragraph(text: str) -> Paragraph:
    return Paragraph((Text(text),))


def _unshown(why: str) -> Note:
    return Note("warn", "A part of this report cannot be shown", (_paragraph(line(why)[:300]),))


def _image(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Block]:
    """A picture of a plain notebook, in its natural size."""
    svg = _joined(data.get("image/svg+xml"))
    png = _raster(data)
    said = [metadata.get(mime, {}) for mime in ("image/svg+xml", "image/png", "image/jpeg")]
    alt = next((line(part["alt"]) for part in said if isinstance(part, Mapping) and part.get("alt")), "")
    if not pics.uri(svg, png):
        yield _unshown("A picture is damaged.")
        return
    width = _natural_width(svg, png, said)
    yield Chart("", "", alt or _UNTOLD, "" if alt else _UNTOLD, svg=svg, png=png, width=width)


def _raster(data: Mapping[str, Any]) -> bytes:
    if "image/png" in data:
        return _decoded(data["image/png"])
    return _as_png(_decoded(data["image/jpeg"])) if "image/jpeg" in data else b""


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(re.sub(r"\s+", "", _joined(value)), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _as_png(data: bytes) -> bytes:
    """Any raster picture as PNG, or nothing."""
    if data.startswith(b"\x89PNG"):
        return data
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  slow to import, and rarely needed

    try:
        image = Image.open(io.BytesIO(data))
        out = io.BytesIO()
        image.convert("RGB").save(out, "PNG")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return b""
    return out.getvalue()


def _natural_width(svg: str, png: bytes, said: Sequence[Any]) -> float:
    """Inches on paper: what the picture says, within the page; almost full becomes full."""
    wide, high = pics.svg_size(svg) if pics.sound_svg(svg) else (0.0, 0.0)
    if not wide:
        across, down = pics.png_pixels(png)
        widths = [part["width"] for part in said if isinstance(part, Mapping) and _is_size(part.get("width"))]
        told = widths[0] if widths else across
        density = pics.png_density(png) if told == across else 100.0
        wide, high = told / density, told / density * down / max(across, 1)
    if not wide or not high:
        return TEXT_WIDTH
    width = TEXT_WIDTH if wide > 0.85 * TEXT_WIDTH else wide
    return round(min(width, _LARGEST_HEIGHT * wide / high), 3)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < 100_000


def _markdown_output(data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Iterable[Block]:
    return markdown.blocks_of(_joined(data["text/markdown"]))


def _latex(data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Iterator[Block]:
    tex = clean(_joined(data["text/latex"])).strip().strip("$").removeprefix(r"\displaystyle").strip()
    if tex:
        yield Maths(tex)


def _html(data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Iterable[Block]:
    return foreign.blocks_of_html(_joined(data["text/html"]))


def _plain(data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Iterator[Block]:
    # Widgets and drawings put the name of their object here, which says nothing to a reader.
    text = _joined(data["text/plain"])
    alone = set(data) <= {"text/plain", "text/html", "text/latex"}
    if alone and not _LEFTOVER.fullmatch(text):
        yield from _printed([text])


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Iterable[Block]]] = {
    "image/svg+xml": _image,
    "image/png": _image,
    "image/jpeg": _image,
    "text/markdown": _markdown_output,
    "text/html": _html,
    "text/latex": _latex,
    "text/plain": _plain,
}


def _finder(cell: NotebookNode, file_of: FileOf | None) -> markdown.PictureOf:
    """Finds a markdown cell's pictures: attachments, `data:` addresses, files beside the notebook."""
    attachments = cell.get("attachments") or {}

    def find(address: str, alt: str) -> Chart | None:
        data = _picture_data(address, attachments, file_of)
        blocks = tuple(_image(data, {"image/png": {"alt": alt}})) if data else ()
        return blocks[0] if blocks and isinstance(blocks[0], Chart) else None

    return find


def _picture_data(address: str, attachments: Mapping[str, Any], file_of: FileOf | None) -> Mapping[str, Any]:
    if address.startswith("attachment:"):
        found = attachments.get(address.removeprefix("attachment:"), {})
        return found if isinstance(found, Mapping) else {}
    if inline := re.match(r"data:(image/(?:png|jpeg|svg\+xml));base64,(.*)", address, re.DOTALL):
        raw: bytes | None = _decoded(inline[2])
    else:
        raw = file_of(address) if file_of and ":" not in address else None
    return _bundle(raw) if raw else {}


def _bundle(raw: bytes) -> Mapping[str, Any]:
    if b"<svg" in raw[:2000]:
        return {"image/svg+xml": raw.decode("utf-8", "replace")}
    return {"image/png": base64.b64encode(_as_png(raw)).decode()}


# --- blocks that this software's notebooks make ---


class _Unusable(ValueError):  # noqa: N818  it reads as a sentence where it is raised
    """A block's JSON does not say what it must."""


def _runner_block(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Block]:
    given = data[BLOCK_MIME]
    try:
        given = json.loads(given) if isinstance(given, str) else given
        if isinstance(given, Mapping) and given.get("type") == "check":
            return  # what a check tells the analyst who runs the cell; readers get the findings
        yield _made(given, data, metadata)
    except (_Unusable, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        yield _unshown(
            f"The block is malformed: {error}" if isinstance(error, _Unusable) else "The block is malformed."
        )


def _made(given: Any, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Block:
    if not isinstance(given, Mapping):
        raise _Unusable("its description is no object")
    make = _MAKERS.get(str(given.get("type")))
    if make is None:
        raise _Unusable(f"its type “{line(given.get('type'))[:40]}” is unknown")
    return make(given, data, metadata)


def _objects(value: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        raise _Unusable(f"{what} is no list of objects")
    return list(value)


def _tone(value: Any, allowed: set[str], otherwise: str) -> str:
    return value if isinstance(value, str) and value in allowed else otherwise


def _kpis(given: Mapping[str, Any], _data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Block:
    tiles = tuple(_tile(tile) for tile in _objects(given.get("tiles"), "tiles"))
    if not tiles:
        raise _Unusable("it holds no tiles")
    return Kpis(tiles)


def _tile(given: Mapping[str, Any]) -> Tile:
    if given.get("text") is None or not given.get("label"):
        raise _Unusable("a tile lacks its label or text")
    return Tile(
        label=line(given["label"]),
        text=line(given["text"]),
        change=line(given.get("change") or ""),
        tone=_tone(given.get("tone"), {"good", "bad", "neutral"}, "neutral"),
        note=line(given.get("note") or ""),
        name=line(given.get("name") or ""),
    )


def _block_table(given: Mapping[str, Any], _data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Block:
    columns = tuple(
        Column(
            line(column.get("label", "")),
            _tone(column.get("align"), {"left", "right"}, "left"),
            line(column.get("unit") or ""),
        )
        for column in _objects(given.get("columns"), "columns")
    )
    rows = _rows(given.get("rows"), len(columns), "rows")
    values = _rows(given.get("values") or [], len(columns), "values")
    if not columns or (values and len(values) != len(rows)):
        raise _Unusable("the table has no columns, or its values are not as many as its rows")
    return Table(
        columns,
        tuple(tuple((Text(line(cell)),) if line(cell) else () for cell in row) for row in rows),
        line(given.get("name") or ""),
        line(given.get("caption") or ""),
        values,
        given.get("total") is True,
        given.get("header_column") is True,
    )


def _rows(value: Any, width: int, what: str) -> tuple[tuple[Any, ...], ...]:
    if not isinstance(value, list | tuple):
        raise _Unusable(f"{what} is no list")
    if any(not isinstance(row, list | tuple) or len(row) != width for row in value):
        raise _Unusable(f"a row of {what} does not have {width} cells")
    return tuple(tuple(row) for row in value)


def _block_chart(given: Mapping[str, Any], data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Block:
    svg, png = _joined(data.get("image/svg+xml")), _raster(data)
    if not pics.uri(svg, png):
        raise _Unusable(f"the chart “{line(given.get('title') or '')}” has no sound picture")
    said = metadata.get("image/svg+xml")
    alt = line(given.get("alt") or (said.get("alt") if isinstance(said, Mapping) else "") or "")
    half = given.get("half") is True
    return Chart(
        line(given.get("name") or ""),
        line(given.get("title") or ""),
        alt or line(given.get("title") or "") or _UNTOLD,
        line(given.get("caption") or ""),
        half,
        svg,
        png,
        HALF_WIDTH if half else TEXT_WIDTH,
    )


def _block_note(given: Mapping[str, Any], _data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Block:
    text = given.get("text") or ""
    if not isinstance(text, str):
        raise _Unusable("the note's text is no text")
    tone = _tone(given.get("tone"), {"info", "warn", "stop"}, "info")
    return Note(tone, line(given.get("title") or ""), _unheaded(markdown.blocks_of(text)))


def _block_findings(given: Mapping[str, Any], _data: Mapping[str, Any], _metadata: Mapping[str, Any]) -> Block:
    items = [Finding.of(item) for item in _objects(given.get("items"), "items")]
    tidy = [replace(item, check=line(item.check), message=line(item.message)) for item in items]
    return Findings(tuple(sorted(tidy, key=lambda item: _SEVERITY[item.level])))


_MAKERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Block]] = {
    "kpis": _kpis,
    "table": _block_table,
    "chart": _block_chart,
    "note": _block_note,
    "findings": _block_findings,
}


# --- order among the blocks ---


def _levelled(blocks: Sequence[Block]) -> Iterator[Block]:
    """Headings with levels from 1 on, none skipped: each goes one below the nearest that stands above it."""
    above: list[int] = []
    for block in blocks:
        if isinstance(block, Heading):
            while above and above[-1] >= block.level:
                above.pop()
            above.append(block.level)
            yield Heading(min(len(above), _DEEPEST), block.spans)
        elif isinstance(block, Note):
            yield replace(block, blocks=_unheaded(block.blocks))
        elif isinstance(block, Listing):
            yield replace(block, items=tuple(_unheaded(item) for item in block.items))
        else:
            yield block


def _unheaded(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Headings inside a box or a list as strong lines: they are no part of the report's outline."""
    return tuple(_unheaded_block(block) for block in blocks)


def _unheaded_block(block: Block) -> Block:
    match block:
        case Heading(spans=spans):
            return Paragraph((Strong(spans),))
        case Note(blocks=inner):
            return replace(block, blocks=_unheaded(inner))
        case Listing(items=items):
            return replace(block, items=tuple(_unheaded(item) for item in items))
        case _:
            return block


def _named(blocks: Iterable[Block]) -> Iterator[Block]:
    """Headings, tables and charts with names of their own, for anchors and files."""
    taken: set[str] = set()
    files: set[str] = set()
    for block in blocks:
        yield _name(block, taken, files)


def _name(block: Block, anchors: set[str], files: set[str]) -> Block:
    match block:
        case Heading():
            return replace(block, anchor=unique(slug(block.text, "section"), anchors))
        case Table():
            return replace(block, name=unique(slug(block.name or block.caption, "table"), files))
        case Chart():
            return replace(block, name=unique(slug(block.name or block.title, "chart"), files))
        case Note(blocks=inner):
            return replace(block, blocks=tuple(_name(child, anchors, files) for child in inner))
        case Listing(items=items):
            return replace(block, items=tuple(tuple(_name(child, anchors, files) for child in item) for item in items))
        case _:
            return block
