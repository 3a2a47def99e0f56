"""A run's end: swept of secrets, its files written, its row in the ledger, its folder in place, then handed over.

Whatever goes wrong on the way, the run ends, and its row says how.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from runner.errors import (
    Interrupted,
    KernelDied,
    ReportStopped,
    RunFailed,
    RunnerError,
    SourceFailed,
    Trouble,
    no_room,
)
from runner.ledger import Fenced, Result, Run, journal
from runner.model import Decision, Level, Status
from runner.report import handover, manifest, notebooks, release, scraps, shelf, shown
from runner.report.draft import Ctx, Draft, Made, Step, diary_of

_ROOM = "Make room on the disk, or correct what is named, and run it again."


def swept(draft: Draft, ctx: Ctx) -> Draft:
    """The draft fit to be kept: no file of it or in its folder, no error and no traceback shows a secret."""
    scanner, error, work = ctx.project.censor.scanner, draft.error, shelf.work(ctx.project, draft.run.run)
    seen = () if draft.nb is None else (f"{draft.run.pipeline}.ipynb",)
    printed = shown.in_files(draft.files, scanner)
    try:
        leaks = (*printed, *shown.sweep(work, scanner, seen))
    except OSError as trouble:  # what cannot be looked through is not kept
        shutil.rmtree(work, ignore_errors=True)
        error = error or RunFailed(f"The run's files could not be looked through: {trouble}.", "Run it again.")
    else:
        error = error or (shown.error_of(leaks) if leaks else None)
    kept = replace(draft, files={} if printed else draft.files, detail=scanner.redact(draft.detail))
    return replace(kept, error=shown.cleaned(error, scanner) if error else None)


def keep(draft: Draft, ctx: Ctx) -> Made:
    """Write the run's folder, record the run, let the folder appear, and hand over."""
    draft = _named_cancellation(draft, ctx)
    draft = replace(draft, run=_ended(draft, ctx))
    run, deliver = draft.run, draft.run.status is Status.READY and release.is_wanted(draft.plan, ctx)
    try:
        work = shelf.work(ctx.project, run.run)
        _note_end(draft, ctx)
        _write(draft, ctx, work)
        ctx.ledger.finish(_result(draft, ctx, work, deliver=deliver))
    except Fenced as error:
        return _fenced(run, ctx, error)
    except Exception as error:  # noqa: BLE001 - a full disk, say: the run still ends, and truthfully
        return _lost(draft, ctx, error)
    shelf.move(ctx.project, run)
    if deliver:
        ctx.tell(Step(run.pipeline, "hand over"))
        return release.hand_over(run, ctx)
    passing = isinstance(draft.error, SourceFailed) and draft.error.passing
    return replace(Made.of(run, ctx), remedy=_remedy(draft), passing=passing)


def _named_cancellation(draft: Draft, ctx: Ctx) -> Draft:
    """A run that was interrupted because somebody cancelled it says who, and why."""
    if not isinstance(draft.error, Interrupted):
        return draft
    with ctx.ledger.read() as tx:
        wish = journal.cancelled(tx, draft.run.run)
    if wish is None:
        return draft
    because = f": {wish.because.rstrip('.')}." if wish.because else "."
    what = f"Cancelled by {ctx.project.name_of(wish.who)}{because}"
    return replace(draft, error=Interrupted(what, "Run it again when it is wanted; nothing was sent."))


def _note_end(draft: Draft, ctx: Ctx) -> None:
    diary, run = diary_of(draft.run, ctx), draft.run
    for finding in draft.scraps.findings:
        if finding.level is not Level.PASS:
            diary.note("finding", check=finding.check, level=str(finding.level), message=finding.message)
    if draft.error:
        diary.note("error", error=type(draft.error).__name__, message=draft.error.what, remedy=draft.error.remedy)
    diary.note("run ends", status=str(run.status), trouble=run.trouble and str(run.trouble), message=run.message)


