"""The reporting pipeline.

A map of this folder::

    cli.py       words in, one call, text and exit code out
    config.py    config/*.yml -> frozen objects
    model.py     the frozen objects everyone speaks in
    errors.py    the error tree
    ledger.py    the database of runs, findings, figures, records and deliveries
    report/      one report, stage by stage: execute, gate, render, proof
    notebook/    what notebooks import: the warehouse, checks, charts, figures
    metrics/     the arithmetic, unit-tested
    delivery/    mail: compose apart from post
"""

__version__ = "0.1.0"
