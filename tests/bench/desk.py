"""Item 7: every page of the desk, with a short past in the ledger and with a long one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests import desk
from tests.bench.ratios import Samples, at_most, interleaved, medians, ratio
from tests.bench.running import Failed, tell
from tests.bench.shapes import Item, Row, Size
from tests.desk_routes import ROLES, ROWS, filled
from tests.desk_routes import Row as Route
from tests.long_history import Past, fill

SHORT, LONG = "short", "long"
#: A small ledger has as much as any page shows of the past: one run in a hundred left an incident.
RUNS, FEW_RUNS = {SHORT: 6_600, LONG: 1_000_000}, {SHORT: 600, LONG: 2_000}
#: With a long past no page may take longer than so many times as long as with a short one.
MOST = 2.0
#: How often a page is asked for in one round: each takes some milliseconds.
TIMES, FEW_TIMES = 9, 1
#: Whose past is long: the reports of a day. Each of theirs was sent to Olga, whose archive it fills.
PIPELINES = ("sales", "growth", "stock")


def measure(size: Size) -> Item:
    """Every page of both desks, in turns."""
    runs = FEW_RUNS if size.small else RUNS
    folders = {past: size.folder / f"desk-{past}" for past in (SHORT, LONG)}
    with ExitStack() as stack:
        tell("the desk: its shop after one morning")
        with desk.serving(desk.copy(folders[SHORT])) as server:
            paths = {page.path: filled(page.path, server) for page in pages()}  # what they name is in both
        shutil.copytree(folders[SHORT], folders[LONG])
        for past, folder in folders.items():
            tell(f"the desk: filling a ledger with {runs[past]:,} runs")
            ledger = folder / "reports" / "ledger.sqlite"
            fill(ledger, Past(PIPELINES, runs[past], desk.MIDNIGHT, reader=desk.OLGA, whole=True))
            stack.callback(ledger.unlink)  # the long one takes gigabytes
        served = {past: stack.enter_context(desk.serving(folder)) for past, folder in folders.items()}
        found = _asked(served, paths, size)
    notes = (
        (
            f"The same pages of two desks in one process, each asked over HTTP: one whose ledger has {runs[LONG]:,} "
            f"runs, and one with {runs[SHORT]:,}; each run with a deadline, a message to a reader, a file, a figure "
            "and a finding, one in a hundred with an incident. SQLite on one disk, in turns."
        ),
    )
    return Item("desk", "Pages of the desk as the past grows", tuple(rows(found)), notes, {"seconds": found})


def pages() -> tuple[Route, ...]:
    """Every page and answer that is given to whoever the table of routes has look at it."""
    people = list(ROLES.values())
    return tuple(row for row in ROWS if row.method == "GET" and row.answers[people.index(row.who)] == 200)


def _asked(served: Mapping[str, desk.Server], paths: Mapping[str, str], size: Size) -> dict[str, list[float]]:
    """Seconds of each page by its name and the past, every time that it was asked for."""
    times = FEW_TIMES if size.small else TIMES
    turns = {}
    for page in pages():
        ask = {
            past: partial(_shown, server, paths[page.path], server.sign_in(page.who)) for past, server in served.items()
        }
        for first in ask.values():  # what the first look leaves behind, later ones find
            first()
        turns[page.path] = partial(_in_turns, ask, times)
    found = interleaved(turns, size.rounds, tell)
    return {
        _named(path, past): [seconds for turn in answers for seconds in turn[past]]
        for path, answers in found.items()
        for past in served
    }


def _named(path: str, past: str) -> str:
    return f"{path}, {past} past"


def _shown(server: desk.Server, path: str, secret: str) -> None:
    """Ask for a page. Raises Failed where it is not shown."""
    answer = server.ask(path, secret=secret)
    if answer.status != 200:
        raise Failed(f"{path} with {Path(server.folder).name} was answered with {answer.status}.")


def _in_turns(ask: Mapping[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """How long each of them took, several times: one beside the other, as a page takes milliseconds and a load seconds.

    Who comes first changes each time.
    """
    taken: dict[str, list[float]] = {name: [] for name in ask}
    for number in range(times):
        for name in sorted(ask, reverse=bool(number % 2)):
            began = time.perf_counter()
            ask[name]()
            taken[name].append(time.perf_counter() - began)
    return taken


def rows(found: Samples) -> Iterator[Row]:
    """With a long past against with a short one, page by page; then the milliseconds."""
    for name in (name.removesuffix(f", {LONG} past") for name in found if name.endswith(f", {LONG} past")):
        times = ratio(found[f"{name}, {LONG} past"], found[f"{name}, {SHORT} past"])
        yield at_most(f"{name}: long ÷ short past", times, "", MOST)
    for name, value in medians(found).items():
        yield Row(name, 1000 * value, "ms")
