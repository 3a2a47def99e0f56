"""Whether all is well, in one word, for whoever starts and watches the desk. Anyone may ask; nothing else is told.

`/healthz` asks after the desk itself: that it answers and can read its ledger. It is well without any scheduler.
`/healthz/scheduler` asks after the scheduler as well: that it has looked lately.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runner.scheduler import roster, standing
from runner.web.desk import Desk

OK, LEDGER, SCHEDULER = "ok", "ledger", "scheduler"
_WRONG = 503


def desk_word(desk: Desk) -> str:
    """What is wrong with the desk, in a word; `ok` where nothing is."""
    try:
        with desk.ledger.read() as tx:
            roster.looked(tx)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being read, it cannot be read
        desk.log("ledger unreadable", error=desk.project.censor.redact(f"{type(error).__name__}: {error}"))
        return LEDGER
    return OK


def scheduler_word(desk: Desk) -> str:
    """What is wrong with the desk or its scheduler, in a word; `ok` where nothing is."""
    word = desk_word(desk)
    if word != OK:
        return word
    with desk.ledger.read() as tx:
        return OK if standing.is_heard(tx, desk.clock.now()) else SCHEDULER


def routes(desk: Desk) -> tuple[Route, ...]:
    """Both addresses."""
    return _route(desk, "/healthz", desk_word), _route(desk, "/healthz/scheduler", scheduler_word)


def _route(desk: Desk, path: str, word_of: Callable[[Desk], str]) -> Route:
    async def endpoint(_request: Request) -> Response:
        word = await run_in_threadpool(word_of, desk)
        return PlainTextResponse(f"{word}\n", 200 if word == OK else _WRONG)

    return Route(path, endpoint, methods=["GET"])
