"""An API as a source: what it is asked, and that every way in which it can be wrong is known as what it is."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import traceback
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pyarrow as pa
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config import ends
from runner.errors import SourceFailed, Trouble
from runner.sources.catalog import opened
from runner.sources.inquiry import Patience, Place, ask
from runner.sources.web import Web
from tests.scripted_api import Api, Fault, serving
from tests.source_samples import COLUMNS, FIRST, LAST, ROWS, access, outcome, want

SECRET = "tok-3n-of-the-tills"


@pytest.fixture(scope="module")
def server():
    with serving(Api()) as api:
        yield api


@pytest.fixture
def api(server):
    server.tables, server.watermarks, server.token, server.scopes = {"lines": ROWS}, {}, None, []
    server.faults.clear()
    server.asked.clear()
    return server


def source(api, **config):
    """The API as a project has it, two rows a page."""
    keys = {"kind": "http", "title": "Till API", "url": api.url, "page_size": 2, **config}
    return opened("tills", ends.Source(**keys), None, {"TILLS_TOKEN": SECRET})


def test_all_pages_become_one_table(api):
    """Rows of several pages are one table of the contract's types: text stays text, money exact, null null."""
    table = source(api).read(want(), 5)
    assert table.to_pylist() == [
        {"id": 1, "code": "00123", "amount": Decimal("1.1"), "sold_at": datetime(2017, 11, 15, 9), "day": FIRST},  # noqa: DTZ001
        {"id": 2, "code": None, "amount": Decimal("19.99"), "sold_at": datetime(2017, 11, 15, 10, 30), "day": FIRST},  # noqa: DTZ001
        {"id": 3, "code": "a,b\nc", "amount": Decimal(5), "sold_at": datetime(2017, 11, 16), "day": LAST},  # noqa: DTZ001
    ]
    assert [path for path, _ in api.asked] == [
        f"/lines?first=2017-11-15&last=2017-11-16&page={number}&page_size=2" for number in (1, 2)
    ]


def test_one_day(api):
    """Only the rows of the days asked for come."""
    assert source(api).read(want(first=LAST), 5)["id"].to_pylist() == [3]


def test_a_table_read_whole(api):
    """A table without a day is asked for without days."""
    assert source(api).read(want(day=None, first=None, last=None), 5).num_rows == 3
    assert "first" not in api.asked[0][0]


def test_no_rows(api):
    """An empty answer is a table without rows, with the contract's columns and types."""
    api.tables = {"lines": []}
    table = source(api).read(want(), 5)
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])
    assert table.schema.field("amount").type == pa.decimal128(38, 9)


def test_without_a_contract(api):
    """Without a contract every column has the type that its values share."""
    table = source(api).read(want(columns=(), day=None), 5)
    assert [str(field.type) for field in table.schema][:2] == ["int64", "string"]


def test_columns_that_are_new(api):
    """A column that no contract knows is in the table, so that whoever compares can see it."""
    api.tables = {"lines": [{**row, "loyal": number % 2 == 0} for number, row in enumerate(ROWS)]}
    assert source(api).read(want(), 5)["loyal"].to_pylist() == [True, False, True]


def revise(**changes):
    return lambda page: page.update(changes)


def of_rows(change):
    return lambda page: page.update(rows=[change(dict(row)) for row in page["rows"]])


