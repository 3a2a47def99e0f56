"""Fetched rows in the warehouse: by day, all or nothing, the very same twice is nothing, and no reader notices."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import SourceFailed, Trouble
from runner.notebook import contracts, daybook, loads, warehouse
from runner.sources import conforming, fingerprint, landing
from runner.sources.completeness import Verdict
from runner.sources.conforming import Given
from runner.sources.landing import Parcel
from runner.sources.pins import pinned
from tests.listed_source import sale, table
from tests.shop import shop

MONDAY = date(2017, 11, 13)
AT = datetime(2017, 11, 14, 8, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path):
    """A shop into which nothing was fetched yet."""
    return shop(tmp_path)


def parcel(*rows, days=(MONDAY,), title="Till", **more):
    """Rows of `receipts` for these days."""
    return Parcel("receipts", table(rows), title.lower(), title, "day", tuple(days), **more)


def land(folder, *parcels, at=AT):
    """Land them where the project has its warehouse."""
    return landing.land(folder, warehouse.PLACE, parcels, at)


def receipts(folder, as_of=date(2017, 12, 31)):
    """Receipts and amounts, as a report of a day sees them."""
    with warehouse.connect(folder / warehouse.PLACE, as_of) as connection:
        return connection.execute("SELECT receipt, amount FROM receipts ORDER BY ALL").fetchall()


def state(folder):
    """What shows that the warehouse file was written again."""
    found = (folder / warehouse.PLACE).stat()
    return found.st_ino, found.st_mtime_ns


class TestLanding:
    def test_rows_are_there_and_known(self, folder):
        """What was landed is read through a view, with the days up to the as-of day alone, and stands in `_loads`."""
        tuesday = MONDAY + timedelta(days=1)
        land(folder, parcel(sale(1, "2017-11-13 09:00"), sale(2, "2017-11-14 09:00", 2.5), days=(MONDAY, tuesday)))
        assert receipts(folder) == [(1, 1.25), (2, 2.5)]
        assert receipts(folder, MONDAY) == [(1, 1.25)]
        found = warehouse.landed(folder / warehouse.PLACE)
        assert [(load.table, load.day, load.title, load.rows) for load in found] == [
            ("receipts", MONDAY, "Till", 1), ("receipts", tuesday, "Till", 1),
        ]  # fmt: skip
        assert found[0].loaded_at == AT

    def test_the_same_again_changes_nothing(self, folder):
        """The very same rows in another order, and from another source, leave the file as it is."""
        rows = [sale(1, "2017-11-13 09:00"), sale(2, "2017-11-13 10:00")]
        assert len(land(folder, parcel(*rows))) == 1
        before = state(folder)
        assert land(folder, parcel(*reversed(rows), title="Replica"), at=AT + timedelta(hours=1)) == ()
        assert state(folder) == before

    def test_late_and_corrected_rows_replace_their_day(self, folder):
        """A day that comes again with other rows has those and no others; the other days stay."""
        tuesday = MONDAY + timedelta(days=1)
        land(folder, parcel(sale(1, "2017-11-13 09:00"), sale(2, "2017-11-14 09:00"), days=(MONDAY, tuesday)))
        changed = land(
            folder,
            parcel(sale(1, "2017-11-13 09:00"), sale(2, "2017-11-14 09:00", 9), sale(3, "2017-11-14 23:00"),
                   days=(MONDAY, tuesday)),
        )  # fmt: skip
        assert [load.day for load in changed] == [tuesday]
        assert receipts(folder) == [(1, 1.25), (2, 9.0), (3, 1.25)]
        land(folder, parcel(days=(tuesday,)))
        assert receipts(folder) == [(1, 1.25)]
        assert [load.rows for load in warehouse.landed(folder / warehouse.PLACE)] == [1, 0]

    def test_a_table_that_is_read_whole_is_replaced_whole(self, folder):
        """Without days all rows go and all come."""
        for rows in ([sale(1, "2017-11-13 09:00")], [sale(2, "2017-11-13 09:00")]):
            land(folder, Parcel("receipts", table(rows), "till", "Till"))
        assert receipts(folder) == [(2, 1.25)]

    def test_read_whole_and_by_day_do_not_mix(self, folder):
        """What was landed whole says nothing of days: by day the table begins anew, and whole again, too."""
        whole = Parcel("receipts", table([sale(1, "2017-11-13 09:00"), sale(2, "2017-11-14 09:00")]), "till", "Till")
        land(folder, whole)
        assert landing.stock(folder, warehouse.PLACE, "receipts", ("day", None), MONDAY).counts == ()
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        assert receipts(folder) == [(1, 1.25)]
        assert [load.day for load in warehouse.landed(folder / warehouse.PLACE)] == [MONDAY]
        land(folder, whole)
        assert [load.day for load in warehouse.landed(folder / warehouse.PLACE)] == [None]

    def test_a_contract_with_other_columns(self, folder):
        """A column that came is empty in the days before, one that went is gone; nothing that was landed is lost."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        rows = table([sale(2, "2017-11-14 09:00")])
        rows = rows.drop_columns(["amount"]).append_column("shop", [["A"]])
        land(folder, replace(parcel(days=(date(2017, 11, 14),)), rows=rows))
        with warehouse.connect(folder / warehouse.PLACE, date(2017, 12, 31)) as connection:
            found = connection.execute("SELECT * FROM receipts ORDER BY receipt")
            assert [column[0] for column in found.description] == ["receipt", "sold_at", "day", "shop"]
            assert [(row[0], row[3]) for row in found.fetchall()] == [(1, None), (2, "A")]

    def test_a_day_that_became_whole_is_noted(self, folder):
        """The same rows of a day that is known as partial no more are another state, for it may be reported now."""
        part = Verdict(whole=False, lacks=("it is not over",))
        land(folder, parcel(sale(1, "2017-11-13 09:00"), verdicts={MONDAY: part}))
        before = warehouse.fingerprint(folder)
        assert len(land(folder, parcel(sale(1, "2017-11-13 09:00")))) == 1
        assert warehouse.fingerprint(folder) != before

    def test_several_tables_land_together(self, folder):
        """What one landing brings is there in one state of the file."""
        other = Parcel("visits", table([sale(5, "2017-11-13 09:00")]), "till", "Till", "day", (MONDAY,))
        land(folder, parcel(sale(1, "2017-11-13 09:00")), other)
        assert {load.table for load in warehouse.landed(folder / warehouse.PLACE)} == {"receipts", "visits"}

    @settings(max_examples=5, deadline=None)
    @given(
        st.lists(
            st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3), st.sampled_from(["09:00", "10:00"])), max_size=4),
            min_size=1,
            max_size=4,
        )
    )
    def test_the_last_word_on_a_day_holds(self, tmp_path_factory, batches):
        """However often days come, the warehouse has of each day what came last, as the source had it then."""
        folder, days = shop(tmp_path_factory.mktemp("shop")), [MONDAY + timedelta(days=n) for n in range(4)]
        known: dict[date, set[int]] = {}
        for batch in batches:
            rows = {n: (day, at) for n, day, at in batch}
            listed = [sale(n, f"{days[day]} {at}") for n, (day, at) in rows.items()]
            touched = tuple(sorted({days[day] for day, _ in rows.values()}))
            land(folder, parcel(*listed, days=touched))
            known |= {day: {row["receipt"] for row in listed if row["day"] == day} for day in touched}
        expected = sorted(number for numbers in known.values() for number in numbers)
        there = receipts(folder) if any(map(len, batches)) else []
        assert [receipt for receipt, _ in there] == expected


