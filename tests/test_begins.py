"""When experiments begin: from the warehouse, and from what is written down beside it while it is the same."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime

import duckdb
import pytest

from runner import config
from runner.notebook import warehouse
from runner.plan.deadlines import Begin
from runner.scheduler.begins import begins_of
from tests.small_projects import PEOPLE, SETTINGS, write
from tests.small_warehouse import build

PIPELINES = """\
pipelines:
  arms:
    title: Arms
    notebook: arms.ipynb
    period: experiment
    experiment: 13
    deadline: within 6 hours of experiment start
    owners: {primary: ann, secondary: bob, because: They asked.}
    readers: [owners]
    sources: [warehouse]
"""
AT_13 = Begin("13", datetime(2017, 8, 8, 13, tzinfo=UTC))
AT_18 = Begin("18", datetime(2017, 10, 30, 13, tzinfo=UTC))


@pytest.fixture
def arms(tmp_path):
    """A project about experiments, of which its warehouse has one, number 13."""
    write(tmp_path / "config/settings.yml", SETTINGS)
    write(tmp_path / "config/people.yml", PEOPLE)
    write(tmp_path / "config/pipelines.yml", PIPELINES)
    write(tmp_path / "notebooks/arms.ipynb", "{}")
    write(tmp_path / "config/experiments.yml", 'begin_at: "09:00"\n')
    path = tmp_path / warehouse.PLACE
    path.parent.mkdir()
    build(path, {"experiments": [(13, "TypeA", date(2017, 8, 8), date(2017, 9, 26))]})
    stamp(path)
    return config.load(tmp_path)


def stamp(path):
    """Let a warehouse be taken for one that is whole and current."""
    path.with_suffix(".sha256").write_text(warehouse.stamp_of(path, warehouse.fingerprint(path.parent)))


def spoil(path):
    """Make a file unreadable for the database, of the same size and time: it is still taken for current."""
    state = path.stat()
    path.write_bytes(bytes(state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_the_second_question_opens_no_database(arms):
    """And has the same answer, the local hour of each begin in UTC."""
    assert begins_of(arms) == (AT_13,)
    spoil(arms.folder / warehouse.PLACE)
    assert begins_of(arms) == (AT_13,)


def test_a_warehouse_that_changed_is_asked_again(arms):
    """Whatever is written down beside it."""
    assert begins_of(arms) == (AT_13,)
    path = arms.folder / warehouse.PLACE
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO experiments VALUES (18, 'TypeA', DATE '2017-10-30', DATE '2017-12-24')")
    stamp(path)
    assert begins_of(arms) == (AT_13, AT_18)


@pytest.mark.parametrize("text", ["", '{"stamp": ', "[]", '{"stamp": "another", "begins": {"7": "2017-01-01"}}'])
def test_what_is_written_down_and_cannot_be_used_is_written_anew(arms, text):
    """A file that is not whole, or of another warehouse, is none."""
    aside = (arms.folder / warehouse.PLACE).with_suffix(".begins.json")
    aside.write_text(text)
    assert begins_of(arms) == (AT_13,)
    assert json.loads(aside.read_text())["begins"] == {"13": "2017-08-08"}
    spoil(arms.folder / warehouse.PLACE)
    assert begins_of(arms) == (AT_13,)


def test_a_folder_that_takes_no_file_has_its_experiments_all_the_same(arms):
    """What is written down saves time, and no more."""
    (arms.folder / warehouse.PLACE).with_suffix(".begins.json").mkdir()
    assert begins_of(arms) == (AT_13,)
