"""One report from its request to its readers: check, execute, read, gate, render, prove, keep, hand over.

Each stage takes what is known so far (a `Draft`) and hands back a fuller one. The first error ends the making, and
what was made by then is kept with a truthful label. Nothing is visible in `reports/<pipeline>/` before it is whole.
"""

from __future__ import annotations

import secrets
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from runner.config import WAREHOUSE, Project
from runner.document import shipped
from runner.errors import (
    DiskFull,
    ProofFailed,
    ReportStopped,
    RunFailed,
    RunnerError,
    no_room,
)
from runner.ledger import Run, finished
from runner.model import Decision, Level, Scraps, Status
from runner.report import (
    gate,
    handover,
    inputs,
    keeping,
    manifest,
    notebooks,
    release,
    restatement,
    scraps,
    shelf,
    shown,
)
from runner.report.draft import Ctx, Draft, Made, Step, diary_of
from runner.report.execute import Progress, Request, environment, execute
from runner.report.inputs import Inputs
from runner.report.job import Job, Plan, check, day_of, epoch
from runner.report.press import Press, Sheet
from runner.report.supply import Supplier, is_wanted, supplied, wish_for
from runner.report.warming import settled
from runner.secrets import variables as secret_variables

#: What was fetched for a run, in the folder of its work while it is made.
SUPPLY = ".supply.json"
#: Where a press lays its files, in the folder of the run's work.
PRINTED = "printed"
_ROOM = "Make room on the disk, or correct what is named, and run it again."

_STATUS = {Decision.DELIVER: Status.READY, Decision.HOLD: Status.HELD, Decision.STOP: Status.STOPPED}


# The whole.


def produce(job: Job, ctx: Ctx) -> Made:
    """Make one report and hand it over, or say why not.

    Raises UsageError and ConfigError for a wish that cannot be begun; everything else is told in what is handed back.
    """
    plan = check(job, ctx.project)
    if not is_wanted(ctx.project, job.pipeline):
        return _produce(plan, ctx)
    wish = wish_for(ctx.project, job.pipeline, day_of(job.as_of), anew=job.again)
    with supplied(wish, _supplier(job, ctx)) as found:
        return _produce(replace(plan, supply=found), ctx)


def _supplier(job: Job, ctx: Ctx) -> Supplier:
    def tell(what: str) -> None:
        ctx.tell(Step(job.pipeline.name, "fetch", heading=what))

    return Supplier(ctx.project, ctx.ledger, ctx.clock.now, ctx.stop, _name(ctx.clock.now()), tell)


def _produce(plan: Plan, ctx: Ctx) -> Made:
    job = plan.job
    if plan.supply.error is not None:
        return _make(plan, None, ctx, plan.supply.error)
    try:
        made_of = _inputs(plan, ctx)
    except ReportStopped as error:
        return _make(plan, None, ctx, error)
    earlier = None if job.again else _earlier(plan, made_of, ctx)
    return _repeat(earlier, plan, ctx) if earlier else _make(plan, made_of, ctx)


def _inputs(plan: Plan, ctx: Ctx) -> Inputs:
    pipeline = plan.pipeline
    return Inputs(
        inputs.code(ctx.project, pipeline, _templates(ctx.project)),
        plan.values,
        inputs.data(ctx.project, pipeline, ctx.ledger, plan.job.as_of, plan.supply.place),
        inputs.environment(),
    )


def _templates(project: Project) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((*project.templates, shipped.TEMPLATES)))


# An earlier run that is good enough.


def _earlier(plan: Plan, made_of: Inputs, ctx: Ctx) -> Run | None:
    """The newest run made of the very same, if its files are untouched and no newer version was delivered."""
    fit = {Status.READY, Status.DELIVERED, Status.HELD}
    runs = [run for run in ctx.ledger.runs(plan.pipeline.name, plan.period.key) if run.inputs == made_of.digest]
    found = next((run for run in runs if (run.status in fit and run.folder) or finished.is_rejected(run)), None)
    if found and finished.is_rejected(found):
        return found
    if not found or not shelf.intact(shelf.place(ctx.project, found), ctx.ledger.artifacts(found.run)):
        return None
    delivered = ctx.ledger.delivered(plan.pipeline.name, plan.period.key)
    if not delivered or found.run == delivered.run or found.status is Status.HELD:
        return found
    same = not restatement.changes(ctx.ledger.figures(delivered.run), ctx.ledger.figures(found.run))
    return found if same and delivered.version == found.version else None


