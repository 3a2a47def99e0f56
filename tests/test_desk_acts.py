"""Whatever a form of the desk does is on record: who did it, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.ledger import journal
from runner.ledger.journal import Act
from tests import desk
from tests.desk import Server
from tests.desk_routes import ROLES, ROWS, Row, filled

ANN = list(ROLES).index("ann")
EVER = datetime(1980, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
#: Every form that is answered with more than a refusal.
DONE = [row for row in ROWS if row.method == "POST" and row.answers[ANN] in {200, 303}]


def acts(server: Server) -> list[Act]:
    """All that is on record."""
    with server.ledger.read() as tx:
        return list(journal.acts(tx, *EVER))


@pytest.mark.parametrize("row", DONE, ids=lambda row: row.path)
def test_every_form_that_does_something_leaves_a_line_in_the_journal(tmp_path: Path, row: Row):
    """It says who did it, at the instant of the request: a link that is mailed, whose it is."""
    with desk.serving(desk.copy(tmp_path)) as server:
        path, form = filled(row.path, server), {key: filled(value, server) for key, value in row.form.items()}
        before = acts(server)
        assert server.ask(path, desk.ANN, "POST", form).status == row.answers[ANN]
        server.desk.backlog.wait()
        new = acts(server)[len(before) :]
    assert new
    assert {(act.who, act.at) for act in new} == {(form.get("address", "ann"), desk.NOW)}
