"""A bound around a question, whatever it hangs on: a name that is not resolved, a drive that is gone, a slow drip.

The question is put in a thread of its own. When the time is over the thread is left behind: it ends with its own
time-outs, and does not keep the process from ending.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def within(left: float, work: Callable[[], T]) -> T:
    """What `work` gives or raises. Raises TimeoutError when that takes longer than `left` seconds."""
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def put() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
            done.put((None, error))

    threading.Thread(target=put, name="source", daemon=True).start()
    answer: tuple[T | None, BaseException | None] | None = None
    with suppress(queue.Empty):
        answer = done.get(timeout=max(left, 0.0))
    if answer is None:
        raise TimeoutError(f"no answer within {left:.3g} s")
    value, error = answer
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
