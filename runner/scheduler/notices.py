"""Changes of the rota and of config -> letters to those whom they touch; the sign of life; the next hand-off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from runner.config import Person, Project
from runner.delivery import alerts
from runner.delivery.messages import Message
from runner.ledger import journal, outbox
from runner.ledger.journal import Act, Mark
from runner.plan import fairness
from runner.plan.fairness import Turn
from runner.scheduler import letters, roster
from runner.scheduler.letters import Addressee
from runner.scheduler.office import Office
from runner.scheduler.roster import Turned

CONFIG, BEAT = "config", "heartbeat"
_TOUCHES = "touches"  # in an entry that names nobody: whom a change of it concerns
_EVERYBODYS = {"time_zone", "attempts", "retry_after", "run_limit", "runs_at_once", "alerts", "heartbeat"}
_MOST = 12  # changes that one message lists


def announce(office: Office, now: datetime) -> None:
    """Keep the past of the rota, record what changed in config, and tell those whom it touches."""
    if office.notes.get("look at rota", now) > now:
        return
    with office.ledger.write() as tx:
        turned = roster.keep(tx, office.project, now, finished=True)
        if turned is not None:
            turn(tx, office.project, turned, now)
        _config(tx, office, now)
    office.notes["look at rota"] = hand_off(office, now) or now + timedelta(days=7)


def hand_off(office: Office, now: datetime) -> datetime | None:
    """When the next shift begins."""
    with office.ledger.read() as tx:
        rota = roster.rota_of(tx, office.project, now - roster.RECENT)
    return rota.at(now).end if rota else None


def turn(tx: sa.Connection, project: Project, turned: Turned, now: datetime) -> None:
    """Record a change of the rota's rules, and tell those whose duty it moves."""
    zone = ZoneInfo(project.settings.time_zone)
    changes = fairness.difference(turned.before, turned.after)
    journal.act(tx, Act(now, "config", "rota changed", {"changes": len(changes)}))
    for who in sorted(fairness.touched(changes)):
        mine = fairness.turns(changes, who)
        lines = [_line(own, zone) for own in mine[:_MOST]]
        lines += [f"and {len(mine) - _MOST} more"] if len(mine) > _MOST else []
        _tell(tx, project, who, _News("rota changed", now, partial(_rota_words, tuple(lines))))


def _rota_words(lines: tuple[str, ...], name: str) -> Message:
    return alerts.rota_changed(name, lines)


def _config_words(lines: tuple[str, ...], _: str) -> Message:
    return alerts.config_changed(lines)


def _line(own: Turn, zone: ZoneInfo) -> str:
    return f"{_local(own.start, zone)} to {_local(own.end, zone)}: you were {own.before}, you are {own.after}"


def _local(at: datetime, zone: ZoneInfo) -> str:
    there = at.astimezone(zone)
    return f"{there:%a} {there.day} {there:%b %Y %H:%M}"


# Changes of what the files say.


def _config(tx: sa.Connection, office: Office, now: datetime) -> None:
    new = snapshot(office.project)
    known = journal.mark(tx, CONFIG)
    text = json.dumps(new, sort_keys=True)
    if known is not None and known.text == text:
        return
    journal.set_mark(tx, CONFIG, Mark(now, text))
    if known is None or known.text is None:
        return
    old = json.loads(known.text)
    lines = changes(old, new)
    journal.act(tx, Act(now, "config", "config changed", {"changes": [words for _, words in lines]}))
    people = sorted({who for touched, _ in lines for who in touched})
    for who in people:
        mine = [words for touched, words in lines if who in touched]
        _tell(tx, office.project, who, _News("config changed", now, partial(_config_words, tuple(mine))))


def snapshot(project: Project) -> dict[str, Any]:
    """What of config is somebody's promise or duty: by pipeline, by duty, by engineer."""
    return {
        "pipeline": {name: pipeline.model_dump(mode="json") for name, pipeline in project.pipelines.items()},
        "duty": {name: duty.model_dump(mode="json") for name, duty in project.duties.items()},
        "engineer": {name: engineer.model_dump(mode="json") for name, engineer in project.people.engineers.items()},
        "readers": {name: _reading(project, name) for name in project.people.readers},
        "settings": {"all": _common(project)},
    }


