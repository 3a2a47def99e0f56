"""A `Document` as plain JSON and files for the Typst template; pure. The template gets data, never code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.document import formulas, pictures
from runner.document.shapes import (
    Block,
    Break,
    Chart,
    Code,
    Document,
    Findings,
    Heading,
    InlineMaths,
    Kpis,
    Link,
    Listing,
    Maths,
    Note,
    Paragraph,
    Preformatted,
    Span,
    Spans,
    Table,
    Text,
    plain,
)
from runner.document.tables import breakable, csv_of, layout, shortened
from runner.model import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Json = dict[str, Any]

#: How a finding's level is shown beside its colour: a shape and a word.
MARKS: Mapping[Level, tuple[str, str]] = {
    Level.PASS: ("✓", "Pass"),
    Level.WARN: ("▲", "Warning"),
    Level.STOP: ("■", "Stop"),
}
_SMALL = 7.4  # the type size of headers and footers, in points
_SHORT_TABLE = 14
_LONG_CELL = 350
_MOST_TILES = 12
_LEAD = 420
_CONTENTS_LEVEL = 2


@dataclass
class Payload:
    """What the compiler's private folder will hold: `data` for the template, `files` beside it."""

    data: Json = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    spares: dict[str, str] = field(default_factory=dict)  # the PNG to take where an SVG turns out bad

    def keep(self, name: str, content: bytes) -> str:
        """Adds a file and gives its name."""
        self.files[name] = content
        return name


def payload_of(document: Document, theme: Mapping[str, str]) -> Payload:
    """Everything the template needs: the meta data, the opening, the body, and the pictures and tables as files."""
    payload = Payload()
    split = document.opening
    payload.data = {
        "meta": _meta(document),
        "theme": dict(theme),
        "opening": list(_blocks(document.blocks[:split], payload)),
        "body": list(_blocks(document.blocks[split:], payload)),
        "contents": _contents(document),
    }
    return payload


def _meta(document: Document) -> Json:
    meta = document.meta
    about = [[term, breakable(text, 40)] for term, text in meta.about] if meta.run or meta.owners else []
    return {
        "title": breakable(meta.title),
        "plain_title": meta.title,
        "short_title": shortened(meta.title, 270, _SMALL),
        "company": breakable(meta.company, 16),
        "subtitle": breakable(meta.subtitle),
        "period_text": breakable(meta.period_text or meta.period, 20),
        "footer": shortened(meta.confidential or meta.company, 400, _SMALL),
        "paper": meta.paper,
        "seal": meta.seal,
        "about": about,
        "incomplete": meta.status in {"stopped", "failed", "interrupted"},
    }


def _contents(document: Document) -> Json:
    """Whether there is a list of contents, and the heading at which its second column starts."""
    listed = [heading for heading in document.headings if heading.level <= _CONTENTS_LEVEL]
    if not document.has_contents:
        return {"shown": False, "middle": ""}
    wanted = (len(listed) + 1) // 2
    sections = [at for at, heading in enumerate(listed) if heading.level == 1 and at]
    near = min(sections, key=lambda at: abs(at - wanted), default=wanted)
    return {"shown": True, "middle": listed[near if abs(near - wanted) <= 2 else wanted].anchor}


def _blocks(blocks: Sequence[Block], payload: Payload) -> Iterator[Json]:
    at = 0
    while at < len(blocks):
        block, after = blocks[at], blocks[at + 1] if at + 1 < len(blocks) else None
        if isinstance(block, Chart) and block.half and isinstance(after, Chart) and after.half:
            yield {"kind": "pair", "charts": [_chart(block, payload), _chart(after, payload)]}
            at += 2
            continue
        yield {**_block(block, payload), "sticky": _leads(block, after)}
        at += 1


def _leads(block: Block, after: Block | None) -> bool:
    """Whether a block must stay on the page of the next: a short paragraph before what it speaks of."""
    leads = isinstance(block, Paragraph) and len(plain(block.spans)) <= _LEAD
    return leads and isinstance(after, Chart | Table | Listing | Maths | Findings | Kpis)


def _block(block: Block, payload: Payload) -> Json:  # noqa: C901, PLR0911  one line for each kind
    match block:
        case Heading(level, spans, anchor):
            short = shortened(plain(spans), 205, _SMALL)
            return {
                "kind": "heading",
                "level": level,
                "spans": _spans(spans, payload),
                "anchor": anchor,
                "short": short,
            }
        case Paragraph(spans):
            return {"kind": "paragraph", "spans": _spans(spans, payload)}
        case Listing(items, ordered, start):
            children = [list(_blocks(item, payload)) for item in items]
            return {"kind": "list", "ordered": ordered, "start": start, "items": children}
        case Table():
            return _table(block, payload)
        case Chart():
            return _chart(block, payload)
        case Kpis():
            return _kpis(block)
        case Maths(tex):
            return _maths(tex, payload)
        case Note(tone, title, blocks):
            return {"kind": "note", "tone": tone, "title": breakable(title), "blocks": list(_blocks(blocks, payload))}
        case Findings():
            return _findings(block)
        case Preformatted(text):
            return _preformatted(text)
        case _:
            return {"kind": "rule"}


