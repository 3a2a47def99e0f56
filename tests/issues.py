"""The plan's potential issues, each with how it is made for real and what it leads to in each of the five reports."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from runner.ledger import journal
from runner.metrics import growth
from runner.notebook import warehouse
from runner.plan.deadlines import Deadline
from runner.report import notebooks
from runner.scheduler.copies import rewrite
from tests import mail_server, postgres, scripted_api
from tests.company import (
    DAILY,
    ENGAGEMENT,
    FIVE,
    GROWTH,
    MINUTE,
    PLACE,
    PROFIT,
    STRUCK,
    UNIT,
    Case,
    Company,
    Issue,
    base,
    fetched,
    on_call,
    serve,
    spoilt,
)
from tests.scripted_api import Api, Fault

CELL, DIED, PROOF, RENDERING = "cell failed", "kernel died", "proof failed", "rendering failed"
DELIVERY, DISAGREE, IDLE, INCOMPLETE = "delivery failed", "sources disagree", "not started", "data incomplete"
LATE, OUTLIER, SCHEMA = "late", "outlier", "schema changed"

#: Where a report that misses data is answered.
MISSING = {
    UNIT: Case(INCOMPLETE, "unit_profit.md#the-days-data-lag-behind"),
    PROFIT: Case(INCOMPLETE, "aggregate_profit.md#parts-do-not-add-up-or-data-are-missing"),
    GROWTH: Case(INCOMPLETE, "aggregate_growth.md#a-day-of-daily-growth-is-missing"),
    DAILY: Case(INCOMPLETE, "daily_growth.md#sales-are-late-or-incomplete"),
    ENGAGEMENT: Case(INCOMPLETE, "aggregate_engagement.md#days-of-the-week-are-missing"),
}
#: Where a held report that is out of line is answered.
UNUSUAL = {
    UNIT: Case(OUTLIER, "unit_profit.md#the-look-is-out-of-line"),
    PROFIT: Case(OUTLIER, "common.md#outlier"),
    GROWTH: Case(OUTLIER, "aggregate_growth.md#a-figure-is-out-of-its-usual-range"),
    DAILY: Case(OUTLIER, "common.md#outlier"),
    ENGAGEMENT: Case(OUTLIER, "common.md#outlier"),
}


def _everywhere(trouble: str, **own: str) -> dict[str, Case]:
    """One trouble in all five, answered in the common runbook or in the section of their own that is given."""
    common = f"common.md#{trouble.replace(' ', '-')}"
    return {name: Case(trouble, own.get(name, common)) for name in FIVE}


# What is done to the data.


def _data(*statements: str) -> Callable[[Company], None]:
    """A warehouse after some statements."""
    return lambda company: company.take(spoilt(*statements))


def _whole(company: Company) -> None:
    company.take(company.base)


def _unrecorded(company: Company) -> None:
    """Daily growth has not recorded its last day: it stopped, or never ran."""
    company.sql("DELETE FROM records WHERE pipeline = 'daily_growth' AND day = '2017-10-29'")


def _or_input(inject: Callable[[Company], None]) -> Callable[[Company], None]:
    """A fault in the data of a day; what rests on the daily report has that day missing there."""

    def both(company: Company) -> None:
        inject(company)
        if company.pipeline == GROWTH:
            _unrecorded(company)

    return both


def _make_both(company: Company) -> None:
    """The daily report first, then what rests on it."""
    if company.pipeline == GROWTH:
        company.make(DAILY)
    company.make()


def _renamed(company: Company) -> None:
    if company.pipeline == UNIT:  # the mapping of experiments to their kinds
        company.take(spoilt("UPDATE experiments SET kind = 'Type A+' WHERE experiment = 18"))
    else:
        company.take(spoilt("ALTER TABLE transactions RENAME COLUMN quantity TO pieces"))


_FOURFOLD = """
    INSERT INTO transactions
    SELECT transactions.* REPLACE (basket_id + 1000000000000 * times.number AS basket_id)
    FROM transactions, range(1, 4) AS times(number) WHERE day IN ({days})"""


def _fourfold(company: Company) -> None:
    if company.pipeline != GROWTH:
        company.take(spoilt(_FOURFOLD.format(days=STRUCK)))
        return
    place = spoilt(_FOURFOLD.format(days="DATE '2017-10-29'"))
    company.take(place)
    _record(company, place)


def _record(company: Company, place: Path) -> None:
    """What daily growth records of 29 October once somebody has let it out."""
    with warehouse.connect(place / PLACE, date(2017, 10, 29)) as connection:
        last = growth.daily(connection).iloc[-1]
    values = json.dumps({"day": "2017-10-29", **{name: last[name].item() for name in growth.RECORDED}})
    company.sql("UPDATE records SET \"values\" = :value WHERE day = '2017-10-29'", value=values)


_ELSEWHERE = (
    "DELETE FROM experiments WHERE experiment = 18",  # which unit profit misses
    "DELETE FROM products WHERE product_id % 20 = 0",  # which aggregate profit misses
    "DELETE FROM redemptions WHERE day BETWEEN DATE '2017-10-23' AND DATE '2017-10-29'",  # which engagement misses
)
_DISCREPANCIES = {
    **dict.fromkeys((UNIT, PROFIT, ENGAGEMENT), _ELSEWHERE),
    GROWTH: ("DELETE FROM transactions WHERE day = DATE '2017-10-20' AND basket_id % 50 = 0",),
    DAILY: (
        """INSERT INTO redemptions SELECT household_id, coupon_upc, experiment, DATE '2017-10-29' FROM redemptions
           WHERE day BETWEEN DATE '2017-09-01' AND DATE '2017-10-26'""",
    ),
}


def _disagreeing(company: Company) -> None:
    company.take(spoilt(*_DISCREPANCIES[company.pipeline]))


# What is done to programs.

#: A line of each notebook that adds up, and the same with a mistake in it.
_BUGS = {
    UNIT: ("arms = units.by_arm(report.warehouse)", 'arms = units.by_arm(report.warehouse)\narms["revenue"] *= 1.01'),
    PROFIT: (
        "departments = profit.by_department(report.warehouse, month)",
        "departments = profit.by_department(report.warehouse, month).iloc[1:]",
    ),
    GROWTH: (
        "weekly = growth.weekly(records, report.as_of)",
        'weekly = growth.weekly(records, report.as_of)\nweekly["revenue"] *= 2',
    ),
    DAILY: (
        "daily = growth.daily(report.warehouse)",
        'daily = growth.daily(report.warehouse)\ndaily["revenue"] *= 2',
    ),
    ENGAGEMENT: (
        "pattern = engagement.pattern(report.warehouse, week)",
        "pattern = engagement.pattern(report.warehouse, week).iloc[:, 1:]",
    ),
}


def _bug(company: Company) -> None:
    company.cell(*_BUGS[company.pipeline])


def _template(first: str) -> Callable[[Company], None]:
    """A first line in the template of the PDF."""

    def spoil(company: Company) -> None:
        path = company.keep("templates/report.typ")
        path.write_text(f"{first}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")

    return spoil


_UPDATE = "import pandas\n\ndel pandas.DataFrame.reset_index, pandas.to_datetime\n"


def _updated(company: Company) -> None:
    """Kernels come with a library from which functions are gone."""
    company.keep(".cache/ipython/profile_default/startup/00-update.py").write_text(_UPDATE, encoding="utf-8")


def _quick(data: dict[str, Any]) -> None:
    """Two attempts show what three do."""
    data.update(attempts=2, retry_after=["1 min"])


def _once(data: dict[str, Any]) -> None:
    """One attempt: that others follow is shown where the plan names the issue."""
    data.update(attempts=1)


def _killed(company: Company) -> None:
    rewrite(company.folder / "config/settings.yml", _quick)
    company.open()
    company.cell("report = Report(", "import os, signal\n\nos.kill(os.getpid(), signal.SIGKILL)\nreport = Report(")


def _no_mail(company: Company) -> None:
    company.keep("reports/mail").write_text("This file stands where the folder of mails should be.\n")


# The table.

_FILE = "test_issues_{}.py::Test{}"

AGGREGATION = Issue(
    "Aggregation logic bugs",
    PROFIT,
    MISSING,
    _bug,
    _FILE.format("programs", "AggregationLogicBugs"),
)
TOOLS = Issue(
    "Script failures due to updates in tools",
    ENGAGEMENT,
    _everywhere(
        CELL,
        aggregate_profit="aggregate_profit.md#the-aggregation-fails",
        aggregate_engagement="aggregate_engagement.md#a-script-fails-after-an-update-of-tools",
    ),
    _updated,
    _FILE.format("programs", "ToolUpdates"),
)
FORMATTING = Issue(
    "Formatting errors in investor reports",
    GROWTH,
    _everywhere(PROOF, aggregate_growth="aggregate_growth.md#the-report-is-not-well-formed"),
    _template('#show regex("[0-9]"): it => [] // no digit is printed'),
    _FILE.format("programs", "FormattingErrors"),
)
VISUALS = Issue(
    "Visualization tool outages affecting reports",
    ENGAGEMENT,
    _everywhere(
        RENDERING,
        aggregate_growth="aggregate_growth.md#the-report-is-not-well-formed",
        aggregate_engagement="aggregate_engagement.md#charts-or-pages-cannot-be-made",
    ),
    _template('#panic("the drawing tool is away")'),
    _FILE.format("programs", "VisualizationOutages"),
)
KILLED = Issue(
    "Killed process",
    "",
    _everywhere(DIED),
    _killed,
    _FILE.format("machine", "KilledProcess"),
)
DELAYS = Issue(
    "Report delivery delays",
    PROFIT,
    _everywhere(DELIVERY, aggregate_profit="aggregate_profit.md#the-report-does-not-reach-the-investors"),
    _no_mail,
    _FILE.format("machine", "DeliveryDelays"),
    recover=lambda company: company.make(again=False),
    late=True,
)
SCHEMAS = Issue(
    "Incorrect mapping or data schema changes",
    UNIT,
    _everywhere(SCHEMA, unit_profit="unit_profit.md#a-mapping-or-a-schema-changed"),
    _renamed,
    _FILE.format("data", "SchemaChanges"),
    mend=_whole,
)
LAG = Issue(
    "Processing lag causing incomplete datasets",
    UNIT,
    {**UNUSUAL, GROWTH: MISSING[GROWTH], DAILY: MISSING[DAILY]},
    _or_input(_data(f"DELETE FROM transactions WHERE day IN ({STRUCK}) AND hour(sold_at) >= 13")),
    _FILE.format("data", "ProcessingLag"),
    mend=_whole,
    recover=_make_both,
)
INPUT = Issue(
    "Missing input data from daily pipelines",
    GROWTH,
    {
        name: case if name == GROWTH else replace(case, instead="a day that the warehouse lacks")
        for name, case in MISSING.items()
    },
    lambda company: (
        _unrecorded(company)
        if company.pipeline == GROWTH
        else company.take(spoilt("DELETE FROM transactions WHERE day = DATE '2017-10-26'"))
    ),
    _FILE.format("data", "MissingInput"),
    mend=_whole,
    recover=_make_both,
)
OUTLIERS = Issue(
    "Outliers causing inaccurate aggregations",
    GROWTH,
    UNUSUAL,
    _fourfold,
    _FILE.format("data", "Outliers"),
    mend=lambda company: (
        (company.take(company.base), _record(company, company.base))
        if company.pipeline == GROWTH
        else company.take(company.base)
    ),
)
INGESTION = Issue(
    "Late or incomplete data ingestion",
    DAILY,
    MISSING,
    _or_input(_data(f"DELETE FROM transactions WHERE day IN ({STRUCK})")),
    _FILE.format("data", "LateIngestion"),
    mend=_whole,
    recover=_make_both,
)
DISCREPANCIES = Issue(
    "Data discrepancies between systems",
    DAILY,
    {
        UNIT: replace(MISSING[UNIT], instead="an experiment that the campaign system does not have"),
        PROFIT: replace(MISSING[PROFIT], instead="products that the product list does not have"),
        GROWTH: Case(DISAGREE, "aggregate_growth.md#the-record-and-the-warehouse-disagree"),
        DAILY: Case(DISAGREE, "daily_growth.md#tills-and-coupon-system-disagree"),
        ENGAGEMENT: Case(DISAGREE, "common.md#sources-disagree"),
    },
    _disagreeing,
    _FILE.format("data", "Discrepancies"),
    mend=_whole,
)


# What is done to machines.

_BACKLOG = """\
  backlog:
    title: Backlog
    notebook: backlog.ipynb
    period: day
    deadline: daily by 23:00
    owners: {primary: engineer_a, secondary: engineer_b, because: It is long.}
    readers: []
    sources: []
