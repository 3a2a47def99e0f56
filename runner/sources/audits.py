"""What is looked at before it breaks a report: schemas, two systems, rights, connections; each leaves what it saw.

An audit asks and compares; it writes nothing. Whoever ordered it keeps its files, its fingerprints and its probes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.config.ends import Reconciliation, Table
from runner.document.tables import csv_text
from runner.errors import ConfigError, ReportStopped, RunnerError, SourceFailed, Trouble
from runner.ledger.sources import Fingerprint, Probe
from runner.metrics import calendar
from runner.model import Finding, Level
from runner.notebook import contracts, warehouse
from runner.notebook.contracts import Contract
from runner.sources import catalog, drift, fingerprint, inquiry, probing, reconciliation, rights
from runner.sources.inquiry import Patience, Place
from runner.sources.limit import within
from runner.sources.reconciliation import Compared, Pairing, Rule
from runner.sources.source import Want, Wanted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: The name under which the warehouse's own tables stand among the sources.
WAREHOUSE = "warehouse"
#: How many days of a table of the warehouse are looked at.
DAYS = 7
#: Seconds that all the tries of one question may take, whatever config allows for each.
LONGEST = 120.0

Asks = Callable[[Iterable[str]], tuple[Place, ...]]


@dataclass(frozen=True)
class Scope:
    """What an audit is about: a project, the instant, and what is known besides.

    `before` gives the last fingerprint of (table, source); `needed` says in a sentence what needs a source next.
    """

    project: Project
    environment: Mapping[str, str] = field(repr=False)
    now: datetime
    before: Callable[[str, str], Mapping[str, Any] | None] = lambda _table, _source: None
    needed: Mapping[str, str] = field(default_factory=dict)
    opened: Asks | None = None
    clock: Callable[[], float] = time.monotonic

    @property
    def day(self) -> date:
        """The last whole day in the project's zone."""
        return self.now.astimezone(ZoneInfo(self.project.settings.time_zone)).date() - timedelta(days=1)

    def places(self, names: Iterable[str]) -> tuple[Place, ...]:
        """Sources of these names, opened."""
        if self.opened is not None:
            return self.opened(names)
        return catalog.places(names, self.project.sources, self.project.folder, self.environment)

    def is_closed(self, day: date) -> bool:
        """Whether nothing is to be expected of a day."""
        return bool(calendar.closed(day, day, self.project.holidays.closed_on))


