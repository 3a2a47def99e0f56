"""What a table looks like: plain facts of each column, small enough to be kept of every time that it was read.

For each column, as JSON::

    {"type": "str", "arrow": "large_string", "rows": 4711, "nulls": 0.02, "distinct": 2,
     "values": ["National", "Private"], "spread": [...], "sketch": [...]}

`type` is the word of the contracts (int64, float64, str, day, time) where there is one, else the exact Arrow type.
`nulls` is the share of rows without a value (for floats NaN is none). `values` are the categories of a column that has
few; `spread` the least, five quantiles and the greatest of what has an order (days or seconds
since 1970); `sketch` a sample of hashed
values by which a column is known again under another name.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: A column with more values than these has no categories.
MOST_VALUES = 100
#: So few values are kept whatever the number of rows; more only where each came twice on average.
_FEW = 12
_LONGEST = 200  # characters of one category
_SKETCH = 32
_SKETCHED = 20_000  # a column with more distinct values is known again by its spread alone
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def taken(table: pa.Table) -> Mapping[str, Any]:
    """The facts of each column, by name; a name that comes a second time is called `name (2)`."""
    found: dict[str, Any] = {}
    for number, name in enumerate(table.column_names):
        times = table.column_names[: number + 1].count(name)
        found[name if times == 1 else f"{name} ({times})"] = _facts(table.column(number))
    return found


def digest(columns: Mapping[str, Any]) -> str:
    """SHA-256 over names and exact types, whatever their order, as hexadecimal text."""
    named = sorted((name, facts["arrow"]) for name, facts in columns.items())
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def word(kind: pa.DataType) -> str:
    """An Arrow type in the words of the contracts; one that they have no word for as Arrow writes it."""
    from pyarrow import types  # noqa: PLC0415 - heavy, and only who reads a source needs it

    if types.is_dictionary(kind):
        return word(kind.value_type)
    if types.is_integer(kind):
        return "int64"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "float64"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "str"
    if types.is_date(kind):
        return "day"
    return "time" if types.is_timestamp(kind) and kind.tz is None else str(kind)


def category(value: Any) -> Any:
    """A value as it is kept among the categories: long texts are cut."""
    return value[:_LONGEST] if isinstance(value, str) else value


def _facts(column: pa.ChunkedArray) -> dict[str, Any]:
    from pyarrow import compute as pc  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    rows = len(column)
    plain = column.cast(column.type.value_type) if types.is_dictionary(column.type) else column
    kind = word(plain.type)
    absent = pc.sum(pc.is_null(plain, nan_is_null=types.is_floating(plain.type))).as_py() or 0
    found = {"type": kind, "arrow": str(column.type), "rows": rows, "nulls": absent / rows if rows else 0.0}
    return {**found, **dict(_content(plain, kind))}


def _content(column: pa.ChunkedArray, kind: str) -> Iterator[tuple[str, Any]]:
    """What the values themselves look like, as far as it can be said of their type."""
    from pyarrow import compute as pc  # noqa: PLC0415

    if kind not in {"int64", "float64", "str", "day", "time", "bool"}:
        return
    distinct = pc.unique(column).drop_null()
    yield "distinct", len(distinct)
    if kind in {"int64", "str", "bool"} and _is_few(len(distinct), len(column)):
        yield "values", sorted({category(value) for value in distinct.to_pylist()})
    if 0 < len(distinct) <= _SKETCHED:
        yield "sketch", _sketch(distinct)
    if kind in {"int64", "float64", "day", "time"} and (spread := _spread(column, kind)):
        yield "spread", spread


def _is_few(distinct: int, rows: int) -> bool:
    return distinct <= _FEW or (distinct <= MOST_VALUES and rows >= 2 * distinct)


def _sketch(distinct: pa.Array) -> list[str]:
    """The least hashes of all values: two columns with much in common share many of them."""
    hashes = {hashlib.blake2b(str(value).encode(), digest_size=6).hexdigest() for value in distinct.to_pylist()}
    return sorted(hashes)[:_SKETCH]


def _spread(column: pa.ChunkedArray, kind: str) -> list[float]:
    """Least, quantiles, greatest as finite numbers; none where there is no such value."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute as pc  # noqa: PLC0415

    if kind == "day":
        column = column.cast(pa.date32()).cast(pa.int32())
    if kind == "time":
        column = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    numbers = pc.cast(column, pa.float64(), safe=False)
    numbers = numbers.filter(pc.is_finite(numbers))
    found = pc.quantile(numbers, list(_QUANTILES)).to_pylist() if len(numbers) else []
    return [float(value) for value in found if value is not None and math.isfinite(value)]
