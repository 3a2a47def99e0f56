"""Warm kernels where people use them: JupyterLab, nbval, papermill, nbclient and nbconvert, beside the ordinary one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import websocket
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from runner import config
from runner.errors import CellFailed, DeadlinePassed, Interrupted, KernelDied
from runner.ledger import Ledger
from runner.report import draft, kernels, notebooks, produce
from runner.report import job as jobs
from runner.report.execute import Request, Stop, execute
from runner.warm.processes import marked
from tests.small_projects import NOTEBOOKS, SETTINGS, finished, living, project
from tests.warm_parents import descriptors, has_ended, is_up, parent_of, runtime

ROOT = Path(__file__).resolve().parents[1]
#: Says whether the kernel is a fork: such a process shows the command line of its parent.
IS_FORK = "print('runner.warm.nursery' in open('/proc/self/cmdline').read())"
COLD = "because of the test"


@pytest.fixture(scope="module", autouse=True)
def place() -> Iterator[Path]:
    """One warm parent for this module, with the kernelspec in a prefix of its own, and everything of Jupyter's too."""
    with runtime() as folder, pytest.MonkeyPatch.context() as patch:
        kernels.install(str(folder / "prefix"))
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("JUPYTER_PATH", str(folder / "prefix/share/jupyter"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "jupyter"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        yield folder


def is_fork(pid: int) -> bool:
    """Whether a process was forked from a warm parent."""
    return "runner.warm.nursery" in Path(f"/proc/{pid}/cmdline").read_text()


def tool(name: str, *words: object, code: int = 0) -> str:
    """What a program of this environment prints; it must end with this exit code."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def stored(path: Path, *cells: str | tuple[str, str], kernel: str = "runner") -> Path:
    """A notebook of code cells in a file; for a pair, the second is the text that it is stored to have printed."""
    made = []
    for number, cell in enumerate(cells, start=1):
        source, text = cell if isinstance(cell, tuple) else (cell, None)
        code = notebooks.code(source)
        if text is not None:
            code.execution_count = number
            code.outputs = [notebooks.output("stream", name="stdout", text=text)]
        made.append(code)
    nb = notebooks.notebook(*made)
    nb.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    notebooks.write(nb, path)
    return path


def printed(nb: Any) -> str:
    """All text that a notebook printed."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.output_type == "stream")


# JupyterLab.


@dataclass
class Lab:
    """A running JupyterLab, spoken to as its pages do."""

    url: str
    token: str

    def rest(self, method: str, path: str, **body: object) -> Any:
        """One request to its REST interface."""
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.url}/api/{path}", data, method=method)
        request.add_header("Authorization", f"token {self.token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    @contextmanager
    def channels(self, kernel: str) -> Iterator[Shell]:
        """The websocket of a kernel."""
        address = f"{self.url}/api/kernels/{kernel}/channels?token={self.token}".replace("http", "ws", 1)
        connection = websocket.create_connection(address, timeout=60, http_no_proxy=["127.0.0.1"])
        with closing(connection):
            yield Shell(connection)


@dataclass
class Shell:
    """The channels of one kernel."""

    connection: Any

    def send(self, code: str) -> str:
        """Ask for a cell; the number of the request."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "test", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.connection.send(json.dumps(message))
        return number

    def outputs(self, number: str, *, until: str = "") -> list[dict[str, Any]]:
        """The contents of what comes of a request, until the kernel is idle again or prints a text."""
        found = []
        while True:
            message = json.loads(self.connection.recv())
            if message["parent_header"].get("msg_id") != number or message["channel"] != "iopub":
                continue
            found.append({"type": message["msg_type"], **message["content"]})
            if message["content"].get("execution_state") == "idle" or (until and until in str(message["content"])):
                return found

    def run(self, code: str) -> str:
        """What a cell prints."""
        return "".join(content.get("text", "") for content in self.outputs(self.send(code))).strip()


@pytest.fixture(scope="module")
def lab(place) -> Iterator[Lab]:
    """JupyterLab on a loopback port, ready when its log says so, ended as Ctrl-C would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, home = uuid.uuid4().hex, place / "home"
    home.mkdir()
    words = ["lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    words += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home}"]
    command = [sys.executable, "-m", "jupyter", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        log = []
        for line in process.stderr:
            log.append(line)
            if "is running at" in line:
                break
        else:
            pytest.fail("".join(log))
        reader = threading.Thread(target=process.stderr.read)  # so that it never waits for us
        reader.start()
        wait_for(port, process)
        yield Lab(f"http://127.0.0.1:{port}", token)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) is not None
        reader.join(30)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Return once the server can be reached: it says that it runs a moment before it listens."""
    for _ in range(600):
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"JupyterLab ended with code {process.wait(0.05)}.")
    pytest.fail("JupyterLab does not listen.")


def test_jupyterlab_offers_the_kernel(lab):
    """By its name, beside the ordinary one."""
    assert {"runner", "python3"} <= set(lab.rest("GET", "kernelspecs")["kernelspecs"])


def test_a_kernel_of_jupyterlab_is_warm_from_its_start_to_its_end(lab):
    """It runs cells, is interrupted in a long one, is another process after a restart, and is gone when shut down."""
    name = lab.rest("POST", "kernels", name="runner")["id"]
    with lab.channels(name) as shell:
        pid = int(shell.run("import os; print(os.getpid())"))
        assert is_fork(pid)
        shell.run("kept = 7")
        number = shell.send("import threading; print('begun', flush=True); threading.Event().wait()")
        shell.outputs(number, until="begun")
        lab.rest("POST", f"kernels/{name}/interrupt")
        errors = [content["ename"] for content in shell.outputs(number) if content["type"] == "error"]
        assert errors == ["KeyboardInterrupt"]
        assert shell.run("print(os.getpid(), kept)") == f"{pid} 7"
    lab.rest("POST", f"kernels/{name}/restart")
    assert has_ended(pid)
    with lab.channels(name) as shell:
        after = int(shell.run("import os; print(os.getpid())"))
        assert after != pid
        assert is_fork(after)
        assert shell.run("print('kept' in globals())") == "False"
    guard = parent_of(after)
    lab.rest("DELETE", f"kernels/{name}")
    assert has_ended(after)
    assert has_ended(guard)


def test_a_kernel_of_jupyterlab_that_dies_is_started_anew(lab):
    """As an ordinary one is: the server notices, and the next process is warm as well."""
    name = lab.rest("POST", "kernels", name="runner")["id"]
    with lab.channels(name) as shell:
        pid = int(shell.run("import os; print(os.getpid())"))
        shell.send("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        while json.loads(shell.connection.recv())["content"].get("execution_state") not in {"restarting", "starting"}:
            pass
    with lab.channels(name) as shell:
        after = int(shell.run("import os; print(os.getpid())"))
    assert after != pid
    assert is_fork(after)
    lab.rest("DELETE", f"kernels/{name}")
    assert has_ended(after)


# nbval, papermill, nbconvert, nbclient: as commands and as libraries.


def test_nbval_compares_in_a_warm_kernel(tmp_path):
    """It passes what is right, and fails what is wrong."""
    stored(tmp_path / "right.ipynb", (IS_FORK, "True\n"), ("print(1 + 1)", "2\n"))
    stored(tmp_path / "wrong.ipynb", (IS_FORK, "True\n"), ("print(1 + 1)", "3\n"))
    words = ("--nbval", "--nbval-kernel-name", "runner", "-c", os.devnull, "--rootdir", tmp_path, "-q")
    words = (*words, "-p", "no:cacheprovider")
    said = tool("pytest", *words, tmp_path / "right.ipynb", tmp_path / "wrong.ipynb", code=1)
    assert "1 failed, 3 passed" in said
    (failed,) = (line for line in said.splitlines() if line.startswith("FAILED"))
    assert "/wrong.ipynb::Cell 1" in failed


@pytest.mark.parametrize("words", [("-k", "runner"), ("--engine", "runner"), ("-k", "runner", "--engine", "runner")])
def test_papermill_executes_in_a_warm_kernel(tmp_path, words):
    """By the kernel's name in its own engine, and by the engine's name for the ordinary kernel."""
    kernel = "runner" if "-k" in words else "python3"
    source = stored(tmp_path / "in.ipynb", "shop = 1", IS_FORK + "; print(shop)", kernel=kernel)
    said = tool("papermill", *words, "--no-progress-bar", "-p", "shop", "8", source, tmp_path / "out.ipynb")
    assert "--existing" not in said  # how to connect to it is told to people at a terminal alone
    assert printed(notebooks.read(tmp_path / "out.ipynb")) == "True\n1\n"  # no cell is tagged, so 8 comes first


def test_papermill_tells_of_a_cell_that_fails_in_a_warm_kernel(tmp_path):
    """Its exit code and its notebook say so."""
    source = stored(tmp_path / "in.ipynb", IS_FORK, "1 / 0", "print('never')")
    said = tool("papermill", "-k", "runner", "--no-progress-bar", source, tmp_path / "out.ipynb", code=1)
    assert "ZeroDivisionError" in said
    assert printed(notebooks.read(tmp_path / "out.ipynb")) == "True\n"


def test_nbconvert_executes_in_a_warm_kernel(tmp_path):
    """By the kernel's name, given or stored in the notebook."""
    source = stored(tmp_path / "in.ipynb", IS_FORK)
    words = ("nbconvert", "--to", "notebook", "--execute", "--ExecutePreprocessor.kernel_name=runner")
    tool("jupyter", *words, source, "--output", tmp_path / "out.ipynb")
    assert printed(notebooks.read(tmp_path / "out.ipynb")) == "True\n"


@pytest.mark.parametrize(
    "code",
    [
        "!{__import__('sys').executable} -m papermill -k runner in.ipynb out.ipynb",
        "from papermill import execute_notebook as run; _ = run('in.ipynb', 'out.ipynb', kernel_name='runner')",
    ],
    ids=["as a program", "in the kernel itself"],
)
def test_a_warm_kernel_can_execute_a_notebook_in_another_one(tmp_path, code):
    """A cell may run papermill; that kernel is warm too, and gone with the first at the latest."""
    stored(tmp_path / "in.ipynb", IS_FORK, "import os; print(os.getpid())")
    nb = notebooks.read(stored(tmp_path / "outer.ipynb", code))
    NotebookClient(nb, resources={"metadata": {"path": tmp_path}}).execute()
    said = printed(notebooks.read(tmp_path / "out.ipynb")).split()
    assert said[0] == "True"
    assert has_ended(int(said[1]))


def test_nbclient_executes_in_a_warm_kernel_and_leaves_nothing(place, tmp_path):
    """The notebook's own kernel name is enough; process, guard, files and descriptors are gone afterwards."""
    nb = notebooks.read(stored(tmp_path / "in.ipynb", IS_FORK, "import os; print(os.getpid(), os.getppid())"))
    NotebookClient(notebooks.read(tmp_path / "in.ipynb")).execute()  # what is opened once and kept
    before = descriptors(os.getpid())
    NotebookClient(nb).execute()
    said = printed(nb).split()
    assert said[0] == "True"
    assert all(has_ended(int(pid)) for pid in said[1:])
    assert descriptors(os.getpid()) == before
    assert list((place / "jupyter").glob("kernel-*")) == []


# Like an ordinary kernel.

CELLS = {
    "streams": "import sys; print('out'); print('bad', file=sys.stderr); print('more')",
    "programs": "import os; print('first', flush=True); _ = os.system('echo from below; echo wrong >&2')",
    "shell": "!echo $((6 * 7))\nfound = !echo a; echo b\nfound",
    "result": "x = 6\nx * 7",
    "history": "%history",
    "profile": """
ip = get_ipython()
print(ip.profile, ip.history_manager.enabled, ip.config.get('IPKernelApp', {}).keys())""",
    "who": "%who",
    "place": """
import os, sys
print(os.getcwd(), sys.path[:2], __name__, sys.modules['__main__'].__dict__ is globals())""",
    "environment": """
print({name: os.environ.get(name) for name in ('HOME', 'MPLBACKEND', 'TERM', 'PAGER', 'JPY_SESSION_NAME')})
print(sorted(name for name in os.environ if name.startswith(('RUNNER', 'WARM'))))""",
    "signals": """
import signal
print([line for line in open('/proc/self/status').read().splitlines() if line.startswith('Sig')][1:])
print({number.name: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)})""",
    "a broken pipe": """
r, w = os.pipe(); os.close(r)
try:
    os.write(w, b'x')
except BrokenPipeError as e:
    print(e)""",
    "an error": "def sell(amount):\n    return amount / 0\nsell(3)",
    "a syntax error": "sell(",
    "input": "input('how many? ')",
    "interrupted": "import signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(0); threading = 1",
    "exit": "try:\n    sys.exit(3)\nexcept SystemExit as e:\n    print(e.code)",
    "top-level await": "import asyncio\nawait asyncio.sleep(0)\nprint(asyncio.get_running_loop().is_running())",
    "threads": """
import threading
def work(number):
    print(f"thread {number}")
for number in range(3):
    one = threading.Thread(target=work, args=(number,))
    one.start(); one.join()
print(threading.current_thread() is threading.main_thread())
print(sorted(thread.name for thread in threading.enumerate() if not thread.daemon))""",
    "pool": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(len, ['a'] * 100)))""",
    "forked": """
import multiprocessing
def double(number):
    return number * 2
with multiprocessing.get_context('fork').Pool(2) as pool:
    print(pool.map(double, range(5)))""",
    "spawned": """
import math
with multiprocessing.get_context('spawn').Pool(2) as pool:
    print(pool.map(math.sqrt, [1, 4, 9]))""",
    "a forked child prints": """
def say():
    print('from a child', flush=True)
one = multiprocessing.get_context('fork').Process(target=say); one.start(); one.join(); print(one.exitcode)""",
    "warnings": "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('odd')",
    "logging": """
import logging
print(logging.getLogger().handlers, logging.getLogger().level)
logging.warning('careful')""",
    "display": """
from IPython.display import HTML, Markdown, display
h = display(HTML('<b>1</b>'), display_id='d')
h.update(Markdown('*2*'))""",
    "clear": "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "a plot": "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])",
    "matplotlib": "import matplotlib\nprint(matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams))",
    "a figure on purpose": "fig, ax = plt.subplots(); ax.bar([1, 2], [3, 4]); ax.set_title('Größe'); fig",
    "frames": "import pandas as pd\npd.DataFrame({'a': [1.5, 2], 'b': ['x', None]})",
    "options": """
import numpy as np
print(pd.get_option('display.max_rows'), pd.get_option('display.float_format'))
print(np.get_printoptions(), np.geterr())""",
    "time zones": """
import time, locale
print(time.tzname, locale.getlocale(), sys.getdefaultencoding(), sys.stdout.encoding, sys.getrecursionlimit())""",
    "duckdb": "import duckdb\nprint(duckdb.sql('select sum(range) s from range(1000000)').fetchall())",
    "magic": "%%capture kept\nprint('hidden')",
    "magics": "%env SHOP=corner\nprint(os.environ['SHOP'], kept.stdout)",
    "bash": "%%bash\necho from bash; exit 3",
    "collection": "import gc\nprint(gc.isenabled(), gc.get_threshold())",
    "late": """
import atexit
atexit.register(open('late.txt', 'w').write, 'said at the end')
kept_open = open('open.txt', 'w')
kept_open.write('never closed')""",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> dict[str, tuple[list[Any], list[Any]]]:
    """The outputs of each cell in a warm and in an ordinary kernel, and what lay in its folder at the end."""
    found = []
    for kernel in ("runner", "python3"):
        folder = tmp_path_factory.mktemp(kernel)
        nb = notebooks.notebook(*map(notebooks.code, CELLS.values()))
        client = NotebookClient(nb, kernel_name=kernel, allow_errors=True, resources={"metadata": {"path": folder}})
        client.execute()
        outputs = [plain(cell.outputs, folder) for cell in nb.cells]
        found.append([*outputs, sorted((path.name, path.read_text()) for path in folder.glob("*.txt"))])
    return dict(zip([*CELLS, "files"], zip(*found, strict=True), strict=True))


def plain(outputs: Any, folder: Path) -> list[Any]:
    """Outputs without what differs between any two kernels: numbers of processes, addresses, the folder."""
    text = json.dumps(merged(outputs)).replace(str(folder), "HERE")
    for pattern, name in ((r"ipykernel_\d+[/\\]+\d+", "CELL"), (r"0x[0-9a-f]{6,}", "ADDRESS"), (r"\[\d+;\d+m", "")):
        text = re.sub(pattern, name, text)
    return json.loads(text)


def merged(outputs: Any) -> list[Any]:
    """Outputs as nbval sees them: the pieces of one stream are one."""
    streams = {}
    others = [dict(output) for output in outputs if output.output_type != "stream"]
    for output in outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
    return [streams, *others]


@pytest.mark.parametrize("name", [*CELLS, "files"])
def test_a_cell_does_in_a_warm_kernel_what_it_does_in_an_ordinary_one(both, name):
    """Outputs, pictures and errors, and what is done at the end: cell by cell the same."""
    warm, ordinary = both[name]
    assert warm == ordinary


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import os; os._exit(0)",
        "import ctypes; ctypes.string_at(0)",
        "import os; os.abort()",
    ],
)
@pytest.mark.parametrize("kernel", ["runner", "python3"])
def test_a_cell_that_kills_its_kernel_is_told_at_once(code, kernel):
    """Whatever the way, and in both kinds of kernels."""
    with pytest.raises(DeadKernelError):
        NotebookClient(notebooks.notebook(notebooks.code(code)), kernel_name=kernel).execute()


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "exit()", "raise SystemExit", "quit"])
def test_a_cell_that_exits_is_told_alike(code):
    """By an error in the cell, or by none at all: the same in both kinds of kernels."""
    found = []
    for kernel in ("runner", "python3"):
        nb = notebooks.notebook(notebooks.code(code))
        NotebookClient(nb, kernel_name=kernel, allow_errors=True).execute()
        found.append(plain(nb.cells[0].outputs, Path.cwd()))
    assert found[0] == found[1]


# Where no warm kernel is to be had.


def began(**more) -> str:
    """How a kernel of our spec begins; it runs and ends."""

    async def run() -> str:
        manager = AsyncKernelManager(kernel_name="runner", **more.pop("manager", {}))
        await manager.start_kernel(**more)
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            return manager.provisioner.how
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    return asyncio.run(run())


def test_a_kernel_begins_warm():
    """Where nothing speaks against it."""
    assert began() == "warm"


def test_a_kernel_begins_cold_where_that_is_wanted():
    """The provisioner is told why, and tells it."""
    assert began(manager={"kernel_spec_manager": kernels.Specs(cold=COLD)}) == f"cold: {COLD}"


def test_a_kernel_begins_cold_where_there_can_be_no_parent(monkeypatch, place):
    """The folder is missing: an ordinary kernel serves, and says why."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "missing"))
    assert began().startswith("cold: its folder cannot be used: [Errno 2] No such file")


def test_a_kernel_whose_output_is_wanted_by_a_pipe_begins_cold():
    """Only a child process can have that."""
    assert began(stdout=subprocess.PIPE) == "cold: its output goes where a warm process cannot reach"


def test_a_kernel_of_another_language_is_not_ours():
    """A command line that is not IPython's is left to the ordinary way."""
    spec = kernels.Specs().get_kernel_spec("runner")
    assert spec.argv[1:3] == ["-m", "ipykernel_launcher"]
    with pytest.raises(kernels.Unavailable, match="not that of an IPython kernel"):
        kernels._ask(["python", "-m", "another_kernel", "-f", "x"], {}, 0)


def test_the_kernelspec_is_written_once(tmp_path):
    """The same text is left alone, another one is replaced whole."""
    file = kernels.install(str(tmp_path))
    before = file.stat()
    kernels.install(str(tmp_path))
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    file.write_text("{}")
    assert json.loads(kernels.install(str(tmp_path)).read_text()) == kernels.spec()
    assert [path.name for path in file.parent.iterdir()] == ["kernel.json"]


# Whole runs, both ways.


def run(tmp_path: Path, name: str, cold: str, **more: Any) -> Any:
    """Execute a notebook of tests/notebooks warm or cold; nothing of the run is left."""
    stop, told = more.pop("stop", Stop()), more.pop("told", lambda _: None)
    parameters = {"as_of": "2017-11-16", **more.pop("parameters", {})}
    request = Request(
        f"test-{name}-{tmp_path.name}",
        NOTEBOOKS / f"{name}.ipynb",
        tmp_path / "out.ipynb",
        parameters,
        **{"limit": 60.0, "cold": cold, **more},
    )
    outcome = execute(request, told, stop)
    assert marked(request.run) == []
    assert outcome.kernel == (f"cold: {cold}" if cold else "warm")
    return outcome


both_ways = pytest.mark.parametrize("cold", ["", COLD], ids=["warm", "cold"])


@both_ways
@pytest.mark.parametrize(
    ("name", "error", "said", "more"),
    [
        ("good", None, "", {}),
        ("raises", CellFailed, "failed: ZeroDivisionError: division by zero.", {}),
        ("kernel_dies", KernelDied, "The kernel's process ended at Cell 4 of 5", {}),
        ("kernel_killed", KernelDied, "The kernel's process ended at Cell 4 of 5", {}),
        ("hangs", DeadlinePassed, "limit of 6 s; it was at Cell 5 of 6 (section 'Waiting')", {"limit": 6.0}),
        ("hangs", DeadlinePassed, "was ended after its limit of 2 s", {"cell_limit": 2.0}),
    ],
)
def test_a_run_ends_alike_warm_and_cold(tmp_path, cold, name, error, said, more):  # noqa: PLR0917 - a table
    """Success, failure, the death of a kernel and both limits are told alike."""
    outcome = run(tmp_path, name, cold, **more)
    assert type(outcome.error) is (error or type(None))
    assert said in str(outcome.error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernel.log", "out.ipynb"]


@both_ways
def test_a_stop_ends_a_cell_warm_and_cold(tmp_path, cold):
    """Once the long cell has begun; what was printed until then is kept."""
    stop = Stop()

    def told(step) -> None:
        if step.heading == "Long work" and step.cell == step.cells - 1:
            threading.Timer(0.3, stop.ask).start()

    outcome = run(tmp_path, "slow_then_interrupted", cold, stop=stop, told=told)
    assert isinstance(outcome.error, Interrupted)
    assert "begun" in printed(outcome.notebook)


@both_ways
@pytest.mark.parametrize(("name", "limit"), [("forks_and_hangs", 6.0), ("leaves_a_process", 60.0)])
def test_hidden_grandchildren_are_ended_warm_and_cold(tmp_path, cold, name, limit):
    """After a deadline as after success."""
    day = "2017-02-07" if cold else "2017-02-08"
    run(tmp_path, name, cold, limit=limit, parameters={"as_of": day})
    assert [process for process in living("os.setsid()") if day in process.cmdline()] == []


def test_a_run_of_an_ill_parent_is_cold_and_says_why(tmp_path, place):
    """A module that cannot be imported, or no folder for the socket: the run is whole all the same."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "typst.py").write_text("raise ImportError('no such library')")
    path = os.pathsep.join((str(broken), str(ROOT)))
    for env, said in (
        ({"PYTHONPATH": path}, "cold: it cannot import what it should: ImportError: no such library"),
        ({"XDG_RUNTIME_DIR": str(place / "missing")}, "cold: its folder cannot be used: "),
    ):
        request = Request("test-ill", NOTEBOOKS / "good.ipynb", tmp_path / "out.ipynb", {}, 60.0, env=env)
        outcome = execute(request, lambda _: None, Stop())
        assert outcome.error is None
        assert outcome.kernel.startswith(said)


@pytest.mark.parametrize(
    ("settings", "kernel"),
    [("", "warm"), ("warm_kernels: false\n", "cold: settings.yml says `warm_kernels: false`")],
)
def test_the_ledger_and_the_manifest_say_how_the_kernel_began(tmp_path, settings, kernel):
    """As a person reads it a year later."""
    folder = project(tmp_path, "good", settings=SETTINGS + settings)
    found = config.load(folder)
    with closing(Ledger.open(found.ledger)) as book:
        ctx = draft.Ctx(found, book, draft.Clock(datetime.now(UTC)), Stop(), lambda _: None)
        made = produce.produce(jobs.Job(found.pipelines["good"], "2017-11-15"), ctx)
        ctx.presses.close()
        assert (made.exit_code, book.runs("good")[0].kernel) == (0, kernel)
    (place,) = finished(folder)
    assert json.loads((place / "manifest.json").read_text())["kernel"] == kernel


def test_the_guard_of_a_run_that_is_killed_takes_the_run_along(tmp_path):
    """The run ends as one whose kernel died, and nothing of it is left."""
    request = Request("test-guard", NOTEBOOKS / "hangs.ipynb", tmp_path / "out.ipynb", {}, 60.0)
    killed = []

    def told(step) -> None:
        if step.heading == "Waiting" and not killed:
            child = next(process for process in marked(request.run) if is_fork(process.pid))
            killed.append(parent_of(child.pid))
            os.kill(killed[0], signal.SIGKILL)

    outcome = execute(request, told, Stop())
    assert isinstance(outcome.error, KernelDied)
    assert not is_up(killed[0])
    assert marked(request.run) == []
