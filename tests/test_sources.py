"""Files, another DuckDB file and the demonstration data as sources; and what all kinds have in common."""

from __future__ import annotations

import csv
import io
import threading
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from runner.config import ends
from runner.errors import SourceFailed, Trouble
from runner.notebook import warehouse
from runner.sources import cells, commas
from runner.sources.access import Access
from runner.sources.catalog import opened, places
from runner.sources.cells import BadCellError
from runner.sources.files import Files
from runner.sources.limit import within
from runner.sources.source import Want, Wanted
from tests import store as stores
from tests.source_samples import COLUMNS, CSV, FIRST, LAST, access, outcome, want
from tests.test_web import LINES

HEADER, FIRST_LINE, SECOND_LINE, *THIRD_LINE = CSV.splitlines(keepends=True)
BY_DAY = {"2017-11-15": HEADER + FIRST_LINE + SECOND_LINE, "2017-11-16": HEADER + b"".join(THIRD_LINE)}
EACH_DAY = "lines/{day}.csv"
TYPES = {
    "id": "int64",
    "code": "string",
    "amount": "decimal128(38, 9)",
    "sold_at": "timestamp[us]",
    "day": "date32[day]",
}
ROWS = [
    {"id": 1, "code": "00123", "amount": Decimal("1.1"), "sold_at": datetime(2017, 11, 15, 9), "day": FIRST},  # noqa: DTZ001
    {"id": 2, "code": None, "amount": Decimal("19.99"), "sold_at": datetime(2017, 11, 15, 10, 30), "day": FIRST},  # noqa: DTZ001
    {"id": 3, "code": "a,b\nc", "amount": Decimal(5), "sold_at": datetime(2017, 11, 16), "day": LAST},  # noqa: DTZ001
]


@pytest.fixture
def drop(tmp_path):
    """A folder with a CSV file for each of the two days."""
    (tmp_path / "drop" / "lines").mkdir(parents=True)
    for day, data in BY_DAY.items():
        (tmp_path / "drop" / "lines" / f"{day}.csv").write_bytes(data)
    return tmp_path / "drop"


def source(drop, **config):
    """The folder as a project has it, which lies beside its config."""
    keys = {"kind": "files", "title": "Drop folder", "url": drop.name, "format": "csv", **config}
    return opened("drop", ends.Source(**keys), drop.parent, stores.KEYS)


# Files.


def test_csv_by_day(drop):
    """The files of the days asked for are one table of the contract's types, exactly as written."""
    table = source(drop).read(want(EACH_DAY), 10)
    assert table.to_pylist() == ROWS
    assert {field.name: str(field.type) for field in table.schema} == TYPES


def test_one_file_of_all_days(drop):
    """Of a file that holds all days, only those asked for come."""
    (drop / "lines.csv").write_bytes(CSV)
    assert source(drop).read(want(first=LAST), 10)["id"].to_pylist() == [3]
    assert source(drop).read(want(first=None, last=None), 10).num_rows == 3


def test_parquet(drop):
    """Parquet keeps its own types; a file of all days is cut to those asked for."""
    table = pa.table({**{name: [row[name] for row in ROWS] for name in ROWS[0]}, "more": [1, 2, 3]})
    parquet.write_table(table, drop / "lines.parquet")
    found = source(drop, format="parquet").read(want(last=FIRST), 10)
    assert found.to_pylist() == [{**row, "more": number} for number, row in enumerate(ROWS[:2], 1)]


def test_the_folder_is_the_projects(drop):
    """A path is looked for in the project's folder; one from the root stands as it is."""
    source(drop).probe(5)
    source(drop, url=str(drop)).probe(5)
    assert outcome(lambda: source(drop, url="elsewhere").probe(5)).trouble == Trouble.SOURCE_UNAVAILABLE


def test_a_day_that_is_not_there_yet(drop):
    """A missing file of a folder that is there is data that have not come."""
    error = outcome(lambda: source(drop).read(want(EACH_DAY, last=date(2017, 11, 17)), 10))
    assert (error.trouble, error.passing) == (Trouble.DATA_INCOMPLETE, False)
    assert "2017-11-17" in error.what


def test_a_folder_that_is_gone(drop):
    """A missing folder is a source that is down."""
    drop.rename(drop.with_name("moved"))
    for question in (lambda: source(drop).read(want(EACH_DAY), 10), lambda: source(drop).probe(5)):
        error = outcome(question)
        assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)


