"""Opening the office: everything a scheduler needs, found to be in order before anything is promised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from runner.config import Project
from runner.document.shipped import TEMPLATES
from runner.errors import ConfigError, RunFailed
from runner.ledger import Ledger
from runner.plan.runbooks import Library, library
from runner.scheduler.begins import begins_of
from runner.scheduler.office import LEASE, Done, Log, Office, Order, silent

if TYPE_CHECKING:
    from runner.delivery.channels import Carrier, Parcel
    from runner.report.draft import Ctx

SHIPPED = "runbook.md"


def library_of(project: Project) -> Library:
    """The project's runbooks, with the shipped one behind them.

    Raises ConfigError when one cannot be read, belongs to no pipeline, or when a trouble is answered by none.
    """
    folders = (*project.templates, TEMPLATES)
    shipped = next((folder / SHIPPED for folder in folders if (folder / SHIPPED).is_file()), TEMPLATES / SHIPPED)
    found = library({"common.md": shipped.read_text(encoding="utf-8"), **_named(project)})
    strangers = found.strangers(project.pipelines)
    if strangers:
        raise ConfigError(
            f"config/runbooks/{strangers[0]}.md belongs to no pipeline.",
            f"Give it the name of one ({', '.join(project.pipelines)}), or take it away.",
        )
    missing = found.missing(project.pipelines)
    if missing:
        pipeline, kind = missing[0]
        raise ConfigError(
            f"No runbook answers {kind!r} for {pipeline}.",
            f"Write a section with the line `Answers: {kind}` in config/runbooks/common.md or {pipeline}.md.",
        )
    return found


def _named(project: Project) -> dict[str, str]:
    """The texts under the names by which a mistake in them is told."""
    return {name if name == "common.md" else f"config/runbooks/{name}": text for name, text in project.runbooks.items()}


def unreachable(project: Project, environment: Mapping[str, str]) -> dict[str, str]:
    """Channels that cannot be reached as things stand, each with the reason."""
    from runner.delivery.channels import Channels  # noqa: PLC0415 - brings all that mails are made of

    channels = Channels(project, environment)
    named = [channel for engineer in project.people.engineers.values() for channel in engineer.channels]
    heart = project.settings.heartbeat
    return {
        name: why
        for name in dict.fromkeys(["mail", *named, *([heart.channel] if heart else [])])
        if (why := channels.problem(name))
    }


def open_office(ctx: Ctx, carrier: Carrier, command: str = "runner", log: Log = silent) -> Office:
    """The office of a real scheduler: threads at work, real channels. Raises ConfigError as `library_of` does."""
    from runner.scheduler.crew import Threads  # noqa: PLC0415 - brings all that reports are made of

    project, ledger = ctx.project, ctx.ledger
    return Office(
        project=project,
        ledger=ledger,
        library=library_of(project),
        crew=Threads(ctx),
        carrier=carrier,
        begins=lambda: begins_of(project),
        lease=ctx.lease or LEASE,
        command=command,
        log=log,
    )


class Onlooker:
    """A crew that only knows how long things took, and a carrier with nothing to carry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.busy: tuple[Order, ...] = ()

    def start(self, order: Order, now: datetime) -> None:
        """An onlooker starts nothing."""
        raise RunFailed(f"{order.deadline.pipeline} was to be started at {now} by an onlooker.")

    def finished(self, now: datetime) -> tuple[Done, ...]:  # noqa: ARG002 - nothing ends where nothing begins
        """Nothing."""
        return ()

    def next_end(self) -> datetime | None:
        """Never."""
        return None

    def durations(self, pipeline: str) -> tuple[float, ...]:
        """Seconds that past runs of a pipeline took, newest first."""
        return self._ledger.durations(pipeline)

    def send(self, parcel: Parcel, now: datetime) -> None:
        """An onlooker sends nothing."""
        raise RunFailed(f"{parcel.message_id} was to be sent at {now} by an onlooker.")

    def problem(self, channel: str) -> str:  # noqa: ARG002 - it has no channels
        """Nothing is asked of any channel."""
        return ""


def onlooker(project: Project, ledger: Ledger) -> Office:
    """An office to look from: it starts nothing and sends nothing."""
    looking = Onlooker(ledger)
    return Office(project, ledger, library_of(project), looking, looking, lambda: begins_of(project))
