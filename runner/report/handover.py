"""A report that passed the gate -> one complete message for each reader, by the project's door, noted in the ledger.

Owed first, claimed second, handed over third, noted fourth. Killed anywhere, the next start hands over what is still
owed. Two who are at it at once share the readers and write to nobody twice. Only where a mail server was told the end
of a message and nobody heard its answer may it take it a second time, under the same Message-ID; in a maildir the
message is found by that. Only the very files that were proven go out: they are held against the hashes in the ledger
each time.

With a sandbox in the settings every message goes there, and the ledger calls it `sandboxed`: the run counts as
delivered and its deadline as met, for that is what a rehearsal is to show; no reader counts as having it. Once the
sandbox is off nothing goes out by itself; whoever runs the report again owes it to the readers themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from runner.config import Person, Project
from runner.errors import DeliveryFailed, RunFailed, RunnerError
from runner.ledger import Delivery, Ledger, Run, Taken, version_of
from runner.ledger import deliveries as book
from runner.ledger.deliveries import Claim, State, Trouble
from runner.ledger.process import Process, is_gone
from runner.ledger.tables import deliveries
from runner.report import notebooks, shelf
from runner.report.notebooks import NotebookNode

if TYPE_CHECKING:
    from email.message import EmailMessage

    from runner.delivery.door import Door
    from runner.delivery.outcome import Ears, Outcome
    from runner.document.shapes import Document

#: How long a message is left to its holder besides the longest that posting it can take.
SPARE = timedelta(minutes=1)
#: Waits before a message is tried again: each is twice as long as the one before.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=15)


def _unheard(_recipient: str, _step: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Desk:
    """Where messages are handed over and noted, how to tell the time, and what holds the mail server's secrets.

    `step` hears of each recipient: claiming, claimed, connected, addressed, handing, handed, answered, marked.
    """

    project: Project
    ledger: Ledger
    now: Callable[[], datetime]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    step: Callable[[str, str], None] = _unheard


@dataclass(frozen=True)
class _Report:
    """The files of a run as they were when they were found to be those of the ledger."""

    run: Run
    nb: NotebookNode
    pdf: bytes


class _Overtaken(RunFailed):
    """Another took the message over while this one stood still."""


def message_id(project: Project, run: Run, recipient: str) -> str:
    """The stable name of the one message that a version of a report makes for one reader."""
    from runner.delivery import mail  # noqa: PLC0415 - brings the renderer with it

    domain = project.settings.sender.email.rpartition("@")[2]
    return mail.message_id(domain, run.pipeline, run.period, str(run.version or 1), recipient.lower())


def owed(project: Project, run: Run) -> tuple[Delivery, ...]:
    """What a report owes: one message for each of its readers.

    Of a restatement the ledger notes those alone to whom a version before was owed: see `runner.ledger.Ledger.finish`.
    """
    readers = project.readers(project.pipelines[run.pipeline])
    return tuple(Delivery(reader.email, message_id(project, run, reader.email)) for reader in readers)


def unreached(project: Project, ledger: Ledger, run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who hears nothing of a restatement: who had a version and is on no list any more, who is on one and had none."""
    listed = {reader.email.lower(): reader.email for reader in project.readers(project.pipeline(run.pipeline))}
    with ledger.read() as tx:
        before = book.earlier(tx, version_of(run))
    had = book.had(before, sandbox=project.settings.mail.sandbox is not None)
    owed_before = {item.recipient.lower() for _, item in before}
    gone = (address for address in had if address not in listed)
    return tuple(gone), tuple(listed[address] for address in listed if address not in owed_before)


def owe_again(project: Project, ledger: Ledger, run: Run) -> None:
    """A person wants a run handed over: everyone on the list is owed it, also who was refused or joined it since."""
    ledger.owe(run, owed(project, run))
    with ledger.write() as tx:
        book.reopen(tx, version_of(run), sandbox=project.settings.mail.sandbox is not None)


def send(desk: Desk, run: Run, folder: Path) -> int:
    """Hand over every message still owed for a run's version; how many went out.

    Readers who were taken off the list since are not written to and owe nobody anything. Raises DeliveryFailed after
    trying them all, with each who has it not and why; before any, when the run's files are not those that were proven.
    Raises Taken when all the others are in the hands of another runner at this moment.
    """
    _withdraw(desk, run)
    owing = [item for item in _of(desk, run) if item.open]
    sent = _hand_out(desk, _report(desk, run, folder), owing) if owing else 0
    left = [item for item in _of(desk, run) if item.open or item.refused]
    missed = [item for item in left if item.refused or item.holder is None]
    if missed:
        raise DeliveryFailed(_listed(missed), _remedy(missed))
    if left:
        what = f"The report is being handed over by another runner at this moment ({left[0].recipient})."
        raise Taken(what, "Wait a minute, and run it again.")
    return sent


