"""Schema contracts: the shipped ones hold on the real data, and each kind of drift is one finding that names it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from runner.errors import ConfigError, Trouble
from runner.model import Level
from runner.notebook import contracts, warehouse
from runner.notebook.contracts import Column, Contract
from tests.small_warehouse import END

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "config" / "contracts"
SALES = Contract(
    "sales",
    {
        "id": Column("int64", low=1),
        "brand": Column("str", values=("National", "Private")),
        "note": Column("str", nullable=True),
        "price": Column("float64", low=0, high=100),
        "day": Column("day"),
        "sold_at": Column("time"),
    },
    ("id", "day"),
)
GOOD = """
    SELECT CAST(n AS BIGINT) AS id, if(n % 2 = 0, 'National', 'Private') AS brand, if(n % 3 = 0, NULL, 'x') AS note,
           CAST(n % 100 AS DOUBLE) AS price, DATE '2017-03-01' + CAST(n % 7 AS INTEGER) AS day,
           TIMESTAMP '2017-03-01 12:00:00' AS sold_at
    FROM range(1, 3001) numbers(n)"""


@pytest.fixture
def sales():
    """Three thousand rows that keep the contract, more than pandera is shown."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE sales AS {GOOD}")
        yield connection


def stopped(connection, contract=SALES):
    """Check, and give the message and numbers of the one finding, which is a stop."""
    finding = contracts.check(connection, contract)
    assert (finding.level, finding.trouble) == (Level.STOP, Trouble.SCHEMA_CHANGED)
    assert finding.check == f"schema of {contract.table}"
    assert finding.message.startswith(f"{contract.table} breaks its contract: ")
    return finding.message, finding.numbers


@pytest.fixture(scope="module")
def real():
    """The whole year."""
    with warehouse.connect(warehouse.prepare(ROOT), END) as connection:
        yield connection


class TestShipped:
    def test_each_table_has_one(self):
        """Every table of the warehouse has a contract of its own name, and there is none besides."""
        assert {path.stem for path in FOLDER.iterdir()} == set(warehouse.TABLES)

    @pytest.mark.parametrize("table", warehouse.TABLES)
    def test_holds_on_the_real_data(self, real, table):
        """Every row of the real table keeps every rule, and the finding says how many there are."""
        contract = contracts.load(FOLDER / f"{table}.yml")
        finding = contracts.check(real, contract)
        assert (finding.level, finding.trouble) == (Level.PASS, None), finding.message
        assert finding.numbers["rows"] == real.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        assert contract.table == table

    @pytest.mark.parametrize("table", sorted(set(warehouse.TABLES) - {"redemptions"}))
    def test_names_a_key(self, table):
        """Each table's rows can be told apart, but for redemptions, of which a household may make two alike."""
        assert contracts.load(FOLDER / f"{table}.yml").key


