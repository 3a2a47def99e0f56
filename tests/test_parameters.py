"""The parameters cell: read without running, and what is given held against it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import ConfigError, UsageError
from runner.report import notebooks, parameters
from runner.report.parameters import Parameter
from tests.small_projects import NOTEBOOKS

GOOD = NOTEBOOKS / "good.ipynb"


def cell(tmp_path: Path, source: str) -> Path:
    """A notebook whose parameters cell holds this source."""
    path = tmp_path / "book.ipynb"
    notebooks.write(notebooks.notebook(notebooks.code(source, "parameters")), path)
    return path


def test_every_line_becomes_a_parameter_with_type_default_and_help():
    """Nothing is run: the cell is read as text."""
    found = parameters.read(GOOD)
    assert found["as_of"] == Parameter("as_of", "date", "2017-11-15", "the day reported")
    assert found["shop"] == Parameter("shop", "str", "00123")
    assert {name: one.kind for name, one in found.items()} == {
        "as_of": "date",
        "amount": "float",
        "recorded": "int",
        "shop": "str",
        "flags": "list",
        "options": "dict",
        "loud": "bool",
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_parameters", "no_parameters.ipynb has no cell tagged `parameters`; it needs exactly one."),
        ("two_parameters", "two_parameters.ipynb has 2 cells tagged `parameters`"),
        ("computed_default", "computed_default.ipynb: the parameters cell holds `import datetime` (line 1)."),
    ],
)
def test_a_cell_that_is_off_is_named_with_its_notebook(name, said):
    """The error says which notebook, what is wrong, and how to mend it."""
    with pytest.raises(ConfigError) as caught:
        parameters.read(NOTEBOOKS / f"{name}.ipynb")
    assert said in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "source",
    [
        "a = 1",
        "a: int",
        "a: int = 1 + 1",
        "a: int = f()",
        "a: date = '2017-13-01'",
        "a: 'date' = '20171115'",
        "a: int = True",
        "a: int = 1.5",
        "a: str = 1",
        "a: list = (1, 2)",
        "a: set = {1}",
        "a: float = 1e999",
        "a: list = [1e999]",
        "a: int = None",
        "a: dict = {1: 2}",
        "a: list[str] = []",
        "a: int = 1\na: int = 2",
        "a.b: int = 1",
        "for x in y: pass",
        "a: int = ",
        "%time 1",
        "print('x')",
        "a, b = 1, 2",
        "a: bytes = b'x'",
        "a: list = [{1, 2}]",
        "a: str = f'{1}'",
    ],
)
def test_anything_but_plain_typed_literals_is_refused(tmp_path, source):
    """What cannot be read without running is not guessed."""
    with pytest.raises(ConfigError, match=r"book\.ipynb"):
        parameters.read(cell(tmp_path, source))


def test_a_literal_may_be_negative_nested_and_spread_over_lines(tmp_path):
    """Comments and blank lines do no harm; the help is the comment after the value."""
    found = parameters.read(
        cell(tmp_path, "# first\n\na: float = -1.5\nb: list = [\n    1,  # one\n    {'x': None},\n]  # the end\n")
    )
    assert found["a"].default == -1.5
    assert (found["b"].default, found["b"].help) == ([1, {"x": None}], "the end")


def test_a_file_that_is_no_notebook_is_told(tmp_path):
    """Half a file, or another kind of JSON, is an error that names it."""
    for text in ("{", "[]", '{"a": 1}', ""):
        (tmp_path / "half.ipynb").write_text(text)
        with pytest.raises(ConfigError, match=r"half\.ipynb is not a notebook that can be read"):
            parameters.read(tmp_path / "half.ipynb")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("shop", "00123", "00123"),
        ("shop", "1e3", "1e3"),
        ("shop", "nan", "nan"),
        ("shop", "true", "true"),
        ("shop", "", ""),
        ("recorded", "-7", -7),
        ("recorded", "007", 7),
        ("amount", "1e3", 1000.0),
        ("amount", "3", 3.0),
        ("amount", ".5", 0.5),
        ("loud", "true", True),
        ("loud", "false", False),
        ("flags", '["a", 1]', ["a", 1]),
        ("options", '{"a": {"b": null}}', {"a": {"b": None}}),
        ("as_of", "2017-02-28", "2017-02-28"),
    ],
)
def test_a_text_is_turned_into_the_declared_type_and_nothing_else(name, text, value):
    """The declared type decides; nothing is guessed from the look of a text."""
    found = parameters.convert(GOOD, parameters.read(GOOD), {name: text})[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recorded", "1.0"),
        ("recorded", "1_000"),
        ("recorded", "٣"),
        ("recorded", " 7"),
        ("recorded", ""),
        ("amount", "nan"),
        ("amount", "inf"),
        ("amount", "1e999"),
        ("amount", "1_0.5"),
        ("amount", "1,5"),
        ("loud", "yes"),
        ("loud", "True"),
        ("loud", "1"),
        ("flags", "a"),
        ("flags", "{}"),
        ("flags", "[NaN]"),
        ("flags", "[1e999]"),
        ("options", "[]"),
        ("options", '{"a": Infinity}'),
        ("as_of", "2017-02-30"),
        ("as_of", "20170228"),
        ("as_of", "2017-2-3"),
        ("as_of", "2017-W07-1"),
        ("as_of", "today"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_an_example(name, text):
    """The error names the parameter, the text and what to write instead."""
    with pytest.raises(UsageError) as caught:
        parameters.convert(GOOD, parameters.read(GOOD), {name: text})
    assert repr(name) in caught.value.what
    assert caught.value.remedy.startswith("Write ")


def test_an_unknown_name_is_met_with_the_nearest():
    """Papermill would only log it and run on the default."""
    declared = parameters.read(GOOD)
    with pytest.raises(UsageError, match=r"good.ipynb: there is no parameter 'amuont'. Did you mean 'amount'\?"):
        parameters.convert(GOOD, declared, {"amuont": "1"})
    with pytest.raises(UsageError, match=r"no parameter 'x'. It has: as_of, amount"):
        parameters.check(GOOD, declared, {"x": 1})


@pytest.mark.parametrize("value", [1.5, "1", True, None, math.nan])
def test_a_value_of_another_type_is_refused(value):
    """Values from pipelines.yml are held against the declared types too."""
    with pytest.raises(UsageError, match="parameter 'recorded' cannot be"):
        parameters.check(GOOD, parameters.read(GOOD), {"recorded": value})


def test_everything_that_is_off_is_told_at_once():
    """Two mistakes, one error."""
    with pytest.raises(UsageError, match=r"'x'.*'loud' cannot be 1"):
        parameters.check(GOOD, parameters.read(GOOD), {"x": 1, "loud": 1})


@given(st.text())
def test_text_stays_the_very_same_text(text):
    """No text given for a str parameter is ever changed."""
    assert Parameter("a", "str", "").read(text) == text


@given(st.integers() | st.booleans())
def test_an_integer_comes_back_as_itself_and_a_bool_is_no_integer(value):
    """What int prints, int reads; True is not 1."""
    one = Parameter("a", "int", 0)
    if isinstance(value, bool):
        assert not one.accepts(value)
    else:
        assert one.read(str(value)) == value


@given(st.floats())
def test_a_float_comes_back_as_itself_or_is_refused_when_not_finite(value):
    """Every finite float survives; NaN and infinity never pass."""
    one = Parameter("a", "float", 0.0)
    if math.isfinite(value):
        assert one.read(repr(value)) == value
    else:
        assert not one.accepts(value)


@given(st.dates())
def test_every_day_passes_as_its_iso_text(day):
    """A date stays text, so that papermill can carry it."""
    assert Parameter("a", "date", "2017-01-01").read(day.isoformat()) == day.isoformat()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=4))
def test_a_list_of_json_comes_back_as_itself(value):
    """Lists and objects are JSON, whatever is nested in them."""
    assert Parameter("a", "list", []).read(json.dumps(value)) == value


@given(st.sampled_from(["int", "float", "bool", "list", "dict", "date"]), st.text(max_size=12))
def test_no_text_ever_makes_a_value_of_another_type(kind, text):
    """Whatever is typed, the outcome is a value of the declared type or a UsageError."""
    one = Parameter("a", kind, "")
    try:
        value = one.read(text)
    except UsageError:
        return
    assert one.accepts(value)
