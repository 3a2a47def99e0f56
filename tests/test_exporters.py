"""Both exporters as nbconvert finds and runs them."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import nbformat
import pytest
from nbconvert.exporters import get_exporter

from runner.document import readback
from runner.document.exporters import ReportHTMLExporter, ReportPDFExporter, read_beside
from tests import report_samples as samples

NAMES = {"report_html": ReportHTMLExporter, "report_pdf": ReportPDFExporter}


@pytest.mark.parametrize("name", NAMES)
def test_nbconvert_finds_the_exporter(name):
    """The entry point leads to our class."""
    found = {point.name for point in importlib.metadata.entry_points(group="nbconvert.exporters")}
    assert name in found
    assert get_exporter(name) is NAMES[name]


@pytest.mark.parametrize(
    ("name", "suffix", "start"), [("report_html", ".html", b"<!DOCTYPE html>"), ("report_pdf", ".pdf", b"%PDF")]
)
def test_jupyter_nbconvert_writes_the_file(tmp_path, name, suffix, start):
    """`jupyter nbconvert --to report_…` on anyone's notebook writes a report beside it."""
    nbformat.write(samples.plain_notebook(), tmp_path / "study.ipynb")
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "nbconvert", "--to", name, "study.ipynb"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    data = (tmp_path / f"study{suffix}").read_bytes().lstrip()
    assert data.startswith(start)


def test_pictures_beside_the_notebook_are_taken_in(tmp_path):
    """A relative picture of a markdown cell is found from the notebook's folder."""
    (tmp_path / "a.png").write_bytes(samples.drawing(5, 3)[1])
    nbformat.write(samples.notebook("# T\n\n![A line](a.png)"), tmp_path / "n.ipynb")
    text, resources = ReportHTMLExporter().from_filename(str(tmp_path / "n.ipynb"))
    assert readback.read_html(text).alts == ("A line",)
    assert resources["output_extension"] == ".html"


def test_files_outside_the_folder_are_not_read(tmp_path):
    """A picture's path never leads out of the notebook's folder, and only pictures are read."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (inside / "notes.txt").write_bytes(b"x")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "ok.png").write_bytes(b"y")
    assert [
        read_beside(inside, name) for name in ("../secret.png", "notes.txt", "link.png", "/etc/passwd", "a\0b.png")
    ] == [None] * 5
    assert read_beside(inside, "ok.png") == b"y"


def test_own_templates_come_first(tmp_path):
    """The templates option names folders that win over ours."""
    (tmp_path / "report.html.j2").write_text("own {{ meta.title }}")
    text, _ = ReportHTMLExporter(templates=[str(tmp_path)]).from_notebook_node(samples.plain_notebook())
    assert text == "own Sales study"


def test_the_runner_s_meta_data_reaches_the_exporter():
    """A notebook that the runner executed carries its title and company into the report."""
    text, _ = ReportHTMLExporter().from_notebook_node(samples.rich())
    assert "<title>Aggregate profit – Harbour Grocers</title>" in text
