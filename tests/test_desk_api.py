"""The answers for machines: as they are described, to whoever has a token for them, and in one form where not."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from runner import config
from runner.delivery.channels import Recorder
from runner.ledger import Ledger, access, deadlines, journal, lists
from runner.ledger.lists import Part
from runner.model import Status
from runner.report.draft import Ctx
from runner.report.execute import Stop
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from runner.web.api.app import described
from runner.web.limits import Limit
from tests import desk, test_ledger_past
from tests.company import Dial
from tests.desk import HOUR, MIDNIGHT, MINUTE, NOW, Answer, Server, write
from tests.long_history import Past, fill
from tests.test_ledger_past import scans

SOURCES = """\
sources:
  tills: {kind: files, title: Tills, url: data/tills}
"""


def shop(folder: Path) -> Path:
    """The shop with a source: `sales` rests on a file, and one more is known."""
    desk.copy(folder)
    write(folder / "config" / "sources.yml", SOURCES)
    write(folder / "data" / "sales.csv", "day,amount\n")
    text = (folder / "config" / "pipelines.yml").read_text()
    first, sales = text.split("  sales:\n")
    changed = sales.replace("sources: []", "sources: [data/sales.csv]", 1)
    (folder / "config" / "pipelines.yml").write_text(f"{first}  sales:\n{changed}")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(shop(tmp_path_factory.mktemp("shop"))) as made:
        made.desk.limits.guesses = made.desk.limits.tokens = Limit(10**6, 60.0)
        yield made


def token(server: Server, *scopes: str, **more: Any) -> Mapping[str, str]:
    """The header of a machine with these scopes."""
    secret = secrets.token_urlsafe(32)
    with server.ledger.write() as tx:
        access.add_token(tx, secret, access.Token("loader", scopes, "ann", NOW - HOUR, **more))
    return {"Authorization": f"Bearer {secret}"}


def ask(server: Server, path: str, *scopes: str) -> Any:
    """What a machine is answered, which must be well."""
    got = server.ask(path, headers=token(server, *(scopes or ("read",))))
    assert got.status == 200, got.text
    return json.loads(got.body)


def send(server: Server, body: bytes | Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Say that data have landed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=desk.PATIENCE)
    try:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/api/arrivals", sent, {"Content-Type": "application/json", **headers})
        got = connection.getresponse()
        return Answer(got.status, {key.lower(): value for key, value in got.getheaders()}, got.read())
    finally:
        connection.close()


def is_problem(got: Answer, status: int) -> dict[str, Any]:
    """What is wrong, said in the one form."""
    assert (got.status, got.headers["content-type"]) == (status, "application/problem+json"), got.text
    said: dict[str, Any] = json.loads(got.body)
    assert (said["status"], said["type"]) == (status, "about:blank")
    return said


# As it is described.

SCHEMA = schemathesis.openapi.from_dict(described(None).openapi())  # type: ignore[arg-type]
SCHEMA.config.generation.update(deterministic=True)


#: Why what the description allows may be refused all the same: it cannot say these things.
BEYOND_WORDS = (
    "The span ends before it begins.",
    "The span is longer than 366 days.",
    "`at` cannot stand beside `from` and `to`.",
    "No source is called ",
    " has not begun in ",
)


def is_taken(_: Any, response: Any, case: Any) -> None:
    """What fits its description is taken, or refused for a reason that no description can give.

    In the place of schemathesis's own check, which knows of no such reason.
    """
    if response.status_code != 422 or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    said = response.json()
    years = all("lies outside of the years" in one["said"] for one in said["mistakes"]) and said["mistakes"]
    assert years or any(reason in said["detail"] for reason in BEYOND_WORDS), said


CHECKS = {"excluded_checks": [positive_data_acceptance], "additional_checks": [is_taken]}


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_it_is_described(case, server, machine, session):
    """All operations, by their examples, at the edges of what they take, and beyond."""
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        case.query.pop("cursor", None)  # a word that only a page can give; see the lists read page by page
        if "run" in case.path_parameters:
            case.path_parameters["run"] = server.run_of("sales").run
    case.call_and_validate(base_url=f"{server.address}/api", session=session, headers=machine, **CHECKS)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all."""
    with requests.Session() as made:
        yield made


