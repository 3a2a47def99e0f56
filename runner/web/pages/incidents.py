"""Incidents: what is wrong and what was; one of them whole; acknowledged, handed over, resolved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa
from starlette.responses import Response

from runner.acts import incidents as acts
from runner.delivery import messages
from runner.delivery.messages import Message
from runner.document.markdown import blocks_of
from runner.document.shapes import Block
from runner.errors import ConfigError, UsageError
from runner.ledger import deadlines, incidents
from runner.ledger.deadlines import Owed
from runner.ledger.outbox import Letter
from runner.plan.duties import in_words
from runner.plan.incidents import DUTY, SOURCE, Incident, Kind, Notice, Word
from runner.scheduler import chronicle, dossier
from runner.scheduler.chronicle import Line
from runner.scheduler.opening import onlooker
from runner.web.access import ENGINEER
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: Closed incidents of one page.
MOST = 25
#: Names of readers that one line shows.
SHOWN = 20
_LARGEST = 9  # digits of a number


@dataclass(frozen=True)
class Row:
    """An incident in a list: what it is about, in words, and in a word how it stands."""

    incident: Incident
    title: str
    about: str
    state: str


@dataclass(frozen=True)
class Form:
    """What was typed into one of the forms of an incident, and what is wrong with it."""

    act: str = ""
    error: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """One incident with all that its page shows. `coming` is who is told next, and when."""

    row: Row
    owed: Owed | None
    lines: tuple[Line, ...]
    coming: tuple[datetime, tuple[str, ...]] | None = None
    message: Message | None = None
    warning: str = ""

    @property
    def incident(self) -> Incident:
        """The incident."""
        return self.row.incident

    @property
    def tone(self) -> str:
        """The tone of its head: how grave it is; when over, how it ended."""
        one = self.incident
        if not one.open:
            return {"met": "good", "resolved": "good", "missed": "stop"}.get(one.outcome, "plain")
        return {"held": "held", "at risk": "warn"}.get(one.state, "stop")

    @property
    def seen(self) -> tuple[Line, ...]:
        """Who has opened it here."""
        return tuple(line for line in self.lines if line.text.endswith("opened it on the desk"))

    @property
    def steps(self) -> tuple[Block, ...]:
        """The first steps, as the runbook has them."""
        return blocks_of(self.message.runbook) if self.message else ()

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the mail says of it beside what the page says itself."""
        return tuple(pair for pair in self.message.facts if pair[0] not in _OWN) if self.message else ()

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many messages are sent, owed and given up."""
        letters = [letter for line in self.lines for letter in line.letters]
        sent, lost = (sum(at is not None for at in times) for times in _times(letters))
        return sent, len(letters) - sent - lost, lost


_OWN = frozenset({"Deadline", "Run", "Due", "Since"})  # facts that the page shows by itself


def _times(letters: list[Letter]) -> tuple[list[datetime | None], list[datetime | None]]:
    return [letter.sent_at for letter in letters], [letter.given_up_at for letter in letters]


# Looking.


def every(visit: Visit) -> Response:
    """Open ones first; then those that are over, page by page."""
    before = number_of(visit.query["before"]) if "before" in visit.query else None
    with visit.ledger.read() as tx:
        open_ = tuple(incidents.opened(tx).values()) if before is None else ()
        closed = incidents.page(tx, before, MOST + 1)
        rows = _rows(tx, visit, (*open_, *closed[:MOST]))
    following = closed[MOST - 1].number if len(closed) > MOST else None
    return visit.page(
        "incidents.html.j2", open=rows[: len(open_)], closed=rows[len(open_) :], before=before, following=following
    )


def one(visit: Visit) -> Response:
    """One incident. That somebody opened it is noted, so that others see who has."""
    number = number_of(visit.params["number"])
    if visit.request.method == "GET" and "x-live" not in visit.request.headers:
        acts.looked_at(visit.ledger, number, visit.visitor.who, visit.now)
    return _shown(visit, number)


def _shown(visit: Visit, number: int, form: Form | None = None) -> Response:
    with visit.ledger.read() as tx:
        incident = incidents.find(tx, number)
        if incident is None:
            raise NotFound
        view = _view(tx, visit, incident)
    why_not = acts.why_not_resolved(incident, view.owed, visit.now) if incident.open else ""
    status = 422 if form else 200
    more = {"view": view, "why_not": why_not, "form": form or Form(), "words": words_of, "channel": channel_of}
    return visit.page("incident.html.j2", status, others=_others(visit, incident), shown=SHOWN, **more)


def _view(tx: sa.Connection, visit: Visit, incident: Incident) -> View:
    row = _rows(tx, visit, (incident,))[0]
    owed = deadlines.find(tx, (incident.pipeline, incident.period))
    lines = chronicle.chronicle(tx, visit.project, incident)
    try:
        office = onlooker(visit.project, visit.ledger)
        notice = Notice(Kind.TROUBLE, visit.visitor.who)
        message = dossier.message(tx, office, incident, notice, visit.now)
        coming = dossier.coming(tx, office, incident, visit.now)
    except ConfigError as error:  # a runbook that cannot be read must not hide the trouble
        return View(row, owed, lines, warning=f"{error.what} {error.remedy}")
    return View(row, owed, lines, coming, message)


def _rows(tx: sa.Connection, visit: Visit, found: Iterable[Incident]) -> tuple[Row, ...]:
    several = tuple(found)
    owed = deadlines.find_all(tx, ((one.pipeline, one.period) for one in several))
    return tuple(
        Row(one, chronicle.title(visit.project, one.pipeline), _about(one, owed), chronicle.state(one) or "open")
        for one in several
    )


def _about(incident: Incident, owed: Mapping[tuple[str, str], Owed]) -> str:
    """The period in words."""
    known = owed.get((incident.pipeline, incident.period))
    if known:
        return known.deadline.text
    if incident.pipeline.startswith(DUTY):
        return f"duty, {in_words(incident.period)}"
    return f"source, {incident.period}" if incident.pipeline.startswith(SOURCE) else incident.period


def _others(visit: Visit, incident: Incident) -> list[tuple[str, str]]:
    """Those to whom it can be handed over, oneself first."""
    people = {key: one.name for key, one in visit.project.people.engineers.items() if key != incident.acknowledged_by}
    own = people.pop(visit.visitor.who, None)
    return [("", "Choose somebody"), *([(visit.visitor.who, f"Me ({own})")] if own else []), *people.items()]


def number_of(text: str) -> int:
    """The number of an incident that a path names. Raises NotFound for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LARGEST):
        raise NotFound
    return int(text)


