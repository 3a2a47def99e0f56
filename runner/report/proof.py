"""The proof: finished HTML and PDF are read back and held against the document and the figures that were checked.

Each check gives one finding, a pass or a stop (`Trouble.PROOF_FAILED`) that names the first places:

- *figures*: each figure stands in the document with its label (as a tile, or its text in a block whose section
  names the label), and in both files, as a whole number: 12 is not proven by 112, 12.5, −12, $12 or 12 %.
- *tiles, tables, numbers*: each tile (label directly followed by text), each table row and each number in prose
  stands in both files.
- *words*: no `nan`, `NaN`, `inf`, `NaT`, `<NA>`, `Traceback`, `object at 0x…` anywhere outside fixed-width text.
  `None` is refused where it is all that a cell, tile or line says, and within a sentence; it may begin one ("None of
  the checks failed."). `undefined` is refused only where it is all that is said, for it is also an English word.
- *pictures*: none blank; each with its alternative text in both files.
- *pages*: at least one page, nothing beyond a page's edge, the right title.
- *outside*: the HTML fetches and runs nothing.
- *accessibility*: a PDF that does not claim PDF/UA and PDF/A (see `render`) is a warning, so that a person looks.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.document import pictures
from runner.document.readback import HtmlPage, PdfFile, flow, read_html, read_pdf
from runner.document.shapes import (
    Block,
    Chart,
    Code,
    Document,
    Findings,
    Heading,
    InlineMaths,
    Kpis,
    Listing,
    Note,
    Paragraph,
    Preformatted,
    Spans,
    Table,
    Text,
    Tile,
    plain,
)
from runner.document.tables import layout
from runner.errors import Trouble
from runner.model import Figure, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NUMBER = re.compile(r"\S*\d\S*(?:\s%)?")  # with all that is joined to it: 2017-11-15, $3.91m
_AROUND = "()[]{}<>.,;:!?“”‘’\"'*_~–—…/·"
_BAD = re.compile(r"(?<![\w-])[+\-−]?(?:nan|NaN|NAN|inf|Inf|NaT|Traceback)(?![\w-])|<NA>|object at 0x[0-9a-f]+")
_ALONE = re.compile(r"\W*(?:None|undefined|null|NULL)\W*")
_NONE = re.compile(r"(?<![\w-])None(?![\w-])")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;(“\"•–—])\s*$")
_SHOWN = 5


@dataclass(frozen=True)
class _Files:
    html: HtmlPage
    pdf: PdfFile
    words: tuple[tuple[str, str], ...]  # (which file, its whole text)


def prove(document: Document, figures: Sequence[Figure], html: str, pdf: bytes | PdfFile) -> tuple[Finding, ...]:
    """One finding per check, in the order of the module's list. `pdf` may be read already; a bad file never raises."""
    try:
        read = pdf if isinstance(pdf, PdfFile) else read_pdf(pdf)
    except ValueError as error:
        return (_finding("pages", [f"the PDF cannot be opened ({error})"], ""),)
    page = read_html(html)
    files = _Files(page, read, (("HTML", page.words), ("PDF", read.words)))
    return tuple(check(document, figures, files) for check in _CHECKS)


def _finding(check: str, wrong: Sequence[str], good: str) -> Finding:
    name = f"proof: {check}"
    if not wrong:
        return Finding(name, Level.PASS, good)
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    message = f"{'; '.join(wrong[:_SHOWN])}{more}."
    return Finding(name, Level.STOP, message, Trouble.PROOF_FAILED, {"places": len(wrong)})


# --- figures, tiles, tables, numbers ---


def stands_in(text: str, words: str) -> bool:
    """Whether a text stands in running words as a whole: no digit, sign, unit or letter extends it.

    >>> stands_in("12", "we sold 12 crates"), stands_in("12", "we sold 112"), stands_in("12", "by −12 %")
    (True, False, False)
    """
    wanted = flow(text)
    if not wanted:
        return True
    if any(_whole(words, at, at + len(wanted)) for at in _places(wanted, words)):
        return True
    return any(_whole(words, *found.span()) for found in re.finditer(_loose(wanted), words))