class TestCheck:
    def test_passes(self, sales):
        """Good rows pass, and the message counts rows and rules."""
        finding = contracts.check(sales, SALES)
        assert (finding.level, finding.trouble) == (Level.PASS, None)
        assert "3,000 rows" in finding.message
        assert finding.numbers == {"rows": 3000, "columns": 6}

    def test_table_is_not_there(self, sales):
        """A missing table is a finding, not a database error."""
        sales.execute("DROP TABLE sales")
        message, numbers = stopped(sales)
        assert "the table sales is not there" in message
        assert numbers == {"rows": 0}

    def test_column_is_missing(self, sales):
        """A dropped column is named."""
        sales.execute("ALTER TABLE sales DROP COLUMN price")
        assert "column price is missing" in stopped(sales)[0]

    def test_column_is_new(self, sales):
        """A column that nobody declared is named: contracts are strict."""
        sales.execute("ALTER TABLE sales ADD COLUMN discount DOUBLE")
        assert "column discount is new" in stopped(sales)[0]

    def test_column_is_renamed(self, sales):
        """A renamed column is named under both names in the one finding."""
        sales.execute("ALTER TABLE sales RENAME COLUMN price TO amount")
        message, numbers = stopped(sales)
        assert "column price is missing; column amount is new" in message
        assert numbers == {"columns": 6}

    @pytest.mark.parametrize(
        ("column", "kind", "said"),
        [
            ("price", "VARCHAR", "column price is VARCHAR, not float64"),
            ("id", "DOUBLE", "column id is DOUBLE, not int64"),
            ("brand", "INTEGER", "column brand is INTEGER, not str"),
            ("day", "TIMESTAMP", "column day is TIMESTAMP, not day"),
            ("sold_at", "DATE", "column sold_at is DATE, not time"),
        ],
    )
    def test_column_is_retyped(self, sales, column, kind, said):
        """A column of another type is named with both types."""
        change = "length(brand)" if column == "brand" else column
        sales.execute(f"ALTER TABLE sales ALTER {column} TYPE {kind} USING CAST({change} AS {kind})")
        assert said in stopped(sales)[0]

    def test_a_time_with_a_zone_is_another_type(self, sales):
        """A time stamp that has acquired a zone would be read as another hour, so it stops the report."""
        sales.execute("ALTER TABLE sales ALTER sold_at TYPE TIMESTAMPTZ")
        assert "column sold_at is TIMESTAMP WITH TIME ZONE, not time" in stopped(sales)[0]

    @pytest.mark.parametrize("kind", ["INTEGER", "HUGEINT"])
    def test_the_width_of_integers_is_free(self, sales, kind):
        """A column of integers may be narrower or wider than declared."""
        sales.execute(f"ALTER TABLE sales ALTER id TYPE {kind}")
        assert contracts.check(sales, SALES).level is Level.PASS

    def test_exact_money_is_a_number(self, sales):
        """A decimal column keeps a contract of float64."""
        sales.execute("ALTER TABLE sales ALTER price TYPE DECIMAL(10, 2)")
        assert contracts.check(sales, SALES).level is Level.PASS

    @pytest.mark.parametrize(
        ("change", "said", "rule", "count"),
        [
            ("brand = NULL WHERE id > 2990", "10 rows with brand is null", "brand is null", 10),
            ("price = NULL WHERE id > 2990", "10 rows with price is null", "price is null", 10),
            ("price = 'nan' WHERE id > 2990", "10 rows with price is null", "price is null", 10),
            ("price = -1 WHERE id = 2999", "1 rows with price below 0", "price below 0", 1),
            ("price = 100.5 WHERE id > 1000", "2,000 rows with price above 100", "price above 100", 2000),
            ("brand = 'Own' WHERE id > 2997", "3 rows with brand outside its list", "brand outside its list", 3),
            ("id = 5, day = '2017-03-06' WHERE id > 2995", "5 rows with a repeated id and day",
             "a repeated id and day", 5),
        ],
    )  # fmt: skip
    def test_rows_break_a_rule(self, sales, change, said, rule, count):
        """Rows far beyond the sample are counted by rule: null, nan, out of range, new category, repeated key."""
        sales.execute(f"UPDATE sales SET {change}")
        message, numbers = stopped(sales)
        assert said in message
        assert numbers["rows"] == 3000
        assert numbers[rule] == count

    def test_two_rules_are_one_finding(self, sales):
        """Whatever is broken at once stands in one finding, each with its count."""
        sales.execute("UPDATE sales SET brand = 'Own', price = -1 WHERE id <= 4")
        message, numbers = stopped(sales)
        assert "4 rows with brand outside its list" in message
        assert "4 rows with price below 0" in message
        assert {name: numbers[name] for name in numbers if name != "rows"} == {
            "brand outside its list": 4, "price below 0": 4,
        }  # fmt: skip

    def test_limits_are_inclusive(self, sales):
        """The lowest and the highest allowed value keep the rule."""
        sales.execute("UPDATE sales SET price = if(id % 2 = 0, 0, 100)")
        assert contracts.check(sales, SALES).level is Level.PASS

    def test_a_nullable_column_may_be_empty(self, sales):
        """A column that may be null may be null throughout."""
        sales.execute("UPDATE sales SET note = NULL")
        assert contracts.check(sales, SALES).level is Level.PASS

    def test_the_same_key_on_another_day_is_new(self, sales):
        """Only the columns of the key together have to be unique."""
        sales.execute("UPDATE sales SET id = 1, day = DATE '2000-01-01' + CAST(id AS INTEGER)")
        assert contracts.check(sales, SALES).level is Level.PASS

    def test_an_empty_table_keeps_its_contract(self, sales):
        """A table without rows has no row that breaks a rule; whether it may be empty is another check's matter."""
        sales.execute("DELETE FROM sales")
        assert contracts.check(sales, SALES).numbers["rows"] == 0

    def test_a_quote_in_a_listed_value(self):
        """A value with an apostrophe is a value and no way out of the statement."""
        contract = Contract("shops", {"name": Column("str", values=("Ann's", "Bob's"))})
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE shops AS SELECT 'Ann''s' AS name")
            assert contracts.check(connection, contract).level is Level.PASS
            connection.execute("INSERT INTO shops VALUES ('Cid''s')")
            assert "1 rows with name outside its list" in stopped(connection, contract)[0]

    def test_many_problems_are_cut_short(self):
        """Of many differences the first six are named, and that there are more is said."""
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE wide AS SELECT 1 AS z")
            message, _ = stopped(connection, Contract("wide", {f"c{n}": Column("int64") for n in range(9)}))
        assert message.count("is missing") == 6
        assert message.endswith("….")


