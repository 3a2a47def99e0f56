"""A file known again: delivered or not, changed or not, restated or not; and hostile files, within bounds."""

from __future__ import annotations

import json
import os
import shutil
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config
from runner.commands import gate, verify
from runner.commands.gate import Wish
from runner.errors import UsageError
from runner.ledger import Ledger
from runner.report import inputs, seal, shelf
from tests.held_reports import IN_CLEOS_WEEK, make, runs, shop
from tests.small_projects import runner

LATER = IN_CLEOS_WEEK


@pytest.fixture(scope="module")
def sent_once(tmp_path_factory):
    """A project whose report is delivered, made once."""
    folder = shop(tmp_path_factory.mktemp("sent"))
    assert make(folder) == 0
    return folder


@pytest.fixture(scope="module")
def other_once(sent_once, tmp_path_factory):
    """That project, with a restatement that is held, made once."""
    folder = shutil.copytree(sent_once, tmp_path_factory.mktemp("other") / "shop")
    assert make(folder, texts={"amount": "13"}) == 3
    return folder


@pytest.fixture
def other(other_once, tmp_path):
    """A copy of that project: its folder, the folder of the delivered run and that of the held one."""
    folder = shutil.copytree(other_once, tmp_path / "shop")
    held, sent = (shelf.place(config.load(folder), run) for run in runs(folder))
    return folder, sent, held


@pytest.fixture
def told(capsys):
    """What `runner verify` says of a file: its exit code and its row."""

    def call(folder, path):
        capsys.readouterr()
        code = verify.verify(config.load(folder), path, as_json=True)
        (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
        return code, row

    return call


@pytest.mark.parametrize("name", ["good.pdf", "good.html"])
def test_the_delivered_file_is_known_wherever_it_lies(other, told, tmp_path, name):
    """Renamed and moved it is still the report that both readers have, with the run, the version and the times."""
    folder, sent, held = other
    path = shutil.copy(sent / name, tmp_path / "mailed back (2).tmp")
    code, row = told(folder, path)
    assert (code, row["is"], row["run"], row["version"]) == (0, "delivered", sent.name, 1)
    assert [one["recipient"] for one in row["delivered_to"]] == ["olga@example.com", "oscar@example.com"]
    assert all(one["at"] and one["state"] == "sent" for one in row["delivered_to"])
    assert f"Run {held.name} would restate it, and waits for a person's decision." in row["said"]


def test_what_is_held_was_delivered_to_nobody(other, told):
    """Made here, unchanged, and not delivered: held first, and then turned down, with the reason."""
    folder, _, held = other
    code, row = told(folder, held / "good.pdf")
    assert (code, row["is"], row["delivered_to"]) == (3, "not delivered", [])
    assert "It is held" in row["said"][0]
    gate.reject(config.load(folder), Wish(held.name, "ann", "A till was doubled.", LATER), as_json=True)
    code, row = told(folder, held / "good.pdf")
    assert (code, row["is"]) == (3, "not delivered")
    assert row["said"][0].endswith("Rejected by Ann: A till was doubled.")


def test_a_restated_file_names_what_took_its_place(other, told):
    """Once the restatement is delivered the first file still says to whom it went, and no longer holds."""
    folder, sent, held = other
    gate.approve(config.load(folder), Wish(held.name, "ann", "Counted again.", LATER), as_json=True)
    code, row = told(folder, sent / "good.pdf")
    assert (code, row["is"], row["restated_by"], len(row["delivered_to"])) == (3, "restated", held.name, 2)
    assert row["said"][0].startswith("delivered, unchanged, and restated since.")
    code, row = told(folder, held / "good.pdf")
    assert (code, row["is"], row["version"]) == (0, "delivered", 2)


@pytest.mark.parametrize("name", ["good.pdf", "good.html"])
def test_a_changed_file_is_told_by_its_seal(other, told, tmp_path, name):
    """One byte more, or another figure: it says of which run it was, and that it is not as it was made."""
    folder, sent, _ = other
    for number, data in enumerate(
        ((sent / name).read_bytes() + b"\n", (sent / name).read_bytes().replace(b"1", b"7", 1))
    ):
        path = tmp_path / f"{number}{name}"
        path.write_bytes(data)
        code, row = told(folder, path)
        assert (code, row["is"], row["run"], row["delivered_to"]) == (1, "changed", sent.name, [])


def test_every_file_of_a_run_carries_the_hash_of_its_manifest(other):
    """The seal in HTML and PDF is that of the manifest's core: what the manifest says without what came later."""
    _, *places = other
    for place in places:
        manifest = json.loads((place / "manifest.json").read_text())
        after = {"core", "status", "decision", "message", "trouble", "finished_at", "findings", "artifacts"}
        core = {key: value for key, value in manifest.items() if key not in after}
        assert manifest["core"] == inputs.digest_of(core)
        for name in ("good.pdf", "good.html"):
            assert seal.seals_in((place / name).read_bytes()) == (seal.Seal(place.name, manifest["core"]),)


def test_a_part_of_a_report_is_not_the_report(other, told):
    """The notebook and the manifest of a delivered run are known, and are not what readers were sent."""
    folder, sent, _ = other
    for name in ("good.ipynb", "manifest.json"):
        assert (told(folder, sent / name)[0], told(folder, sent / name)[1]["is"]) == (3, "part")


@pytest.mark.parametrize(
    ("mark", "what"),
    [
        ("runner-seal:20990101T000000-abcdef:" + "a" * 64, "which this ledger does not know"),
        ("runner-seal:{run}:" + "a" * 64, "its seal is not that of this run"),
        ("runner-seal:{run}:{core} runner-seal:{other}:{core}", "seals of several runs"),
        ("runner-seal:{run}:" + "a" * 63, "No run here made it"),
        ("runner-seal:../../etc/passwd:" + "a" * 64, "No run here made it"),
    ],
)
def test_a_forged_seal_is_not_believed(other, told, tmp_path, mark, what):
    """A seal of no run, of another run, or of several: the file is unknown."""
    folder, sent, held = other
    core = json.loads((sent / "manifest.json").read_text())["core"]
    path = tmp_path / "forged.pdf"
    path.write_bytes(b"%PDF-1.7\n" + mark.format(run=sent.name, other=held.name, core=core).encode())
    code, row = told(folder, path)
    assert (code, row["is"], what in row["said"][0]) == (1, "unknown", True)


def test_a_copied_seal_makes_nothing_genuine(other, told, tmp_path):
    """Whoever has a report can copy its seal; the forgery counts as a changed file, and a pruned run's as well."""
    folder, sent, _ = other
    core = json.loads((sent / "manifest.json").read_text())["core"]
    path = tmp_path / "forged.html"
    path.write_text(f"<p>Revenue was 99.00</p>{seal.text_of(sent.name, core)}")
    assert (told(folder, path)[0], told(folder, path)[1]["is"]) == (1, "changed")
    shutil.rmtree(sent)
    assert (told(folder, path)[0], told(folder, path)[1]["is"]) == (1, "changed")


def pdf_with(*parts):
    """A PDF-like file with these compressed parts."""
    return b"%PDF-1.7\n" + b"".join(b"1 0 obj\n<<>>\nstream\n" + part + b"\nendstream\n" for part in parts)


def test_a_seal_in_a_file_saved_anew_is_found_and_a_bomb_is_not_let_off():
    """Another program compresses what we left open: the seal is found. A part of a gigabyte is opened a little way."""
    mark = seal.text_of("20171116T133000-0a1b2c", "a" * 64).encode()
    small = zlib.compress(b"<x:xmpmeta>" + mark + b"</x:xmpmeta>")
    assert seal.seals_in(pdf_with(b"no zlib", small)) == (seal.Seal("20171116T133000-0a1b2c", "a" * 64),)
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(64)) + packer.compress(mark) + packer.flush()
    assert seal.seals_in(pdf_with(*[bomb] * 600, small)) == ()


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_looked_at_without_harm(data, as_pdf):
    """Whatever a file holds, the look at it ends with a list of seals."""
    assert seal.seals_in((b"%PDF" if as_pdf else b"") + data + b"stream\n" + data) == ()


