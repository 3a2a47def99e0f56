"""Secrets never leave: found in every form, in everything that is kept or sent, and told by their names alone."""

from __future__ import annotations

import html
import json
import re
import secrets
import uuid
from base64 import b64encode
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, quote_plus
from zlib import crc32

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import escape

from runner import config
from runner.commands import check, service
from runner.commands import reports as running
from runner.config import Project
from runner.delivery.channels import Channels, Parcel
from runner.delivery.door import Door
from runner.delivery.messages import Message
from runner.delivery.outcome import Kind
from runner.document.shipped import TEMPLATES
from runner.errors import ConfigError
from runner.leaks import SHAPES, Censor, Leak, Scanner, is_plain, parts
from runner.ledger import Ledger, Result, Run, journal
from runner.model import Finding, Level
from runner.report import diary, notebooks, shown
from runner.secrets import read, variables
from tests.postgres import running as running_postgres
from tests.small_projects import SETTINGS, finished, mails, project, reports, runner, write

TOKEN = "tk-9f3B7c1De5a8d2F4"
PASSWORD = 'p/w "&é7'
URL = f"postgresql://report:{quote(PASSWORD, safe='')}@db.example.com:5432/sales"
KNOWN = {"TILLS_TOKEN": TOKEN, "TILLS_URL": URL}
SCANNER = Scanner(tuple(KNOWN.items()))
SOURCES = """\
sources:
  tills: {kind: http, title: Tills, url: "https://tills.example.com", token: "env:TILLS_TOKEN"}
  sales: {kind: sql, title: Sales, url: "env:TILLS_URL"}
"""
NOW = datetime(2017, 11, 16, 8, tzinfo=UTC)
DAY = "2017-11-15"


@pytest.fixture
def shop(tmp_path):
    """A folder with a project that has two secrets, each in a file beside it, and how to load it with them."""

    def made(*names: str, **more: str) -> Project:
        folder = project(tmp_path / "shop", *names, **more)
        write(folder / "config/sources.yml", SOURCES)
        write(folder / "tills.token", TOKEN + "\n")
        write(folder / "tills.url", URL)
        files = {f"{name}_FILE": str(folder / name.lower().replace("_", ".")) for name in KNOWN}
        return config.load(folder, Censor(files))

    return made


@pytest.fixture
def make(capsys):
    """Make one report in this process; the exit code and what became of it."""

    def made(found: Project, name: str, **texts: str) -> tuple[int, dict]:
        code = running.run(found, running.Wish(name, DAY, texts=texts), as_json=True)
        return code, reports(capsys.readouterr().out)[name]

    return made


def assert_nowhere(folder: Path) -> None:
    """No file below a folder holds a secret, but for those that are there to hold it."""
    own = {folder / "tills.token", folder / "tills.url"}
    files = [path for path in folder.rglob("*") if path.is_file() and path not in own]
    assert any(path.name == "ledger.sqlite" for path in files)
    words = [word.encode() for value in (TOKEN, URL, PASSWORD) for word in (value, json.dumps(value)[1:-1])]
    words += [quote(PASSWORD, safe="").encode(), b64encode(TOKEN.encode())]
    assert [path.name for path in files if any(word in path.read_bytes() for word in words)] == []


def text_of(path: Path) -> str:
    """All that a notebook says."""
    return json.dumps(nbformat.read(path, 4), ensure_ascii=False)


# Names and values.


def test_a_secret_is_named_and_read_from_the_environment_or_its_file(tmp_path):
    """The variable comes before its file; white space around it is none of it; errors name variables alone."""
    write(tmp_path / "it", f"  {TOKEN}\n")
    assert read("env:A", {"A": f" {TOKEN} "}) == TOKEN
    assert read("env:A", {"A_FILE": str(tmp_path / "it")}) == TOKEN
    assert variables(["env:A", "mail", "env:b"]) == {"A", "A_FILE"}
    for name, environment in (("env:A", {}), ("env:A", {"A_FILE": TOKEN}), (TOKEN[:2], {"A": TOKEN})):
        with pytest.raises(ConfigError) as failed:
            read(name, environment)
        assert TOKEN not in str(failed.value)