"""


def _occupied(company: Company) -> None:
    """The one place is taken by another job, which takes all day."""
    company.edit("config/settings.yml", "runs_at_once: auto", "runs_at_once: 1")
    path = company.folder / "config/pipelines.yml"
    company.keep("config/pipelines.yml").write_text(path.read_text(encoding="utf-8") + _BACKLOG, encoding="utf-8")
    cells = (
        notebooks.code('as_of: "date" = "2017-10-29"', "parameters"),
        notebooks.code("import time\n\ntime.sleep(86_400)"),
    )
    notebooks.write(notebooks.notebook(*cells), company.folder / "notebooks/backlog.ipynb")
    company.open()
    begun, due = company.dial.at - MINUTE, company.dial.at + timedelta(days=1)
    company.note(Deadline("backlog", "2017-10-29", "29 October", date(2017, 10, 29), None, begun, due, due))
    company.dial.at -= MINUTE
    company.look()
    company.dial.at += MINUTE


def _cancel(company: Company) -> None:
    """`runner cancel`, as the runbook says; the place is free once that run has ended."""
    run = company.under_way("backlog")
    with company.ledger.write() as tx:
        journal.cancel(tx, journal.Cancellation(run, company.dial.at, on_call(company.dial.at), "It can wait."))
    company.end("backlog")


CONFLICTS = Issue(
    "Scheduling conflicts for batch jobs",
    DAILY,
    _everywhere(
        IDLE,
        unit_profit="unit_profit.md#the-six-hours-are-running-out",
        daily_growth="daily_growth.md#the-run-does-not-get-its-turn",
    ),
    _occupied,
    _FILE.format("machine", "SchedulingConflicts"),
    mend=_cancel,
    recover=lambda _: None,
)


def _forward(company: Company) -> None:
    company.dial.at = company.deadline.due_at + timedelta(hours=3)


def _back(company: Company) -> None:
    """The clock is right again, and all of the morning is looked at once more."""
    company.dial.at = company.deadline.starts_at
    company.live(lambda: False, company.deadline.due_at)


CLOCK = Issue(
    "Clock jump",
    "",
    {
        name: Case(LATE, f"{name}.md#{'the-six-hours-are-running-out' if name == UNIT else 'the-report-is-late'}")
        for name in FIVE
    },
    _forward,
    _FILE.format("machine", "ClockJump"),
    mend=_back,
    recover=lambda _: None,
    comes=True,
)


def _full(company: Company) -> None:
    """The disk of the reports holds 200 KB; the ledger lies on another."""
    company.ledger.close()
    rewrite(company.folder / "config/settings.yml", lambda data: data.update(ledger="ledger.sqlite"))
    (company.folder / "reports/ledger.sqlite").replace(company.folder / "ledger.sqlite")
    company.mount("reports", "200k")
    company.open()


DISK = Issue(
    "Disk full",
    "",
    _everywhere("disk full"),
    _full,
    _FILE.format("machine", "DiskFull"),
    mend=lambda company: company.mount("reports", "50m"),
)


# What is done to sources.

SOURCE, REVOKED = "source unavailable", "permission revoked"


def _fetching(company: Company, *sources: Mapping[str, Any]) -> None:
    """The table of experiments comes from these sources alone; no report can be made before it has come."""
    company.take(fetched("experiments"))
    serve(company.folder, "experiments", *sources)
    rewrite(company.folder / "config/settings.yml", _quick if company.whole else _once)
    company.open()


@cache
def campaigns() -> tuple[dict[str, Any], ...]:
    """The rows of the table of experiments."""
    with duckdb.connect(str(base() / PLACE), read_only=True) as connection:
        rows = connection.execute("SELECT experiment, kind, starts_on::VARCHAR, ends_on::VARCHAR FROM experiments")
        return tuple(
            dict(zip(("experiment", "kind", "starts_on", "ends_on"), row, strict=True)) for row in rows.fetchall()
        )


def api_of(company: Company) -> Mapping[str, Any]:
    """A campaign API at work, as config names it."""
    api = company.servers.enter_context(scripted_api.serving(Api({"experiments": campaigns()})))
    company.more["api"] = api
    return {"kind": "http", "title": "Campaign API", "url": api.url}


def _api_down(company: Company) -> None:
    _fetching(company, api_of(company))
    company.more["api"].fail(*[Fault(503)] * 50)


def fall_back(company: Company) -> None:
    """The API is down, and another that has the same is asked after it."""
    first = api_of(company)
    company.more["api"].fail(*[Fault(503)] * 50)
    _fetching(company, first, {**api_of(company), "title": "Replica"})


def database_of(company: Company) -> Mapping[str, Any]:
    """A campaign database at work, reached by way of a folder of this company."""
    server = postgres.running()
    name = company.servers.enter_context(server.database())
    company.more["database"] = (server, name)
    with server.connect(name) as connection:
        connection.execute("CREATE TABLE experiments (experiment bigint, kind text, starts_on date, ends_on date)")
        with connection.cursor() as cursor:
            rows = [tuple(row.values()) for row in campaigns()]
            cursor.executemany("INSERT INTO experiments VALUES (%s, %s, %s, %s)", rows)
        connection.execute(f"GRANT SELECT ON experiments TO {postgres.GUARDED}")
    (company.folder / "pg").symlink_to(server.socket)
    address = replace(server, socket=company.folder / "pg").url(name, postgres.GUARDED, "right")
    company.secret("CAMPAIGNS_URL", address)
    return {"kind": "sql", "title": "Campaign database", "url": "env:CAMPAIGNS_URL"}


def _unreachable(company: Company) -> None:
    _fetching(company, database_of(company))
    (company.folder / "pg").rename(company.folder / "gone")


def _grant(company: Company, words: str) -> None:
    server, name = company.more["database"]
    with server.connect(name) as connection:
        connection.execute(f"{words} {postgres.GUARDED}")


def _revoked(company: Company) -> None:
    _fetching(company, database_of(company))
    _grant(company, "REVOKE SELECT ON experiments FROM")


_AWAY = _everywhere(
    SOURCE,
    unit_profit="unit_profit.md#the-source-is-away",
    aggregate_profit="aggregate_profit.md#the-database-cannot-be-reached",
)

DOWNTIME = Issue(
    "Data source API downtime",
    UNIT,
    _AWAY,
    _api_down,
    _FILE.format("sources", "ApiDowntime"),
    mend=lambda company: company.more["api"].faults.clear(),
)
DATABASE = Issue(
    "Database connection failures",
    PROFIT,
    _AWAY,
    _unreachable,
    _FILE.format("sources", "DatabaseConnections"),
    mend=lambda company: (company.folder / "gone").rename(company.folder / "pg"),
)
PERMISSIONS = Issue(
    "Data source permissions revocation",
    ENGAGEMENT,
    _everywhere(REVOKED, aggregate_engagement="aggregate_engagement.md#a-permission-was-revoked"),
    _revoked,
    _FILE.format("sources", "Permissions"),
    mend=lambda company: _grant(company, "GRANT SELECT ON experiments TO"),
)


# What is done to mail.


def _no_server(company: Company) -> None:
    """Nobody listens where the mail server should."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    company.more["port"] = port
    mail = {"server": "127.0.0.1", "port": port, "security": "none"}
    rewrite(company.folder / "config/settings.yml", lambda data: data.update(mail=mail))
    company.open()


