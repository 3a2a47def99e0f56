"""A database as a source, on a PostgreSQL of the tests' own: rows, rights, and every way of being refused."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Event, Thread

import pyarrow as pa
import pytest

from runner.config import ends
from runner.errors import Trouble
from runner.sources.catalog import opened
from runner.sources.database import BATCH
from tests import postgres
from tests.source_samples import FIRST, LAST, outcome, want

PASSWORD = "right"
TABLES = f"""
    CREATE SCHEMA shop;
    CREATE TABLE shop.lines (id bigint, code text, amount numeric(10, 2), sold_at timestamp, day date);
    INSERT INTO shop.lines VALUES
        (1, '00123', 1.10, '2017-11-15 09:00', '2017-11-15'), (2, NULL, 19.99, '2017-11-15 10:30', '2017-11-15'),
        (3, 'a', 5, '2017-11-16', '2017-11-16'), (4, 'b', 6, '2017-11-17', '2017-11-17');
    CREATE TABLE shop."Odd ""name" ("a day" date, "ID" smallint, exact numeric, whole numeric, "far" timestamptz,
                                    yes boolean, near double precision, other jsonb);
    INSERT INTO shop."Odd ""name" VALUES ('2017-11-15', 7, 0.1, 1e40, '2017-11-15 12:00+02', true, 0.5, '{{"a": 1}}');
    CREATE VIEW shop.slow AS SELECT *, pg_sleep(30)::text AS nap FROM shop.lines;
    CREATE TABLE shop.many AS SELECT i AS id, 'x' AS code, 1.5 AS amount, now()::timestamp AS sold_at,
                                     date '2017-11-15' AS day FROM generate_series(1, {BATCH + 5}) i;
    CREATE TABLE shop.endless (id bigint, code text, amount numeric, sold_at timestamp, day date);
    INSERT INTO shop.endless VALUES (1, '', 'NaN', 'infinity', '2017-11-15');
    CREATE TABLE shop.watermarks (place text, watermark timestamptz);
    INSERT INTO shop.watermarks VALUES ('lines', '2017-11-16 04:00-05'), ('many', NULL);
    GRANT USAGE ON SCHEMA shop TO {postgres.GUARDED};
    GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {postgres.GUARDED};
