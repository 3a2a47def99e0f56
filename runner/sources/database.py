"""Tables of a database, by SQLAlchemy address; tried for real on PostgreSQL.

A table or view is read in one transaction that can only read, by a cursor of the server, so that memory holds the
answer and never more. Days go in as parameters, names are quoted. PostgreSQL is also given the time there is, as its
own `statement_timeout`; other databases are bounded from outside alone.

A relation `watermarks` in the same schema, with the columns `place` (text) and `watermark` (a time with a zone), says
up to when a table is whole; without it nobody can say.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from runner.errors import SourceFailed
from runner.sources import cells
from runner.sources.access import LARGEST, Access
from runner.sources.source import Want, Wanted

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are fetched at once.
BATCH = 20_000
WATERMARKS = "watermarks"
#: SQLSTATEs by their beginning, longest first.
_REVOKED = ("42501", "28")
_PASSING = ("08", "40", "53", "55P03", "57", "58")
_CHANGED = {
    "25006": "would write where it is only to be read.",
    "3F": "does not know the schema that is asked for.",
    "42": "does not know a table or column that is asked for.",
}
#: What the server says when it refuses a connection; the library gives no SQLSTATE with it.
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" does not exist"
    r"|is not permitted to log in|permission denied for database|authentication failed",
    re.IGNORECASE,
)
_NO_DATABASE = re.compile(r'database ".*" does not exist', re.IGNORECASE)

#: What may be granted on a table, as it is called in `may`.
GRANTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
#: Those that may be granted on single columns as well, and are more than reading.
_BY_COLUMN = frozenset({"INSERT", "UPDATE", "REFERENCES"})
_HOLDS = ", ".join(f"has_{'any_column' if one in _BY_COLUMN else 'table'}_privilege(c.oid, '{one}')" for one in GRANTS)
#: Of each table and view that our role can reach: its name, with its schema where that is another one, whether
#: it is ours, and each grant; then what the role is beyond, and of which of PostgreSQL's own roles it is a member.
_GRANTED = f"""
    SELECT CASE WHEN n.nspname = coalesce(CAST(:schema AS text), current_schema()) THEN '' ELSE n.nspname || '.' END
               || c.relname, pg_has_role(c.relowner, 'MEMBER'),
           {_HOLDS}
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_ROLE = """
    SELECT r.rolsuper AS "SUPERUSER", r.rolcreaterole AS "CREATEROLE", r.rolcreatedb AS "CREATEDB",
           r.rolreplication AS "REPLICATION", r.rolbypassrls AS "BYPASSRLS",
           coalesce(has_schema_privilege(coalesce(CAST(:schema AS text), current_schema()), 'CREATE'), false)
               AS "CREATE"
    FROM pg_roles r WHERE r.rolname = current_user"""
_MEMBER = """
    SELECT r.rolname FROM pg_roles r
    WHERE r.rolname ~ '^pg_' AND pg_has_role(r.oid, 'MEMBER')
        AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"""