# The scanner.

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=6).filter(
    lambda value: not is_plain(value)
)
TEXTS = st.text(st.characters(codec="utf-8"))
#: How a value is written down; none of these is taken from the scanner.
FORMS = {
    "plain": str,
    "json": lambda value: json.dumps({"a": value}),
    "json with letters": lambda value: json.dumps([value], ensure_ascii=False),
    "json in json": lambda value: json.dumps(json.dumps(value)),
    "html": html.escape,
    "text in html": lambda value: html.escape(value, quote=False),
    "template": lambda value: str(escape(value)),
    "html in json": lambda value: json.dumps(html.escape(value)),
    "percent": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "repr": repr,
    "basic": lambda value: b64encode(f"user:{value}".encode()).decode(),
    "password of an address": lambda value: f"sql://u:{quote(value, safe='')}@h/d?x=1",
}


@given(VALUES, TEXTS, TEXTS, st.sampled_from(sorted(FORMS)))
@example('a"b\\c<é>', "", "", "html in json")
@example("aaaaab", "a", "", "basic")
@example("aaaaab", "", "\0", "basic")
def test_a_secret_is_found_in_every_form_and_is_gone_after(value, before, after, form):
    """Wherever a known value stands in a text, in whatever form, it is found, and not any more once it is redacted."""
    scanner = Scanner((("IT", value),))
    text = before + FORMS[form](value) + after
    assert scanner.found(text) == "IT"
    assert scanner.found_in(text.encode()) == "IT"
    redacted = scanner.redact(text)
    assert "«IT»" in redacted
    assert scanner.found(redacted) is None


@given(VALUES, st.sampled_from(["", "?sslmode=require", "?token={}"]), st.binary(max_size=9))
def test_the_password_of_an_address_is_found_by_itself(value, query, before):
    """Of an address that is secret, its password is, too: as it stands there, as it is meant, and in a login."""
    encoded = quote(value, safe="")
    scanner = Scanner((("AT", f"postgresql://report:{encoded}@db.example.com/sales{query.format(encoded)}"),))
    for text in (value, encoded, json.dumps(value), b64encode(before + value.encode()).decode()):
        assert scanner.found(f"FATAL: no entry for {text} (port 5432)") == "AT"
    assert scanner.found("FATAL: no entry for report at db.example.com") is None


@given(TEXTS)
def test_a_text_without_a_secret_is_left_as_it_is(text):
    """Any text that holds neither a known value nor the shape of a secret is handed back unchanged."""
    assert SCANNER.found(text) is None
    assert SCANNER.redact(text) is text


@given(
    st.one_of(
        st.floats().map("{:,.2f}".format),
        st.integers(0, 10**15).map("${:,}".format),
        st.uuids().map(str),
        st.binary(max_size=40).map(lambda data: sha256(data).hexdigest()),
        st.uuids().map(lambda some: f"Message-ID: <{some.hex}@reports.example.com>"),
        st.binary(min_size=3000, max_size=4000).map(lambda data: b64encode(data).decode()),
        st.datetimes().map(str),
        st.sampled_from(["https://example.com:8080/a@b", "postgresql://u:***@h/d", "ssh://git@example.com", "a://b:c"]),
    ),
    st.lists(st.sampled_from(["Bearer of bad news", "token", "key:", "password", "AKIA", "://", "-----BEGIN"])),
)
def test_what_reports_are_full_of_is_no_secret(word, words):
    """Figures, hashes, UUIDs, Message-IDs, addresses and pictures in base64 have the shape of no secret."""
    assert SCANNER.found("\n".join([*words, word, *words])) is None
    assert SCANNER.found(f'<img src="data:image/png;base64,{word}">{word}') is None


def test_a_known_value_is_not_looked_for_within_a_picture():
    """A few letters of a picture in base64 are no secret, though they are the very letters of a short one."""
    scanner = Scanner((("IT", "iVBORw"),))
    assert scanner.found('<img src="data:image/png;base64,iVBORw0KGgo="> and text') is None
    assert scanner.found('<img src="data:image/png;base64,iVBORw0KGgo="> iVBORw') == "IT"


def test_the_five_notebooks_show_no_secret():
    """Nothing in the stored runs of the real reports is taken for a secret."""
    for path in sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb")):
        assert shown.look(notebooks.read(path), SCANNER) == ()


