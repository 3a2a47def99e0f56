"""config/*.yml: what is read, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import config
from runner.config import yaml
from runner.errors import ConfigError, UsageError
from tests.small_projects import PIPELINE, change, project, write


def told(folder: Path) -> str:
    """What `load` says of a project that is off."""
    with pytest.raises(ConfigError) as caught:
        config.load(folder)
    return str(caught.value)


def test_a_project_in_order_is_read_into_objects_that_cannot_be_changed(tmp_path):
    """Settings have their defaults, lengths of time are seconds, and nothing can be assigned to."""
    found = config.load(project(tmp_path, "good", more="    limit: 1.5 min\n"))
    assert (found.settings.run_limit, found.settings.runs_at_once) == (600.0, "auto")
    assert (found.settings.warehouse_memory, found.settings.warehouse_threads) == ("4 GB", None)
    assert found.pipelines["good"].limit == 90.0
    assert found.ledger == f"sqlite:///{tmp_path}/reports/ledger.sqlite"
    with pytest.raises(ValueError, match="frozen"):
        found.settings.company = "Another"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "settings.yml",
            "company: Corner",
            "compny: Corner",
            "config/settings.yml:1: compny: unknown key. Did you mean 'company'?",
        ),
        (
            "settings.yml",
            "company: Corner Shop",
            "ledger: a.sqlite",
            "config/settings.yml: company: is missing. Add it.",
        ),
        ("settings.yml", "company: Corner Shop", "company: 12", "company: should be text. Put it in quotes."),
        ("settings.yml", "America/New_York", "New York", "time_zone: write a time zone by its place"),
        ("settings.yml", "America/New_York", "../../etc/passwd", "time_zone: write a time zone by its place"),
        ("settings.yml", "reports@example.com", "reports", "sender.email: write one address: name@example.com"),
        (
            "settings.yml",
            "company:",
            "run_limit: 10\ncompany:",
            "run_limit: write a length of time as a number and a unit",
        ),
        ("settings.yml", "company:", "run_limit: 12:30\ncompany:", "run_limit: write a length of time"),
        ("settings.yml", "company:", "run_limit: 0 s\ncompany:", "run_limit: write a length of time"),
        (
            "settings.yml",
            "company:",
            "runs_at_once: 0\ncompany:",
            "runs_at_once: is 0; write 1 or more.",
        ),
        (
            "settings.yml",
            "company:",
            "warehouse_memory: 4\ncompany:",
            "warehouse_memory: write a size of memory as a number and a unit: 500 MB, 4 GB, 1 TB",
        ),
        ("settings.yml", "company:", "warehouse_memory: 0 GB\ncompany:", "warehouse_memory: write a size of memory"),
        ("settings.yml", "company:", "warehouse_memory: lots\ncompany:", "warehouse_memory: write a size of memory"),
        ("settings.yml", "company:", "warehouse_threads: 0\ncompany:", "warehouse_threads: is 0"),
        (
            "settings.yml",
            "company:",
            "warehouse_threads: many\ncompany:",
            "warehouse_threads: should be a whole number",
        ),
        ("settings.yml", "company:", "ledger: postgresql://db/x\ncompany:", "ledger: name the driver in the address"),
        (
            "settings.yml",
            "company:",
            "ledger: /tmp/x\ncompany:",
            "ledger: write a path relative to the project's folder",
        ),
        ("settings.yml", "company:", "company: A\ncompany:", "config/settings.yml:2: company: is given twice."),
        ("settings.yml", "company:", "company: 'A", "is not YAML"),
        ("people.yml", "ann:", "Ann Lee:", "engineers.Ann Lee: write a name in small letters"),
        (
            "people.yml",
            "  owners:",
            "  others:",
            "config/pipelines.yml:8: pipelines.good.readers: no list 'owners' in config/people.yml. Known: others.",
        ),
        ("people.yml", "  owners:", "  no:", "readers: no list 'owners'"),
        (
            "pipelines.yml",
            "primary: ann",
            "primary: anna",
            (
                "config/pipelines.yml:7: pipelines.good.owners.primary: no engineer 'anna' in config/people.yml. "
                "Did you mean 'ann'? Known: ann, bob."
            ),
        ),
        ("pipelines.yml", "secondary: bob", "secondary: ann", "owners.secondary: is the primary too."),
        ("pipelines.yml", "secondary: bob", "secondry: bob", "owners.secondry: unknown key. Did you mean 'secondary'?"),
        (
            "pipelines.yml",
            "period: day",
            "period: dayly",
            "pipelines.good.period: is 'dayly'; write 'day', 'week' or 'experiment'. Did you mean 'day'?",
        ),
        ("pipelines.yml", "period: day", "period: experiment", "experiment: belongs to `period: experiment`"),
        (
            "pipelines.yml",
            "period: day",
            "period: day\n    experiment: 3",
            "experiment: belongs to `period: experiment`",
        ),
        (
            "pipelines.yml",
            "period: day",
            "period: day\n    name: other",
            "name: unknown key. The entry's own key is its name.",
        ),
        ("pipelines.yml", "good.ipynb", "gone.ipynb", "notebook: there is no notebook notebooks/gone.ipynb."),
        ("pipelines.yml", "good.ipynb", "../good.ipynb", "notebook: write a path relative to the project's folder"),
        ("pipelines.yml", "sources: []", "sources: [data/no.csv]", "sources: there is no file data/no.csv."),
        (
            "pipelines.yml",
            "sources: []",
            "sources: []\n    inputs: [god]",
            "inputs: no pipeline is called 'god'. Did you mean 'good'?",
        ),
        ("pipelines.yml", "sources: []", "sources: []\n    inputs: [good]", "inputs: a circle: good needs good."),
        ("pipelines.yml", "title: good", "title:", "title: should be text."),
        ("pipelines.yml", "  good:\n", "  Good-1:\n", "pipelines.Good-1: write a name in small letters"),
        ("pipelines.yml", "  good:\n", f"  {'g' * 49}:\n", f"pipelines.{'g' * 49}: write a name of at most 48 char"),
    ],
)
def test_each_mistake_names_file_key_and_remedy(tmp_path, file, old, new, said):
    """One mistake makes one error that says where it is, what is wrong and what to do."""
    change(project(tmp_path, "good") / "config" / file, old, new)
    assert said in told(tmp_path)


def test_mistakes_in_several_files_are_told_at_once(tmp_path):
    """Nobody has to mend one mistake to learn of the next."""
    project(tmp_path, "good")
    change(tmp_path / "config/settings.yml", "company", "compny")
    change(tmp_path / "config/people.yml", "olga@example.com", "olga")
    change(tmp_path / "config/pipelines.yml", "deadline", "dedline")
    text = told(tmp_path)
    assert "has 5 problems" in text
    assert all(part in text for part in ("compny", "readers.owners.0.email", "pipelines.good.dedline"))


def test_a_longer_circle_of_inputs_is_shown_whole(tmp_path):
    """The error walks the circle, so that one sees which input to take out."""
    entries = "".join(
        PIPELINE.format(name=name, notebook="good") + f"    inputs: [{other}]\n" for name, other in ("ab", "bc", "ca")
    )
    write(project(tmp_path, "good") / "config/pipelines.yml", f"pipelines:\n{entries}")
    assert "pipelines.a.inputs: a circle: a needs b needs c needs a." in told(tmp_path)


def test_a_pipeline_must_not_take_the_folder_of_mails(tmp_path):
    """A pipeline called mail would mix reports and messages."""
    write(
        project(tmp_path, "good") / "config/pipelines.yml",
        "pipelines:\n" + PIPELINE.format(name="mail", notebook="good"),
    )
    assert "pipelines.mail: has the name of the folder of mails." in told(tmp_path)


def test_words_that_yaml_takes_for_something_else_stay_words(tmp_path):
    """no, on, 010 and 2017-11-15 are text; only true and false are true and false."""
    more = "    subtitle: no\n    parameters: {a: on, b: 010, c: 2017-11-15, d: true, e: 12:30, f: 1.5, g: 7, h: 1e3}\n"
    found = config.load(project(tmp_path, "good", more=more)).pipelines["good"]
    assert found.subtitle == "no"
    assert dict(found.parameters) == {
        "a": "on", "b": "010", "c": "2017-11-15", "d": True, "e": "12:30", "f": 1.5, "g": 7, "h": "1e3",
    }  # fmt: skip


def test_a_folder_that_is_no_project_is_told_apart(tmp_path):
    """The remedy names both ways: another folder, or a new project."""
    assert "is not a project" in told(tmp_path)
    assert "runner init" in told(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    """A project without people says so."""
    (project(tmp_path, "good") / "config/people.yml").unlink()
    assert "config/people.yml: the file is missing." in told(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "pipelines:", "pipelines: {}", "pipelines: {good: }", "- a: 1\n- b", "\0"])
def test_a_file_of_another_shape_is_an_error_and_never_a_crash(tmp_path, text):
    """Whatever stands in the file, the answer is a ConfigError that names it."""
    write(project(tmp_path, "good") / "config/pipelines.yml", text)
    assert "config/pipelines.yml" in told(tmp_path)


def test_inputs_come_first(tmp_path):
    """The order is by inputs, and otherwise as written."""
    entries = [PIPELINE.format(name=name, notebook="good") for name in "abcd"]
    entries[0] += "    inputs: [c]\n"
    entries[2] += "    inputs: [d]\n"
    write(project(tmp_path, "good") / "config/pipelines.yml", "pipelines:\n" + "".join(entries))
    assert [pipeline.name for pipeline in config.load(tmp_path).in_order()] == ["d", "c", "a", "b"]


def test_an_unknown_pipeline_is_met_with_the_nearest(tmp_path):
    """A slip of the finger costs one glance."""
    with pytest.raises(UsageError, match=r"No pipeline is called 'god'\. Did you mean 'good'\?"):
        config.load(project(tmp_path, "good")).pipeline("god")


def test_a_reader_on_two_lists_is_one_reader(tmp_path):
    """Addresses are compared without regard to capitals."""
    project(tmp_path, "good")
    change(tmp_path / "config/pipelines.yml", "readers: [owners]", "readers: [owners, more]")
    write(
        tmp_path / "config/people.yml",
        (tmp_path / "config/people.yml").read_text() + "  more:\n    - {name: O, email: OLGA@example.com}\n",
    )
    found = config.load(tmp_path)
    assert len(found.readers(found.pipelines["good"])) == 2


def test_a_projects_own_templates_are_found(tmp_path):
    """Without a folder of its own, a project has none."""
    assert config.load(project(tmp_path, "good")).templates == ()
    (tmp_path / "templates").mkdir()
    assert config.load(tmp_path).templates == (tmp_path / "templates",)


def test_our_own_project_has_the_plans_five_pipelines_and_owners():
    """Who owns what is as the management plan says, each with a reason."""
    folder = Path(__file__).parents[1]
    missing = [line for line in _told_or_nothing(folder) if "notebook" not in line]
    assert missing == []
    data, _, doubles = yaml.parse((folder / "config/pipelines.yml").read_text(encoding="utf-8"))
    assert not doubles
    owners = {
        name: (entry["owners"]["primary"][-1], entry["owners"]["secondary"][-1])
        for name, entry in data["pipelines"].items()
    }
    assert owners == {
        "unit_profit": ("a", "b"),
        "aggregate_profit": ("b", "c"),
        "aggregate_growth": ("c", "d"),
        "daily_growth": ("d", "a"),
        "aggregate_engagement": ("a", "d"),
    }
    assert all(len(entry["owners"]["because"]) > 40 for entry in data["pipelines"].values())


def _told_or_nothing(folder: Path) -> list[str]:
    try:
        config.load(folder)
    except ConfigError as error:
        return str(error).splitlines()[1:]
    return []


def test_a_currency_is_no_setting(tmp_path):
    """A key that would do nothing is refused."""
    change(project(tmp_path, "good") / "config/settings.yml", "company:", "currency: USD\ncompany:")
    assert "config/settings.yml:1: currency: unknown key." in told(tmp_path)


def test_an_entry_given_twice_is_one_problem(tmp_path):
    """What the unfinished copy lacks is not told: one of the two goes anyway."""
    path = project(tmp_path, "good") / "config/pipelines.yml"
    write(path, path.read_text() + "  good:\n    title: A copy\n    notebok: x\n")
    assert told(tmp_path) == "config/pipelines.yml:10: pipelines.good: is given twice. Keep one of the two."
