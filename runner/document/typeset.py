"""Compiles one folder with Typst; runs as a process of its own, for a compile cannot be interrupted.

Usage: python -P typeset.py FOLDER. The folder holds `job.json` and the template's files; `report.pdf` and
`result.json` come into it. Only typst and the standard library are imported, so the start is quick.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst

#: Accessible, and fit for archives with attachments.
STANDARDS = ["ua-1", "a-3a"]
#: The last page must be filled to this part of its height, or the report is set a little tighter or looser.
_NEARLY_EMPTY = 0.2


def typeset(folder: Path) -> dict[str, Any]:
    """Compiles `main.typ` and says how it went: warnings, pictures replaced, standards dropped, or the error."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    result: dict[str, Any] = {"warnings": [], "replaced": [], "conforming": True, "error": ""}
    try:
        _compile(folder, job, result)
    except typst.TypstError as first:
        result["replaced"] = _replace_bad_pictures(folder, job)
        try:
            _retry(folder, job, result, first)
        except typst.TypstError as error:
            result["error"] = _words(error)
    return result


def _retry(folder: Path, job: dict[str, Any], result: dict[str, Any], first: typst.TypstError) -> None:
    """Once more with sound pictures, then without the standards, which forbid characters that no font has."""
    if result["replaced"]:
        try:
            _compile(folder, job, result)
        except typst.TypstError as second:
            first = second
        else:
            return
    result["conforming"] = False
    result["warnings"].append(f"set without PDF/UA and PDF/A: {_words(first)}")
    _compile(folder, job, result)


def _compile(folder: Path, job: dict[str, Any], result: dict[str, Any]) -> None:
    compiler = _compiler(folder, job["fonts"])
    options: dict[str, Any] = {"format": "pdf", "pdf_standards": STANDARDS if result["conforming"] else []}
    if job["timestamp"] is not None:
        options["timestamp"] = job["timestamp"]
    pdf, warnings = compiler.compile_with_warnings(**options)
    if _last_page_nearly_empty(compiler):
        for density in ("tight", "loose"):
            other = compiler.compile_with_warnings(sys_inputs={"density": density}, **options)
            if not _last_page_nearly_empty(compiler):
                pdf, warnings = other
                break
    (folder / "report.pdf").write_bytes(pdf if isinstance(pdf, bytes) else b"")
    result["warnings"] += [_words(warning) for warning in warnings]


@lru_cache(maxsize=4)
def _fonts(folders: tuple[str, ...]) -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=list(folders))


def _compiler(folder: Path, fonts: list[str]) -> typst.Compiler:
    return typst.Compiler(
        str(folder / "main.typ"),
        root=str(folder),
        font_paths=_fonts(tuple(fonts)),
        ignore_system_fonts=True,
        package_path=str(folder / "packages"),
        package_cache_path=str(folder / "packages"),
    )


def _last_page_nearly_empty(compiler: typst.Compiler) -> bool:
    """Asks the document where it ended; a template that does not say is left alone."""
    found = json.loads(compiler.query("<end-of-report>", field="value"))
    end = found[0] if found else {}
    return bool(end.get("page", 1) > 1 and end.get("filled", 1.0) < _NEARLY_EMPTY)


def _replace_bad_pictures(folder: Path, job: dict[str, Any]) -> list[str]:
    """Puts the PNG in the place of every SVG that does not compile alone; gives their names."""
    data = json.loads((folder / "data.json").read_text("utf-8"))
    bad = {name: spare for name, spare in job["spares"].items() if not _compiles(folder, name)}
    if bad:
        _rename(data, bad)
        (folder / "data.json").write_text(json.dumps(data), "utf-8")
    return sorted(bad)


def _compiles(folder: Path, name: str) -> bool:
    probe = folder / "probe.typ"
    probe.write_text(f"#image({json.dumps(name)})", "utf-8")
    try:
        typst.compile(str(probe), root=str(folder), format="pdf")
    except typst.TypstError:
        return False
    return True


def _rename(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        if value.get("file") in names:
            value["file"] = names[value["file"]]
        for child in value.values():
            _rename(child, names)
    elif isinstance(value, list):
        for child in value:
            _rename(child, names)


def _words(trouble: Any) -> str:
    hints = "; ".join(getattr(trouble, "hints", []) or [])
    return f"{trouble.message}{f' ({hints})' if hints else ''}"


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "result.json").write_text(json.dumps(typeset(where)), "utf-8")
