"""The runbooks answer every trouble in words that are true of this software, and mistakes in them are told."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import typer.main
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner import cli, config
from runner.errors import ConfigError, Trouble
from runner.plan import runbooks
from runner.plan.runbooks import COMMON, KINDS, library, parse

ROOT = Path(__file__).resolve().parents[1]
FILES = {path.name: path.read_text() for path in sorted((ROOT / "config/runbooks").glob("*.md"))}
SHIPPED = {"runbook.md": (ROOT / "templates/runbook.md").read_text()}
BOOKS = {name: parse(text, name) for name, text in {**FILES, **SHIPPED}.items()}
PROJECT = config.load(ROOT)
SECTIONS = [
    pytest.param(section, id=f"{name}-{section.anchor}")
    for name, book in BOOKS.items()
    for section in book.sections
    if section.answers
]
COMMAND = typer.main.get_command(cli.app)

#: The plan's words (management-plan.txt), and the runbooks where they must stand.
PLAN = {
    "unit_profit.md": (
        "Data source API downtime.",
        "Incorrect mapping or data schema changes.",
        "Processing lag causing incomplete datasets.",
        "Metrics must be available within 6 hours of experiment start.",
        "Validate schema changes weekly",
        "Use redundant data sources when possible",
        "Implement automated retries for API failures",
        "calculates unit-level profitability metrics, enabling detailed financial analysis for experimental purposes",
    ),
    "aggregate_profit.md": (
        "Database connection failures.",
        "Aggregation logic bugs.",
        "Report delivery delays.",
        "Reports must be available to investors by 9 AM next business day.",
        "Implement database connection monitoring",
        "Add unit tests for aggregation logic",
        "Pre-schedule report generation with retries",
        "processes transactional data, revenue records and cost structures",
    ),
    "aggregate_growth.md": (
        "Missing input data from daily pipelines.",
        "Outliers causing inaccurate aggregations.",
        "Formatting errors in investor reports.",
        "Reports must be finalized by 10 AM daily.",
        "Validate input data before processing",
        "Use outlier detection algorithms",
        "Implement formatting checks for outputs",
        "reports aggregate growth metrics, including revenue and user acquisition trends",
    ),
    "daily_growth.md": (
        "Late or incomplete data ingestion.",
        "Scheduling conflicts for batch jobs.",
        "Data discrepancies between systems.",
        "Data must be available for experiments by 12 PM daily.",
        "Implement job scheduling monitoring",
        "Reconcile data between systems nightly",
        "Notify stakeholders immediately for delays",
        "overall business expansion and performance",
    ),
    "aggregate_engagement.md": (
        "Data source permissions revocation.",
        "Script failures due to updates in tools.",
        "Visualization tool outages affecting reports.",
        "Reports must be updated by 8 AM every Monday.",
        "Perform permissions audits bi-weekly",
        "Maintain version control for scripts",
        "Create backups of visualizations for manual delivery if needed",
        "evaluate platform health and audience retention",
    ),
    "common.md": (
        "critical for maintaining investor confidence and ensuring transparency in performance reporting",
        "Any updates to pipelines or processes are documented and communicated promptly",
    ),
}
#: What a pipeline's issues of the plan come to in this software: each has its own section, not only the common one.
OWN = {
    "unit_profit": ("source unavailable", "schema changed", "data incomplete", "at risk"),
    "aggregate_profit": ("source unavailable", "cell failed", "data incomplete", "delivery failed", "late"),
    "aggregate_growth": ("data incomplete", "outlier", "rendering failed", "proof failed", "sources disagree"),
    "daily_growth": ("data incomplete", "not started", "at risk", "sources disagree", "late"),
    "aggregate_engagement": ("permission revoked", "cell failed", "rendering failed"),
}
PARTS = ("## Purpose", "## Owners", "## Potential issues", "## Deadline", "## What prevents trouble")
SMALL = "# A book\n\n## One\nAnswers: late\n\n1. `runner status`\n"
TROUBLES = "# Common\n" + "".join(f"\n## On {kind}\nAnswers: {kind}\n\n1. `runner status`\n" for kind in KINDS)


def flat(text: str) -> str:
    """One line in small letters without the emphasis of markdown: what is compared is the words."""
    return " ".join(text.replace("*", "").split()).lower()


def told(text: str, file: str = "book.md") -> str:
    """What `parse` says of a text that is off."""
    with pytest.raises(ConfigError) as caught:
        parse(text, file)
    assert caught.value.remedy
    return str(caught.value)


# The shipped runbooks.


def test_kinds_are_all_troubles_and_four_states():
    """A runbook may be asked about every trouble there is and about the states that have no trouble of their own."""
    assert set(KINDS) == {trouble.value for trouble in Trouble} | {"not started", "at risk", "late", "held"}
    assert len(set(KINDS)) == len(KINDS) == len(Trouble) + 4


def test_every_trouble_of_every_pipeline_is_answered():
    """No kind is left without a section for any pipeline, and each runbook belongs to one."""
    shelf = library(FILES)
    assert shelf.missing(PROJECT.pipelines) == ()
    assert shelf.strangers(PROJECT.pipelines) == ()
    assert sorted(shelf.own) == sorted(PROJECT.pipelines)
    assert [kind for kind in KINDS if not shelf.common.find(kind)] == []


def test_the_shipped_fallback_answers_everything_alone():
    """A project without runbooks of its own is served by templates/runbook.md."""
    assert library({"common.md": SHIPPED["runbook.md"]}).missing(["any", "other"]) == ()


@pytest.mark.parametrize(("file", "phrase"), [(file, phrase) for file, listed in PLAN.items() for phrase in listed])
def test_the_plans_words_are_there(file, phrase):
    """Each purpose, issue, promise and mitigation of the management plan stands in its pipeline's runbook."""
    assert flat(phrase).rstrip(".") in flat(FILES[file])


