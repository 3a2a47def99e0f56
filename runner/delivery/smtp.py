"""Messages to a mail server: one connection for several, every wait bounded, and for each what became of it.

Encryption is never given up in silence: a server that is to speak TLS and does not is left. Its answers are for people
to read, but for what they hold of the login. Whatever happens before the final dot leaves nothing at the server; after
the dot and before the answer nobody knows. A 5xx about the connection, the login or the sender refuses no reader.
"""

from __future__ import annotations

import base64
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.config.ends import Mail
from runner.delivery.outcome import Ears, Kind, Outcome, Sealed
from runner.document.texts import line
from runner.errors import ConfigError, DeliveryFailed
from runner.secrets import read

#: Bytes of the longest line that every server takes (RFC 5321).
LONGEST_LINE = 998
#: Bytes of the longest line of a reply, and the most lines of one, that are listened to.
LONGEST_REPLY, MOST_LINES = 4096, 200
#: So many waits, each as long as one answer may take, make the longest dialogue of one kind.
WAITS = 4
#: Bytes that go out at once, and bytes a second below which a connection is too slow for what it has to carry.
PIECE, SLOWEST = 65_536, 50_000
#: Connections lost one after the other until the server is taken to be down.
LOST = 2
_LONGEST_WORDS = 300
#: Answers to a recipient that are about us, not about the reader: not logged in, not in this order, no mail here.
_ABOUT_US = frozenset({500, 502, 503, 504, 521, 530, 534, 535, 538})
#: The server ends the connection.
_CLOSING = 421
_NEVER = Outcome(Kind.DEFERRED, "The mail server ended the connection before it took the message.")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Limits:
    """The longest wait for one answer, and for all messages together besides the connecting, in seconds."""

    answer: float
    all: float


@dataclass(frozen=True)
class Server:
    """A mail server and how it is spoken to; `timeout` in seconds is the longest wait for one answer.

    `whole` bounds opening a connection, and each message but for its size, in seconds, whatever the server does.
    `life` bounds all that one `Post` does with it.
    """

    host: str
    port: int
    security: str
    timeout: float
    context: ssl.SSLContext | None = field(default=None, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    life: float | None = None

    @property
    def whole(self) -> float:
        """Seconds that opening a connection, or one message, takes at most."""
        return WAITS * self.timeout


def longest(timeout: float, largest: int) -> float:
    """Seconds that posting a message of so many bytes takes at most.

    Connections are included, and that the server may have dropped the first.
    """
    return 2 * ((2 * WAITS + 1) * timeout + largest / SLOWEST)


def server_of(mail: Mail, folder: Path, environment: Mapping[str, str], limits: Limits | None = None) -> Server:
    """The server that settings name; `limits` hold where they are shorter.

    Raises DeliveryFailed where a secret or a certificate cannot be read.
    """
    try:
        login = (
            (read(mail.user, environment), read(mail.password, environment)) if mail.user and mail.password else None
        )
    except ConfigError as error:
        raise DeliveryFailed(error.what, error.remedy) from None
    context = None if mail.security == "none" else _context(folder / mail.authorities if mail.authorities else None)
    timeout = min(mail.timeout, limits.answer) if limits else mail.timeout
    return Server(mail.server or "", mail.port, mail.security, timeout, context, login, limits.all if limits else None)


def _context(authorities: Path | None) -> ssl.SSLContext:
    """What certificates are checked against: those of the system, and those of a file."""
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError):
            what = f"The certificates in {authorities.name} cannot be read."
            raise DeliveryFailed(what, "Correct `mail.authorities` in settings.yml.") from None
    return context


