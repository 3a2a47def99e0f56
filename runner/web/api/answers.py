"""What is answered: every object with its fields. Instants are in UTC; whoever reads them knows their own zone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from runner.ledger.deadlines import State
from runner.model import Decision, Level, Status

T = TypeVar("T")


class Answer(BaseModel):
    """An object of an answer."""

    model_config = ConfigDict(frozen=True)


class Page(Answer, Generic[T]):
    """Some of a list, in its order."""

    items: tuple[T, ...] = Field(description="The items. A list that is sifted may go on though it has few, or none.")
    next: str | None = Field(description="The `cursor` of the page after this one; null at the end of the list.")


class Deadline(Answer):
    """One period of one pipeline that is owed, and how it stands."""

    pipeline: str = Field(description="The pipeline's key.", examples=["sales"])
    title: str = Field(description="What people call its report.", examples=["Sales"])
    period: str = Field(description="What the report is about, as a key.", examples=["2017-11-13"])
    text: str = Field(description="The same for people.", examples=["Monday 13 November 2017"])
    as_of: date = Field(description="The day that the report is as of.", examples=["2017-11-13"])
    experiment: str | None = Field(description="The experiment that it is about, where it is about one.")
    starts_at: datetime = Field(description="When the work begins.", examples=["2017-11-14T13:00:00Z"])
    ready_at: datetime = Field(description="The hour that we hold ourselves to.", examples=["2017-11-14T14:00:00Z"])
    due_at: datetime = Field(description="The hour that was promised.", examples=["2017-11-14T14:00:00Z"])
    state: State = Field(description="Whether it is owed still.", examples=["met"])
    ended_at: datetime | None = Field(description="When it was met, missed or withdrawn.")
    on_time: bool | None = Field(description="Whether it was met in time; null while it is owed, or withdrawn.")
    late_seconds: float = Field(description="How long it is, or was, late; 0 where it is not.", examples=[0])
    attempts: int = Field(description="How many attempts there were at it.", examples=[1])
    outcome: str = Field(description="How the last attempt ended; empty before the first.", examples=["delivered"])
    message: str = Field(description="What was said of that, in a sentence.")
    run: str | None = Field(description="The run of the last attempt.", examples=["20171114T130000-750770"])


class Run(Answer):
    """One attempt at one report."""

    run: str = Field(description="Its name.", examples=["20171114T130000-750770"])
    pipeline: str = Field(description="The pipeline's key.", examples=["sales"])
    period: str = Field(description="What it is about, as a key.", examples=["2017-11-13"])
    status: Status = Field(description="How it stands, or ended.", examples=["delivered"])
    decision: Decision | None = Field(description="What the gate said of it.", examples=["deliver"])
    version: int | None = Field(description="Which version of the report it made.", examples=[1])
    started_at: datetime = Field(description="When it began.", examples=["2017-11-14T13:00:00Z"])
    finished_at: datetime | None = Field(description="When it ended; null while it is under way.")
    seconds: float | None = Field(description="How long it took.", examples=[41.2])
    trouble: str | None = Field(description="What went wrong, sorted by what a person can do about it.")
    message: str = Field(description="The same in a sentence.")


class Finding(Answer):
    """One result of a check."""

    check: str = Field(description="The check.", examples=["revenue in its usual range"])
    level: Level = Field(description="How it came out.", examples=["pass"])
    message: str = Field(description="In a sentence.")
    trouble: str | None = Field(description="What kind of trouble it is, where it is one.")
    numbers: dict[str, Any] = Field(description="The numbers behind it.")


class Figure(Answer):
    """One number that readers are shown."""

    name: str = Field(description="Its name.", examples=["revenue"])
    label: str = Field(description="What readers see beside it.", examples=["Revenue"])
    value: int | float | str | None = Field(description="Its value; null for a number that is none.", examples=[1234.5])
    text: str = Field(description="The very text that was printed.", examples=["$1,234.50"])
    unit: str = Field(description="Its unit.", examples=["usd"])
    prior: int | float | None = Field(description="The value before, where the report shows one.")
    change: str = Field(description="The change as it was printed.", examples=["+2.1 %"])


class Artifact(Answer):
    """One file of a run."""

    path: str = Field(description="Where it lies in the run's folder.", examples=["report.pdf"])
    sha256: str = Field(description="Its SHA-256.")
    size: int = Field(description="Its size in bytes.", examples=[48213])


class WholeRun(Run):
    """One attempt with all that it left."""

    parameters: dict[str, Any] = Field(description="What its notebook was given.")
    findings: tuple[Finding, ...] = Field(description="The results of its checks.")
    figures: tuple[Figure, ...] = Field(description="Its figures, as the report shows them.")
    artifacts: tuple[Artifact, ...] = Field(description="Its files.")
    deliveries: dict[str, int] = Field(
        description="How many readers it is owed to, was sent to, and so on.", examples=[{"sent": 3}]
    )


class ToldFigure(Figure):
    """One figure of one released report."""

    pipeline: str = Field(description="The pipeline's key.", examples=["sales"])
    period: str = Field(description="What the report is about, as a key.", examples=["2017-11-13"])
    version: int = Field(description="Which version of the report has it: the highest counts.", examples=[1])
    status: Status = Field(description="Whether readers have it: ready or delivered.", examples=["delivered"])
    run: str = Field(description="The run that made it.", examples=["20171114T130000-750770"])
    started_at: datetime = Field(description="When that run began.", examples=["2017-11-14T13:00:00Z"])


class Person(Answer):
    """An engineer."""

    key: str = Field(description="The key in `config/people.yml`.", examples=["ann"])
    name: str = Field(description="The name.", examples=["Ann Archer"])


class Shift(Answer):
    """A span with one primary and one secondary."""

    starts_at: datetime = Field(description="When it begins.", examples=["2017-11-13T14:00:00Z"])
    ends_at: datetime = Field(description="When it ends.", examples=["2017-11-20T14:00:00Z"])
    primary: Person = Field(description="Who is called first.")
    secondary: Person | None = Field(description="Who steps in.")
    because: tuple[str, ...] = Field(description="The rules that chose them, the weakest first.")


class OnCall(Answer):
    """Who is on call."""

    time_zone: str | None = Field(description="The zone of the rota; null without one.", examples=["America/New_York"])
    shifts: tuple[Shift, ...] = Field(description="In order; none where there is no rota.")


class Incident(Answer):
    """One trouble, from its begin to its end."""

    number: int = Field(description="Its number.", examples=[1])
    pipeline: str = Field(description="The pipeline's key, or `duty:KEY`, `source:KEY`.", examples=["sales"])
    period: str = Field(description="The period that it is about.", examples=["2017-11-13"])
    state: str = Field(description="What is wrong, or was last.", examples=["late"])
    sentence: str = Field(description="The same in words.")
    opened_at: datetime = Field(description="When it began.", examples=["2017-11-14T14:00:00Z"])
    closed_at: datetime | None = Field(description="When it ended; null while it goes on.")
    outcome: str = Field(description="How it ended.", examples=["met"])
    acknowledged_by: Person | None = Field(description="Who is at it.")
    acknowledged_at: datetime | None = Field(description="Since when.")
    told: tuple[Person, ...] = Field(description="Who was told of it, in that order.")


class Event(Answer):
    """One line of an incident's history."""

    at: datetime = Field(description="When.", examples=["2017-11-14T14:00:00Z"])
    text: str = Field(description="What happened.", examples=["ann acknowledged it"])


class WholeIncident(Incident):
    """One trouble with its history."""

    events: tuple[Event, ...] = Field(description="What happened in it, oldest first.")


class Arrival(Answer):
    """The word that a source's data have landed, as it was given first."""

    source: str = Field(description="The source.", examples=["tills"])
    day: date = Field(description="It has everything up to and with this day.", examples=["2017-11-13"])
    at: datetime = Field(description="When that was said first.", examples=["2017-11-14T06:12:00Z"])
    new: bool = Field(description="Whether it was not known before.", examples=[True])
