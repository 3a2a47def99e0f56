"""A held report decided on: let out, or turned down."""

from __future__ import annotations

from runner.acts.people import on_call_at
from runner.acts.wishes import Wish, reasoned
from runner.report import approval
from runner.report.approval import Approval
from runner.report.draft import Ctx, Made


def approve(wish: Wish, ctx: Ctx) -> Made:
    """Let a held report go out, and hand it over. Raises UsageError, and has changed nothing, when it must not."""
    return approval.approve(wish.run, _approval(wish, ctx, "Why may it go out?"), ctx)


def reject(wish: Wish, ctx: Ctx) -> Made:
    """Turn a held report down: it goes to nobody. Raises UsageError, and has changed nothing, when it must not be."""
    return approval.reject(wish.run, _approval(wish, ctx, "Why may it not go out?"), ctx)


def _approval(wish: Wish, ctx: Ctx, asks: str) -> Approval:
    asked = reasoned(ctx.project, wish, asks)
    return Approval(asked.who, asked.because, asked.at, on_call_at(ctx.project, ctx.ledger, asked.at))
