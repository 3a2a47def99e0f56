"""The benchmark: the same work done our way and the usual way, side by side in one run. `python -m tests.bench`.

A map of this folder::

    __main__.py   the command line, the items in order, the files it leaves
    shapes.py     what an item is given and what it answers
    report.py     1: one report, every way it can be made
    limit.py      2: what is spent above the cells and the two render calls
    fanout.py     3: many experiment reports on all cores, and memory
    ledger.py     4: a tick, the status and a lookup as history grows
    data.py       5: the same question on more data, against SQL by hand
    startup.py    6: the start of commands
    desk.py       7: every page of the desk as history grows
    one.py        one report made every way, in turns: the samples of 1 and 2
    peer.py       the usual way: papermill, nbconvert, a browser
    questions.py  the questions of 5, by our metrics and by hand
    byhand.py     the hand-written statements
    worker.py     a process that does what it is asked: serves, runs cells, holds a pool
    running.py    processes with time limits, and the memory of a family of them
    place.py      copies of the project to work in
    ratios.py     medians, ratios, slopes, targets; pure
    machine.py    machine, versions, date
    table.py      the results for people
    picture.py    the results in one picture
"""
