"""The benchmark: its arithmetic, its honesty, and that its small version measures every item."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from runner.notebook import charts
from tests.bench import fanout, limit, one, picture, ratios, report, table
from tests.bench.__main__ import ITEMS, measured
from tests.bench.running import ROOT, Failed, timed, watched, worker
from tests.bench.shapes import Item, Row, Size
from tests.bench.worker import spread

# Arithmetic.


def test_contenders_take_turns():
    """Every contender is measured once a round, in the same order."""
    said: list[str] = []
    found = ratios.interleaved({"a": lambda: 1, "b": lambda: 2}, 2, said.append)
    assert said == ["round 1/2  a", "round 1/2  b", "round 2/2  a", "round 2/2  b"]
    assert found == {"a": [1, 1], "b": [2, 2]}


def test_median_of_each_contender():
    """The median is the middle sample, the mean of the two middle ones, and nothing without samples."""
    assert ratios.medians({"a": [3.0, 1.0, 9.0], "b": [1.0, 2.0]}) == {"a": 3.0, "b": 1.5}
    with pytest.raises(ValueError, match="No sample of b"):
        ratios.medians({"a": [1.0], "b": []})


def test_ratio_is_that_of_each_round():
    """A ratio is the median of the rounds' ratios, so that one slow minute that falls on both sides changes nothing."""
    assert ratios.ratio([10.0, 100.0, 12.0], [2.0, 20.0, 2.0]) == 5.0
    assert ratios.ratio([10.0, 10.0, 100.0], [1.0, 10.0, 10.0]) == 10.0
    with pytest.raises(ValueError, match="at least one round"):
        ratios.ratio([], [])


def test_slope_of_memory():
    """What one kernel more weighs is the slope through all points, whatever the first one weighs."""
    assert ratios.slope([(1, 130.0), (2, 160.0), (4, 220.0)]) == pytest.approx(30.0)
    with pytest.raises(ValueError, match="two different places"):
        ratios.slope([(2, 1.0), (2, 3.0)])


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (ratios.at_least("x", 15.0, "times", 15), True),
        (ratios.at_least("x", 14.9, "times", 15), False),
        (ratios.at_most("x", 40.0, "MB", 40), True),
        (ratios.at_most("x", 40.1, "MB", 40), False),
        (ratios.at_least("x", math.inf, "times", 15), False),
        (ratios.at_most("x", math.nan, "MB", 40), False),
    ],
)
def test_target(row, met):
    """A target is met at its very value, and never by what is no number."""
    assert row.met is met


def test_missed_target_is_printed_as_missed():
    """The table says MISSED beside the target, and the summary names the row."""
    rows = (ratios.at_least("a report", 3.0, "times", 15), ratios.at_most("a kernel", 30.0, "MB", 40), Row("b", 1, "s"))
    item = Item("x", "Title", rows, ("A remark.",))
    lines = list(table.lines([item], {"data": "Failed: no room"}))
    assert [line.split() for line in lines if "a report" in line] == [
        ["a", "report", "3.00", "times", "at", "least", "15", "times", "MISSED"]
    ]
    assert [line.endswith("met") for line in lines if "a kernel" in line] == [True]
    assert "data: FAILED: Failed: no room" in lines
    assert table.summary([item], {"data": "no"}) == "1 of 2 targets met. Missed: a report. Failed: data."


def test_parts_of_a_run_add_up():
    """Kernel is the execution without its cells; with render, proof and the rest the parts are the wall time."""
    at = "2026-01-01T00:00:{:06.3f}+00:00".format
    stages = [("execute", 1), ("read", 3), ("render", 3.5), ("prove", 4.25)]
    events = [{"event": "run begins", "at": at(0.9)}]
    events += [{"event": "stage begins", "stage": stage, "at": at(second)} for stage, second in stages]
    events += [{"event": "cell begins", "at": at(1.5)}, {"event": "run ends", "at": at(4.5)}]
    noted = [{"start_time": at(1.5), "end_time": at(1.7)}, {}, {"start_time": at(1.8), "end_time": at(2.75)}]
    notebook = {"cells": [{"metadata": {"papermill": note}} for note in noted]}
    found = one.parts(events, notebook, 5.0)
    expected = {"kernel": 0.75, "cells": 1.25, "render": 0.75, "proof": 0.25, "rest": 2.0, "wall": 5.0}
    assert found == pytest.approx(expected)


def test_parts_of_the_peer_chain():
    """The papermill command without the cells is kernel; the two commands after it are rendering."""
    found = one.of_peer({"papermill": 5.0, "html": 2.0, "pdf": 1.0, "cells": 1.5})
    assert found["wall"] == 8.0
    assert [found[part] for part in one.PARTS] == [3.5, 1.5, 3.0, 0.0, 0.0]


