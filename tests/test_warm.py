"""Warm processes: like fresh ones in all that they can see, and as mortal as the rules say. Real parents and forks."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runner.warm import client, nursery, wire
from runner.warm.breed import Breed, Limits
from runner.warm.client import Member, Order, Unavailable
from tests.warm_parents import descriptors, has_ended, is_up, parent_of, runtime

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("json", "tests.warm_calls")
#: Starts a process that lives until it is killed, in ways to hide; each prints its number.
HIDERS = {
    "a child": "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', STUBBORN], stdout=1)",
    "a session of its own": (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', STUBBORN], start_new_session=True)"
    ),
    "a daemon": """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        exec(STUBBORN)
    os._exit(0)
os.wait()
""",
}
STUBBORN = """
import os, signal, sys
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
os.write(1, f"{os.getpid()}\\n".encode())
while True:
    signal.pause()
"""
#: A process that says when it is up, and lives until its standard input ends.
LIVES = "import sys; print('up', flush=True); sys.stdin.read()"
SAVES = """
import signal, sys, pathlib
def save(*_):
    pathlib.Path("saved").write_text("yes")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("up", flush=True)
while True:
    signal.pause()
"""


@dataclass
class Asked:
    """A member and our ends of its streams."""

    member: Member
    streams: tuple[Any, Any, Any]

    @property
    def pid(self) -> int:
        return self.member.pid

    @property
    def guard(self) -> int:
        return parent_of(self.pid)

    @property
    def parent(self) -> int:
        return parent_of(self.guard)

    def line(self) -> str:
        """The next line of its standard output."""
        return self.streams[1].readline().rstrip("\n")

    def code(self) -> int:
        """Its exit code, told when all below it is gone."""
        return self.member.wait(60)

    def out(self) -> str:
        """All that it printed; its exit code is 0."""
        assert self.code() == 0, self.streams[2].read()
        return self.streams[1].read()

    def err(self) -> str:
        return self.streams[2].read()

    def leave(self) -> None:
        """End its standard input."""
        self.streams[0].close()


@dataclass
class Yard:
    """A warm parent of the test's own, and all that was asked of it."""

    breed: Breed
    folder: Path
    kept: ExitStack = field(default_factory=ExitStack)

    def ask(
        self, code: str = LIVES, *, env: Mapping[str, str] | None = None, files=(), cwd: Path | None = None
    ) -> Asked:
        """A member that runs this Python text."""
        order = {"arguments": {"code": code}, "env": self.breed.env if env is None else env, "cwd": cwd or self.folder}
        return self.order("tests.warm_calls:run", files=files, **order)

    def order(self, call: str, *, files=(), **more) -> Asked:
        """A member that is told to call this."""
        (in_r, in_w), (out_r, out_w), (err_r, err_w) = (os.pipe() for _ in range(3))
        order = Order(call, files=(in_r, out_w, err_w, *files), **{"cwd": self.folder, "env": self.breed.env, **more})
        try:
            member = client.ask(self.breed, order)
        finally:
            for end in (in_r, out_w, err_w):
                os.close(end)
            streams = (os.fdopen(in_w, "w"), os.fdopen(out_r), os.fdopen(err_r))
            for stream in streams:
                self.kept.enter_context(stream)
        self.kept.enter_context(closing(member))
        return Asked(member, streams)

    @property
    def parent(self) -> int:
        """The parent that answers now."""
        asked = self.ask()
        parent = asked.parent
        asked.leave()
        assert asked.code() == 0
        return parent


def env_of(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "XDG_RUNTIME_DIR": str(folder),
        **more,
    }


@pytest.fixture(scope="module")
def shared() -> Iterator[Yard]:
    """A parent for the tests that leave it as it is."""
    with runtime() as folder:
        yard = Yard(Breed((*MODULES, "numpy.random"), env=env_of(folder)), folder)
        with yard.kept:
            yield yard


@pytest.fixture
def make() -> Iterator[Any]:
    """Makes parents for one test; everything of them must be gone at its end."""
    with runtime() as folder, ExitStack() as kept:

        def made(modules=MODULES, **more) -> Yard:
            env = {**env_of(folder), **more.pop("env", {})}
            return Yard(Breed(modules, env=env, **more), folder, kept)

        yield made


def fresh(code: str, **more) -> subprocess.CompletedProcess[str]:
    """The same text in a fresh interpreter."""
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **more)


# Like a fresh one.

SURROUNDINGS = """
import gc, json, os, resource, signal, sys, threading
status = open("/proc/self/status").read()
print(json.dumps({
    "cwd": os.getcwd(),
    "masks": [line for line in status.splitlines() if line.startswith(("Sig", "Shd"))][-4:],
    "handlers": {number.name: str(signal.getsignal(number)) for number in sorted(signal.valid_signals())
                 if isinstance(number, signal.Signals)},
    "umask": os.umask(0),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT_" in name},
    "nice": os.nice(0),
    "encodings": [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "buffers": [sys.stdout.line_buffering, sys.stderr.line_buffering],
    "threads": [thread.name for thread in threading.enumerate()],
    "collects": gc.isenabled(),
    "tasks": len(os.listdir("/proc/self/task")),
}))
"""


