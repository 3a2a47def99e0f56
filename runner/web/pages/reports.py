"""A report as its readers see it: in a frame that runs nothing, its versions, its figures beside those before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from runner.delivery import mail
from runner.ledger import Run, editions, finished
from runner.ledger.editions import Copy, Edition
from runner.model import Figure, Status
from runner.report import handover, restatement, story
from runner.web import files
from runner.web.access import READER
from runner.web.page import NotFound, Page
from runner.web.visit import Visit

#: So many reports before are asked for until one is found that the visitor has.
_BACK = 10
_OUT = {Status.READY, Status.DELIVERED}


@dataclass(frozen=True)
class Version:
    """One version as the visitor may know of it; `run` is "" where they do not have it."""

    number: int
    run: str
    at: datetime | None = None
    given: int = 0
    owed: int = 0


@dataclass(frozen=True)
class Row:
    """One figure as printed, as it was printed in the version before, and in the report before."""

    label: str
    now: str
    change: str = ""
    sent: str = ""
    changed: bool = False
    prior: str = ""


def report_page(visit: Visit) -> Response:
    """The page around a report."""
    run = _run(visit)
    every, mine = _known(visit, run)
    versions, number = _versions(visit, every, mine), run.version or 1
    later = editions.after(every, number)
    newest = next((version for version in versions if version.number > number and version.run), None)
    old = next((version for version in versions if version.number < number and version.run), None)
    prior = _prior(visit, run)
    title, period = story.about(visit.project, run)
    data: dict[str, Any] = {"run": run, "title": title, "period": period, "versions": versions}
    data |= {"newest": newest, "old": old}
    data |= {"restated_at": editions.first_given(later), "prior": prior}
    data |= {"prior_period": story.about(visit.project, prior)[1] if prior else ""}
    data |= {"rows": _rows(visit, run, old, prior), "files": _state(visit, run), "later": bool(later)}
    return visit.page("report.html.j2", **data)


def _run(visit: Visit) -> Run:
    if visit.run is None:
        raise NotFound
    return visit.run


def _known(visit: Visit, run: Run) -> tuple[tuple[Edition, ...], tuple[Copy, ...]]:
    """Every version there is, and those that the visitor was given."""
    with visit.ledger.read() as tx:
        every = editions.editions(tx, run.pipeline, run.period)
        return every, editions.given_to(tx, run.pipeline, run.period, visit.visitor.email)


def _versions(visit: Visit, every: tuple[Edition, ...], mine: tuple[Copy, ...]) -> tuple[Version, ...]:
    """What there is, newest first: for engineers all of it, for others what they have."""
    if visit.visitor.engineer:
        return tuple(Version(one.version, one.run, one.first_at, one.given, one.owed) for one in every)
    return tuple(Version(copy.version, copy.run.run, copy.given_at) for copy in mine)


# Figures.


def _prior(visit: Visit, run: Run) -> Run | None:
    """The report before that the visitor has."""
    with visit.ledger.read() as tx:
        found = editions.before(tx, run)[:_BACK]
    return next((other for other in found if visit.visitor.engineer or visit.had_it(other.run)), None)


def _rows(visit: Visit, run: Run, old: Version | None, prior: Run | None) -> list[Row]:
    now = visit.ledger.figures(run.run)
    sent = visit.ledger.figures(old.run) if old else ()
    changes = {change.name: change for change in restatement.changes(sent, now)} if old else {}
    texts, before = _texts(sent), _texts(visit.ledger.figures(prior.run) if prior else ())
    rows = [
        Row(one.label, one.text, one.change, texts.get(one.name, ""), one.name in changes, before.get(one.name, ""))
        for one in now
    ]
    names = {figure.name for figure in now}
    gone = [one for one in sent if one.name not in names]
    return rows + [Row(one.label, "", "", one.text, changed=True, prior=before.get(one.name, "")) for one in gone]


def _texts(figures: tuple[Figure, ...]) -> Mapping[str, str]:
    return {figure.name: figure.text for figure in figures}


# The files: only the very ones that were proven.


def _state(visit: Visit, run: Run) -> str:
    """Whether the report can be shown: good, gone (cleared away), changed, or none (there never was one)."""
    if finished.is_pruned(run):
        return "gone"
    wanted = [f"{run.pipeline}.{ending}" for ending in ("html", "pdf")]
    if run.status is Status.RUNNING or any(files.found(visit, run, path) is None for path in wanted):
        return "none"
    return "good" if all(files.proven(visit, run, path) is not None for path in wanted) else "changed"


def _file(visit: Visit, ending: str) -> bytes | Response:
    """A file of the report, or what is said where it is not the one that was proven."""
    run = _run(visit)
    return files.given(visit, run, f"{run.pipeline}.{ending}")


def html(visit: Visit) -> Response:
    """The report itself, as a page of no site: whatever it holds, it runs nothing and asks nobody."""
    data = _file(visit, "html")
    if isinstance(data, Response):
        return data
    return Response(data, media_type="text/html", headers=files.SEALED)


def pdf(visit: Visit) -> Response:
    """The report to keep, under the name that it has in the mail; one that was not let out says so in its name."""
    data = _file(visit, "pdf")
    if isinstance(data, Response):
        return data
    run = _run(visit)
    name = handover.report_name(run)
    name = name if run.status in _OUT else f"{name.removesuffix('.pdf')}-not-sent.pdf"
    return files.download(data, mail.file_name(name), "application/pdf")


PAGES = (
    Page("/reports/{run}", READER, report_page),
    Page("/reports/{run}/report.html", READER, html),
    Page("/reports/{run}/report.pdf", READER, pdf),
)
