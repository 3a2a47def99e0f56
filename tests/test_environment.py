"""The set-up files say one and the same thing."""

from __future__ import annotations

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
