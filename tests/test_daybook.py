"""The daybook: whatever a report asks, it answers as the lines would, for every as-of day and after every change."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from runner.metrics import engagement, growth, profit, units
from runner.metrics.periods import Span, month_to_date, one_day, week_before, year_to_date
from runner.model import Level
from runner.notebook import contracts, daybook, warehouse
from tests import small_warehouse
from tests.small_warehouse import COSTS, END, SHARES, line

ROOT = Path(__file__).resolve().parents[1]
#: A day like others, one early in the year, one before Christmas (closed), and one on which the data end.
DAYS = (date(2017, 11, 15), date(2017, 3, 5), date(2017, 12, 26), END)
REAL_COSTS = profit.Costs(1.10, 0.75, 0.09)


def questions(connection, as_of):
    """What the reports ask of past days, each by a name."""
    week = week_before(as_of)
    for span in (one_day(as_of), month_to_date(as_of), month_to_date(as_of).back(28), year_to_date(as_of)):
        yield f"total {span.text}", profit.total(connection, span, REAL_COSTS)
        yield f"departments {span.text}", profit.by_department(connection, span)
        yield f"shops {span.text}", profit.by_store_group(connection, span)
    yield "daily profit", profit.daily(connection, REAL_COSTS)
    yield "bridge", profit.bridge(connection, one_day(week.last), one_day(week.first), REAL_COSTS)
    yield "daily growth", growth.daily(connection)
    yield "hours", growth.hours(connection, as_of)
    yield "cohorts", growth.cohorts(connection, as_of, date(2017, 2, 1))
    yield "active", growth.active_every_week(connection, as_of, 3)
    yield "daily engagement", engagement.daily(connection)
    for asked in (
        engagement.week,
        engagement.sessions,
        engagement.durations,
        engagement.pattern,
        engagement.stickiness,
    ):
        yield asked.__name__, asked(connection, week)
    yield "retention", engagement.retention(connection, week, 3)


def of_an_experiment(connection, as_of):
    """What the report on experiment 18 asks."""
    subject = units.experiment(connection, 18)
    seen = units.windows(subject.span, as_of)
    units.collect(connection, 18, seen, REAL_COSTS)
    yield "units", connection.execute("SELECT * FROM units ORDER BY household_id").df()
    yield "arms", units.by_arm(connection)
    yield "course", units.daily(connection, seen.pre.first, seen.now.last, REAL_COSTS)
    yield "baskets", units.baskets(connection, seen.now, REAL_COSTS)
    yield "looks", units.looks(connection, subject, seen.now.days()[3:], REAL_COSTS)


def same(one, other):
    """Whether two answers are equal to the last bit; frames also in their types."""
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        return True
    return repr(one) == repr(other)


def opened(path, as_of, *, costs=SHARES):
    """A connection; with a daybook when one lies beside the file."""
    return warehouse.connect(path, as_of, costs, warehouse.Limits(threads=1))


def has_daybook(connection):
    """Whether a connection reads a daybook."""
    return ("daybook",) in connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The real warehouse, prepared, and a copy of its file without a daybook."""
    folder = tmp_path_factory.mktemp("pair")
    built, bare = warehouse.prepare(folder), folder / "bare" / "warehouse.duckdb"
    bare.parent.mkdir()
    shutil.copy2(built, bare)
    return built, bare


@pytest.fixture(scope="module")
def contracted(tmp_path_factory):
    """A project with the shipped contracts, prepared."""
    folder = tmp_path_factory.mktemp("contracted")
    shutil.copytree(ROOT / "config" / "contracts", folder / "config" / "contracts")
    warehouse.prepare(folder)
    return folder


