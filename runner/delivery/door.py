"""The one door through which every mail leaves: by the project's mail server, or into its maildir.

`Door.post` is where the finished bytes of every message pass, report or alert, whatever way they take. With a sandbox
it is the sandbox that they are for: no composer can forget it. And none leaves that shows a secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from types import TracebackType
from typing import Self

from runner.config.project import Project
from runner.delivery import maildir, smtp
from runner.delivery.discretion import leak_of
from runner.delivery.outcome import Ears, Kind, Outcome, Sealed
from runner.delivery.smtp import Limits
from runner.document.texts import line
from runner.errors import DeliveryFailed


class Door:
    """The way out of a project; `environment` holds the secrets of its mail server.

    Opens a connection with the first message, and is to be closed. `limits` hold where they are shorter than the
    settings'.
    """

    def __init__(self, project: Project, environment: Mapping[str, str], limits: Limits | None = None) -> None:
        self._project = project
        self._environment = environment
        self._limits = limits
        self._post: smtp.Post | None = None

    def __repr__(self) -> str:
        return "Door()"  # the environment holds secrets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.close()

    def post(self, message: EmailMessage, ears: Ears | None = None) -> Outcome:
        """Let one message out, and say what became of it. Raises what `ears` raise."""
        leak = leak_of(message, self._project.censor.scanner)
        if leak is not None:
            return Outcome(Kind.REFUSED, str(leak), lasting=True)
        mail = self._project.settings.mail
        try:
            sealed = seal(sandboxed(message, mail.sandbox) if mail.sandbox else message, mail.bounces)
            if mail.server is None:
                maildir.post(sealed.data, self._project.maildir)
                return Outcome(Kind.TAKEN)
        except DeliveryFailed as error:
            return Outcome(Kind.DEFERRED, str(error))
        try:
            post = self._opened()
        except DeliveryFailed as error:
            return Outcome(Kind.DOWN, str(error), lasting=True)
        return post.post(sealed, ears or Ears())

    def _opened(self) -> smtp.Post:
        """The post office; what its server needs is read when it is first needed. Raises DeliveryFailed."""
        if self._post is None:
            project = self._project
            server = smtp.server_of(project.settings.mail, project.folder, self._environment, self._limits)
            self._post = smtp.Post(server)
        return self._post

    def close(self) -> None:
        """Let the connection go, if there is one."""
        if self._post is not None:
            self._post.close()
            self._post = None


def seal(message: EmailMessage, bounces: str | None = None) -> Sealed:
    """The message as bytes with its envelope. Raises DeliveryFailed when it is not for exactly one address.

    An address with letters other than ASCII can only be written in UTF-8; every other header keeps to ASCII.
    """
    to = [address.addr_spec for address in message["To"].addresses] if message["To"] else []
    if len(to) != 1:
        raise DeliveryFailed("A message is for one address, and this one is not.", "Send each reader their own.")
    (author,) = message["From"].addresses
    named = [*to, author.addr_spec, *(each.addr_spec for each in getattr(message["Reply-To"], "addresses", ()))]
    international = not all(address.isascii() for address in (*named, bounces or ""))
    data = message.as_bytes(policy=SMTPUTF8 if international else SMTP)
    return Sealed(str(message["Message-ID"]).strip(), bounces or author.addr_spec, to[0], data, international)


def sandboxed(message: EmailMessage, sandbox: str) -> EmailMessage:
    """The message for the sandbox in place of its reader, whom the subject names.

    It has an identity of its own: where the sandbox is a reader's address, too, no mail programme may take the real
    message for a second copy of this one.
    """
    (reader,) = message["To"].addresses
    changed = deepcopy(message)
    identity = str(message["Message-ID"]).strip().strip("<>")
    mark = hashlib.sha256(f"{identity}\0sandbox\0{sandbox}".encode()).hexdigest()[:32]
    for name, value in {
        "To": Address(reader.display_name, addr_spec=sandbox),
        "Subject": f"[for {line(reader.addr_spec)}] {line(message['Subject'])}",
        "Message-ID": f"<{mark}@{identity.rpartition('@')[2]}>",
    }.items():
        del changed[name]
        changed[name] = value
    return changed
