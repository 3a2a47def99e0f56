"""Asking each source whether it answers, with its past beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from runner.config import Project
from runner.config.names import known
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.ledger import sources as past
from runner.scheduler.errands import Outside
from runner.screen import screen_for
from runner.sources import catalog, probing
from runner.sources.probing import Health

COLUMNS = ("source", "answer", "seconds", "median", "failures", "last down", "title")


def probe(project: Project, names: Sequence[str], outside: Outside, now: datetime, *, as_json: bool) -> int:
    """Ask sources, all at once, note how each answered, and show it; 1 where one is down.

    Raises UsageError on a name that config/sources.yml does not have.
    """
    wanted = tuple(dict.fromkeys(names)) or tuple(project.sources.sources)
    for name in wanted:
        if name not in project.sources.sources:
            raise UsageError(f"No source is called {name!r}.", known(name, project.sources.sources))
    health = _asked(project, wanted, outside, now)
    screen, zone = screen_for(as_json=as_json, total=0), ZoneInfo(project.settings.time_zone)
    if not health and not as_json:
        screen.say("There is no source. Sources stand in config/sources.yml.")
    screen.table([_plain(one) if as_json else _row(one, zone) for one in health], COLUMNS)
    down = [one for one in health if not one.is_up]
    for one in down if not as_json else ():
        screen.say(f"\n{_said(one)}")
    return 1 if down else 0


def _asked(project: Project, names: Sequence[str], outside: Outside, now: datetime) -> list[Health]:
    if outside.opened is not None:
        places = outside.opened(names)
    else:
        places = catalog.places(names, project.sources, project.folder, outside.environment)
    answers = probing.probe(places, now)
    ledger = Ledger.of(project)
    with ledger.write() as tx:
        for answer in answers:
            past.probed(tx, answer)
        found = [probing.health(place.name, place.config.title, past.probes(tx, place.name)) for place in places]
    ledger.close()
    return found


def _plain(one: Health) -> Mapping[str, Any]:
    last = one.last
    return {
        "source": one.source,
        "title": one.title,
        "up": one.is_up,
        "at": last.at.isoformat() if last else None,
        "seconds": round(last.seconds, 4) if last else None,
        "trouble": last.trouble if last else None,
        "message": last.message if last else "",
        "median": None if one.median is None else round(one.median, 4),
        "asked": one.asked,
        "failures": one.failures,
        "last_down": one.down_at.isoformat() if one.down_at else None,
    }


def _said(one: Health) -> str:
    """What it answered, with its name once."""
    message = one.last.message if one.last else ""
    return message if message.startswith(one.title) else f"{one.title}: {message}"


def _row(one: Health, zone: ZoneInfo) -> Mapping[str, Any]:
    last = one.last
    return {
        "source": one.source,
        "title": one.title,
        "answer": "answers" if one.is_up else str(last.trouble if last else "not asked"),
        "seconds": f"{last.seconds:.2f}" if last else "",
        "median": "" if one.median is None else f"{one.median:.2f}",
        "failures": f"{one.failures} of {one.asked}",
        "last down": f"{one.down_at.astimezone(zone):%d %b %Y %H:%M}" if one.down_at else "never",
    }