def _repeat(run: Run, plan: Plan, ctx: Ctx) -> Made:
    """Hand over what is still owed of an earlier run; nothing is made again."""
    made = replace(Made.of(run, ctx), fresh=False)
    if finished.is_rejected(run):
        remedy = "Correct the data or the notebook; --again makes the very same anew, for another decision."
        return replace(made, message=f"Nothing changed since it was turned down. {run.message}", remedy=remedy)
    if run.status is Status.HELD:
        return replace(
            made, message=f"Nothing changed since it was held: {run.message}", remedy=keeping.approval_of(run)
        )
    if not release.is_wanted(plan, ctx):
        return replace(made, message="Nothing changed: made already.")
    handover.owe_again(ctx.project, ctx.ledger, run)
    made = replace(release.hand_over(run, ctx), fresh=False)
    said = "made already, handed over now." if made.sent else "already delivered."
    return made if made.exit_code else replace(made, message=f"Nothing changed: {said}")


# Making.


def _make(plan: Plan, made_of: Inputs | None, ctx: Ctx, error: RunnerError | None = None) -> Made:
    run = _begin(plan, made_of, ctx)
    draft = Draft(plan, run, made_of, scraps=Scraps(findings=plan.supply.findings), error=error)
    shelf.work(ctx.project, run.run).mkdir(parents=True)
    ctx.project.censor.renew()
    diary_of(run, ctx).note("run begins", parameters=dict(plan.values), inputs=run.inputs)
    for event, fields in plan.supply.notes:
        diary_of(run, ctx).note(event, **fields)
    with ctx.presses.one() as press:
        desk = replace(ctx, press=press)
        for stage in (_execute, _read, _compare, _gate, _render, _prove):
            if draft.error is None and draft.run.decision is not Decision.STOP:
                draft = _attempt(stage, draft, desk)
    return keeping.keep(keeping.swept(draft, ctx), ctx)


def _begin(plan: Plan, made_of: Inputs | None, ctx: Ctx) -> Run:
    now, supply = ctx.clock.now(), plan.supply
    began, name = supply.began or now, supply.run or _name(now)
    digest = made_of.digest if made_of else ""
    run = Run(name, plan.pipeline.name, plan.period.key, digest, began, parameters=plan.values)
    # What was fetched belongs to the run and its time; the lease begins now.
    ctx.ledger.begin(run, ctx.lease and ctx.lease + (now - began))
    return run


def _name(now: datetime) -> str:
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _attempt(stage: Callable[[Draft, Ctx], Draft], draft: Draft, ctx: Ctx) -> Draft:
    """One stage; whatever goes wrong in it becomes the draft's error, so that other reports go on."""
    try:
        ctx.stop.check()
        ctx.tell(Step(draft.run.pipeline, stage.__name__.lstrip("_")))
        diary_of(draft.run, ctx).note("stage begins", stage=stage.__name__.lstrip("_"))
        return stage(draft, ctx)
    except RunnerError as error:
        return replace(draft, error=error)
    except Exception as error:  # noqa: BLE001 - a fault of ours ends this report, not the others
        if no_room(error):
            return replace(draft, error=DiskFull(f"The disk is full: {error}.", _ROOM))
        what = f"The runner itself failed at the stage {stage.__name__.lstrip('_')!r}: {type(error).__name__}: {error}."
        failed = RunFailed(what, "Its traceback lies beside the notebook, in traceback.txt; please report it.")
        return replace(draft, error=failed, detail=traceback.format_exc())


def _execute(draft: Draft, ctx: Ctx) -> Draft:
    project, run, pipeline = ctx.project, draft.run, draft.plan.pipeline
    if WAREHOUSE in pipeline.sources:
        from runner.notebook import warehouse  # noqa: PLC0415 - only for those who have one

        warehouse.prepare(project.folder, draft.plan.supply.place or Path(project.settings.warehouse))
    # Where this is missing IPython makes a folder for temporary files, for each kernel, and leaves it.
    (project.folder / ".cache" / "ipython").mkdir(parents=True, exist_ok=True)
    _show_supply(draft, ctx)
    diary = diary_of(run, ctx)

    def told(progress: Progress) -> None:
        ctx.tell(_step(pipeline.name, progress))
        diary.note("cell begins", cell=progress.cell, of=progress.cells, heading=progress.heading)

    def began(kernel: str) -> None:
        diary.note("kernel begins", kernel=kernel)

    outcome = execute(_request(draft, ctx), told, ctx.stop, began)
    diary.note("kernel ends")
    executed = replace(draft, nb=outcome.notebook, error=outcome.error, run=replace(run, kernel=outcome.kernel))
    return _without_secrets(executed, ctx)


