"""The files of config/ that notebooks alone read: a mistake in them is told before a kernel starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from runner import config
from runner.config import files
from runner.errors import ConfigError
from runner.notebook import contracts, experiments
from tests.small_projects import change, finished, project, runner, write

SHIPPED = Path(__file__).parents[1] / "config"
NAMES = ("costs.yml", "holidays.yml", "experiments.yml")


@pytest.fixture
def folder(tmp_path):
    """A small project with the shipped assumptions and contracts."""
    project(tmp_path, "good")
    for name in NAMES:
        shutil.copy(SHIPPED / name, tmp_path / "config")
    shutil.copytree(SHIPPED / "contracts", tmp_path / "config/contracts")
    return tmp_path


def told(folder):
    """What `load` says of a project that is off."""
    with pytest.raises(ConfigError) as caught:
        config.load(folder)
    return str(caught.value)


def test_the_shipped_files_are_in_order_and_all_are_optional(folder):
    """With them and without them a project loads."""
    config.load(folder)
    for name in NAMES:
        (folder / "config" / name).unlink()
    shutil.rmtree(folder / "config/contracts")
    config.load(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("costs.yml", "GROCERY: 0.66", "GROCERY: 66%", "costs.yml:8: goods.GROCERY: should be a number"),
        ("costs.yml", "GROCERY: 0.66", "GROCERY: 66", "goods.GROCERY: is 66; write 2 or less."),
        ("costs.yml", "GROCERY: 0.66", "GROCERY: -0.1", "goods.GROCERY: is -0.1; write 0 or more."),
        ("costs.yml", '"*": 0.65', "REST: 0.65", 'goods: has no key "*"'),
        ("costs.yml", "handling_per_basket", "handling_per_baskt", "unknown key. Did you mean 'handling_per_basket'?"),
        ("costs.yml", "handling_per_basket", "handling_per_baskt", "handling_per_basket: is missing. Add it."),
        ("costs.yml", "contact_per_household: 0.75", "contact_per_household: -1", "is -1; write 0 or more."),
        ("costs.yml", "goods:", "goods: {", "config/costs.yml:"),
        ("holidays.yml", "closed_on", "closd_on", "closd_on: unknown key. Did you mean 'closed_on'?"),
        ("holidays.yml", '"12-25"', '"25.12."', 'closed_on.0: write "MM-DD" for every year'),
        ("holidays.yml", '"12-25"', '"13-25"', 'closed_on.0: write "MM-DD"'),
        ("holidays.yml", '["12-25"]', '"12-25"', "closed_on: should be a list"),
        ("holidays.yml", "Thanksgiving Day: 17", "Thanksgiving Day: 25", "Thanksgiving Day: is 25; write 24 or less."),
        ("holidays.yml", "Thanksgiving Day: 17", "Thanksgiving Day: 17:00", "should be a whole number"),
        ("holidays.yml", "named: {}", "named: {10 June: x}", "named.10 June: write a day as YYYY-MM-DD"),
        ("holidays.yml", "named: {}", "named: {2017-06-10: 5}", "named.2017-06-10: should be text."),
        (
            "experiments.yml",
            "experiments: {}",
            "experiments: {30: {assignment: randomized, planned_share: 0.5}}",
            (
                "experiments.30.assignment: is 'randomized'; write 'observational' or 'randomised'. "
                "Did you mean 'randomised'?"
            ),
        ),
        ("experiments.yml", "experiments: {}", "experiments: {30: {assignment: randomised}}", "needs the share"),
        ("experiments.yml", "experiments: {}", "experiments: {30: {planned_share: 0.5}}", "experiments.30: is observ"),
        ("experiments.yml", "experiments: {}", "experiments: {30: {planned_share: 50}}", "is 50; write less than 1."),
        ("experiments.yml", "experiments: {}", "experiments: {first: {}}", "write the experiment's number"),
        ("experiments.yml", "experiments: {}", "experiment: {}", "unknown key. Did you mean 'experiments'?"),
        (
            "contracts/products.yml",
            "category: {type: str, nullable",
            "category: {type: str, nulable",
            "config/contracts/products.yml:9: columns.category.nulable: unknown key. Did you mean 'nullable'?",
        ),
        ("contracts/products.yml", "key: [product_id]", "key: [produkt_id]", "key: 'produkt_id' is no column. Did you"),
        ("contracts/products.yml", "key: [product_id]", "keys: [product_id]", "keys: unknown key. Did you mean 'key'?"),
        ("contracts/products.yml", "{type: int64, min: 1}", "{type: int, min: 1}", "is 'int'; write 'int64'"),
        ("contracts/products.yml", "{type: int64, min: 1}", "{type: int64, min: one}", "do not fit the type int64"),
        ("contracts/products.yml", "{type: int64, min: 1}", "{type: int64, min: 2, max: 1}", "min 2 lies above max 1"),
        ("contracts/products.yml", "[National, Private]", "National", "values: should be a list"),
        ("contracts/products.yml", "{type: int64, min: 1}", "integer", "product_id.type: is 'integer'"),
        ("contracts/products.yml", "columns:", "colums:", "columns: is missing. Add it."),
    ],
)
def test_each_mistake_names_file_key_and_remedy(folder, file, old, new, said):
    """One mistake makes one error that says where it is, what is wrong and what to do."""
    change(folder / "config" / file, old, new)
    text = told(folder)
    assert said in text
    assert f"config/{file}" in text


def test_check_and_run_tell_all_mistakes_and_start_nothing(folder):
    """Exit code 2, no traceback, nothing run."""
    change(folder / "config/costs.yml", "GROCERY: 0.66", "GROCERY: 66%")
    change(folder / "config/holidays.yml", "closed_on", "closd_on")
    change(folder / "config/contracts/products.yml", "nullable", "nulable")
    for words in (["check"], ["run", "good", "--as-of", "2017-11-15"]):
        code, out, err = runner(folder, *words)
        assert (code, out) == (2, "")
        assert "has 4 problems" in err
        assert all(part in err for part in ("goods.GROCERY", "closd_on", "columns.category.nulable", "kind.nulable"))
        assert "Traceback" not in err
    assert finished(folder) == []


@pytest.mark.parametrize("text", ["", "[]", "words", "\0", "goods: [", "columns: []"])
def test_a_file_of_another_shape_is_an_error_and_never_a_crash(folder, text):
    """Whatever stands in the file, the answer names it."""
    for name in (*NAMES, "contracts/products.yml"):
        write(folder / "config" / name, text)
    said = told(folder)
    assert all(f"config/{name}" in said for name in (*NAMES, "contracts/products.yml"))


def test_the_models_know_what_the_notebooks_know():
    """The same keys, types and assignments on both sides."""
    assert set(files.ColumnRules.model_fields) == contracts.KEYS
    assert set(files.Contract.model_fields) == contracts.TOP_KEYS
    assert set(get_args(files.ColumnRules.model_fields["type"].annotation)) == set(contracts.TYPES)
    assert get_args(files.Design.model_fields["assignment"].annotation) == experiments.ASSIGNMENTS


def test_an_experiment_may_be_quoted(folder):
    """30 and "30" name the same experiment, for the check and for the notebook."""
    entry = 'experiments: {"30": {assignment: randomised, planned_share: 0.5}}'
    change(folder / "config/experiments.yml", "experiments: {}", entry)
    config.load(folder)
    assert experiments.design_of(folder, 30) == experiments.Design("randomised", 0.5)
