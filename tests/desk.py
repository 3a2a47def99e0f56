"""A desk to test: the small shop on Tuesday 14 November 2017 after a busy morning, served on a port of this machine.

Its runs are real ones, made by the real scheduler through real kernels, once for all processes:

    sales     investors and the team read it     delivered, met         Ann and Bob own it
    growth    investors read it                  held, incident         Bob and Ann own it, Dan approves
    stock     the team reads it                  failed, incident       Cat and Dan own it
    visits    the team reads it                  due on Mondays         Cat and Ann own it

Ann is on call until Monday, then Bob. The team (Tina) are stakeholders, the investors (Olga, Oscar) are not; Eve is an
engineer who owns nothing and is not in the rota.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn

from runner import config
from runner.delivery.channels import Recorder
from runner.ledger import Ledger, Run
from runner.report.draft import Ctx
from runner.report.execute import Stop
from runner.scheduler import work
from runner.scheduler.opening import open_office
from runner.scheduler.tick import tick
from runner.web import session
from runner.web.app import application
from runner.web.desk import Desk
from tests import once, trial_sample
from tests.company import Dial
from tests.small_projects import NOTEBOOKS, change, write

#: Tuesday, midnight in New York.
MIDNIGHT = datetime(2017, 11, 14, 5, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
#: When pages are looked at: 10:40 on the shop's wall.
NOW = MIDNIGHT + 10 * HOUR + 40 * MINUTE
ANN, BOB, CAT, DAN, EVE = (f"{name}@shop.example" for name in ("ann", "bob", "cat", "dan", "eve"))
OLGA, OSCAR, TINA = "olga@investor.example", "oscar@investor.example", "tina@shop.example"
STRANGER = "mallory@elsewhere.example"
PATIENCE = 60.0

SETTINGS = """\
company: Corner Shop
time_zone: America/New_York
confidential: Confidential – Corner Shop
sender: {name: Corner Shop Reports, email: reports@shop.example}
attempts: 1
desk: {port: 0, stakeholders: [team]}
"""
PEOPLE = """\
engineers:
  ann: {name: Ann Archer, email: ann@shop.example}
  bob: {name: Bob Baker, email: bob@shop.example}
  cat: {name: Cat Carter, email: cat@shop.example}
  dan: {name: Dan Dyer, email: dan@shop.example}
  eve: {name: Eve Ellis, email: eve@shop.example}
readers:
  investors:
    - {name: Olga Orlov, email: olga@investor.example}
    - {name: Oscar Ochoa, email: oscar@investor.example}
  team:
    - {name: Tina Tran, email: tina@shop.example}
"""
PIPELINES = """\
pipelines:
  sales:
    title: Sales
    subtitle: What was sold, and what it brought
    notebook: sales.ipynb
    period: day
    deadline: daily by 09:00
    room: 1 h
    usual: 5 min
    owners: {primary: ann, secondary: bob, because: Ann keeps the tills and Bob the accounts.}
    readers: [investors, team]
    sources: []
  growth:
    title: Growth
    subtitle: How sales grow
    notebook: growth.ipynb
    period: day
    deadline: daily by 10:00
    room: 1 h
    usual: 5 min
    owners: {primary: bob, secondary: ann, because: Bob knows how growth is counted.}
    approvers: [dan]
    readers: [investors]
    inputs: [sales]
    sources: []
  stock:
    title: Stock
    notebook: stock.ipynb
    period: day
    deadline: daily by 12:00
    room: 2 h
    usual: 5 min
    owners: {primary: cat, secondary: dan, because: They count it.}
    readers: [team]
    sources: []
  visits:
    title: Visits
    notebook: visits.ipynb
    period: week
    deadline: Mondays by 08:00
    owners: {primary: cat, secondary: ann, because: Cat counts the visitors.}
    readers: [team]
    sources: []
"""
ONCALL = """\
time_zone: America/New_York
hand_off: Monday 09:00
rotation:
  - {begins: 2017-11-13, order: [ann, bob, cat, dan]}
holidays:
  - {name: Christmas, begins: 12-24 09:00, ends: 12-26 09:00, primary: [dan]}
"""
DUTIES = """\
duties:
  count_the_till:
    title: Count the till
    every: Tuesdays by 10:00
    begins: 2017-11-06
    owner: on-call
    how: Count it, and write down what there is.
  review_access:
    title: Review who has access
    every: every quarter by day 10 at 10:00
    begins: 2017-01-02
    owner: bob
    how: Go through the lists of config/people.yml.
