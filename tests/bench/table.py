"""The results as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.bench.shapes import Item, Row


def verdict(row: Row) -> str:
    """`met`, `MISSED`, or nothing where there is no target."""
    return "" if row.met is None else ("met" if row.met else "MISSED")


def number(value: float, unit: str = "") -> str:
    """Three figures that mean something, or as many as there are before the point."""
    if unit == "" and abs(value) < 1:
        return f"{value:.3f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def lines(items: Iterable[Item], failed: dict[str, str]) -> Iterator[str]:
    """Every item with its rows and notes; an item that failed with its reason."""
    for item in items:
        yield from ("", item.title, "")
        yield from map(_line, item.rows)
        yield from ("", *(f"  {note}" for note in item.notes)) if item.notes else ()
    for name, reason in failed.items():
        yield from ("", f"{name}: FAILED: {reason}")


def _line(row: Row) -> str:
    value = f"{number(row.value, row.unit)} {row.unit}".strip()
    return f"  {row.label:<52} {value:>18}   {row.target:<22} {verdict(row)}".rstrip()


def summary(items: Iterable[Item], failed: dict[str, str]) -> str:
    """How many targets were met, and which not."""
    rows = [row for item in items for row in item.rows if row.met is not None]
    missed = [row.label for row in rows if not row.met]
    said = f"{len(rows) - len(missed)} of {len(rows)} targets met."
    said += f" Missed: {'; '.join(missed)}." if missed else ""
    return said + (f" Failed: {', '.join(failed)}." if failed else "")