class TestFingerprint:
    def test_it_tells_of_data_alone(self, tmp_path):
        """Equal data from other sources at other times have equal fingerprints, other data have another."""
        one, two, three = (shop(tmp_path / name) for name in "abc")
        land(one, parcel(sale(1, "2017-11-13 09:00")))
        land(two, parcel(sale(1, "2017-11-13 09:00"), title="Replica"), at=AT + timedelta(days=3))
        land(three, parcel(sale(1, "2017-11-13 09:00", 1.26)))
        assert warehouse.fingerprint(one) == warehouse.fingerprint(two) != warehouse.fingerprint(three)

    def test_later_days_do_not_change_an_earlier_report(self, folder):
        """A day's fingerprint stays when later days are landed, and changes when its own rows are corrected."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        before = warehouse.fingerprint(folder, as_of=MONDAY)
        tuesday = MONDAY + timedelta(days=1)
        land(folder, parcel(sale(2, "2017-11-14 09:00"), days=(tuesday,)))
        assert warehouse.fingerprint(folder, as_of=MONDAY) == before != warehouse.fingerprint(folder, as_of=tuesday)
        land(folder, parcel(sale(1, "2017-11-13 09:00", 3)))
        assert warehouse.fingerprint(folder, as_of=MONDAY) != before

    def test_a_project_that_fetches_nothing_has_that_of_the_package(self, folder):
        """Where nothing was landed the fingerprint is that of the package, whatever the as-of day."""
        assert warehouse.fingerprint(folder) == warehouse.fingerprint(folder, as_of=MONDAY)
        assert warehouse.fingerprint(folder) == warehouse.fingerprint(ROOT / "nowhere")


class TestSurvives:
    def test_a_reader_keeps_what_it_has_opened(self, folder):
        """Whoever reads while rows are landed goes on reading the old state; whoever comes later reads the new one."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        with warehouse.connect(folder / warehouse.PLACE, MONDAY) as reader:
            land(folder, parcel(sale(2, "2017-11-13 09:00")))
            assert reader.execute("SELECT receipt FROM receipts").fetchall() == [(1,)]
        assert receipts(folder) == [(2, 1.25)]

    def test_a_pin_keeps_its_state_with_its_fingerprint(self, folder):
        """A report that was begun before a landing sees the state that it was begun on, in every process it starts."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        before = warehouse.fingerprint(folder)
        with pinned(folder, warehouse.PLACE, "run") as place:
            land(folder, parcel(sale(2, "2017-11-13 09:00")))
            assert warehouse.prepare(folder, place) == place
            assert warehouse.fingerprint(folder, place) == before != warehouse.fingerprint(folder)
            with warehouse.connect(place, MONDAY) as reader:
                assert reader.execute("SELECT receipt FROM receipts").fetchall() == [(1,)]
            assert daybook.place(place).exists()
        assert not place.parent.exists()

    def test_pins_of_the_dead_are_cleared(self, folder):
        """What a killed process has pinned goes with the next pin; the pin of one that lives stays."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            ended.wait()
        dead = (folder / warehouse.PLACE).with_suffix(".pins") / f"run.{ended.pid}"
        dead.mkdir(parents=True)
        with pinned(folder, warehouse.PLACE, "one") as one, pinned(folder, warehouse.PLACE, "two"):
            assert not dead.exists()
            assert one.exists()

    def test_what_was_landed_outlives_a_new_base(self, folder):
        """When the package's part is built again, what was fetched stays: its source may not have it any more."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        stamp = (folder / warehouse.PLACE).with_suffix(".sha256")
        stamp.write_text(" ".join(["0" * 64, *stamp.read_text().split()[1:]]))
        for name in ("transactions", "products", "experiments", "assignments", "coupons", "redemptions"):
            with (folder / "config/sources.yml").open("a") as file:
                file.write(f"  {name}: {{from: [till]}}\n")
        warehouse.build(folder)
        assert receipts(folder) == [(1, 1.25)]
        assert len(warehouse.landed(folder / warehouse.PLACE)) == 1

    def test_a_file_that_somebody_changed_is_not_trusted(self, folder):
        """Rows that somebody puts into the file itself do not stay, and neither does the word that they were landed."""
        land(folder, parcel(sale(1, "2017-11-13 09:00")))
        with duckdb.connect(str(folder / warehouse.PLACE)) as connection:
            connection.execute("UPDATE receipts SET amount = 1000000")
        assert warehouse.landed(folder / warehouse.PLACE) == ()
        assert not warehouse.is_current(folder / warehouse.PLACE, warehouse.fingerprint(folder))


DIES = """
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from runner.notebook import warehouse
from runner.sources.landing import Parcel, land
from tests.listed_source import sale, table
renames = []
def die(event, _):
    if event == "os.rename":
        renames.append(event)
        if len(renames) == int(sys.argv[2]):
            os._exit(9)
