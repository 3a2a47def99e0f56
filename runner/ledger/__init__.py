"""The ledger: what was owed, what was done, what was told, in SQLite or any database by address.

A map of this folder; each book is a module of functions over one transaction::

    tables.py     every table
    store.py      the database: address, version, transactions
    process.py    a process that can be told from every other
    reports.py    runs, findings, figures, artifacts, records, claims
    deliveries.py who is owed which version of a report, who is at it, who has it
    editions.py   versions of reports, and what was given to whom
    finished.py   a run after its end: released by a person, files pruned
    history.py    the past of one pipeline in small portions, for those who look
    deadlines.py  what is owed: claims with leases, attempts, outcomes
    incidents.py  troubles and what happened in each
    outbox.py     messages owed, claimed, sent
    sources.py    what sources answered, what was loaded, what tables looked like
    rota.py       who was on call (frozen), rules in force, swaps
    duties.py     recurring duties and their evidence
    access.py     links to sign in with, sessions, tokens
    arrivals.py   which data have landed, as their sources said
    lists.py      long lists, a page at a time
    measures.py   what is measured: a few numbers, none of which needs the whole past
    journal.py    who did what, and up to when the scheduler has looked
"""

from runner.ledger.deliveries import Delivery
from runner.ledger.process import Process
from runner.ledger.reports import (
    Artifact,
    Fenced,
    Ledger,
    Result,
    Run,
    Taken,
    ended_by_now,
    last_delivered,
    record_rows,
    version_of,
)

__all__ = [
    "Artifact",
    "Delivery",
    "Fenced",
    "Ledger",
    "Process",
    "Result",
    "Run",
    "Taken",
    "ended_by_now",
    "last_delivered",
    "record_rows",
    "version_of",
]