def test_a_member_sees_what_a_fresh_process_sees(shared):
    """Folder, signals, file mode, limits, streams, threads: each like that of an interpreter started just now."""
    env = {**shared.breed.env, "PYTHONIOENCODING": "utf-8"}
    expected = fresh(SURROUNDINGS, env=env, cwd=shared.folder, stdin=subprocess.DEVNULL)
    assert json.loads(shared.ask(SURROUNDINGS).out()) == json.loads(expected.stdout)


def test_a_member_has_the_environment_of_its_order_and_nothing_else(shared, monkeypatch):
    """Not the parent's, and not what the asker's environment became after the order was made."""
    env = {"SHOP": "corner", "RUNNER_RUN": "r1", "EMPTY": "", "TOWN": "Kraków"}
    order = Order("tests.warm_calls:run", shared.folder, env, {"code": ""})
    monkeypatch.setenv("SHOP", "another")
    asked = shared.ask("import os, json; print(json.dumps(dict(os.environ)))", env=order.env)
    assert json.loads(asked.out()) == env


def test_the_environment_of_the_order_reaches_what_a_member_starts(shared):
    """A program started by it has the same variables, those of the parent are gone."""
    code = "import subprocess; print(subprocess.check_output(['/usr/bin/env'], text=True), end='')"
    out = shared.ask(code, env={"SHOP": "corner"}).out()
    assert out == "SHOP=corner\n"


def test_others_see_the_marks_of_a_member_and_no_secret_of_it(shared):
    """`/proc/<pid>/environ` shows the variables of the runner; of other ones there is nothing, nor in the parent."""
    env = {**shared.breed.env, "RUNNER_RUN": "run-7", "RUNNER_PROJECT": "/a/shop", "PASSWORD": "swordfish"}
    asked = shared.ask(env=env)
    assert asked.line() == "up"
    shown = psutil.Process(asked.pid).environ()
    assert {name: shown[name] for name in shown if name.startswith("RUNNER_")} == {
        "RUNNER_RUN": "run-7",
        "RUNNER_PROJECT": "/a/shop",
    }
    for pid in (asked.pid, asked.guard, asked.parent):
        assert b"swordfish" not in Path(f"/proc/{pid}/environ").read_bytes()
    for pid in (asked.guard, asked.parent):
        assert b"run-7" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_marks_that_do_not_fit_are_not_shown_by_halves(shared):
    """More than there is room for is left out, and the member lives."""
    asked = shared.ask(env={"RUNNER_RUN": "run-8", "RUNNER_LONG": "x" * 5000})
    assert asked.line() == "up"
    assert "x" * 50 not in str(psutil.Process(asked.pid).environ())


def test_a_member_has_the_streams_of_its_order(shared):
    """It reads what is written to it, and its output and errors come apart, through Python and through the system."""
    asked = shared.ask(
        "import os, sys; print(sys.stdin.read().upper()); os.system('echo below'); print('bad', file=sys.stderr)"
    )
    print("grüße", file=asked.streams[0], end="")
    asked.leave()
    assert asked.code() == 0
    assert sorted(asked.streams[1].read().split()) == ["GRÜSSE", "below"]
    assert asked.err() == "bad\n"


def test_a_member_has_the_further_files_and_no_others(shared):
    """They are handed over by number, both work, and nothing of asker, parent or guard is open beside them."""
    (first_r, first_w), (second_r, second_w) = os.pipe(), os.pipe()
    code = """
import os
os.write(files[0], b"one")
os.write(files[1], b"two")
print(*sorted(map(int, os.listdir("/proc/self/fd")))[:-1], *files)
"""
    code = code.replace(
        "sorted(map(int, os.listdir('/proc/self/fd'))[:-1])", "sorted(map(int, os.listdir('/proc/self/fd')))[:-1]"
    )
    asked = shared.ask(code, files=(first_w, second_w))
    os.close(first_w)
    os.close(second_w)
    assert asked.out().split() == ["0", "1", "2", "3", "4", "5", "3", "4"]  # the sixth speaks to the guard
    assert (os.read(first_r, 9), os.read(second_r, 9)) == (b"one", b"two")
    assert (os.read(first_r, 9), os.read(second_r, 9)) == (b"", b"")  # closed everywhere, so also in parent and guard
    os.close(first_r)
    os.close(second_r)


def test_a_member_hands_none_of_its_further_files_down(shared):
    """What it starts has three streams, as from a fresh process."""
    code = "import subprocess, sys; subprocess.run(['/bin/ls', '/proc/self/fd'], close_fds=False)"
    assert shared.ask(code).out().split() == ["0", "1", "2", "3"]  # the last is the listing itself


