"""`runner init`: a small commented project that runs at once: one report from one CSV file."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import date, timedelta
from pathlib import Path

from runner.errors import UsageError
from runner.report import notebooks
from runner.report.notebooks import NotebookNode

NAME = "daily_sales"
AS_OF = "2026-03-31"
_DAYS = 120

_SETTINGS = """\
# How this company's reports are made. Every key that is left out has a sensible default.

company: My Company
time_zone: America/New_York          # days begin and end here
confidential: Confidential – for investors of My Company only   # printed on every page; may be empty

sender:                              # who the mails come from
  name: My Company Reports
  email: reports@example.com

run_limit: 10 min                    # a notebook that runs longer is ended: 90 s, 10 min, 2 h
"""

_PEOPLE = """\
# Who makes the reports and who reads them.

engineers:                           # the key is the name that pipelines.yml uses
  engineer_a:
    name: Engineer A
    email: engineer.a@example.com
  engineer_b:
    name: Engineer B
    email: engineer.b@example.com

readers:                             # lists of people; each person gets a message of their own
  investors:
    - name: First Investor
      email: first.investor@example.com
"""

_PIPELINES = f"""\
# One entry per report. For another report write one more notebook and one more entry; nothing else changes.

pipelines:

  {NAME}:
    title: Daily sales
    subtitle: Orders and revenue of one day, beside the same weekday of the weeks before it
    notebook: {NAME}.ipynb           # in notebooks/, with one cell tagged `parameters`
    period: day                      # the parameter as_of says which day is reported
    deadline: by 09:00 next business day
    owners:                          # two engineers, and why these two
      primary: engineer_a
      secondary: engineer_b
      because: Engineer A built the shop's till; Engineer B keeps the books that must agree with it.
    readers: [investors]
    sources: [data/sales.csv]        # a change of this file is a reason to make the report again
"""

_ONCALL = """\
# Who is on call, and when: whoever is primary is told when a report fails or runs late. Times are in this zone.
# From the weakest rule to the strongest: rotation, holidays, overrides, swaps (runner swap), away.

time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - begins: 2026-01-05
    order: [engineer_a, engineer_b]
holidays: []     # - {name: Christmas, begins: 12-24 09:00, ends: 12-26 09:00, primary: [engineer_b]}
overrides: []    # - {begins: 2026-08-03 09:00, ends: 2026-08-05 09:00, primary: engineer_b, because: A conference.}
away: []         # - {who: engineer_b, begins: 2026-07-06 09:00, ends: 2026-07-13 09:00}
"""

_CONTRACT = """\
# What data/sales.csv must look like. A file that differs stops the report.
table: sales
key: [day]
columns:
  day: {type: str}
  orders: {type: int64, min: 0}
  revenue: {type: float64, min: 0, about: "dollars, after refunds"}
"""

_README = f"""\
# Reports of My Company

One report, *daily sales*, made from `data/sales.csv` (made-up figures): checked, drawn as HTML and PDF, and written as
a message to each reader. Type the commands in this folder, or say where it lies: `runner --project DIR ...`.

```sh
runner run {NAME} --as-of {AS_OF}    # make the report; its files lie in reports/
runner check                                # is everything in order, and can the promises be kept?
runner serve                                # make each report when it is due, and tell who is on call when it is not
```

| to change | edit |
|---|---|
| the company, its time zone, the limits | `config/settings.yml` |
| who makes and who reads the reports | `config/people.yml` |
| which reports there are, for whom, by when | `config/pipelines.yml` |
| who is on call | `config/oncall.yml` |
| what to do when something goes wrong | `config/runbooks/common.md`, once you write one |
| what the data must look like | `config/contracts/sales.yml` |
| what a report says and checks | `notebooks/{NAME}.ipynb` |
| the data | `data/sales.csv`: one line a day |
| the look | a folder `templates/` of your own |
"""

_TITLE = """\
# Daily sales

What was ordered and earned on the day, beside the same weekday of the weeks before it. Revenue is after refunds."""

_READ = f"""\
import pandas as pd

from runner.notebook import Prior, Report, charts