def _places(wanted: str, words: str) -> Iterator[int]:
    at = words.find(wanted)
    while at >= 0:
        yield at
        at = words.find(wanted, at + 1)


_BEFORE = re.compile(r"(?:\w|[\d\w][.,]|[+\-−–$€£¥])$")
_AFTER = re.compile(r"\w|[.,]\d|\s?%")


def _whole(words: str, start: int, end: int) -> bool:
    """Whether nothing before or after makes another word or number of the stretch."""
    first, last = words[start], words[end - 1]
    before = _BEFORE.search(words[max(start - 2, 0) : start]) if first.isalnum() else None
    if first in "$€£¥+-−":
        before = re.search(r"[+\-−$€£¥\d]$", words[max(start - 1, 0) : start])
    after = _AFTER.match(words[end : end + 2]) if last.isalnum() else None
    return not before and not after


def _loose(wanted: str) -> str:
    """A pattern that also finds a text whose long words were broken over lines."""
    pattern = ""
    for word in wanted.split(" "):
        # A hyphen at the end of a line takes the line's end with it.
        pattern += ("" if not pattern else r"\s?" if pattern.endswith(r"\s?") else r"\s") + _loose_word(word)
    return pattern


def _loose_word(word: str) -> str:
    if len(word) >= 20:
        return r"\s?".join(re.escape(char) for char in word) + (r"\s?" if word.endswith("-") else "")
    # A line may end after these, but never between a sign and its currency: that would hide a minus.
    return re.sub(r"(\\-|/|–|−)(?!\\?[$€£¥])", r"\1\\s?", re.escape(word))


def _figures(document: Document, figures: Sequence[Figure], files: _Files) -> Finding:
    wrong = []
    for figure in figures:
        if not _in_document(figure, document):
            wrong.append(f"“{figure.label}” ({figure.text}) is not shown with its label in the report")
        wrong += [
            f"“{figure.label}” ({figure.text}) is not in the {name}"
            for name, words in files.words
            if not stands_in(figure.text, words)
        ]
    return _finding("figures", wrong, f"All {len(figures)} figures stand in HTML and PDF.")


def _in_document(figure: Figure, document: Document) -> bool:
    label, text = flow(figure.label), flow(figure.text)
    if any((flow(tile.label), flow(tile.text)) == (label, text) for tile in _tiles(document)):
        return True
    return any(
        label.casefold() in " ".join(section).casefold() and any(stands_in(text, words) for words in section)
        for section in _sections(document)
    )


def _sections(document: Document) -> Iterator[list[str]]:
    """The texts of each section's blocks; a tile's text counts only under its own label, so tiles are left out."""
    section: list[str] = []
    for block in document.blocks:
        if isinstance(block, Heading):
            yield section
            section = []
        if not isinstance(block, Kpis):
            section += [flow(words) for words in _texts(block)]
    yield section


def _tiles(document: Document) -> Iterator[Tile]:
    for block in document.walk():
        if isinstance(block, Kpis):
            yield from block.tiles


def _tiles_shown(document: Document, figures: Sequence[Figure], files: _Files) -> Finding:
    tiles = list(_tiles(document))
    wrong = [wrong for tile in tiles if (wrong := _disagrees(tile, figures))]
    wrong += [
        f"the tile “{tile.label}” does not say {tile.text} in the {name}"
        for tile in tiles
        for name, words in files.words
        if not stands_in(f"{tile.label} {tile.text}", words)
    ]
    return _finding("tiles", wrong, f"All {len(tiles)} tiles stand in HTML and PDF.")


