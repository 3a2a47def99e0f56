"""One report from its request to its readers: check, execute, read, gate, render, prove, keep, hand over.

Each stage takes what is known so far (a `Draft`) and hands back a fuller one. The first error ends the making, and
what was made by then is kept with a truthful label. Nothing is visible in `reports/<pipeline>/` before it is whole.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner import __version__
from runner.config import WAREHOUSE, Pipeline, Project
from runner.document import shipped
from runner.errors import (
    ConfigError,
    DeliveryFailed,
    DiskFull,
    Interrupted,
    KernelDied,
    ProofFailed,
    ReportStopped,
    RunFailed,
    RunnerError,
    SourceFailed,
    Trouble,
    UsageError,
    no_room,
)
from runner.ledger import Fenced, Ledger, Result, Run, finished, journal
from runner.model import Decision, Level, Scraps, Status
from runner.plan.periods import Period, period_of
from runner.report import gate, handover, inputs, notebooks, parameters, restatement, scraps, seal, shelf, shown
from runner.report.diary import Diary
from runner.report.execute import Progress, Request, Stop, environment, execute
from runner.report.inputs import Inputs
from runner.report.notebooks import NotebookNode
from runner.report.parameters import Parameter
from runner.report.press import Press, Presses, Sheet
from runner.report.restatement import Restates
from runner.report.supply import Supplier, Supply, is_wanted, supplied, wish_for
from runner.report.warming import settled
from runner.secrets import variables as secret_variables

#: What was fetched for a run, in the folder of its work while it is made.
SUPPLY = ".supply.json"
#: Where a press lays its files, in the folder of the run's work.
PRINTED = "printed"
#: Years that a report can be about; outside them calendars and time stamps of files give out.
EARLIEST, LATEST = 1980, 2200

_ROOM = "Make room on the disk, or correct what is named, and run it again."

_STATUS = {Decision.DELIVER: Status.READY, Decision.HOLD: Status.HELD, Decision.STOP: Status.STOPPED}


@dataclass(frozen=True)
class Clock:
    """Tells the time from one reading: the instant a command began, and what has passed since."""

    start: datetime
    began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return (self.start + timedelta(seconds=time.monotonic() - self.began)).astimezone(UTC)


@dataclass(frozen=True)
class Job:
    """A wish for one report: of what, for when, and with which words from the command line."""

    pipeline: Pipeline
    as_of: str
    experiment: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
    deliver: bool = True


@dataclass(frozen=True)
class Step:
    """Something has begun: a stage, or a cell of the notebook (numbers from 1)."""

    pipeline: str
    stage: str
    cell: int = 0
    cells: int = 0
    heading: str = ""


@dataclass(frozen=True)
class Ctx:
    """What the making of every report shares."""

    project: Project
    ledger: Ledger
    clock: Clock
    stop: Stop
    tell: Callable[[Step], None]
    lease: timedelta | None = None  # how long a run may stand still before another runner takes it over
    withheld: frozenset[str] = frozenset()  # more variables that no kernel gets: a copy no longer names its channels
    presses: Presses = field(default_factory=Presses)
    press: Press | None = None  # of one report, while it is made
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)  # for secrets


@dataclass(frozen=True)
class Plan:
    """A job found to be in order, before anything is started."""

    job: Job
    period: Period
    values: Mapping[str, Any]
    supply: Supply = field(default_factory=Supply)  # what was fetched for it

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the job."""
        return self.job.pipeline


@dataclass(frozen=True)
class Made:
    """What came of a job: how it ended, where it lies, and what a person may do about it."""

    pipeline: str
    period: str
    status: Status
    message: str = ""
    remedy: str = ""
    trouble: Trouble | None = None
    run: str = ""
    folder: Path | None = None
    fresh: bool = True  # False: an earlier run was good enough
    sent: int = 0
    exit_code: int = 0
    passing: bool = False  # what kept it from being made may pass by itself


