"""Where data come from: ask, try again, fall back, land by day, compare, audit. It is asked, and decides nothing.

A map of this folder, from the bottom up::

    source.py     what every kind of source can do, and what is asked of it
"""