@pytest.mark.parametrize("name", PROJECT.pipelines)
def test_a_pipelines_own_troubles_have_sections_of_their_own(name):
    """What the plan fears for a pipeline is answered in its own runbook, after the parts that every one has."""
    book = BOOKS[f"{name}.md"]
    assert [kind for kind in OWN[name] if not book.find(kind)] == []
    assert [f"## {section.title}" for section in book.sections[: len(PARTS)]] == list(PARTS)
    assert book.title == PROJECT.pipelines[name].title
    assert book.purpose


@pytest.mark.parametrize("name", PROJECT.pipelines)
def test_facts_of_config_are_told_as_they_are(name):
    """Owners, the reason for them, and the promise in a runbook are those of config/pipelines.yml."""
    pipeline, text = PROJECT.pipelines[name], flat(FILES[f"{name}.md"])
    engineers = PROJECT.people.engineers
    owners = (
        f"{engineers[pipeline.owners.primary].name} (primary), {engineers[pipeline.owners.secondary].name} (secondary)"
    )
    assert flat(owners) in text
    assert flat(pipeline.owners.because) in text
    assert f"`{pipeline.deadline}`".lower() in text


def test_numbers_of_settings_are_told_as_they_are():
    """Waits, attempts and limits that the runbooks speak of are those of config/."""
    settings, growth = PROJECT.settings, PROJECT.pipelines["daily_growth"]
    assert (settings.attempts, settings.run_limit, settings.runs_at_once) == (3, 600, "auto")
    assert "three attempts of ten minutes" in flat(FILES["aggregate_profit.md"])
    assert settings.alerts.acknowledge_within == 15 * 60
    assert "is told after 15 minutes" in flat(FILES["common.md"])
    assert settings.alerts.readers_every == 2 * 3600
    assert "every two hours" in flat(FILES["common.md"])
    assert (growth.ready_by, growth.room) == ("09:00", 3600)
    assert "`ready_by`" in FILES["daily_growth.md"]
    assert (PROJECT.experiments.begin_at, PROJECT.pipelines["unit_profit"].room) == ("09:00", 5 * 3600)
    assert PROJECT.holidays.business_calendar == "NYSE"
    assert PROJECT.oncall
    assert PROJECT.oncall.hand_off == "Monday 09:00"


