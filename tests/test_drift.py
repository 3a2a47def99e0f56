"""Fingerprints of tables, and what has drifted from contract and past."""

from __future__ import annotations

import datetime as dt
import json
import string
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.notebook.contracts import Column, Contract
from runner.sources import drift, fingerprint
from runner.sources.drift import Kind

DAY = dt.date(2017, 11, 20)
NINE = dt.datetime(2017, 11, 20, 9)  # noqa: DTZ001 - a source without zones
CONTRACT = Contract(
    "sales",
    {
        "till": Column("int64", low=1),
        "amount": Column("float64", low=0, high=1000),
        "kind": Column("str", values=("cash", "card")),
        "note": Column("str", nullable=True),
        "sold_at": Column("time"),
        "day": Column("day"),
    },
    ("till", "sold_at"),
)


def columns(rows=400, **more):
    """A table that keeps the contract, with some columns replaced, added, or (None) taken away."""
    said = {
        "till": [1 + n % 40 for n in range(rows)],
        "amount": [float(n % 97) for n in range(rows)],
        "kind": [("cash", "card")[n % 2] for n in range(rows)],
        "note": [None if n % 50 == 0 else ("a", "b", "c")[n % 3] for n in range(rows)],
        "sold_at": [NINE + dt.timedelta(minutes=n) for n in range(rows)],
        "day": [DAY] * rows,
    } | more
    return fingerprint.taken(pa.table({name: values for name, values in said.items() if values is not None}))


def kinds(now, before=None):
    """What has changed, as (kind, column)."""
    return [(change.kind, change.column) for change in drift.against(CONTRACT, now, before)]


def test_a_table_as_the_contract_has_it_has_not_drifted():
    """Neither against the contract alone nor against itself."""
    assert kinds(columns()) == []
    assert kinds(columns(), columns()) == []


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"shop": [1] * 400}, (Kind.ADDED, "shop")),
        ({"kind": None}, (Kind.REMOVED, "kind")),
        ({"till": [str(n) for n in range(400)]}, (Kind.RETYPED, "till")),
        ({"day": [NINE] * 400}, (Kind.RETYPED, "day")),
        ({"till": [None, *range(1, 400)]}, (Kind.NULLABLE, "till")),
        ({"amount": [float("nan"), *[1.0] * 399]}, (Kind.NULLABLE, "amount")),
        ({"kind": ["cash", "cheque"] * 200}, (Kind.CATEGORY, "kind")),
        ({"kind": [f"kind {n}" for n in range(400)]}, (Kind.CATEGORY, "kind")),
    ],
    ids=["added", "removed", "retyped", "another clock", "null", "nan", "category", "many categories"],
)
def test_what_breaks_a_report_is_found_by_its_kind(more, found):
    """Each is one change that breaks, with a sentence that names the column."""
    (change,) = drift.against(CONTRACT, columns(**more))
    assert ((change.kind, change.column), change.breaks) == (found, True)
    assert change.column in change.sentence


def test_a_renamed_column_is_known_by_its_content():
    """Under a name that says nothing it is one change, not two; how sure that is, is said."""
    before = columns()
    values = [float(n % 97) for n in range(400)]
    (change,) = drift.against(CONTRACT, columns(amount=None, x=values), before)
    assert (change.kind, change.column, change.breaks) == (Kind.RENAMED, "amount", True)
    assert "now called x" in change.sentence
    assert "% sure" in change.sentence


def test_another_column_of_the_same_type_is_no_rename():
    """What holds other values under another name is gone and new."""
    found = kinds(columns(amount=None, x=[5000.0 + n for n in range(400)]), columns())
    assert found == [(Kind.REMOVED, "amount"), (Kind.ADDED, "x")]


def test_without_a_past_a_like_name_and_kept_rules_make_a_rename():
    """The contract's bounds are kept and the name is like it; where a bound is broken it is no rename."""
    assert kinds(columns(amount=None, amounts=[1.0] * 400)) == [(Kind.RENAMED, "amount")]
    assert kinds(columns(amount=None, amounts=[-1.0] * 400)) == [(Kind.REMOVED, "amount"), (Kind.ADDED, "amounts")]


def test_no_column_is_two_columns():
    """Two that are gone and one that came: at most one of them is renamed."""
    contract = Contract("pair", {"net_price": Column("float64"), "net_cost": Column("float64")})
    now = fingerprint.taken(pa.table({"net": [1.0, 2.0]}))
    found = [change.kind for change in drift.against(contract, now)]
    assert sorted(found) == [Kind.REMOVED, Kind.RENAMED]


