"""However long its past: no question of a look, of the status page or of a lookup reads all that ever was."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from runner.commands import plan
from runner.ledger import Ledger, arrivals, deadlines, deliveries, finished, history, incidents, last_delivered, outbox
from runner.ledger.tables import meta
from runner.model import Status
from runner.scheduler.tick import next_tick, tick
from tests.long_history import Past, fill
from tests.small_office import (
    FAILS,
    HANGS,
    HOLDS,
    HOUR,
    MINUTE,
    PASSES,
    SECOND,
    Hands,
    drive,
    duty,
    office,
    pipeline,
    project,
    settings,
)

NIGHT = datetime(2017, 11, 17, 10, tzinfo=UTC)  # 05:00 in New York
EIGHT = NIGHT + 3 * HOUR  # when work on the day's reports begins
DAY = "2017-11-16"  # the day whose reports are due at 09:00
NAMES = ("arms", "bands", "costs", "days", "edges", "fares", "goods", "hours")
#: Tables that stay small however long the past: what is under way, one row a name, a person's doing.
SMALL = {"marks", "claims", "leases", "cancellations", "rota_rules", "swaps", "schema_version"}
#: Indexes that hold only the rows that count.
PARTIAL = {"incidents_open", "deadlines_held", "duties_open"}
LOOKUPS = {
    "runs of a period": lambda ledger: ledger.runs("arms", "2017-11-01"),
    "runs since": lambda ledger: ledger.runs_since("arms", NIGHT - 72 * HOUR),
    "a run": lambda ledger: ledger.run("arms-9"),
    "files of a run": lambda ledger: ledger.artifacts("arms-9"),
    "what readers have": lambda ledger: ledger.delivered("arms", "2017-11-01"),
    "messages to readers": lambda ledger: ledger.deliveries("arms", "2017-11-01", 1),
    "who makes it": lambda ledger: ledger.making("arms", "2017-11-01"),
    "how long it takes": lambda ledger: ledger.durations("arms"),
    "what was left": lambda ledger: ledger.clear_up(NIGHT),
}
PAGES = {
    "last delivered": lambda tx: last_delivered(tx, "arms"),
    "deadlines of a span": lambda tx: deadlines.between(tx, NIGHT - 48 * HOUR, NIGHT),
    "messages left over": lambda tx: (finished.unsent(tx, NIGHT, 100), deliveries.every(tx, "arms", "2017-11-01")),
    "last met": lambda tx: deadlines.last_met(tx, "arms"),
    "deadlines by name": lambda tx: deadlines.find_all(tx, [("arms", f"2017-11-{n:02}") for n in range(1, 15)]),
    "open incidents": incidents.opened,
    "closed incidents": lambda tx: incidents.closed(tx, 20),
    "incidents of a span": lambda tx: incidents.between(tx, NIGHT - 48 * HOUR, NIGHT),
    "an incident": lambda tx: (incidents.find(tx, 99), incidents.history(tx, 99), outbox.of_incident(tx, 99)),
    "letters": lambda tx: (outbox.due(tx, NIGHT), outbox.next_try(tx, NIGHT), outbox.given_up(tx, NIGHT)),
    "old signs of life": lambda tx: outbox.forget(tx, "heartbeat", NIGHT),
    "what has landed": lambda tx: (arrivals.is_any(tx), arrivals.newest(tx, ["tills"], NIGHT)),
    "what landed": lambda tx: arrivals.find(tx, "tills", date(2017, 11, 1)),
    "the past of a pipeline": lambda tx: [attempt.run for attempt in history.attempts(tx, "arms", 20)],
    "how promises were kept": lambda tx: history.outcomes(tx, "arms", NIGHT - 2160 * HOUR, NIGHT),
    "figures over time": lambda tx: (history.told(tx, "arms"), history.made(tx, "arms")),
}


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A ledger file with eight hundred runs long past."""
    path = tmp_path_factory.mktemp("past") / "ledger.sqlite"
    fill(path, Past(NAMES, 800, NIGHT))
    return path


