"""The press: real processes that render and prove, one report after another, and can be killed at any moment."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runner import errors
from runner.document import shipped
from runner.errors import Interrupted, ProofFailed, RenderingFailed
from runner.model import Figure, Level
from runner.report import notebooks, press
from runner.report.execute import Stop
from runner.report.press import Press, Presses, Sheet
from runner.warm import wire
from tests import report_samples as samples
from tests import soak
from tests.small_projects import living, write
from tests.warm_parents import has_ended, parent_of, runtime

COLD = "because of the test"


@pytest.fixture(scope="module", autouse=True)
def place() -> Iterator[Path]:
    """One warm parent for this module."""
    with runtime() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture
def sheet(tmp_path) -> Sheet:
    """A rich report that is to be printed."""
    notebooks.write(samples.rich(), tmp_path / "executed.ipynb")
    return Sheet(
        name="report",
        notebook=tmp_path / "executed.ipynb",
        meta=samples.META,
        folder=tmp_path / "printed",
        templates=[shipped.TEMPLATES],
        beside=tmp_path,
        within=tmp_path,
    )


@pytest.fixture
def one() -> Iterator[Press]:
    """A press that is ended after the test."""
    made = Press()
    with closing(made):
        yield made


def pid_of(one: Press) -> int:
    """The number of a press's process."""
    return one._printer._process.pid