def test_a_huge_file_is_not_read(other, told, tmp_path):
    """A sparse file larger than any report is unknown, by its size alone."""
    path = tmp_path / "huge.pdf"
    with path.open("wb") as file:
        file.truncate(seal.LARGEST + 1)
    code, row = told(other[0], path)
    assert (code, row["is"], row["sha256"], row["size"]) == (1, "unknown", "", seal.LARGEST + 1)


def test_what_is_no_file_is_refused(other, tmp_path):
    """A folder, a missing file and a pipe that nobody writes to: refused at once, with nothing said."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "missing.pdf", tmp_path / "pipe", tmp_path / ("a" * 300)):
        with pytest.raises(UsageError, match=r"There is no file|cannot be read: File name too long"):
            verify.verify(config.load(other[0]), path, as_json=True)


def test_what_only_the_sandbox_got_was_delivered_to_nobody(other, told):
    """A rehearsal is no delivery."""
    folder, sent, _ = other
    ledger = Ledger.open(config.load(folder).ledger)
    with ledger.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET state = 'sandboxed'")
    ledger.close()
    assert told(folder, sent / "good.pdf")[1]["is"] == "not delivered"


def test_as_typed_it_names_the_readers_and_its_exit_code_says_it(other):
    """A person reads in a few lines what it is, who has it, and when they got it."""
    folder, sent, held = other
    code, out, _ = runner(folder, "verify", str(sent / "good.pdf"))
    assert (code, "delivered, and unchanged. It is the report of run" in out) == (0, True)
    assert out.count("@example.com") == 2
    assert runner(folder, "verify", str(held / "good.pdf"))[0] == 3
    assert runner(folder, "verify", str(folder / "config/people.yml"))[0] == 1
