"""One message to one person by one channel: mail by the project's own door, everything else by an apprise address.

A channel is `mail` or `env:NAME`, where the variable NAME, or the file that NAME_FILE names, holds one address.
Addresses hold secrets: no error, log line or representation here carries one.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from runner.config.files import Person
from runner.config.project import Project
from runner.delivery import messages
from runner.delivery.door import Door
from runner.delivery.headers import POLICY, address
from runner.delivery.messages import Message
from runner.delivery.outcome import Kind
from runner.delivery.smtp import Limits, server_of
from runner.document.shipped import TEMPLATES
from runner.document.texts import line
from runner.errors import DeliveryFailed
from runner.leaks import Censor

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult

MAIL = "mail"
_NAMED = re.compile(r"env:([A-Z][A-Z0-9_]*)")
_MESSAGE_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
_CODE = re.compile(r"error=(\d{3})\b")
#: What apprise calls our tones: pagers colour and rank by it.
_TYPES = {"stop": "failure", "warn": "warning", "good": "success"}
#: Seconds until an address has answered, whatever it does; apprise itself waits 4 s for each read.
LIMIT = 20.0
#: Seconds: the longest wait for one answer of the mail server, and how long all mail of one look may take besides the
#: connecting. Leases are prolonged between two looks.
MAIL_WAIT, MAIL_LIMIT = 5.0, 15.0
_FORM = "Write the channel as mail or env:NAME in config/people.yml."


@dataclass(frozen=True)
class Parcel:
    """One message to one person: `message_id` is `<left@right>` and the same at every try, `channel` mail or env:NAME.

    `address` is the person's mail address; other channels have theirs in the environment. `references` are the
    identities of messages that this one continues, the first of them first: mail programmes show them as one thread.
    """

    message_id: str
    name: str
    address: str
    channel: str
    message: Message
    references: tuple[str, ...] = ()


class Carrier(Protocol):
    """What takes parcels: `Channels`, or `Recorder` in its place."""

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Delivers, or raises DeliveryFailed. The same parcel may come again and keeps its identity."""

    def problem(self, channel: str) -> str:
        """Why a channel cannot be reached, for people, or nothing. Sends nothing."""


