"""One report, stage by stage.

A map of this folder, in the order of the way::

    produce.py     the stages in one place: execute, read, compare, gate, render, prove
    job.py         a wish for one report, found to be in order
    draft.py       a report in the making, what all of them share, and what came of one
    parameters.py  the notebook's parameters cell, and what is given for it
    supply.py      what a report needs from its sources, fetched in a child process before anything else
    inputs.py      fingerprints of everything a report is made from
    execute.py     one notebook in a child process with a deadline; child.py is that process
    engine.py      our papermill engine: saves at the right times, reports each cell
    kernels.py     warm kernels for anyone in the Jupyter world: provisioner and kernelspec
    warming.py     what the warm parent imports; light, for those who ask
    press.py       a process that renders and proves reports, one after another, and can be killed
    notebooks.py   notebooks read, written whole, labelled
    scraps.py      executed notebook -> figures, findings, records, sources
    restatement.py what differs from what was handed out, and which reports rest on it
    shown.py       secrets that a run shows, taken out before it is kept
    gate.py        findings -> deliver, hold, stop
    seal.py        the mark inside a finished file by which it is known again, and what becomes of it
    proof.py       the finished files show what was checked
    keeping.py     a run's end: swept, written, recorded, let out
    manifest.py    what a run says of itself
    release.py     what may go out is handed over, and the run says so
    diary.py       what happened in a run, line by line
    story.py       the same told as stages with their times
    cells.py       an executed notebook as a person looks at it, bounded and without any markup
    shelf.py       run folders: worked on aside, renamed whole, tidied after a crash
    handover.py    one message for each reader
    approval.py    a held report released, or turned down, by somebody entitled
    archive.py     a report packed into one file, to be handed over by hand
    byhand.py      what is owed sent once more, or an archive given to somebody who takes it
"""