@pytest.fixture(scope="module")
def machine(server: Server) -> Mapping[str, str]:
    """The header of a machine that may do all."""
    return token(server, "read", "arrivals")


# Who may.


def test_a_cookie_opens_nothing(server):
    """Whoever is signed in as a person is answered as if they were not: no other site can ask in their name."""
    for path in ("/api/runs", "/api/openapi.json", "/metrics"):
        got = server.ask(path, desk.ANN)
        is_problem(got, 401)
        assert got.headers["www-authenticate"] == 'Bearer realm="desk"'


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YW5uOnNlY3JldA=="},
    ],
    ids=["none", "empty", "unknown", "basic"],
)
def test_without_a_good_token_nothing_is_told(server, headers):
    """Whether there is such a run or not, and whatever else is wrong with the request."""
    run = server.run_of("sales").run
    answers = [server.ask(path, headers=headers) for path in (f"/api/runs/{run}", "/api/runs/none", "/api/runs?x=1")]
    assert len({json.dumps(is_problem(got, 401)) for got in answers}) == 1
    is_problem(send(server, b"{", headers), 401)


def test_a_token_that_ended_or_was_taken_back_is_none(server):
    """It is answered as one that never was."""
    for more in ({"ends_at": NOW}, {"revoked_at": NOW - MINUTE}):
        is_problem(server.ask("/api/runs", headers=token(server, "read", **more)), 401)


@pytest.mark.parametrize(("scope", "other"), [("read", "arrivals"), ("arrivals", "metrics"), ("metrics", "read")])
def test_a_token_is_for_its_scopes_alone(server, scope, other):
    """Each scope opens its own addresses, and none of the others; it is told which scope is wanted."""
    headers = token(server, other)
    got = {
        "read": lambda: server.ask("/api/openapi.json", headers=headers),
        "arrivals": lambda: send(server, {"source": "tills", "day": "2017-11-13"}, headers),
        "metrics": lambda: server.ask("/metrics", headers=headers),
    }[scope]()
    assert is_problem(got, 403)["detail"] == f"This token is not for {scope}."
    assert 'error="insufficient_scope"' in got.headers["www-authenticate"]


def test_who_asks_without_end_is_asked_to_wait(tmp_path):
    """A machine that asks too often hears when to go on."""
    with desk.serving(desk.copy(tmp_path)) as server:
        server.desk.limits.tokens = Limit(2, 60.0)
        headers = token(server, "read")
        assert [server.ask("/api/runs", headers=headers).status for _ in range(2)] == [200, 200]
        got = server.ask("/api/runs", headers=headers)
        is_problem(got, 429)
        assert int(got.headers["retry-after"]) == 30


# What is wrong, in one form.


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/nothing", 404),
        ("/api/runs/", 404),
        ("/api/runs/none", 404),
        ("/api/incidents/77", 404),
        ("/api/incidents/0", 422),
        ("/api/runs?limit=501", 422),
        ("/api/runs?statu=held", 422),
        ("/api/runs?limit=1&limit=2", 422),
        ("/api/runs/none?x=1", 422),
        ("/api/runs?cursor=e30", 422),
        ("/api/deadlines?from=2017-11-14", 422),
        ("/api/deadlines?from=2017-11-14T00:00:00", 422),
        ("/api/deadlines?from=1979-12-31T00:00:00Z", 422),
        ("/api/deadlines?from=2017-01-01T00:00:00Z&to=2018-02-01T00:00:00Z", 422),
        ("/api/oncall?at=2017-11-14T00:00:00Z&to=2018-02-01T00:00:00Z", 422),
        ("/api/figures", 422),
        ("/api/runs?pipeline=%00", 400),
        (f"/api/runs?pipeline={'x' * 9000}", 414),
    ],
)
def test_whatever_is_wrong_is_told_in_one_form(server, machine, path, status):
    """A path that there is not, a parameter that is not known, a number out of bounds, a request that is too long."""
    is_problem(server.ask(path, headers=machine), status)


def test_a_method_that_there_is_not_is_told_in_that_form(server, machine):
    """With those that there are."""
    got = server.ask("/api/runs", headers=machine, method="DELETE")
    is_problem(got, 405)
    assert got.headers["allow"] == "GET"