"""


@pytest.fixture(scope="module")
def server():
    return postgres.running()


@pytest.fixture(scope="module")
def database(server):
    with server.database() as name:
        with server.connect(name) as connection:
            connection.execute(TABLES)
        yield name


@pytest.fixture
def owner(server, database):
    """A connection that may do all."""
    with server.connect(database) as connection:
        yield connection


def source(server, database, password=PASSWORD, url=None, tables=(), **config):
    """The database as a project has it, with the rights of a reader."""
    address = url or server.url(database, postgres.GUARDED, password)
    keys = {"kind": "sql", "title": "Till replica", "url": "env:REPLICA", "schema": "shop", **config}
    return opened("replica", ends.Source(**keys), None, {"REPLICA": address}, tables)


def test_days_become_a_table(server, database):
    """The rows of the days asked for come with the types of the database, null as null, money exact."""
    table = source(server, database).read(want(), 10).sort_by("id")
    assert [str(field.type) for field in table.schema] == [
        "int64", "string", "decimal128(10, 2)", "timestamp[us]", "date32[day]"
    ]  # fmt: skip
    assert table.to_pylist()[1:] == [
        {"id": 2, "code": None, "amount": Decimal("19.99"), "sold_at": datetime(2017, 11, 15, 10, 30), "day": FIRST},  # noqa: DTZ001
        {"id": 3, "code": "a", "amount": Decimal(5), "sold_at": datetime(2017, 11, 16), "day": LAST},  # noqa: DTZ001
    ]


def test_days_of_a_time(server, database):
    """Where the day is a time, all of the last day is asked for."""
    table = source(server, database).read(want(day="sold_at", first=FIRST, last=FIRST), 10)
    assert sorted(table["id"].to_pylist()) == [1, 2]


def test_names_and_types_of_all_kinds(server, database):
    """Names are quoted, numbers that a decimal cannot hold become doubles, and unknown types come as text."""
    asked = want('Odd "name', columns=(), day="a day")
    assert source(server, database).read(asked, 10).to_pylist() == [
        {
            "a day": date(2017, 11, 15),
            "ID": 7,
            "exact": Decimal("0.1"),
            "whole": 1e40,
            "far": datetime(2017, 11, 15, 10, tzinfo=UTC),
            "yes": True,
            "near": 0.5,
            "other": '{"a": 1}',
        }
    ]


def test_no_rows(server, database):
    """Days without rows are an empty table of the same types."""
    table = source(server, database).read(want(first=date(2016, 1, 1), last=date(2016, 1, 2)), 10)
    assert (table.num_rows, table.schema.field("amount").type) == (0, pa.decimal128(10, 2))


def test_more_than_one_batch(server, database):
    """A table of more rows than are fetched at once is whole."""
    table = source(server, database).read(want("many"), 10)
    assert sorted(table["id"].to_pylist()) == list(range(1, BATCH + 6))


def test_a_place_may_name_its_schema(server, database):
    """A place `schema.name` is found without `schema` in config."""
    assert source(server, database, schema=None).read(want("shop.lines"), 10).num_rows == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (want("nowhere"), "has no table or view 'nowhere'"),
        (want(day="date"), "without the column 'date'"),
        (want("endless"), "cannot be read"),
    ],
)
def test_what_is_not_as_agreed(server, database, asked, said):
    """A table or column that is not there, and values that nothing can hold, are a changed schema."""
    error = outcome(lambda: source(server, database).read(asked, 10))
    assert (error.trouble, error.passing) == (Trouble.SCHEMA_CHANGED, False)
    assert said in error.what


#: How many of our statements the server is working on.
AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'guarded' AND state = 'active' AND query LIKE 'FETCH%'"


def test_a_statement_that_takes_too_long(server, database, owner):
    """The server itself ends a statement that takes longer than there is, and that may pass."""
    error = outcome(lambda: source(server, database).read(want("slow"), 0.3))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)
    for _ in range(200):
        if owner.execute(AT_WORK).fetchone() == (0,):
            return
        owner.execute("SELECT pg_sleep(0.02)")
    pytest.fail("the statement goes on")


def test_a_connection_that_is_cut(server, database, owner):
    """A connection that the server ends in the middle may be had again in a moment."""
    ended, outcomes = Event(), []

    def read():
        outcomes.append(outcome(lambda: source(server, database).read(want("slow"), 20)))
        ended.set()

    thread = Thread(target=read, daemon=True)
    thread.start()
    while not ended.is_set():
        owner.execute(AT_WORK.replace("count(*)", "pg_terminate_backend(pid)"))
        ended.wait(0.02)
    thread.join(5)
    assert (outcomes[0].trouble, outcomes[0].passing) == (Trouble.SOURCE_UNAVAILABLE, True)
    assert "dropped the connection" in outcomes[0].what


def test_nobody_is_there(server, database):
    """A refused connection may pass, and its address is not said."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://guarded:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}/x"
        error = outcome(lambda: source(server, database, url=url).probe(3))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)
    assert "127.0.0.1" not in str(error)


