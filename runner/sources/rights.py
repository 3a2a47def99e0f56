"""What our credentials and our own files may do, against what they should: a right that is gone, and one too many.

A right that is gone is told before the next run needs it; one too many is told so that it is taken back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.config import Project
from runner.errors import Trouble
from runner.model import Finding, Level
from runner.secrets import variables

#: Where files of the ledger lie when it is one file: beside it SQLite keeps two more.
_SQLITE = "sqlite:///"
_SHOWN = 8


def compared(title: str, may: Iterable[str], has: frozenset[str] | None, needed: str = "") -> tuple[Finding, ...]:
    """What a source's credential may do against `may` of config; `needed` says what needs it next, in a sentence.

    One finding that passes, or one for what is missing and one for what is too much.
    """
    check, wanted = f"rights at {title}", frozenset(may)
    if not wanted:
        text = f"{title}: config declares no rights, so none were compared{f' (it has {_listed(has)})' if has else ''}."
        return (Finding(check, Level.PASS, text, None, {"may": [], "has": sorted(has or ())}),)
    if has is None:
        text = f"{title}: what our credential may do there cannot be asked, and config says that it should be known."
        return (Finding(check, Level.WARN, text, None, {"may": sorted(wanted)}),)
    found = [*_missing(check, title, wanted - has, needed), *_excess(check, title, has - wanted)]
    text = f"{title}: our credential may do what it should, and no more ({_listed(wanted)})."
    return tuple(found) or (Finding(check, Level.PASS, text, None, {"may": sorted(wanted), "has": sorted(has)}),)


def _missing(check: str, title: str, rights: frozenset[str], needed: str) -> Iterator[Finding]:
    if rights:
        text = f"{title}: our credential may no longer do what it should: {_listed(rights)}. {needed}".strip()
        yield Finding(f"{check}: missing", Level.STOP, text, Trouble.PERMISSION_REVOKED, {"missing": sorted(rights)})


def _excess(check: str, title: str, rights: frozenset[str]) -> Iterator[Finding]:
    if rights:
        text = f"{title}: our credential may do more than it should: {_listed(rights)}."
        yield Finding(f"{check}: excess", Level.WARN, text, None, {"excess": sorted(rights)})


def _listed(rights: Iterable[str]) -> str:
    names = sorted(rights)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


# Our own places.


@dataclass(frozen=True)
class Thing:
    """A file or folder of ours: what it is called, its mode (none: it is not there), and what we may do with it."""

    name: str
    mode: int | None
    can_read: bool = True
    can_write: bool = True
    is_secret: bool = False
    is_written: bool = False


def of_things(things: Iterable[Thing], needed: str = "") -> tuple[Finding, ...]:
    """What is to be said of our own files; one finding that passes when there is nothing.

    A secret that others can read and a file that others can change are too much; what cannot be read, or where we must
    write and cannot, is missing.
    """
    known = tuple(things)
    lost = [f"{thing.name} {what}" for thing in known if (what := _lost(thing))]
    open_ = [f"{thing.name} {what}" for thing in known if (what := _open(thing))]
    found = []
    if lost:
        text = f"This project's own files: {_listed(lost)}. {needed}".strip()
        found.append(
            Finding("rights of our files: missing", Level.STOP, text, Trouble.PERMISSION_REVOKED, {"missing": lost})
        )
    if open_:
        text = f"This project's own files: {_listed(open_)}."
        found.append(Finding("rights of our files: excess", Level.WARN, text, None, {"excess": open_}))
    text = f"This project's own files: {len(known):,} looked at, none open to others, all that we need in our reach."
    return tuple(found) or (Finding("rights of our files", Level.PASS, text, None, {"files": len(known)}),)


def _lost(thing: Thing) -> str:
    if thing.mode is None:
        return "is not there" if thing.is_secret else ""
    if not thing.can_read:
        return "cannot be read by us"
    return "cannot be written by us" if thing.is_written and not thing.can_write else ""


def _open(thing: Thing) -> str:
    mode = thing.mode or 0
    if thing.is_secret and mode & stat.S_IROTH:
        return "holds a secret and can be read by everybody"
    # In a folder with the sticky bit others may add files, but change none of ours.
    return "can be changed by everybody" if mode & stat.S_IWOTH and not mode & stat.S_ISVTX else ""


def things(project: Project, environment: Mapping[str, str]) -> Iterator[Thing]:
    """The files of this project that matter: config, secrets, the ledger, reports, the warehouse's folder."""
    for path in (project.folder / "config", *sorted((project.folder / "config").rglob("*"))):
        yield _thing(path, path.relative_to(project.folder).as_posix())
    for name in sorted(variables(project.secrets)):
        if name.endswith("_FILE") and (place := environment.get(name, "").strip()):
            yield _thing(Path(place), f"the file that {name} names", is_secret=True)
    warehouse = project.folder / project.settings.warehouse
    for path in (project.reports, project.maildir, warehouse.parent, *_ledger(project)):
        if path.exists():
            yield _thing(path, _near(path, project.folder), is_written=True)


def _ledger(project: Project) -> tuple[Path, ...]:
    """The ledger's file, and those that SQLite keeps beside it; none where it is a server's."""
    if not project.ledger.startswith(_SQLITE) or not (name := project.ledger.removeprefix(_SQLITE)):
        return ()
    return tuple(Path(f"{name}{ending}") for ending in ("", "-wal", "-shm"))


def _near(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _thing(path: Path, name: str, *, is_secret: bool = False, is_written: bool = False) -> Thing:
    try:
        mode = path.stat().st_mode
    except OSError:
        return Thing(name, None, is_secret=is_secret, is_written=is_written)
    found = os.access(path, os.R_OK), os.access(path, os.W_OK)
    return Thing(name, mode, *found, is_secret=is_secret, is_written=is_written)