def _without_secrets(draft: Draft, ctx: Ctx) -> Draft:
    """The draft with a notebook that shows none. A run that has not failed already fails for them."""
    leaks = shown.take_out(draft.notebook, ctx.project.censor.scanner)
    if not leaks:
        return draft
    name = f"{draft.run.pipeline}.ipynb"
    notebooks.write(draft.notebook, shelf.work(ctx.project, draft.run.run) / name, indent=None)
    for leak in leaks:
        diary_of(draft.run, ctx).note("secret shown", where=leak.where, what=leak.what)
    return replace(draft, error=draft.error or shown.error_of(leaks))


def _request(draft: Draft, ctx: Ctx) -> Request:
    project, run, pipeline = ctx.project, draft.run, draft.plan.pipeline
    return Request(
        run=run.run,
        notebook=project.notebook(pipeline),
        output=shelf.work(project, run.run) / f"{pipeline.name}.ipynb",
        parameters=draft.plan.values,
        limit=pipeline.limit or project.settings.run_limit,
        cell_limit=pipeline.cell_limit,
        env=_env(draft, ctx),
        withheld=ctx.withheld | withheld(project),
        cold=cold(project),
        clean=project.censor.redact,
    )


def cold(project: Project) -> str:
    """Why no kernel of this project is to begin warm; empty: it may."""
    return "" if project.settings.warm_kernels else "settings.yml says `warm_kernels: false`"


def _step(pipeline: str, told: Progress) -> Step:
    return Step(pipeline, "execute", told.cell, told.cells, told.heading)


def _env(draft: Draft, ctx: Ctx) -> dict[str, str]:
    """What the kernel of a run finds in its environment besides what is there anyway."""
    return {
        **settled(ctx.project.folder),
        "RUNNER_TOLD": str(shelf.work(ctx.project, draft.run.run).resolve() / scraps.TOLD),
        "SOURCE_DATE_EPOCH": str(epoch(draft.plan)),
        **_supplied_env(draft, ctx),
    }


def _supplied_env(draft: Draft, ctx: Ctx) -> dict[str, str]:
    supply, work = draft.plan.supply, shelf.work(ctx.project, draft.run.run).resolve()
    return {"RUNNER_WAREHOUSE": str(supply.place), "RUNNER_SUPPLY": str(work / SUPPLY)} if supply.place else {}


def withheld(project: Project) -> frozenset[str]:
    """The variables that hold secrets: no business of a notebook."""
    return secret_variables(project.secrets) | {"RUNNER_WATCH_TOKEN", "RUNNER_WATCH_TOKEN_FILE"}


def _show_supply(draft: Draft, ctx: Ctx) -> None:
    """Lay what was fetched where the notebook finds it, for its readers."""
    if draft.plan.supply.run:
        found = [finding.as_dict() for finding in draft.plan.supply.findings]
        shelf.put_json(shelf.work(ctx.project, draft.run.run), SUPPLY, found)


def _read(draft: Draft, ctx: Ctx) -> Draft:
    """Figures, findings, records and sources out of the notebook; the findings survive a figure that is off."""
    supply = draft.plan.supply.findings
    try:
        told = shelf.work(ctx.project, draft.run.run) / scraps.TOLD
        scraps.compare(draft.notebook, told.read_text() if told.exists() else "")
        found = scraps.read(draft.notebook)
        # A notebook that checked nothing is held; what was fetched says nothing of its figures.
        told_too = supply if found.findings else tuple(one for one in supply if one.level is not Level.PASS)
        return replace(draft, scraps=replace(found, findings=(*told_too, *found.findings)))
    except ReportStopped as error:
        return replace(draft, scraps=Scraps(findings=(*supply, *scraps.findings(draft.notebook))), error=error)


def _compare(draft: Draft, ctx: Ctx) -> Draft:
    """Decide the version; figures or records that differ from those handed out are a finding."""
    run = draft.run
    if draft.inputs and _data_now(draft, ctx) != draft.inputs.data:
        raise RunFailed("A source changed while the report was being made.", "Run it again.")
    _know_sources(draft, ctx)
    delivered = ctx.ledger.delivered(run.pipeline, run.period)
    restates = restatement.restates(ctx.ledger, delivered, draft.scraps.figures)
    restated = ctx.ledger.restated(run.pipeline, draft.scraps.records)
    rejected = _rejected(draft, ctx)
    version = (delivered.version or 1) + bool(restates) if delivered else 1
    changed = [change.sentence for change in restates.changes] if restates else []
    findings = [restatement.finding("restatement of figures", changed)] if changed else []
    findings += [restatement.finding("restatement of records", restated)] if restated else []
    findings += [restatement.rejected_before(rejected)] if rejected else []
    kept = replace(draft.scraps, findings=(*draft.scraps.findings, *findings))
    return replace(draft, scraps=kept, restates=restates, run=replace(run, version=version))


