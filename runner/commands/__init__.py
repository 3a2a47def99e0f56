"""The commands' work: what each does, once its words are understood, and what a person or a program sees of it.

A map of this folder::

    reports.py   run, list
    making.py    reports side by side, each ending by itself
    turns.py     whose turn it is: each after its inputs, at most so many at once
    runs.py      cancel
    gate.py      approve, reject
    deliver.py   deliver
    verify.py    verify
    fetch.py     fetch
    logs.py      logs
    backfill.py  backfill
    prune.py     prune
    plan.py      due, status
    check.py     check
    probe.py     probe
    audit.py     audit
    arrivals.py  arrived
    trouble.py   incidents, ack
    practice.py  simulate
    drill.py     drill
    duties.py    duties, done
    review.py    review
    rota.py      oncall
    swaps.py     swap
    access.py    token, signin
    service.py   tick, serve, watch
    desk.py      the desk beside the scheduler, or in the background
    kernel.py    kernel
    signals.py   Ctrl-C and SIGTERM
"""
