"""Parcels over real channels: a maildir, and HTTP servers of this machine that answer, refuse, stall and drip."""

from __future__ import annotations

import email
import email.policy
import io
import json
import logging
import mailbox
import re
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner import config
from runner.config.ends import Mail
from runner.delivery import alerts, mail
from runner.delivery.channels import Channels, Parcel, Recorder, Sent
from runner.delivery.messages import Message
from runner.errors import DeliveryFailed
from tests import small_projects
from tests.mail_server import serving

NOW = datetime(2017, 11, 16, 13, 37, tzinfo=UTC)
SECRET = "t0psecret"
MESSAGE = Message(
    subject="Failed: Aggregate profit",
    headline="The warehouse could not be reached.",
    runbook_title="Database",
    runbook="1. **Look** at <it>.",
    commands=(("Acknowledge", "runner ack 12 --by ann"),),
    tone="stop",
)
PARCEL = Parcel(mail.message_id("example.com", "12", "ann"), "Ann", "ann@example.com", "env:ANN_PAGER", MESSAGE)
LETTER = replace(PARCEL, channel="mail")


@dataclass
class Post:
    """A server's address as apprise writes it, and what was posted there."""

    port: int = 0
    got: list[dict] = field(default_factory=list)

    @property
    def address(self):
        return f"json://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}/?cto=2&rto=2"


@contextmanager
def answering(code, headers=()):
    """A server that answers every POST with a code."""
    post = Post()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post.got.append(json.loads(body))
            self.send_response(code)
            for name, value in headers:
                self.send_header(name, value.format(port=post.port))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        post.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield post
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping(first=b"", drop=b""):
    """A server that takes connections, says something at once, and then drips bytes, or nothing, for ever."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve():
            held = []
            while not end.wait(0.05):
                with suppress(TimeoutError):
                    held.append(server.accept()[0])
                    held[-1].sendall(first)
                for connection in held if drop else ():
                    with suppress(OSError):
                        connection.sendall(drop)
            for connection in held:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Post(server.getsockname()[1])
        finally:
            end.set()
            thread.join()


def closed_port():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def project(tmp_path):
    return config.load(small_projects.project(tmp_path / "project", "good"))


def channels(project, address=None, **environment):
    given = {"ANN_PAGER": address} if address else {}
    return Channels(project, given | environment, limit=5)


def failure(carrier, parcel=PARCEL):
    """The error of a sending that must fail, which never shows a secret."""
    with pytest.raises(DeliveryFailed) as caught:
        carrier.send(parcel, NOW)
    assert caught.value.retry
    error = caught.value
    while error:
        assert SECRET not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__
    return str(caught.value)


# --- the contract, on the real thing and on its double ---


@pytest.fixture(params=["channels", "recorder"])
def carrier(request, project):
    """Both carriers; each has ANN_PAGER working and BOB_PAGER failing."""
    if request.param == "recorder":
        yield Recorder(broken={"env:BOB_PAGER"})
        return
    with answering(200) as good, answering(500) as bad:
        yield channels(project, good.address, BOB_PAGER=bad.address)


def test_a_parcel_is_taken_by_mail_and_by_address(carrier):
    """Both kinds of channel take a parcel and say nothing."""
    assert carrier.send(PARCEL, NOW) is None
    assert carrier.send(LETTER, NOW) is None


def test_a_parcel_may_come_again(carrier):
    """The same identity twice is no error: a crash after sending sends again."""
    for parcel in (PARCEL, LETTER):
        carrier.send(parcel, NOW)
        carrier.send(parcel, NOW)


def test_a_channel_that_fails_is_an_error_that_a_retry_can_mend(carrier):
    """It names the channel and stops nobody else's."""
    assert "env:BOB_PAGER" in failure(carrier, replace(PARCEL, channel="env:BOB_PAGER"))
    carrier.send(PARCEL, NOW)


@pytest.mark.parametrize("channel", ["", "sms", "env:", "env:lower", "json://example.com", "mail "])
def test_what_is_no_channel_is_refused_and_known_beforehand(carrier, channel):
    """The words of `problem` are those of the error."""
    assert "is no channel" in carrier.problem(channel)
    assert carrier.problem(channel) == failure(carrier, replace(PARCEL, channel=channel))


