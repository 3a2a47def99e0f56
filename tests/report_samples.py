"""Builds executed notebooks for the report's tests: what our own notebooks leave, and what other people's do."""

from __future__ import annotations

import base64
import functools
import io
import os
import tempfile
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from runner.document import render
from runner.document.blocks import Document, document_of
from runner.model import BLOCK_MIME, SCRAP_MIME, Figure, Finding, Level

META: dict[str, Any] = {
    "company": "Harbour Grocers",
    "pipeline": "aggregate_profit",
    "title": "Aggregate profit",
    "subtitle": "Business day, month and year to date, by department and store group",
    "period": "2017-11-15",
    "period_text": "Wednesday 15 November 2017",
    "run": "20171116T130000-aggregate-profit-7f3a",
    "owners": ["Engineer B (primary)", "Engineer C (secondary)"],
    "deadline": "by 09:00 next business day",
    "status": "ready",
    "generated_at": "2017-11-16T13:00:00+00:00",
    "confidential": "Confidential – for investors of Harbour Grocers only",
    "timestamp": 1510837200,
}

FIGURES = (
    Figure("revenue", 12873.42, "$12,873", "Revenue, day", "usd", 12351.0, "+4.2 % on last Wednesday", "good"),
    Figure("margin", 0.281, "28.1 %", "Gross margin", "percent", 0.285, "−0.4 pp on last Wednesday", "bad"),
    Figure("baskets", 431, "431", "Baskets", "count", 431, "unchanged", "neutral"),
    Figure("month", 184220.5, "$184,221", "Revenue, month to date", "usd", None, "+2.7 % on October", "good"),
    Figure("year", 3912044.1, "$3.91m", "Revenue, year to date", "usd", None, "", "neutral", "since 1 January"),
    Figure("discount", -1204.9, "−$1,205", "Discounts, day", "usd", -1100, "−9.5 % on last Wednesday", "bad"),
)

FINDINGS = (
    Finding("schema of transactions", Level.PASS, "14 of 14 columns are as agreed, no nulls in 4,021 rows."),
    Finding("revenue in its band", Level.PASS, "$12,873 lies between $9,900 and $15,400."),
    Finding("coupons reconcile", Level.WARN, "3 of 41 redemptions ($4.50) have no till line.", None, {"rows": 3}),
)


def block(given: dict[str, Any], **pictures: Any) -> NotebookNode:
    """A display output with one block."""
    data = {BLOCK_MIME: given, "text/plain": "block", **{key.replace("__", "/"): val for key, val in pictures.items()}}
    return v4.new_output("display_data", data={k.replace("svg_xml", "svg+xml"): v for k, v in data.items()})


def output(**data: Any) -> NotebookNode:
    """A display output of anyone's; `image__png=…` stands for image/png."""
    return v4.new_output(
        "display_data", data={k.replace("__", "/").replace("svg_xml", "svg+xml"): v for k, v in data.items()}
    )


