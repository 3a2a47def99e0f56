"""The process in which one notebook is executed: `python -m runner.report.child`, started by `execute`.

It leads a session of its own and adopts orphans, so everything below it can be found and ended. It reads its request
from a file, tells of events on one descriptor (a JSON object a line), and ends with everything below it when it is
told to (SIGTERM) or when its parent is gone (end of file on standard input).
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
from runner.report.processes import adopt_orphans, end_below

GRACE = 3.0  # seconds to save the notebook before this process ends regardless


class Child:
    """One execution: the request, the line to the parent, and the keeper once cells run."""

    def __init__(self, request: dict[str, Any], events: int) -> None:
        self.request = request
        self.events = events
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
        end_below(os.getpid())
        os._exit(1)

    def began(self, keeper: Keeper) -> None:
        """Remember whose state is to be saved."""
        self.keeper = keeper

    def run(self) -> dict[str, Any]:
        """Execute the notebook; the last event: how it ended."""
        request = self.request
        try:
            papermill.execute_notebook(
                notebooks.read(Path(request["notebook"])),
                None,
                parameters=request["parameters"],
                engine_name="runner",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                execution_timeout=request["cell_limit"],
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
    """Execute one request and end with nothing left below."""
    child = Child(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), int(sys.argv[2]))
    adopt_orphans()
    signal.signal(signal.SIGTERM, child.end)
    threading.Thread(target=child.watch_parent, daemon=True).start()
    papermill_engines.register("runner", RunnerEngine)
    last = child.run()
    end_below(os.getpid())
    child.tell(last)
    os._exit(0)  # nothing is left to say, and exit handlers of libraries may wait


if __name__ == "__main__":
    main()
