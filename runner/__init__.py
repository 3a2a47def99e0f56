"""The reporting pipeline.

A map of this folder, from the top floor down; imports run this way only::

    cli.py       words in, one call, text and exit code out
    running.py   one report or all of them, side by side; signals
    screen.py    what a person or a machine sees of it: bars, lines, JSON
    starter.py   the small project that `runner init` writes
    report/      one report, stage by stage: check, execute, gate, render, proof, hand over
    delivery/    mail: compose apart from post
    document/    executed notebook -> blocks -> HTML and PDF, and back again
    notebook/    what notebooks import: the warehouse, checks, charts, figures
    ledger.py    the database of runs, findings, figures, records and deliveries
    plan/        the management plan: deadlines, rota, incidents, runbooks, duties; pure
    metrics/     the arithmetic, unit-tested
    config/      config/*.yml -> frozen objects
    model.py     the frozen objects everyone speaks in
    errors.py    the error tree
    light.py     nbformat without its slowest import
"""

__version__ = "0.1.0"
