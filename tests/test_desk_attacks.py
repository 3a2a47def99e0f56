"""What attackers tried at the desk, and how it stands now: each of these went through once."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import uvicorn

from runner.ledger import access as book
from runner.ledger import journal
from runner.ledger.journal import Act
from runner.report import diary, shelf
from runner.web.app import application
from runner.web.lines import Prompt
from tests import desk
from tests.desk import ANN, EVE, NOW, OLGA, PATIENCE, TINA, Server
from tests.small_projects import change

#: Instants that no clock of ours reaches.
BEYOND = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A shop whose team follows growth, too, which is held."""
    folder: Path = desk.copy(tmp_path_factory.mktemp("attacked"))
    change(
        folder / "config/pipelines.yml",
        "approvers: [dan]\n    readers: [inv",
        "approvers: [dan]\n    readers: [team, inv",
    )
    with desk.serving(folder) as made:
        yield made


def test_what_checks_and_people_say_of_a_held_run_is_not_for_stakeholders(server):
    """It may name the very figure that is held: stakeholders see that it is held and who acted; engineers all of it."""
    run = server.run_of("growth")
    with server.ledger.write() as tx:
        told = {"run": run.run, "because": "12.50 is Black Friday."}
        journal.act(tx, Act(NOW, "bob", "asked for another try of", told))
    place = shelf.place(server.desk.project, run) / diary.NAME
    line = {"at": run.started_at.isoformat(), "event": "source asked", "source": "tills", "message": "secret.example"}
    with place.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    theirs, ours = (server.ask(f"/runs/{run.run}", who).text for who in (TINA, EVE))
    inside = (run.message, "Black Friday", "secret.example", "outlier", "#runbook")
    assert [words for words in inside if words not in ours] == []
    assert [words for words in inside if words in theirs] == []
    assert "It is held: nothing went out yet." in theirs
    assert "Bob Baker</strong> asked for another try" in theirs


@pytest.mark.parametrize("instant", BEYOND)
@pytest.mark.parametrize("who", [ANN, OLGA])
def test_an_archive_before_all_time_is_no_fault_of_ours(server, instant, who):
    """What is no instant of ours is passed over, as any other word."""
    assert server.ask(f"/archive?before={quote(instant, safe='')}", who).status == 200


@pytest.mark.parametrize("instant", BEYOND)
@pytest.mark.parametrize("path", ["deadlines?", "figures?pipeline=sales&", "runs?"])
def test_a_forged_cursor_is_told_to_be_none(server, instant, path):
    """A list goes on at a place that a page of it named, and nowhere beyond all instants."""
    with server.ledger.write() as tx:
        if book.token(tx, "machine", NOW) is None:
            book.add_token(tx, "machine", book.Token("machine", ("read",), "ann", NOW))
    rest = {"d": ["x", "y"], "f": ["x", 1], "r": ["x"]}[path[0]]
    word = base64.urlsafe_b64encode(json.dumps([instant, *rest]).encode()).decode().rstrip("=")
    got = server.ask(f"/api/{path}cursor={word}", headers={"Authorization": "Bearer machine"})
    assert (got.status, "This cursor is none" in got.text) == (422, True)


def test_a_shift_beyond_all_time_is_not_swapped(server):
    """The page comes again, with what is wrong."""
    spans = "0001-01-01T00:00Z 9999-12-31T00:00Z"
    got = server.post("/rota/swaps", ANN, give=f"ann {spans}", take=f"bob {spans}")
    assert (got.status, "Which shift?" in got.text) == (422, True)


# Slow lines.


class Hasty(Prompt):
    """The same, with less patience."""

    whole = 0.3


@contextmanager
def hasty(server: Server) -> Iterator[int]:
    """The desk on a port of its own, which waits for nobody long."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(server.desk), http=Hasty, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        made.should_exit = True
        thread.join(PATIENCE)
        listening.close()


def test_whoever_brings_no_whole_request_holds_no_line(server):
    """Nothing, half a head, half a body, half a second request: each line is closed, and what is whole is answered."""
    with hasty(server) as port:
        host = f"Host: 127.0.0.1:{port}\r\n"
        whole = f"GET /sign-in HTTP/1.1\r\n{host}\r\n"
        form = f"POST /sign-in HTTP/1.1\r\n{host}Content-Type: application/x-www-form-urlencoded\r\n"
        body = f"{form}Content-Length: 50\r\n\r\naddress="
        chunk = f"{form}Transfer-Encoding: chunked\r\n\r\n5\r\nab"
        sent = ("", "GET / HT", body, chunk, whole + body)
        lines = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in sent]
        for line, text in zip(lines, sent, strict=True):
            line.sendall(text.encode())
        answers = [b"".join(iter(lambda line=line: line.recv(65536), b""))[:12] for line in lines]
        assert answers == [b"HTTP/1.1 408"] * 4 + [b"HTTP/1.1 200"]
        for line in lines:
            line.close()
    assert [event for event, _ in server.logged if "failed" in event] == []
