"""The sample shop a day later: a report restated, and one of the day after; and files put in place of a run's own."""

from __future__ import annotations

import hashlib
import shutil
from datetime import timedelta
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from runner import config
from runner.acts import decisions
from runner.acts.wishes import Wish
from runner.ledger import Ledger, Run
from runner.ledger.tables import artifacts
from runner.report import shelf
from runner.report.draft import Ctx, Made
from runner.report.execute import Stop
from runner.report.job import Job
from runner.report.produce import produce
from tests import desk, once
from tests.company import Dial
from tests.desk import HOUR, NOW, Server
from tests.small_projects import change

MONDAY, TUESDAY = "2017-11-13", "2017-11-14"
#: When all of it is done.
LATER = NOW + timedelta(days=1)


def make(folder: Path, pipeline: str, day: str, dial: Dial) -> Made:
    """Make one report of a shop at an instant."""
    project, stop = config.load(folder), Stop()
    ledger = Ledger.of(project)
    try:
        return produce(
            Job(project.pipelines[pipeline], day), Ctx(project, ledger, dial, stop, lambda _: None, environment={})
        )
    finally:
        ledger.close()
        stop.close()


@cache
def base() -> Path:
    """The shop, with a second version of Monday's sales held for a person, once for all processes."""
    return once.built("editions", _second)


def _second(folder: Path) -> None:
    desk.copy(folder)
    change(folder / "notebooks" / "sales.ipynb", "amount: float = 12.5", "amount: float = 13.5")
    make(folder, "sales", MONDAY, Dial(NOW + HOUR))


@cache
def whole() -> Path:
    """The shop with both versions sent, and Tuesday's report, once for all processes."""
    return once.built("editions sent", _sent)


def _sent(folder: Path) -> None:
    shutil.copytree(base(), folder, dirs_exist_ok=True)
    project = config.load(folder)
    ledger = Ledger.of(project)
    held = ledger.runs("sales")[0]
    dial = Dial(NOW + 2 * HOUR)
    wish = Wish(held, "ann", "A till was counted twice.", dial.at)
    decisions.approve(wish, Ctx(project, ledger, dial, Stop(), lambda _: None, environment={}))
    ledger.close()
    make(folder, "sales", TUESDAY, Dial(LATER - HOUR))


def copy(of: Path, to: Path) -> Path:
    """A shop as one's own."""
    return shutil.copytree(of, to, dirs_exist_ok=True)


def plant(server: Server, run: Run, path: str, data: bytes) -> None:
    """Let a run have left another file, as far as anybody can tell."""
    (shelf.place(server.desk.project, run) / path).write_bytes(data)
    mine = artifacts.update().where(artifacts.c.run == run.run, artifacts.c.path == path)
    with server.ledger.write() as tx:
        tx.execute(mine.values(sha256=hashlib.sha256(data).hexdigest(), size=len(data)))


def looked_through(server: Server, path: str, who: str) -> list[str]:
    """The tables that a page reads from one end to the other: each of its questions as the database would answer it."""
    asked: list[tuple[str, object]] = []

    def hear(_connection: object, _cursor: object, statement: str, given: object, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            asked.append((statement, given))

    engine = server.ledger._engine
    secret = server.sign_in(who)
    sa.event.listen(engine, "before_cursor_execute", hear)
    try:
        assert server.ask(path, secret=secret).status == 200
    finally:
        sa.event.remove(engine, "before_cursor_execute", hear)
    large = ("runs", "deliveries", "figures", "findings", "artifacts", "deadlines", "incidents", "acts", "outbox")
    with server.ledger.read() as tx:
        plans = [row[3] for text, given in asked for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)]
    # All that one reader ever had is a long past, too: only the archive, newest first, begins there.
    long = [plan for plan in plans if "deliveries_by_reader" in plan and not path.startswith("/archive")]
    return long + [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in large]
