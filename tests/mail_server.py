"""A mail server of the tests' own on this machine, with TLS and login, that misbehaves as it is told and counts."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any, TypeVar

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "reports", "pässword-7781-ungeheim"
HOST = "127.0.0.1"
T = TypeVar("T")


@dataclass(frozen=True)
class Got:
    """One message that the server took."""

    sender: str
    recipient: str
    data: bytes
    options: tuple[str, ...]

    @property
    def message(self):
        """The message as a mail programme parses it."""
        return message_from_bytes(self.data, policy=default)

    @property
    def name(self) -> str:
        """Its Message-ID."""
        return str(self.message["Message-ID"])


@dataclass
class Book:
    """What the server is to do, by recipient, and what it did.

    Plans are the answers to RCPT (`to`) and to the message (`after`), each a text such as `450 4.2.0 Later`, used up
    one after the other; `drop` ends the connection there. `quiet` is waited for before the answer to the message.
    """

    to: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)
    mail: list[str] = field(default_factory=list)
    ehlo: list[str] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    most: int | None = None  # messages of one connection, after which the server ends it
    let_in: bool = True
    quiet: threading.Event | None = None

    def taken(self) -> Counter[str]:
        """How many messages each recipient got."""
        return Counter(got.recipient for got in self.got)

    def names(self) -> Counter[tuple[str, str]]:
        """How often each (recipient, Message-ID) came."""
        return Counter((got.recipient, got.name) for got in self.got)


def _next(plans: list[str]) -> str:
    return plans.pop(0) if plans else ""


class _Handler:
    """What aiosmtpd asks."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def may_come_in(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        """Whether a login is the one there is."""
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known and self.book.let_in, handled=False)

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):  # noqa: N802
        session.host_name = hostname
        return [line for line in responses if not any(line[4:].startswith(word) for word in self.book.ehlo)]

    async def handle_MAIL(self, server, session: Session, envelope: Envelope, address, options):  # noqa: N802
        envelope.mail_from, envelope.mail_options = address, options
        done = getattr(session, "messages", 0)
        if self.book.most is not None and done >= self.book.most:
            server.transport.close()
            return "421 4.7.0 Enough for one connection"
        return _next(self.book.mail) or "250 OK"

    async def handle_RCPT(self, server, _session, envelope, address, _options):  # noqa: N802
        self.book.asked[address] += 1
        answer = _next(self.book.to.get(address, []))
        if answer == "drop":
            server.transport.abort()
            return "451 dropped"
        if not answer:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server, session, envelope: Envelope):  # noqa: N802
        (recipient,) = envelope.rcpt_tos
        session.messages = getattr(session, "messages", 0) + 1
        answer = _next(self.book.after.get(recipient, []))
        if answer in {"", "drop", "hang"}:
            content = bytes(envelope.original_content or b"")
            self.book.got.append(Got(envelope.mail_from or "", recipient, content, tuple(envelope.mail_options)))
        if answer == "drop":
            server.transport.abort()
        if answer == "hang" and self.book.quiet:
            await asyncio.get_running_loop().run_in_executor(None, self.book.quiet.wait, 20)
        return answer if answer[:1].isdigit() else "250 OK"


@dataclass
class MailServer:
    """A running server: where it is, its authority's certificate, and its book, which a test replaces at will."""

    port: int
    book: Book
    handler: _Handler
    authority: bytes

    def begin(self, **plans: object) -> Book:
        """A new book."""
        self.book = self.handler.book = Book(**plans)  # type: ignore[arg-type]
        return self.book


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="mail server of the tests", daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to, done in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def end(self) -> None:
        """Let everything under way go."""
        self.run(_cancelled())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()  # in its own loop: two that close it at once trip over one another


async def _cancelled() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def serving(
    security: str = "none", *, login: bool = False, ca: trustme.CA | None = None, port: int = 0
) -> Iterator[MailServer]:
    """A server of this machine, on a free port unless one is given. `security` as in settings."""
    ca = ca or trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST, "localhost").configure_cert(context)
    handler, loop = _Handler(Book()), _Loop()
    said: dict[str, Any] = {"enable_SMTPUTF8": True, "timeout": 60, "hostname": "mail.example.com"}
    if security == "starttls":
        said |= {"tls_context": context, "require_starttls": True}
    if login:
        # Within TLS from the first byte, aiosmtpd believes that there is none.
        said |= {"authenticator": handler.may_come_in, "auth_required": security == "starttls"}
        said |= {"auth_require_tls": security == "starttls"}

    def answered() -> SMTP:
        handler.book.connections += 1
        return SMTP(handler, loop=loop.loop, **said)

    around = context if security == "tls" else None
    server = loop.run(loop.loop.create_server(answered, HOST, port, ssl=around))
    try:
        yield MailServer(server.sockets[0].getsockname()[1], handler.book, handler, ca.cert_pem.bytes())
    finally:
        loop.run(_closed(server))
        loop.end()
