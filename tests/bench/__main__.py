"""`python -m tests.bench`: measure, print the table, and leave bench.json, bench.png and bench.svg."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from runner.warm.processes import adopt_orphans, end_below
from tests.bench import machine, table
from tests.bench.running import ROOT, tell
from tests.bench.shapes import Item, Size

#: The items by number: the module that measures each.
ITEMS = {1: "report", 2: "limit", 3: "fanout", 4: "ledger", 5: "data", 6: "startup", 7: "desk"}
ROUNDS = 3


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when an item failed, 130 when it was interrupted."""
    asked = _asked(words)
    adopt_orphans()  # whatever is started here ends here, also what left its session
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    scratch = ROOT / ".cache" / "bench" / f"{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        return _run(asked, Size(asked.small, asked.rounds or (1 if asked.small else ROUNDS), scratch))
    except KeyboardInterrupt:
        tell("Interrupted.")
        return 130
    finally:
        _end_all()
        shutil.rmtree(scratch, ignore_errors=True)


def _end_all() -> None:
    """Ask everything that is left to end, so that it tidies up; then end it."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(left, timeout=3)
    end_below(os.getpid())


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Ours beside the usual way.")
    parser.add_argument("--small", action="store_true", help="only prove that it works")
    parser.add_argument("--items", type=_numbers, default=tuple(ITEMS), metavar="1,3", help="only these")
    parser.add_argument("--rounds", type=int, default=0, help=f"how often each is timed (default {ROUNDS})")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench", help="where the results go")
    return parser.parse_args(words)


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    if not set(numbers) <= set(ITEMS):
        raise argparse.ArgumentTypeError(f"the items are {', '.join(map(str, ITEMS))}")
    return numbers


def _run(asked: argparse.Namespace, size: Size) -> int:
    began = time.monotonic()
    items, failed = measured({number: ITEMS[number] for number in asked.items}, size)
    found = {
        "date": machine.when(),
        "small": size.small,
        "rounds": size.rounds,
        "seconds": round(time.monotonic() - began),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "items": [_plain(item) for item in items],
        "failed": failed,
    }
    sys.stdout.write("\n".join([*table.lines(items, failed), "", table.summary(items, failed), ""]))
    sys.stdout.flush()
    _keep(asked.out, found, items)
    return 1 if failed else 0


def measured(modules: Mapping[int, str], size: Size) -> tuple[list[Item], dict[str, str]]:
    """What each item found; one that fails is told of, and the others go on."""
    items, failed = [], {}
    for number, name in modules.items():
        tell(f"[{number}] {name}")
        began = time.monotonic()
        try:
            items.append(_checked(importlib.import_module(f"tests.bench.{name}").measure(size)))
            tell(f"[{number}] {name}: {time.monotonic() - began:.0f} s")
        except Exception as error:  # noqa: BLE001 - one bad item never stops the line
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
    return items, failed


def _checked(item: Item) -> Item:
    odd = [row.label for row in item.rows if not math.isfinite(row.value)]
    if odd:
        raise ValueError(f"No number for {', '.join(odd)}.")
    return item


def _plain(item: Item) -> dict[str, Any]:
    return {**dataclasses.asdict(item), "details": dict(item.details)}


def _keep(out: Path, found: dict[str, Any], items: Sequence[Item]) -> None:
    from tests.bench import picture  # noqa: PLC0415 - matplotlib; no measured child is to begin with it

    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
    if items:
        picture.save(picture.draw(items), out / "bench")


if __name__ == "__main__":
    sys.exit(main())