sys.addaudithook(die)
day = date(2017, 11, 13)
rows = table([sale(2, "2017-11-13 09:00")])
land(Path(sys.argv[1]), warehouse.PLACE, [Parcel("receipts", rows, "till", "Till", "day", (day,))],
     datetime(2017, 11, 14, tzinfo=UTC))
"""


@pytest.mark.parametrize(("step", "there"), [(1, 1), (2, 1), (3, 2)])
def test_killed_at_each_step_of_taking_the_place(folder, step, there):
    """Gone before the stamp of both, before the file, or before the last stamp: what is there is known, and landed."""
    land(folder, parcel(sale(1, "2017-11-13 09:00")))
    words = [sys.executable, "-c", DIES, str(folder), str(step)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 9
    assert any(folder.glob(".cache/*.tmp")) == (step < 3)
    assert receipts(folder) == [(there, 1.25)]
    assert len(warehouse.landed(folder / warehouse.PLACE)) == 1
    land(folder, parcel(sale(3, "2017-11-13 09:00")))
    assert receipts(folder) == [(3, 1.25)]
    assert len((folder / warehouse.PLACE).with_suffix(".sha256").read_text().splitlines()) == 1
    assert list(folder.glob(".cache/*.tmp*")) == []


class TestConforming:
    def conformed(self, folder, given, shape=None):
        """As the contract of the shop has it."""
        contract = contracts.load(folder / "config/contracts/receipts.yml")
        return conforming.conform(given, contract, shape or {}, Given("Till", fingerprint.taken(given)))

    def test_values_come_in_the_types_that_are_there(self, folder):
        """Doubles that are cents become the decimals that the column has; the order of columns is the contract's."""
        given = table([sale(1, "2017-11-13 09:00", 0.1)]).select(["day", "amount", "sold_at", "receipt"])
        found = self.conformed(folder, given, {"amount": "DECIMAL(10,2)", "receipt": "BIGINT"})
        assert found.column_names == ["receipt", "amount", "sold_at", "day"]
        assert str(found.schema.field("amount").type) == "decimal128(10, 2)"

    @pytest.mark.parametrize("amount", [0.125, 1e12, float("nan")])
    def test_what_is_not_exact_is_refused(self, folder, amount):
        """A value that would be another one in the column's type never lands."""
        with pytest.raises(SourceFailed) as failed:
            self.conformed(folder, table([sale(1, "2017-11-13 09:00", amount)]), {"amount": "DECIMAL(10,2)"})
        assert failed.value.trouble is Trouble.SCHEMA_CHANGED
        assert "amount" in failed.value.what

    def test_a_column_too_many_or_too_few_is_refused(self, folder):
        """Both are said by name."""
        given = table([sale(1, "2017-11-13 09:00")])
        with pytest.raises(SourceFailed, match="column amount is gone"):
            self.conformed(folder, given.drop_columns(["amount"]))
        with pytest.raises(SourceFailed, match=r"column note .* is new"):
            self.conformed(folder, given.append_column("note", pa.array(["x"])))

    def test_a_row_that_breaks_a_rule_is_refused(self, folder):
        """Numbers below their bound and keys that come twice do not get into the warehouse."""
        with pytest.raises(SourceFailed, match="amount below 0"):
            self.conformed(folder, table([sale(1, "2017-11-13 09:00", -1)]))
        with pytest.raises(SourceFailed, match="repeated receipt"):
            self.conformed(folder, table([sale(1, "2017-11-13 09:00"), sale(1, "2017-11-13 10:00")]))

    def test_no_rows_at_all_are_rows(self, folder):
        """A day without any is a day."""
        assert self.conformed(folder, table([])).num_rows == 0