def _spans(spans: Spans, payload: Payload, longest: int = 40) -> list[Json]:
    return [_span(span, payload, longest) for span in spans]


def _span(span: Span, payload: Payload, longest: int) -> Json:
    match span:
        case Text(text):
            return {"kind": "text", "text": breakable(text, longest)}
        case Code(text):
            return {"kind": "code", "text": breakable(text, longest)}
        case Break():
            return {"kind": "break"}
        case InlineMaths(tex):
            return _formula(tex, payload, display=False)
        case Link(children, url):
            return {"kind": "link", "url": url, "spans": _spans(children, payload, longest)}
        case _:
            return {"kind": span.kind, "spans": _spans(span.children, payload, longest)}


def _formula(tex: str, payload: Payload, *, display: bool) -> Json:
    drawing = formulas.draw(tex, display=display)
    if drawing is None:
        return {"kind": "code", "text": breakable(tex, 40)}
    name = payload.keep(f"maths-{len(payload.files)}.svg", drawing.svg.encode())
    size = {"width": drawing.width, "height": drawing.height, "depth": drawing.depth}
    return {"kind": "maths", "file": name, "alt": drawing.tex, **size}


def _maths(tex: str, payload: Payload) -> Json:
    return {"kind": "display", "spans": [_formula(tex, payload, display=True)]}


def _chart(chart: Chart, payload: Payload) -> Json:
    svg, png = pictures.sound_svg(chart.svg), pictures.sound_png(chart.png)
    spare = payload.keep(f"{chart.name}.png", png) if png else ""
    name = payload.keep(f"{chart.name}.svg", svg.encode()) if svg else spare
    if svg:
        payload.spares[name] = spare
    texts = {"title": breakable(chart.title), "alt": chart.alt, "caption": breakable(chart.caption)}
    return {"kind": "chart", "file": name, "width": chart.width, "half": chart.half, **texts}


def _kpis(kpis: Kpis) -> Json:
    tiles = [
        {
            "label": breakable(tile.label, 20),
            "text": breakable(tile.text, 12),
            "change": breakable(tile.change, 20),
            "shape": tile.shape,
            "tone": tile.tone,
            "note": breakable(tile.note, 20),
        }
        for tile in kpis.tiles
    ]
    longest = max(len(tile.label + tile.text + tile.change + tile.note) for tile in kpis.tiles)
    breaks = len(tiles) > _MOST_TILES or longest > _LONG_CELL
    return {"kind": "kpis", "tiles": tiles, "across": kpis.across, "breaks": breaks}


def _findings(findings: Findings) -> Json:
    items = [
        {
            "level": str(item.level),
            "shape": MARKS[item.level][0],
            "word": MARKS[item.level][1],
            "check": breakable(item.check, 20),
            "message": breakable(item.message),
        }
        for item in findings.items
    ]
    return {"kind": "findings", "items": items}


def _preformatted(text: str) -> Json:
    widest = max((len(row) for row in text.split("\n")), default=0)
    size = 7.0 if widest <= 112 else 6.2 if widest <= 126 else 5.6
    return {"kind": "preformatted", "text": breakable(text, 100), "size": size}


def _table(table: Table, payload: Payload) -> Json:
    plan = layout(table)
    text = csv_of(table)
    # A mark at the start tells spreadsheets that the file is UTF-8.
    name = payload.keep(f"{table.name}.csv", b"\xef\xbb\xbf" + text.encode())
    rows = [[_spans(cell, payload, 22) for cell in row] for row in table.rows]
    longest = max((len(cell) for row in table.texts for cell in row), default=0)
    return {
        "kind": "table",
        "caption": breakable(table.caption),
        "file": name,
        "size": plan.size,
        "total": table.total and len(rows) > 1,
        "header_column": table.header_column,
        "whole": len(rows) <= _SHORT_TABLE and longest <= _LONG_CELL,
        "split_rows": longest > _LONG_CELL,
        "panels": [_panel(table, rows, panel.columns, panel.widths) for panel in plan.panels],
    }


def _panel(table: Table, rows: list[list[Any]], columns: Iterable[int], widths: Sequence[float]) -> Json:
    shown = list(columns)
    heads = [{"label": breakable(table.columns[at].label, 22), "align": table.columns[at].align} for at in shown]
    return {"heads": heads, "widths": list(widths), "rows": [[row[at] for at in shown] for row in rows]}