class Post:
    """Posts messages to one server. A connection that is dropped is opened anew; a server that is down is left alone.

    Not to be shared between threads. `close` it when the last is posted.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._line: _Line | None = None
        self._lost = 0
        self._down: Outcome | None = None
        self._end: threading.Timer | None = None

    def __del__(self) -> None:
        """Let the connection go, where nobody said that it is to be closed."""
        self._drop()

    def post(self, sealed: Sealed, ears: Ears) -> Outcome:
        """Hand one message to the server. Raises what `ears` raise; all else is told in what comes back."""
        fault = _fault(sealed)
        if fault:
            return Outcome(Kind.REFUSED, fault, lasting=True)
        # A connection may be dropped between two messages: nothing was begun, and a new one is opened.
        return self._attempt(sealed, ears) or self._attempt(sealed, ears) or _NEVER

    def close(self) -> None:
        """Say good-bye and let the connection go."""
        if self._end is not None:
            self._end.cancel()
        if self._line is not None:
            with suppress(smtplib.SMTPException, OSError), self._line.guard.within(self._server.timeout):
                self._line.quit()
            self._drop()

    def _attempt(self, sealed: Sealed, ears: Ears) -> Outcome | None:
        """What became of it; None when a connection that was used before ended before anything of it was begun."""
        fresh = self._line is None
        if self._down is None and fresh:
            self._begin_to_end()
            self._open()
        if self._down is not None or self._line is None:
            return self._down
        ears.step("connected")
        talk = _Talk(self._line, self._server, sealed, ears)
        try:
            with self._line.guard.within(self._server.whole + len(sealed.data) / SLOWEST):
                outcome = talk.held()
        except (smtplib.SMTPException, OSError) as error:
            return self._ended(talk, error) if fresh or talk.begun else None
        finally:
            if not talk.over:
                self._drop()  # nothing of a message without its dot is kept by the server
        self._lost = 0
        if outcome.kind is Kind.DOWN:  # it would say the same of every other message
            self._down = outcome
        return outcome

    def _ended(self, talk: _Talk, error: Exception) -> Outcome:
        """The connection was lost, or the server spoke no SMTP."""
        if talk.dot:
            return Outcome(Kind.UNSURE, "The connection ended after the message and before the server's answer.")
        self._lost += 1
        reason = _reason(error, self._server)
        if self._lost >= LOST:
            self._down = Outcome(Kind.DOWN, f"The mail server ends its connections: {reason}.")
        return Outcome(Kind.DEFERRED, f"The connection to the mail server ended: {reason}.")

    def _begin_to_end(self) -> None:
        if self._end is None and self._server.life is not None:
            self._end = threading.Timer(self._server.life, self._expire)
            self._end.daemon = True
            self._end.start()

    def _expire(self) -> None:
        """In the timer's thread: whatever is under way ends, and nothing more is begun."""
        self._down = Outcome(Kind.DOWN, "The mail server is too slow: the time for mail was over.")
        wire = self._line
        if wire is not None:
            wire.guard.cut()

    def _open(self) -> None:
        guard = _Guard()
        try:
            with guard.within(self._server.whole):
                self._line = _Line(self._server, guard)
                self._line.begin()
        except _Refused as refused:
            self._down = refused.outcome
        except (smtplib.SMTPException, OSError, ValueError) as error:
            self._down = _unreached(error, self._server)
        if self._down is not None:
            self._drop()
            guard.close()

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line.guard.close()
            self._line = None


def _fault(sealed: Sealed) -> str:
    """Why a message can be posted to no server, or nothing."""
    longest_line = max(map(len, sealed.data.split(b"\r\n")))
    if longest_line > LONGEST_LINE:
        return f"A line of the message is {longest_line} characters long, and mail servers take {LONGEST_LINE}."
    return ""


# One message.


class _Talk:
    """The dialogue about one message, and how far it came."""

    def __init__(self, wire: _Line, server: Server, sealed: Sealed, ears: Ears) -> None:
        self._line, self._server, self._sealed, self._ears = wire, server, sealed, ears
        self.begun = False  # the server has answered to its sender
        self.dot = False  # the final dot was, or may be, on its way
        self.over = False  # the connection is fit for the next

    def held(self) -> Outcome:
        """Address it, send it, hear the answer."""
        unfit = self._unfit()
        if unfit:
            self.over = True
            return unfit
        for step, judged in ((self._from, _of_sender), (self._to, _of_recipient), (self._data, _of_message)):
            code, said = step()
            if code == _CLOSING and not self.begun:
                raise smtplib.SMTPServerDisconnected(_words(said, self._server))
            self.begun = True
            outcome = judged(code, _words(said, self._server))
            if outcome:
                self._reset(code)
                return outcome
        return self._sent()

    def _unfit(self) -> Outcome | None:
        if not self._sealed.international or self._line.has_extn("smtputf8"):
            return None
        what = "The address has letters other than ASCII, and the mail server takes none such (SMTPUTF8)."
        return Outcome(Kind.REFUSED, what, lasting=True)

    def _from(self) -> tuple[int, bytes]:
        options = ["SMTPUTF8"] if self._sealed.international else []
        if not self._sealed.data.isascii() and self._line.has_extn("8bitmime"):
            options.append("BODY=8BITMIME")
        if self._line.has_extn("size"):
            options.append(f"SIZE={len(self._sealed.data)}")
        return self._line.mail(self._sealed.sender, options)

    def _to(self) -> tuple[int, bytes]:
        answer = self._line.rcpt(self._sealed.recipient)
        self._ears.step("addressed")
        return answer

    def _data(self) -> tuple[int, bytes]:
        return self._line.docmd("DATA")

    def _sent(self) -> Outcome:
        data = _stuffed(self._sealed.data)
        for first in range(0, len(data), PIECE):  # the time limit of a socket holds for all that is sent at once
            self._line.send(data[first : first + PIECE])
        self._ears.handing()
        self._ears.step("handing")
        self.dot = True
        self._line.patient(self._server.whole)  # to give up on the answer may mean a second copy
        self._line.send(b".\r\n")
        self._ears.step("handed")
        code, said = self._line.getreply()
        self._ears.step("answered")
        outcome = _of_dot(code, _words(said, self._server))
        self.over = code not in (-1, _CLOSING)
        self._line.patient(self._server.timeout)
        return outcome

    def _reset(self, code: int) -> None:
        """Make ready for the next message, after a no to this one."""
        if code not in (-1, _CLOSING):
            self.over = self._line.rset()[0] == 250


