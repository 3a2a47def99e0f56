"""What a report needs from its sources is fetched before anything else: in a child process, bounded for real.

The child (`python -m runner.sources`) asks, judges and lands; here its events become lines of the diary and rows of the
ledger, and its end findings or an error. At the limit, at a stop and when this process dies, it ends, whatever it waits
for. It alone is given the secrets of the sources.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.config import WAREHOUSE, Pipeline, Project
from runner.errors import ConfigError, Interrupted, ReportStopped, RunnerError, SourceFailed, Trouble
from runner.ledger import Ledger
from runner.ledger import sources as book
from runner.ledger.sources import Fingerprint, Load, Probe
from runner.model import Finding, Level
from runner.secrets import variables
from runner.warm import wire

if TYPE_CHECKING:
    from runner.report.execute import Stop

#: Seconds that the child has beyond the limit for saying what was missing.
GRACE = 2.0
_REMEDY = "Look at `runner probe`, or raise fetch_limit in config/settings.yml."


@dataclass(frozen=True)
class Wish:
    """What is to be there: tables, and the days that a report is about, both included.

    `under_way`: the last day may not be over yet, and what should be there by now is enough. `anew`: a person asks, and
    the days that may have been corrected are read again, whatever is there already.
    """

    tables: tuple[str, ...]
    first: date
    last: date
    under_way: bool = False
    anew: bool = False


@dataclass(frozen=True)
class Supplier:
    """What fetching needs to know of the process it is started in.

    `by` is the name of the run; `tell` hears of a table that is asked for now; `env` is the environment of this
    process, and `withheld` names what of it the child does not get.
    """

    project: Project
    ledger: Ledger
    now: Callable[[], datetime]
    stop: Stop
    by: str
    tell: Callable[[str], None] = lambda _: None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Supply:
    """What fetching came to: when it began, findings, what the diary is to say, and why there can be no report.

    `place` is the warehouse file that the report is made of, if it is one of its own. Without a `run` nothing was to be
    fetched.
    """

    run: str = ""
    began: datetime | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    error: RunnerError | None = None
    place: Path | None = None


def is_wanted(project: Project, pipeline: Pipeline) -> bool:
    """Whether anything that a pipeline rests on is fetched."""
    return WAREHOUSE in pipeline.sources and bool(project.sources.fetched)


def wish_for(project: Project, pipeline: Pipeline, as_of: date, *, anew: bool = False) -> Wish:
    """What the report of a day needs: the day itself, of a week its seven; every table that is fetched."""
    tables = tuple(project.sources.fetched)
    if pipeline.period == "week":
        last = as_of - timedelta(days=as_of.isoweekday())
        return Wish(tables, last - timedelta(days=6), last, anew=anew)
    return Wish(tables, as_of, as_of, under_way=pipeline.period == "experiment", anew=anew)


@contextmanager
def supplied(wish: Wish, supplier: Supplier) -> Iterator[Supply]:
    """Fetch, and keep the state that was fetched as long as this lasts.

    Raises ConfigError where config does not fit a table; all else is told in what is handed over.
    """
    from runner.sources.pins import pinned  # noqa: PLC0415 - brings the database with it

    project, began = supplier.project, supplier.now()
    notes: list[tuple[str, Mapping[str, Any]]] = []
    try:
        findings = fetched(wish, supplier, lambda event, fields: notes.append((event, fields)))
    except (ReportStopped, Interrupted) as error:
        yield Supply(supplier.by, began, (), tuple(notes), error)
        return
    stop = next((finding for finding in findings if finding.level is Level.STOP), None)
    if stop is not None:
        yield Supply(supplier.by, began, findings, tuple(notes), _stopped(stop))
        return
    with pinned(project.folder, Path(project.settings.warehouse), supplier.by) as place:
        yield Supply(supplier.by, began, findings, tuple(notes), None, place)


def _stopped(finding: Finding) -> SourceFailed:
    remedy = "Wait for the data or mend their source, then run it again."
    return _failed(finding.message, remedy, finding.trouble or Trouble.DATA_INCOMPLETE)


def _failed(what: str, remedy: str, trouble: Trouble) -> SourceFailed:
    """Data that are late come by themselves, and a source that is away comes back: the scheduler asks again."""
    return SourceFailed(what, remedy, trouble, passing=trouble.retry or trouble is Trouble.DATA_INCOMPLETE)


def fetched(wish: Wish, supplier: Supplier, note: Callable[[str, Mapping[str, Any]], None]) -> tuple[Finding, ...]:
    """Fetch in a child process; `note` hears what a diary should say.

    Raises SourceFailed when a source does not give what is needed, Interrupted at a stop, ConfigError.
    """
    supplier.stop.check()
    limit = supplier.project.settings.fetch_limit
    since = time.monotonic()
    until = since + limit
    ears = _Ears(supplier, note)
    with _child(supplier) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - pipes were asked for
        process.stdin.write(json.dumps(_request(wish, supplier, (since, until))).encode() + b"\n")
        process.stdin.flush()
        for event in _events(process.stdout.fileno(), until + GRACE, supplier.stop, limit):
            if event["event"] == "end":
                return _ended(event)
            ears.hear(event)
    raise SourceFailed("The process that fetches ended by itself, without a word.", "Run it again.")


def _request(wish: Wish, supplier: Supplier, times: tuple[float, float]) -> dict[str, Any]:
    """The order as the child reads it; the clock that counts since the machine began is one for all processes."""
    days = {"first": wish.first.isoformat(), "last": wish.last.isoformat(), "now": supplier.now().isoformat()}
    named = {"folder": str(supplier.project.folder), "tables": list(wish.tables), "under_way": wish.under_way}
    return {**named, **days, "anew": wish.anew, "since": times[0], "until": times[1]}


@contextmanager
def _child(supplier: Supplier) -> Iterator[subprocess.Popen[bytes]]:
    """The child, and at the end of this nothing of it."""
    from runner.report.warming import search_path  # noqa: PLC0415

    project = supplier.project
    withheld = variables(project.secrets) - variables(project.sources.secrets)
    env = {name: value for name, value in (supplier.env or os.environ).items() if name not in withheld}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "runner.sources"],  # what lies in the project is no library
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what a library writes there may hold an address with its password
        cwd=project.folder,
        env={**env, "PYTHONPATH": search_path()},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _events(told: int, until: float, stop: Stop, limit: float) -> Iterator[dict[str, Any]]:
    """Every event until the child's end. Raises SourceFailed at the limit, Interrupted at a stop."""
    buffer = b""
    while True:
        ready = wire.ready([told, stop.fileno()], until - time.monotonic())
        stop.check()
        if not ready:
            raise SourceFailed(f"What is fetched was not there after {limit:g} seconds.", _REMEDY)
        data = os.read(told, 1 << 16)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        yield from map(json.loads, lines)