DAMAGED = {
    "empty": (b"", Trouble.DATA_INCOMPLETE, True),
    "torn in a number": (BY_DAY["2017-11-15"][:-20], Trouble.DATA_INCOMPLETE, True),
    "without the last line break": (BY_DAY["2017-11-15"][:-1], Trouble.DATA_INCOMPLETE, True),
    "torn in quotes": (HEADER + b'1,"abc\n', Trouble.DATA_INCOMPLETE, True),
    "latin-1": (HEADER + "1,é,1,2017-11-15 09:00,2017-11-15\n".encode("latin-1"), Trouble.SCHEMA_CHANGED, False),
    "utf-16": (CSV.decode().encode("utf-16"), Trouble.SCHEMA_CHANGED, False),
    "a page of words": (b"<html>Back soon</html>\n", Trouble.SCHEMA_CHANGED, False),
    "a column lost": (b"id,code,amount,day\n1,a,1,2017-11-15\n", Trouble.SCHEMA_CHANGED, False),
    "a column twice": (HEADER.strip() + b",id\n1,a,1,2017-11-15 09:00,2017-11-15,1\n", Trouble.SCHEMA_CHANGED, False),
    "a cell too few": (HEADER + FIRST_LINE + b"2,a,1,2017-11-15\n", Trouble.SCHEMA_CHANGED, False),
    "a cell too many": (HEADER + FIRST_LINE.strip() + b",1\n", Trouble.SCHEMA_CHANGED, False),
    "an empty line": (HEADER + b"\n" + FIRST_LINE, Trouble.SCHEMA_CHANGED, False),
    "a stray quote": (HEADER + b'1,"a"b",""""\n', Trouble.DATA_INCOMPLETE, True),
    "words after a quote": (HEADER + b'1,"a"b,1,2017-11-15 09:00,2017-11-15\n', Trouble.SCHEMA_CHANGED, False),
    "semicolons": (CSV.replace(b",", b";"), Trouble.SCHEMA_CHANGED, False),
    "a comma in a number": (HEADER + b'1,a,"1,10",2017-11-15 09:00,2017-11-15\n', Trouble.SCHEMA_CHANGED, False),
    "a number with a letter": (HEADER + b"0x1F,a,1,2017-11-15 09:00,2017-11-15\n", Trouble.SCHEMA_CHANGED, False),
    "a number too large": (
        HEADER + b"9223372036854775808,a,1,2017-11-15 09:00,2017-11-15\n",
        Trouble.SCHEMA_CHANGED,
        False,
    ),
    "not a number": (HEADER + b"1,a,NaN,2017-11-15 09:00,2017-11-15\n", Trouble.SCHEMA_CHANGED, False),
    "no such day": (HEADER + b"1,a,1,2017-11-15 09:00,2017-11-31\n", Trouble.SCHEMA_CHANGED, False),
    "no such time": (HEADER + b"1,a,1,2017-11-15 25:00,2017-11-15\n", Trouble.SCHEMA_CHANGED, False),
    "another day": (BY_DAY["2017-11-16"], Trouble.SCHEMA_CHANGED, False),
}


@pytest.mark.parametrize(("data", "trouble", "passing"), DAMAGED.values(), ids=DAMAGED)
def test_csv_that_is_damaged(drop, data, trouble, passing):
    """Each way in which a file can be wrong has its trouble, and nothing of it becomes a table."""
    (drop / "lines" / "2017-11-15.csv").write_bytes(data)
    error = outcome(lambda: source(drop).read(want(EACH_DAY, last=FIRST), 10))
    assert (error.trouble, error.passing) == (trouble, passing)


def test_a_bad_cell_is_named_by_its_line(drop):
    """A cell is named by its line, where cells before it hold line breaks, too; what stands in it is not said."""
    data = HEADER + b'1,"a\nb\nc",1,2017-11-15 09:00,2017-11-15\nprivate,,1,2017-11-15 09:00,2017-11-15\n'
    (drop / "lines" / "2017-11-15.csv").write_bytes(data)
    assert outcome(lambda: source(drop).read(want(EACH_DAY), 10)).what == (
        "Drop folder has in lines/2017-11-15.csv, line 5, a 'id' that is not a whole number."
    )


def test_empty_cells(drop):
    """An empty cell is null; in text that may not be null, and within quotes, it is the empty text."""
    columns = (Wanted("a", "str"), Wanted("b", "str", nullable=True), Wanted("c", "int64"))
    (drop / "t.csv").write_bytes(b'a,b,c\n,,\n"","",1\n')
    found = source(drop).read(Want("t", "t", columns), 10)
    assert found.to_pylist() == [{"a": "", "b": None, "c": None}, {"a": "", "b": "", "c": 1}]


