"""Two systems side by side: which keys both have, which only one, and where their values lie apart; set-based, in SQL.

A key without a value names no row: it matches nothing, not even another such key. A key that comes more than once on a
side is compared with nothing, for nobody knows which of its rows is meant; where no key is known, every column is the
key, and the same row as often on both sides is a match.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.document.tables import csv_text
from runner.errors import ConfigError, Trouble
from runner.model import Finding, Level

if TYPE_CHECKING:
    import duckdb

#: So many rows of what does not match are listed, and no more: a system that is empty would fill the disk.
MOST_LISTED = 100_000
MATCHED, LEFT_ONLY, RIGHT_ONLY, DIFFERENT, REPEATED = (
    "matched",
    "missing right",
    "missing left",
    "different",
    "repeated",
)
#: How much of a number two machines may compute differently; only where a tolerance is given.
_NOISE = 1e-9
_TIMES = ("TIMESTAMP", "DATE")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
            "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """How two sides are compared: the key (empty: every column they share), and tolerances by column.

    A tolerance is in the column's own unit; of days and times it is in seconds.
    """

    key: tuple[str, ...] = ()
    tolerance: Mapping[str, float] = field(default_factory=dict)
    most: float = 0.0


@dataclass(frozen=True)
class Compared:
    """What came of it: how many keys matched, are missing, repeated, or different; and the list of those that are not.

    `repeated_left` and `repeated_right` count keys that come more than once on a side; `strange` are columns that one
    side alone has, with the side that has them. `names` are the columns of `listed`.
    """

    matched: int = 0
    missing_left: int = 0
    missing_right: int = 0
    different: int = 0
    repeated: int = 0
    repeated_left: int = 0
    repeated_right: int = 0
    by_column: Mapping[str, int] = field(default_factory=dict)
    strange: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    listed: tuple[tuple[Any, ...], ...] = ()

    @property
    def keys(self) -> int:
        """How many there are on both sides together."""
        return self.matched + self.remainder

    @property
    def remainder(self) -> int:
        """How many did not match."""
        return self.missing_left + self.missing_right + self.different + self.repeated

    @property
    def share(self) -> float:
        """The remainder as a part of all keys, 0 to 1."""
        return self.remainder / self.keys if self.keys else 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Everything that was counted."""
        names = ("matched", "missing_left", "missing_right", "different", "repeated", "repeated_left", "repeated_right")
        return {name: getattr(self, name) for name in names}

    @property
    def csv(self) -> str:
        """The list as CSV in which no cell is a formula; it says so where it is not whole."""
        cut = [("…", f"{self.remainder - len(self.listed):,} more")] if len(self.listed) < self.remainder else []
        return csv_text(self.names, [*self.listed, *cut])


def compare(connection: duckdb.DuckDBPyConnection, left: str, right: str, rule: Rule) -> Compared:
    """Compare two tables or views of a connection, by name. It leaves nothing behind.

    Raises ConfigError where a column of the key or of the tolerance is not on both sides.
    """
    types = _types(connection, left), _types(connection, right)
    both = [name for name in types[0] if name in types[1]]
    key = rule.key or tuple(both)
    _require(key, rule, both)
    pair = _Pair(types, key, tuple(name for name in both if name not in key), rule)
    place = f"compared_{secrets.token_hex(4)}"
    try:
        connection.execute(f"CREATE TEMP TABLE {place} AS {pair.sql(left, right)}")
        return _counted(connection, place, pair)
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {place}")


def _types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE {_quoted(table)}").fetchall()}


