"""nbconvert exporters, so that `jupyter nbconvert --to report_html|report_pdf` works on any executed notebook.

Registered under the entry point group `nbconvert.exporters`. A project's own templates come first when they are
named: `--ReportPDFExporter.templates=my_templates`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbconvert.exporters import Exporter
from traitlets import Float, List, Unicode, default

from runner.document import render, shipped
from runner.document.blocks import Document, document_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

_LARGEST = 20_000_000
_KINDS = {".png", ".jpg", ".jpeg", ".svg"}


class _ReportExporter(Exporter):
    """What both exporters share: the notebook as a document, and where templates lie."""

    templates = List(Unicode(), help="Folders with own templates; what they lack comes from ours.").tag(config=True)

    def _document(self, nb: NotebookNode, resources: dict[str, Any]) -> Document:
        about = resources.get("metadata", {})
        folder = Path(about.get("path") or ".")
        return document_of(nb, str(about.get("name") or "Report"), lambda name: read_beside(folder, name))

    def _folders(self) -> tuple[Path, ...]:
        return (*(Path(folder) for folder in self.templates), shipped.TEMPLATES)


class ReportHTMLExporter(_ReportExporter):
    """One self-contained HTML file; code is not shown."""

    export_from_notebook = "Report (HTML)"
    output_mimetype = "text/html"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(  # type: ignore[override]  # text, as every exporter but the base class gives
        self, nb: NotebookNode, resources: Any = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The report as HTML text, and nbconvert's resources."""
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        return render.html(self._document(nb, resources), self._folders()), resources


class ReportPDFExporter(_ReportExporter):
    """An accessible PDF set by Typst; code is not shown."""

    export_from_notebook = "Report (PDF)"
    output_mimetype = "application/pdf"
    limit = Float(60.0, help="Seconds after which setting the PDF is ended.").tag(config=True)

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".pdf"

    def from_notebook_node(  # type: ignore[override]  # bytes, as nbconvert's own PDF exporters give
        self, nb: NotebookNode, resources: Any = None, **kw: Any
    ) -> tuple[bytes, dict[str, Any]]:
        """The report as PDF bytes, and nbconvert's resources."""
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        made = render.typeset(self._document(nb, resources), self._folders(), self.limit)
        return made.data, resources


def read_beside(folder: Path, name: str) -> bytes | None:
    """A picture file within `folder`, or nothing: paths that lead out of it and large files are not read."""
    try:
        file = (folder / name).resolve()
        inside = file.is_relative_to(folder.resolve()) and file.suffix.lower() in _KINDS
        return file.read_bytes() if inside and file.is_file() and file.stat().st_size <= _LARGEST else None
    except (OSError, ValueError):
        return None
