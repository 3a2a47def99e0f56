"""The files of config/ as frozen models: what keys there are, and what may stand behind each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from runner.config.ends import Desk, Mail, Sources
from runner.config.rhythm import Rhythm
from runner.config.rhythm import parse as parse_rhythm
from runner.config.strict import Strict
from runner.config.values import (
    Bound,
    CalendarName,
    Channel,
    ClosedDay,
    Day,
    Email,
    Inside,
    Key,
    LedgerPlace,
    Line,
    Listed,
    LocalTime,
    Memory,
    Number,
    Promised,
    Recurring,
    Seats,
    Seconds,
    Shares,
    WallTime,
    WeekTime,
    YearTime,
    Zone,
    usable_cores,
)

WAREHOUSE = "warehouse"


class Person(Strict):
    """Someone with a name and an address."""

    name: Line
    email: Email


class Engineer(Person):
    """Someone who is told of trouble: always by mail, and on each channel."""

    channels: tuple[Channel, ...] = ()


class Alerts(Strict):
    """How trouble is told: waits in seconds."""

    acknowledge_within: Seconds = 900.0
    repeat_every: Seconds = 14400.0
    repeats: Annotated[int, Field(ge=0, le=20)] = 3
    group_from: Annotated[int, Field(ge=2, le=100)] = 4
    readers_every: Seconds = 7200.0


class Heartbeat(Strict):
    """The sign of life that a watch on another machine waits for."""

    every: Seconds = 300.0
    channel: Channel


class Keep(Strict):
    """How long `runner prune` leaves the files of a run that went to nobody (seconds). Delivered ones stay for ever."""

    failed: Seconds = 2592000.0
    held: Seconds = 7776000.0
    undelivered: Seconds = 2592000.0


class Settings(Strict):
    """`config/settings.yml`: the company, its places and its limits (seconds)."""

    company: Line
    time_zone: Zone
    confidential: str = ""
    sender: Person
    ledger: LedgerPlace = "reports/ledger.sqlite"
    warehouse: Inside = ".cache/warehouse.duckdb"
    maildir: Inside = "reports/mail"
    mail: Mail = Mail()
    desk: Desk = Desk()
    run_limit: Seconds = 600.0
    render_limit: Seconds = 60.0
    fetch_limit: Seconds = 300.0
    runs_at_once: Seats = "auto"
    warm_kernels: bool = True
    warehouse_memory: Memory = "4 GB"
    warehouse_threads: Annotated[int, Field(ge=1, le=256)] | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    retry_after: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (60.0, 300.0)
    alerts: Alerts = Alerts()
    heartbeat: Heartbeat | None = None
    keep: Keep = Keep()

    @property
    def seats(self) -> int:
        """How many reports are made at once: the number that is set, or one for each core this process may use."""
        return usable_cores() if isinstance(self.runs_at_once, str) else self.runs_at_once


class People(Strict):
    """`config/people.yml`: engineers by key, readers by list."""

    engineers: Mapping[Key, Engineer]
    readers: Mapping[Key, tuple[Person, ...]]


class Owners(Strict):
    """The two engineers of a pipeline, and why these two."""

    primary: str
    secondary: str
    because: Line


class Pipeline(Strict):
    """One entry of `config/pipelines.yml`; `name` is its key."""

    name: str
    title: Line
    subtitle: str = ""
    notebook: Inside
    period: Literal["day", "week", "experiment"]
    experiment: str | int | None = None
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    deadline: Promised
    ready_by: WallTime | None = None
    room: Seconds | None = None
    usual: Seconds | None = None
    no_use_after: Seconds | None = None
    owners: Owners
    readers: tuple[str, ...]
    approvers: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    sources: tuple[Inside, ...]
    limit: Seconds | None = None
    cell_limit: Seconds | None = None


class Pipelines(Strict):
    """`config/pipelines.yml`: the reports by name."""

    pipelines: Annotated[Mapping[Key, Pipeline], Field(min_length=1)]


class Rotation(Strict):
    """From the first hand-off on or after a day: who takes turns, in this order."""

    begins: Day
    order: Annotated[tuple[str, ...], Field(min_length=1)]


class HolidayRule(Strict):
    """Who covers a holiday: the rota's week of a named one, cut at given times, or the same days of every year."""

    name: Line
    week_of: Line | None = None
    cuts: tuple[WeekTime, ...] = ()
    begins: YearTime | None = None
    ends: YearTime | None = None
    primary: Annotated[tuple[str, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_form(self) -> HolidayRule:
        if self.week_of is not None and (self.begins or self.ends):
            raise ValueError("has week_of and begins or ends. Keep one form: week_of with cuts, or begins and ends")
        if self.week_of is None and not (self.begins and self.ends):
            raise ValueError("write week_of with cuts, or begins and ends")
        wanted = len(self.cuts) + 1 if self.week_of is not None else 1
        if len(self.primary) != wanted:
            raise ValueError(f"{len(self.cuts)} cuts make {wanted} parts; primary names {len(self.primary)} people")
        return self


class Override(Strict):
    """One span of one year that somebody takes over, and why. Times are in the rota's zone; the end is left out."""

    begins: LocalTime
    ends: LocalTime
    primary: str
    because: Line


class Away(Strict):
    """A span in which somebody cannot be on call."""

    who: str
    begins: LocalTime
    ends: LocalTime
    because: Line = "away"


class OnCall(Strict):
    """`config/oncall.yml`: the rota and its rules."""

    time_zone: Zone
    hand_off: WeekTime
    holiday_calendar: CalendarName = "US"
    rotation: Annotated[tuple[Rotation, ...], Field(min_length=1)]
    holidays: tuple[HolidayRule, ...] = ()
    overrides: tuple[Override, ...] = ()
    away: tuple[Away, ...] = ()


class Shown(Strict):
    """The checks of a report that are a duty's evidence."""

    pipeline: str
    checks: Annotated[tuple[Line, ...], Field(min_length=1)]


class Duty(Strict):
    """One recurring duty: what, how often, whose (an engineer's key, or `on-call`), and how it is done."""

    title: Line
    every: Recurring
    begins: Day
    owner: str
    how: str
    shown_by: Shown | None = None
    does: Literal["schemas", "reconciliation", "permissions", "connections"] | None = None

    @model_validator(mode="after")
    def _one_evidence(self) -> Duty:
        if self.shown_by is not None and self.does is not None:
            raise ValueError("has shown_by and does. Keep one: a duty has one evidence")
        return self

    @property
    def rhythm(self) -> Rhythm:
        """How often it is due."""
        return parse_rhythm(self.every)

    @property
    def first(self) -> date:
        """The local day from which it holds."""
        return date.fromisoformat(self.begins)


class Duties(Strict):
    """`config/duties.yml`: the duties by name."""

    duties: Mapping[Key, Duty] = Field(default_factory=dict)


class Costs(Strict):
    """`config/costs.yml`: what the reports assume of costs."""

    goods: Shares
    handling_per_basket: Annotated[float, Field(ge=0)]
    contact_per_household: Annotated[float, Field(ge=0)]
    clearing_per_redemption: Annotated[float, Field(ge=0)]


class Holidays(Strict):
    """`config/holidays.yml`: days on which ordinary figures are not to be expected."""

    business_calendar: CalendarName = "US"
    no_business: Mapping[Day, Line] = Field(default_factory=dict)
    business: Mapping[Day, Line] = Field(default_factory=dict)
    closed_on: tuple[ClosedDay, ...] = ()
    closes_early: Mapping[Line, Annotated[int, Field(ge=0, le=24)]] = Field(default_factory=dict)
    named: Mapping[Day, Line] = Field(default_factory=dict)


class Design(Strict):
    """How one experiment was designed; `begins` where the data do not list it."""

    begins: LocalTime | None = None
    assignment: Literal["observational", "randomised"] = "observational"
    planned_share: Annotated[float, Field(gt=0, lt=1)] | None = None


class Experiments(Strict):
    """`config/experiments.yml`: how experiments were designed, as `runner.notebook.experiments` reads it."""

    begin_at: WallTime = "09:00"
    defaults: Design = Design()
    experiments: Mapping[Number, Design] = Field(default_factory=dict)


class ColumnRules(Strict):
    """What one column of a table may hold."""

    type: Literal["int64", "float64", "str", "day", "time"]
    nullable: bool = False
    min: Bound = None
    max: Bound = None
    values: Listed = ()
    about: str = ""

    @model_validator(mode="after")
    def _bounds_fit(self) -> ColumnRules:
        given = [value for value in (self.min, self.max) if value is not None]
        wanted = {"int64": (int, float), "float64": (int, float), "str": ()}.get(self.type, (str,))
        if not all(isinstance(value, wanted) for value in given):
            raise ValueError(f"min and max do not fit the type {self.type}: numbers bound numbers, days bound days")
        if len(given) == 2 and given[0] > given[1]:
            raise ValueError(f"min {given[0]} lies above max {given[1]}. Exchange them")
        return self


class Contract(Strict):
    """`config/contracts/*.yml`: what a table must look like, as `runner.notebook.contracts` reads it."""

    table: Line | None = None
    key: tuple[str, ...] = ()
    columns: Mapping[str, ColumnRules]
    about: str = ""


#: Files that only some projects have.
OPTIONAL: Mapping[str, type[BaseModel]] = {
    "config/sources.yml": Sources,
    "config/costs.yml": Costs,
    "config/oncall.yml": OnCall,
    "config/duties.yml": Duties,
    "config/holidays.yml": Holidays,
    "config/experiments.yml": Experiments,
}
