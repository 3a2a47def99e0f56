"""The block model: everything a report can show, as frozen objects without any markup.

Renderers read these and nothing else, so what reaches HTML, PDF and mail is the same content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.model import Finding

#: The width of the text in every output, in inches; a full chart is drawn at exactly this width.
TEXT_WIDTH = 6.9
#: The width of a half chart, in inches; two of them and the gap between make the text width.
HALF_WIDTH = 3.35


@dataclass(frozen=True)
class Text:
    """Characters, and nothing that a renderer could take for markup."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Strong:
    """Important words."""

    children: tuple[Span, ...]
    kind: ClassVar[str] = "strong"


@dataclass(frozen=True)
class Emphasis:
    """Stressed words."""

    children: tuple[Span, ...]
    kind: ClassVar[str] = "emphasis"


@dataclass(frozen=True)
class Code:
    """A name from a programme, set in a fixed-width face."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Link:
    """Words that lead to `url`, which is http, https or mailto."""

    children: tuple[Span, ...]
    url: str
    kind: ClassVar[str] = "link"


@dataclass(frozen=True)
class InlineMaths:
    """A formula within a line, as TeX."""

    tex: str
    kind: ClassVar[str] = "maths"


@dataclass(frozen=True)
class Break:
    """A line break within a paragraph."""

    kind: ClassVar[str] = "break"


Span = Text | Strong | Emphasis | Code | Link | InlineMaths | Break
Spans = tuple[Span, ...]


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is a section of the report, and no level is ever skipped."""

    level: int
    spans: Spans
    anchor: str = ""
    kind: ClassVar[str] = "heading"

    @property
    def text(self) -> str:
        """The words alone."""
        return plain(self.spans)


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    spans: Spans
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Listing:
    """A bullet or numbered list; each item is a run of blocks, so lists nest."""

    items: tuple[tuple[Block, ...], ...]
    ordered: bool = False
    start: int = 1
    kind: ClassVar[str] = "list"