def _random(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@pytest.mark.parametrize(
    ("what", "make_one"),
    [
        ("an AWS access key", lambda: "AKIA" + _random("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        ("a GitHub token", lambda: "ghp_" + _random(LETTERS, 36)),
        ("a GitHub token", lambda: f"github_pat_{_random(LETTERS, 22)}_{_random(LETTERS, 59)}"),
        ("a GitLab token", lambda: "glpat-" + _random(LETTERS, 20)),
        ("a Slack token", lambda: f"xoxb-{_random('123456789', 12)}-{_random(LETTERS, 24)}"),
        ("a Slack webhook", lambda: "https://hooks.slack.com/services/T0000AAAA/B0000AAAA/" + _random(LETTERS, 24)),
        ("a Stripe key", lambda: "sk_live_" + _random(LETTERS, 24)),
        (
            "a private key",
            lambda: f"-----BEGIN EC PRIVATE KEY-----\n{_random(LETTERS, 64)}\n-----END EC PRIVATE KEY-----",
        ),
        (
            "a JSON web token",
            lambda: ".".join(
                b64encode(json.dumps(part).encode()).decode().rstrip("=")
                for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": _random(LETTERS, 9)}, _random(LETTERS, 32))
            ),
        ),
        ("a bearer token", lambda: "authorisation: Bearer 7" + _random(LETTERS, 30)),
        (
            "an authorization header",
            lambda: f'"Authorization": "Basic {b64encode(_random(LETTERS, 12).encode()).decode()}"',
        ),
        ("a password in an address", lambda: f"mysql+pymysql://root:{_random(LETTERS, 7)}@db:3306/x"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_found_whoever_owns_it(what, make_one):
    """Each shape is found in a sentence, is named, and is taken out of the text with its secret part."""
    for _ in range(20):
        one = make_one()
        text = f"It says ({one}), does it not?"
        assert Scanner().found(text) == what
        redacted = Scanner().redact(text)
        assert Scanner().found(redacted) is None
        assert redacted.startswith("It says (")
        assert redacted.endswith("), does it not?")
        assert one[-6:] not in redacted or one[-6:] in {"/x", "3306/x", "----- "}
    assert what in {shape.name for shape in SHAPES}


def test_half_of_a_long_secret_is_found():
    """A table that cuts a long token off shows enough of it to be found; so does a line of a key that is torn out."""
    long = "w" + _random(LETTERS, 47)
    key = "\n".join(
        ["-----BEGIN KEY-----", "Aa1" + _random(LETTERS, 61), "Bb2" + _random(LETTERS, 61), "-----END KEY-----"]
    )
    scanner = Scanner((("LONG", long), ("KEY", key)))
    assert scanner.found(f"{long[:30]}...") == "LONG"
    assert scanner.found(f"...{long[-30:]}") == "LONG"
    assert scanner.found(key.splitlines()[2]) == "KEY"


def test_a_leak_names_the_variable_or_the_shape_and_nothing_of_the_value():
    """The sentence says where and whose; of a shape, that it only looks like it."""
    assert str(Leak("cell 7", "TILLS_TOKEN")) == "Cell 7 shows the content of TILLS_TOKEN."
    assert str(Leak("cell 7", "a GitHub token")) == "Cell 7 shows what looks like a GitHub token."
    assert repr(Censor({"A": TOKEN})) == "Censor()"
    assert list(parts(TOKEN)) == [TOKEN]


def test_the_content_of_a_file_is_read_again_and_what_it_was_is_not_forgotten(tmp_path):
    """A secret that is exchanged while the scheduler runs is known from the next run on, and so is the old one."""
    write(tmp_path / "it", TOKEN)
    censor = Censor({"IT_FILE": str(tmp_path / "it")})
    censor.know(["env:IT", "env:NOT_SET"])
    write(tmp_path / "it", "exchanged-7Qx")
    assert censor.redact("exchanged-7Qx") == "exchanged-7Qx"
    censor.renew()
    assert censor.redact(f"exchanged-7Qx {TOKEN}") == "«IT» «IT»"


@pytest.mark.parametrize("value", ["abc12", "20171115", "postgresql://u:pw@db.example.com/sales"])
def test_a_secret_that_is_too_plain_is_told_when_config_is_checked(tmp_path, capsys, value):
    """What is too short, or looks like a figure, cannot be looked for: `runner check` says so, and nothing is found."""
    folder = project(tmp_path, "good")
    write(folder / "config/sources.yml", SOURCES)
    found = config.load(folder, Censor({"TILLS_TOKEN": value}))
    assert check.check(found, NOW, {}, as_json=True) == 0
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row.get("subject") == "secret TILLS_TOKEN"]
    assert (row["severe"], value in row["message"]) == (False, False)
    assert found.censor.scanner.found("20171115 abc12 pw") is None


# Runs.


def test_a_notebook_that_prints_a_secret_is_stopped_and_not_kept(shop, make):
    """The run fails, names cell and variable, keeps the notebook without what held it, and sends nothing."""
    found = shop("prints_a_secret")
    code, made = make(found, "prints_a_secret")
    assert (code, made["status"], made["trouble"]) == (1, "failed", "secret shown")
    assert made["message"] == "Cell 4 of 7 (section 'The tills') shows the content of TILLS_TOKEN."
    assert_nowhere(found.folder)
    assert mails(found.folder) == []
    (run,) = finished(found.folder)
    assert sorted(path.name for path in run.iterdir()) == ["events.jsonl", "manifest.json", "prints_a_secret.ipynb"]
    said = text_of(run / "prints_a_secret.ipynb")
    assert "must not be sent" in said
    assert "What stood here shows the content of TILLS_TOKEN. It was not kept." in said
    assert "All rows are there" in said
    (noted,) = [line for line in diary.read(run) if line["event"] == "secret shown"]
    assert noted["what"] == "TILLS_TOKEN"


def test_a_cell_that_fails_with_a_password_in_its_words_keeps_its_cause(shop, make):
    """Message, traceback and partial notebook say what failed, without the address, though it is cut in its middle."""
    found = shop("fails_with_a_password")
    code, made = make(found, "fails_with_a_password")
    assert (code, made["status"], made["trouble"]) == (1, "failed", "cell failed")
    assert "ConnectionError: The server does not answer." in made["message"]
    kept = [path for path in found.folder.glob("reports/**/*") if path.is_file()]
    assert [path for path in kept if quote(PASSWORD, safe="")[:9].encode() in path.read_bytes()] == []
    assert_nowhere(found.folder)
    (run,) = finished(found.folder)
    said = text_of(run / "fails_with_a_password.ipynb")
    assert "Background: «TILLS_URL»" in said
    assert "raise ConnectionError(" in re.sub(r"\\u001b\[[0-9;]*m", "", said)
    ledger = Ledger.of(found)
    assert [PASSWORD in row.message or "db.example" in row.message for row in ledger.runs()] == [False]


def test_no_kernel_has_a_secret_in_its_environment(shop, make, monkeypatch):
    """A notebook that prints its environment shows neither the variables nor their files, and is delivered."""
    found = shop("prints_the_environment")
    for name, value in {**KNOWN, "TILLS_PLACE": "here"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TILLS_TOKEN_FILE", str(found.folder / "tills.token"))
    code, made = make(found, "prints_the_environment")
    assert (code, made["status"]) == (0, "delivered")
    said = text_of(Path(made["folder"]) / "prints_the_environment.ipynb")
    assert "TILLS_PLACE here" in said
    assert "TILLS_TOKEN" not in said
    assert "TILLS_URL" not in said
    assert_nowhere(found.folder)


def test_a_secret_given_as_a_parameter_is_kept_nowhere(shop, make):
    """It would stand in the notebook, the manifest, the diary and the ledger."""
    found = shop("good")
    code, made = make(found, "good", shop=TOKEN)
    assert (code, made["trouble"]) == (1, "secret shown")
    assert made["message"].startswith("The cell of given parameters shows the content of TILLS_TOKEN.")
    assert_nowhere(found.folder)


def test_a_secret_that_only_the_finished_files_show_goes_to_nobody(shop, make):
    """A password in a title of config/ stands in no cell: HTML and PDF are looked through, the PDF as it is read."""
    found = shop("good", more=f"    subtitle: 'Made for {TOKEN}'\n")
    code, made = make(found, "good")
    assert (code, made["trouble"]) == (1, "secret shown")
    assert made["message"] == "The text of the PDF shows the content of TILLS_TOKEN."
    assert mails(found.folder) == []
    (found.folder / "config/pipelines.yml").unlink()
    assert_nowhere(found.folder)


def test_a_secret_in_a_template_goes_to_nobody(shop, make):
    """What no reader sees counts, too: every file is looked through as it is."""
    found = shop("good")
    own = (TEMPLATES / "report.html.j2").read_text(encoding="utf-8")
    write(found.folder / "templates/report.html.j2", f"{own}<!-- {TOKEN} -->")
    code, made = make(found, "good")
    assert (code, made["message"]) == (1, "The file good.html shows the content of TILLS_TOKEN.")
    assert mails(found.folder) == []
    (found.folder / "templates/report.html.j2").unlink()
    assert_nowhere(found.folder)


def test_files_and_logs_of_a_run_are_swept(tmp_path):
    """A file that shows a secret is removed and told, a log goes on without it, of pictures the bytes are looked at."""
    picture = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes(13)) + _chunk(b"IDAT", TOKEN.encode())
    write(tmp_path / "lists/a.csv", f"day,token\n{DAY},{TOKEN}\n")
    write(tmp_path / "kernel.log", f"\x1b[31mcannot reach {URL}\x1b[0m\nend")
    write(tmp_path / ".told.jsonl", json.dumps(TOKEN))
    (tmp_path / "good.png").write_bytes(picture)
    (tmp_path / "bad.png").write_bytes(picture + _chunk(b"tEXt", b"Comment\0" + TOKEN.encode()))
    leaks = shown.sweep(tmp_path, SCANNER)
    assert {leak.where for leak in leaks} == {"The file lists/a.csv", "The file bad.png"}
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"kernel.log", "good.png"}
    assert (tmp_path / "kernel.log").read_text() == "cannot reach «TILLS_URL»\nend"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + crc32(kind + data).to_bytes(4, "big")


def test_every_place_of_a_notebook_is_looked_at():
    """Source, outputs of every kind, names, attachments, metadata and what a picture says of itself; painted or not."""
    data = b64encode(b"\x89PNG\0tEXt" + TOKEN.encode()).decode()
    painted = TOKEN.replace("-", "\x1b[39m-\x1b[32m")
    places = {
        "source": notebooks.code(f"token = {TOKEN!r}"),
        "words": notebooks.words(f"# With {TOKEN}"),
        "html": _shows({"text/html": f"<b>{TOKEN}</b>", "text/plain": "x"}),
        "scrap": _shows({"application/scrapbook.scrap.json+json": {"data": {"deep": [1, {TOKEN: 2}]}}}),
        "picture": _shows({"image/png": data}),
        "stream": notebooks.code("1", "x"),
        "error": notebooks.code("2"),
    }
    places["stream"].outputs = [notebooks.output("stream", name="stderr", text=f"a\n{TOKEN}")]
    places["error"].outputs = [notebooks.output("error", ename="E", evalue="no", traceback=[f"at {painted}"])]
    places["attached"] = notebooks.words("![a](attachment:a)")
    places["attached"]["attachments"] = {"a": {"image/png": data}}
    for cell in places.values():
        nb = notebooks.notebook(notebooks.words("# One"), cell)
        (leak,) = shown.take_out(nb, SCANNER)
        heading = "With «TILLS_TOKEN»" if "# With" in cell.source else "One"
        assert leak == Leak(f"Cell 2 of 2 (section {heading!r})", "TILLS_TOKEN")
        assert shown.look(nb, SCANNER) == ()
    nb = notebooks.notebook(notebooks.words("# One"))
    nb.metadata["widgets"] = {"state": TOKEN}
    assert shown.take_out(nb, SCANNER) == (Leak("The notebook's metadata", "TILLS_TOKEN"),)
    assert TOKEN not in json.dumps(nb)


def _shows(data: dict) -> nbformat.NotebookNode:
    cell = notebooks.code("show()")
    cell.outputs = [notebooks.output("display_data", data=data)]
    return cell


# Where nothing can be refused.


def test_no_row_of_the_ledger_holds_a_secret(shop):
    """Whatever is written, in whichever table, as text or JSON, one row or many, has the name in its place."""
    found = shop("good")
    _assert_clean(Ledger.of(found))
    assert_nowhere(found.folder)


def test_no_row_of_a_ledger_on_postgresql_holds_a_secret(shop):
    """Its driver is handed JSON in another form."""
    censor = shop("good").censor
    with running_postgres().database() as name:
        _assert_clean(Ledger.open(running_postgres().url(name), censor))


def _assert_clean(ledger: Ledger) -> None:
    run = Run("r", "good", DAY, "", NOW, parameters={"a": [TOKEN, PASSWORD]})
    ledger.begin(run)
    with ledger.write() as tx:
        for who in ("ann", URL):
            journal.act(tx, journal.Act(NOW, who, "done", {"evidence": f"I used {PASSWORD}"}))
        journal.set_mark(tx, "look", journal.Mark(NOW, f"up to {TOKEN}"))
        assert journal.mark(tx, "look") == journal.Mark(NOW, "up to «TILLS_TOKEN»")
        acts = journal.acts(tx, NOW, NOW.replace(hour=9))
    assert [(act.who, act.details["evidence"]) for act in acts] == [
        ("ann", "I used «TILLS_URL»"),
        ("«TILLS_URL»", "I used «TILLS_URL»"),
    ]
    assert ledger.runs()[0].parameters == {"a": ["«TILLS_TOKEN»", "«TILLS_URL»"]}
    findings = tuple(Finding(f"c{i}", Level.WARN, f"No answer: {URL}", None, {"at": [URL]}) for i in range(3))
    ledger.finish(Result(run, findings=findings))
    assert {finding.message for finding in ledger.findings("r")} == {"No answer: «TILLS_URL»"}
    assert {finding.numbers["at"][0] for finding in ledger.findings("r")} == {"«TILLS_URL»"}
    ledger.close()


def test_a_diary_goes_on_without_the_secret(tmp_path):
    """A line that would hold one is written with the name in its place."""
    book = diary.Diary(tmp_path, Run("r", "good", DAY, "", NOW), lambda: NOW, SCANNER.redact)
    book.note("error", message=f'cannot reach "{PASSWORD}" at {URL}')
    (line,) = diary.read(tmp_path)
    assert line["message"] == 'cannot reach "«TILLS_URL»" at «TILLS_URL»'


@pytest.mark.parametrize("terminal", [True, False])
def test_the_scheduler_logs_no_secret(shop, capsys, terminal):
    """Neither for people nor for machines."""
    log = service.logger(shop("good").censor, terminal=terminal)
    log("not told", error=f"503 of {URL}, {PASSWORD}, {TOKEN}")
    said = capsys.readouterr().err
    assert "«TILLS_TOKEN»" in said.encode().decode("unicode_escape") or "«TILLS_TOKEN»" in said
    assert SCANNER.found(said) is None


def test_an_error_of_the_command_line_shows_no_secret(shop, monkeypatch):
    """Of a word that was mistaken for another, and of an address that stands in config/ itself."""
    found = shop("good", settings=SETTINGS + "ledger: postgresql+nothing://me:hidden-7Qx@db.example.com/x\n")
    monkeypatch.setenv("TILLS_TOKEN", TOKEN)
    code, out, err = runner(found.folder, "run", TOKEN, "--as-of", DAY)
    assert (code, out) == (2, "")
    assert "'«TILLS_TOKEN»'" in err
    assert TOKEN not in err
    assert found.censor.redact("FATAL: hidden-7Qx") == "FATAL: «settings.ledger»"


# Messages.


def test_no_mail_leaves_with_a_secret(shop):
    """Whoever composed it: in its subject, its text as it is read, or what it carries, it is refused at the door."""
    found = shop("good")
    for part in ("subject", "text", "attachment", "nothing"):
        letter = EmailMessage(policy=SMTP)
        letter["From"], letter["To"] = "reports@example.com", "olga@example.com"
        letter["Message-ID"] = f"<{uuid.uuid4()}@example.com>"
        letter["Subject"] = f"It is {TOKEN}" if part == "subject" else "It is"
        padding = "x" * 70  # a long line is broken, in the middle of the word
        letter.set_content(f"{padding}{TOKEN if part == 'text' else ''}", cte="quoted-printable")
        carried = TOKEN if part == "attachment" else "nothing"
        letter.add_attachment(f"day,{carried}".encode(), maintype="text", subtype="csv", filename="a.csv")
        with Door(found, {}) as door:
            outcome = door.post(letter)
        if part == "nothing":
            assert outcome.kind is Kind.TAKEN
        else:
            assert outcome.kind is Kind.REFUSED
            assert outcome.what == "The message to olga@example.com shows the content of TILLS_TOKEN."
    assert len(mails(found.folder)) == 1


def test_an_alert_goes_out_without_the_secret(shop):
    """Whatever stands in the error that it tells of, somebody must be told."""
    found = shop("good")
    message = Message("Failed", f"No answer from {URL}.", facts=(("Error", f"403 for {TOKEN}"),))
    Channels(found, {}).send(Parcel("<1@example.com>", "Ann", "ann@example.com", "mail", message), NOW)
    (mail,) = mails(found.folder)
    parsed = message_from_bytes(mail.read_bytes(), policy=SMTP)
    texts = [part.get_content() for part in parsed.walk() if not part.is_multipart()]
    assert all("«TILLS_TOKEN»" in text and "«TILLS_URL»" in text for text in texts)
    assert all(SCANNER.found(text) is None for text in texts)