class Channels:
    """The channels of a project; `environment` is that of the process, `limit` in seconds bounds each address."""

    def __init__(self, project: Project, environment: Mapping[str, str], limit: float = LIMIT) -> None:
        self._project = project
        self._environment = environment
        self._limit = limit
        self._mail = _MailOfOneLook(project, environment)

    def __repr__(self) -> str:
        return "Channels()"  # the environment holds secrets

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Delivers a parcel; `now` is aware and dates a mail. Raises DeliveryFailed with a text that may be shown.

        A mail that is in the maildir already is not written again; a mail server gets it again, under the same
        Message-ID. Any other channel gets the message again, under the same reference in its last line.
        """
        parcel = _discreet(parcel, self._project.censor)
        if parcel.channel == MAIL:
            templates = self._project.templates or (TEMPLATES,)
            self._mail.send(compose(self._project.settings.sender, parcel, now, templates), now)
        else:
            self._notify(parcel)

    def problem(self, channel: str) -> str:
        """Why a channel cannot be reached, or nothing. It reads the address and sends nothing."""
        try:
            if channel == MAIL:
                self._mail.look()
                return ""
            _service(channel, _address(channel, self._environment))
        except DeliveryFailed as error:
            return str(error)
        return ""

    def _notify(self, parcel: Parcel) -> None:
        service = _service(parcel.channel, _address(parcel.channel, self._environment))
        title, body = messages.short(parcel.message)
        call = _Call(service, title, f"{body}\n{_reference(parcel.message_id)}", parcel.message.tone)
        reason = call.made(self._limit)
        if reason:
            raise DeliveryFailed(f"The channel {parcel.channel} did not take the message: {reason}.", "It is retried.")


def _discreet(parcel: Parcel, censor: Censor) -> Parcel:
    """The parcel without secrets: an alert must go out, whatever stands in the error it tells of."""
    return replace(parcel, message=Message.of(censor.clean(parcel.message.as_dict())))


def _address(channel: str, environment: Mapping[str, str]) -> str:
    """The one address of a channel. Raises DeliveryFailed that names the variable and nothing of its content."""
    found = _NAMED.fullmatch(channel)
    if not found:
        raise DeliveryFailed(f"{line(channel)!r} is no channel.", _FORM)
    name, file = found[1], environment.get(f"{found[1]}_FILE", "").strip()
    address = environment.get(name, "").strip()
    if not address and file:
        with suppress(OSError, ValueError):
            address = Path(file).read_text("utf-8").strip()
        if not address:
            raise DeliveryFailed(f"The file that {name}_FILE names is empty or cannot be read.", "Check its path.")
    if not address:
        raise DeliveryFailed(f"The channel {channel} has no address.", f"Set {name} or {name}_FILE.")
    return address


def teller(channel: str, environment: Mapping[str, str]) -> Callable[[str], None]:
    """Tells one sentence on one channel, for a watch that has no project.

    Raises DeliveryFailed where the channel has no usable address.
    """
    _service(channel, _address(channel, environment))  # a wrong address is told now, not when it is needed

    def tell(text: str) -> None:
        service = _service(channel, _address(channel, environment))
        reason = _Call(service, "Watch of the reporting pipeline", text, "stop").made(LIMIT)
        if reason:
            raise DeliveryFailed(f"The channel {channel} did not take the message: {reason}.", "It is retried.")

    return tell


def _reference(message_id: str) -> str:
    """The same few characters at every try, so that a person sees a repeat for what it is."""
    return f"ref {hashlib.sha256(message_id.encode('utf-8', 'replace')).hexdigest()[:8]}"


# --- mail ---


def compose(sender: Person, parcel: Parcel, now: datetime, templates: tuple[Path, ...] = (TEMPLATES,)) -> EmailMessage:
    """The mail: multipart/alternative, the same bytes for the same parcel and time. Raises DeliveryFailed."""
    if not _MESSAGE_ID.fullmatch(parcel.message_id):
        raise DeliveryFailed(f"The Message-ID {line(parcel.message_id)!r} is malformed.", "Use mail.message_id.")
    letter = EmailMessage(policy=POLICY)
    try:
        _head(letter, sender, parcel, now)
    except (ValueError, IndexError, MessageError) as error:
        raise DeliveryFailed(f"The message to {line(parcel.address)} has a bad header: {line(error)}.") from error
    letter.set_content(messages.text(parcel.message), cte="quoted-printable")
    letter.add_alternative(messages.html(parcel.message, templates), subtype="html", cte="quoted-printable")
    letter.set_boundary(f"=={hashlib.sha256(parcel.message_id.encode()).hexdigest()[:24]}")
    return letter


def _head(letter: EmailMessage, sender: Person, parcel: Parcel, now: datetime) -> None:
    if now.tzinfo is None:
        raise ValueError("its date has no time zone")
    letter["From"] = address(sender.name, sender.email)
    letter["To"] = address(parcel.name, parcel.address)
    letter["Subject"] = line(parcel.message.subject)[:200] or "Message"
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = parcel.message_id
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Auto-Response-Suppress"] = "All"
    known = [name for name in parcel.references if _MESSAGE_ID.fullmatch(name) and name != parcel.message_id]
    if known:
        letter["In-Reply-To"] = known[0]
        letter["References"] = " ".join(known)


class _MailOfOneLook:
    """The mails of one look of the scheduler, which share a connection and a limit of time.

    A server that hangs is waited for once: whatever else is to go out in the same look is told so at once, and stays
    in the outbox. What is left of the limit is measured by a timer that ends the connection.
    """

    def __init__(self, project: Project, environment: Mapping[str, str]) -> None:
        self._project, self._environment = project, environment
        self._look: datetime | None = None
        self._door: Door | None = None

    def send(self, letter: EmailMessage, now: datetime) -> None:
        """Lets one mail out. Raises DeliveryFailed where it was not taken for certain."""
        outcome = self._at(now).post(letter)
        if outcome.kind is not Kind.TAKEN:
            raise DeliveryFailed(outcome.what, "It is retried.")

    def look(self) -> None:
        """Raises DeliveryFailed where the mail server's secrets or certificates cannot be read. Connects to nobody."""
        settings = self._project.settings.mail
        if settings.server is not None:
            server_of(settings, self._project.folder, self._environment)

    def _at(self, now: datetime) -> Door:
        if self._door is None or self._look != now:
            if self._door is not None:
                self._door.close()
            self._door = Door(self._project, self._environment, Limits(MAIL_WAIT, MAIL_LIMIT))
            self._look = now
        return self._door