def _server(company: Company) -> None:
    server = mail_server.serving(port=company.more["port"])
    company.more["mail"] = company.servers.enter_context(server)


SMTP = Issue(
    "SMTP down",
    "",
    DELAYS.cases,
    _no_server,
    _FILE.format("sources", "Smtp"),
    mend=_server,
    recover=lambda company: company.make(again=False),
)

#: In the order of the plan, and after it what the plan does not name.
ISSUES = (
    *(DOWNTIME, SCHEMAS, LAG, DATABASE, AGGREGATION, DELAYS, INPUT, OUTLIERS, FORMATTING, INGESTION, CONFLICTS),
    *(DISCREPANCIES, PERMISSIONS, TOOLS, VISUALS, DISK, CLOCK, KILLED, SMTP),
)


# As the README shows it.

_TITLES = ("unit profit", "aggregate profit", "aggregate growth", "daily growth", "engagement")


def table() -> str:
    """The table in markdown: what each issue leads to in each report, and the test that makes it happen.

    In bold the report for which the plan names the issue; a star where something stands in for it.
    """
    head = f"| issue | {' | '.join(_TITLES)} | test |\n|{'---|' * 7}\n"
    rows = ((issue.name, *(_cell(issue, name) for name in FIVE), f"`{issue.test}`") for issue in ISSUES)
    body = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    instead = dict.fromkeys(case.instead for issue in ISSUES for case in issue.cases.values() if case.instead)
    return f"{head}{body}\n\\* in its place: {'; '.join(instead)}.\n"


def _cell(issue: Issue, name: str) -> str:
    case = issue.cases[name]
    said = f"{case.trouble or 'in time'}{'*' if case.instead else ''}"
    return f"**{said}**" if issue.of == name else said