"""
NOTEBOOK_OF = {"sales": "good", "growth": "warns", "stock": "raises", "visits": "good"}


@cache
def base() -> Path:
    """The shop after its morning, once for all processes."""
    return once.built("desk", _build)


def _build(folder: Path) -> None:
    files = {"settings": SETTINGS, "people": PEOPLE, "pipelines": PIPELINES, "oncall": ONCALL, "duties": DUTIES}
    for name, text in files.items():
        write(folder / "config" / f"{name}.yml", text)
    (folder / "notebooks").mkdir()
    for name, notebook in NOTEBOOK_OF.items():
        shutil.copy(NOTEBOOKS / f"{notebook}.ipynb", folder / "notebooks" / f"{name}.ipynb")
    morning(folder)
    trial_sample.lay(folder)


def morning(folder: Path, until: datetime = NOW) -> Recorder:
    """Let the scheduler look every ten minutes from 08:00 on; each run ends before the next look."""
    project, stop, recorder = config.load(folder), Stop(), Recorder()
    ledger, dial = Ledger.of(project), Dial(MIDNIGHT + 8 * HOUR)
    office = open_office(Ctx(project, ledger, dial, stop, lambda _: None), recorder)
    while dial.at <= until:
        tick(office, dial.at)
        while office.crew.busy:
            work.collect(office, dial.at)
            stop_soon(office)
        tick(office, dial.at)
        dial.at += 10 * MINUTE
    ledger.close()
    stop.close()
    return recorder


def stop_soon(office: Any) -> None:
    """Wait for a run to end, a little at most."""
    import select  # noqa: PLC0415 - here alone

    select.select([office.crew], [], [], 0.1)


@dataclass
class Server:
    """A desk that is served: where, over which folder, and its clock."""

    folder: Path
    dial: Dial
    desk: Desk
    port: int = 0
    logged: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where pages are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ledger(self) -> Ledger:
        """The ledger that it looks at."""
        return self.desk.ledger

    def sign_in(self, email: str) -> str:
        """The cookie of a session of somebody, as if they had come by a link."""
        with self.ledger.write() as tx:
            return session.begin(tx, email, "link", self.dial.now(), self.desk.project.settings.desk)

    def ask(self, path: str, who: str = "", method: str = "GET", form: Mapping[str, str] | None = None, *,
            headers: Mapping[str, str] | None = None, secret: str = "") -> Answer:  # fmt: skip
        """One request by somebody who is signed in (nobody without an address); forms carry what our pages give."""
        secret = secret or (self.sign_in(who) if who else "")
        sent: dict[str, str] = {"Cookie": f"desk={secret}"} if secret else {}
        body = None
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode({"csrf": session.csrf_of(secret), **form}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def post(self, path: str, who: str, **form: str) -> Answer:
        """Send a form as somebody."""
        return self.ask(path, who, "POST", form)

    def run_of(self, pipeline: str) -> Run:
        """The newest run of a pipeline."""
        return self.ledger.runs(pipeline)[0]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


def copy(folder: Path) -> Path:
    """The shop after its morning, as one's own: whatever is done to it is done to nobody else's."""
    shutil.copytree(base(), folder, dirs_exist_ok=True)
    trial_sample.alive(folder, trial_sample.RUNNING)
    return folder


class Quick(uvicorn.Server):
    """The server, for whose end nobody waits a tenth of a second, and then another."""

    async def main_loop(self) -> None:
        """Serve until the end is asked for."""
        await self.on_tick(0)
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        self.begun.set()
        await self.over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is asked be answered, and close."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(400):  # at most two seconds
            if not self.server_state.connections and not self.server_state.tasks:
                return
            await asyncio.sleep(0.005)
        for task in self.server_state.tasks:
            task.cancel()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in a thread until `end`."""
        self.begun = threading.Event()
        self.thread = threading.Thread(target=super().run, args=(sockets,), daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Ask for the end, and wait for it."""
        assert self.begun.wait(PATIENCE)
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(PATIENCE)


@contextmanager
def serving(folder: Path, now: datetime = NOW, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A desk over a project, until the block ends."""
    project, dial = config.load(folder), Dial(now)
    server = Server(folder, dial, Desk(project, Ledger.of(project), dial, environment or dict(os.environ)))
    server.desk.log = lambda event, **fields: server.logged.append((event, fields))
    listening = socket.create_server(("127.0.0.1", 0))
    server.port = listening.getsockname()[1]
    made = Quick(
        uvicorn.Config(
            application(server.desk),
            log_config=None,
            lifespan="off",
            proxy_headers=False,  # as the real one: `front` knows whose word is believed
            server_header=False,
        )
    )
    made.run([listening])
    try:
        yield server
    finally:
        made.end()
        listening.close()
        server.ledger.close()


__all__ = ["change"]
