"""What a run says of itself: around the report, in figures.json, in manifest.json, and in the seal."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from runner import __version__
from runner.model import Level
from runner.report import inputs, seal, shelf
from runner.report.draft import Ctx, Draft
from runner.report.job import epoch


def meta(draft: Draft, ctx: Ctx) -> dict[str, Any]:
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
        "timestamp": epoch(draft.plan),
        "seal": seal.text_of(run.run, inputs.digest_of(_core(draft, ctx))),
        "restates": _restates(draft, ctx),
    }


def _restates(draft: Draft, ctx: Ctx) -> dict[str, Any] | None:
    """What readers had before, as plain JSON."""
    if draft.restates is None:
        return None
    return draft.restates.as_dict(ZoneInfo(ctx.project.settings.time_zone))


def figures(draft: Draft) -> dict[str, Any]:
    """What figures.json holds: every figure and every finding."""
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


def manifest(draft: Draft, work: Path, ctx: Ctx) -> dict[str, Any]:
    """What manifest.json holds: all that a run was made of, what became of it, and its files with their hashes."""
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
        "commit": inputs.commit(ctx.project.folder),
        "code": dict(made_of.code) if made_of else {},
        "data": {"fingerprints": dict(made_of.data) if made_of else {}, "sources": dict(draft.scraps.sources)},
        "environment": inputs.environment(),
        "figures": seal.figures_digest(draft.scraps.figures),
    }
