"""Messages: composed in one place, let out in another.

A map of this folder::

    mail.py      a finished report as one message for each reader
    alerts.py    what an engineer or a reader is told of trouble and duties
    messages.py  one such message as text, as HTML and as the few lines of a pager
    headers.py   headers that stay whole
    channels.py  one message to one person by one channel
    discretion.py  no secret in what leaves
    door.py      the one way out of every mail: its finished bytes, the sandbox, server or maildir
    outcome.py   a message as it leaves, and what became of it
    smtp.py      by a mail server
    maildir.py   into a maildir
    watch.py     the watch on another machine
"""