def _stuffed(data: bytes) -> bytes:
    """The message as it goes over the wire: every line ends with CR LF, and a dot at its beginning is doubled.

    A line end of another kind could end the message for a server that reads it so, and begin another of its own.
    """
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    whole = re.sub(rb"(?m)^\.", b"..", whole)
    return whole if whole.endswith(b"\r\n") else whole + b"\r\n"


def _is(code: int, hundred: int) -> bool:
    return code // 100 == hundred


def _of_sender(code: int, said: str) -> Outcome | None:
    if _is(code, 2):
        return None
    if code == 552:
        return Outcome(Kind.REFUSED, f"The message is too large for the mail server ({said}).", lasting=True)
    what = f"The mail server does not take messages from this sender ({said})."
    return Outcome(Kind.DOWN if _is(code, 5) else Kind.DEFERRED, what, lasting=_is(code, 5))


def _of_recipient(code: int, said: str) -> Outcome | None:
    if _is(code, 2):
        return None
    if code in _ABOUT_US:
        return Outcome(Kind.DOWN, f"The mail server takes no messages from us ({said}).", lasting=_is(code, 5))
    if _is(code, 5):
        return Outcome(Kind.REFUSED, f"The mail server refuses the address ({said}).", lasting=True)
    return Outcome(Kind.DEFERRED, f"The mail server does not take the address now ({said}).")


def _of_message(code: int, said: str) -> Outcome | None:
    return None if code == 354 else _no(code, said)


def _of_dot(code: int, said: str) -> Outcome:
    if _is(code, 2):
        return Outcome(Kind.TAKEN, said)
    if _is(code, 4) or _is(code, 5):
        return _no(code, said)
    return Outcome(Kind.UNSURE, f"The mail server's answer to the message is none that SMTP knows ({said}).")


def _no(code: int, said: str) -> Outcome:
    if _is(code, 5):
        return Outcome(Kind.REFUSED, f"The mail server refuses the message ({said}).", lasting=True)
    return Outcome(Kind.DEFERRED, f"The mail server does not take the message now ({said}).")


def _words(said: bytes, server: Server) -> str:
    """What a server said, for people, without anything of the login."""
    text = line(said.decode("utf-8", "replace"))[:_LONGEST_WORDS]
    for secret in _shapes(server.login or ()):
        text = text.replace(secret, "…")
    return text or "it gives no reason"


def _shapes(login: tuple[str, ...]) -> Iterator[str]:
    """The login and how it looks on the wire, longest first."""
    both = "\0".join(("", *login))
    coded = [base64.b64encode(text.encode()).decode() for text in (both, *login)]
    yield from sorted({*login, *coded} if login else (), key=len, reverse=True)


# The connection.


class _Refused(Exception):  # noqa: N818 - it carries an outcome
    """The server is not to be used, or does not want us."""

    def __init__(self, what: str, *, lasting: bool) -> None:
        super().__init__(what)
        self.outcome = Outcome(Kind.DOWN, what, lasting)