def cell(*outputs: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    """A code cell that has run."""
    made = v4.new_code_cell("print('never shown')", outputs=list(outputs), execution_count=1)
    made.metadata["tags"] = list(tags)
    return made


def notebook(*cells: NotebookNode | str, meta: dict[str, Any] | None = None) -> NotebookNode:
    """A notebook; a text is a markdown cell."""
    made = v4.new_notebook(cells=[v4.new_markdown_cell(c) if isinstance(c, str) else c for c in cells])
    if meta is not None:
        made.metadata["runner"] = meta
    return made


def tiles(*figures: Figure) -> NotebookNode:
    """A block of KPI tiles that shows these figures."""
    keys = ("name", "label", "text", "change", "tone", "note")
    return block({"type": "kpis", "tiles": [{key: getattr(figure, key) for key in keys} for figure in figures]})


def scrap(name: str, data: Any) -> NotebookNode:
    """What scrapbook leaves when it glues."""
    return output(**{SCRAP_MIME: {"name": name, "data": data, "encoder": "json", "version": 1}})


def table(name: str, caption: str, labels: list[str], rows: list[list[Any]], **more: Any) -> NotebookNode:
    """A table block; numbers are printed with separators, the first column is text."""
    columns = [{"label": label, "align": "left" if at == 0 else "right"} for at, label in enumerate(labels)]
    texts = [[printed(value) for value in row] for row in rows]
    return block(
        {"type": "table", "name": name, "caption": caption, "columns": columns, "rows": texts, "values": rows} | more
    )


def printed(value: Any) -> str:
    """A value as our notebooks print it."""
    return value if isinstance(value, str) else f"{value:,}".replace("-", "−")


_DRAWN: dict[Any, tuple[str, bytes]] = {}


def drawing(wide: float = 6.9, high: float = 2.6, kind: str = "line") -> tuple[str, bytes]:
    """A real matplotlib chart as SVG text and PNG bytes, drawn once for all tests."""
    key = (wide, high, kind)
    if key not in _DRAWN:
        _DRAWN[key] = _draw(wide, high, kind)
    return _DRAWN[key]


def empty_axes() -> str:
    """A chart whose data never came: axes, ticks and grid, but nothing in them."""
    return drawing(3, 2, "axes")[0]


def _draw(wide: float, high: float, kind: str) -> tuple[str, bytes]:
    os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))
    # Imported late, for the folder of matplotlib's cache must be set before.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib import font_manager  # noqa: PLC0415
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415

    for face in sorted((render.TEMPLATES / "fonts").glob("*.ttf")):
        font_manager.fontManager.addfont(str(face))
    style = {
        "font.family": "Inter",
        "font.size": 7.5,
        "svg.fonttype": "path",
        "svg.hashsalt": "x",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e3e8ed",
        "axes.edgecolor": "#8896a4",
    }
    with mpl.rc_context(style):
        canvas = Canvas(figsize=(wide, high), layout="constrained")
        _plot(canvas, kind)
        svg, png = io.StringIO(), io.BytesIO()
        canvas.savefig(svg, format="svg", metadata={"Date": None})
        canvas.savefig(png, format="png", dpi=150)
    return svg.getvalue(), png.getvalue()


def _plot(canvas: Any, kind: str) -> None:
    if kind == "blank":
        return
    axes = canvas.subplots()
    axes.set_axisbelow(True)
    if kind == "axes":
        return
    if kind == "bar":
        axes.bar(["Grocery", "Produce", "Meat", "Drug GM", "Deli"], [61, 18, 14, 22, 7], color="#12304f")
    else:
        axes.plot(
            [day * 7 for day in range(30)], [9 + (day * 37 % 11) / 3 + day / 10 for day in range(30)], color="#12304f"
        )
        axes.plot([day * 7 for day in range(30)], [8 + day / 8 for day in range(30)], color="#c39a3b")


def chart(
    name: str, title: str, alt: str = "Revenue rises from 9 to 13.", *, half: bool = False, **more: Any
) -> NotebookNode:
    """A chart block with its SVG and PNG."""
    svg, png = drawing(3.35 if half else 6.9, 2.1 if half else 2.6, more.pop("kind", "bar" if half else "line"))
    given = {
        "type": "chart",
        "name": name,
        "title": title,
        "alt": alt,
        "half": half,
        "caption": more.pop("caption", ""),
    }
    return block(given, image__svg_xml=more.pop("svg", svg), image__png=base64.b64encode(more.pop("png", png)).decode())


