"""The other end of the dead man's switch, over real sockets: silence is told once, and no request ends it."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.delivery import watch
from runner.delivery.channels import Channels, Parcel
from runner.delivery.messages import Message
from runner.delivery.watch import Heard, Memory, Watch, overdue
from runner.errors import UsageError
from tests import small_office

START = datetime(2017, 11, 16, 14, tzinfo=UTC)
RULE = Watch(every=300, grace=60)
PATIENCE = timedelta(seconds=360)
SECOND = timedelta(seconds=1)


# --- the rule ---


@pytest.mark.parametrize(
    ("beat", "now", "late"),
    [
        (None, START + PATIENCE, False),
        (None, START + PATIENCE + SECOND, True),
        (START + PATIENCE, START + 2 * PATIENCE, False),
        (START + PATIENCE, START + 2 * PATIENCE + SECOND, True),
    ],
)
def test_silence_is_overdue_after_every_and_grace(beat, now, late):
    """Counted from the last beat, or from the start where none ever came."""
    assert overdue(beat, START, RULE, now) is late


@given(st.integers(-(10**7), 10**7), st.integers(0, 10**6))
def test_a_beat_is_never_overdue_at_once_and_always_in_the_end(at, later):
    """Whatever the beat's time, right after it all is well; from some time on it is not, and stays so."""
    beat = START + at * SECOND
    assert not overdue(beat, START, RULE, beat)
    assert overdue(beat, START, RULE, beat + PATIENCE + (later + 1) * SECOND)


def test_a_clock_that_was_set_back_hides_no_silence():
    """A last beat far ahead of now says nothing about now."""
    assert overdue(START + timedelta(days=30), START, RULE, START)


# --- telling, without a network ---


@dataclass
class Ear:
    """Hears what is told; fails as often as it is told to."""

    failures: int = 0
    words: list[str] = field(default_factory=list)

    def __call__(self, text):
        if self.failures:
            self.failures -= 1
            raise OSError("no line")
        self.words.append(text)


def test_silence_and_return_are_told_once_each(tmp_path):
    """However often it looks; a second silence is told again."""
    memory, ear = Memory(tmp_path / "beat.json", START), Ear()
    told = []
    for minutes, beat in [(1, 1), (5, 0), (8, 0), (9, 0), (10, 1), (11, 0), (20, 0), (30, 0), (31, 1), (32, 0)]:
        now = START + timedelta(minutes=minutes)
        if beat:
            memory.beat(now)
        watch.check(memory, RULE, ear, now)
        told.append(len(ear.words))
    assert told == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert "2017-11-16 14:01:00 UTC" in ear.words[0]
    assert "back since 2017-11-16 14:10:00 UTC" in ear.words[1]


def test_what_could_not_be_told_is_told_at_the_next_look(tmp_path):
    """A line that is down delays the news and never loses it."""
    memory, ear = Memory(tmp_path / "beat.json", START), Ear(failures=2)
    for minutes in (7, 8, 9, 10):
        watch.check(memory, RULE, ear, START + timedelta(minutes=minutes))
    assert len(ear.words) == 1


def test_a_watch_that_never_heard_anything_tells_it(tmp_path):
    """A new watch is never silent, and says since when it listens."""
    memory, ear = Memory(tmp_path / "beat.json", START), Ear()
    watch.check(memory, RULE, ear, START + PATIENCE + SECOND)
    assert "began at 2017-11-16 14:00:00 UTC" in ear.words[0]


def test_a_watch_that_starts_again_remembers(tmp_path):
    """The last beat, the first start and what was told outlive it: nothing is told twice, no silence begins anew."""
    file, ear, told = tmp_path / "deep" / "beat.json", Ear(), []
    for minutes in (0, 3, 6, 7, 8):
        now = START + timedelta(minutes=minutes)
        watch.check(Memory(file, now), RULE, ear, now)
        told.append(len(ear.words))
    assert told == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"since": "x"}', b"\xff", b'{"since":"2017-11-16","beat":null,"told":false}']
)
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path, content):
    """Half a file, or another's, is no reason to end."""
    (tmp_path / "beat.json").write_bytes(content)
    assert Memory(tmp_path / "beat.json", START).heard == Heard(START)


