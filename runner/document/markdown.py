"""Markdown to blocks, by mistune's syntax tree; pure. Raw HTML in markdown is never passed on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mistune

from runner.document import foreign
from runner.document.shapes import (
    Block,
    Break,
    Chart,
    Code,
    Column,
    Emphasis,
    Heading,
    InlineMaths,
    Link,
    Listing,
    Maths,
    Note,
    Paragraph,
    Preformatted,
    Rule,
    Span,
    Spans,
    Strong,
    Table,
    Text,
)
from runner.document.texts import clean, looks_numeric, safe_link

Node = Mapping[str, Any]
#: Finds the picture that an image's address and alt text name, or nothing.
PictureOf = Callable[[str, str], Chart | None]

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def no_pictures(_address: str, _alt: str) -> Chart | None:
    """Finds nothing: for markdown that has no pictures of its own."""
    return None


def blocks_of(source: str, picture: PictureOf = no_pictures) -> tuple[Block, ...]:
    """The blocks of a markdown text. Never raises: what cannot be parsed is shown as it stands."""
    source = clean(source)
    try:
        return tuple(_blocks(_parse(source), picture))
    except RecursionError:
        return (Preformatted(source),)


def spans_of(source: str) -> Spans:
    """The inline spans of a short markdown text; several paragraphs are parted by line breaks."""
    spans: list[Span] = []
    for block in blocks_of(source):
        if isinstance(block, Paragraph | Heading):
            spans += [Break(), *block.spans] if spans else block.spans
    return tuple(spans) or ((Text(clean(source)),) if source.strip() else ())


def _parse(source: str) -> list[Node]:
    parse = mistune.create_markdown(renderer=None, plugins=["table", "math", "strikethrough"])
    nodes = parse(source)
    return [] if isinstance(nodes, str) else [*nodes]


def _blocks(nodes: Iterable[Node], picture: PictureOf) -> Iterable[Block]:
    for node in nodes:
        yield from _BLOCKS.get(node["type"], _nothing)(node, picture)


def _nothing(_node: Node, _picture: PictureOf) -> Iterable[Block]:
    return ()


def _paragraph(node: Node, picture: PictureOf) -> Iterable[Block]:
    """A paragraph; its pictures, which are blocks here, follow it."""
    spans = _spans(node.get("children", ()))
    if any(not isinstance(span, Text) or span.text.strip() for span in spans):
        yield from _formulas(spans)
    for image in _images(node.get("children", ())):
        alt = _words(image.get("children", ()))
        chart = picture(image["attrs"].get("url", ""), alt)
        yield chart or Note("warn", "", (Paragraph((Text(f"Picture not found: {alt or 'no description'}"),)),))


def _formulas(spans: Spans) -> Iterable[Block]:
    """One paragraph; a formula that stands alone in it becomes a display."""
    if len(spans) == 1 and isinstance(spans[0], InlineMaths) and spans[0].tex.startswith(r"\displaystyle"):
        yield Maths(spans[0].tex.removeprefix(r"\displaystyle").strip())
    else:
        yield Paragraph(spans)


def _images(nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        if node["type"] == "image":
            yield node
        else:
            yield from _images(node.get("children", ()))


def _heading(node: Node, _picture: PictureOf) -> Iterable[Block]:
    spans = _spans(node.get("children", ()))
    if any(not isinstance(span, Text) or span.text.strip() for span in spans):
        yield Heading(int(node["attrs"]["level"]), spans)


def _list(node: Node, picture: PictureOf) -> Iterable[Block]:
    items = tuple(tuple(_blocks(item.get("children", ()), picture)) for item in node["children"])
    attrs = node.get("attrs", {})
    yield Listing(items, bool(attrs.get("ordered")), min(int(attrs.get("start", 1)), 9999))


def _table(node: Node, _picture: PictureOf) -> Iterable[Block]:
    head, *bodies = node["children"]
    rows = tuple(
        tuple(_spans(cell.get("children", ())) for cell in row["children"])
        for body in bodies
        for row in body["children"]
    )
    labels = [_words(cell.get("children", ())) for cell in head["children"]]
    aligns = [cell["attrs"].get("align") for cell in head["children"]]
    columns = tuple(Column(label, _align(aligns[at], rows, at)) for at, label in enumerate(labels))
    yield Table(columns, tuple(foreign.fit(row, len(columns)) for row in rows))


def _align(said: str | None, rows: tuple[tuple[Spans, ...], ...], at: int) -> str:
    if said:
        return "right" if said == "right" else "left"
    cells = [row[at] for row in rows if at < len(row) and row[at]]
    numeric = [len(cell) == 1 and isinstance(cell[0], Text) and looks_numeric(cell[0].text) for cell in cells]
    return "right" if numeric and all(numeric) else "left"


def _quote(node: Node, picture: PictureOf) -> Iterable[Block]:
    yield Note("quote", "", tuple(_blocks(node.get("children", ()), picture)))


def _html(node: Node, _picture: PictureOf) -> Iterable[Block]:
    return foreign.blocks_of_html(node.get("raw", ""))


_BLOCKS: dict[str, Callable[[Node, PictureOf], Iterable[Block]]] = {
    "heading": _heading,
    "paragraph": _paragraph,
    "block_text": _paragraph,
    "list": _list,
    "table": _table,
    "block_quote": _quote,
    "block_html": _html,
    "block_code": lambda node, _: (Preformatted(str(node.get("raw", "")).rstrip("\n")),),
    "block_math": lambda node, _: (Maths(str(node.get("raw", "")).strip()),),
    "thematic_break": lambda _node, _: (Rule(),),
}


def _spans(nodes: Iterable[Node]) -> Spans:
    spans: list[Span] = []
    for node in nodes:
        for span in _SPANS.get(node["type"], _no_spans)(node):
            _append(spans, span)
    return tuple(spans)


def _append(spans: list[Span], span: Span) -> None:
    """Adds a span; neighbouring texts become one, so that a number is never cut in two."""
    if isinstance(span, Text) and spans and isinstance(spans[-1], Text):
        spans[-1] = Text(spans[-1].text + span.text)
    elif not (isinstance(span, Text) and not span.text):
        spans.append(span)


def _no_spans(_node: Node) -> Iterable[Span]:
    return ()


def _text(node: Node) -> Iterable[Span]:
    yield Text(str(node.get("raw", "")))


def _link(node: Node) -> Iterable[Span]:
    children = _spans(node.get("children", ()))
    url = safe_link(str(node.get("attrs", {}).get("url", "")))
    return (Link(children, url),) if url and children else children


def _inline_html(node: Node) -> Iterable[Span]:
    return (Break(),) if _BREAK.fullmatch(str(node.get("raw", ""))) else ()


def _maths(node: Node) -> Iterable[Span]:
    tex = str(node.get("raw", "")).strip()
    return (InlineMaths(tex),) if tex else ()


_SPANS: dict[str, Callable[[Node], Iterable[Span]]] = {
    "text": _text,
    "strong": lambda node: (Strong(_spans(node.get("children", ()))),),
    "emphasis": lambda node: (Emphasis(_spans(node.get("children", ()))),),
    "strikethrough": lambda node: _spans(node.get("children", ())),
    "codespan": lambda node: (Code(str(node.get("raw", ""))),),
    "link": _link,
    "inline_math": _maths,
    "block_math": lambda node: (InlineMaths(r"\displaystyle " + str(node.get("raw", "")).strip()),),
    "inline_html": _inline_html,
    "softbreak": lambda _node: (Text(" "),),
    "linebreak": lambda _node: (Break(),),
}


def _words(nodes: Iterable[Node]) -> str:
    return " ".join("".join(str(node.get("raw", "")) or _words(node.get("children", ())) for node in nodes).split())