def rich() -> NotebookNode:
    """A full report as our own notebooks make it: every kind of block, long and wide tables, half charts."""
    departments = ["Grocery", "Produce", "Meat", "Drug and general merchandise", "Deli", "Pastry", "Nutrition", "Fuel"]
    rows = [
        [name, 61234 - 7000 * at, -1200 + 90 * at, 17321 - 2011 * at, 28.3 - at] for at, name in enumerate(departments)
    ]
    rows.append(["All departments", 293872, -7080, 82260, 24.8])
    long = [
        [f"2017-{1 + at // 28:02d}-{1 + at % 28:02d}", 400 + at * 7 % 93, 9000 + at * 131 % 4711, at * 17 % 29]
        for at in range(90)
    ]
    wide_labels = ["Store group", *[f"Week {week}" for week in range(1, 22)], "Total"]
    wide = [[f"Group {name}", *[1000 + at * 37 for at in range(21)], 28770] for name in "ABCDE"]
    return notebook(
        cell(tags=("parameters",)),
        "# Aggregate profit",
        cell(*[scrap(f"figure:{figure.name}", figure.as_dict()) for figure in FIGURES]),
        cell(
            output(
                text__markdown="Revenue on Wednesday was **$12,873**, *4.2 % above* the same weekday of last week, on "
                "431 baskets. Gross margin fell to **28.1 %** because discounts in *Drug and general merchandise* "
                "rose; month to date, revenue stands at **$184,221**."
            )
        ),
        cell(tiles(*FIGURES)),
        "> Margin rests on declared cost ratios by department, for the data hold no cost of goods.",
        "## Revenue\n\nRevenue has grown in every quarter; the line shows seven-day means against plan.",
        cell(
            chart(
                "revenue_daily",
                "Revenue a day, seven-day mean and plan, thousand dollars",
                caption="Shaded days are holidays. Source: till lines, New York time.",
            )
        ),
        "### By department\n\nGrocery makes three fifths of revenue.",
        cell(
            chart("by_department", "Revenue by department, thousand dollars", "Grocery leads with 61.", half=True),
            chart("margin_department", "Margin by department, thousand dollars", "Grocery leads.", half=True),
        ),
        cell(
            table(
                "departments",
                "Revenue, discounts and margin by department, dollars",
                ["Department", "Revenue", "Discounts", "Margin", "Margin %"],
                rows,
                total=True,
                header_column=True,
            )
        ),
        "## Daily figures\n\nEach day of the quarter with its baskets, revenue and returns.",
        cell(
            table(
                "days",
                "Baskets, revenue and returns by day",
                ["Day", "Baskets", "Revenue", "Returns"],
                long,
                header_column=True,
            )
        ),
        "## Store groups\n\nWeek by week, in dollars.",
        cell(table("weeks", "Revenue by store group and week, dollars", wide_labels, wide, header_column=True)),
        "## Method\n\nMargin is $m = r - d - c$ with cost ratio $\\kappa_d$ per department; its standard error is\n\n"
        "$$\\mathrm{SE}(\\bar m) = \\sqrt{\\frac{1}{n(n-1)} \\sum_{i=1}^{n} (m_i - \\bar m)^2}.$$\n\n"
        "1. Till lines are read and their times turned into New York time.\n2. Discounts are taken off:\n   - retail,\n"
        "   - coupon and *coupon match*.\n3. Costs come from `config/costs.yml`.\n\n"
        "| Term | Meaning | Ratio |\n|---|:--|--:|\n| **Grocery** | packaged food | 71 % |\n"
        "| Fuel | see [notes](https://example.org/fuel) | 94 % |",
        cell(
            block(
                {"type": "note", "tone": "info", "title": "Observational", "text": "Campaigns were **not** randomised."}
            ),
            block(
                {
                    "type": "note",
                    "tone": "warn",
                    "title": "Left truncation",
                    "text": "Households first seen in January are old customers.",
                }
            ),
        ),
        "## Checks and data",
        cell(block({"type": "findings", "items": [finding.as_dict() for finding in FINDINGS]})),
        cell(
            v4.new_output("stream", name="stdout", text="rows read: 1,469,307\n"),
            v4.new_output("stream", name="stderr", text="warning\n"),
        ),
        meta=META,
    )


@functools.cache
def rich_document() -> Document:
    """The document of `rich`."""
    return document_of(rich())


@functools.cache
def rich_html() -> str:
    """The rich report as HTML, rendered once for all tests of a process."""
    return render.html(rich_document())


@functools.cache
def rich_pdf() -> bytes:
    """The rich report as PDF, set once for all tests of a process."""
    return render.pdf(rich_document())


def plain_notebook() -> NotebookNode:
    """A notebook as any analyst leaves it: pandas tables as HTML, PNG charts, printed text, object names."""
    _, png = drawing(5, 3)
    frame = (
        '<div><style scoped>.dataframe tbody tr th {vertical-align: top}</style><table border="1" class="dataframe">'
        '<thead><tr style="text-align: right;"><th></th><th>region</th><th>sales</th></tr></thead><tbody>'
        "<tr><th>0</th><td>North</td><td>1204.5</td></tr><tr><th>1</th><td>South &amp; West</td><td>-87.0</td></tr>"
        "</tbody></table><p>2 rows × 2 columns</p></div>"
    )
    return nbformat.from_dict(
        notebook(
            "# Sales study",
            "Some **words** about it.\n\n# Data",
            cell(
                v4.new_output("execute_result", data={"text/html": frame, "text/plain": "  region"}, execution_count=1)
            ),
            "### Picture",
            cell(
                v4.new_output("execute_result", data={"text/plain": "<Axes: xlabel='day'>"}, execution_count=1),
                v4.new_output(
                    "display_data",
                    data={
                        "image/png": base64.b64encode(png).decode(),
                        "text/plain": "<Figure size 500x300 with 1 Axes>",
                    },
                ),
            ),
            cell(v4.new_output("stream", name="stdout", text="mean = 558.75\n")),
        )
    )
