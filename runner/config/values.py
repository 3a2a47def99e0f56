"""What one value of config/ may be: each type refuses with one sentence that says how it should look."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from holidays.registry import EntityLoader
from pydantic import AfterValidator, BeforeValidator, Field

from runner.config import promise, rhythm
from runner.config.promise import WEEKDAYS

#: More reports at once than any machine makes.
MOST_SEATS = 64
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


# What a value may be: each refuses with one sentence that says how it should look.


def length(text: Any) -> float:
    """A length of time, `90 s`, `10 min`, `2 h` or `30 d`, in seconds. Raises ValueError on anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d)", text) if isinstance(text, str) else None
    if not found or not float(found[1]):
        raise ValueError("write a length of time as a number and a unit: 90 s, 10 min, 2 h, 30 d")
    return float(found[1]) * _SECONDS[found[2]]


def _memory(text: Any) -> Any:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(MB|GB|TB)", text) if isinstance(text, str) else None
    if not found or not float(found[1]):
        raise ValueError("write a size of memory as a number and a unit: 500 MB, 4 GB, 1 TB")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("write a time zone by its place: America/New_York, Europe/Berlin, UTC") from error
    return name


def _email(text: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text):
        raise ValueError("write one address: name@example.com")
    if len(text) > 254:  # RFC 5321; and what the ledger's columns hold
        raise ValueError("write an address of at most 254 characters")
    return text


def _inside(text: str) -> str:
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("write a path relative to the project's folder, without ..")
    return text


def _ledger(text: str) -> str:
    if "://" not in text:
        return _inside(text)
    scheme = text.partition("://")[0]
    if scheme != "sqlite" and "+" not in scheme:
        raise ValueError(f"name the driver in the address: {scheme}+DRIVER://…, such as postgresql+psycopg://…")
    return text


def _line(text: str) -> str:
    if not text.strip() or "\n" in text.strip():
        raise ValueError("write one line of text")
    return text.strip()


def _day(text: str) -> str:
    if not is_day(text):
        raise ValueError("write a day as YYYY-MM-DD, such as 2017-06-10")
    return text


def _closed(text: str) -> str:
    if not is_day(text) and not is_day(f"2000-{text}"):
        raise ValueError('write "MM-DD" for every year, such as "12-25", or one day as YYYY-MM-DD')
    return text


def is_day(text: str) -> bool:
    """Whether a text is one day, written as YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def wall_time(text: str) -> dt.time:
    """A time of the day, `09:00`. Raises ValueError on anything else."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("write a time of the day as HH:MM on a 24-hour clock, such as 09:00")
    return dt.time.fromisoformat(text)


def week_time(text: str) -> tuple[int, dt.time]:
    """A time of the week, `Thursday 09:00`, as weekday (Monday is 0) and time. Raises ValueError on anything else."""
    name, _, at = text.partition(" ")
    if name not in WEEKDAYS:
        raise ValueError("write a weekday and a time: Thursday 09:00")
    return WEEKDAYS.index(name), wall_time(at)


def year_time(text: str) -> tuple[int, int, dt.time]:
    """A time of every year, `12-24 09:00`, as month, day and time. Raises ValueError on anything else."""
    day, _, at = text.partition(" ")
    if not is_day(f"2001-{day}"):  # not a leap year: 02-29 does not come every year
        raise ValueError("write a day of every year and a time: 12-24 09:00")
    return int(day[:2]), int(day[3:]), wall_time(at)


def local_time(text: str) -> dt.datetime:
    """One time of one day, `2017-08-01 09:00`, without a zone: the file names it. Raises ValueError otherwise."""
    day, _, at = text.partition(" ")
    if not is_day(day):
        raise ValueError("write a day and a time: 2017-08-01 09:00")
    return dt.datetime.combine(dt.date.fromisoformat(day), wall_time(at))


def _channel(text: str) -> str:
    if not re.fullmatch(r"env:[A-Z][A-Z0-9_]*", text):
        raise ValueError(
            "write env:NAME, where the environment variable NAME (or the file that NAME_FILE names) holds an address "
            "such as ntfy://… or slack://…; addresses hold secrets and have no place in config/"
        )
    return text


def _secret(text: str) -> str:
    if not re.fullmatch(r"env:[A-Z][A-Z0-9_]*", text):
        raise ValueError("write env:NAME: the variable NAME, or the file that NAME_FILE names, holds the secret")
    return text