def _reading(project: Project, name: str) -> dict[str, Any]:
    """One list of readers, and the owners of the reports that go to it."""
    owned = [pipeline.owners for pipeline in project.pipelines.values() if name in pipeline.readers]
    owners = sorted({who for owner in owned for who in (owner.primary, owner.secondary)})
    return {"people": [person.email for person in project.people.readers[name]], _TOUCHES: owners}


def _common(project: Project) -> dict[str, Any]:
    """What is everybody's: how trouble is told, how often is tried, which days are business days."""
    said = project.settings.model_dump(mode="json", include=_EVERYBODYS)
    days = project.holidays.model_dump(mode="json", include={"business_calendar", "no_business", "business"})
    return {**said, **days, _TOUCHES: sorted(project.people.engineers)}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[set[str], str]]:
    """(those whom it touches, one line) for every entry that is new, gone or different."""
    found = []
    for kind in (kind for kind in new if kind in old):
        before, after = old[kind], new[kind]
        for name in sorted({*before, *after}):
            said = _difference(before.get(name), after.get(name))
            if said:
                people = _named(name, kind, before.get(name)) | _named(name, kind, after.get(name))
                found.append((people, f"{kind} {name}: {said}"))
    return found


def _difference(before: Any, after: Any) -> str:
    if before is None or after is None:
        return "" if before is after else "is new" if before is None else "is gone"
    keys = {*before, *after} - {_TOUCHES}
    parts = [key for key in sorted(keys) if before.get(key) != after.get(key)]
    shown = [f"{key} was {_short(before.get(key))}, is {_short(after.get(key))}" for key in parts]
    return "; ".join(shown)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _named(name: str, kind: str, entry: Any) -> set[str]:
    """The engineers that an entry names."""
    if entry is None:
        return set()
    if kind == "engineer":
        return {name}
    owners = entry.get("owners") or {}
    if _TOUCHES in entry:
        return set(entry[_TOUCHES])
    return {who for who in (owners.get("primary"), owners.get("secondary"), entry.get("owner")) if who}


@dataclass(frozen=True)
class _News:
    """One piece of news: its kind, when, and how it reads to a person of this name."""

    kind: str
    at: datetime
    compose: Callable[[str], Message]


def _tell(tx: sa.Connection, project: Project, who: str, news: _News) -> None:
    engineer = project.people.engineers.get(who)
    if engineer is not None:
        about = letters.About(f"{news.kind}/{news.at:%Y%m%dT%H%M%S}", news.kind, news.at)
        outbox.owe(tx, letters.to_engineer(project, about, who, news.compose(engineer.name)))


# The sign of life.


def next_beat(tx: sa.Connection, office: Office, now: datetime) -> datetime | None:
    """When the next sign of life is due."""
    heart = office.project.settings.heartbeat
    last = journal.mark(tx, BEAT) if heart else None
    if heart is None:
        return None
    return last.at + timedelta(seconds=heart.every) if last is not None and last.at is not None else now


def beat(office: Office, now: datetime) -> None:
    """Owe a sign of life when it is time: it goes the whole way that a message about trouble goes."""
    heart = office.project.settings.heartbeat
    if heart is None:
        return
    with office.ledger.write() as tx:
        last = journal.mark(tx, BEAT)
        if last is not None and last.at is not None and now < last.at + timedelta(seconds=heart.every):
            return
        journal.set_mark(tx, BEAT, Mark(now))
        watch = Addressee("watch", Person(name="Watch", email=office.project.settings.sender.email), heart.channel)
        about = letters.About(f"heartbeat/{now:%Y%m%dT%H%M%S}", "heartbeat", now)
        outbox.owe(tx, [letters.plain(office.project, about, watch, alerts.heartbeat(now))])
        outbox.forget(tx, "heartbeat", now - timedelta(days=1))
