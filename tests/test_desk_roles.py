"""Every route of the desk × every role: what each may see and do, and the same answer for all that it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from runner.web.app import application
from tests import desk
from tests.desk import Server
from tests.desk_routes import ROLES, ROWS, Row, filled

#: Files that hold nothing anyone must not see, and the answer to all other paths.
OPEN = {"/static/{name}", "/{rest:path}"}
READS = [row for row in ROWS if row.method == "GET"]
ACTS = [row for row in ROWS if row.method != "GET"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with desk.serving(desk.copy(tmp_path_factory.mktemp("shop"))) as made:
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
    """Each role may do it, or is answered as for what there is not."""
    answers = list(zip(ROLES, row.answers, strict=True))
    for role, wanted in sorted(answers, key=lambda pair: pair[1] not in {"in", 404}):
        with desk.serving(desk.copy(tmp_path / role)) as server:
            check(server, row, ROLES[role], wanted)


def test_every_route_is_in_the_table():
    """No page, act or answer for machines goes without its row."""
    known = {(row.method, row.route) for row in ROWS}
    assert all(len(row.answers) == len(ROLES) for row in ROWS)
    assert _routes() - known == set()
    assert known - _routes() == set()


def _routes() -> set[tuple[str, str]]:
    from runner.web.pages import PAGES  # noqa: PLC0415

    found = {("GET", page.path) for page in PAGES if page.get} | {("POST", page.path) for page in PAGES if page.post}
    served = {route.path for route in application(None).routes if isinstance(route, Route)}  # type: ignore[arg-type]
    assert served - OPEN == {page.path for page in PAGES}
    return found