def _disagrees(tile: Tile, figures: Sequence[Figure]) -> str:
    """What a tile says otherwise than the figure of its label, whose value was checked; empty where they agree."""
    checked = [figure for figure in figures if flow(figure.label) == flow(tile.label)]
    said = (flow(tile.text), flow(tile.change), flow(tile.note))
    if not checked or said in [(flow(one.text), flow(one.change), flow(one.note)) for one in checked]:
        return ""
    return f"the tile “{tile.label}” says {tile.text} {tile.change}".rstrip() + f", checked was {checked[0].text}"


def _tables(document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    wrong: list[str] = []
    rows = 0
    for table in (block for block in document.walk() if isinstance(block, Table)):
        panels = [tuple(range(len(table.columns)))]
        parts = {"HTML": panels, "PDF": [panel.columns for panel in layout(table).panels]}
        printed = list(_printed_rows(table))
        for at, row in enumerate(printed):
            rows += 1
            after = printed[at + 1] if at + 1 < len(printed) else ()
            wrong += [
                f"row {at + 1} of “{table.caption or table.name}” is not whole in the {name}"
                for name, words in files.words
                for columns in parts[name]
                if not _row_stands_in([row[at] for at in columns], after[:1], words)
            ]
    return _finding("tables", wrong, f"All {rows} table rows stand in HTML and PDF.")


def _row_stands_in(cells: Sequence[str], after: Sequence[str], words: str) -> bool:
    """Whether a row stands in running words; what follows may look like its unit (%), if it is the next row."""
    return stands_in(" ".join(cells), words) or bool(after and stands_in(" ".join([*cells, *after]), words))


def _printed_rows(table: Table) -> Iterator[tuple[str, ...]]:
    """The cells as printed; formulas are pictures, so a cell with one counts by the words around it."""
    for row in table.rows:
        if any(isinstance(span, InlineMaths) for cell in row for span in cell):
            continue
        yield tuple(plain(cell) for cell in row)


def _numbers(document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    found = {number.strip(_AROUND) for text in _prose(document) for number in _NUMBER.findall(flow(text))}
    numbers = {number for number in found if number}
    wrong = [
        f"the number {number} is not in the {name}"
        for number in sorted(numbers)
        for name, words in files.words
        if not stands_in(number, words)
    ]
    return _finding("numbers", wrong, f"All {len(numbers)} numbers of the text stand in HTML and PDF.")


def _prose(document: Document) -> Iterator[str]:
    for block in document.walk():
        match block:
            case Paragraph(spans) | Heading(spans=spans):
                yield _words_alone(spans)
            case Findings(items):
                yield from (item.message for item in items)
            case Chart(title=title, caption=caption):
                yield from (title, caption)


def _words_alone(spans: Spans) -> str:
    """Spans without formulas and code, which are set in other ways."""
    parts = []
    for span in spans:
        match span:
            case Text(text):
                parts.append(text)
            case InlineMaths() | Code():
                parts.append(" \u2003 ")
            case _:
                parts.append(_words_alone(getattr(span, "children", ())) or " ")
    return "".join(parts)


# --- words that no reader may see ---


def _words(document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    wrong = [f"“{found}” in “{_near(text, found)}”" for text in _shown_texts(document) for found in bad_words(text)]
    allowed = Counter(match for text in _fixed(document) for match in _BAD.findall(flow(text)))
    for name, words in files.words:
        extra = Counter(_BAD.findall(words)) - allowed
        wrong += [f"“{found}” in the {name}" for found in extra]
    return _finding("words", list(dict.fromkeys(wrong)), "No missing value or programme text is shown.")


def bad_words(text: str) -> list[str]:
    """What in a text says that a value is missing or a programme failed; the rules are in the module's text."""
    text = flow(text)
    found = _BAD.findall(text)
    if text and _ALONE.fullmatch(text):
        return [*found, text]
    return found + [match[0] for match in _NONE.finditer(text) if not _SENTENCE_START.search(text[: match.start()])]


def _near(text: str, found: str) -> str:
    at = max(flow(text).find(found) - 25, 0)
    return flow(text)[at : at + 60]


def _shown_texts(document: Document) -> Iterator[str]:
    meta = document.meta
    yield from (meta.title, meta.subtitle, meta.company, meta.period_text)
    for block in document.blocks:
        yield from _texts(block)


def _texts(block: Block) -> Iterator[str]:
    """Each text of a block that stands for itself: a paragraph, a cell, a part of a tile. No fixed-width text."""
    match block:
        case Heading(spans=spans) | Paragraph(spans):
            yield _words_alone(spans)
        case Table():
            yield block.caption
            yield from (column.label for column in block.columns)
            yield from (_words_alone(cell) for row in block.rows for cell in row)
        case Chart():
            yield from (block.title, block.caption, block.alt)
        case Kpis(tiles):
            yield from (text for tile in tiles for text in (tile.label, tile.text, tile.change, tile.note))
        case Findings(items):
            yield from (text for item in items for text in (item.check, item.message))
        case Note(title=title, blocks=blocks):
            yield title
            yield from (text for inner in blocks for text in _texts(inner))
        case Listing(items=items):
            yield from (text for item in items for inner in item for text in _texts(inner))


def _fixed(document: Document) -> Iterator[str]:
    """Fixed-width texts, and formulas that may be shown as their source."""
    for block in document.walk():
        match block:
            case Preformatted(text):
                yield text
            case Heading(spans=spans) | Paragraph(spans):
                yield from _codes(spans)
            case Table():
                yield from (code for row in block.rows for cell in row for code in _codes(cell))


def _codes(spans: Spans) -> Iterator[str]:
    for span in spans:
        match span:
            case Code(text) | InlineMaths(text):
                yield text
            case _:
                yield from _codes(getattr(span, "children", ()))


# --- pictures, pages, outside ---


def _pictures(document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    charts = [block for block in document.walk() if isinstance(block, Chart)]
    wrong = [f"the chart “{_called(chart)}” is empty" for chart in charts if pictures.blank(chart.svg, chart.png)]
    for name, alts in (("HTML", files.html.alts), ("PDF", files.pdf.alts)):
        if bare := sum(1 for alt in alts if not (alt or "").strip()):
            wrong.append(f"{bare} pictures in the {name} have no alternative text")
        missing = Counter(flow(chart.alt) for chart in charts) - Counter(flow(alt or "") for alt in alts)
        wrong += [f"the alternative text “{alt[:60]}” is not in the {name}" for alt in missing]
    return _finding("pictures", wrong, f"All {len(charts)} charts are drawn and described.")


def _called(chart: Chart) -> str:
    return chart.title or chart.name


def _pages(document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    pdf = files.pdf
    wrong = [] if pdf.pages else ["the PDF has no page"]
    wrong += [f"text runs off the page ({place})" for place in pdf.clipped]
    if flow(pdf.title) != flow(document.meta.title):
        wrong.append(f"the PDF's title is “{pdf.title}”, not “{document.meta.title}”")
    wrong += [f"page {at} of the PDF is empty" for at, text in enumerate(pdf.pages, 1) if not text.strip()]
    return _finding("pages", wrong, f"{len(pdf.pages)} pages, nothing beyond an edge.")


def _outside(_document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    wrong = [f"the HTML reaches outside: {what}" for what in files.html.outside]
    return _finding("outside", wrong, "The HTML fetches and runs nothing.")


def _accessibility(_document: Document, _figures: Sequence[Figure], files: _Files) -> Finding:
    name = "proof: accessibility"
    if files.pdf.claims_standards:
        return Finding(name, Level.PASS, "The PDF claims PDF/UA-1 and PDF/A-3a.")
    why = "The PDF does not claim PDF/UA-1 and PDF/A-3a; most often a character is in none of the fonts. Look at it."
    return Finding(name, Level.WARN, why, Trouble.RENDERING_FAILED)


_CHECKS: tuple[Callable[[Document, Sequence[Figure], _Files], Finding], ...] = (
    _figures,
    _tiles_shown,
    _tables,
    _numbers,
    _words,
    _pictures,
    _pages,
    _outside,
    _accessibility,
)