class TestSameAnswers:
    @pytest.mark.parametrize("as_of", DAYS, ids=str)
    def test_every_question_of_every_report(self, pair, as_of):
        """With the daybook and from the lines alone each figure is the same, bit by bit, whatever the as-of day."""
        costs = {"GROCERY": 0.66, "FUEL": 0.93, "*": 0.65}
        with opened(pair[0], as_of, costs=costs) as quick, opened(pair[1], as_of, costs=costs) as slow:
            assert (has_daybook(quick), has_daybook(slow)) == (True, False)
            for (name, one), (_, other) in zip(questions(quick, as_of), questions(slow, as_of), strict=True):
                assert same(one, other), name

    def test_an_experiment(self, pair):
        """So are an experiment's units, one by one, and what is made of them."""
        as_of = date(2017, 11, 15)
        with opened(pair[0], as_of) as quick, opened(pair[1], as_of) as slow:
            for (name, one), (_, other) in zip(
                of_an_experiment(quick, as_of), of_an_experiment(slow, as_of), strict=True
            ):
                if name == "looks":  # sums of floats, in another order
                    assert list(one) == list(other)
                    for day, arms in one.items():
                        for arm, sums in arms.items():
                            assert sums == pytest.approx(other[day][arm], rel=1e-12)
                else:
                    assert same(one, other), name

    def test_costs_are_applied_when_it_is_read(self, pair):
        """Another cost share is another cost of goods, without another daybook; an unknown product has the rest's."""
        day = date(2017, 11, 15)
        for shares in ({"*": 0.5}, {"*": 1.0}, {"GROCERY": 0.0, "*": 1.0}, {"UNKNOWN": 0.0, "*": 1.0}):
            with opened(pair[0], day, costs=shares) as quick, opened(pair[1], day, costs=shares) as slow:
                ask = "SELECT sum(goods), sum(list_value) FROM {} WHERE day = DATE '2017-11-15'"
                goods, listed = slow.execute(ask.format("lines")).fetchone()
                for view in ("sales", "sales_by_day"):
                    assert quick.execute(ask.format(view)).fetchone() == (goods, listed)


class TestAChangedWarehouse:
    def lines(self):
        """Two days with a household that comes on both, one basket at midnight, and a product in no list."""
        return [
            line(1, "2017-03-01 12:00", 10, "10.00", 1),
            line(1, "2017-03-01 12:00", 10, "4.00", 2),
            line(2, "2017-03-01 23:59", 11, "3.00", 99),
            line(2, "2017-03-02 00:00", 11, "2.00", 1),
            line(1, "2017-03-02 09:00", 12, "7.00", 3, coupon="1.00", match="0.50"),
        ]

    def prepared(self, path):
        """Make the daybook of a warehouse file."""
        daybook.make(path, [], warehouse.DATED, warehouse.Limits(threads=1).config(path))
        assert daybook.place(path).exists()

    def answers(self, path, as_of):
        """What is asked of the small shop, and whether a daybook said it."""
        with opened(path, as_of) as connection:
            span = Span(date(2017, 3, 1), as_of)
            totals = profit.total(connection, span, COSTS), engagement.week(connection, span)
            return (*map(repr, totals), growth.daily(connection).to_csv()), has_daybook(connection)

    def test_late_and_corrected_rows_bring_another(self, tmp_path):
        """A late line, a corrected price and a deleted basket are in the figures at once, and in the next daybook."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {"transactions": self.lines()})
        self.prepared(path)
        known = [self.answers(path, date(2017, 3, day)) for day in (1, 2)]
        assert [kept for _, kept in known] == [True, True]
        for statement in (
            "INSERT INTO transactions SELECT * REPLACE (3 AS household_id, 13 AS basket_id) FROM transactions LIMIT 1",
            "UPDATE transactions SET sales_value = 5 WHERE product_id = 2",
            "DELETE FROM transactions WHERE basket_id = 12",
        ):
            with duckdb.connect(str(path)) as connection:
                connection.execute(statement)
            bare = [self.answers(path, date(2017, 3, day)) for day in (1, 2)]
            assert [kept for _, kept in bare] == [False, False], "the old daybook is not that of the new state"
            self.prepared(path)
            kept = [self.answers(path, date(2017, 3, day)) for day in (1, 2)]
            assert [found for found, _ in kept] == [found for found, _ in bare] != [found for found, _ in known]
            assert all(had for _, had in kept)
            assert len(list((tmp_path / daybook.FOLDER).glob("*.duckdb"))) == 1, "the former one is dropped"
            known = kept

    def test_a_basket_over_midnight_and_a_household_twice_are_counted_once(self, tmp_path):
        """Over both days there are three baskets and two households, however many of their days they are counted on."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {"transactions": self.lines()})
        self.prepared(path)
        with opened(path, date(2017, 3, 2)) as connection:
            found = profit.total(connection, Span(date(2017, 3, 1), date(2017, 3, 2)), COSTS)
            assert has_daybook(connection)
        assert (found.baskets, found.households, found.lines) == (3, 2, 5)

    def test_a_warehouse_of_another_shape_has_none(self, tmp_path):
        """Where a column was renamed no daybook is made, nothing is left behind, and the rest goes on."""
        path = small_warehouse.build(tmp_path / "shop.duckdb", {"transactions": self.lines()})
        with duckdb.connect(str(path)) as connection:
            connection.execute("ALTER TABLE transactions RENAME COLUMN store_id TO shop")
        daybook.make(path, [], warehouse.DATED, {})
        assert [left for left in tmp_path.rglob("*") if left.is_file()] == [path]


