"""However long the past of the ledger: no page of the desk, no answer to a machine makes the database work more.

Counted are the steps of the database, which are the same whenever and wherever it is asked. How it goes about a
question tells less: a search by an index may be one that walks through all that a pipeline ever owed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from runner.ledger import Ledger, access, history
from runner.ledger.access import Token
from tests import desk
from tests.bench.desk import PIPELINES, pages
from tests.desk import HOUR, NOW, Server
from tests.desk_routes import filled
from tests.long_history import Past, fill

#: More than any page or sifted list looks at; and three times that.
RUNS = (6_600, 20_000)
#: Steps may differ by what happens to be shown; whoever reads the past takes up to three times as many.
MOST, SPARE = 1.2, 200
SECRET = "all-that-a-machine-may-read"
MACHINES = (
    "/metrics",
    "/api/deadlines",
    "/api/deadlines?pipeline=sales&state=open",
    "/api/deadlines?state=missed&from=2017-01-01T00:00:00Z&to=2017-11-14T00:00:00Z",
    "/api/runs",
    "/api/runs?status=held",
    "/api/runs?pipeline=sales&status=running",
    "/api/runs?pipeline=sales&period=2017-11-01",
    "/api/figures?pipeline=sales",
    "/api/figures?pipeline=sales&name=revenue",
    "/api/incidents?state=open",
    "/api/oncall",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[Server, Server]]:
    """The shop with a short past and with a long one."""
    short, long = (tmp_path_factory.mktemp("past") / name for name in ("short", "long"))
    with desk.serving(desk.copy(short)) as server:
        for page in pages():
            filled(page.path, server)  # what the paths name is in both
        with server.ledger.write() as tx:
            access.add_token(tx, SECRET, Token("loader", ("read", "metrics"), "ann", NOW - HOUR))
    shutil.copytree(short, long)
    with ExitStack() as stack:
        for folder, runs in zip((short, long), RUNS, strict=True):
            fill(folder / "reports" / "ledger.sqlite", Past(PIPELINES, runs, desk.MIDNIGHT, desk.OLGA, whole=True))
        found = [stack.enter_context(desk.serving(folder)) for folder in (short, long)]
        yield found[0], found[1]


def steps(ledger: Ledger, ask: Callable[[], object]) -> int:
    """How many steps the database takes, to ten, for whatever is asked of it."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    def connect(connection, *_: object) -> None:
        connection.set_progress_handler(step, 10)

    ledger._engine.dispose()
    sa.event.listen(ledger._engine, "connect", connect)
    try:
        ask()
    finally:
        sa.event.remove(ledger._engine, "connect", connect)
        ledger._engine.dispose()
    return 10 * count


def grew(short: int, long: int) -> bool:
    """Whether three times the past took more than what is shown can explain."""
    assert short > 0
    return long > MOST * short + SPARE


def shown(server: Server, path: str, **as_whom) -> Callable[[], None]:
    """A page that is asked for, and is there."""

    def ask() -> None:
        assert server.ask(path, **as_whom).status == 200, path

    return ask


def test_no_page_makes_the_database_work_more_the_longer_the_past(served):
    """Every page of the table of routes, each as it is shown to whoever may see it."""
    worse = {}
    for page in pages():
        path = filled(page.path, served[0])
        secrets = [server.sign_in(page.who) for server in served]
        asked = zip(served, secrets, strict=True)
        found = [steps(server.ledger, shown(server, path, secret=secret)) for server, secret in asked]
        worse |= {path: found} if grew(*found) else {}
    assert worse == {}


@pytest.mark.parametrize("path", MACHINES)
def test_no_answer_makes_the_database_work_more_the_longer_the_past(served, path):
    """Lists, also those that are sifted, and the numbers that are measured."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    found = [steps(server.ledger, shown(server, path, headers=headers)) for server in served]
    assert not grew(*found), found


def test_a_run_that_made_a_report_is_looked_for_among_the_newest_alone(served):
    """Where all of a pipeline's runs fail there is none, and not all that ever failed are looked at."""
    found = []
    for server in served:
        with server.ledger.write() as tx:
            tx.exec_driver_sql("UPDATE runs SET status = 'failed' WHERE pipeline = 'stock'")
        found.append(steps(server.ledger, lambda ledger=server.ledger: _made(ledger)))
    assert not grew(*found), found


def _made(ledger: Ledger) -> None:
    with ledger.read() as tx:
        assert history.made(tx, "stock") == []