def test_a_member_leads_a_session_of_its_own(shared):
    """A signal to the asker's terminal or group does not reach it."""
    asked = shared.ask()
    assert asked.line() == "up"
    assert (os.getsid(asked.pid), os.getpgid(asked.pid)) == (asked.pid, asked.pid)
    assert os.getsid(asked.guard) == asked.guard


def test_no_two_members_draw_the_same_numbers(shared):
    """Neither from Python's generator nor from numpy's, and a seed still gives what it always gives."""
    code = "import random, numpy; print(random.random(), numpy.random.rand()); random.seed(1); print(random.random())"
    first, second = (shared.ask(code).out().split() for _ in range(2))
    assert len({*first[:2], *second[:2]}) == 4
    assert first[2] == second[2] == "0.13436424411240122"


def test_a_member_has_the_time_zone_of_its_order(shared):
    """It is read again after the fork."""
    code = "import time; print(time.tzname[0])"
    assert [shared.ask(code, env={"TZ": zone}).out() for zone in ("EST5EDT", "Asia/Tokyo")] == ["EST\n", "JST\n"]


def test_what_a_member_registers_for_its_end_is_done(shared):
    """Exit handlers run, and temporary folders are removed, as when a fresh process ends; the parent's are not ours."""
    code = (
        "import atexit, tempfile; atexit.register(print, 'bye'); kept = tempfile.TemporaryDirectory(); print(kept.name)"
    )
    name, said = shared.ask(code).out().split()
    assert said == "bye"
    assert not Path(name).exists()


# How it ended.

ENDINGS = [
    *("", "import sys; sys.exit()", "import sys; sys.exit(3)", "import sys; sys.exit('no bread')", "exit(0)"),
    *("import sys; sys.exit(True)", "import sys; sys.exit(256 + 7)", "raise SystemExit", "import os; os._exit(4)"),
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "import os; os.abort()",
    "import ctypes; ctypes.string_at(0)",
]


@pytest.mark.parametrize("code", ENDINGS)
def test_an_end_is_told_as_that_of_a_fresh_process(shared, code):
    """Exit codes, texts for an exit, signals and crashes arrive as `subprocess` would tell them."""
    expected = fresh(code)
    asked = shared.ask(code)
    assert (asked.code(), asked.err()) == (expected.returncode, expected.stderr)


def test_the_number_that_a_function_returns_is_the_exit_code(shared):
    """That is how a call ends, when it ends in peace."""
    codes = [shared.order("tests.warm_calls:code", arguments={"number": number}).code() for number in (0, 3)]
    assert codes == [0, 3]


def test_an_exception_is_exit_code_1_with_its_traceback(shared):
    """On standard error, as far as the line that raised it."""
    asked = shared.ask("def sell():\n    raise ValueError('no bread')\nsell()")
    assert asked.code() == 1
    assert "in sell\n" in (said := asked.err())
    assert said.endswith("ValueError: no bread\n")


@pytest.mark.parametrize("call", ["no_such_module:run", "tests.warm_calls:no_such_function", "tests.warm_calls"])
def test_a_call_that_does_not_exist_ends_the_member_alone(shared, call):
    """The name is in its traceback, and the parent goes on."""
    before = shared.parent
    asked = shared.order(call)
    assert asked.code() == 1
    assert "Error" in asked.err()
    assert shared.parent == before


def test_an_end_is_known_once_and_asked_for_again_without_harm(shared):
    """`poll` says nothing while it lives, the code afterwards; signals to one that has ended do nothing."""
    asked = shared.ask()
    assert asked.line() == "up"
    assert asked.member.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        asked.member.wait(0.01)
    asked.leave()
    assert [asked.code(), asked.member.poll(), asked.code(), asked.member.fileno()] == [0, 0, 0, -1]
    asked.member.send_signal(signal.SIGKILL)
    asked.member.close()
    assert not asked.member.is_lost


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_reaches_the_member_and_its_group(shared, number):
    """Both the process and a program that it runs are ended by it."""
    code = "import subprocess, sys; print('up', flush=True); print(subprocess.run(['/bin/sleep', '600']).returncode)"
    asked = shared.ask("import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n" + code)
    assert asked.line() == "up"
    asked.member.send_signal(number)
    assert asked.code() == -number


# Crashes, and what is left below.


@pytest.mark.parametrize(
    "code", ["import os; os.kill(os.getpid(), 11)", "import os; os.kill(0, 9)", "import os; os._exit(9)"]
)
def test_a_crash_never_touches_the_parent_or_other_members(shared, code):
    """Those that lived before go on, the parent is the same, and new ones come from it."""
    other = shared.ask()
    assert other.line() == "up"
    parent = other.parent
    assert shared.ask(code).code() != 0
    assert (shared.parent, is_up(other.pid)) == (parent, True)
    other.leave()
    assert other.code() == 0


