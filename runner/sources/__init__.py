"""Where data come from: ask, try again, fall back, land by day, compare, audit. It is asked, and decides nothing.

A map of this folder, from the bottom up::

    source.py     what every kind of source can do, and what is asked of it
    access.py     what a source is opened with: config, folder, secrets, and the words of its failures
    limit.py      a bound in time around any question
    cells.py      text and JSON -> columns of the contract's types
    commas.py     CSV bytes -> a table
    web.py        kind `http`: a paged API
    database.py   kind `sql`: tables of a database
    files.py      kind `files`: Parquet and CSV, here or in an object store
    duck.py       kind `duckdb`: another DuckDB file
    package.py    kind `package`: the demonstration data
    inquiry.py    one question to several sources in order, with retries
    catalog.py    config -> sources that can be asked
    freshness.py  how long to wait for data that are late
    completeness.py  whether a day is whole; pure
    conforming.py  columns of a source -> those of the contract, exactly or not at all
    landing.py    fetched rows become part of the warehouse, by day, all or nothing
    pins.py       the state of the warehouse that one report is made of
    supplied.py   what was fetched, as findings; pure
    fetching.py   all of these together: what a report needs is fetched
    __main__.py   `python -m runner.sources`: the process that fetches
    fingerprint.py    what a table looks like: facts by column
    drift.py          a fingerprint against the contract and the one before: what has changed
    reconciliation.py two systems, or two sources of a table, key by key
    rights.py         what credentials and our own files may do, against what they should
    probing.py        whether sources answer, and what their past says
    audits.py         all of these for a whole project: findings, files, what the ledger keeps
"""