def _place(text: str) -> str:
    """An address; one with a password in it stands in the environment."""
    if not text.strip() or any(not letter.isprintable() for letter in text):
        raise ValueError("write an address, such as https://… or s3://…, or env:NAME where it holds a password")
    if re.match(r"[a-z0-9+.-]+://[^/@]*:[^/@]*@", text, re.IGNORECASE):
        raise ValueError("holds a password, which has no place in config/. Write env:NAME")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-f:]*::[0-9a-f:]*", text):
        raise ValueError("write the name of a machine: smtp.example.com")
    return text


def _web(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s<>\"@]+", text):
        raise ValueError("write an address of the web: https://reports.example.com")
    return text


def _unsubscribe(text: str) -> str:
    if not re.fullmatch(r"(mailto:[^\s<>,@]+@[^\s<>,@]+|https://[^\s<>,\"@]+)", text):
        raise ValueError("write where a reader says no more: mailto:reports@example.com or https://…")
    return text


def size(text: Any) -> int:
    """A size, `500 KB`, `10 MB` or `1 GB`, in bytes. Raises ValueError on anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(KB|MB|GB)", text) if isinstance(text, str) else None
    if not found or not float(found[1]):
        raise ValueError("write a size as a number and a unit: 500 KB, 10 MB")
    return int(float(found[1]) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[found[2]])


def _calendar(name: str) -> str:
    # By its name: a list of what each calendar supports would import all the countries of the world.
    if name not in {*EntityLoader.get_country_codes(), *EntityLoader.get_financial_codes()}:
        raise ValueError("write a calendar of the package holidays: a market such as NYSE, a country such as US")
    return name


def _checked(read: Callable[[str], Any]) -> AfterValidator:
    """Keeps the text, once `read` has understood it."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def _number(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*", text):
        raise ValueError("write the experiment's number, such as 30")
    return text


def _shares(goods: Mapping[str, float]) -> Mapping[str, float]:
    if "*" not in goods:
        raise ValueError('has no key "*", which costs every department that is not named. Add one, such as "*": 0.65')
    return goods


def _bound(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("should be a number, or a day for columns of type day or time")  # noqa: TRY004 - pydantic's
    return value


def _seats(value: Any) -> Any:
    if value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("write auto, for one on each core, or a whole number such as 2")  # noqa: TRY004 - pydantic's
    if not 1 <= value <= MOST_SEATS:
        raise ValueError(f"is {value}; write 1 or more. At most {MOST_SEATS}, or auto for one on each core")
    return value


def usable_cores() -> int:
    """How many cores this process may use: fewer than the machine has, where it was given only some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _listed(values: Any) -> Any:
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError("should be a list of texts or numbers: [A, B]")
    return values


Line = Annotated[str, AfterValidator(_line)]
Email = Annotated[str, AfterValidator(_email)]
Inside = Annotated[str, AfterValidator(_inside)]
Seconds = Annotated[float, BeforeValidator(length)]
#: So short that the ledger's columns hold it, also behind `source:` or with a day.
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Zone = Annotated[str, AfterValidator(_zone)]
LedgerPlace = Annotated[str, AfterValidator(_ledger)]
Day = Annotated[str, AfterValidator(_day)]
ClosedDay = Annotated[str, AfterValidator(_closed)]
Number = Annotated[str, AfterValidator(_number)]
Shares = Annotated[Mapping[str, Annotated[float, Field(ge=0, le=2)]], AfterValidator(_shares)]
Memory = Annotated[str, BeforeValidator(_memory)]
Seats = Annotated[int | str, BeforeValidator(_seats)]
Bound = Annotated[Any, AfterValidator(_bound)]
Listed = Annotated[Any, AfterValidator(_listed)]
WallTime = Annotated[str, _checked(wall_time)]
WeekTime = Annotated[str, _checked(week_time)]
YearTime = Annotated[str, _checked(year_time)]
LocalTime = Annotated[str, _checked(local_time)]
Promised = Annotated[str, _checked(promise.parse)]
Recurring = Annotated[str, _checked(rhythm.parse)]
Channel = Annotated[str, AfterValidator(_channel)]
SecretName = Annotated[str, AfterValidator(_secret)]
Place = Annotated[str, AfterValidator(_place)]
Host = Annotated[str, AfterValidator(_host)]
WebPlace = Annotated[str, AfterValidator(_web)]
Unsubscribe = Annotated[str, AfterValidator(_unsubscribe)]
Size = Annotated[int, BeforeValidator(size)]
CalendarName = Annotated[str, AfterValidator(_calendar)]