def contents(sheet: Sheet, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files that were printed, and no others lie beside them."""
    found = {path.relative_to(sheet.folder).as_posix() for path in sheet.folder.rglob("*") if path.is_file()}
    assert found == set(names)
    return {name: (sheet.folder / name).read_bytes() for name in names}


def test_a_press_without_a_process_prints_and_proves_the_same(sheet, one):
    """Where sockets do not keep messages apart the runner's own process prints, byte for byte the same."""
    names = one.render(sheet, 60, Stop())
    expected = contents(sheet, names), one.prove(samples.FIGURES, 60, Stop())
    here = Press()
    here._printer = press._Here()
    again = here.render(sheet, 60, Stop())
    assert (contents(sheet, again), here.prove(samples.FIGURES, 60, Stop())) == expected
    stop = Stop()
    stop.ask()
    with pytest.raises(Interrupted):
        here.render(sheet, 60, stop)
    stop.close()


def test_a_warm_and_a_cold_press_print_and_prove_the_same(sheet):
    """Byte for byte, HTML, PDF and charts, and the same findings of the proof."""
    found = []
    for cold in ("", COLD):
        mine = replace(sheet, cold=cold, folder=sheet.folder.with_name(f"printed-{bool(cold)}"))
        with closing(Press()) as one:
            names = one.render(mine, 60.0, Stop())
            findings = one.prove(samples.FIGURES, 60.0, Stop())
            command = Path(f"/proc/{pid_of(one)}/cmdline").read_text()
        assert ("runner.warm.nursery" in command) is not bool(cold)
        found.append((contents(mine, names), findings))
    assert {"report.html", "report.pdf"} < set(found[0][0])
    assert any(name.startswith("charts/") for name in found[0][0])
    assert found[0] == found[1]


def test_what_one_report_leaves_in_a_press_does_not_show_in_the_next(sheet, one):
    """A report printed third is the one printed first, byte for byte, with another in between."""
    first = contents(sheet, one.render(sheet, 60.0, Stop()))
    other = replace(sheet, name="other", folder=sheet.folder.with_name("other"), notebook=sheet.folder / "other.ipynb")
    notebooks.write(samples.plain_notebook(), other.notebook)
    one.render(other, 60.0, Stop())
    again = replace(sheet, folder=sheet.folder.with_name("again"))
    assert contents(again, one.render(again, 60.0, Stop())) == first


def test_a_proof_finds_a_figure_that_is_not_in_the_files(sheet, one):
    """It looks at the very report that was rendered last."""
    one.render(sheet, 60.0, Stop())
    assert not [found for found in one.prove(samples.FIGURES, 60.0, Stop()) if found.level is Level.STOP]
    missing = Figure("lost", 7.0, "$7,777,777", "Lost", "usd", None, "", "neutral")
    assert [found for found in one.prove([missing], 60.0, Stop()) if found.level is Level.STOP]


def test_a_press_is_used_again(sheet):
    """For the next report, as long as it is fit; reports at once have one each."""
    presses = Presses()
    with closing(presses):
        pids = []
        for _ in range(3):
            with presses.one() as one:
                one.render(sheet, 60.0, Stop())
                pids.append(pid_of(one))
        assert len(set(pids)) == 1
        with presses.one() as one, presses.one() as other:
            one.render(sheet, 60.0, Stop())
            other.render(sheet, 60.0, Stop())
            assert pid_of(one) != pid_of(other)


def test_a_press_makes_room_after_so_many_reports(sheet, one):
    """The one before is gone then."""
    one.render(sheet, 60.0, Stop())
    before = pid_of(one)
    one._printer._reports = press.REPORTS - 1
    one.render(sheet, 60.0, Stop())
    assert pid_of(one) == before
    one.render(sheet, 60.0, Stop())
    assert pid_of(one) != before
    assert has_ended(before)


def test_a_press_that_has_grown_makes_room(sheet, one, monkeypatch):
    """It tells with each answer by how much it has."""
    monkeypatch.setattr(press, "GROWN", -1.0)
    one.render(sheet, 60.0, Stop())
    before = pid_of(one)
    assert one.prove(samples.FIGURES, 60.0, Stop())  # the report is proven by the press that knows it
    assert pid_of(one) == before
    one.render(sheet, 60.0, Stop())
    assert pid_of(one) != before
    assert has_ended(before)


def test_a_press_without_work_ends(monkeypatch):
    """And whoever waits for its answer sees the end."""
    monkeypatch.setattr(press, "IDLE", 0.05)
    ours, theirs = wire.pair()
    with ours:
        press.serve(theirs.detach())
        with pytest.raises(EOFError):
            wire.receive(ours)


def test_a_press_that_hears_the_end_or_garbage_ends():
    """Nothing is printed for nobody."""
    for said in (b"", b"garbage"):
        ours, theirs = wire.pair()
        if said:
            ours.send(said)
        ours.shutdown(socket.SHUT_WR)
        press.serve(theirs.detach())
        ours.close()


@pytest.mark.parametrize("cold", ["", COLD], ids=["warm", "cold"])
def test_a_limit_ends_a_press_and_says_so(sheet, one, cold):
    """Its process is gone, and the next report has another one."""
    mine = replace(sheet, cold=cold)
    one.render(mine, 60.0, Stop())
    before = pid_of(one)
    with pytest.raises(RenderingFailed, match=r"^Rendering took longer than 0.001 seconds and was ended\.") as caught:
        one.render(mine, 0.001, Stop())
    assert caught.value.remedy == "Shorten its tables or raise the limit."
    assert has_ended(before)
    one.render(mine, 60.0, Stop())
    os.kill(pid_of(one), signal.SIGSTOP)
    with pytest.raises(ProofFailed, match=r"took longer than 0\.05 seconds"):
        one.prove(samples.FIGURES, 0.05, Stop())


@pytest.mark.parametrize("cold", ["", COLD], ids=["warm", "cold"])
def test_a_stop_ends_a_press(sheet, one, cold):
    """At once, though it hears nothing; and the next report has another one."""
    mine = replace(sheet, cold=cold)
    one.render(mine, 60.0, Stop())
    before = pid_of(one)
    os.kill(before, signal.SIGSTOP)
    stop = Stop()
    threading.Timer(0.1, stop.ask).start()
    with pytest.raises(Interrupted):
        one.render(mine, 60.0, stop)
    assert has_ended(before)
    assert one.render(mine, 60.0, Stop())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_press_that_died_between_two_reports_is_replaced(sheet, one, number):
    """Nobody notices."""
    one.render(sheet, 60.0, Stop())
    before = pid_of(one)
    os.kill(before, number)
    assert has_ended(before)
    assert one.render(sheet, 60.0, Stop())
    assert pid_of(one) != before


@pytest.mark.parametrize("cold", ["", COLD], ids=["warm", "cold"])
def test_a_press_that_dies_before_its_proof_or_in_a_report_fails_that_one_alone(sheet, one, cold):
    """It is told how it ended, and the next report is printed."""
    mine = replace(sheet, cold=cold)
    one.render(mine, 60.0, Stop())
    os.kill(pid_of(one), signal.SIGKILL)
    assert has_ended(pid_of(one))
    with pytest.raises(RenderingFailed, match="The press ended with code -9") as caught:
        one.prove(samples.FIGURES, 60.0, Stop())
    assert caught.value.remedy
    one.render(mine, 60.0, Stop())
    os.kill(pid_of(one), signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (pid_of(one), signal.SIGKILL)).start()
    with pytest.raises(RenderingFailed, match="The press ended with code -9"):
        one.prove(samples.FIGURES, 60.0, Stop())
    assert one.render(mine, 60.0, Stop())


def test_the_guard_of_a_press_may_die_as_well(sheet, one):
    """Its press goes with it, and the next report is printed."""
    one.render(sheet, 60.0, Stop())
    before = pid_of(one)
    os.kill(parent_of(before), signal.SIGKILL)
    assert has_ended(before)
    assert one.render(sheet, 60.0, Stop())


def test_a_press_is_cold_where_there_can_be_no_parent(sheet, one, place):
    """It prints all the same."""
    broken = replace(sheet, env={**sheet.env, "XDG_RUNTIME_DIR": str(place / "missing")})
    assert one.render(broken, 60.0, Stop())
    assert "runner.report.press" in Path(f"/proc/{pid_of(one)}/cmdline").read_text()


def test_a_fault_of_ours_shows_its_traceback_and_the_press_goes_on(sheet, one):
    """The error tells where in the press it was; the next report is printed by the same one."""
    with pytest.raises(RuntimeError, match="FileNotFoundError: ") as caught:
        one.render(replace(sheet, notebook=sheet.folder / "missing.ipynb"), 60.0, Stop())
    assert "in _rendered" in "".join(caught.value.__notes__)
    before = pid_of(one)
    assert one.render(sheet, 60.0, Stop())
    assert pid_of(one) == before


def test_an_error_for_people_comes_back_as_what_it_was(sheet, one, tmp_path):
    """With its sentence and its remedy: a template that Typst cannot read, and a proof of nothing."""
    with pytest.raises(RenderingFailed, match="Nothing was rendered"):
        one.prove((), 60.0, Stop())
    one._make_ready(sheet)
    with pytest.raises(ProofFailed, match="Nothing was rendered") as caught:
        one.prove((), 60.0, Stop())
    assert caught.value.remedy == "Run it again."
    for path in shipped.TEMPLATES.rglob("*.typ"):
        write(tmp_path / "templates" / path.relative_to(shipped.TEMPLATES), "#let broken = (")
    with pytest.raises(errors.RunnerError) as caught:
        one.render(replace(sheet, templates=[tmp_path / "templates", shipped.TEMPLATES]), 60.0, Stop())
    assert type(caught.value) is RenderingFailed
    assert caught.value.remedy


def test_a_press_carries_none_of_the_marks_of_a_run(sheet, one):
    """It outlives the run, whose processes are found by them and ended."""
    one.render(replace(sheet, env={**sheet.env, "RUNNER_RUN": "run-1"}), 60.0, Stop())
    assert b"run-1" not in Path(f"/proc/{pid_of(one)}/environ").read_bytes()


def test_no_process_is_left_when_presses_close(sheet, place):
    """Nor when they are forgotten; closing twice is no error."""
    presses = Presses()
    with presses.one() as one, presses.one() as other:
        one.render(sheet, 60.0, Stop())
        other.render(replace(sheet, cold=COLD), 60.0, Stop())
        pids = [pid_of(one), parent_of(pid_of(one)), pid_of(other)]
    presses.close()
    presses.close()
    assert all(has_ended(pid) for pid in pids)
    forgotten = Presses()
    with forgotten.one() as one:
        one.render(sheet, 60.0, Stop())
        pid = pid_of(one)
    del forgotten, one
    assert has_ended(pid)
    assert living(f"{place}/") != []  # the parent stays


def test_thirty_reports_leave_nothing_behind():
    """Not one process, thread, descriptor or file more than after ten, and no memory to speak of."""
    readings = soak.soak(30, every=10)
    assert [reading.runs for reading in readings] == [10, 20, 30]
    assert soak.broken(readings, growth=40.0) == []


def test_a_soak_tells_what_grew():
    """Every bound is looked at."""
    before = soak.Reading(50, 4, 2, 30, 9, 7, 12, 90.0, 60.0, 50.0)
    assert soak.broken([before, replace(before, runs=100, ours=109.0)]) == []
    after = replace(before, runs=100, processes=5, threads=3, our_files=31, parent_files=10, press_files=8)
    said = soak.broken([before, replace(after, left_files=13, press=71.0)])
    assert said[:2] == ["processes were 4 and became 5.", "threads were 2 and became 3."]
    assert said[-1] == "Memory grew by 21.0 MB, more than 20 MB."
    assert len(said) == 7