def _result(draft: Draft, ctx: Ctx, work: Path, *, deliver: bool) -> Result:
    """All that the ledger is told of a run."""
    return Result(
        draft.run,
        findings=draft.scraps.findings,
        figures=draft.scraps.figures,
        artifacts=shelf.artifacts(work),
        records=draft.scraps.records if draft.run.status is Status.READY else {},
        owed=handover.owed(ctx.project, draft.run) if deliver else (),
    )


def _lost(draft: Draft, ctx: Ctx, error: Exception) -> Made:
    """The end of a run whose files or rows could not be written: failed, with nothing kept and nothing owed."""
    said = error.what if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
    what = ctx.project.censor.redact(f"The run could not be kept: {said.rstrip('.')}.")
    trouble = Trouble.DISK_FULL if no_room(error) else draft.run.trouble
    run = replace(draft.run, status=Status.FAILED, decision=Decision.STOP, trouble=trouble, message=what, folder="")
    ctx.ledger.finish(Result(run))
    return replace(Made.of(run, ctx), remedy=_ROOM, folder=None)


def _fenced(run: Run, ctx: Ctx, error: Fenced) -> Made:
    """The end of a run that stood still for so long that another runner took it over: nothing of it is kept."""
    shelf.drop(ctx.project, run.run)
    taken = ctx.ledger.run(run.run) or run
    return replace(Made.of(taken, ctx), message=error.what, remedy=error.remedy, folder=None)


def _ended(draft: Draft, ctx: Ctx) -> Run:
    """The run with the status that follows from what happened."""
    run, error = replace(draft.run, finished_at=ctx.clock.now(), folder=_folder(draft.run)), draft.error
    if error is None:
        return run
    status = Status.STOPPED if isinstance(error, ReportStopped) else Status.FAILED
    status = Status.INTERRUPTED if isinstance(error, Interrupted) else status
    trouble = _trouble(draft) or error.trouble
    return replace(run, status=status, decision=Decision.STOP, trouble=trouble, message=error.what)


def _trouble(draft: Draft) -> Trouble | None:
    """A stop that a check found names the trouble better than the error that followed it."""
    if not isinstance(draft.error, ReportStopped) or draft.nb is None:
        return None
    found = (*draft.scraps.findings, *scraps.findings(draft.nb))
    return next((finding.trouble for finding in found if finding.level is Level.STOP), None)


def _folder(run: Run) -> str:
    return f"reports/{run.pipeline}/{run.period}/{run.run}"


def _remedy(draft: Draft) -> str:
    if draft.error:
        return draft.error.remedy or "Nothing was sent; the notebook of this run shows what was found."
    if draft.run.status is Status.HELD:
        return approval_of(draft.run)
    return "Correct the data or the notebook, then run it again." if draft.run.status is Status.STOPPED else ""


def approval_of(run: Run) -> str:
    """What a person may do about a held run."""
    command = f'runner approve {run.run} --by WHO --because "..."'
    return f"Look at the report; a person decides whether it goes out. To let it go: {command}"


def _write(draft: Draft, ctx: Ctx, work: Path) -> None:
    run, name = draft.run, draft.run.pipeline
    for leftover in work.glob(".*"):
        leftover.unlink()
    if draft.nb is not None:
        draft.nb.metadata.setdefault("runner", manifest.meta(draft, ctx))["status"] = str(run.status)
        draft.nb.metadata = shown.without(draft.nb.metadata, ctx.project.censor.scanner)  # it says what config says
        notebooks.write(draft.nb, work / f"{name}.ipynb")
    if not isinstance(draft.error, KernelDied):
        (work / "kernel.log").unlink(missing_ok=True)
    if draft.detail:
        shelf.put(work, "traceback.txt", draft.detail)
    for path, content in draft.files.items():
        # Files that were not proven are kept for a person to see, under a name that nobody takes for the report.
        shelf.put(work, _named(path, name) if draft.error else path, content)
    if draft.scraps.figures:
        shelf.put_json(work, "figures.json", manifest.figures(draft), ctx.project.censor.redact)
    shelf.put_json(work, "manifest.json", manifest.manifest(draft, work, ctx), ctx.project.censor.redact)


def _named(path: str, name: str) -> str:
    return path.replace(f"{name}.", f"{name}.unproven.", 1) if path.startswith(f"{name}.") else path