WRONG = {
    "torn JSON": (Fault(body=b'{"rows": [{"id": 1'), Trouble.SOURCE_UNAVAILABLE, True),
    "torn in the middle": (Fault(how="torn"), Trouble.SOURCE_UNAVAILABLE, True),
    "dropped": (Fault(how="dropped"), Trouble.SOURCE_UNAVAILABLE, True),
    "no bytes": (Fault(body=b""), Trouble.SOURCE_UNAVAILABLE, True),
    "NaN": (Fault(body=b'{"rows": [], "page": 1, "pages": 1, "total": NaN}'), Trouble.SOURCE_UNAVAILABLE, True),
    "a key twice": (
        Fault(body=b'{"rows": [], "page": 1, "pages": 1, "total": 0, "total": 1}'),
        Trouble.SOURCE_UNAVAILABLE,
        True,
    ),
    "latin-1": (Fault(body='{"rows": "é"}'.encode("latin-1")), Trouble.SOURCE_UNAVAILABLE, True),
    "nested": (Fault(body=b"[" * 200_000), Trouble.SOURCE_UNAVAILABLE, True),
    "a long number": (Fault(body=b'{"rows": [], "total": ' + b"9" * 9000 + b"}"), Trouble.SOURCE_UNAVAILABLE, True),
    "a page of words": (
        Fault(headers={"Content-Type": "text/html"}, body=b"<h1>Back soon</h1>"),
        Trouble.SOURCE_UNAVAILABLE,
        True,
    ),
    "not gzip": (Fault(headers={"Content-Encoding": "gzip"}), Trouble.SOURCE_UNAVAILABLE, True),
    "500": (Fault(500), Trouble.SOURCE_UNAVAILABLE, True),
    "503": (Fault(503), Trouble.SOURCE_UNAVAILABLE, True),
    "429": (Fault(429), Trouble.SOURCE_UNAVAILABLE, True),
    "408": (Fault(408), Trouble.SOURCE_UNAVAILABLE, True),
    "401": (Fault(401), Trouble.PERMISSION_REVOKED, False),
    "403": (Fault(403), Trouble.PERMISSION_REVOKED, False),
    "404": (Fault(404), Trouble.SCHEMA_CHANGED, False),
    "400": (Fault(400), Trouble.SCHEMA_CHANGED, False),
    "elsewhere": (Fault(302, {"Location": "http://127.0.0.1:1/x"}), Trouble.SOURCE_UNAVAILABLE, False),
    "a list": (Fault(body=b"[]"), Trouble.SCHEMA_CHANGED, False),
    "no rows": (Fault(edit=lambda page: page.pop("rows")), Trouble.SCHEMA_CHANGED, False),
    "rows are text": (Fault(edit=revise(rows="many")), Trouble.SCHEMA_CHANGED, False),
    "rows are lists": (Fault(edit=revise(rows=[[1]])), Trouble.SCHEMA_CHANGED, False),
    "pages are text": (Fault(edit=revise(pages="2")), Trouble.SCHEMA_CHANGED, False),
    "no pages": (Fault(edit=revise(pages=0)), Trouble.SCHEMA_CHANGED, False),
    "a truth for a page": (Fault(edit=revise(page=True)), Trouble.SCHEMA_CHANGED, False),
    "a column lost": (Fault(edit=of_rows(lambda row: row.pop("amount") and row)), Trouble.SCHEMA_CHANGED, False),
    "a column renamed": (Fault(edit=of_rows(lambda row: {**row, "Id": row.pop("id")})), Trouble.SCHEMA_CHANGED, False),
    "one row short": (Fault(edit=lambda page: page["rows"][1].pop("code")), Trouble.SCHEMA_CHANGED, False),
    "ids as text": (Fault(edit=of_rows(lambda row: {**row, "id": "1"})), Trouble.SCHEMA_CHANGED, False),
    "ids as truths": (Fault(edit=of_rows(lambda row: {**row, "id": True})), Trouble.SCHEMA_CHANGED, False),
    "ids with a point": (Fault(edit=of_rows(lambda row: {**row, "id": 1.0})), Trouble.SCHEMA_CHANGED, False),
    "ids too large": (Fault(edit=of_rows(lambda row: {**row, "id": 2**63})), Trouble.SCHEMA_CHANGED, False),
    "half a letter": (Fault(edit=of_rows(lambda row: {**row, "code": "\ud800"})), Trouble.SCHEMA_CHANGED, False),
    "money in words": (Fault(edit=of_rows(lambda row: {**row, "amount": "nan"})), Trouble.SCHEMA_CHANGED, False),
    "money without end": (Fault(edit=of_rows(lambda row: {**row, "amount": "1e999"})), Trouble.SCHEMA_CHANGED, False),
    "no such day": (Fault(edit=of_rows(lambda row: {**row, "day": "2017-02-30"})), Trouble.SCHEMA_CHANGED, False),
    "another day": (Fault(edit=of_rows(lambda row: {**row, "day": "2017-11-14"})), Trouble.SCHEMA_CHANGED, False),
    "without a day": (Fault(edit=of_rows(lambda row: {**row, "day": None})), Trouble.SCHEMA_CHANGED, False),
    "another page": (Fault(edit=revise(page=2)), Trouble.DATA_INCOMPLETE, True),
    "too few pages": (Fault(edit=revise(pages=1)), Trouble.DATA_INCOMPLETE, True),
    "too many pages": (Fault(edit=revise(pages=3)), Trouble.DATA_INCOMPLETE, True),
    "endless pages": (Fault(edit=revise(pages=10**9)), Trouble.SOURCE_UNAVAILABLE, False),
    "more than it says": (Fault(edit=revise(total=1)), Trouble.DATA_INCOMPLETE, True),
    "fewer than it says": (Fault(edit=revise(total=4)), Trouble.DATA_INCOMPLETE, True),
    "changing": (Fault(edit=revise(version="a")), Trouble.DATA_INCOMPLETE, True),
}


