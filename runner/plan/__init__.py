"""The management plan as functions of (config, now). Pure: no file, no clock, no network, no environment.

A map of this folder::

    calendar.py     wall clock to instant; business days
    periods.py      what one report is about: its key and its words
    deadlines.py    promises -> deadlines
    arrivals.py     data that have landed -> work that begins before its hour
    forecast.py     run times, the latest safe start, at risk
    feasibility.py  plans that cannot be kept, found before they are broken
    oncall.py       rota, holidays, overrides, swaps -> who, who next, and why
    swaps.py        what may be swapped, and what a swap does
    fairness.py     hours, nights, weekends and holidays by person; what a change of the rota moves
    months.py       shifts laid out by months and days
    feed.py         shifts as a calendar (ICS)
    incidents.py    what is seen of a deadline -> incident -> messages owed
    runbooks.py     which section of which runbook answers this trouble
    duties.py       recurring duties on the same machinery
"""