@pytest.mark.parametrize("last", ["", "\nimport os; os.kill(os.getpid(), 9)", "\nimport os; os.kill(os.getpid(), 11)"])
@pytest.mark.parametrize("hider", HIDERS)
def test_nothing_below_a_member_lives_when_its_end_is_told(shared, hider, last):
    """However it hides, whatever it ignores, and however the member ends: told of the end, we find it gone."""
    asked = shared.ask(f"STUBBORN = {STUBBORN!r}\n{HIDERS[hider]}\nimport sys; sys.stdin.read()" + last)
    hidden = int(asked.line())
    assert is_up(hidden)
    asked.leave()
    assert asked.code() == (-int(last.rpartition(" ")[2].rstrip(")")) if last else 0)
    assert not is_up(hidden)


ASKER = """
import os, sys
from pathlib import Path
from runner.warm import client
from runner.warm.breed import Breed
from runner.warm.client import Order
breed = Breed({modules!r}, {prepare!r}, {env!r})
sys.stdin.readline()
member = client.ask(breed, Order("tests.warm_calls:run", Path({cwd!r}), breed.env, {{"code": {code!r}}}, (0, 1, 1)))
stat = lambda pid: int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
print(member.pid, stat(member.pid), stat(stat(member.pid)), file=sys.stderr, flush=True)
sys.exit(member.wait())
"""


@pytest.fixture
def asker(shared) -> Iterator[Any]:
    """Starts a program that asks for a member; it begins when it is written to."""
    with ExitStack() as kept:

        def started(code: str, yard: Yard = shared) -> subprocess.Popen[str]:
            breed = {"modules": yard.breed.modules, "prepare": yard.breed.prepare, "env": dict(yard.breed.env)}
            words = [sys.executable, "-c", ASKER.format(**breed, cwd=str(yard.folder), code=code)]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            process = subprocess.Popen(words, text=True, **pipes)
            kept.enter_context(process)
            kept.callback(process.kill)
            return process

        yield started


def begin(process: subprocess.Popen[str]) -> list[int]:
    """Let an asker ask; the numbers of its member, guard and parent."""
    process.stdin.write("\n")
    process.stdin.flush()
    return told(process)


def told(process: subprocess.Popen[str]) -> list[int]:
    """The numbers of an asker's member, guard and parent, once it has them."""
    return [int(word) for word in process.stderr.readline().split()]


def test_an_asker_that_is_killed_takes_its_member_along_which_may_save_before(shared, asker):
    """SIGTERM comes first: what it has is on disk when it is gone."""
    (shared.folder / "saved").unlink(missing_ok=True)
    process = asker(SAVES)
    member, guard, _ = begin(process)
    assert process.stdout.readline() == "up\n"
    process.kill()
    assert has_ended(member)
    assert has_ended(guard)
    assert (shared.folder / "saved").read_text() == "yes"


def test_an_asker_that_is_killed_takes_all_below_a_stubborn_member_along(asker):
    """Whoever ignores the request to end is killed, and what it started goes with it."""
    process = asker(f"STUBBORN = {STUBBORN!r}\n{HIDERS['a daemon']}\nexec(STUBBORN)")
    member, guard, _ = begin(process)
    (hidden,) = {int(process.stdout.readline()) for _ in range(2)} - {member}
    process.kill()
    assert has_ended(guard)
    assert (is_up(member), is_up(hidden)) == (False, False)


def test_letting_go_of_a_member_ends_it(shared):
    """Closing is enough; nobody has to wait for it."""
    asked = shared.ask()
    assert asked.line() == "up"
    guard = asked.guard
    asked.member.close()
    assert has_ended(guard)
    assert not is_up(asked.pid)


def test_the_death_of_a_guard_ends_its_members_and_is_told_as_such(shared):
    """The system kills the member, the parent what was below it, and the asker knows that it must look for itself."""
    asked = shared.ask(f"STUBBORN = {STUBBORN!r}\n{HIDERS['a daemon']}\nexec(STUBBORN)")
    (hidden,), parent = {int(asked.line()) for _ in range(2)} - {asked.pid}, asked.parent
    assert not asked.member.is_lost
    os.kill(asked.guard, signal.SIGKILL)
    assert (asked.code(), asked.member.is_lost) == (-9, True)
    assert has_ended(asked.pid)
    assert has_ended(hidden)
    assert shared.parent == parent


def test_the_death_of_the_parent_touches_no_member(make):
    """Running ones work on and their ends are told; the next asker gets a new parent."""
    yard = make()
    asked = [yard.ask("import sys; print('up', flush=True); print(sys.stdin.read())") for _ in range(2)]
    assert [one.line() for one in asked] == ["up", "up"]
    parent = asked[0].parent
    os.kill(parent, signal.SIGKILL)
    assert has_ended(parent)
    assert yard.parent != parent
    for one in asked:
        one.streams[0].write("still here")
        one.leave()
    assert [one.out() for one in asked] == ["still here\n"] * 2