def test_a_channel_in_order_has_no_problem(carrier):
    """Mail always, and an address that can be used."""
    assert [carrier.problem(channel) for channel in ("mail", "env:ANN_PAGER")] == ["", ""]


def test_the_double_keeps_what_was_sent_and_marks_repeats():
    """In order, with its time; the second of an identity is a repeat, and a failing address takes nothing."""
    recorder = Recorder(broken={"bob@example.com"})
    recorder.send(PARCEL, NOW)
    recorder.send(replace(PARCEL, message_id="<other@example.com>"), NOW)
    recorder.send(PARCEL, NOW)
    failure(recorder, replace(PARCEL, address="bob@example.com"))
    assert [sent.repeat for sent in recorder.sent] == [False, False, True]
    assert recorder.sent[0] == Sent(NOW, PARCEL, repeat=False)


# --- mail ---


def letters(project):
    return [
        email.message_from_bytes(found.as_bytes(), policy=email.policy.default)
        for found in mailbox.Maildir(project.maildir, create=False)
    ]


def test_a_mail_says_who_when_and_that_it_is_automatic(project):
    """From the settings' sender, to the person, dated now, under the parcel's identity."""
    channels(project).send(LETTER, NOW)
    (letter,) = letters(project)
    assert letter["From"] == "Reports <reports@example.com>"
    assert letter["To"] == "Ann <ann@example.com>"
    assert letter["Subject"] == MESSAGE.subject
    assert letter["Date"].datetime == NOW
    assert letter["Message-ID"] == LETTER.message_id
    assert letter["Auto-Submitted"] == "auto-generated"
    assert all(len(letter.get_all(name)) == 1 for name in ("From", "To", "Subject", "Date", "Message-ID"))


