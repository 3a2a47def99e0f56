"""What is owed, what is due, what must be told: the scheduler, which reconciles the calendar with the ledger.

A map of this folder, in the order of a tick::

    tick.py        one look: the order of everything below, and when to look again
    office.py      what a tick works with
    opening.py     a real office, found to be in order
    begins.py      experiments and when they begin
    planning.py    the calendar -> the book of deadlines
    roster.py      who is on call; the past kept as it was
    oncall.py      who is on call, as people look at it: with names and reasons
    work.py        attempts: claimed, started, ended, taken up again
    arrivals.py    data that have landed -> work that begins before its hour
    circumstances.py  what else is known of it: inputs, forecast
    sightings.py   a deadline in the book -> what is seen of it
    standing.py    everything of today and tomorrow, for those who look
    telling.py     what is seen -> incidents -> letters owed
    letters.py     a message and an addressee -> a letter
    dossier.py     one incident: what its mail says now, who is told next, letters of what a person did
    chronicle.py   one incident as it is read: what happened and who was told, in the order of time
    outages.py     sources that are needed soon -> asked, their incidents
    rounds.py      duties that the software does itself -> done, found
    chores.py      duties -> done, overdue
    agenda.py      duties as people look at them: open, next, in which state
    review.py      the facts for the quarterly review
    errands.py     what is done beside the reports, in threads
    notices.py     changes of rota and config -> letters to those whom they touch
    post.py        letters owed -> sent
    crew.py        those who make reports: threads, each with its own stop
    doorplate.py   where the desk is, for whoever looks for it
    simulation.py  the same scheduler with a simulated clock
    copies.py      a copy of a project to practise in: no readers, no pagers
    faults.py      real faults for a copy, and how they are mended
    drill.py       a real fault in a copy, and how long people take
"""