# --- addresses that apprise knows ---


def _service(channel: str, address: str) -> Apprise:
    """Apprise with the one address. Raises DeliveryFailed where apprise cannot use it."""
    apprise = _apprise()
    # A redirect ends at a page that says 200 and has delivered nothing. Time is kept by _Call: 0 is no other limit.
    asset = apprise.AppriseAsset(http_redirects=False, service_timeout=0, app_id="runner")
    made: Apprise = apprise.Apprise(asset=asset)
    if not made.add(address):
        raise DeliveryFailed(f"The address of {channel} is none that apprise knows or can use.", "Correct it there.")
    if sum(1 for _ in made) != 1:
        raise DeliveryFailed(f"{channel} holds several addresses.", "Give each its own variable, to be retried alone.")
    return made


def _apprise() -> ModuleType:
    """Apprise, loaded when first needed (0.3 s), with its log kept to itself: its lines name hosts and paths."""
    import apprise  # noqa: PLC0415

    log = logging.getLogger("apprise")
    if log.propagate:
        log.propagate = False
        log.addHandler(logging.NullHandler())
        # Below these levels, both write whole addresses.
        log.setLevel(logging.WARNING)
        logging.getLogger("urllib3").setLevel(logging.INFO)
        with warnings.catch_warnings(action="ignore"):
            # It loads its hundred services at the first question; some import what later Pythons drop, and say so.
            apprise.Apprise.instantiate("json://localhost")
    return apprise


@dataclass(frozen=True)
class _Call:
    """One call of one address."""

    service: Apprise
    title: str
    body: str
    tone: str

    def made(self, limit: float) -> str:
        """Makes the call and waits so many seconds; gives why it failed, or nothing.

        The call has a thread of its own, which does not keep the process alive: an address that drips one byte a
        second would hold any socket's time limit, and the pool in which apprise itself waits would be joined at exit.
        """
        answers: list[AppriseResult | None] = []
        thread = threading.Thread(target=self._run, args=(answers,), name="apprise", daemon=True)
        thread.start()
        thread.join(limit)
        if not answers:
            return f"no answer in {limit:g} seconds" if thread.is_alive() else "apprise failed"
        return _reason(answers[0])

    def _run(self, answers: list[AppriseResult | None]) -> None:
        with suppress(Exception):  # its text may hold the address
            answers.append(
                self.service.notify(
                    title=self.title, body=self.body, body_format="text", notify_type=_TYPES.get(self.tone, "info")
                )
            )


def _reason(result: AppriseResult | None) -> str:
    """Why a result is no success, in our words: of its log only a status code is passed on."""
    if result is None:
        return "apprise failed"
    # By each service's last attempt: apprise calls the failure of a service that is `optional` a success.
    if result and all(bool(service.attempts and service.attempts[-1]) for service in result):
        return ""
    codes = [code for entry in result.logs() for code in _CODE.findall(entry.message)]
    return f"it answered with HTTP {codes[-1]}" if codes else "it could not be reached or did not answer"


# --- the double ---


@dataclass(frozen=True)
class Sent:
    """A parcel that was taken, when, and whether its identity had been taken before."""

    now: datetime
    parcel: Parcel
    repeat: bool


@dataclass
class Recorder:
    """Takes parcels as `Channels` does, and keeps them; `broken` are channels and addresses that fail."""

    broken: set[str] = field(default_factory=set)
    sent: list[Sent] = field(default_factory=list)

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Keeps the parcel; one that came before is kept once more and marked. Raises DeliveryFailed if broken."""
        problem = self.problem(parcel.channel)
        if not problem and parcel.address in self.broken:
            problem = f"{line(parcel.address)} does not take messages."
        if problem:
            raise DeliveryFailed(problem)
        known = any(sent.parcel.message_id == parcel.message_id for sent in self.sent)
        self.sent.append(Sent(now, parcel, known))

    def problem(self, channel: str) -> str:
        """Why a channel cannot be reached, or nothing."""
        if channel != MAIL and not _NAMED.fullmatch(channel):
            return f"{line(channel)!r} is no channel. {_FORM}"
        return f"The channel {channel} does not take messages." if channel in self.broken else ""
