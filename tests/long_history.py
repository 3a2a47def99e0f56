"""A ledger with a long past: as many runs as wanted, each with the deadline it met, its files and its readers.

Written by SQLite itself, one statement a table: a million runs in half a minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner.ledger import Ledger


@dataclass(frozen=True)
class Past:
    """So many runs, spread evenly over these pipelines, one a day each, back from two days before `now`.

    Each was sent to one reader. `whole`: with a figure and a finding each, as pages show them.
    """

    pipelines: tuple[str, ...]
    runs: int
    now: datetime
    reader: str = "olga@reader.example"
    whole: bool = False


def fill(path: Path, past: Past) -> None:
    """Fill the ledger in a file, which need not be there, with this past."""
    Ledger.open(path).close()
    with sqlite3.connect(path, isolation_level=None) as connection:
        for pragma in ("synchronous = OFF", "journal_mode = MEMORY", "cache_size = -200000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        indexes = list(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"))
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        _days(connection, past)
        for statement in (*_STATEMENTS, *(_WHOLE if past.whole else ())):
            connection.execute(statement, {"reader": past.reader} if ":reader" in statement else {})
        connection.execute("DROP TABLE done")
        for _, sql in indexes:  # an index over all at once is made far sooner than line by line
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _days(connection: sqlite3.Connection, past: Past) -> None:
    """The table `done` of what was made: pipeline, day, the name of the run, and its number."""
    connection.execute("CREATE TEMP TABLE names (name TEXT)")
    connection.executemany("INSERT INTO names VALUES (?)", ((name,) for name in sorted(past.pipelines)))
    days = -(-past.runs // len(past.pipelines))
    connection.execute(
        """
        CREATE TEMP TABLE done AS
        WITH RECURSIVE back(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM back WHERE n <= :days)
        SELECT name, date(:day, '-' || n || ' days') AS day, name || '-' || n AS run, row_number() OVER () AS number
        FROM names, back LIMIT :runs""",
        {"days": days, "day": past.now.date().isoformat(), "runs": past.runs},
    )
    connection.execute("DROP TABLE names")


def _at(time: str, days: int = 1) -> str:
    """An instant as the ledger keeps it: a time, in UTC, so many days after the day reported."""
    return f"date(day, '+{days} day') || 'T{time}.000000+00:00'"


_PROCESS = '{"host": "elsewhere", "boot": "b", "pid": 1, "started": "1"}'
#: Ninety-seven in a hundred were delivered.
_STATUS = "CASE WHEN number % 100 < 97 THEN 'delivered' WHEN number % 100 = 97 THEN 'held' ELSE 'failed' END"
_STATE = "CASE WHEN number % 100 < 97 THEN 'met' ELSE 'missed' END"
_STATEMENTS: Iterable[str] = (
    f"""
    INSERT INTO runs (run, pipeline, period, status, decision, version, inputs, parameters, started_at, finished_at,
                      message, folder, process)
    SELECT run, name, day, {_STATUS}, 'deliver', 1, 'inputs', json_object('as_of', day), {_at("13:00:00")},
           {_at("13:05:00")}, '', name || '/' || day || '/' || run, '{_PROCESS}' FROM done""",
    f"""
    INSERT INTO deadlines (pipeline, period, text, as_of, starts_at, ready_at, due_at, state, ended_at, attempts,
                           outcome, message, run)
    SELECT name, day, day, day, {_at("13:00:00")}, {_at("14:00:00")}, {_at("14:00:00")}, {_STATE}, {_at("13:05:00")},
           1, 'delivered', '', run FROM done""",
    f"""
    INSERT INTO deliveries (pipeline, period, version, recipient, run, message_id, sent_at, state, attempts)
    SELECT name, day, 1, :reader, run, run || '@example.com', {_at("13:05:00")}, 'sent', 1 FROM done""",
    "INSERT INTO artifacts (run, path, sha256, size) SELECT run, 'report.pdf', 'hash', 100000 FROM done",
    # One in a hundred went wrong: an incident, three lines of its history, three messages, an act.
    f"""
    INSERT INTO incidents (number, pipeline, period, opened_at, closed_at, rest, version)
    SELECT number, name, day, {_at("14:00:00")}, {_at("15:00:00")},
           json_object('pipeline', name, 'period', day, 'opened_at', {_at("14:00:00")}, 'closed_at', {_at("15:00:00")},
                       'outcome', 'missed'), 2
    FROM done WHERE number % 100 = 99""",
    *(
        f"""
        INSERT INTO incident_events (number, at, text)
        SELECT number, {_at("14:00:00")}, '{text}' FROM done WHERE number % 100 = 99"""
        for text in ("opened", "acknowledged", "over")
    ),
    *(
        f"""
        INSERT INTO outbox (key, incident, kind, person, name, address, channel, message, message_id, owed_at,
                            attempts, sent_at)
        SELECT '{kind}/' || number, number, '{kind}', 'ann', 'Ann', 'ann@engineer.example', 'mail', '{{}}',
               '{kind}.' || number || '@example.com', {_at("14:00:00")}, 1, {_at("14:00:10")}
        FROM done WHERE number % 100 = 99"""
        for kind in ("trouble", "escalation", "recovered")
    ),
    f"""
    INSERT INTO acts (at, who, what, details)
    SELECT {_at("14:10:00")}, 'ann', 'acknowledged', '{{}}' FROM done WHERE number % 100 = 99""",
)
_WHOLE: Iterable[str] = (
    """
    INSERT INTO figures (run, name, position, kind, number, unit, text, rest)
    SELECT run, 'revenue', 0, 'float', number % 1000, 'usd', '$' || number % 1000, json_object('label', 'Revenue',
           'prior', NULL, 'change', '', 'tone', 'neutral', 'note', '') FROM done""",
    """
    INSERT INTO findings (run, position, "check", level, message, numbers)
    SELECT run, 0, 'rows', 'pass', 'All rows are there.', '{}' FROM done""",
)
