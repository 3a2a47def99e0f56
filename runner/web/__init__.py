"""The desk: one small web application over the ledger, for engineers, stakeholders, readers and machines.

A request goes this way: headers -> who asks (`session`) -> may they (`access`) -> the page -> its template. A page is
a function of one `Visit`; it reads or acts through the floors below and names a template of templates/web.

A map of this folder::

    app.py       the application: routes in, what stands around every request
    desk.py      what all requests share: the project as config/ is now, its ledger, the clock
    page.py      a page: its path, its rule, its answers
    visit.py     one request: who asks, when, what they sent, and how it is answered
    access.py    people and roles: who may see and do what; each page names one rule
    session.py   cookies and what stands behind them; forms that only our own pages can send
    headers.py   what every answer says to the browser
    looks.py     templates, their filters, the times that people read
    states.py    every state: its word, its shape, its tone
    static.py    styles, script and fonts under names that change with their content
    pages/       one module a page
"""
