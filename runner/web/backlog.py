"""What is done after the answer, one thing after another, in a thread of its own: nobody waits for it, or times it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Full, Queue

#: So many may wait. Whatever comes beyond that is dropped: somebody floods us.
MOST = 200


class Backlog:
    """A short queue and the one thread that works it off; the thread begins with the first errand."""

    def __init__(self) -> None:
        self._queue: Queue[Callable[[], None]] = Queue(MOST)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, errand: Callable[[], None]) -> bool:
        """Have something done soon; whether there was room for it. The errand tells by itself of what goes wrong."""
        try:
            self._queue.put_nowait(errand)
        except Full:
            return False
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="backlog", daemon=True)
                self._thread.start()
        return True

    def wait(self) -> None:
        """Wait until all is done."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            errand = self._queue.get()
            with suppress(Exception):  # the next one is somebody else's
                errand()
            self._queue.task_done()
