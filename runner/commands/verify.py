"""Whether a file is the report that was delivered, to whom, and whether it has been restated since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.ledger import Delivery, Ledger, Run, finished
from runner.ledger.deliveries import State
from runner.model import Status
from runner.report import seal, shelf
from runner.report.seal import Found, Origin
from runner.screen import near, screen_for

#: Exit codes: it is what readers have, it is nothing of ours as it stands, or it is ours and not what holds.
GENUINE, STRANGE, STALE = 0, 1, 3


@dataclass(frozen=True)
class Verdict:
    """What a file is, in a word and in sentences; of a report's own file also who has it and what replaced it."""

    word: str
    code: int
    said: tuple[str, ...]
    run: Run | None = None
    path: str = ""
    deliveries: tuple[Delivery, ...] = ()
    restated_by: str = ""


def verify(project: Project, path: Path, *, as_json: bool) -> int:
    """Say what a file is; the exit code. Raises UsageError where it cannot be read."""
    file = seal.found_in(path)
    ledger = Ledger.of(project)
    try:
        verdict = judge(project, ledger, file)
    finally:
        ledger.close()
    row = _plain(verdict, file, path)
    screen_for(as_json=as_json, total=0).line(row, "\n".join((f"{near(path)}: {verdict.said[0]}", *verdict.said[1:])))
    return verdict.code


def judge(project: Project, ledger: Ledger, file: Found) -> Verdict:
    """What a file is, as the ledger knows it."""
    origin = seal.origin_of(file, ledger)
    if origin.run is None:
        return _unknown(file)
    if not origin.path:
        return _changed(project, ledger, origin.run, origin.seal.core if origin.seal else "")
    return _ours(ledger, origin, ZoneInfo(project.settings.time_zone))


def _unknown(file: Found) -> Verdict:
    if not file.sha256:
        return Verdict("unknown", STRANGE, ("unknown. It is larger than any report, and was not read.",))
    if len(file.seals) > 1:
        return Verdict("unknown", STRANGE, ("unknown. It carries the seals of several runs, so none is believed.",))
    more = f" It carries the seal of run {file.seals[0].run}, which this ledger does not know." if file.seals else ""
    return Verdict("unknown", STRANGE, (f"unknown. No run here made it.{more}",))


def _changed(project: Project, ledger: Ledger, run: Run, claimed: str) -> Verdict:
    """A file that says it is of a run, and is not as anything which that run made."""
    core = _core(project, ledger, run)
    if core and claimed != core:
        said = f"unknown. It names run {run.run}, and its seal is not that of this run."
        return Verdict("unknown", STRANGE, (said,), run)
    said = f"changed. It carries the seal of run {run.run} ({_of(run)}), and its bytes differ from what that run made."
    return Verdict("changed", STRANGE, (said, "Trust nothing in it: ask for the file as it was sent."), run)


def _core(project: Project, ledger: Ledger, run: Run) -> str:
    """The hash of the core of a run's manifest; empty where the manifest is gone, or not as it was."""
    folder = shelf.place(project, run)
    known = tuple(item for item in ledger.artifacts(run.run) if item.path == "manifest.json")
    try:
        data = (folder / "manifest.json").read_bytes()
        return str(json.loads(data).get("core", "")) if shelf.intact(folder, known) else ""
    except (OSError, ValueError, AttributeError):
        return ""


def _ours(ledger: Ledger, origin: Origin, zone: ZoneInfo) -> Verdict:
    """A file exactly as a run made it."""
    assert origin.run is not None  # noqa: S101 - asked before
    run, path = origin.run, origin.path
    if not origin.is_report:
        said = f"a part. It is {path} of run {run.run} ({_of(run)}), unchanged, and not the report itself."
        return Verdict("part", STALE, (said,), run, path)
    with ledger.read() as tx:
        had = finished.got(tx, run)
    if not had:
        said = f"not delivered. It is the report of run {run.run} ({_of(run)}), unchanged. {_why(ledger, run)}"
        return Verdict("not delivered", STALE, (said,), run, path)
    readers, of = tuple(_readers(had, zone)), f"It is the report of run {run.run} ({_of(run)})."
    lines = (f"delivered, and unchanged. {of}", *readers)
    current = ledger.delivered(run.pipeline, run.period)
    if current and (current.version or 1) > (run.version or 1):
        lines = (f"delivered, unchanged, and restated since. {of}", *readers)
        said = f"Restated since: run {current.run} takes its place, as version {current.version}."
        return Verdict("restated", STALE, (*lines, said), run, path, had, current.run)
    waits = _waiting(ledger, run)
    return Verdict("delivered", GENUINE, (*lines, *waits), run, path, had)


def _of(run: Run) -> str:
    return f"{run.pipeline} for {run.period}, version {run.version or 1}"


def _why(ledger: Ledger, run: Run) -> str:
    """Why a report that was made went to nobody."""
    if run.status is Status.HELD:
        return "It is held: a person decides whether it goes out."
    if finished.is_rejected(run):
        return run.message
    current = ledger.delivered(run.pipeline, run.period)
    if current and current.run != run.run:
        return f"Readers have, or are owed, the files of run {current.run}."
    return f"The run is {run.status}, and nobody was sent it."


def _readers(had: tuple[Delivery, ...], zone: ZoneInfo) -> Iterator[str]:
    for item in had:
        at = f"{item.sent_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if item.sent_at else ""
        yield f"  {at}  {item.recipient}{' (by hand)' if item.state is State.BY_HAND else ''}"


def _waiting(ledger: Ledger, run: Run) -> Iterator[str]:
    """That a restatement waits for a decision, if one does."""
    newest = next(iter(ledger.runs(run.pipeline, run.period)), run)
    if newest.status is Status.HELD and (newest.version or 1) > (run.version or 1):
        yield f"Run {newest.run} would restate it, and waits for a person's decision."


def _plain(verdict: Verdict, file: Found, path: Path) -> dict[str, Any]:
    run = verdict.run
    row: dict[str, Any] = {"file": str(path), "is": verdict.word, "said": list(verdict.said), "sha256": file.sha256}
    row |= {"size": file.size, "seals": [vars(mark) for mark in file.seals]}
    row |= {"run": run and run.run, "pipeline": run and run.pipeline, "period": run and run.period}
    row |= {"version": run and run.version, "status": run and str(run.status), "path": verdict.path}
    sent = [
        {"recipient": item.recipient, "at": item.sent_at and item.sent_at.isoformat(), "state": str(item.state)}
        for item in verdict.deliveries
    ]
    return row | {"delivered_to": sent, "restated_by": verdict.restated_by or None}