def test_times_with_offsets(drop):
    """Times of which all have an offset are instants; where only some have one, none can be understood."""
    want_times = Want("t", "t", (Wanted("at", "time"),))
    (drop / "t.csv").write_bytes(b"at\n2017-11-15T10:00:00+02:00\n2017-11-15 08:00:00Z\n")
    found = source(drop).read(want_times, 10)["at"]
    assert found.type == pa.timestamp("us", "UTC")
    assert len(set(found.to_pylist())) == 1
    (drop / "t.csv").write_bytes(b"at\n2017-11-15T10:00:00+02:00\n2017-11-15 08:00:00\n")
    assert "line 3" in outcome(lambda: source(drop).read(want_times, 10)).what


def test_torn_parquet(drop):
    """Half a Parquet file, and one of which bytes were changed, may be whole in a moment."""
    whole = io.BytesIO()
    table = pa.table({column.name: [row[column.name] for row in ROWS] for column in COLUMNS})
    parquet.write_table(table, whole, write_page_checksum=True, compression=None)
    data = whole.getvalue()
    spoilt = data.replace(b"00123", b"00124", 1)
    for torn in (b"", data[: len(data) // 2], data[:-1], b"PAR1", spoilt):
        (drop / "lines.parquet").write_bytes(torn)
        error = outcome(lambda: source(drop, format="parquet").read(want(), 10))
        assert (error.trouble, error.passing) == (Trouble.DATA_INCOMPLETE, True)


def test_parquet_without_a_column(drop):
    """A Parquet file without a column of the contract is a changed schema."""
    parquet.write_table(pa.table({"id": [1], "day": [FIRST]}), drop / "lines.parquet")
    error = outcome(lambda: source(drop, format="parquet").read(want(), 10))
    assert error.trouble == Trouble.SCHEMA_CHANGED
    assert "'code', 'amount', 'sold_at'" in error.what


def test_columns_that_do_not_fit_together(drop):
    """Files of two days whose columns have types that cannot be one are a changed schema."""
    for day, value in ((FIRST, 1), (LAST, "one")):
        parquet.write_table(pa.table({"id": [value], "day": [day]}), drop / f"{day}.parquet")
    asked = want("{day}.parquet", columns=(Wanted("id", "int64"),))
    assert outcome(lambda: source(drop, format="parquet").read(asked, 10)).trouble == Trouble.SCHEMA_CHANGED


def test_rights_of_a_folder(drop):
    """What may be done with a folder shows, and that anyone may write there."""
    drop.chmod(0o755)
    before = source(drop).rights(5)
    drop.chmod(0o777)
    assert "read" in before
    assert source(drop).rights(5) - before == {"write by anyone"}


def test_a_file_system_that_says_no(drop):
    """Whatever a file system says no to is known as what it is, and in our own words."""
    for error, trouble, passing in (
        (PermissionError("s3cret"), Trouble.PERMISSION_REVOKED, False),
        (OSError("s3cret"), Trouble.SOURCE_UNAVAILABLE, True),
        (TimeoutError("s3cret"), Trouble.SOURCE_UNAVAILABLE, True),
    ):
        asked = Files(access(drop.parent, kind="files", url=drop.name))
        with pytest.raises(SourceFailed) as caught, asked._folder(1)._failing():
            raise error
        assert (caught.value.trouble, caught.value.passing) == (trouble, passing)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "nosuch::x://y", "s3://bucket"])
def test_an_address_that_cannot_be_used(drop, url):
    """An unknown kind of address, and options that it does not take, are a failure that says where to mend it."""
    options = {"anon": True, "username": "a", "key": "b"} if url.startswith("s3") else {}
    error = outcome(lambda: source(drop, url=url, options=options).probe(5))
    assert "sources.yml" in error.remedy


# An object store.


@pytest.fixture(scope="module")
def bucket():
    with stores.serving() as store:
        for day, data in BY_DAY.items():
            store.put(f"bucket/tills/lines/{day}.csv", data)
        yield store


def in_store(bucket, url="s3://bucket/tills", environment=stores.KEYS, **options):
    keys = {"kind": "files", "title": "Object store", "url": url, "format": "csv"}
    config = ends.Source(**keys, options={**bucket.options, **options})
    return opened("store", config, None, environment)


