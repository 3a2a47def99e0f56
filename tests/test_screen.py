"""The screen: what a person and a program see of the same events."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner import screen
from runner.errors import Trouble
from runner.model import Status
from runner.report.draft import Made, Step

GOOD = Made("growth", "2017-11-15", Status.DELIVERED, run="r1", folder=Path("/elsewhere/growth/r1"), sent=2)
BAD = Made(
    "profit", "2017-11-15", Status.FAILED, "The till is away.", "Start it.", Trouble.SOURCE_UNAVAILABLE, exit_code=1
)


def steps(*headings: str) -> list[Step]:
    """One step for each cell."""
    return [Step("growth", "execute", number, len(headings), text) for number, text in enumerate(headings, start=1)]


def test_a_line_is_written_for_each_heading_and_stage_and_not_for_each_cell(capsys):
    """Forty cells under three headings are three lines in a log."""
    plain = screen.Screen()
    for step in (*steps("Summary", "Summary", "Trend", "Trend"), Step("growth", "render"), Step("growth", "hand over")):
        plain.step(step)
    assert capsys.readouterr().out.splitlines() == [
        "growth: executing: Summary",
        "growth: executing: Trend",
        "growth: rendering",
        "growth: hand over",
    ]


def test_reports_side_by_side_do_not_repeat_each_other(capsys):
    """Lines of two reports may alternate; each is said once."""
    plain = screen.Screen()
    for _ in range(3):
        plain.step(Step("growth", "execute", 1, 9, "Summary"))
        plain.step(Step("profit", "execute", 1, 9, "Summary"))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_summary_says_what_where_and_what_to_do(capsys):
    """One block a report: status, period and folder; below it message, remedy and messages written."""
    screen.Screen().summary([GOOD, BAD])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "",
        "growth  delivered    2017-11-15                /elsewhere/growth/r1",
        "        2 messages written to the maildir.",
        "profit  failed       2017-11-15",
        "        The till is away.",
        "        Start it.",
    ]


def test_the_summary_says_who_took_the_messages(capsys):
    """Where config names a mail server, messages do not lie in the maildir, and nothing says so."""
    screen.Screen().summary([replace(GOOD, by_mail=True)])
    assert "2 messages taken by the mail server." in capsys.readouterr().out


def test_a_folder_below_the_reader_is_named_by_its_short_path(monkeypatch, tmp_path):
    """Where one stands, `reports/…` is enough."""
    monkeypatch.chdir(tmp_path)
    made = Made("growth", "d", Status.READY, folder=tmp_path / "reports/growth/d/r1")
    assert screen.Screen().where(made) == "reports/growth/d/r1"


def test_json_lines_hold_plain_types_only(capsys):
    """Status, trouble and folder are texts; an absent one is null."""
    lines = screen.Lines()
    lines.step(Step("growth", "execute", 1, 2, "Summary"))
    lines.made(BAD)
    lines.summary([GOOD, BAD])
    step, made, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert step == {
        "event": "step",
        "pipeline": "growth",
        "stage": "execute",
        "cell": 1,
        "cells": 2,
        "heading": "Summary",
    }
    assert (made["status"], made["trouble"], made["folder"]) == ("failed", "source unavailable", None)
    assert [item["folder"] for item in summary["reports"]] == ["/elsewhere/growth/r1", None]


@pytest.mark.parametrize(("as_json", "kind"), [(True, screen.Lines), (False, screen.Screen)])
def test_elsewhere_than_on_a_terminal_there_are_no_bars(as_json, kind):
    """Standard output is no terminal here."""
    assert type(screen.screen_for(as_json=as_json, total=3)) is kind


def test_no_name_of_a_file_steers_the_terminal():
    """Line breaks and colours in it are not passed on."""
    assert screen.near(Path("/elsewhere/a\nb\x1b[31m c.pdf")) == "/elsewhere/a b c.pdf"


def test_why_a_report_ended_so_is_said_once(capsys):
    """The line at its end says the status alone; the summary says the reason."""
    plain = screen.Screen()
    plain.made(BAD)
    assert capsys.readouterr().out == "profit: failed\n"
    plain.summary([BAD])
    assert capsys.readouterr().out.count("The till is away.") == 1


def test_a_table_has_aligned_columns(capsys):
    """Each column begins at the same place in every line; an empty table is nothing."""
    plain = screen.Screen()
    plain.table([{"a": "long text", "b": "x", "c": 1}, {"a": "s", "b": "yy", "c": 2}], ("a", "b"))
    assert capsys.readouterr().out.splitlines() == ["A          B", "long text  x", "s          yy"]
    plain.table([], ("a",))
    assert capsys.readouterr().out == ""
