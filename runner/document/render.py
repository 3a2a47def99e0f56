"""A `Document` to one self-contained HTML file and to a PDF.

Both renderers read the same blocks and find their templates in `templates`, a run of folders in which the first
that has a file wins: a project's own folder comes before ours. `theme.json` there sets the colours of both.

The PDF conforms to PDF/UA-1 and PDF/A-3a. Two things make exceptions, and both are logged as warnings:
an SVG that cannot be set is replaced by its PNG, and a character that no font has (Inter covers Latin, Greek
and Cyrillic; put further fonts into `templates/fonts` of the project) gives a PDF that is tagged but claims neither
standard, in which the character shows as an empty box. The proof reports such a PDF as a warning, so a person looks.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from runner.document import formulas, pictures
from runner.document.payload import MARKS, Payload, payload_of
from runner.document.shapes import Chart, Document, plain
from runner.document.shipped import TEMPLATES
from runner.document.texts import SIGNED_AMOUNT
from runner.errors import RenderingFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger(__name__)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
#: The faces that the HTML embeds: file, weight, style.
_FACES = (("Inter-Regular", 400, "normal"), ("Inter-Italic", 400, "italic"), ("Inter-SemiBold", 600, "normal"))


_SHORT = 16  # characters: a figure, a date or a name of one word or two stays on one line of a page's table


@dataclass(frozen=True)
class Pdf:
    """A finished PDF, what was remarked while it was set, and whether it claims PDF/UA-1 and PDF/A-3a."""

    data: bytes
    warnings: tuple[str, ...] = ()
    conforming: bool = True


# --- HTML ---


def html(document: Document, templates: Sequence[Path] = (TEMPLATES,)) -> str:
    """The report as one HTML file without any outside reference. Raises RenderingFailed if a template is off."""
    folders = _with_ours(templates)
    try:
        template = environment(folders).get_template("report.html.j2")
        return template.render(
            document=document,
            meta=document.meta,
            opening=_paired(document.blocks[: document.opening]),
            body=_paired(document.blocks[document.opening :]),
            marks=MARKS,
            theme=theme(folders),
            faces=_faces(folders),
        )
    except (jinja2.TemplateError, RecursionError) as error:
        raise RenderingFailed(
            f"The HTML template report.html.j2 failed: {error}.", "Correct it in the templates folder."
        ) from error


def environment(templates: Sequence[Path] = (TEMPLATES,)) -> jinja2.Environment:
    """Jinja2 for these folders: everything is escaped, an unknown name is an error."""
    return _environment(tuple(str(folder) for folder in _with_ours(templates)))


@lru_cache(maxsize=16)
def _environment(folders: tuple[str, ...]) -> jinja2.Environment:
    """Keep compiled templates; a file that changes is read again."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["picture"] = _picture
    made.filters["whole"] = _whole
    made.filters["short"] = lambda spans: len(plain(spans)) <= _SHORT
    made.filters["formula"] = formulas.draw
    made.filters["svg_uri"] = lambda svg: pictures.uri(svg, b"")
    return made


def _with_ours(templates: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys([*(Path(folder) for folder in templates), TEMPLATES]))


def _find(folders: Sequence[Path], name: str) -> Path:
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise RenderingFailed(f"The template {name} is missing.", "Restore it in the templates folder.")
    return found


def theme(folders: Sequence[Path] = (TEMPLATES,)) -> dict[str, str]:
    """The colours by name, our own where the first folders do not say. Raises RenderingFailed on a bad colour."""
    colours: dict[str, str] = {}
    for folder in reversed(_with_ours(folders)):
        if (folder / "theme.json").is_file():
            colours |= _colours(folder / "theme.json")
    return colours


def _colours(file: Path) -> dict[str, str]:
    try:
        said = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise RenderingFailed(f"{file.name} is not JSON: {error}.", "Correct it in the templates folder.") from error
    for name, colour in said.items():
        if not _COLOUR.fullmatch(str(colour)):
            raise RenderingFailed(f"{file.name}: {name} is {colour!r}.", "Write a colour like #14304f.")
    return {str(name): str(colour) for name, colour in said.items()}


def _faces(folders: Sequence[Path]) -> list[tuple[Markup, int, str]]:
    faces = [(_find(folders, f"fonts/{name}.woff2"), weight, style) for name, weight, style in _FACES]
    # Base64 has no character that means anything in CSS.
    return [
        (Markup(base64.b64encode(file.read_bytes()).decode()), weight, style)  # noqa: S704
        for file, weight, style in faces
    ]