def test_a_store_is_read(bucket):
    """Files of an object store read as those of a folder do, with keys from the environment."""
    asked = in_store(bucket)
    asked.probe(10)
    assert asked.read(want(EACH_DAY), 10).to_pylist() == ROWS
    assert asked.rights(10) is None


def test_what_is_not_in_a_store(bucket):
    """A missing object is data that have not come; a missing folder or bucket is a source that is down."""
    missing = in_store(bucket).read
    assert outcome(lambda: missing(want(EACH_DAY, last=date(2017, 11, 17)), 10)).trouble == Trouble.DATA_INCOMPLETE
    for url in ("s3://bucket/other", "s3://nowhere/tills"):
        error = outcome(lambda url=url: in_store(bucket, url).read(want(EACH_DAY), 10))
        assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)


def test_a_key_that_is_not_set(bucket):
    """A missing key is a credential that does not let us in."""
    error = outcome(lambda: in_store(bucket, environment={}).probe(5))
    assert error.trouble == Trouble.PERMISSION_REVOKED
    assert "S3_KEY" in str(error)


def test_a_store_that_is_down():
    """A refused connection may pass, is not tried again by the library itself, and shows no secret."""
    asked = in_store(stores.Store("http://127.0.0.1:1"))
    error = outcome(lambda: asked.probe(10))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)
    assert "s3cret" not in f"{error} {asked!r}"


# Another DuckDB file, and the demonstration data.


def ducks(folder, **config):
    return opened("duck", ends.Source(kind="duckdb", title="Other file", file="other.duckdb", **config), folder, {})


@pytest.fixture
def duck(tmp_path):
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.lines (id BIGINT, code VARCHAR, amount DECIMAL(10, 2), "
            "sold_at TIMESTAMP, day DATE)"
        )
        for row in ROWS:
            connection.execute("INSERT INTO shop.lines VALUES (?, ?, ?, ?, ?)", list(row.values()))
        (tmp_path / "private.csv").write_text("a\n1\n")
        connection.execute(f"CREATE VIEW spy AS SELECT * FROM '{tmp_path / 'private.csv'}'")
    return tmp_path


def test_another_duckdb_file(duck):
    """The rows of the days asked for come from a file that is opened for reading only."""
    ducks(duck).probe(5)
    assert ducks(duck).read(want("shop.lines", last=FIRST), 10).to_pylist() == ROWS[:2]


def test_what_a_duckdb_file_has_not(duck):
    """A missing table or column is a changed schema, a missing file a source that is down, no DuckDB file likewise."""
    assert outcome(lambda: ducks(duck).read(want("nowhere"), 5)).trouble == Trouble.SCHEMA_CHANGED
    assert outcome(lambda: ducks(duck).read(want("shop.lines", day="date"), 5)).trouble == Trouble.SCHEMA_CHANGED
    (duck / "other.duckdb").write_bytes(b"nothing of the kind" * 1000)
    assert outcome(lambda: ducks(duck).probe(5)).trouble == Trouble.SOURCE_UNAVAILABLE
    (duck / "other.duckdb").unlink()
    error = outcome(lambda: ducks(duck).probe(5))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)


def test_a_view_of_a_duckdb_file_sees_that_file_alone(duck):
    """A view that reads another file is refused."""
    outcome(lambda: ducks(duck).read(Want("spy", "spy", ()), 5))


def demonstration():
    config = ends.Source(kind="package", title="Demonstration data")
    return opened("demonstration", config, None, {})


def test_the_demonstration_data():
    """A table of the package reads like any other: by days, with the types of the warehouse."""
    asked = Want("redemptions", "redemptions", (), "day", FIRST, LAST)
    demonstration().probe(5)
    found = demonstration().read(asked, 20)
    with duckdb.connect() as connection:
        sql = warehouse.TABLES["redemptions"].format(data=warehouse.source_folder())
        rows = connection.execute(f"SELECT * FROM ({sql}) WHERE day BETWEEN ? AND ?", [FIRST, LAST]).fetchall()
    assert sorted(map(tuple, (row.values() for row in found.to_pylist()))) == sorted(rows)
    assert rows
    assert outcome(lambda: demonstration().read(Want("x", "x", ()), 5)).trouble == Trouble.SCHEMA_CHANGED


# What all kinds have in common.


