"""What may be asked: every parameter, checked. One that is not known is refused, for it would be passed over."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator as After
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from runner.ledger.deadlines import State
from runner.model import Status

#: Items of one page.
USUAL, MOST = 100, 500
#: Calendars and rules give out beyond these years.
EARLIEST, LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _in_reach(at: datetime) -> datetime:
    try:
        found = at.astimezone(UTC)
    except OverflowError:
        found = None
    if found is None or not EARLIEST <= found < LATEST:
        raise ValueError(f"lies outside of the years {EARLIEST.year} to {LATEST.year - 1}")
    return found


def _is_text(value: Any) -> Any:
    """Numbers would be taken for seconds since 1970."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("is no instant. Write it like 2017-11-14T13:00:00Z")
    return value


def _day(value: Any) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("is no day. Write it like 2017-11-13")
    return date.fromisoformat(value)


Instant = Annotated[AwareDatetime, BeforeValidator(_is_text), After(_in_reach)]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[A-Za-z0-9_-]+$")]

_OF_PIPELINE = "Of this pipeline alone: a key of `config/pipelines.yml`."


class Nothing(BaseModel):
    """No parameter at all."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Nothing):
    """A list, a page at a time."""

    limit: int = Field(USUAL, ge=1, le=MOST, description="The most items of one page.")
    cursor: Cursor | None = Field(None, description="Where the list goes on: `next` of the page before.")


class ForDeadlines(Paged):
    """Which deadlines."""

    from_: Instant | None = Field(
        None, alias="from", description="Due at this instant or later; without it, from a day ago.",
        examples=["2017-11-13T00:00:00Z"],
    )  # fmt: skip
    to: Instant | None = Field(
        None, description="Due before this instant; without it, nine days after `from`. At most 366 days after it.",
        examples=["2017-11-20T00:00:00Z"],
    )  # fmt: skip
    pipeline: Name | None = Field(None, description=_OF_PIPELINE, examples=["sales"])
    state: State | None = Field(None, description="In this state alone; without it, all that is not withdrawn.")


class ForRuns(Paged):
    """Which runs."""

    pipeline: Name | None = Field(None, description=_OF_PIPELINE, examples=["sales"])
    period: Name | None = Field(None, description="About this period alone.", examples=["2017-11-13"])
    status: Status | None = Field(None, description="With this status alone.")


class ForFigures(Paged):
    """Which figures."""

    pipeline: Name = Field(description=_OF_PIPELINE, examples=["sales"])
    name: Words | None = Field(None, description="Of this name alone.", examples=["revenue"])
    period: Name | None = Field(None, description="Of this period alone.", examples=["2017-11-13"])


class ForIncidents(Paged):
    """Which incidents."""

    pipeline: Name | None = Field(
        None, description="Of this pipeline alone, of a duty (`duty:KEY`) or of a source (`source:KEY`).",
        examples=["sales"],
    )  # fmt: skip
    state: Literal["open", "closed"] | None = Field(None, description="Those that go on, or those that are over.")


class ForOnCall(Nothing):
    """Who is on call, at an instant or in a span."""

    at: Instant | None = Field(
        None, description="At this instant; without it and without a span, now.", examples=["2017-11-24T13:00:00Z"]
    )
    from_: Instant | None = Field(None, alias="from", description="From this instant on.")
    to: Instant | None = Field(None, description="Until this instant; at most 366 days after `from`.")


class Landed(BaseModel):
    """The word that a source's data have landed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Words = Field(
        description="A source of `config/sources.yml`, `warehouse`, or a file of a pipeline's `sources`.",
        examples=["tills"],
    )
    day: Day = Field(description="It has everything up to and with this day.", examples=["2017-11-13"])
