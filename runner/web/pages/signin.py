"""To be written."""

from __future__ import annotations

from runner.web.page import Page

PAGES: tuple[Page, ...] = ()
