"""Every address for machines, and the description of them all at /api/openapi.json (scope `read`, like the rest)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner import __version__
from runner.web.api import answers, making, questions
from runner.web.api.calls import admitted, call_of
from runner.web.api.problems import MEDIA_TYPE, Problem, answer_to, problem, unforeseen
from runner.web.desk import Desk

#: Bytes of a body: more than any that is wanted.
LARGEST = 4096
READ, ARRIVALS = "read", "arrivals"

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def application(desk: Desk) -> ASGIApp:
    """The answers for machines as an ASGI application, to be mounted at /api."""
    return _Bounded(described(desk))


def described(desk: Desk) -> FastAPI:
    """The same, before bodies are bounded."""
    app = FastAPI(title="The desk", version=__version__, openapi_url=None, docs_url=None, redirect_slashes=False)
    app.state.desk = desk
    app.include_router(_read)
    app.include_router(_arrivals)
    app.add_exception_handler(HTTPException, _known)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]
    return app


def _known(_request: Request, error: Exception) -> Response:
    """What no address answers to: none of it, or not this method."""
    return answer_to(error) or problem(400, "This request cannot be read.")


def addresses() -> set[tuple[str, str]]:
    """(method, path) of every address, below /api."""
    routes = [route for router in (_read, _arrivals) for route in router.routes if isinstance(route, APIRoute)]
    return {(method, route.path) for route in routes for method in route.methods or ()}


# Before each address: whose request it is, and after it what went wrong.


def _for(scope: str) -> type[APIRoute]:
    """Routes for tokens with a scope. Who may not is told so before anything of the request is looked at."""

    class Scoped(APIRoute):
        def get_route_handler(self) -> _Handler:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                desk: Desk = request.app.state.desk
                try:
                    request.state.call = await run_in_threadpool(admitted, request, desk, scope)
                    _each_once(request)
                    return await inner(request)
                except Exception as error:  # noqa: BLE001 - whoever asked gets an answer, and the log the traceback
                    return answer_to(error) or unforeseen(desk, request, error)

            return handle

    return Scoped


def _each_once(request: Request) -> None:
    """Refuse a parameter that is given twice: one of the two would be passed over."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise RequestValidationError([{"loc": ("query", name), "msg": "Given more than once"} for name in twice])


_read = APIRouter(route_class=_for(READ))
_arrivals = APIRouter(route_class=_for(ARRIVALS))

_No = Annotated[questions.Nothing, Query()]
_Run = Annotated[questions.Name, Path(description="The run's name.", examples=["20171114T130000-750770"])]
_Number = Annotated[int, Path(ge=1, lt=2**31, description="The incident's number.", examples=[1])]


@_read.get("/deadlines", tags=[READ])
def deadlines(request: Request, asked: Annotated[questions.ForDeadlines, Query()]) -> answers.Page[answers.Deadline]:
    """What is owed in a span, by due time."""
    return making.deadlines(call_of(request), asked)


@_read.get("/runs", tags=[READ])
def runs(request: Request, asked: Annotated[questions.ForRuns, Query()]) -> answers.Page[answers.Run]:
    """Runs, newest first; sifted, where a status or a period is asked for and no pipeline."""
    return making.runs(call_of(request), asked)


@_read.get("/runs/{run}", tags=[READ])
def run(request: Request, run: _Run, _: _No) -> answers.WholeRun:
    """One run with its findings, figures and files."""
    return making.run(call_of(request), run)


@_read.get("/figures", tags=[READ])
def figures(request: Request, asked: Annotated[questions.ForFigures, Query()]) -> answers.Page[answers.ToldFigure]:
    """The figures of a pipeline's released reports over its periods, the newest run first."""
    return making.figures(call_of(request), asked)


@_read.get("/oncall", tags=[READ])
def oncall(request: Request, asked: Annotated[questions.ForOnCall, Query()]) -> answers.OnCall:
    """Who is on call at an instant or in a span, and why."""
    return making.on_call(call_of(request), asked)


@_read.get("/incidents", tags=[READ])
def incidents(request: Request, asked: Annotated[questions.ForIncidents, Query()]) -> answers.Page[answers.Incident]:
    """What is wrong and what was, newest first; sifted, where a pipeline or the closed ones are asked for."""
    return making.trouble(call_of(request), asked)


@_read.get("/incidents/{number}", tags=[READ])
def incident(request: Request, number: _Number, _: _No) -> answers.WholeIncident:
    """One incident with its history."""
    return making.incident(call_of(request), number)


@_read.get("/openapi.json", include_in_schema=False)
def description(request: Request, _: _No) -> Response:
    """Give the description of all addresses."""
    return JSONResponse(request.app.openapi() | {"servers": [{"url": request.scope["root_path"]}]})


@_arrivals.post(
    "/arrivals",
    tags=[ARRIVALS],
    status_code=201,
    responses={200: {"model": answers.Arrival, "description": "It was known already; nothing is changed."}},
)
def arrivals(request: Request, said: questions.Landed, response: Response, _: _No) -> answers.Arrival:
    """Say that a source's data have landed.

    A report whose sources have all landed begins before its hour. To say the same again changes nothing.
    """
    answer = making.landed(call_of(request), said)
    response.status_code = 201 if answer.new else 200
    return answer


# The description.

_PROBLEMS = {
    400: "The request cannot be read.",
    401: "There is no token that is good.",
    403: "The token has not the scope.",
    413: "The body is too large.",
    422: "The request is not as it is described.",
    429: "Too many requests; `Retry-After` says how long to wait.",
    500: "It went wrong on our side.",
}
_ABOUT = """\
What the desk knows, for machines. Every request carries a token, `Authorization: Bearer TOKEN`; cookies count for
nothing. With the scope `read` a machine sees all that an engineer sees. Unknown parameters are refused. Lists are paged
by `limit` and `cursor`. Instants are in UTC. Whatever is wrong is told as `application/problem+json` (RFC 9457).
"""


def _description(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        said = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
        parts = said.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        schemas |= {"Problem": Problem.model_json_schema(ref_template="#/components/schemas/{model}")}
        schemas |= schemas["Problem"].pop("$defs")
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in said["paths"].items():
            for method, operation in methods.items():
                _describe(operation, path, method)
        app.openapi_schema = said | {"servers": [{"url": "/api"}]}
    return app.openapi_schema


def _describe(operation: dict[str, Any], path: str, method: str) -> None:
    """Say of an operation what token it wants, and all that it answers."""
    operation["security"] = [{"token": []}]
    body = {413} if method == "post" else set()
    wanted = {400, 401, 403, 422, 429, 500} | body | ({404} if "{" in path else set())
    for status in sorted(wanted):
        said = _PROBLEMS.get(status, "There is no such thing.")
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(status)] = {"description": said, "content": content}


class _Bounded:
    """Answers 413 to a body that is too large, however it comes, before it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through whose body is small."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST:
            await _too_large()(scope, receive, send)
            return
        count = 0

        async def bounded() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > LARGEST:
                raise HTTPException(413, _LARGE)
            return message

        await self._app(scope, bounded, send)


_LARGE = f"The body is larger than {LARGEST} bytes."


def _too_large() -> Response:
    return problem(413, _LARGE)