def _withdraw(desk: Desk, run: Run) -> None:
    """Whoever was taken off the list is owed nothing any more, be it that their server refused them."""
    listed = {reader.email.lower() for reader in desk.project.readers(desk.project.pipelines[run.pipeline])}
    gone = [item for item in _of(desk, run) if (item.open or item.refused) and item.recipient.lower() not in listed]
    for item in gone:
        if is_free(desk.project, item, desk.now()):
            with desk.ledger.write() as tx:
                book.withdraw(tx, version_of(run), item)


def is_free(project: Project, item: Delivery, now: datetime) -> bool:
    """Whether nobody is at a message who may still send it."""
    return book.is_free(item, now, _lease(project)) or is_gone(item.holder or "")


def _of(desk: Desk, run: Run) -> tuple[Delivery, ...]:
    return desk.ledger.deliveries(run.pipeline, run.period, run.version or 1)


def _listed(missed: Iterable[Delivery]) -> str:
    refused_first = sorted(missed, key=lambda item: (not item.refused, item.recipient))
    names: dict[str, list[str]] = {}  # what is the same for several is said once
    for item in refused_first:
        names.setdefault((item.error or "it was not tried").rstrip("."), []).append(item.recipient)
    said = "; ".join(f"{', '.join(several)}: {error}" for error, several in names.items())
    return f"Not every message could be written: {said}."


def _remedy(missed: Iterable[Delivery]) -> str:
    if any(item.refused for item in missed):
        what = "Correct the address in config/people.yml or take it off its list"
        return f"{what}, and run it again; only those who were missed are written to."
    return "Correct what is wrong and run it again; only they will be written."


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
            "Make the report again. Never send changed files.",
            typed=f"Make it again: {command_of(run)} --again. Never send changed files.",
        )
    return report


def command_of(run: Run) -> str:
    """The command that makes a run's report again."""
    words = [("--as-of", run.parameters.get("as_of")), ("--experiment", run.parameters.get("experiment"))]
    return " ".join(["runner run", run.pipeline, *(f"{option} {value}" for option, value in words if value)])


# One message.


@dataclass(frozen=True)
class _Round:
    """What is shared by all messages of one round."""

    desk: Desk
    report: _Report
    document: Document
    door: Door
    holder: str
    had: Mapping[str, datetime | None]  # who got a version before, and when

    @property
    def run(self) -> Run:
        """The run whose files go out."""
        return self.report.run


def _hand_out(desk: Desk, report: _Report, owing: Iterable[Delivery]) -> int:
    from runner.delivery.door import Door  # noqa: PLC0415 - brings the renderer with it
    from runner.document import blocks  # noqa: PLC0415

    project, run = desk.project, report.run
    with desk.ledger.read() as tx:
        before = book.earlier(tx, version_of(run))
    had = book.had(before, sandbox=project.settings.mail.sandbox is not None)
    holder = f"{Process.this().mark}-{secrets.token_hex(4)}"
    readers = {reader.email.lower(): reader for reader in project.readers(project.pipelines[run.pipeline])}
    with Door(project, desk.environment) as door:
        this = _Round(desk, report, blocks.document_of(report.nb), door, holder, had)
        listed = [(item, readers[item.recipient.lower()]) for item in owing if item.recipient.lower() in readers]
        return sum(_try(this, item, reader) for item, reader in listed)


def _try(this: _Round, item: Delivery, reader: Person) -> bool:
    """Hand over one message; whether it went out. One reader's trouble never keeps the report from the others."""
    desk, version = this.desk, version_of(this.run)
    if not is_free(desk.project, item, desk.now()):
        return False
    desk.step(item.recipient, "claiming")
    mine = replace(item, holder=this.holder, attempts=item.attempts + 1)
    with desk.ledger.write() as tx:
        now = desk.now()
        if not book.claim(tx, version, item, Claim(this.holder, now + _lease(desk.project))):
            return False
    desk.step(item.recipient, "claimed")
    try:
        outcome = this.door.post(_message(this, item, reader), _ears(this, item))
    except _Overtaken:
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, the others get their message
        what = str(error) if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
        _note(desk, version, mine, Trouble(what))
        return False
    return _noted(this, mine, outcome)