@pytest.mark.parametrize("size", [5_000, 300_000])
def test_a_body_is_bounded(server, machine, size):
    """More than any arrival has is not read, whichever of our limits it meets."""
    is_problem(send(server, b'{"source": "' + b"x" * size + b'"}', machine), 413)


def test_a_body_that_comes_in_pieces_is_bounded_as_well(server, machine):
    """Without a length that is said before."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=desk.PATIENCE)
    headers = {"Content-Type": "application/json", **machine}
    connection.request(
        "POST", "/api/arrivals", iter([b'{"source": "', b"x" * 5_000, b'"}']), headers, encode_chunked=True
    )
    got = connection.getresponse()
    said = Answer(got.status, {key.lower(): value for key, value in got.getheaders()}, got.read())
    connection.close()
    is_problem(said, 413)


def test_what_went_wrong_on_our_side_is_told_by_a_number(tmp_path):
    """The log has it under that number; whoever asked hears nothing else of it."""
    with desk.serving(desk.copy(tmp_path)) as server:
        headers = token(server, "read")
        with server.ledger.write() as tx:
            tx.exec_driver_sql("ALTER TABLE incidents RENAME TO gone")
        said = is_problem(server.ask("/api/incidents", headers=headers), 500)
        [(_, fields)] = [entry for entry in server.logged if entry[0] == "answer failed"]
        assert fields["number"] in said["detail"]
        assert "no such table" in fields["error"]
        assert "table" not in json.dumps(said)


# What is answered.


def test_a_deadline_is_told_as_it_stands(server):
    """Met, held and late, failed: as the pages show it."""
    items = ask(server, "/api/deadlines?to=2017-11-14T22:00:00Z")["items"]
    assert [(item["pipeline"], item["state"], item["outcome"], item["on_time"]) for item in items] == [
        ("sales", "met", "delivered", True),
        ("growth", "open", "held", None),
        ("stock", "open", "failed", None),
    ]
    assert [item["late_seconds"] for item in items] == [0, 40 * 60, 0]
    assert (items[0]["due_at"], items[0]["title"]) == ("2017-11-14T14:00:00Z", "Sales")
    only = ask(server, "/api/deadlines?pipeline=sales&state=met")["items"]
    assert [(item["pipeline"], item["period"]) for item in only] == [("sales", "2017-11-13")]


def test_runs_are_found_by_pipeline_period_and_status(server):
    """Newest first; each alone and all together."""
    newest = [item["pipeline"] for item in ask(server, "/api/runs")["items"]]
    assert newest[:3] == ["stock", "growth", "sales"]
    for query in ("pipeline=growth", "status=held", "pipeline=growth&period=2017-11-13&status=held"):
        found = ask(server, f"/api/runs?{query}")["items"]
        assert [(run["pipeline"], run["status"]) for run in found] == [("growth", "held")], query
    assert ask(server, "/api/runs?pipeline=growth&status=failed") == {"items": [], "next": None}


def test_a_run_is_told_with_all_that_it_left(server):
    """Findings with their numbers, figures as they were printed, files with their hashes, deliveries by their state."""
    run = ask(server, f"/api/runs/{server.run_of('sales').run}")
    assert (run["status"], run["decision"], run["version"], run["deliveries"]) == (
        "delivered",
        "deliver",
        1,
        {"sent": 3},
    )
    [revenue] = [figure for figure in run["figures"] if figure["name"] == "revenue"]
    assert (revenue["value"], revenue["text"], revenue["unit"]) == (12.5, "12.50", "usd2")
    assert {"sales.pdf", "sales.html"} <= {item["path"] for item in run["artifacts"]}
    held = ask(server, f"/api/runs/{server.run_of('growth').run}")
    assert [item["level"] for item in held["findings"] if item["level"] != "pass"] == ["warn"]


def test_figures_are_those_that_were_released(server):
    """By name over the periods; of a report that is held there are none."""
    [told] = ask(server, "/api/figures?pipeline=sales&name=revenue")["items"]
    assert (told["period"], told["value"], told["version"], told["status"]) == ("2017-11-13", 12.5, 1, "delivered")
    assert ask(server, "/api/figures?pipeline=growth")["items"] == []


def test_who_is_on_call_is_told_with_the_reasons(server):
    """Now, at an instant, and in a span, whose shifts follow one another."""
    [now] = ask(server, "/api/oncall")["shifts"]
    assert (now["primary"], now["secondary"]["key"]) == ({"key": "ann", "name": "Ann Archer"}, "bob")
    [christmas] = ask(server, "/api/oncall?at=2017-12-25T12:00:00Z")["shifts"]
    assert christmas["primary"]["key"] == "dan"
    assert "Christmas" in " ".join(christmas["because"])
    shifts = ask(server, "/api/oncall?from=2017-11-14T00:00:00Z&to=2017-12-12T00:00:00Z")["shifts"]
    assert [one["ends_at"] for one in shifts[:-1]] == [one["starts_at"] for one in shifts[1:]]
    assert (shifts[0]["starts_at"], shifts[-1]["ends_at"]) == ("2017-11-14T00:00:00Z", "2017-12-12T00:00:00Z")


def test_incidents_are_told_with_their_history(server):
    """Newest first; one with every line of what happened."""
    found = ask(server, "/api/incidents?state=open")["items"]
    assert {item["pipeline"] for item in found} == {"growth", "stock", "duty:count_the_till"}
    assert [item["number"] for item in found] == sorted((item["number"] for item in found), reverse=True)
    [growth] = ask(server, "/api/incidents?pipeline=growth")["items"]
    whole = ask(server, f"/api/incidents/{growth['number']}")
    assert (whole["state"], [who["key"] for who in whole["told"]]) == ("late", ["ann", "bob"])
    assert whole["events"]
    assert ask(server, "/api/incidents?state=closed") == {"items": [], "next": None}


@pytest.mark.parametrize(
    "path",
    [
        "/api/deadlines?from=2017-11-13T00:00:00Z",
        "/api/runs?",
        "/api/runs?status=held",
        "/api/figures?pipeline=sales",
        "/api/figures?pipeline=sales&name=revenue",
        "/api/incidents?",
        "/api/incidents?state=open",
    ],
)
def test_a_list_read_page_by_page_is_the_list(server, path):
    """Nothing is left out at the seams, and nothing told twice."""
    whole, pages, cursor = ask(server, path), [], ""
    while cursor is not None:
        got = ask(server, f"{path}&limit=1{cursor and f'&cursor={cursor}'}")
        pages += got["items"]
        cursor = got["next"]
    assert whole["next"] is None
    assert pages == whole["items"] != []


def test_the_description_loads_nothing_from_elsewhere(server):
    """There are no pages about it that would bring scripts of others; it names where it is served."""
    said = ask(server, "/api/openapi.json")
    assert said["servers"] == [{"url": "/api"}]
    for path in ("/api/docs", "/api/redoc", "/docs", "/api/"):
        assert server.ask(path, headers=token(server, "read")).status in {303, 404}


def test_every_answer_and_field_is_described():
    """No operation, parameter or field is left without a word on it."""
    said = described(None).openapi()  # type: ignore[arg-type]
    fields = [
        (name, key)
        for name, one in said["components"]["schemas"].items()
        for key, field in one.get("properties", {}).items()
        if not field.get("description")
    ]
    operations = [one for methods in said["paths"].values() for one in methods.values()]
    assert fields == []
    assert all(
        one["description"] and all(p.get("description") for p in one.get("parameters", ())) for one in operations
    )
    refused = {"400", "401", "403", "422", "429", "500"}
    assert all(refused <= set(one["responses"]) and one["security"] for one in operations)


# Data that have landed.


def test_an_arrival_is_said_once_and_known_after(server, machine):
    """201 the first time, 200 from then on, with the first word; one row of the audit, in the token's name."""
    body = {"source": "tills", "day": "2017-11-12"}
    first, second = send(server, body, machine), send(server, body, machine)
    assert (first.status, second.status) == (201, 200)
    assert json.loads(first.body) == {**body, "at": "2017-11-14T15:40:00Z", "new": True}
    assert json.loads(second.body) == {**json.loads(first.body), "new": False}
    with server.ledger.read() as tx:
        acts = [act for act in journal.acts(tx, NOW, NOW + MINUTE) if act.details.get("day") == "2017-11-12"]
    assert [(act.who, act.what) for act in acts] == [("token loader", "data arrived")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"source": "till", "day": "2017-11-13"}, "Did you mean 'tills'? Known: tills, data/sales.csv."),
        ({"source": "tills", "day": "2017-11-15"}, "2017-11-15 has not begun in America/New_York"),
        ({"source": "tills", "day": "2017-11-31"}, "not as it is described"),
        ({"source": "tills", "day": 1510531200}, "not as it is described"),
        ({"source": "tills", "day": "2017-11-13", "more": 1}, "not as it is described"),
        ({"source": "tills"}, "not as it is described"),
        (["tills"], "not as it is described"),
    ],
)
def test_a_word_that_cannot_be_is_refused(server, machine, body, said):
    """An unknown source with the known names, a day that has not begun, and what is no arrival at all."""
    assert said in is_problem(send(server, json.dumps(body).encode(), machine), 422)["detail"]


