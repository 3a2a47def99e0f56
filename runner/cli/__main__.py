"""`python -m runner.cli` is the command `runner`."""

from runner.cli import main

main()