def test_the_death_of_a_guard_ends_its_members_also_when_the_parent_is_gone(make):
    """Nobody is there to look after them, so the system itself kills them."""
    yard = make()
    asked = yard.ask(STUBBORN)
    assert int(asked.line()) == asked.pid
    guard, parent = asked.guard, asked.parent
    os.kill(parent, signal.SIGKILL)
    assert has_ended(parent)
    assert is_up(asked.pid)
    os.kill(guard, signal.SIGKILL)
    assert has_ended(asked.pid)
    assert (asked.code(), asked.member.is_lost) == (-9, True)


# When a parent makes room for another.


def test_one_parent_serves_again_and_again(shared):
    """As long as there is no reason against it."""
    assert len({shared.parent for _ in range(5)}) == 1


@pytest.mark.parametrize("how", ["another text", "touched", "removed and written anew"])
def test_a_parent_makes_room_when_an_imported_file_changes(make, how):
    """Also when its text is as long as before; members see the new text, and the running ones keep the old."""
    yard = make(("json", "tests.warm_calls", "prices"), env={"PYTHONDONTWRITEBYTECODE": "1"})
    file = yard.folder / "prices.py"
    file.write_text("BREAD = 1\n")
    before = yard.ask("import prices, sys; print('up', flush=True); sys.stdin.read(); print(prices.BREAD)")
    assert before.line() == "up"
    assert yard.parent == before.parent
    _change(file, how)
    assert yard.parent != before.parent
    expected = "1\n" if how == "touched" else "2\n"
    assert yard.ask("import prices; print(prices.BREAD)").out() == expected
    before.leave()
    assert before.out() == "1\n"


def _change(file: Path, how: str) -> None:
    if how == "touched":
        os.utime(file)
        return
    if how != "another text":
        file.unlink()
    file.write_text("BREAD = 2\n")


def test_a_parent_makes_room_after_so_many_forks(make):
    """The members before and after come from different ones."""
    yard = make(limits=Limits(forks=2))
    parents = [yard.parent for _ in range(5)]
    assert [parents.count(parent) for parent in dict.fromkeys(parents)] == [2, 2, 1]


def test_a_parent_that_has_grown_takes_no_more_orders(make):
    """It says by how much; one that is never small enough is not to be had."""
    with pytest.raises(Unavailable, match=r"^it has grown by -?\d+ MB$"):
        make(limits=Limits(grown=-1e6)).ask()


def test_memory_counts_as_grown_when_it_is_a_process_its_own():
    """Forty megabytes that are written to are seen; given back they are not."""
    code = """
from runner.warm.nursery import private_megabytes as size
before = size(); kept = bytearray(b'x') * 40_000_000; during = size(); del kept
print(during - before, size() - before)
"""
    during, after = map(float, fresh(code).stdout.split())
    assert 38 < during < 45
    assert after < 5


def test_a_file_is_changed_when_it_is_gone_or_another_of_the_same_size(tmp_path):
    """Time, size and inode are compared, and the name of the first that differs is told."""
    file = tmp_path / "prices.py"
    file.write_text("BREAD = 1\n")
    before = {str(file): nursery._stamp(str(file))}
    assert nursery.changed_since(before) == ""
    other = tmp_path / "other"
    other.write_text("BREAD = 2\n")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert nursery.changed_since(before) == "prices.py"
    file.unlink()
    assert nursery.changed_since(before) == "prices.py"


def test_a_parent_without_work_ends_and_leaves_no_socket(make):
    """Nobody has to end it."""
    yard = make(limits=Limits(idle=0.2))
    assert has_ended(yard.parent)
    assert not (yard.breed.folder / "socket").exists()


def test_a_parent_that_is_kept_stays(make):
    """As long as the keeper does, however idle it is; one that is gone is begun anew at the next look."""
    yard = make(limits=Limits(idle=0.1))
    with closing(client.Kept(yard.breed)) as kept:
        for _ in range(2):
            kept.look()  # has it begin
            parent = yard.parent  # waits for it
            kept.look()  # holds it
            assert not has_ended(parent, limit=0.7)
            kept.look()
            assert yard.parent == parent
            os.kill(parent, signal.SIGKILL)
            assert has_ended(parent)
        kept.look()
        parent = yard.parent
        kept.look()
    assert has_ended(parent)


def test_a_parent_can_begin_before_it_is_asked(make):
    """Nobody waits for it; asked twice, one begins; where none can be had nothing is raised."""
    yard = make()
    for _ in range(2):
        client.prestart(yard.breed)
    parent = yard.parent
    client.prestart(yard.breed)
    assert yard.parent == parent
    (yard.breed.folder / "socket").unlink()
    far = replace(yard.breed, env={**yard.breed.env, "XDG_RUNTIME_DIR": str(yard.folder / "missing")})
    client.prestart(far)
    os.kill(parent, signal.SIGTERM)


def test_a_parent_stays_while_a_member_of_it_lives(make):
    """It would be started anew for the next order of the same run."""
    yard = make(limits=Limits(idle=0.1))
    asked = yard.ask()
    parent = asked.parent
    assert not has_ended(parent, limit=0.7)
    asked.leave()
    assert asked.code() == 0
    assert has_ended(parent)