@pytest.mark.parametrize(("fault", "trouble", "passing"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_known(api, fault, trouble, passing):
    """Each way of being wrong has its trouble, is retried or not, and nothing of it becomes a table."""
    api.fail(fault)
    error = outcome(lambda: source(api).read(want(), 5))
    assert (error.trouble, error.passing) == (trouble, passing)
    assert error.what.startswith("Till API ")


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"total": 4}, "fewer rows than it says"),
        ({"total": 2}, "more rows than it says"),
        ({"pages": 1}, "fewer rows than it says"),
        ({"pages": 3, "total": 4}, "fewer rows than it says"),
    ],
)
def test_a_lie_that_is_told_on_every_page(api, lie, said):
    """Counts that are the same on every page, and wrong, are found by counting the rows."""
    api.fail(*[Fault(edit=revise(**lie))] * 3)
    error = outcome(lambda: source(api).read(want(), 5))
    assert (error.trouble, error.passing) == (Trouble.DATA_INCOMPLETE, True)
    assert said in error.what


def test_a_page_that_comes_twice(api):
    """The rows of one page in the place of another's are noticed, though the count adds up."""
    api.tables = {"lines": [{**ROWS[0], "id": number} for number in range(4)]}
    api.fail(None, Fault(edit=lambda page: page.update(rows=[{**ROWS[0], "id": number} for number in range(2)])))
    error = outcome(lambda: source(api).read(want(), 5))
    assert (error.trouble, error.passing) == (Trouble.DATA_INCOMPLETE, True)
    assert "twice" in error.what


def test_a_bad_cell_is_named_by_its_row(api):
    """A cell of the second page is named by its row of the whole answer, and what stands in it is not said."""
    api.fail(None, Fault(edit=of_rows(lambda row: {**row, "id": "private"})))
    assert outcome(lambda: source(api).read(want(), 5)).what == (
        "Till API has in lines, row 3, a 'id' that is not a whole number."
    )


def test_a_number_that_is_wrong_on_a_later_page(api):
    """Text that is read at the end is named by its row, too."""
    api.fail(None, Fault(edit=of_rows(lambda row: {**row, "day": "16.11.2017"})))
    assert "row 3, a 'day' that is not a day" in outcome(lambda: source(api).read(want(), 5)).what


@pytest.mark.parametrize("how", ["silent", "drip"])
def test_the_answer_is_bounded_as_a_whole(api, how):
    """A server that says nothing, or a byte again and again, ends the question when its time is over."""
    api.fail(Fault(how=how, headers={"Content-Length": "1000000"} if how == "drip" else {}))
    error = outcome(lambda: source(api).read(want(), 0.2))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)


def test_a_drip_ends_the_reading_itself(api):
    """Without the bound around it, too, reading ends soon after the time that it was given."""
    api.fail(Fault(how="drip", headers={"Content-Length": "1000000"}))
    keys = access(kind="http", url=api.url)
    assert "in time" in outcome(lambda: Web(keys).read(want(), 0.2)).what


def huge(size):
    packed = gzip.compress(b"[" + b" " * size)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=packed))


def test_a_page_is_bounded_in_bytes():
    """A small packed page that unpacks to more than a page may hold is refused."""
    asked = Web(access(kind="http", url="http://localhost"), huge(2_000_000), largest=2_000_000)
    error = outcome(lambda: asked.read(want(), 60))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, False)
    assert "2 MB" in error.what