class TestCheckFrame:
    GOOD = pd.DataFrame({"id": [1, 2], "brand": ["National", "Private"]})
    CONTRACT = Contract("brands", {"id": Column("int64", low=1), "brand": SALES.columns["brand"]}, ("id",))

    def test_passes(self):
        """A frame that keeps its contract passes with its number of rows."""
        finding = contracts.check_frame(self.GOOD, self.CONTRACT)
        assert (finding.level, finding.numbers) == (Level.PASS, {"rows": 2})

    @pytest.mark.parametrize(
        ("frame", "said"),
        [
            (GOOD.drop(columns="brand"), "column brand is missing"),
            (GOOD.assign(more=1), "column more is new"),
            (GOOD.rename(columns={"id": "number"}), "column id is missing; column number is new"),
            (GOOD.assign(id=["a", "b"]), "id: dtype('int64')"),
            (GOOD.assign(id=[0, 2]), "id: greater_than_or_equal_to(1) (1 times)"),
            (GOOD.assign(id=[2, 2]), "multiple_fields_uniqueness"),
            (GOOD.assign(brand=["National", None]), "brand: not_nullable (1 times)"),
            (GOOD.assign(brand=["Own", "Own"]), "brand: isin(['National', 'Private']) (2 times)"),
        ],
    )
    def test_each_drift_is_one_stop(self, frame, said):
        """Each kind of drift of a frame is one stop that names the column and counts its cases."""
        finding = contracts.check_frame(frame, self.CONTRACT)
        assert (finding.level, finding.trouble) == (Level.STOP, Trouble.SCHEMA_CHANGED)
        assert said in finding.message
        assert finding.numbers == {"rows": 2}


class TestLoad:
    def write(self, folder, text):
        """Write a contract and load it."""
        path = folder / "shops.yml"
        path.write_text(text, encoding="utf-8")
        return contracts.load(path)

    def test_short_and_long_forms(self, tmp_path):
        """A column is a type alone or a mapping of rules; the table's name comes from the file."""
        contract = self.write(tmp_path, "key: [id]\ncolumns:\n  id: int64\n  size: {type: float64, min: 0, max: 9}\n")
        assert contract == Contract(
            "shops", {"id": Column("int64"), "size": Column("float64", low=0, high=9)}, ("id",)
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("columns: {id: integer}", "column id has the type 'integer'"),
            ("columns: {id: {min: 1}}", "column id has the type None"),
            ("columns: {id: {type: int64, minimum: 1}}", "column id has an unknown rule 'minimum'"),
            ("columns: {id: {type: str, values: A}}", "column id has values that are no list"),
            ("columns: [id]", "has no `columns:`"),
            ("table: shops", "has no `columns:`"),
            ("just words", "has no `columns:`"),
            ("columns: {id: int64", "is not YAML"),
            ("columns: {id: int64}\nkey: [di]", "key names 'di'"),
            ("columns: {id: int64}\nkey: id", "key names 'id'"),
            ("columns: {id: int64}\nkeys: [id]", "unknown key 'keys'"),
        ],
    )
    def test_nonsense_names_file_key_and_remedy(self, tmp_path, text, said):
        """Each mistake in a contract is an error that names the file, the place in it and what to write."""
        with pytest.raises(ConfigError, match=r"config/contracts/shops\.yml") as error:
            self.write(tmp_path, text)
        assert said in error.value.what
        assert error.value.remedy

    def test_a_missing_file(self, tmp_path):
        """A contract that is not there is an error that names it."""
        with pytest.raises(ConfigError, match=r"no contract nothing\.yml"):
            contracts.load(tmp_path / "nothing.yml")
