"""Words in, one call, text and exit code out.

Exit codes: 0 ready or delivered, 1 stopped or failed, 2 usage or configuration, 3 held, 130 interrupted. With several
reports the worst counts: 1 before 3 before 0. Heavy modules are imported by the commands that need them.

A map of this folder::

    __main__.py  `python -m runner.cli`
    base.py      the application, shared options, how it ends
    reports.py   run, list, init
    plan.py      due, status, incidents, ack, simulate, duties, done, review
    rota.py      oncall, swap
    runs.py      cancel, logs, backfill, prune
    gate.py      approve, reject, deliver, verify
    fetch.py     fetch
    sources.py   probe, audit, arrived
    access.py    token, signin
    service.py   tick, serve, watch
    drill.py     drill
    kernel.py    kernel
"""

from runner.cli import access, drill, fetch, gate, kernel, plan, reports, rota, runs, service, sources
from runner.cli.base import app, main

__all__ = [
    "access",
    "app",
    "drill",
    "fetch",
    "gate",
    "kernel",
    "main",
    "plan",
    "reports",
    "rota",
    "runs",
    "service",
    "sources",
]
