"""A held report, looked at and decided on: let out, or turned down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runner.acts import decisions
from runner.acts.people import engineer, on_call_at
from runner.acts.wishes import Wish as Asked
from runner.acts.wishes import reason_of
from runner.commands.runs import find
from runner.config import Project
from runner.document.texts import line
from runner.errors import UsageError
from runner.ledger import Ledger, Run
from runner.model import Status
from runner.report import approval as rules
from runner.report import handover, shelf
from runner.report.approval import Outlook
from runner.report.draft import Clock, Ctx, Made
from runner.report.execute import Stop
from runner.report.restatement import columns_of
from runner.screen import Screen, near, screen_for

#: The exit code of a report that waits for a person.
HELD = 3
#: Characters of one cell that a person is shown.
_LONGEST = 60
#: Reports that a person is told of by name.
_MOST = 8


@dataclass(frozen=True)
class Wish:
    """What somebody wants done with a run; of nobody, it is only looked at."""

    run: str
    who: str
    because: str
    at: datetime


def approve(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Let a held report go out; the exit code (1: not every message could be written, 3: only looked at)."""
    if not wish.who and not wish.because:
        return look(project, wish, as_json=as_json)
    if not line(wish.because):
        raise UsageError("Why may it go out?", 'Say it with --because "what makes it right".')
    if not wish.who:
        raise UsageError("Who approves it?", "Say it with --by WHO: a name from config/people.yml.")
    return _decide(project, wish, decisions.approve, as_json=as_json).exit_code


def reject(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Turn a held report down; the exit code is 0, for that is what was asked."""
    if not line(wish.because):
        raise UsageError("Why may it not go out?", 'Say it with --because "what is wrong".')
    return _decide(project, wish, decisions.reject, as_json=as_json).exit_code


def look(project: Project, wish: Wish, *, as_json: bool) -> int:
    """Show what there is to decide, and change nothing."""
    with _at(project, wish, as_json=as_json) as (ctx, run, screen):
        on_call = on_call_at(project, ctx.ledger, wish.at)
        seen = rules.outlook(run, ctx)
        may = rules.entitled(project, project.pipeline(run.pipeline), on_call)
        _show(screen, seen, project, may)
    return HELD


def _decide(project: Project, wish: Wish, act: Callable[[Asked, Ctx], Made], *, as_json: bool) -> Made:
    engineer(project, wish.who)
    because = reason_of(wish.because)
    with _at(project, wish, as_json=as_json) as (ctx, run, screen):
        if run.status is Status.HELD:
            _show(screen, rules.outlook(run, ctx), project)
        made = act(Asked(run, wish.who, because, wish.at), ctx)
        screen.summary([made])
    return made


@contextmanager
def _at(project: Project, wish: Wish, *, as_json: bool) -> Iterator[tuple[Ctx, Run, Screen]]:
    ledger = Ledger.of(project)
    try:
        run = find(ledger, wish.run, Status.HELD)
        with screen_for(as_json=as_json, total=1) as screen:
            yield Ctx(project, ledger, Clock(wish.at), Stop(), screen.step), run, screen
    finally:
        ledger.close()


# What a person or a program sees.


def _show(screen: Screen, seen: Outlook, project: Project, may: tuple[str, ...] = ()) -> None:
    screen.line(_plain(seen, may), "\n".join(_said(seen, project, may)))


def _plain(seen: Outlook, may: tuple[str, ...]) -> dict[str, Any]:
    run, restates = seen.run, seen.restates
    row: dict[str, Any] = {"event": "decision", "run": run.run, "pipeline": run.pipeline, "period": run.period}
    row |= {"status": str(run.status), "version": run.version, "figures": seen.figures, "may": list(may)}
    row |= {"findings": [finding.as_dict() for finding in seen.doubts]}
    row |= {"restates": restates and {"run": restates.run, "version": restates.version}}
    row |= {"changes": [vars(change) for change in restates.changes] if restates else []}
    row |= {"records": [record.as_dict() for record in seen.replaced]}
    rests = [{"run": one.run, "pipeline": one.pipeline, "period": one.period} for one in seen.resting]
    return row | {"rests_on_it": rests, "gone": list(seen.gone), "joined": list(seen.joined)}


def _said(seen: Outlook, project: Project, may: tuple[str, ...]) -> Iterator[str]:
    run, restates = seen.run, seen.restates
    yield f"{run.pipeline} for {run.period}, run {run.run}"
    yield from (f"  {finding.level}  {line(finding.check)}: {line(finding.message)}" for finding in seen.doubts)
    if restates:
        yield f"It restates version {restates.version}, made by run {restates.run}:"
        rows = [(change.label, change.before, change.now) for change in restates.changes]
        yield from _table(("FIGURE", "BEFORE", "NOW"), rows)
    if seen.gone:
        yield f"Had it before, on no list any more, and hears nothing of it: {', '.join(seen.gone)}."
    if seen.joined:
        yield f"On a list, and had none before: {', '.join(seen.joined)}. To send it there, too, once it is out:"
        yield f"  runner deliver {run.run}"
    if seen.replaced:
        yield "It would replace these records:"
        yield from _table(("RECORD", "DAY", "COLUMN", "BEFORE", "NOW"), _records(seen))
    yield from _resting(seen)
    if may:
        yield f"May decide: {', '.join(f'{project.name_of(key)} ({key})' for key in may)}."
    if may and run.status is Status.HELD:
        yield f"The report:      {near(shelf.place(project, run) / f'{run.pipeline}.pdf')}"
        yield f'To let it go:    runner approve {run.run} --by WHO --because "..."'
        yield f'To turn it down: runner reject {run.run} --by WHO --because "..."'


def _records(seen: Outlook) -> list[tuple[Any, ...]]:
    return [(one.name, one.day, *column) for one in seen.replaced for column in columns_of(one)]


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    texts = [heads, *(tuple(_cell(cell) for cell in row) for row in rows)]
    widths = [max(len(text[at]) for text in texts) for at in range(len(heads))]
    for text in texts:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(text, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    text = line(value) if value not in {None, ""} else "–"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _resting(seen: Outlook) -> Iterator[str]:
    """Delivered reports that rest on what would be replaced, and how they are made again."""
    if not seen.resting:
        return
    more = f" and {len(seen.resting) - _MOST} more" if len(seen.resting) > _MOST else ""
    names = ", ".join(f"{run.pipeline} {run.period}" for run in seen.resting[:_MOST])
    yield f"Delivered with the record as it was: {names}{more}. Once this is approved, make them again:"
    yield from (f"  {handover.command_of(run)}" for run in seen.resting[:_MOST])
