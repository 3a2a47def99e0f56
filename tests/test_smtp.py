"""Messages over a real mail server of this machine, which refuses, defers, drops, hangs and drips."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config.ends import Mail
from runner.delivery import smtp
from runner.delivery.door import seal
from runner.delivery.headers import POLICY, address
from runner.delivery.outcome import Ears, Kind, Sealed
from runner.errors import DeliveryFailed
from tests.mail_server import HOST, PASSWORD, USER, serving

OLGA, OSCAR, PIA = "olga@example.com", "oscar@example.com", "pia@example.com"
BODY = b"Subject: Hello\r\nMessage-ID: <1@example.com>\r\n\r\nWords.\r\n"
STEPS = ["connected", "addressed", "handing", "handed", "answered"]


def sealed(recipient=OLGA, data=BODY, **changes):
    """A message, finished."""
    return replace(Sealed("<1@example.com>", "bounces@example.com", recipient, data), **changes)


def server(port, security="none", *, timeout=5.0, **more):
    """How the test's server is spoken to."""
    return smtp.Server(HOST, port, security, timeout, **more)


def posted(where, *messages, ears=None):
    """What becomes of each message, over one post office."""
    with closing(smtp.Post(where)) as post:
        return [post.post(message, ears or Ears()) for message in messages]


@pytest.fixture(scope="module")
def plain():
    """A server without encryption."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def secure():
    """A server with STARTTLS and login."""
    with serving("starttls", login=True) as found:
        yield found


@pytest.fixture
def settings_of(tmp_path):
    """Makes the server of settings, its authority in a file and the login in the environment."""

    def made(found, security, *, environment=None, **more):
        (tmp_path / "ca.pem").write_bytes(found.authority)
        given = {"server": HOST, "port": found.port, "security": security, "authorities": "ca.pem", "timeout": "5 s"}
        mail = Mail.model_validate({**given, "user": "env:MAIL_USER", "password": "env:MAIL_PASSWORD", **more})
        known = {"MAIL_USER": USER, "MAIL_PASSWORD": PASSWORD}
        return smtp.server_of(mail, tmp_path, known if environment is None else environment)

    return made


# What becomes of a message.


def test_messages_share_a_connection_and_each_is_taken_whole(plain):
    """Three for three readers: one connection, the envelope's sender, the very bytes."""
    book = plain.begin()
    outcomes = posted(server(plain.port), *map(sealed, (OLGA, OSCAR, PIA)))
    assert [outcome.kind for outcome in outcomes] == [Kind.TAKEN] * 3
    assert (book.connections, book.taken()) == (1, {OLGA: 1, OSCAR: 1, PIA: 1})
    assert {(got.sender, got.data) for got in book.got} == {("bounces@example.com", BODY)}


def test_steps_are_heard_in_their_order(plain):
    """And the final dot is asked for before it is sent."""
    heard = []
    plain.begin()
    posted(server(plain.port), sealed(), ears=Ears(heard.append, lambda: heard.append("asked")))
    assert heard == [*STEPS[:2], "asked", *STEPS[2:]]


@pytest.mark.parametrize(
    ("plan", "kind", "words"),
    [
        ({"to": {OLGA: ["550 5.1.1 No such user"]}}, Kind.REFUSED, "5.1.1 No such user"),
        ({"to": {OLGA: ["450 4.2.1 Greylisted"]}}, Kind.DEFERRED, "4.2.1 Greylisted"),
        ({"after": {OLGA: ["554 5.6.0 Looks like spam"]}}, Kind.REFUSED, "Looks like spam"),
        ({"after": {OLGA: ["452 4.3.1 Disk full"]}}, Kind.DEFERRED, "Disk full"),
        ({"mail": ["552 5.3.4 Too large"]}, Kind.REFUSED, "too large for the mail server"),
        ({"mail": ["451 4.3.0 Later"]}, Kind.DEFERRED, "Later"),
        ({"to": {OLGA: ["drop"]}}, Kind.DEFERRED, "connection"),
        ({"after": {OLGA: ["drop"]}}, Kind.UNSURE, "before the server's answer"),
    ],
)
def test_each_answer_is_known_for_what_it_is_and_the_next_reader_gets_theirs(plain, plan, kind, words):
    """Refused for good, deferred or unsure, in the server's words; never another reader's trouble."""
    book = plain.begin(**{name: given if isinstance(given, list) else dict(given) for name, given in plan.items()})
    first, second = posted(server(plain.port), sealed(), sealed(OSCAR))
    assert (first.kind, second.kind) == (kind, Kind.TAKEN)
    assert words in first.what
    assert first.lasting is (kind is Kind.REFUSED)
    assert book.taken()[OSCAR] == 1


