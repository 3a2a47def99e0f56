"""One incident as it is read: what it is about, in a word how it stands, and all that happened, with names for keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import sqlalchemy as sa

from runner.config import Project
from runner.ledger import incidents, outbox
from runner.ledger.incidents import Event
from runner.ledger.outbox import Letter
from runner.plan.incidents import DUTY, SOURCE, Incident, State

_STATES = tuple(f"{state}{mark}" for state in State for mark in ",:")


def title(project: Project, about: str) -> str:
    """What an incident is about (its `pipeline`) in the words of config; its key, of what is gone."""
    name = about.removeprefix(SOURCE).removeprefix(DUTY)
    if about.startswith(SOURCE):
        source = project.sources.sources.get(name)
        return source.title if source else name
    known = (project.duties if about.startswith(DUTY) else project.pipelines).get(name)
    return known.title if known else name


def state(incident: Incident) -> str:
    """What is wrong in a word; a source that fails is down, and a duty that is late overdue."""
    if incident.pipeline.startswith(SOURCE):
        return "down"
    return "overdue" if incident.pipeline.startswith(DUTY) else incident.state


@dataclass(frozen=True)
class Line:
    """Something that happened, or letters of one kind that were owed at one instant, to one person or to readers.

    `said` are words that stand as they were written; in `text` there are names for keys.
    """

    at: datetime
    text: str = ""
    said: str = ""
    tone: str = "plain"
    letters: tuple[Letter, ...] = ()


def chronicle(tx: sa.Connection, project: Project, incident: Incident) -> tuple[Line, ...]:
    """All that happened and was told, in the order of time; what happened stands before what was told of it."""
    happened = [_happened(project, incident, event) for event in incidents.history(tx, incident.number)]
    return tuple(sorted([*happened, *_told(outbox.of_incident(tx, incident.number))], key=lambda line: line.at))


def _happened(project: Project, incident: Incident, event: Event) -> Line:
    """A line of the history. What is said of a report's state, and what a person wrote, stays as it is."""
    tone = _tone(incident, event)
    head, mark, rest = event.text.partition(": ")
    if event.text.startswith(_STATES):
        return Line(event.at, head, rest, tone) if mark else Line(event.at, event.text, tone=tone)
    return Line(event.at, re.sub(r"\w+", lambda found: project.name_of(found[0]), head), rest, tone)


_TONES = (
    (re.compile(r"(late|failed|not started)\b"), "stop"),
    (re.compile("at risk"), "warn"),
    (re.compile("held"), "held"),
    (re.compile("nobody acknowledged|.* did not take it over"), "warn"),
    (re.compile(r"\w+ (acknowledged it|took it over|handed it over)"), "busy"),
    (re.compile(r"handed over to"), "busy"),
    (re.compile(r"\w+ resolved it"), "good"),
    (re.compile(r"\w+ opened it on the desk|readers were told"), "plain"),
)


def _tone(incident: Incident, event: Event) -> str:
    found = next((tone for pattern, tone in _TONES if pattern.match(event.text)), None)
    if found is None and event.at == incident.closed_at:
        return {"met": "good", "missed": "stop"}.get(incident.outcome, "plain")
    return found or "plain"


def _told(owed: tuple[Letter, ...]) -> Iterator[Line]:
    """Letters to engineers one by one; those to readers, which are alike, together."""
    for letter in owed:
        if not _is_reader(letter):
            yield _letters((letter,))
    readers = sorted(filter(_is_reader, owed), key=lambda one: (one.owed_at, one.kind))
    for _, alike in groupby(readers, key=lambda one: (one.owed_at, one.kind)):
        yield _letters(tuple(alike))


def _is_reader(letter: Letter) -> bool:
    return "@" in letter.person  # an address; engineers have keys


def _letters(alike: tuple[Letter, ...]) -> Line:
    tone = "stop" if any(letter.given_up_at for letter in alike) else "plain"
    if tone == "plain" and not all(letter.sent_at for letter in alike):
        tone = "warn"
    return Line(max(letter.sent_at or letter.owed_at for letter in alike), letters=alike, tone=tone)