def test_what_is_within_the_contract_and_not_as_it_was_is_told_and_breaks_nothing():
    """More empty cells, a category never seen, another exact type."""
    empty = columns(note=[None if n % 3 else "a" for n in range(400)])
    (change,) = drift.against(CONTRACT, empty, columns())
    assert (change.kind, change.column, change.breaks) == (Kind.NULL_RATE, "note", False)
    strange = columns(note=[("a", "b", "c", "d")[n % 4] for n in range(400)])
    (change,) = drift.against(CONTRACT, strange, columns())
    assert (change.kind, change.column, change.breaks) == (Kind.CATEGORY, "note", False)
    (change,) = drift.against(CONTRACT, columns(till=pa.array([1] * 400, pa.int32())), columns())
    assert (change.kind, change.column, change.breaks) == (Kind.RETYPED, "till", False)


def test_few_rows_prove_no_rise():
    """One empty cell of four, where there was none of four, may be chance; of four hundred it is none."""
    few, none = columns(4, note=[None, "a", "a", "a"]), columns(4, note=["a"] * 4)
    assert kinds(few, none) == []
    assert kinds(columns(note=[None, "a", "a", "a"] * 100), columns(note=["a"] * 400)) == [(Kind.NULL_RATE, "note")]


def test_a_column_without_any_value_has_every_type():
    """A source that sends JSON cannot say of what type nothing is."""
    assert kinds(columns(note=pa.nulls(400))) == []


def test_a_day_without_rows_is_held_against_names_alone():
    """No rows prove nothing of types that are only seen in values, and no share of empty cells."""
    assert kinds(columns(0), columns()) == []


def test_facts_are_of_the_contracts_words():
    """Exact money is a number, a coded text is text, a whole number of any width is one."""
    table = pa.table(
        {
            "money": pa.array([Decimal("1.20")]),
            "coded": pa.array(["a"]).dictionary_encode(),
            "small": pa.array([1], pa.uint8()),
            "zoned": pa.array([dt.datetime(2017, 1, 1, tzinfo=dt.UTC)]),
        }
    )
    found = fingerprint.taken(table)
    assert [facts["type"] for facts in found.values()] == ["float64", "str", "int64", "timestamp[us, tz=UTC]"]


def test_a_name_that_comes_twice_is_two_columns():
    """The second is told apart, and so is new to the contract."""
    table = pa.table([[1], [2]], names=["till", "till"])
    assert list(fingerprint.taken(table)) == ["till", "till (2)"]


VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=30),
    st.lists(st.one_of(st.none(), st.floats()), max_size=30),
    st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), max_size=30),
    st.lists(st.one_of(st.none(), st.booleans()), max_size=30),
    st.lists(st.one_of(st.none(), st.dates()), max_size=30),
    st.lists(st.one_of(st.none(), st.datetimes()), max_size=30),
    st.lists(st.one_of(st.none(), st.binary()), max_size=30),
    st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)), max_size=30),
)
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_facts_of_any_table_are_plain_json(tables):
    """Whatever a source sends: no NaN, no infinity, nothing that the ledger could not keep, nothing lost."""
    for name, values in tables.items():
        facts = fingerprint.taken(pa.table({name: values}))
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts
        assert 0 <= facts[name]["nulls"] <= 1


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, st.sampled_from([pa.int64(), pa.string(), pa.float64()]), min_size=1, max_size=6))
def test_the_hash_is_of_names_and_types_alone(schema):
    """The order of columns and the rows are none of its business; a type is."""
    empty = pa.table({name: pa.array([], kind) for name, kind in schema.items()})
    turned = empty.select(empty.column_names[::-1])
    other = pa.table({name: pa.array([], pa.bool_()) for name in schema})
    assert fingerprint.digest(fingerprint.taken(empty)) == fingerprint.digest(fingerprint.taken(turned))
    assert fingerprint.digest(fingerprint.taken(empty)) != fingerprint.digest(fingerprint.taken(other))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5), st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_table_is_held_against_any_other(now, before):
    """Every difference of names is told once, by one change or as a rename, and nothing fails."""
    facts = [{name: f for n, v in t.items() for name, f in fingerprint.taken(pa.table({n: v})).items()}
             for t in (now, before)]  # fmt: skip
    found = drift.against(CONTRACT, *facts)
    renamed = sum(change.kind is Kind.RENAMED for change in found)
    assert sum(change.kind is Kind.REMOVED for change in found) + renamed == len(set(CONTRACT.columns) - set(now))
    assert sum(change.kind is Kind.ADDED for change in found) + renamed == len(set(now) - set(CONTRACT.columns))


def test_a_column_becomes_one_column():
    """One that is gone and two that are like it: one is the new name, the other is new."""
    before = columns()
    values = [float(n % 97) for n in range(400)]
    assert sorted(kinds(columns(amount=None, x=values, y=values), before)) == [
        (Kind.ADDED, "y"),
        (Kind.RENAMED, "amount"),
    ]


def test_infinity_is_no_part_of_a_spread():
    """Every spread has its seven numbers, whatever else is among the values."""
    facts = columns(amount=[float("inf"), float("-inf"), float("nan"), *map(float, range(397))])["amount"]
    assert len(facts["spread"]) == 7
