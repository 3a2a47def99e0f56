"""The desk: one small web application over the ledger, for engineers, stakeholders, readers and machines.

A request goes this way: headers -> is it for us (`front`) -> who asks (`session`) -> may they (`access`) -> the page ->
its template. A page is a function of one `Visit`; it reads or acts through the floors below and names a template of
templates/web.

A map of this folder::

    app.py       the application: routes in, what stands around every request
    desk.py      what all requests share: the project as config/ is now, its ledger, the clock
    page.py      a page: its path, its rule, its answers
    visit.py     one request: who asks, when, what they sent, and how it is answered
    access.py    people and roles: who may see and do what; each page names one rule
    limits.py    how often somebody may try
    backlog.py   what is done after the answer
    front.py     what stands before every page: names, proxies, sizes
    open_id.py   sign-in with a company account
    session.py   cookies and what stands behind them; forms that only our own pages can send
    headers.py   what every answer says to the browser
    looks.py     templates, their filters, the times that people read
    engineers.py engineers as pages tell them apart
    oncall.py    the rota as pages ask for it
    series.py    figures over time: their values, ranges, doubts
    files.py     files that are given out: to keep, or shown in a frame
    charts.py    where the marks of a chart lie; pure
    states.py    every state: its word, its shape, its tone
    static.py    styles, script and fonts under names that change with their content
    pages/       one module a page
    trials.py    trial runs: begun, watched, ended
    trial_run.py the process of one trial run
    lines.py     how long a client may take to bring one request
    server.py    the desk as a process: where it listens, what it logs, how it ends
    __main__.py  `python -m runner.web`
    api/         answers for machines
    health.py    whether all is well, in one word
    metrics.py   what is measured, for machines that draw and warn
"""
