"""Two sides, key by key: the counts add up, sides can be swapped, and the list is harmless."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from datetime import date, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import config
from runner.errors import ConfigError, Trouble
from runner.metrics import growth
from runner.metrics.periods import Span
from runner.model import Level
from runner.notebook import warehouse
from runner.plan.calendar import instant
from runner.sources import audits, reconciliation
from runner.sources.reconciliation import Compared, Pairing, Rule

ROOT = Path(__file__).resolve().parents[1]
KEYED = Rule(("id",))


@pytest.fixture(scope="module")
def base():
    """A database of nothing."""
    with duckdb.connect() as connection:
        yield connection


def table(rows, names=("id", "amount")):
    """Rows of an id and an amount as a table."""
    types = (pa.int64(), pa.float64(), pa.string())
    listed = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip(names, listed, types, strict=False)})


def compared(base, left, right, rule=KEYED) -> Compared:
    """Two lists of rows, compared."""
    base.register("left_rows", table(left))
    base.register("right_rows", table(right))
    return reconciliation.compare(base, "left_rows", "right_rows", rule)


def test_each_key_has_one_fate(base):
    """Matched, missing on either side, different, or not to be told for coming twice."""
    left = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (4, 4.0)]
    right = [(1, 1.0), (2, 2.5), (4, 4.0), (5, 5.0)]
    found = compared(base, left, right)
    assert found.counts == {
        "matched": 1, "missing_left": 1, "missing_right": 1, "different": 1, "repeated": 1,
        "repeated_left": 1, "repeated_right": 0,
    }  # fmt: skip
    assert found.by_column == {"amount": 1}
    assert [row[0] for row in found.listed] == ["different", "missing right", "repeated", "missing left"]


def test_a_key_without_a_value_matches_nothing(base):
    """Not even another such key; each is a row of its own that the other side lacks."""
    found = compared(base, [(None, 1.0), (None, 1.0)], [(None, 1.0)])
    assert (found.matched, found.missing_right, found.missing_left) == (0, 2, 1)


def test_without_a_key_the_same_row_as_often_on_both_sides_is_a_match(base):
    """Twice here and twice there is one thing; twice and once is not; an empty cell is like another."""
    found = compared(base, [(1, None), (1, None), (2, 1.0), (2, 1.0)], [(1, None), (1, None), (2, 1.0)], Rule())
    assert (found.matched, found.repeated, found.keys) == (1, 1, 2)


def test_a_tolerance_is_as_wide_as_it_says(base):
    """A cent is a cent, though no machine holds one exactly; more is different, and nothing is near to infinity."""
    rule = Rule(("id",), {"amount": 0.01})
    rows = [(1, 1.10), (2, 1.10), (3, math.inf), (4, math.nan), (5, math.nan), (6, None), (7, None)]
    other = [(1, 1.09), (2, 1.0899), (3, 1.0), (4, 1.0), (5, math.nan), (6, None), (7, 1.0)]
    found = compared(base, rows, other, rule)
    assert (found.matched, found.different) == (3, 4)
    assert {row[4] for row in found.listed} == {"2", "3", "4", "7"}


def test_a_number_that_is_text_on_one_side_is_compared_as_text(base):
    """Types that have nothing in common stop nothing."""
    base.execute("CREATE OR REPLACE TABLE a AS SELECT 1 AS id, 5 AS amount")
    base.execute("CREATE OR REPLACE TABLE b AS SELECT '1' AS id, '5' AS amount")
    assert reconciliation.compare(base, "a", "b", KEYED).matched == 1


def test_a_column_of_one_side_alone_is_a_finding(base):
    """It is named with its side, and all others are compared."""
    base.execute("CREATE OR REPLACE TABLE a AS SELECT 1 AS id, 5 AS amount, 1 AS more")
    base.execute("CREATE OR REPLACE TABLE b AS SELECT 1 AS id, 5 AS amount")
    found = reconciliation.compare(base, "a", "b", KEYED)
    said = reconciliation.findings(Pairing("A and B", "the tills", "the coupons"), found)
    assert [(one.level, one.trouble) for one in said] == [(Level.PASS, None), (Level.WARN, Trouble.SOURCES_DISAGREE)]
    assert "more is in the tills alone" in said[1].message


@pytest.mark.parametrize("rule", [Rule(("shop",)), Rule(("id",), {"price": 1.0})], ids=["key", "tolerance"])
def test_a_column_that_is_not_there_is_an_error_of_config(base, rule):
    """A key and a tolerance must be of both sides."""
    with pytest.raises(ConfigError, match="no column of both sides"):
        compared(base, [(1, 1.0)], [(1, 1.0)], rule)


def test_what_is_said_depends_on_how_much_may_be_left_over(base):
    """Within the share it passes, beyond it the sources disagree; keys that come twice are told in any case."""
    found = compared(base, [(1, 1.0), (2, 2.0), (2, 2.0)], [(1, 1.0), (2, 2.0)])
    few, twice = reconciliation.findings(Pairing("A", "left", "right", 0.5), found)
    assert (few.level, twice.level) == (Level.PASS, Level.WARN)
    assert twice.message == "A: 1 key comes more than once in left."
    many, _ = reconciliation.findings(Pairing("A", "left", "right", 0.4), found)
    assert (many.level, many.trouble) == (Level.WARN, Trouble.SOURCES_DISAGREE)
    assert many.numbers["share"] == 0.5


def test_two_empty_sides_agree_on_nothing(base):
    """Nothing was compared, and that is told: it may be a load that never came."""
    (said,) = reconciliation.findings(Pairing("A", "left", "right"), compared(base, [], []))
    assert (said.level, said.trouble) == (Level.WARN, Trouble.DATA_INCOMPLETE)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " ="])
def test_no_cell_of_the_list_is_a_formula(base, start):
    """A key that a spreadsheet would run stands there as text; a number stays one."""
    base.execute("CREATE OR REPLACE TABLE a (id VARCHAR, amount DOUBLE)")
    base.execute("CREATE OR REPLACE TABLE b AS FROM a")
    base.execute("INSERT INTO a VALUES (?, -1.5)", [f"{start}1+cmd()"])
    found = reconciliation.compare(base, "a", "b", KEYED)
    rows = list(csv.reader(io.StringIO(found.csv)))
    assert rows[1][4][0] not in "=+-@\t\r "
    assert rows[1][5] == "-1.5"


def test_a_long_list_says_that_it_is_cut(base):
    """It holds so many rows and no more, and its last line how many there are beside."""
    most = reconciliation.MOST_LISTED
    base.execute(f"CREATE OR REPLACE TABLE a AS SELECT range AS id FROM range({most + 7})")
    base.execute("CREATE OR REPLACE TABLE b AS SELECT id FROM a WHERE false")
    found = reconciliation.compare(base, "a", "b", KEYED)
    assert (len(found.listed), found.missing_right) == (most, most + 7)
    assert found.csv.splitlines()[-1] == "…,7 more"


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 6)),
        st.one_of(st.none(), st.sampled_from([math.nan, math.inf]), st.floats(-5, 5).map(lambda x: round(x, 2))),
    ),
    max_size=12,
)
RULES = st.builds(Rule, st.sampled_from([(), ("id",)]), st.sampled_from([{}, {"amount": 0.5}]))


def rule_of(rule: Rule) -> Rule:
    """A tolerance needs a column that is no part of the key."""
    return rule if rule.key else Rule()


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, RULES)
def test_counts_add_up(base, left, right, rule):
    """Every key of a side has one fate, counted here by hand; the list holds what did not match."""
    rule = rule_of(rule)
    found = compared(base, left, right, rule)
    assert found.keys == found.matched + len(found.listed)
    if not rule.key:
        return
    keys = [Counter(key for key, _ in side if key is not None) for side in (left, right)]
    empty = [sum(key is None for key, _ in side) for side in (left, right)]
    assert found.keys == len(keys[0] | keys[1]) + sum(empty)
    assert found.missing_right == len(set(keys[0]) - set(keys[1])) + empty[0]
    assert found.missing_left == len(set(keys[1]) - set(keys[0])) + empty[1]
    assert found.repeated_left == sum(count > 1 for count in keys[0].values())


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, RULES)
def test_swapped_sides_mirror(base, left, right, rule):
    """What is missing left is missing right, and all else is the same: a tolerance has no direction."""
    rule = rule_of(rule)
    one, other = compared(base, left, right, rule), compared(base, right, left, rule)
    assert (one.matched, one.different, one.repeated) == (other.matched, other.different, other.repeated)
    assert (one.missing_left, one.missing_right) == (other.missing_right, other.missing_left)
    assert (one.repeated_left, one.repeated_right) == (other.repeated_right, other.repeated_left)


@settings(max_examples=60, deadline=None)
@given(ROWS, RULES)
def test_a_side_agrees_with_itself(base, rows, rule):
    """Nothing is different or missing but keys without a value."""
    rule = rule_of(rule)
    found = compared(base, rows, rows, rule)
    empty = sum(key is None for key, _ in rows) if rule.key else 0
    assert (found.different, found.missing_left, found.missing_right) == (0, empty, empty)


def test_the_shipped_reconciliation_says_what_daily_growth_says():
    """Of the same day the same pairs and the same remainder, on quiet, usual and the two worst days of the year."""
    project = config.load(ROOT)
    path = warehouse.prepare(ROOT, Path(project.settings.warehouse))
    worst = [date(2017, 9, 12), date(2017, 9, 19)]
    some = [date(2017, 1, 3) + timedelta(days=45 * n) for n in range(8)]
    for day in [*some, *worst, date(2017, 11, 15)]:
        with warehouse.connect(path, day) as connection:
            (wanted,) = growth.remainder(growth.reconcile(connection, Span(day, day))).itertuples()
        at = instant(day + timedelta(days=1), time(7), ZoneInfo(project.settings.time_zone))
        finding = audits.audit("reconciliation", audits.Scope(project, {}, at)).findings[0]
        numbers = finding.numbers
        assert (numbers["keys"], numbers["keys"] - numbers["matched"]) == (wanted.pairs, wanted.unexplained)
        assert (finding.level is Level.WARN) == (day in worst)
