"""A report sent once more to those who still wait, or packed and handed over by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.acts import handing
from runner.acts.handing import Parcel
from runner.acts.people import engineer
from runner.acts.wishes import Wish as Asked
from runner.acts.wishes import reason_of
from runner.commands.runs import find
from runner.config import Project
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, Run
from runner.model import Status
from runner.report.archive import Archive
from runner.report.byhand import Given
from runner.report.draft import Clock, Ctx
from runner.report.execute import Stop
from runner.screen import near, screen_for

#: Where archives are laid that are to lie nowhere else. No pipeline's name has a hyphen.
FOLDER = "by-hand"


@dataclass(frozen=True)
class Wish:
    """What is to be handed over by hand: of which run, where the archive goes, who takes it, why, and for whom."""

    run: str
    at: datetime
    to: Path | None = None
    who: str = ""
    because: str = ""
    recipients: tuple[str, ...] = ()
    unproven: bool = False


def deliver(project: Project, run: str, at: datetime, *, as_json: bool) -> int:
    """Send what is still owed of a run; the exit code (1: not every message went out)."""
    ledger = Ledger.of(project)
    try:
        with screen_for(as_json=as_json, total=1) as screen:
            ctx = Ctx(project, ledger, Clock(at), Stop(), screen.step)
            made = handing.send(Asked(find(ledger, run), "", "", at), ctx)
            screen.summary([made])
            if not as_json and made.status is Status.DELIVERED and not made.sent:
                screen.say("Nobody waits for it: nothing was sent.")
    finally:
        ledger.close()
    return made.exit_code


def by_hand(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Pack a run and note who took it. Raises UsageError, DeliveryFailed."""
    who, because = _who(project, wish), reason_of(wish.because)
    ledger = Ledger.of(project)
    try:
        ctx = Ctx(project, ledger, Clock(wish.at), Stop(), lambda _: None)
        kept: list[Path] = []
        run = find(ledger, wish.run)
        asked, parcel = Asked(run, who, because, wish.at), Parcel(wish.recipients, wish.unproven)
        given = handing.give(asked, parcel, ctx, _keeper(project, wish, kept))
    finally:
        ledger.close()
    screen_for(as_json=as_json, total=0).line(_plain(run, given, kept[0], who), _said(project, given, kept[0], who))
    return 0


def _who(project: Project, wish: Wish) -> str:
    if not wish.who:
        raise UsageError("Who takes it?", "Say it with --by WHO: a name from config/people.yml.")
    if not line(wish.because):
        raise UsageError("Why is it handed over by hand?", "Say it with --because TEXT.")
    return engineer(project, wish.who)


def _keeper(project: Project, wish: Wish, kept: list[Path]) -> Callable[[Archive], None]:
    """Lays the archive where it is wanted, whole or not at all, and says where. Raises UsageError."""

    def keep(packed: Archive) -> None:
        place = wish.to or project.reports / FOLDER / packed.name
        try:
            place = place / packed.name if place.is_dir() else place
            _write(place, packed.data)
        except OSError as error:
            what = f"The archive cannot be written to {near(place)}: {error.strerror or error}."
            raise UsageError(what, "Name another place with --to.") from error
        kept.append(place)

    return keep


def _write(place: Path, data: bytes) -> None:
    """A file that is the old one or the new one, never half. Another file in its place stays, and is refused."""
    if place.exists() and not _holds(place, data):
        raise UsageError(f"There is another file in {near(place)}.", "Name another place with --to.")
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def _holds(place: Path, data: bytes) -> bool:
    """Whether a file is this very one. A pipe or a device might never end, and the ledger waits: it is not read."""
    return place.is_file() and place.stat().st_size == len(data) and place.read_bytes() == data


# What a person or a program sees.


def _plain(run: Run, given: Given, place: Path, who: str) -> dict[str, Any]:
    row: dict[str, Any] = {"event": "packed", "run": run.run, "pipeline": run.pipeline, "period": run.period}
    row |= {"archive": str(place), "sha256": given.archive.sha256, "by": who}
    row |= {"members": list(given.archive.members), "recipients": list(given.recipients)}
    return row | {"met": list(given.met)}


def _said(project: Project, given: Given, place: Path, who: str) -> str:
    name, count = project.name_of(who), len(given.archive.members)
    lines = [f"{near(place)}: {count} files, taken by {name}."]
    if given.met:
        lines += [f"Noted as delivered by hand to {', '.join(given.met)}; no message goes to them any more."]
    if had := [address for address in given.recipients if address not in given.met]:
        lines += [f"{', '.join(had)} had it before."]
    if not given.recipients:
        lines += ["It was noted for no reader."]
    return "\n".join(lines)
