"""The database behind the ledger: its address, its version, its transactions.

One transaction for each change of state.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from runner.errors import ConfigError
from runner.leaks import Censor
from runner.ledger.tables import PARTIAL, meta, schema_version

SCHEMA = 5
BUSY = 30_000  # milliseconds that one writer waits for another
AGAIN = 20  # milliseconds between two tries where SQLite itself may not wait
#: The lock that every writer on PostgreSQL takes; any number that no other software on that database uses.
WRITER = 0x72756E6E6572  # "runner"


class Store:
    """A database with every table of the ledger. Safe to share between threads."""

    def __init__(self, engine: sa.Engine, censor: Censor | None = None) -> None:
        self._engine = engine
        if censor is not None:
            sa.event.listen(engine, "before_cursor_execute", _censored(censor), retval=True)
        self._writing = engine.execution_options(writes=True)

    @classmethod
    def open(cls, where: str | Path, censor: Censor | None = None) -> Self:
        """Open a database address or a file, and make or renew the tables where they are not there or older.

        With a censor, a secret in anything that is written or asked for is replaced by its name.

        Raises ConfigError when the database cannot be opened or was made by a newer version.
        """
        url = where if isinstance(where, str) and "://" in where else f"sqlite:///{where}"
        try:
            store = cls(_engine(url), censor)
            store._prepare()
        except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ConfigError(f"The ledger cannot be opened: {reason}.", "Correct `ledger` in settings.yml.") from error
        except ValueError:  # what cannot be read may hold a password: neither shown nor chained
            what = "The ledger cannot be opened: its address cannot be read."
            raise ConfigError(what, "Correct `ledger` in settings.yml: is the port a number?") from None
        return store

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.read() as connection:
            if _found(connection) == SCHEMA:
                return
        with self.write() as connection:
            found = _found(connection)  # once more: another may have prepared it in the meantime
            # New tables are made; a step that changes an older table has its own function in _STEPS.
            meta.create_all(connection)
            for version in range((found or SCHEMA) + 1, SCHEMA + 1):
                _STEPS[version](connection)
            connection.execute(schema_version.delete())
            connection.execute(schema_version.insert().values(version=SCHEMA))

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that changes something; on SQLite it is a writer from its start.

        On PostgreSQL, too, writers follow one another: each first takes one lock that the end of its transaction gives
        back. What is read in it and written after can thus not be changed by another in between, as the books expect.
        """
        with self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_LOCK, {"busy": str(BUSY)})
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that looks."""
        with self._engine.connect() as connection:
            yield connection


#: Who waits for it gives up after a while, as on SQLite: behind a writer that stands still nobody stands for ever.
_LOCK = sa.select(
    sa.func.set_config("lock_timeout", sa.bindparam("busy", type_=sa.Text), sa.true()),
    sa.func.pg_advisory_xact_lock(sa.literal(WRITER, sa.BigInteger)),
)


def _found(connection: sa.Connection) -> int | None:
    """The version of the tables that are there. Raises ConfigError when it is newer than this software."""
    if not sa.inspect(connection).has_table("schema_version"):
        return None
    found = connection.scalar(sa.select(schema_version.c.version))
    if found is not None:
        _refuse_newer(found)
    return found


def _to_2(connection: sa.Connection) -> None:
    """Runs are looked up by status and by time as well."""
    for name, columns in (("runs_by_status", "status"), ("runs_by_time", "pipeline, started_at")):
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON runs ({columns})")


def _to_3(connection: sa.Connection) -> None:
    """A run says how its kernel began; and no question of a look reads the whole past."""
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN kernel VARCHAR")
    connection.exec_driver_sql("DROP INDEX IF EXISTS runs_by_period")  # it had no time
    for table in meta.tables.values():
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            index.create(connection, checkfirst=True)
    for statement in PARTIAL:
        connection.exec_driver_sql(statement)


def _to_4(connection: sa.Connection) -> None:
    """A delivery has a state, tries and a holder; sources have a past."""
    columns = ("state VARCHAR(16) NOT NULL DEFAULT 'owed'", "attempts INTEGER NOT NULL DEFAULT 0")
    for column in (*columns, "next_try_at VARCHAR(32)", "holder VARCHAR(64)", "lease_until VARCHAR(32)", "error TEXT"):
        connection.exec_driver_sql(f"ALTER TABLE deliveries ADD COLUMN {column}")
    connection.exec_driver_sql("UPDATE deliveries SET state = 'sent' WHERE sent_at IS NOT NULL")
    for statement in PARTIAL:
        connection.exec_driver_sql(statement)


def _to_5(connection: sa.Connection) -> None:
    """The desk: links, sessions, tokens, arrivals; what somebody was given is found by their address and by the run."""
    for statement in PARTIAL:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("CREATE INDEX IF NOT EXISTS deadlines_of_pipeline ON deadlines (pipeline, due_at)")


_STEPS = {2: _to_2, 3: _to_3, 4: _to_4, 5: _to_5}


def _refuse_newer(found: int) -> None:
    if found > SCHEMA:
        raise ConfigError(
            f"The ledger was written by a newer version of the runner (schema {found}, this one knows {SCHEMA}).",
            "Update the runner, or name another ledger in settings.yml.",
        )


def _censored(censor: Censor) -> Callable[..., tuple[str, Any]]:
    """What hears each statement before the database does: no row, in whichever table, holds a secret.

    JSON comes by as text here (but for PostgreSQL), and the names that take a secret's place leave it JSON.
    """

    def hear(*told: Any) -> tuple[str, Any]:
        _, _, statement, given, _, _ = told
        return statement, _clean(given, censor)

    return hear


def _clean(given: Any, censor: Censor) -> Any:
    if isinstance(given, str):
        return censor.redact(given)
    if isinstance(given, dict):
        return {name: _clean(value, censor) for name, value in given.items()}
    if hasattr(given, "obj") and hasattr(given, "dumps"):  # JSON as the driver of PostgreSQL is handed it
        return type(given)(censor.clean(given.obj), given.dumps)
    return type(given)(_clean(value, censor) for value in given) if isinstance(given, list | tuple) else given


#: Whoever looks while looking holds two connections. Of many at once none may wait for a second that the others hold:
#: how many there are is for the threads to bound.
_UNBOUNDED: dict[str, Any] = {"max_overflow": -1}


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, **_UNBOUNDED)
    more: dict[str, Any] = {}
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        more = _UNBOUNDED
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY / 1000}, **more)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see _begin_sqlite
    _write_ahead(connection)
    for pragma in (f"busy_timeout = {BUSY}", "foreign_keys = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Switch the file to a write-ahead log. Of two who do so at once SQLite refuses one without any wait."""
    connection.execute(f"PRAGMA busy_timeout = {AGAIN}")
    for left in reversed(range(BUSY // (2 * AGAIN))):  # each try waits by itself, or not, and then once more
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not left or "locked" not in str(error):
                raise
            time.sleep(AGAIN / 1000)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:  # waits for nobody and cannot fail: no need for the long way
        connection.connection.dbapi_connection.cursor().execute("BEGIN")  # type: ignore[union-attr]
