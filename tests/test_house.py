"""The house stands as drawn: imports run down only, and names and rooms are where the maps say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "runner").rglob("*.py"))
#: From the bottom up: what stands on a floor may import from the floors before it (and from its own room).
FLOORS = (
    ("light", "errors", "warm"),
    ("model", "secrets"),
    ("leaks",),
    ("log",),
    ("config",),
    ("metrics",),
    ("plan",),
    ("ledger",),
    ("notebook", "document"),
    ("sources", "delivery"),
    ("report",),
    ("screen", "starter", "scheduler"),
    ("acts",),
    ("commands", "web"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
PURE = {"metrics", "plan"}
#: What pure rooms may not touch: files, clock, network, environment.
EFFECTS = {"os", "sys", "time", "socket", "subprocess", "pathlib", "shutil", "tempfile", "random", "secrets", "logging"}


def room_of(path: Path) -> str:
    """The module or package of runner/ that a file belongs to."""
    return path.relative_to(ROOT / "runner").parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" if node.module == "runner" else node.module for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_down(path):
    """A module imports only from its own room and from the floors below."""
    room = room_of(path)
    if room == "__init__":
        return
    for name in imports(path):
        match = re.match(r"runner\.(\w+)", name)
        if match and match[1] != room and match[1] in LEVEL:
            assert LEVEL[match[1]] < LEVEL[room], f"{path.relative_to(ROOT)} imports {name}, which stands above it"


def test_every_room_has_a_floor():
    """Each module and package of runner/ has its floor here and its line in the map of runner/__init__.py."""
    rooms = {room_of(path) for path in SOURCES} - {"__init__"}
    assert rooms == set(LEVEL)
    drawn = (ROOT / "runner" / "__init__.py").read_text()
    assert [room for room in rooms if not re.search(rf"^    {room}(\.py|/) ", drawn, re.MULTILINE)] == []


@pytest.mark.parametrize(
    "package",
    [
        "cli",
        "commands",
        "config",
        "document",
        "ledger",
        "plan",
        "report",
        "scheduler",
        "sources",
        "warm",
        "web",
        "web/api",
        "web/pages",
        "acts",
    ],
)
def test_every_module_is_on_its_map(package):
    """The docstring of a package with many modules names each of them."""
    drawn = (ROOT / "runner" / package / "__init__.py").read_text()
    modules = {path.name for path in (ROOT / "runner" / package).glob("*.py")} - {"__init__.py"}
    assert {name for name in modules if name not in drawn} == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) in PURE], ids=lambda path: path.stem)
def test_arithmetic_touches_nothing(path):
    """The metrics import nothing that reaches a file, a clock, the network or the environment."""
    assert {name.split(".")[0] for name in imports(path)} & EFFECTS == set()


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_reach_two_packages_alone(path):
    """A notebook imports of runner only `runner.notebook` and `runner.metrics`."""
    code = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
    found = re.findall(r"(?:from|import)\s+(runner[\w.]*)", code)
    assert found
    assert [name for name in found if not re.match(r"runner\.(notebook|metrics)\b", name)] == []


def test_a_ledger_of_a_project_keeps_its_secrets_out():
    """Whoever writes into a project's ledger opens it by `Ledger.of`, which knows what must not stand in it."""
    opened = {path.relative_to(ROOT).as_posix() for path in SOURCES if "Ledger.open(" in path.read_text()}
    # One that lives in memory for a simulation, and one that a notebook reads from.
    assert opened == {"runner/scheduler/simulation.py", "runner/notebook/report.py"}


#: Refusals that reach somebody at a form as well as at a shell.
SHARED = [
    *sorted((ROOT / "runner" / "acts").glob("*.py")),
    *(ROOT / "runner" / name for name in ("plan/swaps.py", "report/approval.py", "report/byhand.py", "report/job.py")),
]


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_nobody_at_a_form_is_told_to_type_an_option(path):
    """What a command alone understands stands in `typed`; the remedy itself makes sense on a page, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UsageError":
            words = [one.value for said in node.args[1:] for one in ast.walk(said) if isinstance(one, ast.Constant)]
            told = [word for word in map(str, words) if re.search(r"(^|\s)--\w|\brunner \w", word)]
            assert not told, f"{path.relative_to(ROOT)}:{node.lineno}: {told}"


def test_no_path_of_a_machine():
    """No file of the project carries the path of the machine it was written on."""
    here = str(ROOT) + "/"
    texts = [
        *SOURCES,
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "config").rglob("*.yml"),
    ]
    assert [path.name for path in texts if here in path.read_text()] == []