def test_the_conflict_of_the_plan_is_explained_in_both_runbooks():
    """Both runbooks of growth say that one rests on the other, promised later, and how that is solved."""
    for name in ("daily_growth.md", "aggregate_growth.md"):
        deadline = flat(next(section.text for section in BOOKS[name].sections if section.title == "Deadline"))
        assert all(word in deadline for word in ("10:00", "12:00", "09:00", "`ready_by`", "rest"))


@pytest.mark.parametrize("name", [name for name in FILES if name != "common.md"])
def test_each_issue_has_its_sign_its_cause_and_who_notices(name):
    """The three issues of the plan each say how one knows them, where they come from and who sees them first."""
    text = next(section.text for section in BOOKS[name].sections if section.title == "Potential issues")
    issues = [flat(issue) for issue in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]
    assert len(issues) == 3
    assert [issue for issue in issues if not all(word in issue for word in ("sign:", "cause:", "noticed by:"))] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_troubles_are_answered_in_steps(section):
    """Steps count from 1, the incident is acknowledged first; who is called, what readers have, when it is over."""
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section.text, re.MULTILINE)]
    assert len(numbers) >= 3
    assert numbers == list(range(1, len(numbers) + 1))
    assert section.text[section.text.index("1. ") :].startswith("1. `runner ack INCIDENT --by WHO`")
    assert [
        part
        for part in ("**Call the owner**", "**Readers meanwhile**", "**It is over when**")
        if part not in section.text
    ] == []
    assert re.search(r"`runner (?!ack)\w|`[\w./*-]+\.(?:ipynb|pdf|html|json|jsonl|log|txt|png|yml|md)`", section.text)


def spoken() -> list[tuple[str, str]]:
    """Each `runner …` of the runbooks with its file."""
    texts = {**FILES, **SHIPPED}
    return [(name, words) for name, text in texts.items() for words in re.findall(r"`runner ([^`]+)`", text)]


@pytest.mark.parametrize(("file", "words"), sorted(set(spoken())))
def test_commands_of_the_runbooks_are_understood(file, words):  # noqa: ARG001  it names the test
    """Every command named is one of the command line, or is being built; of those there are, options are known, too."""
    name = words.split()[0]
    if name == "COMMAND":
        return
    with click.Context(COMMAND) as context:
        command = COMMAND.get_command(context, name)
        assert command, f"there is no command {name!r}"
        if command:
            known = {option for item in command.params for option in (*item.opts, *item.secondary_opts)} | {"--help"}
            assert [word for word in words.split() if word.startswith("-") and word not in known] == []


def test_no_command_is_misquoted():
    """A command stands on one line between its marks, or it would not be checked."""
    for text in {**FILES, **SHIPPED}.values():
        assert re.findall(r"`runner [^`\n]*\n", text) == []


@pytest.mark.parametrize("name", FILES)
def test_files_named_are_there(name):
    """Files of this project that a runbook names exist, and other sections that it sends to do, too."""
    named = re.findall(r"`((?:config|runner|tests|templates|notebooks)/[\w./-]+\.\w+)`", FILES[name])
    assert [path for path in named if not (ROOT / path).is_file() and "TABLE" not in path] == []
    titles = {section.title for book in (BOOKS[name], BOOKS["common.md"]) for section in book.sections}
    sent = re.findall(r"do the section ([A-Z][\w ]+?)(?:\.|,|;|$)", FILES[name].replace("\n   ", " "), re.MULTILINE)
    assert [title for title in sent if title not in titles] == []