def _require(key: Sequence[str], rule: Rule, both: Sequence[str]) -> None:
    lost = [name for name in (*key, *rule.tolerance) if name not in both]
    if lost or not key:
        what = f"{lost[0]!r} is no column of both sides." if lost else "The two sides have no column in common."
        raise ConfigError(what, f"Columns of both: {', '.join(both) or 'none'}. Correct key and tolerance.")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class _Pair:
    """Two sides that were looked at: types by column, the key, the columns that are compared."""

    types: tuple[Mapping[str, str], Mapping[str, str]]
    key: tuple[str, ...]
    values: tuple[str, ...]
    rule: Rule

    @property
    def is_keyed(self) -> bool:
        """Whether a key is known; if not, the same row may well come more than once, as often on both sides."""
        return bool(self.rule.key)

    def sql(self, left: str, right: str) -> str:
        """One row a key (and one for each row whose key has no value), with its status and what differs."""
        differs = ", ".join(f"CASE WHEN NOT ({self._equal(n)}) THEN {_text(c)} END" for n, c in enumerate(self.values))
        same = "=" if self.is_keyed else "IS NOT DISTINCT FROM"
        on = " AND ".join(f"l.k{n} {same} r.k{n}" for n in range(len(self.key)))
        twice = "greatest(left_n, right_n) > 1" if self.is_keyed else "left_n <> right_n"
        return f"""
            WITH l AS ({self._side(left, 0)}), r AS ({self._side(right, 1)}),
            joined AS (
                SELECT list_filter([{differs or "CAST(NULL AS VARCHAR)"}], lambda x: x IS NOT NULL) AS differs,
                       coalesce(l.n, 0) AS left_n, coalesce(r.n, 0) AS right_n, {self._shown()}
                FROM l FULL JOIN r ON {on})
            SELECT CASE WHEN left_n = 0 THEN '{RIGHT_ONLY}' WHEN right_n = 0 THEN '{LEFT_ONLY}'
                        WHEN {twice} THEN '{REPEATED}' WHEN len(differs) > 0 THEN '{DIFFERENT}'
                        ELSE '{MATCHED}' END AS status, *
            FROM joined"""

    def _side(self, table: str, side: int) -> str:
        """Keys as k0 …, values as v0 …, and how often a key comes; a key without a value is a row of its own."""
        keys = [f"{self._as_common(name, side)} AS k{n}" for n, name in enumerate(self.key)]
        values = [f"{self._as_common(name, side)} AS v{n}" for n, name in enumerate(self.values)]
        void = " OR ".join(f"k{n} IS NULL" for n in range(len(self.key))) if self.is_keyed else "false"
        by = ", ".join(f"k{n}" for n in range(len(self.key)))
        firsts = "".join(f", first(v{n}) AS v{n}" for n in range(len(self.values)))
        rows = f"SELECT {', '.join((*keys, *values))} FROM {_quoted(table)}"
        return f"""
            SELECT {by}, count(*) AS n{firsts}
            FROM (SELECT *, CASE WHEN {void} THEN row_number() OVER () END AS lone FROM ({rows}))
            GROUP BY {by}, lone"""

    def _as_common(self, name: str, side: int) -> str:
        """A column as both sides have it: numbers with numbers, times with times, anything else as text."""
        mine, other = (_class(self.types[at][name]) for at in (side, 1 - side))
        return _quoted(name) if mine == other else f"CAST({_quoted(name)} AS VARCHAR)"

    def _equal(self, number: int) -> str:
        name, same = self.values[number], f"l.v{number} IS NOT DISTINCT FROM r.v{number}"
        allowed = self.rule.tolerance.get(name, 0.0)
        kinds = {_class(side[name]) for side in self.types}
        if not allowed or len(kinds) > 1 or not kinds <= {"number", "time"}:
            return same
        left, right = (_number(f"{side}.v{number}", kinds) for side in "lr")
        noise = f"{_NOISE!r} * greatest(1.0, abs({left}), abs({right}))"
        finite = f"isfinite({left}) AND isfinite({right})"
        return f"{same} OR coalesce({finite} AND abs({left} - {right}) <= {allowed!r} + {noise}, false)"

    def _shown(self) -> str:
        keys = [f"coalesce(l.k{n}, r.k{n}) AS k{n}" for n in range(len(self.key))]
        values = [f"l.v{n} AS l{n}, r.v{n} AS r{n}" for n in range(len(self.values))]
        return ", ".join((*keys, *values))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the list."""
        sides = [f"{name} ({side})" for name in self.values for side in ("left", "right")]
        return ("status", "differs", "rows left", "rows right", *self.key, *sides)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _class(kind: str) -> str:
    """What a type of the database can be compared with."""
    plain = kind.partition("(")[0]
    if plain in _NUMBERS:
        return "number"
    return "time" if plain in _TIMES else kind


def _number(value: str, kinds: set[str]) -> str:
    return f"epoch({value})" if kinds == {"time"} else f"CAST({value} AS DOUBLE)"


def _counted(connection: duckdb.DuckDBPyConnection, place: str, pair: _Pair) -> Compared:
    rows = connection.execute(f"SELECT status, count(*) FROM {place} GROUP BY status").fetchall()
    found = {status: int(count) for status, count in rows}
    twice = connection.execute(
        f"SELECT count(*) FILTER (WHERE left_n > 1), count(*) FILTER (WHERE right_n > 1) FROM {place}"
    ).fetchone() or (0, 0)
    columns = connection.execute(
        f"""SELECT name, count(*) FROM (SELECT unnest(differs) AS name FROM {place} WHERE status = '{DIFFERENT}')
            GROUP BY ALL"""
    ).fetchall()
    left, right = pair.types
    strange = {name: "left" for name in left if name not in right} | {n: "right" for n in right if n not in left}
    return Compared(
        found.get(MATCHED, 0),
        found.get(RIGHT_ONLY, 0),
        found.get(LEFT_ONLY, 0),
        found.get(DIFFERENT, 0),
        found.get(REPEATED, 0),
        twice[0] if pair.is_keyed else 0,
        twice[1] if pair.is_keyed else 0,
        {name: int(count) for name, count in sorted(columns)},
        strange,
        pair.names,
        tuple(_listed(connection, place, pair)),
    )


def _listed(connection: duckdb.DuckDBPyConnection, place: str, pair: _Pair) -> Iterator[tuple[Any, ...]]:
    """What does not match, in the order of the key, every value as text."""
    values = [name for n in range(len(pair.values)) for name in (f"l{n}", f"r{n}")]
    shown = "".join(f", CAST({name} AS VARCHAR)" for name in (*(f"k{n}" for n in range(len(pair.key))), *values))
    order = ", ".join(f"k{n}" for n in range(len(pair.key)))
    yield from connection.execute(
        f"""SELECT status, CASE WHEN status = '{DIFFERENT}' THEN array_to_string(differs, ', ') END,
                   left_n, right_n{shown}
            FROM {place} WHERE status <> '{MATCHED}' ORDER BY {order}, status LIMIT {MOST_LISTED}"""
    ).fetchall()


# What it means.


@dataclass(frozen=True)
class Pairing:
    """What was compared, in words: the pair's title, and those of its two sides; and the share that may differ."""

    title: str
    left: str
    right: str
    most: float = 0.0