def test_a_server_that_says_nothing(server, database):
    """A machine that takes the connection and is silent ends the question when its time is over."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg://guarded@127.0.0.1:{silent.getsockname()[1]}/x"
        error = outcome(lambda: source(server, database, url=url).probe(0.2))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)


def test_a_password_that_was_changed(server, database):
    """A wrong password is a credential that was revoked, and stands in no error."""
    asked = source(server, database, "s3cret-of-the-replica")
    error = outcome(lambda: asked.read(want(), 5))
    assert (error.trouble, error.passing) == (Trouble.PERMISSION_REVOKED, False)
    assert "s3cret" not in f"{error!r} {error} {asked!r}"


def test_a_grant_that_was_revoked(server, database, owner):
    """A table that we may no longer read is a credential that was revoked, while the probe goes well."""
    owner.execute("CREATE TABLE shop.closed AS SELECT * FROM shop.lines")
    error = outcome(lambda: source(server, database).read(want("closed"), 5))
    assert (error.trouble, error.passing) == (Trouble.PERMISSION_REVOKED, False)
    source(server, database).probe(5)


def test_a_database_that_is_not_there(server):
    """A database that does not exist does not come back by itself."""
    error = outcome(lambda: source(server, "nowhere").probe(5))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://u@h:s3cret/x", "nosuch+driver://u:s3cret@h/x", "s3cret", "postgresql+psycopg:///x?s3cret=1"],
)
def test_an_address_that_cannot_be_used(server, database, url):
    """An address that is none is a failure that shows nothing of it."""
    error = outcome(lambda: source(server, database, url=url).probe(2))
    assert "s3cret" not in str(error)
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)


def test_nothing_can_be_written(server, database, owner):
    """A view that would write is refused, though its reader may: the transaction only reads."""
    owner.execute("CREATE TABLE shop.heard (id int); GRANT ALL ON shop.heard TO guarded")
    owner.execute(
        "CREATE FUNCTION shop.hear() RETURNS int LANGUAGE sql AS 'INSERT INTO shop.heard VALUES (1) RETURNING 1'"
    )
    owner.execute(
        "CREATE VIEW shop.ear AS SELECT l.*, shop.hear() AS heard FROM shop.lines l;GRANT SELECT ON shop.ear TO guarded"
    )
    assert "would write" in outcome(lambda: source(server, database).read(want("ear"), 5)).what
    assert owner.execute("SELECT count(*) FROM shop.heard").fetchone() == (0,)
    owner.execute("DROP VIEW shop.ear; DROP TABLE shop.heard CASCADE")


def test_watermark(server, database):
    """What `watermarks` says of a table is its watermark; a table that it does not name, or says null of, has none."""
    asked = source(server, database)
    assert asked.watermark(want(), 5) == datetime(2017, 11, 16, 9, tzinfo=UTC)
    assert asked.watermark(want("many"), 5) is None
    assert asked.watermark(want("other"), 5) is None
    assert source(server, database, schema="pg_catalog").watermark(want(), 5) is None


def test_rights(server, database, owner):
    """A reader has SELECT alone; each grant on any table shows, and SELECT goes when one of our tables is closed."""
    owner.execute("CREATE TABLE shop.ours AS SELECT 1 AS id; CREATE TABLE shop.theirs AS SELECT 1 AS id")
    owner.execute("GRANT SELECT ON shop.ours TO guarded")
    asked = source(server, database, tables=["ours", "sold"], at={"sold": "shop.lines"})
    assert asked.rights(5) == {"SELECT"}
    owner.execute("GRANT DELETE, INSERT ON shop.theirs TO guarded; GRANT CREATE ON SCHEMA shop TO guarded")
    assert asked.rights(5) == {"SELECT", "DELETE", "INSERT", "CREATE"}
    owner.execute("REVOKE SELECT ON shop.ours FROM guarded; REVOKE CREATE ON SCHEMA shop FROM guarded")
    owner.execute("ALTER TABLE shop.theirs OWNER TO guarded")
    assert {"OWNER", "DELETE"} <= asked.rights(5)
    assert "SELECT" not in asked.rights(5)
    owner.execute("DROP TABLE shop.theirs, shop.ours")


def test_rights_elsewhere(server, database, owner):
    """Grants on single columns, in other schemas and by PostgreSQL's own roles show; a table may lie in any schema."""
    owner.execute("CREATE SCHEMA other; CREATE TABLE other.pay AS SELECT 1 AS id")
    owner.execute("GRANT USAGE ON SCHEMA other TO guarded")
    asked = source(server, database, tables=["sold", "pay"], at={"sold": "shop.lines", "pay": "other.pay"})
    assert "SELECT" not in asked.rights(5)
    owner.execute("GRANT SELECT ON other.pay TO guarded")
    assert asked.rights(5) == {"SELECT"}
    owner.execute("GRANT UPDATE (id) ON other.pay TO guarded; GRANT pg_write_server_files TO guarded")
    assert asked.rights(5) == {"SELECT", "UPDATE", "pg_write_server_files"}
    owner.execute("DROP SCHEMA other CASCADE; REVOKE pg_write_server_files FROM guarded")


def test_the_rights_of_one_who_may_all(server, database):
    """A superuser shows as one."""
    assert {"SUPERUSER", "SELECT", "OWNER"} <= source(server, database, url=server.url(database)).rights(5)


def test_another_dialect(tmp_path):
    """Any database of SQLAlchemy can be read; what its credential may is not known."""
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.execute("CREATE TABLE lines (id INTEGER, code TEXT, amount NUMERIC, sold_at TIMESTAMP, day DATE)")
        connection.execute("INSERT INTO lines VALUES (1, '007', 1.5, '2017-11-15 09:00:00.0', '2017-11-15')")
    connection.close()
    asked = source(None, None, url=f"sqlite:///{tmp_path / 'a.sqlite'}", schema=None)
    assert asked.read(want(), 5).to_pylist()[0]["code"] == "007"
    assert asked.rights(5) is None
