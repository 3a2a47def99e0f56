"""The two questions of item 5, asked of a warehouse file by our metrics and by hand; both answer in one shape.

An answer is a mapping from a row's name to its numbers by name: dollars, counts, and sums of squares.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import yaml

from runner.metrics import periods, profit, units
from runner.notebook import contracts, daybook, warehouse
from tests.bench import byhand
from tests.bench.data import MEMORY_MB
from tests.bench.ratios import Answer

EXPERIMENT = 18
_FRAME = ("list_value", "discount", "revenue", "goods")


def ask(which: str, who: str, file: str, config: str, times: int) -> dict[str, Any]:
    """Seconds of each time, the answer of the last, and the most memory this process has held, in MB."""
    costs = yaml.safe_load((Path(config) / "costs.yml").read_text("utf-8"))
    as_of = date(2017, 11, 15)
    seconds, answer = [], {}
    duckdb.sql("SELECT 1 AS one").df()  # the first frame of a process brings pandas in
    for _ in range(times):
        connection = _ours(Path(file), as_of, costs) if who != "by hand" else _byhand(Path(file))
        began = time.perf_counter()
        found = QUESTIONS[which, who.partition(" from")[0]](connection, as_of, costs)
        seconds.append(time.perf_counter() - began)
        answer = found()
        connection.close()
    return {"seconds": seconds, "peak_mb": peak_mb(), "answer": answer}


def keep(file: str, project: str) -> dict[str, float]:
    """Make the daybook of a warehouse file; seconds, and the most memory this process has held, in MB."""
    config = {"memory_limit": f"{MEMORY_MB}MB", "threads": 2, "temp_directory": f"{file}.spill"}
    began = time.perf_counter()
    daybook.make(Path(file), contracts.known(Path(project)), warehouse.DATED, config)
    return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process has held (Linux: VmHWM, which a new program begins anew)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _bound(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    connection.execute(f"SET threads = 2; SET memory_limit = '{MEMORY_MB}MB'")
    return connection


def _ours(file: Path, as_of: date, costs: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    return _bound(warehouse.connect(file, as_of, dict(costs["goods"])))


def _byhand(file: Path) -> duckdb.DuckDBPyConnection:
    connection = _bound(duckdb.connect())
    connection.execute(f"ATTACH '{file}' AS warehouse (READ_ONLY); USE warehouse")
    return connection


# Each asks, and hands back how to put what came into the common shape; that is not timed.

Found = Callable[[], Answer]


def _windows(connection: duckdb.DuckDBPyConnection, as_of: date) -> units.Windows:
    row = connection.execute("SELECT starts_on, ends_on FROM experiments WHERE experiment = ?", [EXPERIMENT]).fetchone()
    assert row
    return units.windows(periods.Span(*row), as_of)


def unit_ours(connection: duckdb.DuckDBPyConnection, as_of: date, costs: Mapping[str, Any]) -> Found:
    """Arms and moments of the experiment, by the functions that the notebook calls."""
    units.collect(connection, EXPERIMENT, _windows(connection, as_of), profit.Costs.of(costs))
    arms, sums = units.by_arm(connection), units.moments(connection, "profit", "pre")

    def answer() -> Answer:
        names = {"Treated": "treated", "Not treated": "control"}
        return {
            str(arm): {
                **{str(key): float(value) for key, value in row.items()},
                **{key: sums[names[str(arm)]][key] for key in ("yy", "x", "xx", "xy")},
            }
            for arm, row in arms.set_index("arm").iterrows()
        }

    return answer


def unit_byhand(connection: duckdb.DuckDBPyConnection, as_of: date, costs: Mapping[str, Any]) -> Found:
    """The same in one statement."""
    windows, rates = _windows(connection, as_of), profit.Costs.of(costs)
    given = {
        "experiment": EXPERIMENT,
        "first": windows.now.first,
        "as_of": windows.now.last,
        "pre_first": windows.pre.first,
        "pre_last": windows.pre.last,
        "old_first": windows.placebo.first,
        **vars(rates),
    }
    frame = connection.execute(byhand.UNIT.format(shares=byhand.shares(costs["goods"])), given).df()
    return lambda: _answer(frame.set_index("arm"))


def aggregate_ours(connection: duckdb.DuckDBPyConnection, as_of: date, costs: Mapping[str, Any]) -> Found:
    """Totals of day, month and year, the days, departments and groups of shops, by the functions of the notebook."""
    rates, spans = profit.Costs.of(costs), _spans(as_of)
    totals = {name: profit.total(connection, span, rates) for name, span in spans.items()}
    days = profit.daily(connection, rates)
    departments = profit.by_department(connection, spans["month"])
    groups = profit.by_store_group(connection, spans["month"])

    def answer() -> Answer:
        fields = (*_FRAME, "handling", "clearing", "baskets", "households", "lines")
        found = {f"total {name}": {key: float(getattr(total, key)) for key in fields} for name, total in totals.items()}
        by_day = days.assign(day="day " + days["day"].astype(str).str[:10]).set_index("day")
        found |= _answer(by_day[[*_FRAME, "baskets", "households", "lines", "profit"]])
        found |= _answer(departments.assign(key="department " + departments["department"]).set_index("key")[[*_FRAME]])
        counted = [*_FRAME, "baskets", "households", "lines", "stores"]
        return found | _answer(groups.assign(key="group " + groups["store_group"]).set_index("key")[counted])

    return answer


def aggregate_byhand(connection: duckdb.DuckDBPyConnection, as_of: date, costs: Mapping[str, Any]) -> Found:
    """The same in one statement."""
    spans = _spans(as_of)
    given = {"as_of": as_of, "month": spans["month"].first, "year": spans["year"].first}
    frame = connection.execute(byhand.AGGREGATE.format(shares=byhand.shares(costs["goods"])), given).df()
    return lambda: _shaped(frame, profit.Costs.of(costs))


def _shaped(frame: pd.DataFrame, rates: profit.Costs) -> Answer:
    """Handling, clearing and profit from the counts; the small departments as one."""
    frame = frame.assign(key=frame["kind"] + " " + frame["key"])
    frame[[*_FRAME]] = frame[[*_FRAME]].astype(float)
    kinds = {str(kind): part.set_index("key") for kind, part in frame.groupby("kind")}
    total = kinds["total"]
    total = total.assign(handling=total["baskets"] * rates.handling, clearing=total["redeemed"] * rates.clearing)
    day = kinds["day"]
    spent = day["goods"] + day["baskets"] * rates.handling + day["redeemed"] * rates.clearing
    day = day.assign(profit=day["revenue"] - spent)
    department = kinds["department"].sort_values("revenue", ascending=False)[[*_FRAME]]
    small = department.iloc[profit.SHOWN_DEPARTMENTS :].sum().to_frame("department OTHER").T
    counted = [*_FRAME, "baskets", "households", "lines"]
    return (
        _answer(total[[*_FRAME, "handling", "clearing", "baskets", "households", "lines"]])
        | _answer(day[[*counted, "profit"]])
        | _answer(pd.concat([department.iloc[: profit.SHOWN_DEPARTMENTS], small]))
        | _answer(kinds["group"][[*counted, "stores"]])
    )


def _answer(frame: pd.DataFrame) -> Answer:
    """A frame with the rows' names as its index."""
    return {str(key): {str(name): float(value) for name, value in row.items()} for key, row in frame.iterrows()}


def _spans(as_of: date) -> dict[str, periods.Span]:
    return {
        "day": periods.one_day(as_of),
        "month": periods.month_to_date(as_of),
        "year": periods.year_to_date(as_of),
    }


QUESTIONS: dict[tuple[str, str], Callable[..., Found]] = {
    ("unit profit", "ours"): unit_ours,
    ("unit profit", "by hand"): unit_byhand,
    ("aggregate profit", "ours"): aggregate_ours,
    ("aggregate profit", "by hand"): aggregate_byhand,
}