def findings(pairing: Pairing, compared: Compared) -> tuple[Finding, ...]:
    """What is to be said of two sides: their remainder, and where there are any, keys that come twice."""
    check = f"reconciliation of {pairing.title}"
    found = [_remainder(check, pairing, compared)]
    for side, count in ((pairing.left, compared.repeated_left), (pairing.right, compared.repeated_right)):
        if count:
            text = f"{pairing.title}: {count:,} {_keys(count)} more than once in {side}."
            numbers = {"side": side, "repeated": count}
            found.append(Finding(f"{check}: repeated", Level.WARN, text, Trouble.SOURCES_DISAGREE, numbers))
    if compared.strange:
        sides = {"left": pairing.left, "right": pairing.right}
        text = "; ".join(f"{name} is in {sides[side]} alone" for name, side in compared.strange.items())
        numbers = dict(compared.strange)
        found.append(
            Finding(f"{check}: columns", Level.WARN, f"{pairing.title}: {text}.", Trouble.SOURCES_DISAGREE, numbers)
        )
    return tuple(found)


def _keys(count: int) -> str:
    return "key comes" if count == 1 else "keys come"


def _remainder(check: str, pairing: Pairing, compared: Compared) -> Finding:
    numbers = {**compared.counts, "keys": compared.keys, "share": round(compared.share, 6), "most": pairing.most}
    if not compared.keys:
        text = f"{pairing.title}: neither {pairing.left} nor {pairing.right} has a row, so nothing was compared."
        return Finding(check, Level.WARN, text, Trouble.DATA_INCOMPLETE, numbers)
    said = [
        (compared.missing_left, f"missing in {pairing.left}"),
        (compared.missing_right, f"missing in {pairing.right}"),
        (compared.different, f"different ({', '.join(compared.by_column)})"),
        (compared.repeated, "not comparable, for they come more than once"),
    ]
    words = "; ".join(f"{count:,} {what}" for count, what in said if count)
    text = f"{pairing.title}: {compared.matched:,} of {compared.keys:,} keys match{f'; {words}' if words else ''}."
    if compared.share > pairing.most:
        text += f" That is {compared.share:.1%} of them; {pairing.most:.1%} may be."
        return Finding(check, Level.WARN, text, Trouble.SOURCES_DISAGREE, numbers)
    return Finding(check, Level.PASS, text, None, numbers)