def test_a_parent_that_is_told_to_retire_takes_no_more_orders(make):
    """Its members go on, the next asker gets another one, and there may be none to retire."""
    yard = make()
    assert client.retire(yard.breed) is False
    asked = yard.ask()
    parent = asked.parent
    assert client.retire(yard.breed) is True
    assert is_up(asked.pid)
    assert yard.parent != parent
    asked.leave()
    assert asked.code() == 0
    assert has_ended(parent)


# When there is none to be had.


def starts(yard: Yard) -> int:
    """How often a parent was begun that notes it."""
    return len(Path(yard.breed.env["PYTHON_STARTS"]).read_text().splitlines())


@pytest.mark.parametrize(
    ("modules", "prepare", "said"),
    [
        (MODULES, "tests.warm_calls:begin_thread", "it has 2 threads"),
        (MODULES, "tests.warm_calls:die", "the parent died within 60 s of its start"),
        (
            ("no_such_module",),
            "",
            "it cannot import what it should: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (
            MODULES,
            "tests.warm_calls:no_such",
            "it cannot import what it should: AttributeError: module 'tests.warm_calls'",
        ),
    ],
)
def test_a_parent_that_is_unfit_from_its_beginning_says_why(make, modules, prepare, said, tmp_path):
    """A thread, a death, a module that is not there: in one sentence, and nothing of it is left."""
    yard = make(modules, prepare=(prepare,) if prepare else (), env={"PYTHON_STARTS": str(tmp_path / "starts")})
    with pytest.raises(Unavailable) as caught:
        yard.ask()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_nobody_starts_an_unfit_parent_again_for_a_while(make, tmp_path):
    """Others are told the same without a start; when the while is over it is tried again."""
    env = {"PYTHON_STARTS": str(tmp_path / "starts")}
    yard = make(prepare=("tests.warm_calls:begin_thread",), env=env)
    for _ in range(3):
        with pytest.raises(Unavailable, match="it has 2 threads"):
            yard.ask()
    assert starts(yard) == 1
    ill = yard.breed.folder / "ill"
    os.utime(ill, times=(ill.stat().st_atime, ill.stat().st_mtime - client.ILL - 1))
    with pytest.raises(Unavailable, match="it has 2 threads"):
        yard.ask()
    assert starts(yard) == 2


def test_a_parent_that_gets_a_second_thread_later_takes_no_more_orders(make):
    """A library may begin one at any time; forking then would copy locks that nobody holds."""
    yard = make(prepare=("tests.warm_calls:begin_thread_when_told",))
    asked = yard.ask()
    parent = asked.parent
    assert yard.parent == parent
    os.kill(parent, signal.SIGUSR1)
    assert yard.parent != parent
    asked.leave()
    assert asked.code() == 0
    assert has_ended(parent)


def spoil_readable(base: Path) -> None:
    base.mkdir(mode=0o750)
    base.chmod(0o750)


def spoil_link(base: Path) -> None:
    (base.parent / "elsewhere").mkdir(mode=0o700)
    base.symlink_to("elsewhere")


def spoil_owner(base: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    base.mkdir(mode=0o700)
    os.chown(base, 54321, -1)


def spoil_file(base: Path) -> None:
    base.write_text("")


@pytest.mark.parametrize("spoil", [spoil_readable, spoil_link, spoil_owner, spoil_file])
def test_a_folder_that_others_could_write_to_is_refused(make, spoil):
    """Readable by the group, a link, another's, no folder at all: whoever answers there might be anybody."""
    yard = make()
    base = yard.folder / f"runner-{os.geteuid()}"
    spoil(base)
    with pytest.raises(Unavailable, match=r"^its folder cannot be used: "):
        yard.ask()
    assert client.retire(yard.breed) is False


def test_the_folder_of_one_parent_is_looked_at_as_well(make):
    """The one for all parents may be fine."""
    yard = make()
    spoil_readable(yard.breed.folder.with_name("x"))
    yard.breed.folder.chmod(0o770)
    with pytest.raises(Unavailable, match="belongs to others"):
        yard.ask()


@pytest.mark.parametrize(("where", "said"), [("a" * 120, "too long"), ("missing/below", "No such file")])
def test_a_folder_that_cannot_be_had_is_told(make, where, said):
    """A name that no socket can have, or a place that is not there."""
    yard = make()
    place = yard.folder / where
    if said == "too long":
        place.mkdir()
    far = replace(yard.breed, env={**yard.breed.env, "XDG_RUNTIME_DIR": str(place)})
    with pytest.raises(Unavailable, match=said):
        Yard(far, yard.folder, yard.kept).ask()


def test_a_file_in_the_place_of_the_socket_is_replaced(make):
    """Nobody answers there, so a parent is started and takes the place."""
    yard = make()
    (yard.breed.folder / "socket").write_text("")
    assert is_up(yard.parent)


def test_what_cannot_be_replaced_in_the_place_of_the_socket_is_told(make):
    """A folder, say: no parent can listen there."""
    yard = make()
    (yard.breed.folder / "socket").mkdir()
    with pytest.raises(Unavailable):
        yard.ask()


def test_a_socket_of_another_kind_is_no_parent(make):
    """It is told, and not waited for."""
    yard = make()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(yard.breed.folder / "socket"))
        other.listen()
        with pytest.raises(Unavailable, match=os.strerror(errno.EPROTOTYPE)):
            yard.ask()


