"""The commands' work: what each does, once its words are understood, and what a person or a program sees of it.

A map of this folder::

    reports.py   run, list
"""