def _whole(text: str) -> Markup:
    """The text, escaped, with each sign and its amount held together: a browser may break a line between − and $."""
    parts, at = [], 0
    for found in SIGNED_AMOUNT.finditer(text):
        parts += [escape(text[at : found.start()]), Markup('<span style="white-space:nowrap">%s</span>') % found[0]]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def _picture(chart: Chart) -> str:
    return pictures.uri(chart.svg, chart.png)


def _paired(blocks: Sequence[Any]) -> list[Any]:
    """The blocks, with neighbouring half charts as a list of two."""
    paired: list[Any] = []
    for block in blocks:
        half = isinstance(block, Chart) and block.half
        if half and paired and isinstance(paired[-1], Chart) and paired[-1].half:
            paired[-1] = [paired[-1], block]
        else:
            paired.append(block)
    return paired


# --- PDF ---


def pdf(document: Document, templates: Sequence[Path] = (TEMPLATES,), limit: float = 60.0) -> bytes:
    """The report as PDF bytes; the same document gives the same bytes when its meta data has a time stamp.

    `limit` is in seconds; the compiler is killed when it is reached. Raises RenderingFailed.
    """
    return typeset(document, templates, limit).data


def typeset(
    document: Document,
    templates: Sequence[Path] = (TEMPLATES,),
    limit: float = 60.0,
    compiled: Callable[[Path, float], None] | None = None,
) -> Pdf:
    """As `pdf`, with the warnings and whether the file claims its standards. Raises RenderingFailed.

    `compiled` compiles a folder within a limit; without it a process of its own does, for a compile cannot be
    interrupted. A process that others can kill may do it itself, with `compile_here`.
    """
    folders = _with_ours(templates)
    payload = payload_of(document, theme(folders))
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        root = Path(name)
        _lay_out(root, payload, folders, document.meta.timestamp)
        (compiled or _run)(root, limit)
        return _result(root)


def compile_here(root: Path, _limit: float) -> None:
    """Compile in this very process, which remembers what documents have in common; its memory grows with each."""
    from runner.document import typeset as compiler  # noqa: PLC0415 - brings the compiler with it

    (root / "result.json").write_text(json.dumps(compiler.typeset(root)), "utf-8")


def _lay_out(root: Path, payload: Payload, folders: Sequence[Path], timestamp: int | None) -> None:
    """Fills the compiler's private folder: template, data, pictures, tables, and the job itself."""
    shutil.copyfile(_find(folders, "report.typ"), root / "main.typ")
    (root / "packages").mkdir()
    for file, content in payload.files.items():
        (root / file).write_bytes(content)
    (root / "data.json").write_text(json.dumps(payload.data), "utf-8")
    fonts = [str(folder.resolve() / "fonts") for folder in folders if (folder / "fonts").is_dir()]
    job = {"fonts": fonts, "timestamp": timestamp, "spares": payload.spares}
    (root / "job.json").write_text(json.dumps(job), "utf-8")


def _run(root: Path, limit: float) -> None:
    command = [sys.executable, "-P", str(Path(__file__).with_name("typeset.py")), str(root)]
    try:
        done = subprocess.run(command, timeout=limit, capture_output=True, check=False, cwd=root)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise RenderingFailed(
            f"Setting the PDF took longer than {limit:g} seconds and was ended.",
            "Shorten its tables or raise the limit.",
        ) from error
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise RenderingFailed(f"The PDF compiler ended with code {done.returncode}: {last}.", "Run it again.")


def _result(root: Path) -> Pdf:
    said: Mapping[str, Any] = json.loads((root / "result.json").read_text("utf-8"))
    if said["error"]:
        raise RenderingFailed(f"The PDF cannot be set: {said['error']}.", "Correct report.typ or the block it names.")
    warnings = [f"{name} cannot be set and was replaced by its PNG" for name in said["replaced"]] + said["warnings"]
    for warning in warnings:
        _log.warning("PDF: %s", warning)
    unknown = [warning for warning in warnings if "unknown font family" in warning]
    if unknown:
        raise RenderingFailed(f"The PDF was set in the wrong type: {unknown[0]}.", "Restore templates/fonts.")
    return Pdf((root / "report.pdf").read_bytes(), tuple(warnings), bool(said["conforming"]))
