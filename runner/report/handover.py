"""A report that passed the gate -> one complete message for each reader, in the maildir, noted in the ledger.

Owed first, written second, noted third: killed anywhere, the next start writes what is still owed, and a message that
is there already is found by its Message-ID. Only the very files that were proven go out: they are held against the
hashes in the ledger each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner.config import Person, Project
from runner.errors import DeliveryFailed, RunnerError
from runner.ledger import Delivery, Ledger, Run
from runner.ledger.tables import deliveries
from runner.report import notebooks, shelf
from runner.report.notebooks import NotebookNode


@dataclass(frozen=True)
class Desk:
    """Where messages are written and noted, and how to tell the time."""

    project: Project
    ledger: Ledger
    now: Callable[[], datetime]


@dataclass(frozen=True)
class _Report:
    """The files of a run as they were when they were found to be those of the ledger."""

    run: Run
    nb: NotebookNode
    pdf: bytes


def message_id(project: Project, run: Run, recipient: str) -> str:
    """The stable name of the one message that a version of a report makes for one reader."""
    from runner.delivery import mail  # noqa: PLC0415 - brings the renderer with it

    domain = project.settings.sender.email.rpartition("@")[2]
    return mail.message_id(domain, run.pipeline, run.period, str(run.version or 1), recipient.lower())


def owed(project: Project, run: Run) -> tuple[Delivery, ...]:
    """What a report owes: one message for each of its readers."""
    readers = project.readers(project.pipelines[run.pipeline])
    return tuple(Delivery(reader.email, message_id(project, run, reader.email)) for reader in readers)


def send(desk: Desk, run: Run, folder: Path) -> int:
    """Write every message still owed for a run's version; how many were written.

    Raises DeliveryFailed after trying them all; before any, when the run's files are not those that were proven.
    """
    owing = [item for item in desk.ledger.deliveries(run.pipeline, run.period, run.version or 1) if not item.sent_at]
    if not owing:
        return 0
    report = _report(desk, run, folder)
    readers = {reader.email: reader for reader in desk.project.readers(desk.project.pipelines[run.pipeline])}
    troubles = [trouble for item in owing if (trouble := _try(desk, report, item, readers.get(item.recipient)))]
    if troubles:
        raise DeliveryFailed(_listed(troubles), "Correct what is wrong and run it again; only they will be written.")
    return len(owing)


def take_over(ledger: Ledger, run: Run) -> None:
    """Let a run owe what is still owed of its version: the files of the run that owed it are lost or changed."""
    owing = (deliveries.c.pipeline == run.pipeline, deliveries.c.period == run.period)
    mine = deliveries.update().where(*owing, deliveries.c.version == (run.version or 1), deliveries.c.sent_at.is_(None))
    with ledger.write() as tx:
        tx.execute(mine.values(run=run.run))


def is_intact(ledger: Ledger, run: Run, folder: Path) -> bool:
    """Whether every file of a run is the one that was proven."""
    return shelf.intact(folder, ledger.artifacts(run.run))


def _report(desk: Desk, run: Run, folder: Path) -> _Report:
    """What is sent, read once for all readers and only then held against the ledger. Raises DeliveryFailed."""
    try:
        report = _Report(
            run, notebooks.read(folder / f"{run.pipeline}.ipynb"), (folder / f"{run.pipeline}.pdf").read_bytes()
        )
    except (OSError, ValueError):
        report = None
    if report is None or not is_intact(desk.ledger, run, folder):
        raise DeliveryFailed(
            f"The files of run {run.run} are not those that were proven, so nothing was sent.",
            f"Make it again: {_again(run)}. Never send changed files.",
        )
    return report


def _again(run: Run) -> str:
    """The command that makes a run's report again, from scratch."""
    given = [("--as-of", run.parameters.get("as_of")), ("--experiment", run.parameters.get("experiment"))]
    words = [word for option, value in given if value is not None for word in (option, str(value))]
    return " ".join(["runner run", run.pipeline, *words, "--again"])


def _try(desk: Desk, report: _Report, item: Delivery, reader: Person | None) -> str:
    """Write one message; what went wrong, or nothing. One reader's trouble never keeps the report from the others."""
    if reader is None:
        return ""  # taken off the list since
    try:
        _write(desk, report, item, reader)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others get their message
        what = error.what if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
        return f"{item.recipient}: {what.rstrip('.')}"
    desk.ledger.sent(report.run, item.recipient, desk.now())
    return ""


def _write(desk: Desk, report: _Report, item: Delivery, reader: Person) -> None:
    from runner.delivery import mail  # noqa: PLC0415 - brings the renderer with it
    from runner.document import blocks, shipped  # noqa: PLC0415

    run, nb = report.run, report.nb
    pipeline, sender = desk.project.pipelines[run.pipeline], desk.project.settings.sender
    engineers = desk.project.people.engineers
    owners = [engineers[name] for name in (pipeline.owners.primary, pipeline.owners.secondary)]
    envelope = mail.Envelope(
        sender=mail.Person(sender.name, sender.email),
        recipient=mail.Person(reader.name, reader.email),
        subject=f"{pipeline.title} – {nb.metadata['runner']['period_text']}",
        date=desk.now(),
        message_id=item.message_id,
        report_name=f"{run.pipeline}-{run.period.replace('@', '-')}.pdf",
        reply_to=tuple(mail.Person(owner.name, owner.email) for owner in owners),
    )
    templates = (*desk.project.templates, shipped.TEMPLATES)
    mail.post(mail.compose(envelope, blocks.document_of(nb), report.pdf, templates), desk.project.maildir)


def _listed(troubles: Iterable[str]) -> str:
    return "Not every message could be written: " + "; ".join(troubles) + "."
