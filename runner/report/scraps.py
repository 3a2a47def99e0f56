"""An executed notebook -> what it hands over: figures, findings, records and sources.

scrapbook's scraps are outputs of one media type, so reading them takes nbformat alone. Values that no report may show
(NaN, infinity, the texts that scrapbook makes of them) are refused here, whatever the notebook thought of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.errors import ReportStopped, Trouble
from runner.model import SCRAP_MIME, Figure, Finding, Scraps
from runner.report.inputs import digest_of
from runner.report.notebooks import NotebookNode

_NONSENSE = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "none", "null", "nat", "<na>"}


def read(nb: NotebookNode) -> Scraps:
    """All scraps of a notebook, in the order glued.

    Raises ReportStopped on a figure glued twice, a value that is no number, or a scrap of the wrong shape.
    """
    figures: dict[str, Figure] = {}
    findings: list[Finding] = []
    tables: dict[str, dict[str, Any]] = {"record": {}, "source": {}}
    for name, data in _glued(nb):
        kind, _, rest = name.partition(":")
        if kind == "figure":
            _once(figures, rest, name)
            figures[rest] = _figure(name, data)
        elif kind == "finding":
            findings.append(_finding(name, data))
        elif kind in tables:
            _once(tables[kind], rest, name)
            tables[kind][rest] = _whole(name, data)
    return Scraps(tuple(figures.values()), tuple(findings), tables["record"], tables["source"])


#: The file beside a run's notebook in which `Report` notes each finding as it is made, a JSON line each.
TOLD = ".told.jsonl"


def compare(nb: NotebookNode, told: str) -> None:
    """Raise ReportStopped when a finding that was made is no longer in the notebook as it was made.

    An output can be cleared or captured after the check has spoken; the gate must hear what was said, not what is left.
    """
    glued = {digest_of([name, data]) for name, data in _glued(nb)}
    for line in told.splitlines():
        name, data = json.loads(line)
        if digest_of([name, data]) not in glued:
            raise ReportStopped(
                f"The check {data.get('check')!r} was made, but its result is not in the notebook's output any more: "
                f"{data.get('message')}",
                "Take %%capture and clear_output away from checks.",
            )


def findings(nb: NotebookNode) -> tuple[Finding, ...]:
    """The findings of a notebook that did not come to its end: whatever can still be read."""
    found = []
    for name, data in _glued(nb):
        if name.startswith("finding:"):
            try:
                found.append(_finding(name, data))
            except ReportStopped:
                continue
    return tuple(found)


def _glued(nb: NotebookNode) -> Iterator[tuple[str, Any]]:
    for cell in nb.cells:
        for output in cell.get("outputs", ()):
            scrap = output.get("data", {}).get(SCRAP_MIME)
            if isinstance(scrap, dict) and "name" in scrap:
                yield str(scrap["name"]), scrap.get("data")


def _once(seen: Mapping[str, Any], name: str, scrap: str) -> None:
    if name in seen:
        raise ReportStopped(f"The notebook glues {scrap!r} twice.", "Give each its own name.")


def _figure(scrap: str, data: Any) -> Figure:
    try:
        figure = Figure.of(data)
    except (KeyError, TypeError) as error:
        raise _misshapen(scrap, error) from error
    for value in (figure.value, figure.prior):
        if _is_nonsense(value):
            raise ReportStopped(f"The figure {figure.name!r} is {value}: no number.", "Correct it in the notebook.")
    if (
        isinstance(figure.value, bool)
        or not isinstance(figure.value, int | float | str)
        or figure.text.strip().lower() in {"", *_NONSENSE}
    ):
        raise ReportStopped(f"The figure {figure.name!r} has nothing to print.", "Correct it in the notebook.")
    if not _says(figure.value, figure.text):
        what = f"The figure {figure.name!r} is {figure.value} and would be printed as {figure.text!r}."
        raise ReportStopped(what, "Print it through report.figure.")
    return figure


_NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?")


def _says(value: float | str, text: str) -> bool:
    """Whether a text with one number in it gives the value, rounded as it is printed; other texts are let be."""
    found = _NUMBER.findall(text)
    if isinstance(value, str) or len(found) != 1:
        return True
    digits = found[0].replace(",", "")
    decimals = len(digits.partition(".")[2])
    scale = 100 if "%" in text or text.rstrip().endswith("pp") else 1
    sign = -1 if re.match(r"\W*[-\u2212]", text) else 1
    return bool(abs(sign * float(digits) - value * scale) <= 0.5000001 * 10.0**-decimals)


def _finding(scrap: str, data: Any) -> Finding:
    try:
        finding = Finding.of(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _misshapen(scrap, error) from error
    return finding


def _whole(scrap: str, data: Any) -> Any:
    if not isinstance(data, dict):
        raise _misshapen(scrap, TypeError("it is no object"))
    if any(_is_nonsense(leaf) for leaf in _leaves(data)):
        raise ReportStopped(f"{scrap!r} holds a value that is no number.", "Correct it in the notebook.")
    return data


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            yield from _leaves(item)
    elif not isinstance(data, str):
        yield data


def _is_nonsense(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, str) and value.strip().lower() in _NONSENSE


def _misshapen(scrap: str, error: Exception) -> ReportStopped:
    return ReportStopped(f"The scrap {scrap!r} has not the expected shape: {error}.", "", Trouble.CELL_FAILED)
