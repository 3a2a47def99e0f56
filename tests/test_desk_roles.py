"""Every route of the desk × every role: what each may see and do, and the same answer for all that it may not."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from runner.ledger import access, tables
from runner.web.api.app import addresses
from runner.web.app import application
from runner.web.limits import Limit
from tests import desk
from tests.desk import Server
from tests.desk_routes import BY_TOKEN, ROLES, ROWS, SCOPES, Row, filled

#: Files that hold nothing anyone must not see, and the answer to all other paths.
OPEN = {"/static/{name}", "/{rest:path}"}
#: What machines ask that is no page, besides what lies below /api.
MACHINES = {"/healthz", "/healthz/scheduler", "/metrics"}
READS = [row for row in ROWS if row.method == "GET"]
ACTS = [row for row in ROWS if row.method != "GET"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
        made.desk.limits.guesses = Limit(10**6, 60.0)  # so often is nobody but this table refused
        yield made


def check(server: Server, row: Row, who: str, wanted: int | str) -> None:
    """One role is answered as the table says."""
    path, form = filled(row.path, server), {key: filled(value, server) for key, value in row.form.items()}
    got = server.ask(path, who, row.method, form if row.method == "POST" else None)
    if wanted == "in":
        assert (got.status, got.headers["location"].partition("?")[0]) == (303, "/sign-in"), got.text
    else:
        assert got.status == wanted, (path, got.headers.get("location"), got.text[-2000:])
    if wanted == 404:
        unknown = server.ask("/nothing-of-this-name", who, row.method, form if row.method == "POST" else None)
        assert _bare(unknown.text) == _bare(got.text)


def known(server: Server) -> dict[str, list[object]]:
    """All that the ledger knows, but for who is signed in."""
    with server.ledger.read() as tx:
        return {name: sorted(map(repr, tx.execute(table.select()))) for name, table in tables.meta.tables.items()
                if name != "sessions"}  # fmt: skip


def _bare(text: str) -> str:
    """A page without what is the session's own."""
    return re.sub(r'(name="csrf" value=")\w*|( aria-current="\w+")', r"\1", text)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", READS, ids=lambda row: f"{row.method} {row.path}")
def test_a_page_is_shown_to_those_who_may_see_it(server, row, role):
    """Each role gets the page, the way to the sign-in, or what everybody gets for what there is not."""
    check(server, row, ROLES[role], row.answers[list(ROLES).index(role)])


@pytest.mark.parametrize("row", ACTS, ids=lambda row: f"{row.method} {row.path}")
def test_an_act_is_done_for_those_who_may_do_it(tmp_path: Path, row):
    """Each role may do it, or is answered as for what there is not; then the shop is as it was, for all others."""
    answers = list(zip(ROLES, row.answers, strict=True))
    refused = [role for role, wanted in answers if wanted in {"in", 404}]
    with desk.serving(desk.copy(tmp_path / "refused")) as server:
        filled(f"{row.path} {row.form}", server)  # makes what is named there
        before = known(server)
        for role in refused:
            check(server, row, ROLES[role], row.answers[list(ROLES).index(role)])
        assert known(server) == before
    for role, wanted in answers:
        if role not in refused:
            with desk.serving(desk.copy(tmp_path / role)) as server:
                check(server, row, ROLES[role], wanted)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("row", [row for row in ROWS if 401 in row.answers], ids=lambda row: f"{row.method} {row.path}")
def test_a_machine_is_answered_by_its_scope(server, row, scope):
    """A token opens what its scope is for; that a person is signed in beside it changes nothing."""
    secret = secrets.token_urlsafe(32)
    with server.ledger.write() as tx:
        access.add_token(tx, secret, access.Token(scope, (scope,), "ann", server.dial.now()))
    wanted = BY_TOKEN[row.method, row.route][SCOPES.index(scope)]
    form = {} if row.method == "POST" else None
    for who in ("", desk.ANN):
        path, headers = filled(row.path, server), {"Authorization": f"Bearer {secret}"}
        assert server.ask(path, who, row.method, form, headers=headers).status == wanted


def test_every_route_is_in_the_table():
    """No page, act or answer for machines goes without its row."""
    known = {(row.method, row.route) for row in ROWS}
    assert all(len(row.answers) == len(ROLES) for row in ROWS)
    assert _routes() - known == set()
    assert known - _routes() == set()


def _routes() -> set[tuple[str, str]]:
    from runner.web.pages import PAGES  # noqa: PLC0415

    found = {("GET", page.path) for page in PAGES if page.get} | {("POST", page.path) for page in PAGES if page.post}
    routes = application(None).routes  # type: ignore[arg-type]
    served = {route.path for route in routes if isinstance(route, Route)}
    assert served - OPEN - MACHINES == {page.path for page in PAGES}
    [mount] = [route for route in routes if isinstance(route, Mount)]
    assert mount.path == "/api"
    found |= {("GET", path) for path in MACHINES}
    return found | {(method, f"/api{path}") for method, path in addresses()}