def words_of(letter: Letter) -> str:
    """A message as it was mailed, in plain text."""
    return _text(json.dumps(dict(letter.message)))


@lru_cache(maxsize=1024)
def _text(stored: str) -> str:
    return messages.text(Message.of({"subject": "", "headline": "", **json.loads(stored)}))


def channel_of(letter: Letter) -> str:
    """How a letter goes out, for people."""
    return letter.channel if letter.channel == "mail" else f"pager {letter.channel.removeprefix('env:')}"


# Acts.


def acknowledge(visit: Visit) -> Response:
    """I am at it."""
    number = _existing(visit)
    try:
        incident = acts.acknowledge(visit.project, visit.ledger, number, visit.visitor.who, visit.now)
    except UsageError as error:
        return visit.to(f"/incidents/{number}", error.what, "warn")
    if incident.acknowledged_by != visit.visitor.who:
        first = visit.project.name_of(incident.acknowledged_by or "")
        return visit.to(f"/incidents/{number}", f"{first} was there before you, and is at it.", "warn")
    return visit.to(f"/incidents/{number}", "You are at it. Nobody else is woken.")


def hand_over(visit: Visit) -> Response:
    """Another is to be at it."""
    number, to = _existing(visit), visit.form.get("to", "")
    try:
        acts.hand_over(visit.project, visit.ledger, number, to, _word(visit))
    except UsageError as error:
        return _shown(visit, number, _refused(visit, "hand-over", error))
    own = to == visit.visitor.who
    said = "You are at it now." if own else f"{visit.project.name_of(to)} is told, and asked to take it."
    return visit.to(f"/incidents/{number}", said)


def resolve(visit: Visit) -> Response:
    """It is settled."""
    number = _existing(visit)
    try:
        acts.resolve(visit.project, visit.ledger, number, _word(visit))
    except UsageError as error:
        return _shown(visit, number, _refused(visit, "resolve", error))
    return visit.to(f"/incidents/{number}", "It is over. Those who were told of it hear so.")


def _existing(visit: Visit) -> int:
    number = number_of(visit.params["number"])
    with visit.ledger.read() as tx:
        if incidents.find(tx, number) is None:
            raise NotFound
    return number


def _word(visit: Visit) -> Word:
    return Word(visit.visitor.who, visit.form.get("because", ""), visit.now)


def _refused(visit: Visit, act: str, error: UsageError) -> Form:
    return Form(act, f"{error.what} {error.remedy}".strip(), dict(visit.form))


PAGES = (
    Page("/incidents", ENGINEER, every),
    Page("/incidents/{number}", ENGINEER, one),
    Page("/incidents/{number}/acknowledge", ENGINEER, post=acknowledge),
    Page("/incidents/{number}/hand-over", ENGINEER, post=hand_over),
    Page("/incidents/{number}/resolve", ENGINEER, post=resolve),
)