def test_the_file_is_whole_at_every_moment(tmp_path):
    """Many threads beat at once; whoever reads meanwhile reads one whole state, and no draft is left."""
    memory = Memory(tmp_path / "beat.json", START)
    threads = [threading.Thread(target=memory.beat, args=(START + n * SECOND,)) for n in range(20)]
    for thread in threads:
        thread.start()
    seen = [json.loads((tmp_path / "beat.json").read_text()) for _ in range(200)]
    for thread in threads:
        thread.join()
    assert all(set(said) == {"since", "beat", "told"} for said in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["beat.json"]


# --- the service ---


@dataclass
class Service:
    """A watch that runs, with a clock that the test sets and what it told."""

    port: int
    file: object
    clock: list[datetime]
    told: queue.Queue

    def ask(self, method="POST", path="/beat", body=b"{}", **headers):
        """The code and the body of one request's answer."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def raw(self, data):
        """Bytes as they are, and whatever comes back before the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as link, suppress(OSError):
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: link.recv(4096), b""))
        return b""

    @property
    def beat(self):
        return json.loads(self.file.read_text())["beat"]


@contextmanager
def running(tmp_path, token="", rule=RULE):
    """The watch in a thread of its own."""
    clock, told, stop, port = [START], queue.Queue(), threading.Event(), queue.Queue()
    file = tmp_path / "beat.json"
    thread = threading.Thread(
        target=watch.serve,
        args=("127.0.0.1", 0, file, rule, told.put, lambda: clock[0], stop),
        kwargs={"token": token, "ready": lambda _, number: port.put(number)},
    )
    thread.start()
    try:
        yield Service(port.get(timeout=10), file, clock, told)
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_beat_is_kept_with_the_watchs_own_time(tmp_path):
    """204, and the file holds when it came by the watch's clock."""
    with running(tmp_path) as service:
        service.clock[0] = START + timedelta(minutes=2)
        assert service.ask() == (204, b"")
        assert service.beat == "2017-11-16T14:02:00+00:00"
        code, said = service.ask("GET", "/healthz", b"")
    assert (code, json.loads(said)) == (200, {"beat": "2017-11-16T14:02:00+00:00"})


def test_it_tells_when_beats_stop_and_when_they_are_back(tmp_path):
    """From the socket to the person, with no beat ever and with one after a while."""
    with running(tmp_path, rule=Watch(every=1, grace=359)) as service:
        service.clock[0] = START + timedelta(minutes=10)
        assert "No heartbeat" in service.told.get(timeout=10)
        service.ask()
        assert "is back" in service.told.get(timeout=10)
        service.clock[0] = START + timedelta(minutes=20)
        assert "No heartbeat" in service.told.get(timeout=10)
    assert service.told.empty()


