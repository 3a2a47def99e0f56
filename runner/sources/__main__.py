"""The process that fetches: `python -m runner.sources`, started by `runner.report.supply`.

One JSON object stands on standard input: the project's folder and the order. Events go to standard output, a JSON
object a line, the last of them `end` with findings or the error. Standard input stays open as long as whoever started
it lives: at its end this process ends, whatever it waits for. It alone has the secrets of the sources.
"""

from __future__ import annotations

import json
import os
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from runner import config
from runner.config import Project, Table
from runner.errors import RunnerError, Trouble, no_room
from runner.sources import catalog
from runner.sources.fetching import Desk, Order, fetch
from runner.sources.inquiry import Patience, Place


def main() -> NoReturn:
    """Fetch what the line on standard input asks for."""
    line = os.fdopen(0, "rb", buffering=0, closefd=False).readline()
    threading.Thread(target=_watch, daemon=True).start()
    events = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no event

    def tell(event: Mapping[str, Any]) -> None:
        _write(events, event)

    tell(_ended(json.loads(line), tell))
    os._exit(0)


def _watch() -> None:
    """End when the process that asked is gone."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _write(events: int, event: Mapping[str, Any]) -> None:
    data = memoryview(json.dumps(event, ensure_ascii=False, default=str).encode() + b"\n")
    try:
        while data:
            data = data[os.write(events, data) :]
    except OSError:
        os._exit(1)


def _ended(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    """The last event: what was found, or what went wrong."""
    try:
        project, order = config.load(Path(request["folder"])), Order.of(request)
        found = fetch(order, Desk(project, _places(project), Patience(order.until), tell))
    except RunnerError as error:
        trouble = error.trouble and str(error.trouble)
        return {"event": "end", "error": {"what": error.what, "remedy": error.remedy, "trouble": trouble}}
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked must hear of it; but not its text
        return {"event": "end", "error": _fault(error)}
    return {"event": "end", "findings": [finding.as_dict() for finding in found]}


def _fault(error: Exception) -> dict[str, str]:
    """A fault of ours, or of this machine: where it was, without a text in which an address or a secret may stand."""
    import duckdb  # noqa: PLC0415 - only where something went wrong

    if no_room(error):
        what = "The disk is full: there was no room for what is fetched."
        return {"what": what, "remedy": "Make room, then run it again.", "trouble": str(Trouble.DISK_FULL)}
    frame = traceback.extract_tb(error.__traceback__)[-1]
    why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    at = f"{type(error).__name__}{why} at {Path(frame.filename).name}:{frame.lineno}"
    what, remedy = f"Fetching itself failed: {at}.", "Please report it."
    if isinstance(error, duckdb.IOException | duckdb.SerializationException | duckdb.FatalException):
        what = f"The warehouse file cannot be read or written ({at})."
        remedy = "Mend its disk, or delete the file (`warehouse` in config/settings.yml): all is fetched again."
    return {"what": what, "remedy": remedy, "trouble": str(Trouble.SOURCE_UNAVAILABLE)}


def _places(project: Project) -> Any:
    def places(table: Table) -> Sequence[Place]:
        return catalog.places(table.from_, project.sources, project.folder, os.environ)

    return places


if __name__ == "__main__":
    main()