@dataclass(frozen=True)
class Column:
    """The head of a table's column; `align` is "left" or "right"."""

    label: str
    align: str = "left"
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of printed cells, and the raw `values` behind them that go into the attached CSV."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Spans, ...], ...]
    name: str = "table"
    caption: str = ""
    values: tuple[tuple[Any, ...], ...] = ()
    total: bool = False
    header_column: bool = False
    kind: ClassVar[str] = "table"

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The printed characters of every cell, row by row."""
        return tuple(tuple(plain(cell) for cell in row) for row in self.rows)


@dataclass(frozen=True)
class Chart:
    """A picture as SVG text, PNG bytes or both; `width` is in inches (never above the text width)."""

    name: str
    title: str
    alt: str
    caption: str = ""
    half: bool = False
    svg: str = ""
    png: bytes = b""
    width: float = TEXT_WIDTH
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Tile:
    """One key figure: its label, the very text printed, and its change; `tone` is good, bad or neutral."""

    label: str
    text: str
    change: str = ""
    tone: str = "neutral"
    note: str = ""
    name: str = ""

    @property
    def shape(self) -> str:
        """A mark that shows the direction of the change, so that colour is never the only sign."""
        if not self.change or self.change[0] in "▲▼↑↓●":
            return ""
        return {"+": "▲", "−": "▼", "-": "▼"}.get(self.change[0], "")

    @property
    def meaning(self) -> str:
        """What the tone says, in a word, for those who do not see the colour."""
        return {"good": "favourable", "bad": "unfavourable"}.get(self.tone, "")


@dataclass(frozen=True)
class Kpis:
    """Key figures side by side."""

    tiles: tuple[Tile, ...]
    kind: ClassVar[str] = "kpis"

    @property
    def across(self) -> int:
        """How many tiles stand side by side, so that no row is left with one."""
        return {1: 1, 2: 2, 4: 4, 7: 4, 8: 4}.get(len(self.tiles), 3)


@dataclass(frozen=True)
class Maths:
    """A formula on a line of its own, as TeX."""

    tex: str
    kind: ClassVar[str] = "display_maths"


@dataclass(frozen=True)
class Note:
    """A box beside the text; `tone` is info, warn, stop or quote."""

    tone: str
    title: str
    blocks: tuple[Block, ...]
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Findings:
    """The results of checks, most serious first."""

    items: tuple[Finding, ...]
    kind: ClassVar[str] = "findings"


@dataclass(frozen=True)
class Preformatted:
    """Text whose spaces and lines matter."""

    text: str
    kind: ClassVar[str] = "preformatted"


@dataclass(frozen=True)
class Rule:
    """A line between two thoughts."""

    kind: ClassVar[str] = "rule"


Block = Heading | Paragraph | Listing | Table | Chart | Kpis | Maths | Note | Findings | Preformatted | Rule


@dataclass(frozen=True)
class Meta:
    """What a report is about and who answers for it; everything but the title may be empty."""

    title: str
    company: str = ""
    pipeline: str = ""
    subtitle: str = ""
    period: str = ""
    period_text: str = ""
    run: str = ""
    owners: tuple[str, ...] = ()
    because: str = ""
    deadline: str = ""
    status: str = ""
    generated_at: str = ""
    confidential: str = ""
    seal: str = ""  # by which `runner verify` knows the file again
    timestamp: int | None = None
    paper: str = "us-letter"

    @property
    def made(self) -> str:
        """When the report was made, for people, or nothing if that is not known."""
        try:
            moment = datetime.fromisoformat(self.generated_at).astimezone(UTC)
        except ValueError:
            return self.generated_at
        return f"{moment.day} {moment:%B %Y, %H:%M} UTC"

    @property
    def about(self) -> tuple[tuple[str, str], ...]:
        """The end matter: each term with its text, only those that are known."""
        terms = (
            ("Period", self.period_text or self.period),
            ("Questions to", ", ".join(self.owners)),
            ("Why these two", self.because),
            ("Promised", self.deadline),
            ("Made", self.made),
            ("Run", self.run),
        )
        return tuple((term, text) for term, text in terms if text)


@dataclass(frozen=True)
class Document:
    """One report: what it is about, and its blocks in order."""

    meta: Meta
    blocks: tuple[Block, ...] = ()

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Every heading, in order."""
        return tuple(block for block in self.blocks if isinstance(block, Heading))

    @property
    def has_contents(self) -> bool:
        """Whether the report is long enough for a list of contents to help."""
        sections = [heading for heading in self.headings if heading.level == 1]
        return len(sections) >= 3 and len(self.headings) >= 4

    @property
    def opening(self) -> int:
        """How many blocks stand before the contents: the summary and its key figures."""
        sections = [at for at, block in enumerate(self.blocks) if isinstance(block, Heading) and block.level == 1]
        first, second = [*sections, len(self.blocks), len(self.blocks)][:2]
        tiles_first = any(isinstance(block, Kpis) for block in self.blocks[:first])
        tiles_next = any(isinstance(block, Kpis) for block in self.blocks[first:second])
        return second if tiles_next and not tiles_first else first

    def walk(self) -> Iterator[Block]:
        """Every block, also those inside notes and lists."""
        yield from _walk(self.blocks)


def _walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Note):
            yield from _walk(block.blocks)
        elif isinstance(block, Listing):
            for item in block.items:
                yield from _walk(item)


@dataclass(frozen=True)
class Picture:
    """One chart as files: its slug, SVG text and PNG bytes (either may be empty)."""

    slug: str
    svg: str
    png: bytes = field(repr=False)


def plain(spans: Spans) -> str:
    """The words of inline spans, without their form."""
    return "".join(_word(span) for span in spans)


def _word(span: Span) -> str:
    match span:
        case Text(text) | Code(text):
            return text
        case InlineMaths(tex):
            return tex
        case Break():
            return " "
        case _:
            return plain(span.children)
