"""The desk over a ledger on PostgreSQL: the same shop on both databases, asked the same, answers the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from runner import config
from runner.ledger import Ledger, access, store
from runner.ledger.store import SCHEMA
from runner.ledger.tables import meta, schema_version
from tests import desk, postgres
from tests.desk import ANN, OLGA, Answer, Server
from tests.desk_routes import ROWS, filled
from tests.small_projects import change

#: What schema 5 brought.
NEW = ("sign_in_links", "sessions", "tokens", "arrivals")
INDEXES = ("deadlines_of_pipeline", "deliveries_by_run", "deliveries_by_reader", "deliveries_by_reader_of")
#: What a page has of its own each time it is asked for: what its forms carry.
OWN = re.compile(r'(?<=name="csrf" value=")\w*')


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a new, empty database."""
    with postgres.running().database() as name:
        yield postgres.running().url(name)


@pytest.fixture(scope="module")
def servers(tmp_path_factory, database) -> Iterator[tuple[Server, Server]]:
    """The shop with its ledger in a file, and the same on PostgreSQL."""
    in_file, moved = (desk.copy(tmp_path_factory.mktemp(name)) for name in ("file", "moved"))
    move(moved, database)
    with ExitStack() as stack:
        yield stack.enter_context(desk.serving(in_file)), stack.enter_context(desk.serving(moved))


def move(folder: Path, address: str) -> None:
    """Carry a project's ledger, row by row, over to another database."""
    old, new = Ledger.of(config.load(folder)), Ledger.open(address)
    with old.read() as here, new.write() as there:
        for table in meta.sorted_tables:
            rows = [dict(row) for row in here.execute(table.select()).mappings()]
            if rows and table is not schema_version:
                there.execute(table.insert(), rows)
                if (number := table.autoincrement_column) is not None:
                    sequence = sa.func.pg_get_serial_sequence(table.name, number.name)
                    there.execute(sa.select(sa.func.setval(sequence, max(row[number.name] for row in rows))))
    old.close()
    new.close()
    change(folder / "config/settings.yml", "attempts: 1\n", f"attempts: 1\nledger: {address}\n")


def told(answer: Answer) -> tuple[int, str, str]:
    """An answer without what is another one each time."""
    return answer.status, answer.headers.get("location", ""), OWN.sub("", answer.text)


@pytest.mark.parametrize("who", [ANN, OLGA])
def test_every_page_is_the_same_on_both(servers, who):
    """Whoever reads cannot tell where the ledger lies: each page answers the same, letter by letter."""
    assert [one.ledger._engine.dialect.name for one in servers] == ["sqlite", "postgresql"]
    pages = [row.path for row in ROWS if row.method == "GET" and not row.route.startswith(("/api", "/metrics"))]
    answers = [{path: told(one.ask(filled(path, one), who)) for path in pages} for one in servers]
    statuses = [{path: status for path, (status, _, _) in each.items()} for each in answers]
    assert statuses[0] == statuses[1]
    assert max(statuses[1].values()) < 500
    assert [path for path in pages if answers[0][path] != answers[1][path]] == []


def test_machines_are_told_the_same_on_both(servers):
    """Measures and lists agree, page by page."""
    lists = [row.path for row in ROWS if row.method == "GET" and row.route.startswith(("/api", "/metrics"))]
    lists += ["/api/runs?limit=1", "/api/deadlines?limit=2", "/api/incidents?limit=1&state=open"]
    answers = []
    for one in servers:
        with one.ledger.write() as tx:
            access.add_token(tx, "machine", access.Token("all", ("read", "metrics"), "ann", one.dial.now()))
        headers = {"Authorization": "Bearer machine"}
        answers.append({path: told(one.ask(filled(path, one), headers=headers)) for path in lists})
    assert {status for status, _, _ in answers[1].values()} == {200}
    assert answers[0] == answers[1]


def test_an_act_leaves_the_same_on_both(servers):
    """What is approved is approved, noted and owed to readers in either."""
    left = []
    for one in servers:
        run = one.run_of("growth").run
        answer = one.post(f"/runs/{run}/approve", ANN, because='Sales "doubled" – 100 %.')
        said = told(one.ask(f"/runs/{run}", ANN))
        with one.ledger.read() as tx:
            acts = [tuple(row) for row in tx.execute(meta.tables["acts"].select())]
        left.append((answer.status, said, acts, one.run_of("growth")))
    assert left[0] == left[1]
    assert left[1][0] == 303


def test_an_older_ledger_becomes_a_new_one(database):
    """One of schema 4 gets the tables and the indexes of the desk when it is opened."""
    ledger = Ledger.open(database)
    with ledger.write() as tx:
        whole = known(tx)
        for name in NEW:
            tx.execute(sa.DDL(f"DROP TABLE {name}"))
        for name in INDEXES:
            tx.execute(sa.DDL(f"DROP INDEX {name}"))
        tx.execute(schema_version.update().values(version=4))
    ledger.close()
    ledger = Ledger.open(database)
    with ledger.read() as tx:
        assert tx.scalar(sa.select(schema_version.c.version)) == SCHEMA
        assert known(tx) == whole
    ledger.close()


def test_nobody_stands_for_ever_behind_a_writer_that_stands_still(database, monkeypatch):
    """Who would write gives up after a while, as in a file: the few threads of the desk come free again."""
    monkeypatch.setattr(store, "BUSY", 50)  # half a minute otherwise
    hurried = f"{database}&options=-c%20statement_timeout%3D9000"  # no test stands for ever, either
    first, second = Ledger.open(database), Ledger.open(hurried)
    with first.write(), pytest.raises(sa.exc.OperationalError, match="lock timeout"), second.write():
        raise AssertionError("Two wrote at once.")
    with second.write() as tx:
        assert tx.scalar(sa.select(schema_version.c.version)) == SCHEMA
    first.close()
    second.close()


def known(tx: sa.Connection) -> dict[str, list[str | None]]:
    """Every table with the names of its indexes."""
    look = sa.inspect(tx)
    return {table: sorted(str(each["name"]) for each in look.get_indexes(table)) for table in look.get_table_names()}