@dataclass(frozen=True)
class Draft:
    """A report in the making; each stage fills in more."""

    plan: Plan
    run: Run
    inputs: Inputs | None = None
    nb: NotebookNode | None = None
    scraps: Scraps = field(default_factory=Scraps)
    restates: Restates | None = None
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    error: RunnerError | None = None
    detail: str = ""

    @property
    def notebook(self) -> NotebookNode:
        """The executed notebook. Raises RunFailed before there is one."""
        if self.nb is None:
            raise RunFailed("There is no executed notebook.")
        return self.nb


# The whole.


def produce(job: Job, ctx: Ctx) -> Made:
    """Make one report and hand it over, or say why not.

    Raises UsageError and ConfigError for a wish that cannot be begun; everything else is told in what is handed back.
    """
    plan = check(job, ctx)
    if not is_wanted(ctx.project, job.pipeline):
        return _produce(plan, ctx)
    with supplied(wish_for(ctx.project, job.pipeline, _day(job.as_of)), _supplier(job, ctx)) as found:
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


def check(job: Job, ctx: Ctx) -> Plan:
    """The job with its period and the notebook's parameters, all found to fit. Raises UsageError, ConfigError."""
    notebook = ctx.project.notebook(job.pipeline)
    declared = inputs.remembered(parameters.read, notebook)
    period, carried = _about(job)
    for name in carried:
        if name not in declared:
            raise ConfigError(
                f"{notebook.name} has no parameter {name!r}, which carries the period of {job.pipeline.name}.",
                f'Add to its parameters cell: {name}: {"date" if name == "as_of" else "str"!r} = "…"',
            )
        if name in job.texts:
            raise UsageError(f"{name!r} is not given with -p.", f"Use --{name.replace('_', '-')}.")
    given = parameters.convert(notebook, declared, {**carried, **job.texts})
    return Plan(job, period, {**_configured(job.pipeline, notebook, declared), **given})


