"""The past of the sources: what each answered, what was loaded from it, and what its tables looked like.

Functions over one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from runner.errors import Trouble
from runner.ledger.tables import fingerprints as _fingerprints
from runner.ledger.tables import loads as _loads
from runner.ledger.tables import probes as _probes

#: Before the duty in `run` of a fingerprint that an audit took.
AUDIT = "audit:"


@dataclass(frozen=True)
class Probe:
    """One question to a source and how it was answered: seconds it took, and the trouble, if there was one.

    `by` is `probe`, or the name of the run that asked.
    """

    source: str
    at: datetime
    seconds: float
    trouble: Trouble | None = None
    message: str = ""
    by: str = "probe"


@dataclass(frozen=True)
class Load:
    """Rows of one table that one source served, for days first..last (ISO; none for a table read whole)."""

    at: datetime
    table: str
    source: str
    rows: int
    first_day: str | None = None
    last_day: str | None = None
    run: str = ""
    rest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fingerprint:
    """What a table looked like at its source: for each column plain JSON facts, and one hash over names and types."""

    at: datetime
    table: str
    source: str
    sha256: str
    columns: Mapping[str, Any]
    run: str = ""


def probed(tx: sa.Connection, probe: Probe) -> None:
    """Note how a source answered."""
    trouble = None if probe.trouble is None else str(probe.trouble)
    tx.execute(_probes.insert().values(**{**vars(probe), "trouble": trouble}))


def probes(tx: sa.Connection, source: str, most: int = 100, upto: datetime | None = None) -> tuple[Probe, ...]:
    """How a source answered up to an instant, newest first."""
    query = _upto(sa.select(_probes).where(_probes.c.source == source), upto)
    rows = tx.execute(query.order_by(_probes.c.at.desc(), _probes.c.id.desc()).limit(most))
    return tuple(map(_probe, rows))


def _probe(row: Any) -> Probe:
    return Probe(row.source, row.at, row.seconds, row.trouble and Trouble(row.trouble), row.message, row.by)


def _upto(query: sa.Select[Any], upto: datetime | None) -> sa.Select[Any]:
    return query if upto is None else query.where(_probes.c.at <= upto)


def met(tx: sa.Connection, source: str, upto: datetime | None = None) -> Probe | None:
    """The newest answer that a run had of a source up to an instant."""
    query = _upto(sa.select(_probes).where(_probes.c.source == source, _probes.c.by != Probe.by), upto)
    row = tx.execute(query.order_by(_probes.c.at.desc(), _probes.c.id.desc()).limit(1)).first()
    return _probe(row) if row else None


def loaded(tx: sa.Connection, load: Load) -> None:
    """Note what was loaded."""
    tx.execute(_loads.insert().values(**{**vars(load), "rest": dict(load.rest)}))


def loads(tx: sa.Connection, table: str, most: int = 100) -> tuple[Load, ...]:
    """What was loaded into a table, newest first."""
    query = sa.select(_loads).where(_loads.c.table == table)
    rows = tx.execute(query.order_by(_loads.c.at.desc(), _loads.c.id.desc()).limit(most))
    return tuple(Load(**{name: getattr(row, name) for name in Load.__dataclass_fields__}) for row in rows)


def fingerprinted(tx: sa.Connection, fingerprint: Fingerprint) -> None:
    """Note what a table looked like."""
    tx.execute(_fingerprints.insert().values(**{**vars(fingerprint), "columns": dict(fingerprint.columns)}))


def fingerprints(tx: sa.Connection, table: str, source: str, most: int = 10) -> tuple[Fingerprint, ...]:
    """What a table looked like at a source, newest first."""
    query = sa.select(_fingerprints).where(_fingerprints.c.table == table, _fingerprints.c.source == source)
    rows = tx.execute(query.order_by(_fingerprints.c.at.desc(), _fingerprints.c.id.desc()).limit(most))
    names = Fingerprint.__dataclass_fields__
    return tuple(Fingerprint(**{name: getattr(row, name) for name in names}) for row in rows)


def before(tx: sa.Connection, table: str, source: str) -> Fingerprint | None:
    """What a table looked like at a source when it was audited last; where it never was, when it was read last.

    An audit looks at one day, a run at several: like is held against like where that can be.
    """
    query = sa.select(_fingerprints).where(_fingerprints.c.table == table, _fingerprints.c.source == source)
    audited = query.where(_fingerprints.c.run.startswith(AUDIT, autoescape=True))
    newest = _fingerprints.c.at.desc(), _fingerprints.c.id.desc()
    row = tx.execute(audited.order_by(*newest).limit(1)).first() or tx.execute(query.order_by(*newest).limit(1)).first()
    return Fingerprint(**{name: getattr(row, name) for name in Fingerprint.__dataclass_fields__}) if row else None