def _rejected(draft: Draft, ctx: Ctx) -> Run | None:
    """The run that a person turned down, if it was made of the very same and nobody has let that out since."""
    runs = ctx.ledger.runs(draft.run.pipeline, draft.run.period)
    same = (run for run in runs if run.inputs and run.inputs == draft.run.inputs)
    decided = (run for run in same if run.status in {Status.READY, Status.DELIVERED} or finished.is_rejected(run))
    newest = next(decided, None)
    return newest if newest and finished.is_rejected(newest) else None


def _data_now(draft: Draft, ctx: Ctx) -> Mapping[str, str]:
    plan = draft.plan
    return inputs.data(ctx.project, plan.pipeline, ctx.ledger, plan.job.as_of, plan.supply.place)


def _know_sources(draft: Draft, ctx: Ctx) -> None:
    """A file that was read but is not listed would change unseen: the same inputs would no longer mean the same."""
    pipeline = draft.plan.pipeline
    read = [name for name in draft.scraps.sources if (ctx.project.folder / name).is_file()]
    unlisted = [name for name in read if name not in pipeline.sources]
    if unlisted:
        raise RunFailed(
            f"{pipeline.notebook} reads {unlisted[0]}, which is not among the sources of {pipeline.name}.",
            "Add it to `sources` in config/pipelines.yml.",
        )


def _gate(draft: Draft, ctx: Ctx) -> Draft:
    judged = _judged(draft)
    judged.notebook.metadata["runner"] = manifest.meta(judged, ctx)
    return judged


def _judged(draft: Draft) -> Draft:
    """The draft with what the gate says of its findings so far; asked again when the proof has doubts of its own."""
    verdict = gate.judge(draft.scraps.findings)
    run = replace(draft.run, decision=verdict.decision, status=_STATUS[verdict.decision], message=verdict.reason)
    if verdict.decision is not Decision.DELIVER:
        worst = Level.STOP if verdict.decision is Decision.STOP else Level.WARN
        run = replace(run, trouble=next((f.trouble for f in draft.scraps.findings if f.level is worst), None))
    return replace(draft, run=run)


def _render(draft: Draft, ctx: Ctx) -> Draft:
    """HTML, PDF and charts, made by the press."""
    project, pipeline, run = ctx.project, draft.plan.pipeline, draft.run
    work = shelf.work(project, run.run)
    sheet = Sheet(
        name=run.pipeline,
        notebook=work / f"{pipeline.name}.ipynb",
        meta=draft.notebook.metadata["runner"],
        folder=work / PRINTED,
        templates=_templates(project),
        beside=project.notebook(pipeline).parent,
        within=project.folder,
        env=environment(_request(draft, ctx)),
        cold=cold(project),
    )
    names = _press(ctx).render(sheet, project.settings.render_limit, ctx.stop)
    files: dict[str, str | bytes] = {name: (sheet.folder / name).read_bytes() for name in names}
    shutil.rmtree(sheet.folder)
    scanner = ctx.project.censor.scanner
    if scanner.knows:
        shown.refuse(_press(ctx).words(project.settings.render_limit, ctx.stop), scanner)
    return replace(draft, files=files)


def _press(ctx: Ctx) -> Press:
    assert ctx.press is not None  # noqa: S101 - `_make` has taken one
    return ctx.press


def _prove(draft: Draft, ctx: Ctx) -> Draft:
    """Read the finished files back."""
    name = draft.run.pipeline
    found = _press(ctx).prove(draft.scraps.figures, ctx.project.settings.render_limit, ctx.stop)
    proven = replace(draft, scraps=replace(draft.scraps, findings=(*draft.scraps.findings, *found)))
    if any(finding.level is Level.WARN for finding in found):
        proven = _judged(proven)  # such as a page that lacks a glyph: a person looks before it goes out
    bad = [finding for finding in found if finding.level is Level.STOP]
    if not bad:
        return proven
    error = ProofFailed(bad[0].message, f"Look at {name}.unproven.pdf in the run's folder, and correct the notebook.")
    return replace(proven, error=error)


# Handing over.


def resume(name: str, job: Job, ctx: Ctx) -> Made:
    """Hand over what is still owed of a run and make nothing anew, unless its files are lost or it was overtaken.

    Raises as `produce` does, and Taken.
    """
    run = ctx.ledger.run(name)
    if run is not None and run.status is Status.DELIVERED:  # by a person, in the meantime
        return replace(Made.of(run, ctx), fresh=False)
    if run is None or run.status is not Status.READY:
        return produce(job, ctx)
    if not handover.is_intact(ctx.ledger, run, shelf.place(ctx.project, run)):
        return produce(job, ctx)
    return replace(release.hand_over(run, ctx), fresh=False)