def _configured(pipeline: Pipeline, notebook: Path, declared: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters that pipelines.yml fixes."""
    try:
        return dict(parameters.check(notebook, declared, dict(pipeline.parameters)))
    except UsageError as error:
        raise ConfigError(f"config/pipelines.yml: pipelines.{pipeline.name}.parameters: {error}") from error


def period_for(job: Job) -> Period:
    """What a job is about. Raises UsageError when its words do not say."""
    return _about(job)[0]


def _about(job: Job) -> tuple[Period, dict[str, str]]:
    """The period, and the texts of the parameters that carry it."""
    day = _day(job.as_of)
    if job.pipeline.period != "experiment":
        if job.experiment is not None:
            raise UsageError(f"{job.pipeline.name} is not about an experiment.", "Leave --experiment out.")
        return period_of(job.pipeline.period, day), {"as_of": job.as_of}
    experiment = str(job.experiment if job.experiment is not None else job.pipeline.experiment)
    if (
        len(experiment) > 64
        or not all(letter.isalnum() or letter in "._-" for letter in experiment)
        or not experiment.strip(".")
    ):
        raise UsageError(f"No experiment is called {experiment!r}.", "Use up to 64 letters, digits, . _ and -.")
    return period_of("experiment", day, experiment), {"as_of": job.as_of, "experiment": experiment}


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not EARLIEST <= day.year <= LATEST:
        raise UsageError(f"--as-of {text!r} is not a day.", "Write it like 2017-11-15.")
    return day


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
    made = replace(_made(run, ctx), fresh=False)
    if finished.is_rejected(run):
        remedy = "Correct the data or the notebook; --again makes the very same anew, for another decision."
        return replace(made, message=f"Nothing changed since it was turned down. {run.message}", remedy=remedy)
    if run.status is Status.HELD:
        return replace(made, message=f"Nothing changed since it was held: {run.message}", remedy=_approval(run))
    if not _wants_delivery(plan, ctx):
        return replace(made, message="Nothing changed: made already.")
    handover.owe_again(ctx.project, ctx.ledger, run)
    made = replace(hand_over(run, ctx), fresh=False)
    said = "made already, handed over now." if made.sent else "already delivered."
    return made if made.exit_code else replace(made, message=f"Nothing changed: {said}")


# Making.


def _make(plan: Plan, made_of: Inputs | None, ctx: Ctx, error: RunnerError | None = None) -> Made:
    run = _begin(plan, made_of, ctx)
    draft = Draft(plan, run, made_of, scraps=Scraps(findings=plan.supply.findings), error=error)
    shelf.work(ctx.project, run.run).mkdir(parents=True)
    ctx.project.censor.renew()
    _diary(run, ctx).note("run begins", parameters=dict(plan.values), inputs=run.inputs)
    for event, fields in plan.supply.notes:
        _diary(run, ctx).note(event, **fields)
    with ctx.presses.one() as press:
        desk = replace(ctx, press=press)
        for stage in (_execute, _read, _compare, _gate, _render, _prove):
            if draft.error is None and draft.run.decision is not Decision.STOP:
                draft = _attempt(stage, draft, desk)
    return _keep(_swept(draft, ctx), ctx)


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
        _diary(draft.run, ctx).note("stage begins", stage=stage.__name__.lstrip("_"))
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
    diary = _diary(run, ctx)

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
        _diary(draft.run, ctx).note("secret shown", where=leak.where, what=leak.what)
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


def _diary(run: Run, ctx: Ctx) -> Diary:
    return Diary(shelf.work(ctx.project, run.run), run, ctx.clock.now, ctx.project.censor.redact)


def _step(pipeline: str, told: Progress) -> Step:
    return Step(pipeline, "execute", told.cell, told.cells, told.heading)


def _env(draft: Draft, ctx: Ctx) -> dict[str, str]:
    """What the kernel of a run finds in its environment besides what is there anyway."""
    return {
        **settled(ctx.project.folder),
        "RUNNER_TOLD": str(shelf.work(ctx.project, draft.run.run).resolve() / scraps.TOLD),
        "SOURCE_DATE_EPOCH": str(_epoch(draft.plan)),
        **_supplied_env(draft, ctx),
    }


def _supplied_env(draft: Draft, ctx: Ctx) -> dict[str, str]:
    supply, work = draft.plan.supply, shelf.work(ctx.project, draft.run.run).resolve()
    return {"RUNNER_WAREHOUSE": str(supply.place), "RUNNER_SUPPLY": str(work / SUPPLY)} if supply.place else {}


def withheld(project: Project) -> frozenset[str]:
    """The variables that hold secrets: no business of a notebook."""
    return secret_variables(project.secrets) | {"RUNNER_WATCH_TOKEN", "RUNNER_WATCH_TOKEN_FILE"}


def _epoch(plan: Plan) -> int:
    """The as-of day's midnight as Unix seconds: the time stamp in files, so that equal reports are equal bytes."""
    return int(datetime.combine(_day(plan.job.as_of), datetime.min.time(), UTC).timestamp())


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
    judged.notebook.metadata["runner"] = _meta(judged, ctx)
    return judged


def _judged(draft: Draft) -> Draft:
    """The draft with what the gate says of its findings so far; asked again when the proof has doubts of its own."""
    verdict = gate.judge(draft.scraps.findings)
    run = replace(draft.run, decision=verdict.decision, status=_STATUS[verdict.decision], message=verdict.reason)
    if verdict.decision is not Decision.DELIVER:
        worst = Level.STOP if verdict.decision is Decision.STOP else Level.WARN
        run = replace(run, trouble=next((f.trouble for f in draft.scraps.findings if f.level is worst), None))
    return replace(draft, run=run)


def _meta(draft: Draft, ctx: Ctx) -> dict[str, Any]:
    """What the renderer prints around the report."""
    project, pipeline, run = ctx.project, draft.plan.pipeline, draft.run
    owners = [
        (project.people.engineers[getattr(pipeline.owners, role)].name, role) for role in ("primary", "secondary")
    ]
    return {
        "company": project.settings.company,
        "pipeline": pipeline.name,
        "title": pipeline.title,
        "subtitle": pipeline.subtitle,
        "period": run.period,
        "period_text": draft.plan.period.text,
        "run": run.run,
        "owners": [f"{name} ({role})" for name, role in owners],
        "because": pipeline.owners.because,
        "deadline": pipeline.deadline,
        "status": str(run.status),
        "generated_at": ctx.clock.now().isoformat(timespec="seconds"),
        "confidential": project.settings.confidential,
        "timestamp": _epoch(draft.plan),
        "seal": seal.text_of(run.run, inputs.digest_of(_core(draft, ctx))),
        "restates": _restates(draft, ctx),
    }


def _restates(draft: Draft, ctx: Ctx) -> dict[str, Any] | None:
    """What readers had before, as plain JSON."""
    if draft.restates is None:
        return None
    return draft.restates.as_dict(ZoneInfo(ctx.project.settings.time_zone))


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


# Keeping.


def _swept(draft: Draft, ctx: Ctx) -> Draft:
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


def _keep(draft: Draft, ctx: Ctx) -> Made:
    """Write the run's folder, record the run, let the folder appear, and hand over."""
    draft = _named_cancellation(draft, ctx)
    draft = replace(draft, run=_ended(draft, ctx))
    run, deliver = draft.run, draft.run.status is Status.READY and _wants_delivery(draft.plan, ctx)
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
        return hand_over(run, ctx)
    passing = isinstance(draft.error, SourceFailed) and draft.error.passing
    return replace(_made(run, ctx), remedy=_remedy(draft), passing=passing)


def _named_cancellation(draft: Draft, ctx: Ctx) -> Draft:
    """A run that was interrupted because somebody cancelled it says who, and why."""
    if not isinstance(draft.error, Interrupted):
        return draft
    with ctx.ledger.read() as tx:
        wish = journal.cancelled(tx, draft.run.run)
    if wish is None:
        return draft
    because = f": {wish.because.rstrip('.')}." if wish.because else "."
    what = f"Cancelled by {name_of(ctx.project, wish.who)}{because}"
    return replace(draft, error=Interrupted(what, "Run it again when it is wanted; nothing was sent."))


def name_of(project: Project, who: str) -> str:
    """An engineer's name for people; the key of one who is no longer in people.yml."""
    engineer = project.people.engineers.get(who)
    return engineer.name if engineer else who


def _note_end(draft: Draft, ctx: Ctx) -> None:
    diary, run = _diary(draft.run, ctx), draft.run
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
    return replace(_made(run, ctx), remedy=_ROOM, folder=None)


def _fenced(run: Run, ctx: Ctx, error: Fenced) -> Made:
    """The end of a run that stood still for so long that another runner took it over: nothing of it is kept."""
    shelf.drop(ctx.project, run.run)
    taken = ctx.ledger.run(run.run) or run
    return replace(_made(taken, ctx), message=error.what, remedy=error.remedy, folder=None)


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
        return _approval(draft.run)
    return "Correct the data or the notebook, then run it again." if draft.run.status is Status.STOPPED else ""


def _approval(run: Run) -> str:
    command = f'runner approve {run.run} --by WHO --because "..."'
    return f"Look at the report; a person decides whether it goes out. To let it go: {command}"


def _write(draft: Draft, ctx: Ctx, work: Path) -> None:
    run, name = draft.run, draft.run.pipeline
    for leftover in work.glob(".*"):
        leftover.unlink()
    if draft.nb is not None:
        draft.nb.metadata.setdefault("runner", _meta(draft, ctx))["status"] = str(run.status)
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
        shelf.put_json(work, "figures.json", _figures(draft), ctx.project.censor.redact)
    shelf.put_json(work, "manifest.json", _manifest(draft, work, ctx), ctx.project.censor.redact)


def _named(path: str, name: str) -> str:
    return path.replace(f"{name}.", f"{name}.unproven.", 1) if path.startswith(f"{name}.") else path


def _figures(draft: Draft) -> dict[str, Any]:
    run, found = draft.run, draft.scraps
    return {
        "pipeline": run.pipeline,
        "period": run.period,
        "run": run.run,
        "status": str(run.status),
        "figures": [figure.as_dict() for figure in found.figures],
        "findings": [finding.as_dict() for finding in found.findings],
        "sources": dict(found.sources),
    }


def _manifest(draft: Draft, work: Path, ctx: Ctx) -> dict[str, Any]:
    run, core = draft.run, _core(draft, ctx)
    levels = [finding.level for finding in draft.scraps.findings]
    return {
        **core,
        "core": inputs.digest_of(core),
        "status": str(run.status),
        "decision": run.decision and str(run.decision),
        "message": run.message,
        "trouble": run.trouble and str(run.trouble),
        "finished_at": run.finished_at and run.finished_at.isoformat(timespec="seconds"),
        "findings": {str(level): levels.count(level) for level in Level},
        "artifacts": [vars(item) for item in shelf.artifacts(work)],
    }


def _core(draft: Draft, ctx: Ctx) -> dict[str, Any]:
    """What of the manifest is settled before anything is printed: the seal in the files stands for it."""
    run, plan, made_of = draft.run, draft.plan, draft.inputs
    return {
        "runner": __version__,
        "pipeline": run.pipeline,
        "title": plan.pipeline.title,
        "period": run.period,
        "as_of": plan.job.as_of,
        "run": run.run,
        "version": run.version,
        "restates": _restates(draft, ctx),
        "kernel": run.kernel,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "inputs": run.inputs,
        "parameters": dict(plan.values),
        "code": dict(made_of.code) if made_of else {},
        "data": {"fingerprints": dict(made_of.data) if made_of else {}, "sources": dict(draft.scraps.sources)},
        "environment": inputs.environment(),
        "figures": seal.figures_digest(draft.scraps.figures),
    }


# Handing over.


def _wants_delivery(plan: Plan, ctx: Ctx) -> bool:
    return plan.job.deliver and bool(ctx.project.readers(plan.pipeline))


def resume(name: str, job: Job, ctx: Ctx) -> Made:
    """Hand over what is still owed of a run and make nothing anew, unless its files are lost or it was overtaken.

    Raises as `produce` does, and Taken.
    """
    run = ctx.ledger.run(name)
    if run is None or run.status is not Status.READY:
        return produce(job, ctx)
    if not handover.is_intact(ctx.ledger, run, shelf.place(ctx.project, run)):
        return produce(job, ctx)
    return replace(hand_over(run, ctx), fresh=False)


def hand_over(run: Run, ctx: Ctx, message: str = "") -> Made:
    """Hand over the messages owed; a run is delivered, with a message of its own, when none is owed any more.

    A version is made of one run's files. Where an earlier run with the same figures was owed first, it is that one
    which readers have or still get, and this one is ready and goes to nobody; unless the files of that one are lost or
    changed, then this one's go to those who still wait.
    """
    desk = handover.Desk(ctx.project, ctx.ledger, ctx.clock.now, ctx.environment)
    carrier = _carrier(run, ctx)
    try:
        sent = handover.send(desk, carrier, shelf.place(ctx.project, carrier))
    except DeliveryFailed as error:
        failed = replace(run, status=Status.READY, trouble=error.trouble, message=error.what)
        ctx.ledger.mark(failed)
        return replace(_made(failed, ctx), remedy=error.remedy, exit_code=1)
    kept = carrier.message if carrier.status is Status.DELIVERED else message
    done = replace(carrier, status=Status.DELIVERED, trouble=None, message=kept)
    ctx.ledger.mark(done)
    if carrier.run == run.run:
        return replace(_made(done, ctx), sent=sent)
    said = f"Its figures equal those of run {carrier.run}, which readers have; it was not sent."
    return replace(_made(run, ctx), sent=sent, message=said)


def _carrier(run: Run, ctx: Ctx) -> Run:
    """The run whose files the messages carry."""
    first = ctx.ledger.delivered(run.pipeline, run.period) or run
    if first.run == run.run or first.version != run.version:
        return first
    owing = [item for item in ctx.ledger.deliveries(run.pipeline, run.period, run.version or 1) if item.open]
    if not owing or handover.is_intact(ctx.ledger, first, shelf.place(ctx.project, first)):
        return first
    handover.take_over(ctx.ledger, run)
    return run


_EXIT = {Status.READY: 0, Status.DELIVERED: 0, Status.HELD: 3}


def _made(run: Run, ctx: Ctx) -> Made:
    return Made(
        run.pipeline,
        run.period,
        run.status,
        run.message,
        trouble=run.trouble,
        run=run.run,
        folder=shelf.place(ctx.project, run),
        exit_code=_EXIT.get(run.status, 1),
    )