@pytest.mark.parametrize(
    "plan", [{"mail": ["550 5.7.1 Sender not allowed"]}, {"to": {OLGA: ["530 5.7.0 Authentication required"]}}]
)
def test_a_no_that_is_about_us_refuses_no_reader(plain, plan):
    """Neither a sender that is not allowed nor a login that is missing says anything about an address."""
    plain.begin(**plan)
    (outcome,) = posted(server(plain.port), sealed())
    assert (outcome.kind, outcome.lasting) == (Kind.DOWN, True)


def test_a_connection_dropped_between_two_messages_is_opened_anew(plain):
    """A server that takes two messages a connection gets five all the same, each once."""
    book = plain.begin(most=2)
    readers = [f"r{number}@example.com" for number in range(5)]
    outcomes = posted(server(plain.port), *map(sealed, readers))
    assert {outcome.kind for outcome in outcomes} == {Kind.TAKEN}
    assert (book.connections, set(book.taken().values())) == (3, {1})


def test_a_server_that_loses_every_connection_is_left_alone(plain):
    """After two of them: the others are told so at once."""
    everyone = [f"r{number}@example.com" for number in range(9)]
    book = plain.begin(to={reader: ["drop"] for reader in everyone})
    outcomes = posted(server(plain.port), *map(sealed, everyone))
    assert [outcome.kind for outcome in outcomes] == [Kind.DEFERRED] * 2 + [Kind.DOWN] * 7
    assert book.connections == 2


def test_what_the_asked_one_raises_before_the_dot_leaves_nothing_at_the_server(plain):
    """The connection ends without a dot, the error is passed on, and the next message gets a new connection."""

    def mine():
        raise DeliveryFailed("Another has it.")

    book = plain.begin()
    with closing(smtp.Post(server(plain.port))) as post:
        with pytest.raises(DeliveryFailed, match="Another has it"):
            post.post(sealed(), Ears(handing=mine))
        assert post.post(sealed(OSCAR), Ears()).kind is Kind.TAKEN
    assert (book.taken(), book.connections) == ({OSCAR: 1}, 2)


# Encryption and login.


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_logged_in(security, settings_of):
    """Both kinds of TLS, with a password that is not ASCII."""
    with serving(security, login=True) as found:
        outcomes = posted(settings_of(found, security), sealed(), sealed(OSCAR))
        assert [outcome.kind for outcome in outcomes] == [Kind.TAKEN] * 2
        assert found.book.taken() == {OLGA: 1, OSCAR: 1}


def test_a_server_that_offers_no_encryption_is_refused(secure, settings_of):
    """No silent downgrade: not even the sender's address is sent in clear text."""
    book = secure.begin(ehlo=["STARTTLS"])
    (outcome,) = posted(settings_of(secure, "starttls"), sealed())
    assert (outcome.kind, outcome.lasting, book.got, book.asked) == (Kind.DOWN, True, [], {})
    assert "offers no encryption" in outcome.what


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_not_trusted(security, settings_of):
    """Without the authority in settings nothing is sent."""
    with serving(security, login=True) as found:
        (outcome,) = posted(settings_of(found, security, authorities=None), sealed())
        assert (outcome.kind, outcome.lasting, found.book.got) == (Kind.DOWN, True, [])
        assert "certificate is not to be trusted" in outcome.what


def test_a_certificate_for_another_name_is_not_trusted(secure, settings_of):
    """It is for 127.0.0.1 and localhost alone."""
    secure.begin()
    where = settings_of(secure, "starttls")
    (outcome,) = posted(replace(where, host="127.0.0.2"), sealed())
    assert (outcome.kind, secure.book.got) == (Kind.DOWN, [])


@pytest.mark.parametrize("login", [(USER, PASSWORD), ("someone", "wr0ng-ascii-secret"), (USER, "wröng-7781")])
def test_a_login_that_is_refused_is_said_without_anything_of_it(secure, settings_of, login, capfd, caplog):
    """Wrong, or not let in: the trouble is lasting, and no text, log, traceback or representation holds a secret."""
    caplog.set_level(logging.DEBUG)
    secure.begin(let_in=False)
    where = settings_of(secure, "starttls", environment={"MAIL_USER": login[0], "MAIL_PASSWORD": login[1]})
    (outcome,) = posted(where, sealed())
    assert (outcome.kind, outcome.lasting) == (Kind.DOWN, True)
    assert "does not let us log in (535" in outcome.what
    shown = "".join((*capfd.readouterr(), caplog.text, repr(outcome), repr(where), outcome.what))
    assert login[1] not in shown


def test_a_secret_that_is_not_set_is_named_by_its_variable(secure, settings_of):
    """Before anything is sent."""
    with pytest.raises(DeliveryFailed, match="MAIL_PASSWORD is not set"):
        settings_of(secure, "starttls", environment={"MAIL_USER": "u"})


def test_authorities_that_cannot_be_read_are_named(secure, settings_of):
    """By their file."""
    with pytest.raises(DeliveryFailed, match=r"certificates in none\.pem cannot be read"):
        settings_of(secure, "starttls", authorities="none.pem")


# Waits.


