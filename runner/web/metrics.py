"""/metrics: what is measured, in OpenMetrics, for tokens with the scope `metrics`.

The ledger is asked at each scrape, so that the numbers are right whoever wrote them and survive a restart; that is why
they are gauges. Labels are names of config/ and a few words: their number does not grow with time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runner import __version__
from runner.config import Project
from runner.ledger import incidents, measures
from runner.ledger import sources as past
from runner.ledger.deliveries import State as Delivering
from runner.model import Decision
from runner.plan.incidents import State
from runner.scheduler import roster
from runner.web.access import bearer
from runner.web.api.problems import answer_to, unforeseen
from runner.web.desk import Desk

SCOPE = "metrics"
DAY, QUARTER = timedelta(days=1), timedelta(days=90)
_WINDOWS = {"24h": DAY, "90d": QUARTER}
_OUTCOMES = ("met", "met_late", "late", "missed")
_WAITING = (Delivering.OWED, Delivering.TRYING, Delivering.HANDING, Delivering.REFUSED)
#: Seconds within which runs end; the last holds them all.
_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)


def routes(desk: Desk) -> tuple[Route, ...]:
    """The one address."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answer, desk, request)

    return (Route("/metrics", endpoint, methods=["GET"]),)


def _answer(desk: Desk, request: Request) -> Response:
    now = desk.clock.now()
    try:
        bearer(request, SCOPE, desk, now)
        text = generate_latest(Measured(desk, now))  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - whoever asked gets an answer, and the log the traceback
        return answer_to(error) or unforeseen(desk, request, error)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@dataclass(frozen=True)
class Measured:
    """All that is measured at one instant, as a collector gives it."""

    desk: Desk
    now: datetime

    def collect(self) -> Iterator[Metric]:
        """Every family, from one look at the ledger."""
        project = self.desk.project
        yield _info()
        with self.desk.ledger.read() as tx:
            look = _Look(tx, project, self.now)
            for part in (_deadlines, _gate, _troubles, _messages, _scheduler, _sources, _sessions):
                yield from part(look)
        yield from _run_times(self.desk, project)
        good = 0 if self.desk.refused else 1
        said = "Whether config/ as it is now could be read; where not (0), the one before holds."
        yield _gauge("runner_config_good", said, (((), good),))


@dataclass(frozen=True)
class _Look:
    """One transaction, and at which instant."""

    tx: sa.Connection
    project: Project
    now: datetime

    def age(self, at: datetime) -> float:
        """Seconds since an instant; a clock that is a little behind makes nothing younger than new."""
        return max(0.0, (self.now - at).total_seconds())


_Samples = Iterable[tuple[Sequence[str], float]]


def _gauge(name: str, said: str, samples: _Samples, labels: Sequence[str] = ()) -> Metric:
    """A gauge; its unit is that at the end of its name."""
    unit = "seconds" if name.endswith("_seconds") else ""
    family = GaugeMetricFamily(name, said, labels=labels, unit=unit)
    for values, value in samples:
        family.add_metric(list(values), value)
    return family


def _info() -> Metric:
    family = InfoMetricFamily("runner", "This software.")
    family.add_metric([], {"version": __version__})
    return family


def _deadlines(look: _Look) -> Iterator[Metric]:
    since, names = measures.late_since(look.tx, look.now), list(look.project.pipelines)
    late = (((name,), look.age(since[name]) if name in since else 0.0) for name in names)
    yield _gauge("runner_deadline_late_seconds", "How long the oldest report owed is late.", late, ("pipeline",))
    counted = {
        (window, *key): count
        for window, span in _WINDOWS.items()
        for key, count in measures.outcomes(look.tx, look.now - span, look.now).items()
    }
    rows = (
        ((name, outcome, window), counted.get((window, name, outcome), 0))
        for name in names
        for window in _WINDOWS
        for outcome in _OUTCOMES
    )
    said = "Deadlines that fell due in a window up to now, by how they came out."
    yield _gauge("runner_deadlines", said, rows, ("pipeline", "outcome", "window"))


def _gate(look: _Look) -> Iterator[Metric]:
    names = look.project.pipelines
    counted = measures.decisions(look.tx, names, look.now - DAY)
    rows = (((name, str(which), "24h"), counted.get((name, which), 0)) for name in names for which in Decision)
    said = "Runs that began in a window up to now, by what the gate said of them."
    yield _gauge("runner_gate_decisions", said, rows, ("pipeline", "decision", "window"))


def _troubles(look: _Look) -> Iterator[Metric]:
    opened = incidents.opened(look.tx).values()
    counted = Counter((one.state, "yes" if one.acknowledged_by else "no") for one in opened)
    rows = (((str(state), known), counted[state, known]) for state in State for known in ("yes", "no"))
    labels = ("state", "acknowledged")
    yield _gauge("runner_incidents_open", "Incidents that go on, by what is wrong.", rows, labels)


def _messages(look: _Look) -> Iterator[Metric]:
    box = measures.outbox(look.tx, look.now - DAY)
    yield _gauge("runner_outbox_owed", "Messages about trouble and duties that are owed.", (((), box.owed),))
    age = look.age(box.oldest) if box.oldest else 0.0
    yield _gauge("runner_outbox_oldest_owed_seconds", "How long the oldest of them has been owed.", (((), age),))
    said = "Messages that were given up in the last 24 hours."
    yield _gauge("runner_outbox_given_up", said, (((), box.given_up),))
    counted = measures.deliveries(look.tx)
    rows = (((str(state),), counted.get(state, 0)) for state in _WAITING)
    yield _gauge("runner_deliveries_waiting", "Reports that a reader does not have yet, by state.", rows, ("state",))


def _scheduler(look: _Look) -> Iterator[Metric]:
    last = roster.looked(look.tx)
    rows = (((), look.age(last)),) if last else ()
    yield _gauge("runner_scheduler_look_age_seconds", "How long ago the scheduler looked last.", rows)


def _sources(look: _Look) -> Iterator[Metric]:
    found = {name: past.probes(look.tx, name, most=1, upto=look.now) for name in look.project.sources.sources}
    last = {name: probes[0] for name, probes in found.items() if probes}
    label = ("source",)
    up = (((name,), 0 if probe.trouble else 1) for name, probe in last.items())
    yield _gauge("runner_source_up", "Whether a source answered when it was asked last.", up, label)
    ages = (((name,), look.age(probe.at)) for name, probe in last.items())
    yield _gauge("runner_source_probe_age_seconds", "How long ago a source was asked last.", ages, label)
    took = (((name,), probe.seconds) for name, probe in last.items())
    yield _gauge("runner_source_probe_seconds", "How long it took to answer.", took, label)


def _sessions(look: _Look) -> Iterator[Metric]:
    idle = timedelta(seconds=look.project.settings.desk.idle)
    count = measures.sessions(look.tx, look.now, look.now - idle)
    yield _gauge("runner_desk_sessions", "People who are signed in at the desk.", (((), count),))


def _run_times(desk: Desk, project: Project) -> Iterator[Metric]:
    said = "How long the newest runs took that made a report, 50 at most of each pipeline."
    family = GaugeHistogramMetricFamily("runner_run_seconds", said, labels=("pipeline",), unit="seconds")
    for name in project.pipelines:
        times = desk.ledger.durations(name)
        within = [(f"{float(edge)}", sum(time <= edge for time in times)) for edge in _BUCKETS]
        family.add_metric([name], [*within, ("+Inf", len(times))], sum(times))
    yield family