def _ended(event: Mapping[str, Any]) -> tuple[Finding, ...]:
    error = event.get("error")
    if error is None:
        return tuple(Finding.of(one) for one in event["findings"])
    if error["trouble"] is None:
        raise ConfigError(error["what"], error["remedy"])
    raise _failed(error["what"], error["remedy"], Trouble(error["trouble"]))


@dataclass(frozen=True)
class _Ears:
    """What the events of the child become."""

    supplier: Supplier
    note: Callable[[str, Mapping[str, Any]], None]

    def hear(self, event: Mapping[str, Any]) -> None:
        at = self.supplier.now()
        fields = {key: value for key, value in event.items() if key not in {"event", "columns", "sha256"}}
        said = {"ask": "fetch begins", "try": "source asked", "load": "table loaded", "wait": "waiting for data"}
        self.note(said[event["event"]], {"at": at.isoformat(timespec="milliseconds"), **fields})
        if event["event"] == "ask":
            self.supplier.tell(f"{event['table']} from {event['source']}")
        elif event["event"] == "wait":
            self.supplier.tell(f"waiting for {event['table']}")
        elif event["event"] == "try":
            self._tried(event, at)
        else:
            self._loaded(event, at)

    def _tried(self, event: Mapping[str, Any], at: datetime) -> None:
        """A source that is behind has answered all the same: the message says so, and it is in no trouble."""
        trouble = None if event["trouble"] in {None, str(Trouble.DATA_INCOMPLETE)} else Trouble(event["trouble"])
        probe = Probe(event["source"], at, event["seconds"], trouble, event["message"], self.supplier.by)
        with self.supplier.ledger.write() as tx:
            book.probed(tx, probe)

    def _loaded(self, event: Mapping[str, Any], at: datetime) -> None:
        rest = {name: event[name] for name in ("title", "changed", "instead", "partial")}
        about = (event["table"], event["source"])
        run = self.supplier.by
        with self.supplier.ledger.write() as tx:
            book.loaded(tx, Load(at, *about, event["rows"], event["first"], event["last"], run, rest))
            book.fingerprinted(tx, Fingerprint(at, *about, event["sha256"], event["columns"], run))
