"""What a person does to the ledger, whether typed or clicked: each act is checked, one transaction, and on record.

Commands and the desk both call these; neither writes by itself. An act raises UsageError, with a sentence and its
remedy, where it must not be, and has then changed nothing.

A map of this folder::

    people.py     who acts: an engineer's key
"""
