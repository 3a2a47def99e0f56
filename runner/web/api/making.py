"""Ledger -> answers. Each reads a bounded number of rows, however long the past is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from runner import model
from runner.acts.arrivals import arrived
from runner.config import Project
from runner.errors import UsageError
from runner.ledger import arrivals, incidents, lists
from runner.ledger import reports as book
from runner.ledger.deadlines import Owed, State
from runner.ledger.lists import Part
from runner.plan import incidents as rules
from runner.plan import oncall as rota_rules
from runner.scheduler import roster
from runner.web.api import answers, questions
from runner.web.api.calls import Call
from runner.web.api.paging import key_of, word_of
from runner.web.api.problems import Missing

T = TypeVar("T")
U = TypeVar("U")

#: Spans are no longer than this.
LONGEST = timedelta(days=366)
_DAY = timedelta(days=1)
#: Without a span: from a day ago, as far as the book of deadlines is written.
_BACK, _USUAL = _DAY, 9 * _DAY


def deadlines(call: Call, asked: questions.ForDeadlines) -> answers.Page[answers.Deadline]:
    """What is owed in a span."""
    first, last = _span(asked.from_ or call.now - _BACK, asked.to, _USUAL)
    part = _part(asked, (datetime, str, str))
    with call.ledger.read() as tx:
        page = lists.deadlines(tx, lists.Dues(first, last, asked.pipeline, asked.state), part)
    return _page(page, lambda owed: _deadline(call, owed))


def runs(call: Call, asked: questions.ForRuns) -> answers.Page[answers.Run]:
    """Runs, newest first."""
    part = _part(asked, (datetime, str))
    with call.ledger.read() as tx:
        page = lists.runs(tx, lists.Runs(asked.pipeline, asked.period, asked.status), part)
    return _page(page, lambda run: answers.Run(**_of_run(run)))


def run(call: Call, name: str) -> answers.WholeRun:
    """One run with all that it left. Raises Missing."""
    found = call.ledger.run(name)
    if found is None:
        raise Missing("There is no run of this name.")
    given = call.ledger.deliveries(found.pipeline, found.period, found.version) if found.version else ()
    return answers.WholeRun(
        **_of_run(found),
        parameters=_plain(found.parameters),
        findings=tuple(_finding(item) for item in call.ledger.findings(name)),
        figures=tuple(answers.Figure(**_of_figure(item)) for item in call.ledger.figures(name)),
        artifacts=tuple(answers.Artifact(**vars(item)) for item in call.ledger.artifacts(name)),
        deliveries=Counter(str(item.state) for item in given),
    )


def figures(call: Call, asked: questions.ForFigures) -> answers.Page[answers.ToldFigure]:
    """Figures of released reports, the newest run first."""
    part = _part(asked, (datetime, str, int))
    with call.ledger.read() as tx:
        page = lists.figures(tx, lists.Figures(asked.pipeline, asked.name, asked.period), part)
    return _page(page, _told)


def on_call(call: Call, asked: questions.ForOnCall) -> answers.OnCall:
    """Who is on call at an instant, or in a span."""
    spans = asked.from_ is not None or asked.to is not None
    if spans and asked.at is not None:
        raise UsageError("`at` cannot stand beside `from` and `to`.", "Ask for one of them at a time.")
    first, last = _span(asked.from_ or call.now, asked.to, 28 * _DAY)
    start = first if spans else asked.at or call.now
    with call.ledger.read() as tx:
        rota = roster.rota_of(tx, call.project, start - roster.RECENT)
    if rota is None:
        return answers.OnCall(time_zone=None, shifts=())
    found = rota.shifts(first, last) if spans else (rota.at(start),)
    return answers.OnCall(time_zone=rota.rules.time_zone, shifts=tuple(_shift(call.project, shift) for shift in found))


def trouble(call: Call, asked: questions.ForIncidents) -> answers.Page[answers.Incident]:
    """Incidents, newest first."""
    part = _part(asked, (int,))
    is_open = None if asked.state is None else asked.state == "open"
    with call.ledger.read() as tx:
        page = lists.incidents(tx, lists.Troubles(asked.pipeline, is_open), part)
    return _page(page, lambda incident: answers.Incident(**_of_incident(call.project, incident)))


def incident(call: Call, number: int) -> answers.WholeIncident:
    """One incident with its history. Raises Missing."""
    with call.ledger.read() as tx:
        found = incidents.find(tx, number)
        history = incidents.history(tx, number)
    if found is None:
        raise Missing("There is no incident of this number.")
    events = tuple(answers.Event(at=event.at, text=event.text) for event in history)
    return answers.WholeIncident(**_of_incident(call.project, found), events=events)


def landed(call: Call, said: questions.Landed) -> answers.Arrival:
    """Write down that data have landed. Raises UsageError."""
    word = arrivals.Arrival(said.source, said.day, call.now, f"token {call.token.name}"[:255])
    new = arrived(call.project, call.ledger, word)
    with call.ledger.read() as tx:
        first = arrivals.find(tx, word.source, word.day) or word
    return answers.Arrival(source=first.source, day=first.day, at=first.at, new=new)


# Parts.


def _part(asked: questions.Paged, form: tuple[type, ...]) -> Part:
    return Part(asked.limit, key_of(asked.cursor, form))


def _page(page: lists.Page[T], made: Callable[[T], U]) -> answers.Page[U]:
    return answers.Page[U](items=tuple(made(item) for item in page.items), next=word_of(page.after))


def _span(first: datetime, last: datetime | None, usual: timedelta) -> tuple[datetime, datetime]:
    last = first + usual if last is None else last
    if last < first:
        raise UsageError("The span ends before it begins.", "Exchange `from` and `to`.")
    if last - first > LONGEST:
        raise UsageError("The span is longer than 366 days.", "Ask for it in parts.")
    return first, last


def _deadline(call: Call, owed: Owed) -> answers.Deadline:
    deadline, pipeline = owed.deadline, call.project.pipelines.get(owed.deadline.pipeline)
    over = owed.state in {State.MET, State.MISSED}
    until = owed.ended_at if owed.state is not State.OPEN else call.now
    late = (until - deadline.due_at).total_seconds() if until and owed.state is not State.WITHDRAWN else 0.0
    return answers.Deadline(
        **vars(deadline),
        title=pipeline.title if pipeline else deadline.pipeline,
        state=owed.state,
        ended_at=owed.ended_at,
        on_time=owed.on_time if over else None,
        late_seconds=max(0.0, late),
        attempts=owed.attempts,
        outcome=owed.outcome,
        message=owed.message,
        run=owed.run,
    )


_OF_RUN = ("run", "pipeline", "period", "status", "decision", "version", "started_at", "finished_at", "message")


def _of_run(run: book.Run) -> dict[str, Any]:
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    said = {name: getattr(run, name) for name in _OF_RUN}
    return said | {"seconds": seconds, "trouble": str(run.trouble) if run.trouble else None}


def _finding(finding: model.Finding) -> answers.Finding:
    said = finding.as_dict()
    return answers.Finding(**said | {"numbers": _plain(said["numbers"])})


_OF_FIGURE = ("name", "label", "value", "text", "unit", "prior", "change")


def _of_figure(figure: model.Figure) -> dict[str, Any]:
    return {name: _plain(getattr(figure, name)) for name in _OF_FIGURE}


def _told(told: lists.Told) -> answers.ToldFigure:
    about = {name: getattr(told, name) for name in ("pipeline", "period", "version", "run", "status", "started_at")}
    return answers.ToldFigure(**_of_figure(told.figure), **about)


def _plain(value: Any) -> Any:
    """The same, with null for every number that is none: JSON has no word for these."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _person(project: Project, key: str) -> answers.Person:
    return answers.Person(key=key, name=project.name_of(key))


def _shift(project: Project, shift: rota_rules.Shift) -> answers.Shift:
    secondary = _person(project, shift.secondary) if shift.secondary else None
    return answers.Shift(
        starts_at=shift.start,
        ends_at=shift.end,
        primary=_person(project, shift.primary),
        secondary=secondary,
        because=shift.because,
    )


_OF_INCIDENT = ("number", "pipeline", "period", "state", "sentence", "opened_at", "closed_at", "outcome")


def _of_incident(project: Project, incident: rules.Incident) -> dict[str, Any]:
    who = incident.acknowledged_by
    return {name: getattr(incident, name) for name in _OF_INCIDENT} | {
        "acknowledged_by": _person(project, who) if who else None,
        "acknowledged_at": incident.acknowledged_at,
        "told": tuple(_person(project, key) for key in incident.told),
    }
