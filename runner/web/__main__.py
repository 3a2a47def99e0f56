"""`python -m runner.web`: the desk in a process of its own, as `runner serve` starts it."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

from runner import config
from runner.errors import RunnerError
from runner.leaks import Censor
from runner.log import logger
from runner.web import server


def main() -> int:
    """Serve one desk; what keeps it from that is one line of the log."""
    words = argparse.ArgumentParser(prog="python -m runner.web", description="The desk. See: runner serve --help")
    words.add_argument("--project", type=Path, default=Path())
    words.add_argument("--now", type=datetime.fromisoformat)
    words.add_argument("--address", default="")
    words.add_argument("--port", type=int)
    words.add_argument("--idle", type=float)
    words.add_argument("--plate", action="store_true")
    words.add_argument("--tied", action="store_true")
    told = vars(words.parse_args())
    censor = Censor(os.environ)
    try:
        project = config.load(told.pop("project"), censor)
        return server.serve(project, server.Options(**told))
    except RunnerError as error:
        logger(censor, terminal=sys.stderr.isatty())("desk cannot begin", error=error.what, remedy=error.remedy)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
