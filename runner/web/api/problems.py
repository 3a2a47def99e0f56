"""What is wrong with a request, in the one form of RFC 9457: a JSON object with status, title and detail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.errors import RunnerError
from runner.web.access import Refused
from runner.web.desk import Desk

MEDIA_TYPE = "application/problem+json"


class Mistake(BaseModel):
    """One thing that is wrong with what was sent."""

    model_config = ConfigDict(frozen=True)

    where: str = Field(description="The parameter or the part of the body.", examples=["query.limit"])
    said: str = Field(description="What is wrong with it.", examples=["Input should be less than or equal to 500"])


class Problem(BaseModel):
    """What is wrong, after RFC 9457."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(default="about:blank", description="Says no more than the status does.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    detail: str = Field(description="What is wrong, and what to do.", examples=["There is no run of this name."])
    mistakes: tuple[Mistake, ...] = Field(default=(), description="What is wrong with the request, one by one.")


class Missing(Exception):  # noqa: N818 - it is no error of anybody's
    """There is no such thing; the sentence says what."""


def problem(
    status: int, detail: str, mistakes: Sequence[Mistake] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that says what is wrong."""
    said = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, mistakes=tuple(mistakes))
    text = json.dumps(said.model_dump(mode="json"), ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), status, dict(headers or {}), MEDIA_TYPE)


def answer_to(error: Exception) -> Response | None:
    """What is answered to an error that is known; None to one that nobody foresaw."""
    if isinstance(error, Refused):
        return problem(error.status, error.said, headers=error.headers)
    if isinstance(error, Missing):
        return problem(404, str(error))
    if isinstance(error, RequestValidationError):
        mistakes = [_mistake(one["loc"], one["msg"]) for one in error.errors()]
        return problem(422, "The request is not as it is described.", mistakes)
    if isinstance(error, RunnerError):
        return problem(422, str(error))
    if isinstance(error, HTTPException):
        return problem(error.status_code, _SAID.get(error.status_code, error.detail), headers=error.headers)
    return None


_SAID = {
    400: "The body cannot be read.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}


def _mistake(where: Sequence[int | str], said: str) -> Mistake:
    return Mistake(where=".".join(map(str, where)), said=said.removeprefix("Value error, "))


def unforeseen(desk: Desk, request: Request, error: Exception) -> Response:
    """The answer to an error that nobody foresaw: its number, under which the log has it."""
    number = desk.failed("answer failed", request.url.path, error)
    return problem(500, f"This went wrong on our side. The log has it under {number}.")


class InForm:
    """Gives the one form to what is refused below /api before it comes there, such as what is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, and a refusal out in the form."""
        held: list[Message] = []
        said = bytearray()

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_plain_refusal(scope, message):
                held.append(message)
            elif not held:
                await send(message)
            else:
                said.extend(message.get("body", b""))
                if not message.get("more_body"):
                    headers = Headers(raw=held[0]["headers"])
                    kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
                    text = said.decode("utf-8", "replace").strip()
                    await problem(held[0]["status"], text, headers=kept)(scope, receive, send)

        await self._app(scope, receive, out if scope["type"] == "http" else send)


def _is_plain_refusal(scope: Scope, message: Message) -> bool:
    # Once an address below /api was found, its own root is that.
    path = scope["path"].removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] >= HTTPStatus.BAD_REQUEST and path.startswith("/api/") and kind.startswith("text/")