@dataclass(frozen=True)
class Database:
    """A database; `clock` gives seconds."""

    access: Access
    clock: Callable[[], float] = time.monotonic

    def read(self, want: Want, left: float) -> pa.Table:
        """The rows of a table or view, of the days asked for."""
        with self._reading(left) as connection:
            relation = self._relation(connection, want.place, want.table)
            self.access.hold_names(want, relation.columns.keys())
            return _Rows(self.access, want, relation).table(connection)

    def watermark(self, want: Want, left: float) -> datetime | None:
        """What `watermarks` says of the table."""
        with self._reading(left) as connection:
            schema, _ = self._named(want.place)
            if not sa.inspect(connection).has_table(WATERMARKS, schema=schema):
                return None
            said = sa.table(WATERMARKS, sa.column("place"), sa.column("watermark"), schema=schema)
            at = connection.execute(sa.select(said.c.watermark).where(said.c.place == want.place)).scalar()
        if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
            raise self.access.changed("does not say its watermark as a time with a zone.")
        return at

    def probe(self, left: float) -> None:
        """Whether the database answers, and lets us in."""
        with self._reading(left) as connection:
            connection.execute(sa.select(1))

    def rights(self, left: float) -> frozenset[str] | None:
        """The grants of our role on the tables that it can reach, and what it is beyond (PostgreSQL).

        SELECT counts when it holds for each table that the project reads; any other grant when it holds for any table.
        """
        with self._reading(left) as connection:
            if connection.dialect.name != "postgresql":
                return None
            schema = {"schema": self.access.config.schema_name}
            tables = connection.execute(sa.text(_GRANTED), schema).all()
            role = connection.execute(sa.text(_ROLE), schema).mappings().all()
            member = connection.execute(sa.text(_MEMBER)).scalars().all()
        beyond = {str(word) for row in role for word, holds in row.items() if holds}
        ours = {place.removeprefix(f"{self.access.config.schema_name}.") for place in self.access.places}
        return frozenset(_granted(ours, tables) | beyond | set(member))

    @contextmanager
    def _reading(self, left: float) -> Iterator[sa.Connection]:
        """A transaction that can only read."""
        until = self.clock() + left
        engine = self._engine(left)
        try:
            with engine.connect() as connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    milliseconds = max(int((until - self.clock()) * 1000), 1)
                    connection.execute(sa.text("SET TRANSACTION READ ONLY"))
                    bound = sa.text("SELECT set_config('statement_timeout', :limit, true)")
                    connection.execute(bound, {"limit": str(milliseconds)})
                yield connection
        except (sa.exc.SQLAlchemyError, OSError, ValueError, OverflowError) as error:
            raise _failed(self.access, error) from None
        finally:
            engine.dispose()

    def _engine(self, left: float) -> sa.Engine:
        refused = self.access.gone(
            "has an address that cannot be used.", "Write DIALECT+DRIVER://USER:PASSWORD@HOST/DATABASE."
        )
        try:
            url = sa.make_url(self.access.text(self.access.config.url or ""))
            engine = sa.create_engine(url, poolclass=NullPool, connect_args=_bounds(url, left))
        except (sa.exc.SQLAlchemyError, ValueError, ImportError, TypeError):
            raise refused from None
        sa.event.listen(engine, "handle_error", _close)
        return engine

    def _named(self, place: str) -> tuple[str | None, str]:
        """The schema and the name of a place: `name`, or `schema.name`."""
        schema, _, name = place.rpartition(".")
        return schema or self.access.config.schema_name, name

    def _relation(self, connection: sa.Connection, place: str, table: str) -> sa.Table:
        schema, name = self._named(place)
        try:
            columns = sa.inspect(connection).get_columns(name, schema=schema)
        except sa.exc.NoSuchTableError:
            raise self.access.changed(f"has no table or view {place!r:.60} ({table}).") from None
        found = [sa.Column(column["name"], column["type"]) for column in columns]
        return sa.Table(name, sa.MetaData(), *found, schema=schema, quote=True)


@dataclass(frozen=True)
class _Rows:
    """The rows of one relation as Arrow."""

    access: Access
    want: Want
    relation: sa.Table

    def table(self, connection: sa.Connection) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415

        names = self.relation.columns.keys()
        parts: list[list[Any]] = [[] for _ in names]
        held = 0
        streamed = connection.execution_options(stream_results=True, yield_per=BATCH).execute(self._query())
        for rows in streamed.partitions():
            for number, column in enumerate(self.relation.columns):
                part = self._array(column, [row[number] for row in rows])
                parts[number].append(part)
                held += part.nbytes
            if held > LARGEST:
                raise self.access.too_large(self.want)
        columns = zip(self.relation.columns, parts, strict=True)
        return pa.table({column.name: self._whole(column, chunks) for column, chunks in columns})

    def _query(self) -> sa.Select[Any]:
        query = sa.select(*(_plain(column) for column in self.relation.columns))
        if self.want.day:
            day = self.relation.c[self.want.day]
            if self.want.first:
                query = query.where(day >= self.want.first)
            if self.want.last:
                query = query.where(day < self.want.last + timedelta(1))
        return query

    def _array(self, column: sa.Column[Any], values: list[Any]) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        try:
            if _is_number(column):
                return cells.from_json(Wanted(column.name, "float64"), values)
            return pa.array(values, _arrow(column.type))
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            raise self.access.changed(
                f"has in {column.name!r:.60} of {self.want.table} values of no known type."
            ) from None

    def _whole(self, column: sa.Column[Any], parts: list[Any]) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        whole = pa.chunked_array(parts or [self._array(column, [])])
        kind = column.type
        if not isinstance(kind, sa.Numeric) or not _is_number(column):
            return whole
        digits, scale = kind.precision, kind.scale
        try:
            if digits and scale is not None and 0 <= scale <= digits <= cells.DIGITS:
                return whole.cast(pa.decimal128(digits, scale))
            return cells.typed(Wanted(column.name, "float64"), whole)
        except (pa.ArrowException, ValueError):
            raise self.access.changed(f"has in {column.name!r:.60} of {self.want.table} what is no number.") from None


