"""Files that are given out: to be kept, or shown in a frame as a page of no site."""

from __future__ import annotations

from starlette.responses import Response

from runner.ledger import Artifact, Run, finished
from runner.report import shelf
from runner.web import headers
from runner.web.page import NotFound
from runner.web.visit import Visit

#: What is said of a report that is shown: whatever it holds, it runs nothing and asks nobody. Sandboxed, it has an
#: origin of its own, and browsers refuse to open one that would share its window's.
SEALED = {
    "Content-Security-Policy": headers.REPORT,
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "unsafe-none",
}


def to_keep(name: str) -> dict[str, str]:
    """What is said of something that is to be kept: no browser opens it as a page of ours."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)
    return {"Content-Disposition": f'attachment; filename="{safe or "file"}"'}


def download(data: bytes | str, name: str, media_type: str = "application/octet-stream") -> Response:
    """Something to keep."""
    return Response(data, media_type=media_type, headers=to_keep(name))


def found(visit: Visit, run: Run, path: str) -> Artifact | None:
    """A file of a run as the run left it, by its path in the run's folder."""
    return next((one for one in visit.ledger.artifacts(run.run) if one.path == path), None)


def proven(visit: Visit, run: Run, path: str) -> bytes | None:
    """What a file of a run holds; None where there is none, or it is not the very one that the run left."""
    item = found(visit, run, path)
    return shelf.proven(shelf.place(visit.project, run), item) if item else None


def given(visit: Visit, run: Run, path: str) -> bytes | Response:
    """The same; what is said where it is another by now. Raises NotFound where the run left no such file."""
    item = found(visit, run, path)
    if item is None:
        raise NotFound
    data = shelf.proven(shelf.place(visit.project, run), item)
    if data is None:
        return visit.page("file_changed.html.j2", 409, run=run, path=path, pruned=finished.is_pruned(run))
    return data