def test_the_empty_tables_have_the_types_of_the_full_ones():
    """A table of the demonstration that begins empty has the very columns that the package gives it."""
    with duckdb.connect() as connection:
        for name, sql in warehouse.TABLES.items():
            connection.execute(f"CREATE TABLE {name} AS {sql.format(data=warehouse.source_folder())} LIMIT 0")
            connection.execute(f"CREATE TABLE empty_{name} ({warehouse.SHAPES[name]})")
            full, empty = (connection.execute(f"DESCRIBE {prefix}{name}").fetchall() for prefix in ("", "empty_"))
            assert [row[:2] for row in full] == [row[:2] for row in empty]


def test_who_served_what_is_told_newest_first():
    """The source of the newest day stands in front, days after the as-of day count for nothing."""
    days = [MONDAY + timedelta(days=n) for n in range(3)]
    found = [loads.Load("receipts", day, "day", title, title, 1, "", AT)
             for day, title in zip(days, ("Till", "Replica", "Till"), strict=True)]  # fmt: skip
    assert loads.served_by(found, "receipts", days[0]) == "Till"
    assert loads.served_by(found, "receipts", days[1]) == "Replica, before: Till"
    assert loads.served_by(found, "receipts", days[2]) == "Till, before: Replica"
    assert loads.served_by(found, "other", days[2]) == ""