def _lease(project: Project) -> timedelta:
    """How long a message is its holder's, if nothing is heard of them and they may live."""
    from runner.delivery import smtp  # noqa: PLC0415 - only where something is sent

    mail = project.settings.mail
    return timedelta(seconds=smtp.longest(mail.timeout, 2 * mail.largest) if mail.server else 0) + SPARE


def _ears(this: _Round, item: Delivery) -> Ears:
    from runner.delivery.outcome import Ears  # noqa: PLC0415 - only where something is sent

    def handing() -> None:
        with this.desk.ledger.write() as tx:
            if not book.handing(tx, version_of(this.run), item.recipient, this.holder):
                raise _Overtaken(f"The message to {item.recipient} was taken over by another runner.")

    return Ears(lambda step: this.desk.step(item.recipient, step), handing)


def _noted(this: _Round, mine: Delivery, outcome: Outcome) -> bool:
    """Note what became of a message; whether it went out."""
    from runner.delivery.outcome import Kind  # noqa: PLC0415 - only where something is sent

    desk, version, at = this.desk, version_of(this.run), this.desk.now()
    if outcome.kind is Kind.TAKEN:
        sandbox = desk.project.settings.mail.sandbox
        with desk.ledger.write() as tx:
            book.sent(tx, version, mine.recipient, at, State.SANDBOXED if sandbox else State.SENT)
        desk.step(mine.recipient, "marked")
        return True
    state = {Kind.REFUSED: State.REFUSED, Kind.UNSURE: State.HANDING}.get(outcome.kind, mine.state)
    again = None if outcome.lasting else at + wait(mine.attempts)
    _note(desk, version, replace(mine, state=state), Trouble(outcome.what, again))
    return False


def wait(attempts: int) -> timedelta:
    """How long after so many attempts the next one is."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(attempts - 1, 10)
    return min(doubled, LONGEST_WAIT)


def _note(desk: Desk, version: book.Version, mine: Delivery, trouble: Trouble) -> None:
    """Give a message back; once its dot may have been sent, it stays one that may have arrived."""
    kept = mine if mine.state in {State.HANDING, State.REFUSED} else replace(mine, state=State.OWED)
    with desk.ledger.write() as tx:
        book.put_back(tx, version, kept, trouble)


def _message(this: _Round, item: Delivery, reader: Person) -> EmailMessage:
    from runner.delivery import mail  # noqa: PLC0415 - brings the renderer with it
    from runner.document import shipped  # noqa: PLC0415

    run, project = this.run, this.desk.project
    pipeline, settings = project.pipelines[run.pipeline], project.settings
    engineers = project.people.engineers
    owners = [engineers[name] for name in (pipeline.owners.primary, pipeline.owners.secondary)]
    restates = item.recipient.lower() in this.had
    subject = f"{pipeline.title} – {this.report.nb.metadata['runner']['period_text']}"
    envelope = mail.Envelope(
        sender=mail.Person(settings.sender.name, settings.sender.email),
        recipient=mail.Person(reader.name, reader.email),
        subject=f"Restatement: {subject}" if restates else subject,
        date=this.desk.now(),
        message_id=item.message_id,
        report_name=report_name(run),
        reply_to=tuple(mail.Person(owner.name, owner.email) for owner in owners),
        opening=_replaces(this.had[item.recipient.lower()], project) if restates else "",
        unsubscribe=settings.mail.unsubscribe or "",
    )
    room = mail.Room(settings.mail.largest, _place(settings.mail.archive, run))
    return mail.fitted(envelope, this.document, this.report.pdf, room, (*project.templates, shipped.TEMPLATES))


def report_name(run: Run) -> str:
    """The name under which readers get a report's file."""
    return f"{run.pipeline}-{run.period.replace('@', '-')}.pdf"


def _replaces(at: datetime | None, project: Project) -> str:
    """What a restatement says before all else."""
    if at is None:
        return "This report replaces the one sent to you before: figures in it have changed."
    day = at.astimezone(ZoneInfo(project.settings.time_zone))
    return f"This report replaces the one sent to you on {day:%A} {day.day} {day:%B %Y}: figures in it have changed."


def _place(archive: str | None, run: Run) -> str:
    """Where the PDF of a run lies below the archive's address."""
    if not archive:
        return ""
    return "/".join([archive.rstrip("/"), *(quote(part, safe="") for part in _path(run))])


def _path(run: Run) -> tuple[str, ...]:
    return run.pipeline, run.period, run.run, f"{run.pipeline}.pdf"