def _samples() -> one.Taken:
    ours = {"wall": 2.0, "kernel": 0.2, "cells": 1.0, "render": 0.5, "proof": 0.1, "rest": 0.2}
    peer = {"wall": 12.0, "kernel": 8.0, "cells": 1.0, "render": 3.0, "proof": 0.0, "rest": 0.0}
    plain = {"wall": 1.5, "cells": 1.0, "render": 0.5}
    ways = {one.PEER: peer, one.COLD: peer, one.SHELL: ours, one.WARM: ours, one.PLAIN: plain}
    return {name: {way: [sample] for way, sample in ways.items()} for name in ("trivial", "unit_profit")}


def test_overhead_above_the_limit():
    """Ours counts above cells and rendering, the peer above its cells alone; the target is a twentieth of the sum."""
    found = {name: limit.overhead(each) for name, each in _samples().items()}
    assert found["trivial"] == limit.Overhead(1.5, 0.5, 11.0)
    first = next(limit.rows(found))
    assert first.value == pytest.approx(1 / 22)
    assert first.met


def test_failed_item_is_told_and_the_others_go_on(tmp_path):
    """An item that cannot be measured is named with its reason; the one after it is measured."""
    (tmp_path / "one_report.json").write_text(json.dumps({"taken": _samples()}))
    items, failed = measured({1: "nowhere", 2: "report"}, Size(small=True, rounds=1, folder=tmp_path))
    assert list(failed) == ["nowhere"]
    assert [item.name for item in items] == ["report"]
    rows = {row.label: row for row in items[0].rows}
    assert rows["trivial: peer ÷ ours warm"].value == 6.0
    assert not rows["trivial: peer ÷ ours warm"].met
    assert rows["unit profit: peer ÷ ours warm"].met
    assert set(report.TARGETS) >= {"trivial", "unit_profit"}


def test_stopped_report_counts_as_none():
    """A report that a check stopped is quick and worth nothing: the rate is refused."""
    ready, stopped = {"status": "ready", "message": ""}, {"status": "stopped", "message": "No sales."}
    assert fanout.whole({"wall": 2.0, "made": [ready]}) == 2.0
    with pytest.raises(Failed, match=r"1 of 2 reports were not made: stopped: No sales\."):
        fanout.whole({"wall": 2.0, "made": [ready, stopped]})


def test_many_different_reports():
    """Days are spread over each experiment, no report is wanted twice, and short experiments give what they can."""
    chosen = spread({"a": list(range(10)), "b": [1, 2], "c": list(range(5, 25))}, 17)
    assert len(chosen) == len(set(chosen)) == 17
    assert sorted(day for name, day in chosen if name == "b") == [1, 2]
    assert max(day for name, day in chosen if name == "c") > 15


def test_answers_that_differ_are_found():
    """Half a cent is a difference, so is a missing row; sums of squares may differ in their tenth digit."""
    answer = {"Treated": {"profit": 10.0, "yy": 1e12}}
    assert ratios.differences(answer, {"Treated": {"profit": 10.004, "yy": 1e12 + 100}}) == []
    assert ratios.differences(answer, {"Treated": {"profit": 10.006, "yy": 1e12}}) == [
        "Treated, profit: 10.0 and 10.006"
    ]
    assert ratios.differences(answer, {}) == ["Treated is only in one of them"]
    assert len(ratios.differences(answer, {"Treated": {"profit": math.nan, "yy": 1e12}})) == 1


# Processes.


def test_command_that_fails_is_told_with_its_words(tmp_path):
    """A command that ends with another code than was allowed is refused with the last it printed."""
    command = [sys.executable, "-c", "print('no room'); raise SystemExit(3)"]
    assert timed(command, tmp_path, {}, fine=(3,)) > 0
    with pytest.raises(Failed, match="ended with code 3: no room"):
        timed(command, tmp_path, {})


def test_worker_answers_and_leaves(tmp_path):
    """A worker tells of an order that failed, goes on with the next, and is gone after its block."""
    notebook = tmp_path / "n.ipynb"
    cells = [("x = 1", ["parameters"]), ("assert x == '5', x", [])]
    made = [{"cell_type": "code", "source": source, "metadata": {"tags": tags}} for source, tags in cells]
    notebook.write_text(json.dumps({"cells": made}))
    with worker(tmp_path, {}) as asked:
        with pytest.raises(Failed, match="cells: AssertionError: 1"):
            asked.ask("cells", notebook=str(notebook), parameters={})
        assert asked.ask("cells", notebook=str(notebook), parameters={"x": "5"}) > 0
        pid = asked.pid
    assert not psutil.pid_exists(pid)


