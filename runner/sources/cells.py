"""Cells without types of their own, as CSV and JSON have them, turned into columns of the contract's types, exactly.

int64     a whole number                                -> int64
float64   a decimal number; in JSON also as text        -> decimal(38, 9), exact; double where one of the column has
                                                           more digits than that
str       text, as it stands: `00123` stays so          -> string
day       YYYY-MM-DD                                    -> date32
time      YYYY-MM-DD HH:MM[:SS[.ffffff]], or T between  -> timestamp without a zone; in UTC where all of the column
                                                           have an offset (all or none)

Nothing is guessed, and nothing is rounded but what becomes a double: a cell that is not so is a BadCellError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from runner.sources.source import Wanted

if TYPE_CHECKING:
    import pyarrow as pa

SCALE, DIGITS = 9, 38
_WHOLE = r"^[+-]?[0-9]{1,19}$"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_PLAIN = rf"^[+-]?([0-9]{{1,{DIGITS - SCALE}}}(\.[0-9]{{0,{SCALE}}})?|\.[0-9]{{1,{SCALE}}})$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?$"
_OFFSET = r"(Z|[+-][0-9]{2}:[0-9]{2})$"
#: What a cell of a type should be, as it is said of one that is not.
SHOULD_BE = {
    "int64": "a whole number",
    "float64": "a number",
    "str": "text",
    "day": "a day (YYYY-MM-DD)",
    "time": "a time (YYYY-MM-DD HH:MM:SS)",
}
_OF_JSON: dict[str, frozenset[type]] = {
    "int64": frozenset({int}),
    "float64": frozenset({int, Decimal, str}),
    "str": frozenset({str}),
    "day": frozenset({str}),
    "time": frozenset({str}),
}


class BadCellError(ValueError):
    """A cell is not what its column's type says: the column and the row (from 0), and nothing of what stands there."""

    def __init__(self, column: str, row: int, should_be: str) -> None:
        super().__init__(f"{column!r:.60} is not {should_be} in row {row + 1:,}")
        self.column, self.row, self.should_be = column, row, should_be

    @property
    def what(self) -> str:
        """As it is said after the row."""
        return f"a {self.column!r:.60} that is not {self.should_be}"


def from_json(wanted: Wanted, values: Sequence[object]) -> pa.Array:
    """Values of JSON (numbers with a point as Decimal) as an Arrow column of whole numbers or of text, for `typed`."""
    import pyarrow as pa  # noqa: PLC0415

    allowed = _OF_JSON[wanted.type] | {type(None)}
    if not set(map(type, values)) <= allowed:
        row = next(row for row, value in enumerate(values) if type(value) not in allowed)
        raise BadCellError(wanted.name, row, SHOULD_BE[wanted.type])
    if wanted.type == "float64":
        values = [value if value is None else str(value) for value in values]
    try:
        return pa.array(values, pa.int64() if wanted.type == "int64" else pa.string())
    except (OverflowError, UnicodeEncodeError, pa.ArrowInvalid):
        row = next(row for row, value in enumerate(values) if not _fits(value))
        raise BadCellError(wanted.name, row, SHOULD_BE[wanted.type]) from None


def _fits(value: object) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not (isinstance(value, str) and re.search("[\ud800-\udfff]", value))


def typed(wanted: Wanted, cells: pa.ChunkedArray | pa.Array) -> pa.Array | pa.ChunkedArray:
    """A column of text as one of the contract's type; nulls stay. Raises BadCellError."""
    import pyarrow as pa  # noqa: PLC0415

    if wanted.type == "str" or not pa.types.is_string(cells.type):
        return cells
    return _READ[wanted.type](wanted, cells)


def _whole(wanted: Wanted, cells: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    _all_match(wanted, cells, _WHOLE)
    return _cast(wanted, cells, pa.int64(), lambda text: -(2**63) <= int(text) < 2**63)


def _number(wanted: Wanted, cells: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    _all_match(wanted, cells, _NUMBER)
    if pc.any(pc.match_substring_regex(cells, "[eE]")).as_py():
        cells = pa.array([_without_exponent(cell) for cell in cells.to_pylist()], pa.string())
    if _matches(cells, _PLAIN):
        return cells.cast(pa.decimal128(DIGITS, SCALE))
    found = cells.cast(pa.float64())
    endless = pc.index(pc.is_inf(found), True).as_py()
    if endless >= 0:
        raise BadCellError(wanted.name, endless, SHOULD_BE["float64"])
    return found


def _without_exponent(cell: str | None) -> str | None:
    """`1e-07` as the same digits written out; what would be endless stays as it is."""
    if cell is None or not re.search("[eE]", cell):
        return cell
    number = Decimal(cell)
    return format(number, "f") if -DIGITS < number.adjusted() < DIGITS else cell


def _day(wanted: Wanted, cells: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    _all_match(wanted, cells, _DAY)
    return _cast(wanted, cells, pa.date32(), lambda text: bool(date.fromisoformat(text)))


def _time(wanted: Wanted, cells: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    _all_match(wanted, cells, _TIME)
    aware = pc.match_substring_regex(cells, _OFFSET)
    if not pc.any(aware).as_py():
        return _cast(wanted, cells, pa.timestamp("us"), lambda text: bool(datetime.fromisoformat(text)))
    if not pc.all(aware).as_py():
        raise BadCellError(wanted.name, pc.index(aware, False).as_py(), "a time with an offset, as others are")
    return _cast(wanted, cells, pa.timestamp("us", "UTC"), lambda text: bool(datetime.fromisoformat(text)))


_READ: dict[str, Callable[[Wanted, Any], Any]] = {"int64": _whole, "float64": _number, "day": _day, "time": _time}


def _matches(cells: Any, pattern: str) -> bool:
    import pyarrow.compute as pc  # noqa: PLC0415

    return pc.all(pc.match_substring_regex(cells, pattern)).as_py() is not False


def _all_match(wanted: Wanted, cells: Any, pattern: str) -> None:
    import pyarrow.compute as pc  # noqa: PLC0415

    if not _matches(cells, pattern):
        row = pc.index(pc.match_substring_regex(cells, pattern), False).as_py()
        raise BadCellError(wanted.name, row, SHOULD_BE[wanted.type])


def _cast(wanted: Wanted, cells: Any, kind: Any, is_right: Callable[[str], bool]) -> Any:
    """Arrow's reading; where it says no, `is_right` finds the cell."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        row = next((row for row, cell in enumerate(cells.to_pylist()) if not _right(cell, is_right)), 0)
        raise BadCellError(wanted.name, row, SHOULD_BE[wanted.type]) from None


def _right(cell: str | None, is_right: Callable[[str], bool]) -> bool:
    try:
        return cell is None or is_right(cell)
    except ValueError:
        return False


def natural(values: Sequence[object]) -> pa.Array:
    """Values of JSON without a contract as a column of the type they all have; what they do not share is JSON text."""
    import pyarrow as pa  # noqa: PLC0415

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    try:
        for kind, types in (("int64", {int}), ("float64", {int, Decimal}), ("str", {str})):
            if kinds <= types:
                wanted = Wanted("", kind)
                return typed(wanted, from_json(wanted, values))
    except BadCellError:
        pass  # too large a number, say: its text is kept
    return pa.array([None if value is None else json.dumps(value, default=str) for value in values], pa.string())
