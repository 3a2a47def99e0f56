"""The process in which one notebook is executed, started by `execute`: `python -m runner.report.child`, or forked.

It reads its request from a file, tells of events on one descriptor (a JSON object a line), and saves what there is
when it is told to end (SIGTERM). Started cold it leads a session of its own, adopts orphans, and ends with everything
below it, also when its parent is gone (end of file on standard input). Forked from a warm parent it has a guard, who
sees to all that, and from whom it gets its kernel.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from runner.report import notebooks  # isort: skip - before papermill, which imports nbformat the slow way
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from runner.report.engine import Keeper, RunnerEngine
from runner.warm.processes import adopt_orphans, end_below

GRACE = 3.0  # seconds to save the notebook before this process ends regardless


class Child:
    """One execution: the request, the line to the parent, and the keeper once cells run."""

    def __init__(self, request: dict[str, Any], events: int, *, guarded: bool) -> None:
        self.request = request
        self.events = events
        self.guarded = guarded
        self.keeper: Keeper | None = None

    def tell(self, event: dict[str, Any]) -> None:
        """Write one event line; a parent that is gone hears nothing."""
        try:
            os.write(self.events, json.dumps(event).encode() + b"\n")
        except OSError:
            self.end()

    def watch_parent(self) -> None:
        """End when the parent ends. Runs in a thread of its own: the main thread may be deep in a wait."""
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        end_below(os.getpid())
        os._exit(1)

    def end(self, *_: object) -> NoReturn:
        """Save what there is, end everything below, and leave."""
        if self.keeper:
            self.keeper.save_now()
        self.leave(1)

    def leave(self, code: int) -> NoReturn:
        """End with nothing left below; exit handlers of libraries may wait, so there are none."""
        if not self.guarded:
            end_below(os.getpid())
        os._exit(code)

    def began(self, keeper: Keeper) -> None:
        """Remember whose state is to be saved."""
        self.keeper = keeper

    def run(self) -> dict[str, Any]:
        """Execute the notebook; the last event: how it ended."""
        request = self.request
        try:
            papermill.execute_notebook(
                notebooks.bare(Path(request["notebook"])),
                None,
                parameters=request["parameters"],
                engine_name="runner",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                execution_timeout=request["cell_limit"],
                cold=request["cold"],
                keep=Path(request["output"]),
                tell=self.tell,
                began=self.began,
            )
        except PapermillExecutionError:
            return {"event": "end", "how": "done"}  # the notebook itself shows the error
        except DeadKernelError:
            return {"event": "end", "how": "died"}
        except CellTimeoutError:
            return {"event": "end", "how": "cell limit"}
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            return {"event": "end", "how": "broken", "detail": f"{type(error).__name__}: {error}"}
        return {"event": "end", "how": "done"}


def main() -> None:
    """Execute one request in a process that was started for it."""
    child = Child(_request(sys.argv[1]), int(sys.argv[2]), guarded=False)
    adopt_orphans()
    threading.Thread(target=child.watch_parent, daemon=True).start()
    _execute(child)


def forked(events: int, request: str) -> NoReturn:
    """Execute one request in a process that a guard has forked for it."""
    _execute(Child(_request(request), events, guarded=True))


def _request(path: str) -> dict[str, Any]:
    return dict(json.loads(Path(path).read_text(encoding="utf-8")))


def _execute(child: Child) -> NoReturn:
    signal.signal(signal.SIGTERM, child.end)
    papermill_engines.register("runner", RunnerEngine)
    last = child.run()
    if not child.guarded:
        end_below(os.getpid())
    child.tell(last)
    os._exit(0)


if __name__ == "__main__":
    main()
