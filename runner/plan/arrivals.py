"""Data that have landed -> work that begins before its hour. Pure.

Whoever loads data says of a source up to which day it is whole. Once that is said of every source that a report rests
on, its work begins, if its hour has not come yet. What is said late, or of some sources only, changes nothing: the
clock and the deadline hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from runner.config.ends import Sources
from runner.config.files import WAREHOUSE, Pipeline
from runner.config.promise import When, parse
from runner.plan.deadlines import Deadline

#: Each is a set of sources that are enough together.
Ways = tuple[frozenset[str], ...]


def ways(pipeline: Pipeline, sources: Sources) -> Ways:
    """What must have landed before a pipeline's work can begin; nothing for one that rests on no source.

    For the warehouse stand the sources from which its tables are fetched: of each table the first, which is asked
    before the others. Whoever loads the warehouse as a whole says so of the warehouse itself.
    """
    files = frozenset(pipeline.sources) - {WAREHOUSE}
    if WAREHOUSE not in pipeline.sources:
        return (files,) if files else ()
    tables = sources.fetched or sources.tables
    first = frozenset(table.from_[0] for table in tables.values())
    return (files | {WAREHOUSE}, *((files | first,) if first else ()))


def named(pipelines: Iterable[Pipeline], sources: Sources) -> tuple[str, ...]:
    """Every source of which somebody may say that its data have landed."""
    rested_on = (source for pipeline in pipelines for source in pipeline.sources)
    return tuple(dict.fromkeys((*sources.sources, *sorted(rested_on))))


def data_day(pipeline: Pipeline, as_of: date) -> date:
    """The last day of the data that a report rests on: of a week its Sunday."""
    return as_of - timedelta(days=as_of.isoweekday()) if pipeline.period == "week" else as_of


def whole_up_to(needed: Ways, said: Mapping[str, date]) -> date | None:
    """The last day up to which all that is needed is whole; None where that was not said of all of it.

    `said` has the last whole day of each source of which anything was said.
    """
    days = [min(said[source] for source in way) for way in needed if way <= said.keys()]
    return max(days, default=None)


def may_begin(pipeline: Pipeline | None, deadline: Deadline, whole: date | None, now: datetime) -> bool:
    """Whether the work on a deadline may begin at an instant: its hour has come, or its data are whole.

    Nothing begins before the experiment that it is about, nor what is no pipeline any more.
    """
    if pipeline is None or whole is None or now >= deadline.starts_at:
        return now >= deadline.starts_at
    promise = parse(pipeline.deadline)
    if promise.when is When.ELAPSED and now < deadline.due_at - (promise.within or timedelta(0)):
        return False
    return data_day(pipeline, deadline.as_of) <= whole