@contextmanager
def speaking(*lines):
    """A server that says each line once it hears anything, and then is silent; a line may drip for ever."""
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(10)
        end = threading.Event()

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(0.05)
                for said in lines:
                    if callable(said):
                        said(connection, end)
                    else:
                        connection.sendall(said)
                        while not end.is_set() and not _heard(connection):
                            pass
                end.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            end.set()
            thread.join()


def _heard(connection):
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""
    except OSError:
        return b"gone"


def drip(connection, end):
    """A byte each few hundredths of a second: no single wait is ever long."""
    while not end.wait(0.02):
        try:
            connection.sendall(b"2")
        except OSError:
            return


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ((), Kind.DOWN),
        ((drip,), Kind.DOWN),
        ((b"220 hi\r\n", drip), Kind.DOWN),
        ((b"220 hi\r\n", b"250 hello\r\n"), Kind.DEFERRED),
        ((b"220 hi\r\n", b"250 hello\r\n", drip), Kind.DEFERRED),
        ((b"220 hi\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", drip), Kind.DEFERRED),
        ((b"220 hi\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", drip), Kind.UNSURE),
        ((b"220 hi\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"), Kind.UNSURE),
    ],
)
def test_every_wait_ends(lines, kind):
    """Silent or dripping at any point of the dialogue: it is given up, and known how far it came."""
    with speaking(*lines) as port:
        (outcome,) = posted(server(port, timeout=0.1), sealed())
    assert outcome.kind is kind


def test_a_handshake_that_drips_is_given_up():
    """While TLS is agreed upon, too."""
    lines = (b"220 hi\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go\r\n", drip)
    with speaking(*lines) as port:
        (outcome,) = posted(server(port, "starttls", timeout=0.1, context=smtp._context(None)), sealed())
    assert outcome.kind is Kind.DOWN


def test_all_messages_together_take_no_longer_than_they_may(plain):
    """A server that is slow with each is left when the time is over: the last are told so without any wait."""
    never = threading.Event()
    book = plain.begin(after={OLGA: ["hang"]}, quiet=never)
    try:
        outcomes = posted(server(plain.port, life=0.3), sealed(), sealed(OSCAR))
    finally:
        never.set()
    assert [outcome.kind for outcome in outcomes] == [Kind.UNSURE, Kind.DOWN]
    assert book.asked[OSCAR] == 0


def test_nobody_there():
    """A port where nobody listens is a server that is down, and it may come back."""
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
    (outcome,) = posted(server(port), sealed())
    assert (outcome.kind, outcome.lasting) == (Kind.DOWN, False)


# Addresses and bytes.


def message(recipient, **headers):
    """A message of the standard library."""
    made = POLICY.message_factory(policy=POLICY) if POLICY.message_factory else None
    made["From"] = address("Reports", "reports@example.com")
    made["To"] = address("Ölga", recipient)
    made["Message-ID"] = "<1@example.com>"
    for name, value in headers.items():
        made[name] = value
    made.set_content("Words.\r\n", cte="quoted-printable")
    return made


def test_an_address_that_is_not_ascii_goes_out_as_it_is_or_not_at_all(plain):
    """With SMTPUTF8 where the server has it; else it is refused, and the next reader gets theirs."""
    book = plain.begin()
    foreign = seal(message("ölga@example.com"))
    (outcome,) = posted(server(plain.port), foreign)
    assert (outcome.kind, book.taken()) == (Kind.TAKEN, {"ölga@example.com": 1})
    assert "SMTPUTF8" in book.got[0].options
    assert "To: Ölga <ölga@example.com>".encode() in book.got[0].data
    book = plain.begin(ehlo=["SMTPUTF8"])
    refused, taken = posted(server(plain.port), foreign, sealed(OSCAR))
    assert (refused.kind, taken.kind, book.taken()) == (Kind.REFUSED, Kind.TAKEN, {OSCAR: 1})
    assert "letters other than ASCII" in refused.what


def test_a_line_that_no_server_takes_is_refused_before_it_is_sent(plain):
    """RFC 5321 allows 998 characters."""
    book = plain.begin()
    (outcome,) = posted(server(plain.port), sealed(data=BODY + b"x" * 999 + b"\r\n"))
    assert (outcome.kind, book.connections) == (Kind.REFUSED, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([b".", b"..", b"\r", b"\n", b"\r\n", b"a", b"MAIL FROM:<e@f.g>", b"DATA"]), max_size=20)
)
def test_no_bytes_of_a_message_end_it_or_begin_another(plain, parts):
    """Dots and line ends of every kind arrive as lines of the one message."""
    book = plain.begin()
    data = BODY + b"".join(parts)
    (outcome,) = posted(server(plain.port), sealed(data=data))
    whole = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    whole = whole if whole.endswith(b"\r\n") else whole + b"\r\n"
    assert (outcome.kind, [got.data for got in book.got]) == (Kind.TAKEN, [whole])
