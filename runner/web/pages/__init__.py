"""Every page of the desk, one module each. Each has its row in the table of routes and roles (tests/desk_routes.py).

A map of this folder::

    today.py      what is owed today, who is on call, what is wrong
    pipelines.py  one pipeline: its promise, its record, its figures over time
    runs.py       one run: what happened, stage by stage and cell by cell
    decisions.py  what a person decides about a run, and what comes of it
    reports.py    a report as its readers see it, its versions, its figures beside the period before
    archive.py    what a reader was sent, by period
    incidents.py  what is wrong and what was: acknowledged, handed over, resolved
    rota.py       who is on call and why, and who carries how much
    swaps.py      on-call time offered in exchange, and the answers
    calendars.py  secret addresses for calendar programs
    duties.py     recurring duties and their evidence
    trial.py      a notebook run by hand with other parameters
    signin.py     in by a link or a company account, and out
"""

from runner.web.page import Page
from runner.web.pages import (
    archive,
    calendars,
    decisions,
    duties,
    incidents,
    pipelines,
    reports,
    rota,
    runs,
    signin,
    swaps,
    today,
    trial,
)

PAGES: tuple[Page, ...] = (
    *today.PAGES,
    *pipelines.PAGES,
    *runs.PAGES,
    *decisions.PAGES,
    *reports.PAGES,
    *archive.PAGES,
    *incidents.PAGES,
    *rota.PAGES,
    *swaps.PAGES,
    *calendars.PAGES,
    *duties.PAGES,
    *trial.PAGES,
    *signin.PAGES,
)
