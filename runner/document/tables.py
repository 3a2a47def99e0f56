"""How a table lies on paper, and its data as CSV; pure."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner.document.shapes import TEXT_WIDTH, Table
from runner.document.texts import clean

#: Points between a cell's text and its edges, both sides together.
PADDING = 8.0
#: Type sizes in points, from the usual to the smallest that can be read on paper.
SIZES = (7.6, 7.0, 6.4)
_WIDEST_WORD = 150.0
_WIDEST_NAME = 80.0  # the names of the rows stay on one line up to here
_TEXT_POINTS = TEXT_WIDTH * 72
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_BREAK = "\u200b"


@dataclass(frozen=True)
class Panel:
    """A part of a table that fits across the page: which columns it shows and how wide each is, in points."""

    columns: tuple[int, ...]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Layout:
    """A table's type size in points and its panels, one below the other (one is usual)."""

    size: float
    panels: tuple[Panel, ...]


def layout(table: Table) -> Layout:
    """The largest type in which the table fits across the page; if none does, several panels of the smallest."""
    for size in SIZES:
        natural, least = _needs(table, size)
        if sum(least) <= _TEXT_POINTS:
            return Layout(size, (Panel(tuple(range(len(natural))), _shared(natural, least)),))
    return Layout(SIZES[-1], tuple(_panels(table)))


def _panels(table: Table) -> list[Panel]:
    """Columns in turn, about as many in each panel; the first column comes again in each, to name its rows."""
    natural, least = _needs(table, SIZES[-1])
    count = len(_groups(least, len(least)))
    groups = _groups(least, math.ceil((len(least) - 1) / count))
    return [
        Panel(tuple(group), _shared([natural[at] for at in group], [least[at] for at in group])) for group in groups
    ]


def _groups(least: list[float], most: int) -> list[list[int]]:
    """The first column and up to `most` others that fit, again and again until all columns are placed."""
    groups: list[list[int]] = [[0]]
    for at in range(1, len(least)):
        full = sum(least[i] for i in groups[-1]) + least[at] > _TEXT_POINTS or len(groups[-1]) > most
        if full and len(groups[-1]) > 1:
            groups.append([0])
        groups[-1].append(at)
    return groups


def _needs(table: Table, size: float) -> tuple[list[float], list[float]]:
    """For each column its natural width (no line broken) and the least (lines broken between words), in points."""
    natural, least = [], []
    for at, column in enumerate(table.columns):
        cells = [row[at] for row in table.texts]
        widest = max((_width(cell, size) for cell in cells), default=0.0)
        word = max((_longest_word(cell, size) for cell in cells), default=0.0)
        head = _width(column.label, size) * 1.08
        head_word = _longest_word(column.label, size) * 1.08
        names_rows = at == 0 and widest < _WIDEST_NAME
        firm = widest if column.align == "right" or names_rows else word
        natural.append(max(widest, head) + PADDING)
        least.append(max(min(firm, _WIDEST_WORD), min(head_word, _WIDEST_WORD), 10.0) + PADDING)
    return natural, least


def _shared(natural: list[float], least: list[float]) -> tuple[float, ...]:
    """Widths that fill the text width: spare room goes to all, want of room to those that can break lines."""
    spare = _TEXT_POINTS - sum(natural)
    if spare >= 0:
        shares = [1.6, *[1.0] * (len(natural) - 1)]
        return tuple(round(wide + spare * share / sum(shares), 2) for wide, share in zip(natural, shares, strict=True))
    give = [max(wide - low, 0.0) for wide, low in zip(natural, least, strict=True)]
    room = max(_TEXT_POINTS - sum(least), 0.0)
    whole = sum(give) or 1.0
    scale = min(_TEXT_POINTS / sum(least), 1.0)
    return tuple(round(low * scale + room * part / whole, 2) for low, part in zip(least, give, strict=True))


def _longest_word(text: str, size: float) -> float:
    return max((_width(word, size) for word in text.split()), default=0.0)


def _width(text: str, size: float) -> float:
    return sum(_em(char) for char in text) * size


def _em(char: str) -> float:
    """How wide a character of Inter is, in em, on the generous side."""
    if char in " .,:;'|!iljtfrI()[]·-":
        return 0.39 if char in "-tfr()[]" else 0.3
    if char in "mwMW%@—…":
        return 1.0
    if char.isdigit() or char in "+−±=":
        return 0.67
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 0.76 if char.isupper() else 0.62


def breakable(text: str, longest: int = 24) -> str:
    """The text with invisible places to break in words that are too long for a line."""
    return re.sub(rf"\S{{{longest},}}", lambda found: _cut(found[0], longest // 2), text)


def _cut(word: str, every: int) -> str:
    return _BREAK.join(word[at : at + every] for at in range(0, len(word), every))


def shortened(text: str, points: float, size: float) -> str:
    """Give the text, or as much of it as fits on one line of so many points, with an ellipsis."""
    if _width(text, size) <= points:
        return text
    room = points - _width("…", size)
    kept = ""
    for char in text:
        room -= _em(char) * size
        if room < 0:
            break
        kept += char
    return f"{kept.rstrip()}…"


def csv_of(table: Table) -> str:
    """The table as `csv_text` writes it. The raw values stand for the printed texts where the block has them."""
    return csv_text([column.label for column in table.columns], table.values or table.texts)


def csv_text(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Rows below their names as CSV: numbers as numbers, and no text that a spreadsheet would run as a formula.

    `None` becomes an empty cell.
    """
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n")
    write.writerow([_harmless(name) for name in names])
    write.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _harmless(clean(value))


def _harmless(text: str) -> str:
    starts_formula = text.lstrip()[:1] in {"=", "+", "-", "@"} or text[:1] in {"\t", "\r", "\n"}
    return f"'{text}" if starts_formula and not _PLAIN_NUMBER.fullmatch(text.strip()) else text