def test_nobody_is_there():
    """A refused connection may pass."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        error = outcome(lambda: Web(access(kind="http", url=url)).probe(2))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)


def test_no_such_machine():
    """A name that is not resolved may pass."""
    error = outcome(lambda: Web(access(kind="http", url="http://tills.invalid")).probe(5))
    assert (error.trouble, error.passing) == (Trouble.SOURCE_UNAVAILABLE, True)


NOW = datetime(2017, 11, 16, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("120", 120.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after(api, said, wait):
    """Retry-After is understood as seconds and as a date, and as nothing where it is neither."""
    api.fail(Fault(429, {"Retry-After": said}))
    keys = access(kind="http", url=api.url)
    assert outcome(lambda: Web(keys, now=lambda: NOW).read(want(), 5)).wait == wait


def test_retried_until_it_answers(api):
    """Asked with patience, an API that fails twice in different ways gives its table."""
    api.fail(Fault(429, {"Retry-After": "3"}), Fault(how="dropped"))
    slept = []
    place = Place("tills", ends.Source(kind="http", title="Till API", url=api.url), source(api))
    answer = ask(
        [place], lambda each, left: each.read(want(), left), Patience(1e9, lambda: 0.0, slept.append, lambda: 0.5)
    )
    assert answer.value.num_rows == 3
    assert [each.trouble for each in answer.tries] == [Trouble.SOURCE_UNAVAILABLE, Trouble.SOURCE_UNAVAILABLE, None]
    assert slept[0] == 3.0


def test_the_token_is_sent(api):
    """The token of the environment lets us in, and another one does not."""
    api.token = SECRET
    assert source(api, token="env:TILLS_TOKEN").read(want(), 5).num_rows == 3
    api.token = "renewed"
    assert outcome(lambda: source(api, token="env:TILLS_TOKEN").probe(5)).trouble == Trouble.PERMISSION_REVOKED


def test_the_token_stays_here(api):
    """A redirect to another address is not followed: nobody there is sent anything."""
    with serving(Api(tables={"lines": ROWS})) as other:
        api.fail(Fault(307, {"Location": other.url + "/lines"}))
        error = outcome(lambda: source(api, token="env:TILLS_TOKEN").read(want(), 5))
        assert "elsewhere" in error.what
        assert other.asked == []


@pytest.mark.parametrize("url", ["http://tills.example.com", "http://u:p@tills.example.com"])
def test_no_secret_without_encryption(url):
    """A token or a password is not sent over a line that anyone can read."""
    token = {} if "@" in url else {"token": "env:TOKEN"}
    keys = access(environment={"TOKEN": SECRET, "URL": url}, kind="http", url="env:URL", **token)
    transport = httpx.MockTransport(lambda request: pytest.fail(f"{request} was sent"))
    assert "without encryption" in outcome(lambda: Web(keys, transport).probe(5)).what


def test_a_secret_that_is_not_set(api):
    """A missing secret is a credential that does not let us in, and names its variable."""
    error = outcome(lambda: source(api, token="env:OTHER").probe(5))
    assert error.trouble == Trouble.PERMISSION_REVOKED
    assert "OTHER" in str(error)


@pytest.mark.parametrize(
    "fault", [Fault(401), Fault(500), Fault(how="dropped"), Fault(302, {"Location": "http://x"}), None]
)
def test_the_token_is_never_shown(api, fault, caplog):
    """Whatever happens, no error, no cause of it that is shown, no representation and no log line holds the token."""
    api.fail(fault)
    caplog.set_level(logging.DEBUG)
    asked = source(api, token="env:TILLS_TOKEN")
    shown = [repr(asked)]
    try:
        asked.read(want(), 5)
    except SourceFailed as error:
        shown += [repr(error), *traceback.format_exception(error)]
    assert SECRET not in " ".join([*shown, caplog.text])
    assert any(SECRET in headers.get("Authorization", "") for _, headers in api.asked)


@pytest.mark.parametrize("token", ["two\nlines", "a b", "schlüssel"])
def test_a_token_that_no_header_holds(token):
    """A token that cannot be sent is a failure that does not show it."""
    keys = access(environment={"TOKEN": token}, kind="http", url="http://localhost", token="env:TOKEN")
    error = outcome(lambda: Web(keys).probe(1))
    assert token not in str(error)
    assert error.trouble == Trouble.PERMISSION_REVOKED


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port/s3cret", "https://h/?key=s3cret", "no address"])
def test_an_address_that_cannot_be_asked(url):
    """An address that is none is a failure that shows nothing of it."""
    error = outcome(lambda: Web(access(environment={"URL": url}, kind="http", url="env:URL")).probe(1))
    assert "s3cret" not in str(error)
    assert not error.passing


def test_scopes(api):
    """The scopes of a token are what `rights_at` says, and unknown where config names no such place."""
    api.scopes = ["lines:read", "lines:write"]
    assert source(api, rights_at="token").rights(5) == {"lines:read", "lines:write"}
    assert source(api).rights(5) is None
    api.fail(Fault(body=b'{"scopes": "all"}'))
    assert outcome(lambda: source(api, rights_at="token").rights(5)).trouble == Trouble.SCHEMA_CHANGED


def test_watermark(api):
    """The watermark is an aware instant; it is unknown where the API has none, or says null."""
    api.watermarks = {"lines": "2017-11-16T04:00:00-05:00", "other": None}
    asked = source(api)
    assert asked.watermark(want(), 5) == datetime(2017, 11, 16, 9, tzinfo=UTC)
    assert asked.watermark(want("other"), 5) is None
    assert asked.watermark(want("none"), 5) is None
    api.watermarks = {"lines": "2017-11-16T04:00:00"}
    assert outcome(lambda: asked.watermark(want(), 5)).trouble == Trouble.SCHEMA_CHANGED


def test_probe(api):
    """A probe asks the address itself, and wants to be let in."""
    source(api).probe(5)
    assert [path for path, _ in api.asked] == ["/"]


def test_certificates():
    """A certificate of our own authority is trusted where SSL_CERT_FILE names it; else the failure does not pass."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(HTTPServer):
        def handle_error(self, *_):
            """A client that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    Thread(target=lambda: server.serve_forever(0.01), daemon=True).start()
    url = f"https://localhost:{server.server_address[1]}"
    try:
        with authority.cert_pem.tempfile() as file:
            Web(access(environment={"SSL_CERT_FILE": file}, kind="http", url=url)).probe(5)
        error = outcome(lambda: Web(access(kind="http", url=url)).probe(5))
        assert ("certificate" in error.what, error.passing) == (True, False)
    finally:
        server.shutdown()
        server.server_close()


# Any bytes at all.

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def table_or_failure(body, columns=COLUMNS):
    """What an API comes to that answers every request with this body."""
    headers = {"Content-Type": "application/json"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body))
    keys = access(kind="http", url="http://localhost")
    try:
        table = Web(keys, transport).read(want(columns=columns, day=None), 60)
    except SourceFailed:
        return None
    table.validate(full=True)
    return table


@given(st.binary(max_size=200))
def test_any_bytes(body):
    """Bytes that are no page are a clean failure."""
    assert table_or_failure(body) is None


@given(
    st.lists(st.dictionaries(st.sampled_from(["id", "code", "amount", "day", "sold_at", "more"]), VALUES), max_size=3)
)
def test_any_rows(rows):
    """Rows of any JSON are a clean failure, or a table whose cells are those that were sent."""
    body = json.dumps({"rows": rows, "page": 1, "pages": 1, "total": len(rows)})
    table = table_or_failure(body.encode(), columns=())
    assert table is None or table.num_rows == (len(rows) if table.num_columns else 0)
    for name in table.column_names if table is not None else ():
        if pa.types.is_integer(table[name].type):
            assert table[name].to_pylist() == [row[name] for row in rows]


LINES = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**63), 2**63 - 1),
        "code": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "amount": st.decimals(-(10**28), 10**28, places=9) | st.integers(-(10**28), 10**28),
        "sold_at": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001
        "day": st.dates(),
    }
)


def as_json(rows):
    """Rows as an API writes them, numbers with all their digits."""
    cells = [
        {**row, "amount": str(row["amount"]), "day": row["day"].isoformat(), "sold_at": row["sold_at"].isoformat()}
        for row in rows
    ]
    return json.dumps({"rows": cells, "page": 1, "pages": 1, "total": len(rows)}).encode()


def same(rows):
    return [{**row, "amount": Decimal(row["amount"])} for row in rows]


@given(st.lists(LINES, max_size=5))
def test_what_is_sent_is_what_comes(rows):
    """Every table that JSON can hold comes as it was sent, to the last digit."""
    table = table_or_failure(as_json(rows))
    assert table.to_pylist() == same(rows)


@settings(max_examples=200)
@given(st.lists(LINES, min_size=1, max_size=3), st.data())
def test_what_is_damaged(rows, data):
    """A page of which bytes are lost, changed or added is a failure, or says in every cell what its bytes say."""
    body = bytearray(as_json(rows))
    start = data.draw(st.integers(0, len(body) - 1))
    body[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    table = table_or_failure(bytes(body))
    if table is None:
        return
    said = json.loads(bytes(body), parse_float=Decimal)["rows"]
    assert table["id"].to_pylist() == [row["id"] for row in said]
    assert table["code"].to_pylist() == [row["code"] for row in said]
    assert [str(day) for day in table["day"].to_pylist()] == [row["day"] for row in said]
    assert date.min <= min(table["day"].to_pylist())