def _close(context: sa.engine.ExceptionContext) -> None:
    """Close the cursor of a connection that is lost, which is left open otherwise."""
    execution = context.execution_context
    if execution is not None and execution.cursor is not None:
        with suppress(Exception):
            execution.cursor.close()


def _is_number(column: sa.Column[Any]) -> bool:
    """Whether it holds exact decimals."""
    return isinstance(column.type, sa.Numeric) and not isinstance(column.type, sa.Float)


def _arrow(kind: sa.types.TypeEngine[Any]) -> Any:
    """The Arrow type of a column."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC" if kind.timezone else None)
    known: Mapping[type, Any] = {
        sa.Boolean: pa.bool_(),
        sa.Integer: pa.int64(),
        sa.Float: pa.float64(),
        sa.Date: pa.date32(),
    }
    return next((arrow for base, arrow in known.items() if isinstance(kind, base)), pa.string())


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column; as text, where its type is none of those that reports know."""
    known = (sa.Boolean, sa.Integer, sa.Numeric, sa.Float, sa.Date, sa.DateTime, sa.String)
    return column if isinstance(column.type, known) else sa.cast(column, sa.Text).label(column.name)


def _granted(ours: set[str], tables: Any) -> set[str]:
    """The words for what holds of the tables: rows of name, whether it is ours, and a truth for each of GRANTS.

    SELECT is one of them where all of `ours` can be read.
    """
    found = {grant for row in tables for grant, holds in zip(GRANTS, row[2:], strict=True) if holds}
    readable = {row[0] for row in tables if row[2]}
    if not ours <= readable:
        found.discard("SELECT")
    return found | ({"OWNER"} if any(row[1] for row in tables) else set())


def _bounds(url: sa.URL, left: float) -> dict[str, Any]:
    """How long PostgreSQL's library may wait for a connection, and for a machine that is silent in the middle."""
    if url.drivername not in {"postgresql+psycopg", "postgresql"}:
        return {}
    return {"connect_timeout": max(math.ceil(left), 1), "tcp_user_timeout": max(int(left * 1000), 1000)}


def _failed(access: Access, error: BaseException) -> SourceFailed:
    """In our own words: those of the library may hold an address, or data."""
    origin = getattr(error, "orig", None) or error
    state = getattr(origin, "sqlstate", None) or ""
    said = "" if state else str(origin)
    if state.startswith(_REVOKED) or _REFUSED.search(said):
        return access.revoked("does not let our credential read that." if state else "does not let us in.")
    if state == "57014":
        return access.unavailable("did not answer in time.", "See how busy it is, or give it a longer `timeout`.")
    if state == "3D000" or _NO_DATABASE.search(said):
        return access.gone("has no database of that name.", "Mend its address.")
    if not state and isinstance(error, sa.exc.ProgrammingError) and "connection option" in said:
        return access.gone("has an address that cannot be used.", "Mend what stands after the ? in it.")
    is_lost = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | OSError)
    if state.startswith(_PASSING) or (is_lost and not state.startswith(tuple(_CHANGED))):
        return access.unavailable("cannot be reached, or dropped the connection.")
    known = (what for begin, what in _CHANGED.items() if state.startswith(begin))
    return access.changed(next(known, "holds values that cannot be read."))