def test_data_that_land_begin_the_run_at_the_next_look(tmp_path):
    """Said to the desk at 06:00, the report that is begun at 08:00 otherwise is made and delivered by the next look."""
    night = MIDNIGHT + 25 * HOUR + 6 * HOUR
    folder = shop(tmp_path)
    with desk.serving(folder, night) as server:
        project, recorder = config.load(folder), Recorder()
        ledger, stop = Ledger.of(project), Stop()
        office = open_office(Ctx(project, ledger, Dial(night), stop, lambda _: None), recorder)
        assert [order.deadline.pipeline for order in tick(office, night).started] == []
        assert send(server, {"source": "data/sales.csv", "day": "2017-11-14"}, token(server, "arrivals")).status == 201
        look = tick(office, night + MINUTE)
        assert [order.deadline.key for order in look.started] == [("sales", "2017-11-14")]
        while office.crew.busy:
            desk.stop_soon(office)
            tick(office, night + MINUTE)
        with ledger.read() as tx:
            owed = deadlines.find(tx, ("sales", "2017-11-14"))
        ledger.close()
        stop.close()
    assert owed is not None
    assert owed.on_time


# However long the past is.

ALL = (
    "/api/deadlines",
    "/api/deadlines?state=missed&from=2017-01-01T00:00:00Z&to=2017-11-14T00:00:00Z",
    "/api/deadlines?pipeline=sales&from=2017-01-01T00:00:00Z&to=2017-11-14T00:00:00Z",
    "/api/runs",
    "/api/runs?status=held",
    "/api/runs?pipeline=sales&status=running",
    "/api/runs?pipeline=sales&period=2017-11-01",
    "/api/figures?pipeline=sales",
    "/api/figures?pipeline=sales&name=revenue",
    "/api/incidents?state=open",
    "/api/incidents?state=closed&pipeline=sales",
    "/api/oncall",
    "/metrics",
)


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Iterator[Server]:
    """The shop with eight hundred runs more."""
    folder = desk.copy(tmp_path_factory.mktemp("old"))
    fill(folder / "reports" / "ledger.sqlite", Past(("sales", "growth", "stock"), 800, NOW, whole=True))
    with desk.serving(folder) as made:
        yield made


asked = test_ledger_past.asked

#: Read from one end, so many rows at most: runs by their names, incidents by their numbers; and the few that wait.
BOUNDED = {
    "SCAN runs USING INDEX sqlite_autoindex_runs_1",
    "SCAN incidents",
    "SCAN deliveries USING INDEX deliveries_open",
}


@pytest.mark.parametrize("path", ALL)
def test_no_answer_reads_all_that_ever_was(old, asked, path):
    """Each goes by an index, and where it has none that serves, by so many of the newest."""
    got = old.ask(path, headers=token(old, "read", "metrics"))
    assert got.status == 200
    assert asked
    assert set(scans(asked)) <= BOUNDED


def test_the_newest_are_read_and_no_more(old):
    """A sifted list looks at so many for a page, finds nothing in them, and says where it goes on."""
    wanted, part, pages = lists.Runs(status=Status.RUNNING), Part(10, sifted=100), 1
    with old.ledger.read() as tx:
        while (page := lists.runs(tx, wanted, part)).after is not None:
            assert page.items == ()
            part, pages = replace(part, after=page.after), pages + 1
    assert pages == 9
