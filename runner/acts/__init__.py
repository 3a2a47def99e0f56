"""What a person does to the ledger, whether typed or clicked: each act is checked, one transaction, and on record.

Commands and the desk both call these; neither writes by itself. An act raises UsageError, with a sentence and its
remedy, where it must not be, and has then changed nothing.

A map of this folder::

    arrivals.py   data that have landed
    swaps.py      on-call time offered in exchange, accepted, declined, undone
    calendars.py  secret addresses of calendars: made, made anew, stopped
    incidents.py  trouble acknowledged, handed over, resolved
    duties.py     a duty recorded as done
    people.py     who acts: an engineer's key; who is on call
    wishes.py     what somebody wants done with a run, and why
    decisions.py  a held report let out or turned down
    attempts.py   another try asked for, a run under way cancelled
    access.py     links to sign in with, tokens of machines
    handing.py    a report handed over by hand, or sent once more
"""