def test_an_order_that_is_too_long_is_told(make):
    """The environment of the asker may be larger than a message can be; the parent goes on."""
    yard = make()
    parent = yard.parent
    with pytest.raises(Unavailable, match="the order cannot be sent"):
        yard.ask(env={f"LONG_{number}": "x" * 100_000 for number in range(30)})
    assert yard.parent == parent


# Whoever speaks to its socket.

TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(["call", "cwd", "env", "arguments", "inner", "signal", "exit", "pid"])
GARBAGE = (
    st.binary(min_size=1, max_size=3000)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(WORDS, VALUES, max_size=6).map(lambda order: json.dumps(order).encode())
)
ORDER = {"call": "tests.warm_calls:code", "cwd": "/", "env": {}, "arguments": {"number": 0}}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=GARBAGE, files=st.integers(0, 20))
@example(garbage=json.dumps(ORDER).encode()[:-7], files=2)  # half a message
@example(garbage=b"\xff\xfe{}", files=16)
@example(garbage=json.dumps({**ORDER, "call": 7}).encode(), files=0)
@example(garbage=json.dumps({**ORDER, "env": {"A\0B": "C"}}).encode(), files=0)
@example(garbage=json.dumps({**ORDER, "cwd": "/no/such/folder"}).encode(), files=4)
def test_garbage_does_no_harm(shared, garbage, files):
    """Whatever is sent, the parent answers the next asker, is the same, and keeps none of the files that came along."""
    assert_harmless(shared, garbage, files)


