"""What a restatement shows before all else: that it is one, and each figure as it was and as it is; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.document.shapes import Block, Column, Heading, Kpis, Note, Paragraph, Table, Text
from runner.document.texts import line

_COLUMNS = (Column("Figure"), Column("Earlier report", "right"), Column("This report", "right"))
#: Files of tables are named after this.
NAME = "restatement"


def marked(blocks: Sequence[Block], restates: Any) -> list[Block]:
    """The blocks of a report, with a note and a table after its key figures where it restates another.

    `restates` is that of `metadata.runner`: `delivered_on`, a day in words, and `changes`, each with a label and the
    texts before and now. Anything else is no restatement.
    """
    changes = restates.get("changes") if isinstance(restates, Mapping) else None
    if not isinstance(changes, Sequence) or not all(isinstance(change, Mapping) for change in changes) or not changes:
        return list(blocks)
    at = _place(blocks)
    return [*blocks[:at], _note(line(restates.get("delivered_on") or ""), len(changes)), _table(changes), *blocks[at:]]


def _place(blocks: Sequence[Block]) -> int:
    """After the tiles, if they come first; else at the top, below the first section's heading if that is the top."""
    sections = [at for at, block in enumerate(blocks) if isinstance(block, Heading) and at] or [len(blocks)]
    tiles = [at for at, block in enumerate(blocks[: sections[0]]) if isinstance(block, Kpis)]
    if tiles:
        return tiles[0] + 1
    return 1 if blocks and isinstance(blocks[0], Heading) else 0


def _note(day: str, count: int) -> Note:
    title = f"Restatement of the report delivered on {day}" if day else "Restatement of a report sent out before"
    figures = "One figure differs" if count == 1 else f"{count} figures differ"
    return Note("warn", title, (Paragraph((Text(f"{figures} from that report. This report takes its place."),)),))


def _table(changes: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(tuple((Text(_shown(change, key)),) for key in ("label", "before", "now")) for change in changes)
    return Table(_COLUMNS, rows, name=NAME, caption="The figures that differ", header_column=True)


def _shown(change: Mapping[str, Any], key: str) -> str:
    return line(change.get(key) or "") or "not shown"