@dataclass(frozen=True)
class Audited:
    """What came of an audit: findings, files by name, and what the ledger is to keep."""

    findings: tuple[Finding, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    fingerprints: tuple[Fingerprint, ...] = ()
    probes: tuple[Probe, ...] = ()

    @property
    def found(self) -> tuple[Finding, ...]:
        """What a person must look at."""
        return tuple(finding for finding in self.findings if finding.level is not Level.PASS)

    @property
    def is_passing(self) -> bool:
        """Whether all that was found is that a source did not answer, which may pass by itself."""
        return bool(self.found) and all(finding.trouble is Trouble.SOURCE_UNAVAILABLE for finding in self.found)


def audit(what: str, scope: Scope) -> Audited:
    """One audit by its name in `does`: schemas, reconciliation, permissions or connections.

    Whatever goes wrong in a part of it is a finding, and the rest goes on.
    """
    done = _AUDITS[what](scope)
    return replace(done, files={**_written(what, scope, done), **done.files})


def _written(what: str, scope: Scope, done: Audited) -> dict[str, str]:
    """The findings as JSON, and as a page to read."""
    at, found = scope.now.isoformat(timespec="seconds"), len(done.found)
    plain = {
        "audit": what,
        "at": at,
        "day": scope.day.isoformat(),
        "findings": [one.as_dict() for one in done.findings],
    }
    head = f"{what.capitalize()}, {at}: {f'{found} to look at' if found else 'nothing found'}."
    lines = [f"{one.level:<5} {one.message}" for one in sorted(done.findings, key=lambda one: _ORDER[one.level])]
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    return {"findings.json": f"{text}\n", "findings.txt": "\n".join([head, "", *lines, ""])}


_ORDER = {Level.STOP: 0, Level.WARN: 1, Level.PASS: 2}


def _failed(check: str, error: RunnerError) -> Finding:
    return Finding(check, Level.STOP, str(error), error.trouble)


# Schemas.


@dataclass(frozen=True)
class _Look:
    """A table at a source: both by name, the source's title, and the table's contract."""

    table: str
    source: str
    title: str
    contract: Contract

    @property
    def check(self) -> str:
        return f"schema of {self.table} at {self.title}"


def _schemas(scope: Scope) -> Audited:
    """Every table at every source that has it, against its contract and against the last time."""
    findings: list[Finding] = []
    seen: list[Fingerprint] = []
    rows: list[tuple[Any, ...]] = []
    for look, table in _tables(scope, findings):
        columns = fingerprint.taken(table)
        changes = drift.against(look.contract, columns, scope.before(look.table, look.source))
        findings.append(_drifted(look, columns, changes))
        rows += [(look.table, look.source, *change.as_dict().values()) for change in changes]
        seen.append(Fingerprint(scope.now, look.table, look.source, fingerprint.digest(columns), columns))
    if not findings:
        text = "No table of config/sources.yml has a contract, so no schema was compared."
        findings.append(Finding("schemas", Level.WARN, text, None, {"tables": len(scope.project.sources.tables)}))
    names = ("table", "source", "kind", "column", "what", "breaks a report")
    return Audited(tuple(findings), {"changes.csv": csv_text(names, rows)}, tuple(seen))


def _drifted(look: _Look, columns: Mapping[str, Any], changes: Sequence[drift.Change]) -> Finding:
    numbers = {"columns": len(columns), "changes": [change.as_dict() for change in changes]}
    if not changes:
        text = f"{look.table} at {look.title}: all {len(columns)} columns are as the contract has them."
        return Finding(look.check, Level.PASS, text, None, numbers)
    breaks = any(change.breaks for change in changes)
    said = "; ".join(change.sentence for change in changes)
    level, mark = (Level.STOP, "will break its reports") if breaks else (Level.WARN, "is not as it was")
    return Finding(look.check, level, f"{look.table} at {look.title} {mark}: {said}.", Trouble.SCHEMA_CHANGED, numbers)


def _tables(scope: Scope, findings: list[Finding]) -> Iterator[tuple[_Look, pa.Table]]:
    """Each table to be looked at; what cannot be had is a finding."""
    sources = scope.project.sources
    kept = []
    for name, table in sources.tables.items():
        contract = _contract(scope.project, name, findings)
        if contract is None:
            continue
        if name in sources.fetched:
            yield from _asked(scope, name, table, contract, findings)
        else:
            kept.append(_Look(name, WAREHOUSE, "the warehouse", contract))
    yield from _stored(scope, kept, findings)


def _contract(project: Project, table: str, findings: list[Finding]) -> Contract | None:
    try:
        return contracts.load(project.folder / "config" / "contracts" / f"{table}.yml")
    except ConfigError as error:
        findings.append(Finding(f"schema of {table}", Level.WARN, str(error)))
        return None


def _asked(
    scope: Scope, name: str, table: Table, contract: Contract, findings: list[Finding]
) -> Iterator[tuple[_Look, pa.Table]]:
    """A table that is fetched: the last open day of it at each source, also at those that are asked last."""
    for place in scope.places(table.from_):
        look = _Look(name, place.name, place.config.title, contract)
        try:
            yield look, _read(scope, place, _want(place, name, table, contract, _open_day(scope)))
        except SourceFailed as error:
            findings.append(_failed(look.check, error))


def _open_day(scope: Scope) -> date:
    """The last whole day on which there is something to be expected."""
    days = [scope.day - timedelta(days=back) for back in range(14)]
    return next((day for day in days if not scope.is_closed(day)), scope.day)


def _want(place: Place, name: str, table: Table, contract: Contract, day: date) -> Want:
    columns = tuple(Wanted(column, rules.type, rules.nullable) for column, rules in contract.columns.items())
    at = place.config.at.get(name, name)
    return Want(name, at, columns, table.day, day, day) if table.day else Want(name, at, columns)


def _read(scope: Scope, place: Place, want: Want) -> pa.Table:
    """The rows of one source; asked again where that can help. Raises SourceFailed."""
    limit = min(place.config.timeout * place.config.tries, LONGEST)
    patience = Patience(scope.clock() + limit, scope.clock)
    return inquiry.ask((place,), lambda source, left: source.read(want, left), patience).value


def _stored(scope: Scope, looks: Sequence[_Look], findings: list[Finding]) -> Iterator[tuple[_Look, pa.Table]]:
    """Tables of the warehouse: the newest days that there are, of what has days."""
    import duckdb  # noqa: PLC0415 - where everything is fetched nobody needs it

    if not looks:
        return
    try:
        connection = _warehouse(scope)
    except ReportStopped as error:
        findings.append(_failed("schemas of the warehouse", error))
        return
    with closing(connection):
        for look in looks:
            try:
                yield look, connection.sql(_newest(scope.project, look.table)).to_arrow_table()
            except duckdb.Error as error:
                text = f"{look.table} cannot be read in the warehouse: {str(error).splitlines()[0]}"
                findings.append(Finding(look.check, Level.STOP, text, Trouble.SCHEMA_CHANGED))


def _newest(project: Project, table: str) -> str:
    day = project.sources.tables[table].day
    since = f' WHERE "{day}" > (SELECT max("{day}") FROM "{table}") - {DAYS}' if day else ""
    return f'SELECT * FROM "{table}"{since}'


def _warehouse(scope: Scope) -> duckdb.DuckDBPyConnection:
    """The warehouse as of the last whole day. Raises ReportStopped when it cannot be had."""
    path = warehouse.prepare(scope.project.folder, Path(scope.project.settings.warehouse))
    return warehouse.connect(path, scope.day)


# Two systems.


def _reconciliation(scope: Scope) -> Audited:
    """Every pair of config over the warehouse, and every table that two or more sources have."""
    pairs = [*_configured(scope), *_redundant(scope)]
    findings = [finding for found, _ in pairs for finding in found]
    if not findings:
        text = "Nothing is to be reconciled: config/sources.yml has no reconciliation, and no table with two sources."
        findings.append(Finding("reconciliation", Level.WARN, text))
    return Audited(tuple(findings), {name: text for _, files in pairs for name, text in files.items()})


_Pair = tuple[tuple[Finding, ...], Mapping[str, str]]


def _configured(scope: Scope) -> Iterator[_Pair]:
    wanted = scope.project.sources.reconciliations
    if not wanted:
        return
    try:
        connection = _warehouse(scope)
    except ReportStopped as error:
        yield (_failed("reconciliations in the warehouse", error),), {}
        return
    with closing(connection):
        for name, pair in wanted.items():
            yield _of_config(scope, connection, name, pair)


def _of_config(scope: Scope, connection: duckdb.DuckDBPyConnection, name: str, pair: Reconciliation) -> _Pair:
    import duckdb  # noqa: PLC0415

    pairing = Pairing(pair.title, pair.left.title, pair.right.title, pair.most)
    try:
        for side, sql in (("left_side", pair.left.sql), ("right_side", pair.right.sql)):
            day = {"day": scope.day} if "$day" in sql else {}
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {side} AS SELECT * FROM ({sql}\n)", day)
        compared = reconciliation.compare(connection, "left_side", "right_side", Rule(pair.key, pair.tolerance))
    except (duckdb.Error, ConfigError) as error:
        text = f"{pair.title} ({name} in config/sources.yml) cannot be made: {str(error).splitlines()[0]}"
        return (Finding(f"reconciliation of {pair.title}", Level.STOP, text, Trouble.SOURCES_DISAGREE),), {}
    return _said(scope, name, pairing, compared)


def _said(scope: Scope, name: str, pairing: Pairing, compared: Compared) -> _Pair:
    found = reconciliation.findings(pairing, compared)
    if not compared.keys and scope.is_closed(scope.day):
        text = f"{pairing.title}: nothing on either side, for {scope.day} is a closed day."
        found = (replace(found[0], level=Level.PASS, trouble=None, message=text),)
    return found, {f"{name}.csv": compared.csv}


def _redundant(scope: Scope) -> Iterator[_Pair]:
    """A table with two or more sources: the same day of all, the first one's against each other's."""
    for name, table in scope.project.sources.fetched.items():
        if len(table.from_) > 1:
            yield from _same(scope, name, table)


def _same(scope: Scope, name: str, table: Table) -> Iterator[_Pair]:
    missing: list[Finding] = []
    contract = _contract(scope.project, name, missing)
    if contract is None:
        yield tuple(missing), {}
        return
    rows: dict[str, tuple[str, pa.Table]] = {}
    for place in scope.places(table.from_):
        try:
            found = _read(scope, place, _want(place, name, table, contract, scope.day))
            rows[place.name] = place.config.title, found
        except SourceFailed as error:
            yield (_failed(f"reconciliation of {name} at {place.config.title}", error),), {}
    if len(rows) > 1:
        (first, (title, left)), *others = rows.items()
        for source, (other, right) in others:
            pairing = Pairing(f"{name} of {title} and {other}", title, other, table.differ)
            yield _alike(scope, f"{name}-{first}-{source}", pairing, contract, (left, right))


def _alike(scope: Scope, file: str, pairing: Pairing, contract: Contract, sides: tuple[pa.Table, pa.Table]) -> _Pair:
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect()
    with closing(connection):
        try:
            for name, table in zip(("left_side", "right_side"), sides, strict=True):
                connection.register(name, table)
            compared = reconciliation.compare(connection, "left_side", "right_side", Rule(contract.key))
        except (duckdb.Error, ConfigError) as error:
            text = f"{pairing.title} cannot be compared: {str(error).splitlines()[0]}"
            return (Finding(f"reconciliation of {pairing.title}", Level.STOP, text, Trouble.SOURCES_DISAGREE),), {}
        return _said(scope, file, pairing, compared)


# Rights, and connections.


def _permissions(scope: Scope) -> Audited:
    """Every source's credential, asked all at once, and our own files."""
    places = scope.places(scope.project.sources.sources)
    with ThreadPoolExecutor(max(len(places), 1), "rights") as threads:
        found = [one for some in threads.map(lambda place: _rights(scope, place), places) for one in some]
    return Audited((*found, *rights.of_things(rights.things(scope.project, scope.environment))))


def _rights(scope: Scope, place: Place) -> tuple[Finding, ...]:
    needed, title = scope.needed.get(place.name, ""), place.config.title
    try:
        has = within(place.config.timeout + probing.GRACE, lambda: place.source.rights(place.config.timeout))
    except SourceFailed as error:
        finding = _failed(f"rights at {title}", error)
        return (replace(finding, message=f"{finding.message} {needed}".strip()),)
    except TimeoutError:
        text = f"{title} did not say within {place.config.timeout:.3g} s what our credential may do. {needed}".strip()
        return (Finding(f"rights at {title}", Level.STOP, text, Trouble.SOURCE_UNAVAILABLE),)
    return rights.compared(title, place.config.may, has, needed)


def _connections(scope: Scope) -> Audited:
    """Every source, asked whether it answers."""
    places = scope.places(scope.project.sources.sources)
    asked = probing.probe(places, scope.now, scope.clock)
    titles = {place.name: place.config.title for place in places}
    found = tuple(_answered(titles[one.source], one, scope.needed.get(one.source, "")) for one in asked)
    nothing = Finding("connections", Level.WARN, "There is no source in config/sources.yml, so none was asked.")
    return Audited(found or (nothing,), {}, (), asked)


def _answered(title: str, asked: Probe, needed: str) -> Finding:
    numbers = {"seconds": round(asked.seconds, 3)}
    if asked.trouble is None:
        text = f"{title} answered in {asked.seconds:.2f} s."
        return Finding(f"connection to {title}", Level.PASS, text, None, numbers)
    return Finding(f"connection to {title}", Level.STOP, f"{asked.message} {needed}".strip(), asked.trouble, numbers)


_AUDITS: Mapping[str, Callable[[Scope], Audited]] = {
    "schemas": _schemas,
    "reconciliation": _reconciliation,
    "permissions": _permissions,
    "connections": _connections,
}


def keep(folder: Path, audited: Audited, redact: Callable[[str], str] = str) -> None:
    """Write an audit's files into a folder, without secrets, each whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in audited.files.items():
        half = folder / f".{name}.tmp"
        half.write_bytes(redact(text).encode())
        half.replace(folder / name)
