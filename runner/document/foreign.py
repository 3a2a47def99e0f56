"""HTML that other people's code made (pandas tables, styled frames, rich text) to blocks; pure.

nh3 first reduces the HTML to a few harmless tags; a small reader then turns those into blocks, so no markup of
theirs is ever passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import nh3

from runner.document.shapes import Block, Column, Heading, Listing, Paragraph, Preformatted, Spans, Table, Text
from runner.document.texts import clean, line, looks_numeric

_ROWS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
_HEADS = {f"h{level}": level for level in range(1, 7)}
_BREAKS = {"p", "div", "br", "li", "ul", "ol", "pre", "blockquote", *_HEADS}
_TAGS = _ROWS | _BREAKS
#: pandas writes the size of a shortened frame below it; the report says such things in its own words.
_SIZE = re.compile(r"\d+ rows × \d+ columns")
#: A table beyond this is a data set, not something to read; the rest is said to be left out.
MOST_ROWS = 500
_MOST_SPAN = 40


def blocks_of_html(source: str) -> tuple[Block, ...]:
    """The readable blocks of a piece of HTML: tables, headings, lists and paragraphs; scripts and styles vanish."""
    safe = nh3.clean(
        clean(source),
        tags=_TAGS,
        attributes={"th": {"colspan", "rowspan"}, "td": {"colspan", "rowspan"}},
        clean_content_tags={"script", "style", "template", "noscript"},
        strip_comments=True,
    )
    reader = _Reader()
    reader.feed(safe)
    reader.close()
    reader.flush()
    return tuple(reader.blocks)


def fit(row: tuple[Spans, ...], width: int) -> tuple[Spans, ...]:
    """The row with exactly `width` cells."""
    return (row + ((),) * width)[:width]


@dataclass
class _Cell:
    text: str = ""
    head: bool = False
    across: int = 1
    down: int = 1


@dataclass
class _Grid:
    """A table while it is being read."""

    caption: str = ""
    head_rows: list[list[_Cell]] = field(default_factory=list)
    rows: list[list[_Cell]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._words: list[str] = []
        self._grid: _Grid | None = None
        self._part = ""
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.flush()
            self._grid = _Grid()
        elif self._grid is not None:
            self._enter(self._grid, tag, dict(attrs))
        elif tag in _BREAKS:
            self.flush()
            self._tag = tag

    def _enter(self, grid: _Grid, tag: str, attrs: dict[str, str | None]) -> None:
        if tag in {"thead", "tbody", "tfoot", "caption"}:
            self._part = tag
            self._words = []
        elif tag == "tr":
            (grid.head_rows if self._part == "thead" else grid.rows).append([])
        elif tag in {"th", "td"}:
            self._words = []
            rows = grid.head_rows if self._part == "thead" else grid.rows
            if not rows:
                rows.append([])
            rows[-1].append(_Cell("", tag == "th", _span(attrs.get("colspan")), _span(attrs.get("rowspan"))))
        elif tag == "br":
            self._words.append(" ")

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._grid is not None:
            table = _table(self._grid)
            self._grid, self._words, self._part = None, [], ""
            if table:
                self.blocks.append(table)
        elif self._grid is not None:
            self._leave(self._grid, tag)
        elif tag in _BREAKS:
            self.flush()

    def _leave(self, grid: _Grid, tag: str) -> None:
        rows = grid.head_rows if self._part == "thead" else grid.rows
        if tag in {"th", "td"} and rows and rows[-1]:
            rows[-1][-1].text = line("".join(self._words))
        elif tag == "caption":
            grid.caption = line("".join(self._words))

    def flush(self) -> None:
        """Ends the running paragraph, if there is one."""
        words, self._words = "".join(self._words), []
        tag, self._tag = self._tag, ""
        text = line(words)
        if not text or _SIZE.fullmatch(text):
            return
        block = _block(tag, text, words)
        last = self.blocks[-1] if self.blocks else None
        if isinstance(block, Listing) and isinstance(last, Listing):
            self.blocks[-1] = Listing(last.items + block.items)
        else:
            self.blocks.append(block)


def _block(tag: str, text: str, raw: str) -> Block:
    if tag in _HEADS:
        return Heading(_HEADS[tag], (Text(text),))
    if tag == "li":
        return Listing(((Paragraph((Text(text),)),),))
    if tag == "pre":
        return Preformatted(raw.strip("\n"))
    return Paragraph((Text(text),))


def _span(value: str | None) -> int:
    return min(int(value), _MOST_SPAN) if value and value.isascii() and value.isdigit() and int(value) > 0 else 1


def _table(grid: _Grid) -> Table | None:
    head, body = _spread(grid.head_rows), _spread(grid.rows[:MOST_ROWS])
    if not head and body and all(cell.head for cell in body[0]):
        head, body = body[:1], body[1:]
    width = max((len(row) for row in head + body), default=0)
    if not width or not body:
        return None
    rows = tuple(fit(tuple((Text(cell.text),) if cell.text else () for cell in row), width) for row in body)
    columns = tuple(Column(_label(head, at), _align(body, at)) for at in range(width))
    left_out = len(grid.rows) - len(rows)
    caption = f"{grid.caption} ({left_out} further rows are not shown)".strip() if left_out > 0 else grid.caption
    return Table(columns, rows, caption=caption, header_column=all(row and row[0].head for row in body))


def _spread(rows: list[list[_Cell]]) -> list[list[_Cell]]:
    """Cells that span rows or columns, repeated in each place, so that every row can be read alone."""
    pending: dict[tuple[int, int], _Cell] = {}
    spread: list[list[_Cell]] = []
    for at, row in enumerate(rows):
        cells: list[_Cell] = []
        queue = list(row)
        while queue or (at, len(cells)) in pending:
            held = pending.pop((at, len(cells)), None)
            if held is not None:
                cells.append(held)
                continue
            cell = queue.pop(0)
            for _ in range(cell.across):
                pending |= {(at + below, len(cells)): cell for below in range(1, cell.down)}
                cells.append(cell)
        spread.append(cells)
    return spread


def _label(head: list[list[_Cell]], at: int) -> str:
    """The texts above a column from top to bottom, each once."""
    words: list[str] = []
    for row in head:
        text = row[at].text if at < len(row) else ""
        if text and not text.startswith("Unnamed:") and text not in words:
            words.append(text)
    return " · ".join(words)


def _align(body: list[list[_Cell]], at: int) -> str:
    texts = [row[at].text for row in body if at < len(row) and row[at].text not in {"", "...", "NaN"}]
    return "right" if texts and all(looks_numeric(text) for text in texts) and not _all_heads(body, at) else "left"


def _all_heads(body: list[list[_Cell]], at: int) -> bool:
    return all(row[at].head for row in body if at < len(row))
