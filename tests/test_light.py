"""Packages that are there in a fraction of the time, and whole for whoever asks for more."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said(code):
    """What a fresh interpreter says that has imported `runner.light`."""
    whole = f"import sys\nimport runner.light\nimport holidays\n{code}"
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True).stdout.strip()


def test_a_market_is_known_without_all_the_countries_of_the_world():
    """Its days are right, and some two dozen modules are enough."""
    code = """
days = holidays.financial_holidays("NYSE", years=2017)
print(days["2017-11-23"], len([name for name in sys.modules if name.startswith("holidays.")]) < 60)"""
    assert said(code) == "Thanksgiving Day True"


@pytest.mark.parametrize(
    "code",
    [
        "from holidays.countries import France, UnitedStates",
        "from holidays.countries import *",
        "import holidays.countries\nFrance, UnitedStates = holidays.countries.France, holidays.countries.UnitedStates",
        "from holidays import France, UnitedStates",
        "holidays.country_holidays('US')\nfrom holidays.countries import France, UnitedStates",
    ],
)
def test_every_country_is_there_for_whoever_asks(code):
    """In whichever way Python lets one ask."""
    asked = f"{code}\nprint(France(years=2017)['2017-07-14'], UnitedStates.__name__)"
    assert said(asked) == "National Day UnitedStates"


def test_a_country_that_there_is_not_is_missed_as_ever():
    """With Python's own error."""
    code = "try:\n    from holidays.countries import Atlantis\nexcept ImportError as error:\n    print(error)"
    assert said(code).startswith("cannot import name 'Atlantis' from 'holidays.countries'")
