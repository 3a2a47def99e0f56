"""The commands' work: what each does, once its words are understood, and what a person or a program sees of it.

A map of this folder::

    reports.py   run, list
    plan.py      due, status, check
    trouble.py   incidents, ack
    practice.py  simulate
    duties.py    duties, done
    review.py    review
    service.py   tick, serve, watch
    signals.py   Ctrl-C and SIGTERM
"""