@pytest.mark.parametrize("name", BOOKS)
def test_lines_are_short(name):
    """No line is longer than 160 characters: they are read on phones and terminals, at night."""
    assert [line for line in {**FILES, **SHIPPED}[name].splitlines() if len(line) > 160] == []


def test_keys_of_config_named_are_there():
    """Keys that an engineer is sent to stand in the shipped config."""
    shipped = {key for path in (ROOT / "config").glob("*.yml") for key in keys(yaml.safe_load(path.read_text()))}
    asked = {
        "attempts",
        "retry_after",
        "run_limit",
        "render_limit",
        "runs_at_once",
        "readers_every",
        "ready_by",
        "room",
    }
    asked |= {"closed_on", "closes_early", "named", "business_calendar", "begin_at", "sources"}
    assert asked <= shipped
    assert [key for key in asked if f"`{key}" not in "".join(FILES.values())] == []


def keys(data: object) -> set[str]:
    """Every key at any depth."""
    if isinstance(data, dict):
        return {str(key) for key in data} | {key for value in data.values() for key in keys(value)}
    return {key for item in data for key in keys(item)} if isinstance(data, list) else set()


# Which section answers.


def test_the_first_kind_that_is_answered_wins():
    """Kinds are tried in the order given, and for each the own runbook comes before the common one."""
    own = "# Own\n## Mine\nAnswers: late\n1. x\n"
    shelf = library({"common.md": TROUBLES, "sales.md": own})
    assert shelf.answer("sales", "late").title == "Mine"
    assert shelf.answer("sales", "sources disagree", "late").title == "On sources disagree"
    assert shelf.answer("sales", "late", "sources disagree").title == "Mine"
    assert shelf.answer("sales", Trouble.OUTLIER, "held").place == "common.md#on-outlier"
    assert shelf.answer("other", "late").title == "On late"


def test_what_nothing_answers_is_told():
    """Kinds that no section answers are listed by `missing`, and `answer` says so."""
    shelf = library({"common.md": SMALL, "sales.md": "# Own\n## Mine\nAnswers: held\n1. x\n"})
    assert ("sales", "late") not in shelf.missing(["sales"])
    assert set(shelf.missing(["sales", "b"])) == {("sales", kind) for kind in KINDS if kind not in {"late", "held"}} | {
        ("b", kind) for kind in KINDS if kind != "late"
    }
    with pytest.raises(ConfigError, match=r"No runbook answers 'outlier' for sales\. Write a section"):
        shelf.answer("sales", "outlier")
    assert shelf.answer("sales", "outlier", "held").title == "Mine"


def test_a_runbook_of_no_pipeline_is_a_stranger():
    """A file whose name is no pipeline's is found: nobody would ever be shown it."""
    shelf = library({"config/runbooks/common.md": TROUBLES, "config/runbooks/daly_growth.md": SMALL})
    assert shelf.strangers(["daily_growth"]) == ("daly_growth",)


def test_without_a_common_runbook_there_is_no_library():
    """The common runbook is asked for by name."""
    with pytest.raises(ConfigError, match=r"There is no common\.md"):
        library({"sales.md": SMALL})


# Reading one file.


def test_a_runbook_is_read_whole():
    """Title, purpose, and each section with its anchor, its kinds and its text without the line of kinds."""
    text = "\ufeff# A `book`\n\n## Purpose\n\nTo help.\n\n## What's late, and why?\nAnswers: late, at risk\n\n"
    book = parse(text + "1. Look.\n\n### More\n\n```sh\n# no heading\n## nor this\n```\n", "a/book.md")
    assert (book.title, book.purpose) == ("A `book`", "To help.")
    assert [section.title for section in book.sections] == ["Purpose", "What's late, and why?"]
    late = book.sections[1]
    assert (late.anchor, late.answers) == ("whats-late-and-why", ("late", "at risk"))
    assert late.text == "1. Look.\n\n### More\n\n```sh\n# no heading\n## nor this\n```"
    assert late.place == "a/book.md#whats-late-and-why"
    assert book.find("late") is late
    assert book.find("held") is None


