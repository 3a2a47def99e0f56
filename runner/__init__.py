"""The reporting pipeline.

A map of this folder, from the top floor down; imports run this way only::

    cli/         words in, one call, text and exit code out
    commands/    the work of each command
    web/         the desk: pages for people, answers for machines
    acts/        what a person does to the ledger: each checked, in one transaction, on record
    screen.py    what a person or a machine sees of it: bars, lines, JSON
    starter.py   the small project that `runner init` writes
    scheduler/   what is owed, what is due, what must be told
    report/      one report, stage by stage: check, execute, gate, render, proof, hand over
    delivery/    mail: compose apart from post
    sources/     where data come from: ask, try again, fall back, land, compare, audit
    document/    executed notebook -> blocks -> HTML and PDF, and back again
    notebook/    what notebooks import: the warehouse, checks, charts, figures
    ledger/      the database of all that was owed, done and told
    plan/        the management plan: deadlines, rota, incidents, runbooks, duties; pure
    metrics/     the arithmetic, unit-tested
    config/      config/*.yml -> frozen objects
    warm/        processes forked from a parent that has all imported
    model.py     the frozen objects everyone speaks in
    log.py       what a process tells of itself
    leaks.py     whether a secret stands where it must not
    secrets.py   where secrets are read
    errors.py    the error tree
    light.py     nbformat and holidays without their slowest imports
"""

__version__ = "0.1.0"
