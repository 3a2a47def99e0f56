"""A pandas frame as a report's table: texts for the reader, values for the attached CSV, plain text for nbval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from runner.notebook.figures import NUMERIC, shown


@dataclass(frozen=True)
class Layout:
    """How a table is shown: a unit and a label by column, and whether the last row is a total."""

    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    total: bool = False


def block(frame: pd.DataFrame, name: str, caption: str, layout: Layout) -> dict[str, Any]:
    """The table block of `runner.document.blocks`. Raises ValueError for an empty frame or an unknown column."""
    if frame.empty:
        raise ValueError(f"The table {name!r} is empty; say so in words instead of showing it.")
    unknown = sorted((set(layout.units) | set(layout.labels)) - set(frame.columns))
    if unknown:
        raise ValueError(f"The table {name!r} has no column {unknown[0]!r}; it has {', '.join(map(str, frame))}.")
    units = {column: layout.units.get(str(column)) or _unit(frame[column]) for column in frame}
    rows = list(zip(*(frame[column].astype(object).tolist() for column in frame), strict=True))
    return {
        "type": "table",
        "name": name,
        "caption": caption,
        "columns": [_column(str(column), units[column], layout.labels) for column in frame],
        "rows": [[shown(cell, unit) for unit, cell in zip(units.values(), row, strict=True)] for row in rows],
        "values": [[plain(cell) for cell in row] for row in rows],
        "total": layout.total,
        "header_column": True,
    }


def _unit(column: pd.Series[Any]) -> str:
    if pd.api.types.is_datetime64_any_dtype(column):
        return "day"
    if pd.api.types.is_integer_dtype(column):
        return "count"
    return "number" if pd.api.types.is_float_dtype(column) else "text"


def _column(column: str, unit: str, labels: Mapping[str, str]) -> dict[str, str]:
    label = labels.get(column) or column.replace("_", " ").capitalize()
    return {"label": label, "align": "right" if unit in (*NUMERIC, "figure") else "left", "unit": unit}


def plain(cell: Any) -> int | float | str | None:
    """A cell as JSON takes it: NaN and NaT become None, days ISO text, money a float."""
    if cell is None or cell != cell:  # noqa: PLR0124  NaN and NaT differ from themselves
        return None
    if isinstance(cell, pd.Timestamp | np.datetime64 | date):
        return str(cell)[:10]
    value = cell.item() if hasattr(cell, "item") else cell
    if isinstance(value, bool | int | str):
        return value
    number = float(value)
    if math.isinf(number):
        raise ValueError("A table cell is infinite; look for a division by zero.")
    return round(number, 10)


def as_text(table: Mapping[str, Any]) -> str:
    """The table in aligned plain text: what nbval compares, so the numbers behind a chart are compared too."""
    head = [column["label"] for column in table["columns"]]
    right = [column["align"] == "right" for column in table["columns"]]
    lines = [head, *table["rows"]]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(head))]
    return "\n".join(
        [str(table["caption"])]
        + [
            "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
            for line in lines
        ]
    )


def as_html(table: Mapping[str, Any]) -> str:
    """The table for JupyterLab."""
    sides = [column["align"] for column in table["columns"]]
    head = "".join(
        f'<th style="text-align:{side}">{escape(column["label"])}</th>'
        for column, side in zip(table["columns"], sides, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(text, side) for text, side in zip(row, sides, strict=True)) + "</tr>"
        for row in table["rows"]
    )
    caption = escape(str(table["caption"]))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, side: str) -> str:
    return f'<td style="text-align:{side}">{escape(text)}</td>'