@pytest.fixture
def ledger(past, tmp_path):
    """That ledger, opened."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(past.read_bytes())
    found = Ledger.open(path)
    yield found
    found.close()


@pytest.fixture
def asked():
    """Every statement that any ledger is asked from here on, and how SQLite goes about it: statement -> steps."""
    plans: dict[str, list[str]] = {}

    def explain(_connection, cursor, statement, parameters, _context, many):
        if re.match(r"SELECT|WITH|UPDATE|DELETE", statement) and statement not in plans:
            values = parameters[0] if many else parameters
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            plans[statement] = [row[-1] for row in rows]

    sa.event.listen(sa.Engine, "before_cursor_execute", explain)
    yield plans
    sa.event.remove(sa.Engine, "before_cursor_execute", explain)


def scans(plans):
    """Every step that reads a whole table of those that grow, or a whole index over one."""
    steps = {step for plan in plans.values() for step in plan}
    return sorted(step for step in steps if (table := scanned(step)) and table not in SMALL)


def scanned(step):
    """The table that a step reads from end to end."""
    found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    return found[1] if found and found[1] in meta.tables and found[2] not in PARTIAL else None


def shop(ledger, names=NAMES, **more):
    """Reports due at 09:00, every second resting on the one before it, and two duties; its ledger is this one."""
    entries = [
        pipeline(name, "daily by 09:00", inputs=(names[place - 1],) if place % 2 else (), no_use_after="1 h")
        for place, name in enumerate(names)
    ]
    shown = {"pipeline": names[3], "checks": ("rows",)}
    duties = {"audit": duty("Fridays by 10:00", "ann"), "check": duty("daily by 10:00", "on-call", shown_by=shown)}
    said = settings(ledger=str(ledger._engine.url), heartbeat={"every": "5 min", "channel": "env:WATCH"}, **more)
    return project(*entries, duties=duties, settings=said)


class Workers(Hands):
    """Hands that know how long past runs took."""

    def durations(self, pipeline):
        """As the ledger has it."""
        return self.ledger.durations(pipeline)


def test_no_look_reads_all_that_ever_was(ledger, asked):
    """A morning on which reports are made, fail, hang, are held, wait and are given up, look by look."""
    outcomes = {"bands": (HANGS,), "days": (HOLDS,), "edges": (FAILS,), "goods": (PASSES,)}
    script = {(name, DAY): outcome for name, outcome in outcomes.items()}
    desk = office(ledger, shop(ledger), Workers(ledger, script, lease=2 * MINUTE))
    drive(desk, EIGHT, EIGHT + 150 * MINUTE)
    with ledger.read() as tx:
        ends = {name: deadlines.find(tx, (name, DAY)) for name in NAMES}
        told = {key[0]: incident.state for key, incident in incidents.opened(tx).items()}
    assert [ends[name].state for name in NAMES] == ["met", "open", "met", *["missed"] * 5]
    assert [ends[name].outcome for name in NAMES] == ["delivered", "", "delivered", "held", "failed", "", "failed", ""]
    assert told == {"bands": "late", "duty:audit": "late", "duty:check": "late"}
    assert scans(asked) == []


def test_no_status_page_reads_all_that_ever_was(ledger, asked, capsys):
    """With reports under way, late and made on it."""
    desk = office(ledger, shop(ledger), Workers(ledger, {("edges", DAY): (HANGS,)}))
    drive(desk, EIGHT, EIGHT + 65 * MINUTE)
    asked.clear()
    plan.status(desk.project, EIGHT + 65 * MINUTE, as_json=False)
    page = capsys.readouterr().out
    assert {state for state in ("met", "late", "planned") if f"  {state}" in page} == {"met", "late", "planned"}
    assert scans(asked) == []
    assert len(asked) > 5


@pytest.mark.parametrize("question", LOOKUPS.values(), ids=LOOKUPS)
def test_no_question_about_runs_reads_all_that_ever_were(ledger, asked, question):
    """Nor about what they left and who has it."""
    question(ledger)
    assert asked
    assert scans(asked) == []


@pytest.mark.parametrize("question", PAGES.values(), ids=PAGES)
def test_no_question_about_trouble_reads_all_that_ever_was(ledger, asked, question):
    """Nor about what is owed and what was told of it."""
    with ledger.write() as tx:
        question(tx)
    assert asked
    assert scans(asked) == []


def test_how_promises_were_kept_is_found_by_their_time_alone(ledger, asked):
    """As an index has them in order: in search of the few that are open no database walks through all there were."""
    with ledger.read() as tx:
        assert len(history.outcomes(tx, "arms", NIGHT - 2160 * HOUR, NIGHT, most=500)) == 90
    (steps,) = asked.values()
    assert steps[0] == "SEARCH deadlines USING INDEX deadlines_of_pipeline (pipeline=? AND due_at>?)"
    assert steps[1:] in ([], ["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"])


@pytest.mark.parametrize(
    ("question", "step"),
    [
        ("runs of a period", "SEARCH runs USING INDEX runs_by_period (pipeline=? AND period=?)"),
        ("how long it takes", "SEARCH runs USING INDEX runs_by_time (pipeline=?)"),
        ("runs since", "SEARCH runs USING INDEX runs_by_time (pipeline=? AND started_at>?)"),
    ],
)
def test_a_question_about_one_pipeline_sorts_none_of_its_past(ledger, asked, question, step):
    """It takes the newest from an index in their order; only those of one instant are sorted."""
    LOOKUPS[question](ledger)
    (steps,) = asked.values()
    assert steps[0] == step
    assert steps[1:] in ([], ["USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"])


def test_a_look_asks_as_often_for_many_pipelines_as_for_few(tmp_path):
    """While all their reports wait for a seat, for an input, or for the next try."""
    assert statements(tmp_path / "few.sqlite", 4) == statements(tmp_path / "many.sqlite", 40) != Counter()


def statements(path, many):
    """How often a look, once it knows how long runs take, asks which statement."""
    ledger = Ledger.open(path)
    names = tuple(f"report_{number:02}" for number in range(many))
    script = {(name, DAY): (HANGS,) for name in names}
    desk = office(ledger, shop(ledger, names, runs_at_once=2), Workers(ledger, script))
    tick(desk, EIGHT)
    counted = Counter()

    def note(_connection, _cursor, statement, _parameters, _context, _many):
        counted[re.sub(r"\(\?, \?\)(, \(\?, \?\))*", "(keys)", statement)] += 1

    sa.event.listen(ledger._engine, "before_cursor_execute", note)
    tick(desk, EIGHT + SECOND)
    next_tick(desk, EIGHT + SECOND)
    ledger.close()
    return counted


def test_the_past_that_is_filled_in_is_one_that_the_ledger_understands(ledger):
    """Runs, deadlines, files, readers and incidents of it are read as those that a scheduler wrote."""
    run = ledger.run("arms-9")
    assert (run.pipeline, run.period, run.status, run.kernel) == ("arms", "2017-11-08", Status.DELIVERED, "")
    assert ledger.runs("arms", "2017-11-08") == (run,)
    assert ledger.delivered("arms", "2017-11-08") == run
    assert ledger.durations("arms", 3) == (300.0, 300.0, 300.0)
    assert [item.path for item in ledger.artifacts("arms-9")] == ["report.pdf"]
    with ledger.read() as tx:
        owed = deadlines.find(tx, ("arms", "2017-11-08"))
        assert (owed.on_time, owed.run, owed.deadline.as_of) == (True, "arms-9", date(2017, 11, 8))
        assert len(incidents.closed(tx, 20)) == 8
        assert incidents.opened(tx) == {}
        assert outbox.due(tx, NIGHT) == ()
    assert len(ledger.runs()) == 800