@pytest.mark.parametrize("text", ["[", '{"call": ', "x", " "])
def test_long_garbage_does_no_harm(shared, text):
    """Deeper than a parser goes, or just long."""
    assert_harmless(shared, text.encode() * (150_000 // len(text)), 3)


def assert_harmless(shared, garbage, files):
    """The parent is the one before, with the same descriptors."""
    parent = shared.parent
    before = descriptors(parent)
    with closing(socket.socket(socket.AF_UNIX, wire.KIND)) as connection, Path(os.devnull).open() as nothing:
        wire.widen(connection)
        connection.connect(str(shared.breed.folder / "socket"))
        socket.send_fds(connection, [garbage], [nothing.fileno()] * files)
    assert shared.parent == parent
    assert descriptors(parent) == before


def test_a_message_that_is_too_long_does_no_harm(shared):
    """What is cut off by the system is no message."""
    parent = shared.parent
    with closing(socket.socket(socket.AF_UNIX, wire.KIND)) as connection:
        force = getattr(socket, "SO_SNDBUFFORCE", 32)
        with suppress(PermissionError):
            connection.setsockopt(socket.SOL_SOCKET, force, 8 << 20)
        connection.connect(str(shared.breed.folder / "socket"))
        with suppress(OSError):  # where the system lets nobody send as much, there is nothing to fear
            connection.send(b'{"a": "' + b"x" * (2 << 20) + b'"}')
    assert shared.parent == parent


def test_a_silent_connection_blocks_nobody_for_long(shared):
    """Others get their process while it stays open, and it is let go after its hearing time."""
    with closing(socket.socket(socket.AF_UNIX, wire.KIND)) as silent:
        silent.settimeout(60)
        silent.connect(str(shared.breed.folder / "socket"))
        asked = shared.ask("print('served')")
        assert asked.out() == "served\n"
        assert silent.recv(10) == b""
    assert nursery._HEARING < client.ANSWERING / 2


def test_an_asker_that_leaves_before_its_answer_does_no_harm(shared):
    """Its member ends, and the parent serves the next."""
    parent = shared.parent
    order = {"call": "tests.warm_calls:run", "cwd": "/", "env": {}, "arguments": {"code": LIVES}}
    with closing(socket.socket(socket.AF_UNIX, wire.KIND)) as connection:
        connection.connect(str(shared.breed.folder / "socket"))
        wire.send(connection, order)
    assert shared.parent == parent


def test_askers_at_once_start_one_parent(make, asker, tmp_path):
    """The first starts it, the others wait for it."""
    yard = make(prepare=("tests.warm_calls:note_start",), env={"PYTHON_STARTS": str(tmp_path / "starts")})
    processes = [asker(LIVES, yard) for _ in range(5)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    parents = {told(process)[2] for process in processes}
    for process in processes:
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 5
    assert (len(parents), starts(yard)) == (1, 1)


# Orders from within.

INNER = """
import os, sys
from pathlib import Path
from runner.warm import client
from runner.warm.client import Order

def ask(code, files=()):
    return client.ask_guard(Order("tests.warm_calls:run", Path.cwd(), dict(os.environ), {"code": code}, files))
"""


def test_a_member_can_ask_for_another_beside_it(shared):
    """It hangs below the same guard, not below the first, sees no guard of its own, and is told of by its end."""
    code = """
r, w = os.pipe()
first = ask("import os; os.write(files[0], b'here'); os._exit(7)", (0, 1, 2, w))
os.close(w)
second = ask("print(len(__import__('os').listdir('/proc/self/fd')), flush=True)", (0, 1, 2))
print(first.wait(), os.read(r, 9).decode(), second.wait())
"""
    assert shared.ask(INNER + code).out().split() == ["4", "7", "here", "0"]


def test_the_second_member_ends_with_the_first(shared):
    """Told of the end of the first, we find the other gone; both were below one guard."""
    asked = shared.ask(INNER + f"other = ask({STUBBORN!r}, (0, 1, 2))\nsys.stdin.read()")
    other = int(asked.line())
    assert parent_of(other) == asked.guard
    asked.leave()
    assert asked.code() == 0
    assert not is_up(other)


def test_the_crash_of_the_second_member_touches_the_first_no_more_than_its_being_let_go(shared):
    """The first hears the signal and goes on; one that is closed is ended alone."""
    code = f"""
import select, signal
crashed = ask("import os; os.kill(os.getpid(), 11)")
dropped = ask({LIVES!r}, (0, 2, 2))
file = os.pidfd_open(dropped.pid)
dropped.close()
print(crashed.wait(), len(select.select([file], [], [], 30)[0]))
"""
    assert shared.ask(INNER + code).out().split() == ["-11", "1"]


def test_two_members_that_are_let_go_at_once_do_not_confuse_the_guard(shared):
    """One dies by itself while its guard ends the other, and its asker is gone as well: the first lives on."""
    code = """
import select, signal
slow, quick = (ask("import signal; signal.pause()") for _ in range(2))
files = [os.pidfd_open(one.pid) for one in (slow, quick)]
os.kill(os.getppid(), signal.SIGSTOP)
os.kill(quick.pid, signal.SIGKILL)
slow.close()
quick.close()
select.select([files[1]], [], [], 30)
os.kill(os.getppid(), signal.SIGCONT)
select.select([files[0]], [], [], 30)
print(ask("import os; os._exit(5)").wait())
"""
    assert shared.ask(INNER + code).out() == "5\n"


def test_a_process_without_a_guard_cannot_ask_for_another_beside_it(shared):
    """Neither one that was started for itself, nor a program that a member starts."""
    order = Order("tests.warm_calls:code", Path.cwd(), {})
    with pytest.raises(Unavailable, match="this process has no guard"):
        client.ask_guard(order)
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {INNER!r} + 'ask(str())'], stderr=1)"
    assert "Unavailable: this process has no guard" in shared.ask(code).out()


# Who shares a parent.


@pytest.mark.parametrize(
    "name", ["PYTHONHASHSEED", "PYTHONPATH", "LANG", "LC_ALL", "HOME", "MPLCONFIGDIR", "OMP_NUM_THREADS"]
)
def test_other_early_variables_make_another_parent(name, tmp_path):
    """They are read while libraries are imported, so a fork could not have them."""
    plain = Breed(MODULES, env=env_of(tmp_path))
    other = replace(plain, env={**plain.env, name: "7"})
    assert other.key != plain.key
    assert other.early[name] == "7"


def test_other_late_variables_do_not(tmp_path):
    """They come with the order."""
    plain = Breed(MODULES, env=env_of(tmp_path))
    assert replace(plain, env={**plain.env, "RUNNER_RUN": "1", "TZ": "UTC", "PASSWORD": "swordfish"}).key == plain.key
    assert "swordfish" not in str(replace(plain, env={**plain.env, "PASSWORD": "swordfish"}).early)


def test_other_modules_preparations_and_limits_make_another_parent(tmp_path):
    """Whatever it is made of counts, in its order; a default counts as the variable itself."""
    plain = Breed(MODULES, env=env_of(tmp_path))
    changed = [
        replace(plain, modules=MODULES[::-1]),
        replace(plain, prepare=("a:b",)),
        replace(plain, limits=Limits(forks=3)),
        replace(plain, defaults={"MPLBACKEND": "agg"}),
    ]
    assert len({plain.key, *(breed.key for breed in changed)}) == 5
    said = replace(plain, env={**plain.env, "MPLBACKEND": "agg"})
    assert said.key == changed[-1].key


def test_another_file_mode_or_limit_makes_another_parent():
    """They are inherited by what is forked, and belong to the asker."""
    code = """
import os, resource
from runner.warm.breed import Breed
keys = [Breed(("json",), env={}).key]
os.umask(0o077); keys.append(Breed(("json",), env={}).key)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
keys.append(Breed(("json",), env={}).key)
print(len(set(keys)))
"""
    assert fresh(f"import os; os.umask(0o022)\n{code}", cwd=ROOT).stdout == "3\n"