def test_a_mail_has_text_and_html_of_the_same_message(project):
    """multipart/alternative, text first; markup of the content is text in both."""
    channels(project).send(LETTER, NOW)
    (letter,) = letters(project)
    assert [part.get_content_type() for part in letter.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    text, page = (letter.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "    runner ack 12 --by ann" in text
    assert "<pre" in page
    assert "<it>" not in page
    assert "<strong>Look</strong>" in page


def test_a_mail_is_written_once_for_its_identity(project):
    """A second try, also at another time, leaves the maildir as it was; another identity is another mail."""
    carrier = channels(project)
    for parcel, now in ((LETTER, NOW), (LETTER, NOW.replace(hour=20)), (replace(LETTER, message_id="<b@c.d>"), NOW)):
        carrier.send(parcel, now)
    assert len(letters(project)) == 2
    assert all(letter["Date"].datetime == NOW for letter in letters(project))


def test_the_same_parcel_at_the_same_time_is_the_same_bytes(project):
    """Nothing in a mail is drawn by lot."""
    channels(project).send(LETTER, NOW)
    (path,) = (project.maildir / "new").iterdir()
    first = path.read_bytes()
    path.unlink()
    channels(project).send(LETTER, NOW)
    assert path.read_bytes() == first


def test_a_hostile_subject_or_name_adds_no_header(project):
    """Line breaks become spaces: no recipient is smuggled in."""
    hostile = "Trouble\r\nBcc: eve@example.com\n\n<script>"
    channels(project).send(replace(LETTER, name=hostile, message=replace(MESSAGE, subject=hostile)), NOW)
    (letter,) = letters(project)
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Trouble Bcc: eve@example.com <script>"
    assert [str(address.addr_spec) for address in letter["To"].addresses] == ["ann@example.com"]


@pytest.mark.parametrize(
    "changes",
    [{"address": "nobody"}, {"address": "a@b.c\r\nBcc: e@f.g"}, {"message_id": "<a@b>\r\nX: y"}, {"message_id": "a"}],
)
def test_an_unusable_address_or_identity_is_refused(project, changes):
    """Nothing is written."""
    failure(channels(project), replace(LETTER, **changes))
    assert not project.maildir.exists()


def test_a_date_without_a_zone_is_refused(project):
    """`now` is aware everywhere."""
    with pytest.raises(DeliveryFailed, match="no time zone"):
        channels(project).send(LETTER, NOW.replace(tzinfo=None))


# --- mail by a server ---


def served(project, port, **more):
    """The project with a mail server."""
    said = {"server": "127.0.0.1", "port": port, "security": "none", "timeout": "30 s", **more}
    settings = project.settings.model_copy(update={"mail": Mail.model_validate(said)})
    return replace(project, settings=settings)


def test_a_mail_goes_by_the_server_where_there_is_one(project):
    """The same mail, from the address for bounces; nothing lies in the maildir."""
    with serving() as server:
        channels(served(project, server.port, bounces="bounces@example.com")).send(LETTER, NOW)
        (got,) = server.book.got
    assert (got.sender, got.recipient, got.name) == ("bounces@example.com", "ann@example.com", LETTER.message_id)
    assert not project.maildir.exists()


def test_what_continues_a_message_names_it(project):
    """In-Reply-To holds the first, References all, in whole words however long; neither holds what is no identity."""
    first, second = (f"<{letter * 32}@{'long-' * 12}example.com>" for letter in "ab")
    references = (first, second, "<no id>", "<x@y>\r\nBcc: e@f.g", LETTER.message_id)
    channels(project).send(replace(LETTER, references=references), NOW)
    (path,) = (project.maildir / "new").iterdir()
    letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert f"References: {first}\r\n {second}\r\n".encode() in path.read_bytes()
    assert (letter["In-Reply-To"], letter["Bcc"]) == (first, None)


@pytest.mark.parametrize("answer", ["450 4.2.1 Later", "550 5.1.1 No such user"])
def test_a_mail_that_is_not_taken_is_a_failure_in_the_servers_words(project, answer):
    """The outbox tries it again, and pages go all the same."""
    with serving() as server, answering(200) as pager:
        server.begin(to={"ann@example.com": [answer]})
        carrier = channels(served(project, server.port), pager.address)
        assert answer[4:] in failure(carrier, LETTER)
        carrier.send(PARCEL, NOW)
        carrier.send(LETTER, NOW)
    assert (len(pager.got), server.book.taken()) == (1, {"ann@example.com": 1})


def test_a_server_that_is_down_is_asked_once_in_a_look(project):
    """Of many mails of one look the first finds out; the next look asks again."""
    with dripping() as silent:
        carrier = channels(served(project, silent.port, timeout="1 s"))
        for _ in range(50):
            assert "cannot be used" in failure(carrier, LETTER)
        with serving() as server:
            carrier._mail._project = served(project, server.port)
            failure(carrier, LETTER)
            carrier.send(LETTER, NOW.replace(minute=38))
            assert server.book.taken() == {"ann@example.com": 1}


def test_an_alert_goes_to_the_sandbox_as_well(project):
    """Its subject names the engineer."""
    channels(served(project, 1, server=None, sandbox="bob@example.com")).send(LETTER, NOW)
    (letter,) = letters(project)
    assert (letter["Subject"], letter["To"]) == (f"[for ann@example.com] {MESSAGE.subject}", "Ann <bob@example.com>")


# --- addresses ---


def test_a_pager_gets_title_lines_kind_and_reference(project):
    """One POST: the subject, the short body, the tone as apprise's type, and the identity's mark in the last line."""
    with answering(200) as post:
        channels(project, post.address).send(PARCEL, NOW)
    (got,) = post.got
    assert got["title"] == MESSAGE.subject
    assert got["type"] == "failure"
    assert got["message"].startswith(f"{MESSAGE.headline}\nAcknowledge: runner ack 12 --by ann")
    assert "1. Look at" in got["message"]
    assert re.fullmatch(r"ref [0-9a-f]{8}", got["message"].split("\n")[-1])
    assert len(got["message"]) <= 1000


def test_a_repeat_has_the_same_reference_and_another_message_another(project):
    """A person who gets both sees which is a repeat."""
    with answering(200) as post:
        carrier = channels(project, post.address)
        for parcel in (PARCEL, PARCEL, replace(PARCEL, message_id="<b@c.d>")):
            carrier.send(parcel, NOW)
    first, again, other = (got["message"].split("\n")[-1] for got in post.got)
    assert first == again != other


def test_a_heartbeat_is_posted_like_any_message(project):
    """The watch's address is a channel as others are."""
    with answering(204) as post:
        channels(project, post.address).send(replace(PARCEL, message=alerts.heartbeat(NOW)), NOW)
    assert post.got[0]["title"] == "Heartbeat"


@pytest.mark.parametrize("code", [500, 429, 403])
def test_an_answer_that_is_no_success_is_a_failure_that_names_its_code(project, code):
    """One POST and no second try of its own: retrying is the outbox's work."""
    with answering(code) as post:
        said = failure(channels(project, post.address))
    assert f"HTTP {code}" in said
    assert len(post.got) == 1


def test_a_redirect_is_no_delivery(project):
    """A page that says 200 behind a redirect has not taken the message."""
    with answering(302, [("Location", "http://127.0.0.1:{port}/login")]) as post:
        assert "HTTP 302" in failure(channels(project, post.address))


def test_an_optional_service_that_fails_has_failed(project):
    """Apprise calls it a success; the engineer was not reached all the same."""
    with answering(500) as post:
        assert "HTTP 500" in failure(channels(project, f"{post.address}&optional=yes"))


def test_a_refused_connection_is_a_failure(project):
    """Nobody listens there."""
    assert "could not be reached" in failure(channels(project, Post(closed_port()).address))


def test_an_address_that_never_answers_is_given_up(project):
    """By the socket's time limit."""
    with dripping() as post:
        assert "did not answer" in failure(channels(project, post.address.replace("rto=2", "rto=0.2")))


def test_an_address_that_drips_is_given_up(project):
    """Each byte comes in time and the answer never does: the limit of the whole call ends it."""
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x") as post:
        carrier = Channels(project, {"ANN_PAGER": post.address}, limit=0.5)
        assert "no answer in 0.5 seconds" in failure(carrier)


def test_an_address_may_stand_in_a_file(project, tmp_path):
    """As secrets are mounted; the variable itself goes first."""
    with answering(200) as post:
        (tmp_path / "secret").write_text(f"{post.address}\n")
        channels(project, ANN_PAGER_FILE=str(tmp_path / "secret")).send(PARCEL, NOW)
        channels(project, post.address, ANN_PAGER_FILE=str(tmp_path / "none")).send(PARCEL, NOW)
    assert len(post.got) == 2


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "Set ANN_PAGER or ANN_PAGER_FILE"),
        ("   ", "has no address"),
        (f"nonsense://{SECRET}", "none that apprise knows"),
        (SECRET, "none that apprise knows"),
        (f"slack://{SECRET}", "none that apprise knows"),
        (f"json://a.example/{SECRET}, json://b.example/", "several addresses"),
    ],
)
def test_a_channel_that_cannot_be_reached_says_why_and_no_secret(project, address, words):
    """Known before anything is sent, in the words of the later error."""
    carrier = channels(project, address)
    assert words in carrier.problem("env:ANN_PAGER")
    assert carrier.problem("env:ANN_PAGER") == failure(carrier)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_address_is_said(project, tmp_path, content):
    """Missing, empty or binary."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    carrier = channels(project, ANN_PAGER_FILE=str(tmp_path / "secret"))
    assert "ANN_PAGER_FILE names is empty or cannot be read" in carrier.problem("env:ANN_PAGER")


@pytest.fixture
def log():
    """Everything that reaches the root logger's handlers, at any level."""
    said, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.NOTSET)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_log_line_and_no_representation_holds_a_secret(project, log, capfd):
    """Also at the most talkative level, for success, failure and an address that cannot be used."""
    with answering(200) as good, answering(500) as bad:
        carrier = channels(project, good.address, BOB_PAGER=bad.address, EVE_PAGER=f"slack://{SECRET}")
        carrier.send(PARCEL, NOW)
        for name in ("BOB", "EVE"):
            failure(carrier, replace(PARCEL, channel=f"env:{name}_PAGER"))
    logging.getLogger("other").debug("heard")
    out, err = capfd.readouterr()
    assert "heard" in log.getvalue()
    assert SECRET not in log.getvalue() + out + err + repr(carrier)