def test_it_hears_the_heartbeat_that_our_channels_send(tmp_path):
    """Both ends fit together: a json:// address of the watch is a channel like another."""
    with running(tmp_path, token="sesame") as service:
        address = f"json://127.0.0.1:{service.port}/beat/sesame"
        service.clock[0] = START + timedelta(minutes=1)
        message = Message("Heartbeat", "Alive.")
        channels = Channels(small_office.project(), {"BEAT": address})
        channels.send(Parcel("<a@b.c>", "watch", "", "env:BEAT", message), START)
        assert service.beat == "2017-11-16T14:01:00+00:00"


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/sesame", {}, 204),
        ("/beat/sesame", {}, 204),
        ("/beat/sesame/?x=y", {}, 204),
        ("/anything", {"Authorization": "Bearer sesame"}, 204),
        ("/beat", {}, 404),
        ("/beat/sesam", {}, 404),
        ("/sesame/beat", {}, 404),
        ("/beat?sesame", {}, 404),
        ("/beat", {"Authorization": "Bearer sesame2"}, 404),
        ("/%ff%00", {}, 404),
    ],
)
def test_where_there_is_a_token_only_it_opens(tmp_path, path, headers, code):
    """At the end of the path, or as bearer; nothing else is a beat."""
    with running(tmp_path, token="sesame") as service:
        assert service.ask(path=path, **headers)[0] == code
        assert bool(service.beat) == (code == 204)


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("POST", "/", {}, 404),
        ("POST", "/beats", {}, 404),
        ("GET", "/beat", {}, 404),
        ("PUT", "/beat", {}, 501),
        ("POST", "/beat", {"Content-Length": "65537"}, 413),
        ("POST", "/beat", {"Content-Length": "9" * 40}, 413),
        ("POST", "/beat", {"Content-Length": "-1"}, 400),
        ("POST", "/beat", {"Content-Length": "²"}, 400),
        ("POST", "/beat", {"Transfer-Encoding": "chunked"}, 400),
    ],
)
def test_what_is_no_beat_is_refused_and_kept_nowhere(tmp_path, method, path, headers, code):
    """Other paths, other methods, and bodies that are too large or lie about their size."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with running(tmp_path) as service:
        answer = service.raw(f"{method} {path} HTTP/1.1\r\n{lines}\r\n{{}}".encode())
        assert answer.split(b" ")[1] == str(code).encode()
        assert service.beat is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\x16\x03\x01\n\n",
        b"POST /beat\r\n\r\n",
        b"POST /beat HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /beat HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"POST /beat HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort",
    ],
)
def test_hostile_requests_end_only_themselves(tmp_path, data, capfd):
    """After each the next beat is heard, nothing is printed, and none of it was a beat."""
    with running(tmp_path) as service:
        service.raw(data)
        assert service.beat is None
        assert service.ask()[0] == 204
    assert capfd.readouterr() == ("", "")


def hung_up(link):
    """Whether a connection that drips a byte every tenth of a second is ended, within three times the patience."""
    link.settimeout(0.1)
    for _ in range(int(30 * watch.PATIENCE)):
        try:
            link.sendall(b"x")
            if not link.recv(1):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_client_that_breaks_off_is_no_news(tmp_path, capfd):
    """A connection that is reset in the middle of a body prints nothing, and the next beat is heard."""
    with running(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as link:
            link.sendall(b"POST /beat HTTP/1.1\r\nContent-Length: 10\r\n\r\nx")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert service.ask()[0] == 204
    assert capfd.readouterr() == ("", "")


def test_slow_clients_cannot_keep_every_seat(tmp_path):
    """More connections than there are seats, and each says half a request: their time ends, and beats come in again."""
    with running(tmp_path) as service:
        idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(watch.MOST + 5)]
        for link in idle:
            with suppress(OSError):
                link.sendall(b"POST /beat HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx")
        assert hung_up(idle[0])
        for link in idle:
            link.settimeout(3 * watch.PATIENCE)
            with suppress(OSError):
                while link.recv(4096):
                    pass
            link.close()
        assert service.ask()[0] == 204


def test_a_token_never_reaches_a_log(tmp_path, caplog, capfd):
    """Nor does any other path."""
    caplog.set_level(0)
    with running(tmp_path, token="sesame") as service:
        service.ask(path="/sesame")
        service.raw(b"GET /sesame HTTP/9.9\r\n\r\n")
    out, err = capfd.readouterr()
    assert "sesame" not in caplog.text + out + err


def test_a_beat_that_cannot_be_written_is_said_and_counts(tmp_path):
    """The sender hears of it, and no false alarm follows."""
    with running(tmp_path) as service:
        service.file.unlink()
        service.file.mkdir()
        (service.file / "x").touch()
        service.clock[0] = START + timedelta(minutes=5)
        assert service.ask()[0] == 500
        assert json.loads(service.ask("GET", "/healthz", b"")[1])["beat"] == "2017-11-16T14:05:00+00:00"


def test_a_port_that_is_taken_or_none_is_an_error_with_a_remedy(tmp_path):
    """So is a file that cannot be written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, file in ((taken.getsockname()[1], "a"), (70_000, "a"), (0, "b/c")):
            (tmp_path / "b").touch()
            with pytest.raises(UsageError, match="cannot be") as caught:
                watch.serve("127.0.0.1", port, tmp_path / file, RULE, print, lambda: START, threading.Event())
            assert caught.value.remedy