class _Guard:
    """Cuts a connection when its time is over, however slowly the other side drips.

    It holds the connection by a descriptor of its own: while TLS is agreed upon, nobody else has one to cut it by.
    """

    def __init__(self) -> None:
        self._held: socket.socket | None = None
        self._over = False

    def hold(self, connection: socket.socket) -> None:
        """Watch over this connection."""
        self._held = connection.dup()
        if self._over:
            self.cut()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """While this lasts, so many seconds are left."""
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def cut(self) -> None:
        """End the connection, from any thread: whoever waits for it waits no more."""
        self._over = True
        if self._held is not None:
            with suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the descriptor go."""
        if self._held is not None:
            self._held.close()


class _Line(smtplib.SMTP):
    """One connection to a server."""

    def __init__(self, server: Server, guard: _Guard) -> None:
        self._server, self.guard = server, guard
        name = socket.gethostname()
        # Its own search for a name may ask the network, for as long as that likes.
        name = name if _NAME.fullmatch(name) else "localhost"
        super().__init__(server.host, server.port, local_hostname=name, timeout=server.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """The place where smtplib lets others connect."""
        connection = _reached(host, port, timeout)
        self.guard.hold(connection)
        if self._server.security == "tls" and self._server.context:
            return self._server.context.wrap_socket(connection, server_hostname=host)
        return connection

    def getreply(self) -> tuple[int, bytes]:
        """A reply as a whole. smtplib takes half a line, cut off with the connection, for an answer."""
        said: list[bytes] = []
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("it is not connected")
        if self.file is None:
            self.file = self.sock.makefile("rb")
        while len(said) < MOST_LINES:
            try:
                row: bytes = self.file.readline(LONGEST_REPLY)
            except OSError as error:
                row, reason = b"", _reason(error, self._server)
            else:
                reason = "it ended the connection"
            if not row.endswith(b"\n"):
                self.close()
                raise smtplib.SMTPServerDisconnected(reason)
            said.append(row[4:].strip())
            if row[3:4] != b"-":
                break
        code = row[:3]
        return int(code) if code.isdigit() else -1, b"\n".join(said)

    def patient(self, seconds: float) -> None:
        """Wait so long for each answer from now on."""
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def begin(self) -> None:
        """Greet, encrypt, log in. Raises _Refused, SMTPException and OSError."""
        self.ehlo_or_helo_if_needed()
        if self._server.security == "starttls":
            self._encrypt()
        if self._server.login:
            self._log_in(*self._server.login)

    def _encrypt(self) -> None:
        if not self.has_extn("starttls"):
            what = "The mail server offers no encryption (STARTTLS), and nothing was sent without it."
            raise _Refused(what, lasting=True)
        self.starttls(context=self._server.context)
        self.ehlo_or_helo_if_needed()

    def _log_in(self, user: str, password: str) -> None:
        """Log in. No error of smtplib leaves: some of them hold the password."""
        try:
            if user.isascii() and password.isascii():
                self.login(user, password)
            else:
                self._plain(user, password)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPResponseException as error:
            self._refuse(error.smtp_code, bytes(error.smtp_error) if isinstance(error.smtp_error, bytes) else b"")
        except (smtplib.SMTPException, ValueError):
            what = "The mail server offers no way to log in that we know."
            raise _Refused(what, lasting=True) from None
        finally:
            self.user = self.password = ""

    def _plain(self, user: str, password: str) -> None:
        """As smtplib does, which knows ASCII alone."""
        code, said = self.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
        if not _is(code, 2):
            self._refuse(code, said)

    def _refuse(self, code: int, said: bytes) -> None:
        what = f"The mail server does not let us log in ({code} {_words(said, self._server)})."
        raise _Refused(what, lasting=_is(code, 5)) from None


def _reached(host: str, port: int, timeout: float) -> socket.socket:
    """A connection. Raises OSError, and TimeoutError after so many seconds, also where asking for the name hangs."""
    found: list[socket.socket | OSError] = []
    late = threading.Event()

    def reach() -> None:
        try:
            found.append(socket.create_connection((host, port), timeout))
        except OSError as error:
            found.append(error)
        for left in found if late.is_set() else ():
            if isinstance(left, socket.socket):
                left.close()

    thread = threading.Thread(target=reach, name="mail server", daemon=True)
    thread.start()
    thread.join(timeout)
    if not found:
        late.set()
        raise TimeoutError("no connection in time")
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _unreached(error: Exception, server: Server) -> Outcome:
    """Why there is no connection to a server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"The mail server's certificate is not to be trusted: {line(error.verify_message)}."
        return Outcome(Kind.DOWN, what, lasting=True)
    lasting = isinstance(error, smtplib.SMTPResponseException) and _is(error.smtp_code, 5)
    return Outcome(Kind.DOWN, f"The mail server cannot be used: {_reason(error, server)}.", lasting)


def _reason(error: Exception, server: Server) -> str:
    """An error in a few words, without anything of the login."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
        return f"{error.smtp_code} {_words(said, server)}".rstrip(".")
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    text = str(error) or type(error).__name__
    return _words(text.encode("utf-8", "replace"), server).rstrip(".")
