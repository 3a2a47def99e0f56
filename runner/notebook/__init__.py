"""What a notebook imports: one `Report`, through which it reads, checks, shows and hands over."""

import runner.light  # noqa: F401  must come before nbformat, which scrapbook brings
from runner.notebook.figures import Prior
from runner.notebook.report import Report

__all__ = ["Prior", "Report"]