def test_a_book_of_a_title_alone_is_a_book():
    """Sections are optional; what they do not answer is told by `missing`."""
    assert parse("# Title\n", "x.md").sections == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "book.md:1: has no title."),
        ("\n\nSome words.\n# Late\n", "book.md:3: has no title."),
        ("## One\nAnswers: late\n1. x\n", "book.md:1: has no title."),
        ("#\n## One\n", "book.md:1: has no title."),
        ("# A\n## B\nx\n# C\n", "book.md:4: a second title, 'C'."),
        ("# A\n##\nx\n", "book.md:2: a section without a title."),
        ("# A\n\nwords\n\n## B\n", "book.md:3: words before the first section."),
        ("# A\nwords\n", "book.md:2: words before the first section."),
        (
            "# A\n## B\nAnswers: lat\n1. x\n",
            "book.md:3: answers 'lat', which is no kind of trouble. Did you mean 'late'?",
        ),
        ("# A\n## B\nAnswers: Late\n1. x\n", "book.md:3: answers 'Late'"),
        ("# A\n## B\nAnswers:\n1. x\n", "book.md:3: `Answers:` with a kind missing."),
        ("# A\n## B\nAnswers: late,\n1. x\n", "book.md:3: `Answers:` with a kind missing."),
        ("# A\n## B\nAnswers: late, late\n1. x\n", "book.md:3: answers 'late' twice: in 'B' and in 'B'."),
        (
            "# A\n## B\nAnswers: held, late\n1. x\n\n## C\nAnswers: late\n1. x\n",
            "book.md:7: answers 'late' twice: in 'B' and in 'C'.",
        ),
        ("# A\n## B\nAnswers: late\n\n## C\nx\n", "book.md:2: the section 'B' answers late and is empty."),
        ("# A\n## B\nAnswers: late\n", "book.md:2: the section 'B' answers late and is empty."),
        ("# A\n## B\n\nAnswers: late\n1. x\n", "book.md:4: `Answers:` in the middle of a section."),
        ("# A\n## B\nx\n## b\ny\n", "book.md:4: a second section 'b'."),
        ("# A\n## Is B?\nx\n## is b\ny\n", "book.md:4: a second section 'is b'."),
        ("# A\n## B\nx\n```\n## C\n", "book.md:4: a code block that is never closed. Close it with ```"),
    ],
)
def test_mistakes_are_told_with_their_line(text, said):
    """Each mistake of a runbook is refused with the file, the line and the remedy."""
    assert told(text).startswith(said)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][a-z]{3,9}", fullmatch=True), st.sets(st.sampled_from(KINDS), max_size=3), max_size=6
    )
)
def test_every_kind_is_found_where_it_was_written(written):
    """Whatever sections answer, each kind is found in the first that names it; a kind named twice is refused."""
    text = "# Book\n"
    for title, kinds in written.items():
        line = f"Answers: {', '.join(sorted(kinds))}\n" if kinds else ""
        text += f"\n## {title}\n{line}\n1. Look.\n"
    named = [kind for kinds in written.values() for kind in kinds]
    if len(set(named)) < len(named):
        assert "twice" in told(text)
        return
    book = parse(text, "book.md")
    for title, kinds in written.items():
        assert all((found := book.find(kind)) and found.title == title for kind in kinds)
    assert [kind for kind in KINDS if kind not in named and book.find(kind)] == []


def test_the_common_runbook_is_called_common():
    """The name that the library asks for is that of the shipped file."""
    assert f"{COMMON}.md" in FILES
    assert runbooks.STATES == ("not started", "at risk", "late", "held")