class TestContracts:
    @pytest.mark.parametrize("table", warehouse.TABLES)
    def test_shipped_contracts_are_counted_beforehand(self, contracted, table):
        """Each shipped contract is in the daybook, and its finding is that of counting every row again."""
        contract = contracts.load(contracted / "config" / "contracts" / f"{table}.yml")
        for as_of in DAYS:
            with opened(contracted / warehouse.PLACE, as_of) as connection:
                kept = contracts.check(connection, contract)
                asked = "SELECT count(*) FROM breaches WHERE contract = ?"
                assert connection.execute(asked, [contract.fingerprint]).fetchone()[0] == 1
                connection.execute("DROP VIEW breaches")
                assert kept == contracts.check(connection, contract)
            assert kept.level is Level.PASS

    def test_what_a_day_breaks_is_seen_from_that_day_on(self, tmp_path):
        """Broken rules and repeated keys count from their own day; before it the table keeps its contract."""
        good = [line(1, "2017-03-01 12:00", 10), line(1, "2017-03-02 12:00", 11), line(1, "2017-03-03 12:00", 12)]
        bad = [line(0, "2017-03-02 12:00", 13), line(1, "2017-03-03 12:00", 10), line(0, "2017-03-03 13:00", 10)]
        path = small_warehouse.build(tmp_path / "shop.duckdb", {"transactions": [*good, *bad]})
        contract = contracts.load(ROOT / "config" / "contracts" / "transactions.yml")
        daybook.make(path, [contract], warehouse.DATED, {})
        found = {}
        for day in (1, 2, 3):
            with opened(path, date(2017, 3, day)) as connection:
                assert has_daybook(connection)
                kept = contracts.check(connection, contract)
                connection.execute("DROP VIEW breaches")
                assert kept == contracts.check(connection, contract)
            found[day] = dict(kept.numbers)
        assert found[1] == {"rows": 1, "columns": 11}
        assert found[2] == {"rows": 3, "household_id below 1": 1}
        assert found[3] == {"rows": 6, "household_id below 1": 2, "a repeated basket_id and product_id": 2}

    def test_another_contract_is_counted_anew(self, contracted, tmp_path):
        """A contract that was changed since is held against every row, not against what was counted for the old one."""
        text = (contracted / "config" / "contracts" / "transactions.yml").read_text(encoding="utf-8")
        stricter = tmp_path / "transactions.yml"
        stricter.write_text(text.replace("quantity: {type: int64, min: 0", "quantity: {type: int64, min: 1"), "utf-8")
        with opened(contracted / warehouse.PLACE, END) as connection:
            finding = contracts.check(connection, contracts.load(stricter))
        assert finding.level is Level.STOP
        assert finding.numbers["quantity below 1"] == 8_869

    def test_a_contract_that_cannot_be_read_is_left_to_its_report(self, tmp_path):
        """One that is no YAML, or names a column that is not there, hinders neither the daybook nor the others."""
        folder = tmp_path / "config" / "contracts"
        folder.mkdir(parents=True)
        (folder / "coupons.yml").write_text("columns: [", encoding="utf-8")
        (folder / "products.yml").write_text("columns: {colour: {type: str}}", encoding="utf-8")
        shutil.copy2(ROOT / "config" / "contracts" / "experiments.yml", folder)
        path = small_warehouse.build(tmp_path / "shop.duckdb", {})
        known = contracts.known(tmp_path)
        assert [contract.table for contract in known] == ["experiments", "products"]
        daybook.make(path, known, warehouse.DATED, {})
        with opened(path, END) as connection:
            assert connection.execute("SELECT contract, rule FROM breaches").fetchall() == [
                (known[0].fingerprint, None)
            ]