def test_watching_ends_with_its_block():
    """What is watched is looked at at least once, and no more after the block."""
    looks = iter(range(10**9))
    with watched(lambda: float(next(looks))) as seen:
        pass
    assert next(looks) == len(seen) >= 1


def test_interrupt_leaves_nothing():
    """Ctrl-C ends the benchmark with everything it started, and its scratch folder goes."""
    process = _start("--small", "--items", "1", stderr=subprocess.PIPE)
    family: list[psutil.Process] = []
    limit = time.monotonic() + 60
    while not family and time.monotonic() < limit:  # the first command of the set-up
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert family
    assert [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert not (ROOT / ".cache" / "bench" / str(process.pid)).exists()


# The whole.


def _start(*words: str, stderr: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


#: The small version in two halves beside each other: nothing is timed here, and it is a lot of work for one core.
HALVES = ("1,2,4,6,7", "3,5")


@dataclass(frozen=True)
class Half:
    """What one half left: its folder, its results, and what it printed."""

    folder: Path
    found: dict[str, Any]
    said: str


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list[Half]:
    """The small version, every item of it."""
    folders = [tmp_path_factory.mktemp("bench") for _ in HALVES]
    halves = list(zip(HALVES, folders, strict=True))
    running = [
        _start("--small", "--items", items, "--out", str(out), stderr=subprocess.STDOUT) for items, out in halves
    ]
    try:
        said = [process.communicate(timeout=280)[0] for process in running]
    finally:
        for process in running:
            process.terminate()
            process.wait()
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    found = [json.loads((folder / "bench.json").read_text("utf-8")) for folder in folders]
    return [Half(*each) for each in zip(folders, found, said, strict=True)]


def _items(small: list[Half]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for half in small for item in half.found["items"]}


def test_every_item_is_measured(small):
    """Each item has its rows, each row a finite number, and nothing failed."""
    items = _items(small)
    assert [half.found["failed"] for half in small] == [{}, {}]
    assert set(items) == set(ITEMS.values())
    assert all(item["rows"] for item in items.values())
    assert all(math.isfinite(row["value"]) for item in items.values() for row in item["rows"])


def test_results_say_where_and_with_what(small):
    """The file holds machine, versions and every sample; the table ends with how many targets were met."""
    found = small[0].found
    assert set(found["machine"]) >= {"cpu", "cores", "memory_gb"}
    assert set(found["versions"]) >= {
        "python",
        "papermill",
        "nbconvert",
        "jupyter_client",
        "ipykernel",
        "duckdb",
        "typst",
    }
    samples = _items(small)["report"]["details"]["samples"]["trivial"]
    assert {name: len(each) for name, each in samples.items()} == dict.fromkeys(
        (one.PEER, one.COLD, one.SHELL, one.WARM, one.PLAIN), found["rounds"]
    )
    assert [" targets met." in half.said.splitlines()[-1] for half in small] == [True, True]


def test_the_same_question_has_the_same_answer(small):
    """Ours and the hand-written statement were compared, number by number, on data of both sizes."""
    data = _items(small)["data"]["details"]
    one_time, two_times = (build["lines"] for build in data["builds"].values())
    assert two_times == 2 * one_time > 50_000
    for sizes in data["samples"].values():
        for sides in sizes.values():
            counts = [sample["numbers"] for side in sides.values() for sample in side]
            assert len(counts) == 3
            assert min(counts) == max(counts) > 20


def test_missing_browser_is_said(small):
    """The notes say what printed the peer's PDF, or that nothing did; both are results."""
    notes = " ".join(_items(small)["report"]["notes"])
    assert any(words in notes for words in ("is printed by headless", "is set by WeasyPrint", "makes no PDF here"))


def test_picture_is_drawn(small):
    """The picture exists as PNG and SVG, and is not blank."""
    for half in small:
        with Image.open(half.folder / "bench.png") as image:
            assert image.width > 1000
            assert len(image.convert("RGB").getcolors(1 << 20)) > 50
        assert "<svg" in (half.folder / "bench.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("data", ratios.at_most("unit profit, 1×: ours ÷ by hand", 2.0, "times", 1.2)),
        ("ledger", ratios.at_most("tick: many ÷ none", 0.5, "", 2)),
        ("startup", Row("runner oncall", 0.2, "s")),
        ("fanout", Row("ours: reports a minute", 90.0, "a minute")),
    ],
)
def test_picture_of_what_there_is(name, row):
    """The picture is drawn of those items that were measured, also of one alone."""
    assert not charts.is_blank(picture.draw([Item(name, "Title", (row,))]))
