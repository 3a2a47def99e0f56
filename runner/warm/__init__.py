"""Warm processes: a parent that has everything imported forks one for each order, in hundredths of a second.

    breed.py      what a parent is made of: interpreter, imports, environment; and where its socket lies
    nursery.py    the parent: a process of one thread that checks itself, forks, and retires
    guard.py      stands between parent and members: adopts orphans, tells of ends, leaves nothing behind
    member.py     the process that does the work: streams, signals, environment, chance, then a function
    client.py     asks for a process, starts a parent where there is none, and says why there can be none
    wire.py       messages and descriptors over a socket
    processes.py  ending processes: trees, groups, and whatever carries a run's mark

Nothing here knows what is imported or run: both are named in the order, as texts. A parent never opens a thread, an
event loop or a connection of its own before it forks; whatever is ill about it is a reason to do without.
"""