def test_nothing_connects_before_it_is_asked(tmp_path):
    """Sources that are nowhere are opened all the same, with the tables read from them, and shown without secrets."""
    sources = ends.Sources(
        sources={
            "tills": ends.Source(kind="http", title="A", url="https://tills.invalid", token="env:T"),
            "replica": ends.Source(kind="sql", title="B", url="env:R"),
        },
        tables={"lines": ends.Table(**{"from": ("tills", "replica")}), "other": ends.Table(**{"from": ("replica",)})},
    )
    found = places(["tills", "replica"], sources, tmp_path, {"T": "s3cret", "R": "postgresql+psycopg://u:s3cret@h/d"})
    assert [place.name for place in found] == ["tills", "replica"]
    assert list(found[1].source.access.tables) == ["lines", "other"]
    assert "s3cret" not in repr(found)


def test_a_question_that_hangs_is_left():
    """A question that never ends is over when its time is; what it raises in time comes out as it is."""
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.01, never.wait)
    never.set()
    with pytest.raises(KeyError):
        within(5, lambda: {}["lost"])
    assert within(5, lambda: 7) == 7


# Any bytes at all.

HERE = Access("drop", ends.Source(kind="files", title="Drop", url="x"), None, {})


def read_csv(data, columns=COLUMNS):
    try:
        table = commas.table(HERE, Want("lines", "lines", columns), "lines.csv", data)
    except SourceFailed:
        return None
    table.validate(full=True)
    return table


@given(st.binary(max_size=60) | st.text(st.sampled_from('a,1"\n\r é'), max_size=30).map(str.encode))
def test_any_bytes_as_csv(data):
    """Any bytes are a clean failure, or a table with the very records that a strict reader sees."""
    table = read_csv(data, ())
    if table is not None:
        records = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
        assert table.column_names == records[0] or len(table.column_names) == 1
        assert table.num_rows == len(records) - 1
        for name, *expected in zip(*(record or [""] for record in records), strict=True):
            assert [cell or "" for cell in table[name].to_pylist()] == expected


@given(st.lists(LINES.map(lambda row: {**row, "code": row["code"] or ""}), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_what_comes(rows, end):
    """Every table that CSV can hold comes as it was written, to the last digit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in COLUMNS], lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({**row, "amount": format(Decimal(row["amount"]), "f"), "code": row["code"]} for row in rows)
    table = read_csv(text.getvalue().encode())
    found = [{**row, "code": row["code"] or ""} for row in table.to_pylist()]
    assert found == [{**row, "amount": Decimal(row["amount"])} for row in rows]


@given(st.integers(0, len(CSV)), st.integers(0, 4), st.binary(max_size=4))
def test_csv_of_which_bytes_are_damaged(start, lost, put):
    """A file of which bytes are lost, changed or added is a failure, or says in every cell what its bytes say."""
    data = CSV[:start] + put + CSV[start + lost :]
    table = read_csv(data)
    if table is not None:
        records = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
        for name, said in (("id", int), ("amount", Decimal), ("day", date.fromisoformat)):
            assert table[name].to_pylist() == [said(record[name]) if record[name] else None for record in records]


def whole_parquet():
    held = io.BytesIO()
    table = pa.table({column.name: [row[column.name] for row in ROWS] for column in COLUMNS})
    parquet.write_table(table, held, write_page_checksum=True)
    return held.getvalue()


PARQUET = whole_parquet()


@settings(max_examples=150)
@given(st.integers(0, len(PARQUET)), st.integers(0, 4), st.binary(max_size=4))
def test_parquet_of_which_bytes_are_damaged(start, lost, put):
    """Any bytes as Parquet are a clean failure, or a table that is sound throughout."""
    data = PARQUET[:start] + put + PARQUET[start + lost :]
    asked = Files(access(kind="files", url="x"))
    try:
        table = asked._parquet(want(), "lines.parquet", data)
    except SourceFailed:
        return
    table.validate(full=True)
    table.to_pylist()


@given(st.text(st.sampled_from("0123456789+-.eE aN:TZ"), max_size=12), st.sampled_from(list(cells.SHOULD_BE)))
def test_any_text_as_any_type(text, kind):
    """A cell becomes the value that its text says, or is a bad cell; nothing is guessed."""
    try:
        value = cells.typed(Wanted("x", kind), pa.array([text]))[0].as_py()
    except BadCellError:
        return
    if kind == "int64":
        assert value == int(text)
    elif kind == "float64":
        assert Decimal(value) == Decimal(text) or float(value) == float(text)
    elif kind == "str":
        assert value == text
    else:
        assert value.isoformat().startswith(text[:10])
