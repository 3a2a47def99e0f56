"""A message and an addressee -> a letter for the outbox, under a key that says what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from runner.config import Person, Pipeline, Project
from runner.ledger.outbox import Letter
from runner.plan.incidents import Incident, Kind, Notice

if TYPE_CHECKING:
    from runner.delivery.messages import Message
    from runner.scheduler.office import Office


@dataclass(frozen=True)
class Addressee:
    """Who gets a letter (an engineer's key or a reader's address), under which name and address, on which channel."""

    key: str
    person: Person
    channel: str


@dataclass(frozen=True)
class Key:
    """Which message of which incident, and when it was owed."""

    incident: Incident
    notice: Notice
    at: datetime

    def __str__(self) -> str:
        told = len(self.incident.topics), self.incident.step, self.incident.notices
        return f"{self.incident.number}/{self.notice.kind}/{'-'.join(map(str, told))}/{self.at:%Y%m%dT%H%M%S}"


@dataclass(frozen=True)
class About:
    """What a letter is about: a key that is its own for ever, its kind, when it was owed, its incident if any."""

    key: str
    kind: str
    at: datetime
    incident: int | None = None


def plain(project: Project, about: About, to: Addressee, message: Message) -> Letter:
    """One letter. Owed twice under the same key, for the same addressee, it is one."""
    from runner.delivery.mail import message_id  # noqa: PLC0415 - names are asked for without any letter

    whole = f"{about.key}/{to.key}/{to.channel}"
    domain = project.settings.sender.email.rpartition("@")[2]
    return Letter(
        key=whole,
        kind=about.kind,
        person=to.key,
        name=to.person.name,
        address=to.person.email,
        channel=to.channel,
        message=message.as_dict(),
        message_id=message_id(domain, whole),
        owed_at=about.at,
        incident=about.incident,
    )


def to_engineer(project: Project, about: About, who: str, message: Message) -> tuple[Letter, ...]:
    """The letters that bring a message to an engineer: by mail, and on each channel. None to one who has left."""
    engineer = project.people.engineers.get(who)
    channels = ("mail", *engineer.channels) if engineer else ()
    return tuple(plain(project, about, Addressee(who, engineer, c), message) for c in channels if engineer)


def handed(office: Office, incident: Incident, notice: Notice, message: Message) -> Message:
    """A message about open trouble, to whoever it is handed to, or from whom it is taken."""
    from runner.delivery import alerts  # noqa: PLC0415 - names are asked for without any letter

    by = office.project.name_of(notice.by)
    if notice.kind is Kind.TAKEN:
        to = office.project.name_of(notice.after[0]) if notice.after else by
        return alerts.taken_over(message, alerts.Handing(by, to, notice.note))
    within = office.policy(tells_readers=False).acknowledge_within
    answer = f"{office.command} ack {incident.number} --by {notice.person}"
    return alerts.handed_over(message, alerts.Handing(by, "", notice.note, within, answer))


def about(key: Key) -> About:
    """What a letter of an incident is about."""
    return About(f"incident/{key}", str(key.notice.kind), key.at, key.incident.number)


def owners(project: Project, pipeline: Pipeline) -> str:
    """Both owners by name, and why these two."""
    engineers, owned = project.people.engineers, pipeline.owners
    return f"{engineers[owned.primary].name}, then {engineers[owned.secondary].name}. {owned.because}"