report = Report("{NAME}", as_of)
sales = report.csv("data/sales.csv")
report.contract("sales", sales)
sales["day"] = pd.to_datetime(sales["day"])"""

_CHECK = """\
today = sales[sales["day"] == as_of]
report.require(
    "sales of the day", ok=len(today) == 1,
    message=f"{report.day} stands {len(today)} times in the file; it should stand there once.",
    remedy="Choose a day that data/sales.csv holds, or add the day to it.",
)
# Weekdays differ, so a day is held against the same weekday of the eight weeks before it.
day = pd.Timestamp(as_of)
earlier = sales[(sales["day"] < day) & (sales["day"] >= day - pd.Timedelta(weeks=8))]
before = earlier[earlier["day"].dt.weekday == day.weekday()]
report.require(
    "days to compare with", ok=len(before) >= 4,
    message=f"The eight weeks before hold {len(before)} of the same weekday; four are needed.",
    remedy="Choose a later day, or add the earlier ones to data/sales.csv.",
)
usual = before["revenue"].median()
usual_name = f"a usual {day:%A}"
revenue, orders = float(today["revenue"].iloc[0]), int(today["orders"].iloc[0])
report.check(
    "revenue near its usual level", ok=0.7 * usual <= revenue <= 1.4 * usual, otherwise="warn",
    message=f"Revenue is {revenue / usual:.0%} of {usual_name}, the median of {len(before)}; 70% to 140% is ordinary.",
    revenue=revenue, usual=usual,
)"""

_SHOW = """\
# Every number a reader sees is glued with `report.figure`, so that it can be proven in the finished files.
earned = report.figure("revenue", revenue, label="Revenue", unit="usd2", prior=Prior(usual, usual_name))
sold = report.figure("orders", orders, label="Orders", prior=Prior(before["orders"].median(), usual_name))
basket = report.figure("revenue_per_order", revenue / orders, label="Revenue per order", unit="usd2")
report.say("On the day we sold **{orders}** orders for **{revenue}**, that is {revenue_per_order} an order.")
report.tiles(earned, sold, basket)"""

_CHART = """\
charts.use()
shown = sales[sales["day"] <= as_of].tail(60)
chart, (axis,) = charts.canvas(2.4)
axis.plot(shown["day"], shown["revenue"])
axis.set_ylim(bottom=0)
charts.units(axis, "usd")
charts.days(axis)
report.chart(
    chart, "revenue_by_day", "Revenue by day, 60 days",
    alt=f"Line of daily revenue from {shown['day'].min():%d %B} to {shown['day'].max():%d %B %Y}.",
)"""

_TABLE = """\
week = sales[sales["day"] <= as_of].tail(7).assign(day=lambda frame: frame["day"].dt.date)
report.table(
    week, "last_seven_days", "The last seven days",
    units={"day": "day", "orders": "count", "revenue": "usd2"},
    labels={"day": "Day", "orders": "Orders", "revenue": "Revenue"},
)"""

_END = """\
report.show_findings()
report.show_sources()"""


def init(folder: Path) -> None:
    """Write the project into a folder that is empty or new. Raises UsageError for any other."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder.", "Name a new one; nothing was written.")
    for name, content in _files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _files() -> dict[str, str]:
    return {
        "README.md": _README,
        "config/settings.yml": _SETTINGS,
        "config/people.yml": _PEOPLE,
        "config/pipelines.yml": _PIPELINES,
        "config/oncall.yml": _ONCALL,
        "config/contracts/sales.yml": _CONTRACT,
        "data/sales.csv": sales(),
        f"notebooks/{NAME}.ipynb": json.dumps(notebook(), indent=1, ensure_ascii=False) + "\n",
        ".gitignore": "reports/\n.cache/\n.ipynb_checkpoints/\n",
    }


def notebook() -> NotebookNode:
    """The notebook of the small project."""
    return notebooks.notebook(
        notebooks.words(_TITLE),
        notebooks.code(f'as_of: "date" = "{AS_OF}"  # the day that is reported', "parameters"),
        notebooks.words("## Summary"),
        *(notebooks.code(source) for source in (_READ, _CHECK, _SHOW)),
        notebooks.words("## Trend"),
        *(notebooks.code(source) for source in (_CHART, _TABLE)),
        notebooks.words("## Data and checks"),
        notebooks.code(_END),
    )


def sales() -> str:
    """Daily orders and revenue of a made-up shop as CSV: a weekly rhythm, a slow rise, some noise; always the same."""
    chance = random.Random(7)  # noqa: S311 - made-up data, not a secret
    last = date.fromisoformat(AS_OF)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["day", "orders", "revenue"])
    for back in range(_DAYS - 1, -1, -1):
        day = last - timedelta(days=back)
        rhythm = (0.9, 0.85, 0.9, 1.0, 1.25, 1.4, 0.7)[day.weekday()]
        orders = round(180 * rhythm * (1 + (_DAYS - back) / 1200) * chance.uniform(0.92, 1.08))
        table.writerow([day.isoformat(), orders, f"{orders * chance.uniform(23.5, 26.5):.2f}"])
    return out.getvalue()
