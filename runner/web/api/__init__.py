"""The answers for machines, below /api: read-only but for the word that data have landed.

A machine carries a token with scopes in its header, and never a cookie, so that no other site can ask in its name. With
the scope `read` it sees all that an engineer sees; with `arrivals` it may say that data have landed. Whatever is wrong
is answered in one form, that of RFC 9457.

A map of this folder::

    app.py       every address, and the description of them all
    calls.py     one request: its token, its project, its ledger, the instant
    questions.py what may be asked: every parameter, checked; what is not known is refused
    answers.py   what is answered: every object with its fields
    making.py    ledger -> answers
    problems.py  what is wrong, in one form
    paging.py    where a list goes on, as a word of ours
"""

from runner.web.api.app import application
from runner.web.api.problems import InForm

__all__ = ["InForm", "application"]
