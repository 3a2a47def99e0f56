"""CSV bytes -> an Arrow table, by the types of a contract and by nothing else.

The first record names the columns; UTF-8, commas, double quotes, and a line break at the very end: without the last one
nobody can tell whether the file is whole (the `12` of a torn `123.45` is a number, too). An empty cell is null, except
in a column of text that may not be null, where it is the empty text, as a quoted empty cell is everywhere. Columns that
are in no contract are read as text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.sources import cells
from runner.sources.access import Access
from runner.sources.cells import BadCellError
from runner.sources.source import Want

if TYPE_CHECKING:
    import pyarrow as pa

#: What the fast reader is lenient about: a quote, an empty line.
_LENIENT = re.compile(rb'"|\A[\r\n]|\n[\r\n]|\r\r')


def table(access: Access, want: Want, name: str, data: bytes) -> pa.Table:
    """The table in a file's bytes; `name` is said of it in errors. Raises SourceFailed."""
    import pyarrow as pa  # noqa: PLC0415

    _hold_whole(access, name, data)
    found = _cells(access, name, data)
    header, rest = [str(found[column][0].as_py() or "") for column in found.column_names], found.slice(1)
    access.hold_names(want, header)
    types = {column.name: column for column in want.columns}
    columns = {}
    try:
        for column, values in zip(header, rest.columns, strict=True):
            wanted = types.get(column)
            columns[column] = values if wanted is None else cells.typed(wanted, _filled(wanted, values))
    except BadCellError as bad:
        raise access.changed(f"has in {name}, line {_line(data, bad.row)}, {bad.what}.") from None
    return pa.table(columns)


def _hold_whole(access: Access, name: str, data: bytes) -> None:
    """Raise where the bytes are no whole CSV, for reasons that a lenient reader would not see."""
    again = "Wait until it is written, or have it written again."
    if not data.strip():
        raise access.incomplete(f"has an empty {name}.", again, passing=True)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise access.changed(f"has {name} in another encoding than UTF-8.", "Have it written as UTF-8.") from None
    if not data.endswith((b"\n", b"\r")):
        raise access.incomplete(f"has {name} without a line break at its end: it may be torn.", again, passing=True)
    if data.count(b'"') % 2:
        raise access.incomplete(f"has a quote in {name} that never ends: it may be torn.", again, passing=True)


def _cells(access: Access, name: str, data: bytes) -> pa.Table:
    """Every record, the first one too, as columns of text."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    read = arrow_csv.ReadOptions(autogenerate_column_names=True, block_size=max(len(data), 1))
    parse = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    convert = arrow_csv.ConvertOptions(
        default_column_type=pa.string(), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    try:
        if _LENIENT.search(data):
            _hold_records(data)
        return arrow_csv.read_csv(io.BytesIO(data), read, parse, convert)
    except (pa.ArrowException, csv.Error, ValueError):
        what = f"has {name} with records that are not all of the same cells."
        raise access.changed(what, "Look for a stray quote, a missing comma or an empty line.") from None


def _hold_records(data: bytes) -> None:
    """Raise ValueError where the fast reader forgives what stands beside a quote, or takes an empty line for a row."""
    records = _records(data)
    cells_of_all = len(next(records))
    for record in records:
        if max(len(record), 1) != cells_of_all:
            raise ValueError


def _records(data: bytes) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)


def _filled(wanted: Any, values: Any) -> Any:
    return values.fill_null("") if wanted.type == "str" and not wanted.nullable else values


def _line(data: bytes, row: int) -> int:
    """The line on which a record ends; the first one after the names is row 0."""
    records = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    for _, _record in zip(range(row + 2), records, strict=False):
        pass
    return records.line_num
