"""From an executed notebook to the pages a reader sees, and back again for the proof.

A map of this folder, in the order of the way::

    blocks.py     executed notebook -> Document; with markdown.py, foreign.py (other people's HTML), texts.py
    restated.py   what a restatement shows first: each figure as it was and as it is
    shapes.py     the frozen blocks: headings, tables, charts, tiles, notes, findings
    pictures.py   charts as SVG and PNG, looked through before they are used
    formulas.py   TeX -> SVG
    tables.py     how wide a table is, where it splits, its CSV
    payload.py    the document as plain data for the compiler
    shipped.py    where our own templates lie
    render.py     -> HTML text and PDF bytes; typeset.py is the child that compiles
    exporters.py  both as nbconvert exporters: `jupyter nbconvert --to report_html | report_pdf`
    readback.py   finished HTML and PDF -> the words and pictures in them
"""
