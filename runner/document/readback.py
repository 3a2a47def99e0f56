"""Reads finished files back, for the proof: what a reader, a screen reader or a browser would find in them."""

from __future__ import annotations

import ctypes
import re
import threading
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

if TYPE_CHECKING:
    from collections.abc import Iterator

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_INLINE = {"a", "b", "code", "em", "i", "span", "strong", "sub", "sup", "small", "u"}
_ACTIVE = {"script", "iframe", "object", "embed", "base", "form", "applet", "frame"}
_ADDRESSES = {"src", "href", "srcset", "poster", "data", "action", "background", "xlink:href", "formaction", "ping"}
_OWN = re.compile(r"\s*(?:#|data:)", re.IGNORECASE)
_STYLE_OUT = re.compile(r"@import|url\(\s*['\"]?\s*(?!data:|#|['\"])", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")


def flow(text: str) -> str:
    """Text as a reader takes it in: one space between words, nothing invisible; broken-off hyphens are put back."""
    return " ".join(re.sub("[\x02\ufffe]\\s*", "-", _INVISIBLE.sub("", text)).split())


@dataclass(frozen=True)
class HtmlPage:
    """What an HTML file says (`words`), shows (`alts`, one per picture) and reaches for (`outside`)."""

    words: str
    alts: tuple[str | None, ...]
    outside: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class PdfFile:
    """What a PDF says, page by page; the alt text of each figure; text that leaves its page."""

    pages: tuple[str, ...]
    alts: tuple[str, ...]
    clipped: tuple[str, ...]
    title: str
    claims_standards: bool

    @property
    def words(self) -> str:
        """The text of all pages."""
        return flow("\n".join(self.pages))


def read_html(text: str) -> HtmlPage:
    """The HTML as read by a plain parser: nothing of our own templates is taken for granted."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return HtmlPage(flow("".join(reader.words)), tuple(reader.alts), tuple(reader.outside), flow("".join(reader.title)))


@dataclass
class _Found:
    words: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    alts: list[str | None] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        found = _Found()
        self.words, self.title, self.alts, self.outside = found.words, found.title, found.alts, found.outside
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE:
            self.words.append("\n")
        if tag in {"style", "title"}:
            self._inside = tag
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        self.outside += _reaches_out(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        if tag not in _INLINE and tag not in _VOID:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.outside += [f"style: {found[0]}…" for found in _STYLE_OUT.finditer(data)]
        else:
            (self.title if self._inside == "title" else self.words).append(data)


def _reaches_out(tag: str, attrs: list[tuple[str, str | None]]) -> list[str]:
    """What the browser would fetch or run for this tag; a link that a person must click (`a href`) is none."""
    if tag in _ACTIVE:
        return [f"<{tag}>"]
    found = []
    for name, value in attrs:
        clicked = (
            tag == "a"
            and name == "href"
            and not re.match(r"\s*(?:javascript|vbscript|data):", value or "", re.IGNORECASE)
        )
        fetched = name in _ADDRESSES and not clicked and not _OWN.match(value or "#")
        styled = name == "style" and _STYLE_OUT.search(value or "")
        refreshed = tag == "meta" and name == "http-equiv" and (value or "").lower() == "refresh"
        if fetched or styled or refreshed or name.startswith("on"):
            found.append(f'<{tag} {name}="{(value or "")[:80]}">')
    return found


# --- PDF ---

#: Pdfium keeps state of its own for the whole process: two threads in it at once read wrong words, then nothing more.
_PDFIUM = threading.Lock()


def read_pdf(data: bytes) -> PdfFile:
    """The PDF as read by pdfium, by one thread at a time. Raises ValueError if it is no PDF."""
    with _PDFIUM:
        return _read_pdf(data)


def beside_pages(data: bytes) -> str:
    """Whatever a PDF says in words besides its pages: what it says about itself, and the files within it."""
    with _PDFIUM, closing(pdfium.PdfDocument(data)) as document:
        within = [document.get_attachment(number) for number in range(document.count_attachments())]
        files = [f"{file.get_name()}\n{bytes(file.get_data()).decode('utf-8', 'replace')}" for file in within]
        return "\n".join([*document.get_metadata_dict().values(), *files])


def _read_pdf(data: bytes) -> PdfFile:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        raise ValueError(f"not a PDF: {error}") from error
    try:
        pages: list[str] = []
        alts: list[str] = []
        clipped: list[str] = []
        for number, page in enumerate(document, 1):
            textpage = page.get_textpage()
            pages.append(textpage.get_text_range())
            clipped += [f"page {number}: {text}" for text in _outside_page(page, textpage)]
            alts += _alts(page)
            textpage.close()
            page.close()
        title = document.get_metadata_value("Title")
    finally:
        document.close()
    return PdfFile(tuple(pages), tuple(alts), tuple(clipped), title, b"pdfuaid" in data and b"pdfaid" in data)


def _outside_page(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> Iterator[str]:
    """Runs of text that lie, even in part, beyond the page's edge."""
    wide, high = page.get_size()
    for at in range(textpage.count_rects()):
        left, bottom, right, top = textpage.get_rect(at)
        if left < -1 or bottom < -1 or right > wide + 1 or top > high + 1:
            yield flow(textpage.get_text_bounded(left, bottom, right, top))[:60] or "text"


def _alts(page: pdfium.PdfPage) -> Iterator[str]:
    """The alternative text of each figure in the page's structure tree ('' where there is none)."""
    tree = pdfium_c.FPDF_StructTree_GetForPage(page)
    if not tree:
        return
    try:
        for at in range(pdfium_c.FPDF_StructTree_CountChildren(tree)):
            yield from _figure_alts(pdfium_c.FPDF_StructTree_GetChildAtIndex(tree, at))
    finally:
        pdfium_c.FPDF_StructTree_Close(tree)


def _figure_alts(element: object) -> Iterator[str]:
    if not element:
        return
    if _said(pdfium_c.FPDF_StructElement_GetType, element) in {"Figure", "Formula"}:
        yield _said(pdfium_c.FPDF_StructElement_GetAltText, element)
    for at in range(pdfium_c.FPDF_StructElement_CountChildren(element)):
        yield from _figure_alts(pdfium_c.FPDF_StructElement_GetChildAtIndex(element, at))


def _said(ask: object, element: object) -> str:
    """A text of pdfium's: asked for its size first, then for itself (UTF-16, closed by a zero)."""
    size = ask(element, None, 0)  # type: ignore[operator]
    if size <= 2:
        return ""
    buffer = ctypes.create_string_buffer(size)
    ask(element, buffer, size)  # type: ignore[operator]
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")
