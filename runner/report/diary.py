"""What happened in a run, line by line: `events.jsonl` in its folder, one JSON object a line.

Every line has `at`, `event`, `run`, `pipeline` and `period`; the rest depends on the event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.ledger import Run

NAME = "events.jsonl"


@dataclass(frozen=True)
class Diary:
    """The diary of one run in its folder, how to tell the time, and what takes secrets out of a text.

    A line that holds one is written without it: a diary must go on.
    """

    folder: Path
    run: Run
    now: Callable[[], datetime]
    clean: Callable[[str], str]

    def note(self, event: str, **fields: Any) -> None:
        """Add one line. A disk that is full must not end the run: it will be told of soon enough."""
        line = {"at": self.now().isoformat(timespec="milliseconds"), "event": event, "run": self.run.run}
        line |= {"pipeline": self.run.pipeline, "period": self.run.period, **fields}
        try:
            with (self.folder / NAME).open("a", encoding="utf-8") as file:
                file.write(self.clean(json.dumps(line, ensure_ascii=False, default=str)) + "\n")
        except OSError:
            return


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every line of a run's diary; a last line that is half written is left out."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8")
    except OSError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
