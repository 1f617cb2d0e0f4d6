"""Adaptive classification: accuracy against the dims that it takes."""

from collections.abc import Iterator, Sequence

import pandas as pd

from mrlbench.reports.cascade_plots import ACCOUNTINGS, FIXED, JOINT, PAPER, cascades, single_heads
from mrlbench.reports.page.blocks import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    Axis,
    Block,
    Chart,
    Look,
    Paragraph,
    Point,
    Row,
    Section,
    Series,
)
from mrlbench.reports.page.curves import PAPER as PUBLISHED
from mrlbench.reports.page.curves import dims_axis, percents
from mrlbench.reports.page.numbers import percent
from mrlbench.reports.paper_curves import published_cascade
from mrlbench.runs import Output

SPREAD = "± one standard deviation"
TITLE = "Cascades: a wider head only where it is needed"
NOTE = (
    "A cascade asks the narrowest head first and goes on to the next while the confidence is below "
    "a threshold, learned on 20% of the queries; the numbers are of the other 80%, the mean over "
    "30 random splits, with one standard deviation; single heads have their 95% interval. The "
    "paper counts the dim of the last head; the other accounting counts every head tried, which "
    "has to be paid for."
)


def cascade(output: Output) -> Section:
    """Draw the frontier of the cascades, and the rules beside each other."""
    table = cascades(output)
    plain = table[table["variant"] == PAPER]
    if plain.empty:
        missing = Paragraph("No cascade in this run.", "mrlbench eval-adaptive-classification RUN")
        return Section("cascade", TITLE, [missing])
    charts = [_frontier(output, plain)]
    rules = table[table["variant"].str.startswith("rule=") & ~table["variant"].str.contains("tta")]
    if rules["variant"].nunique() > 1:
        charts.append(_rules(rules))
    blocks: list[Block | Row] = [Row(charts), Paragraph(NOTE)]
    return Section("cascade", TITLE, blocks)


def _frontier(output: Output, table: pd.DataFrame) -> Chart:
    """Draw the paper's Fig. 6: its cascade in both accountings, and single heads beside it."""
    singles = single_heads(output, tta=False)
    methods = [str(each) for each in table["method"].unique()]
    dims = sorted({*table["dim"], *singles["dim"]})
    lines = [*_cascade_lines(table, methods), *_single_lines(singles, methods)]
    paper = published_cascade(dims)
    if paper is not None:
        lines.append(_paper_line(paper))
    right = None if paper is None else Axis("paper, ImageNet-1K, %")
    x, y = dims_axis(dims, "expected dims"), Axis("top-1 accuracy, %")
    return Chart("Adaptive classification", x, y, lines, _where(table), right, SPREAD)


def _cascade_lines(table: pd.DataFrame, methods: Sequence[str]) -> Iterator[Series]:
    for place, method in enumerate(methods):
        rows = table[table["method"] == method]
        for dash, (dim, (name, _)) in enumerate(ACCOUNTINGS.items()):
            look = Look(place % COLOURS, place % MARKERS, hollow=dash > 0, dash=dash)
            yield Series(f"{method} cascade, {name}", _points(rows, dim), look, method)


def _single_lines(singles: pd.DataFrame, methods: Sequence[str]) -> Iterator[Series]:
    """Give what each head reaches alone, in the colour of its method."""
    for name in (*methods, FIXED):
        rows = singles[singles["line"] == name]
        if len(rows):
            is_fixed = name == FIXED
            colour = COLOURS - 1 if is_fixed else methods.index(name) % COLOURS
            points = percents(rows["dim"].astype(float), rows)
            method = "fixed" if is_fixed else name
            look = Look(colour, 6 if is_fixed else 5)
            yield Series(f"{name}: one head", points, look, method, line=False)


def _paper_line(paper: pd.DataFrame) -> Series:
    pairs = zip(paper["expected_dim"], paper["fraction"], strict=True)
    points = [Point(float(dim), percent(value)) for dim, value in pairs]
    look = Look(GREY, 0, hollow=True, dash=1)
    name = "paper: mrl cascade with mirror images (ImageNet-1K, right axis)"
    return Series(name, points, look, PUBLISHED, right=True)


def _rules(table: pd.DataFrame) -> Chart:
    """Compare rules, calibration and thresholds found together, of the first nested method."""
    methods = list(table["method"].unique())
    table = table[table["method"] == ("mrl" if "mrl" in methods else methods[0])]
    joint = table["variant"].str.contains(JOINT, regex=False)
    named = table.assign(line=table["variant"].mask(joint, PAPER + JOINT))
    lines = []
    for place, (name, rows) in enumerate(named.groupby("line")):
        look = Look(place % COLOURS, place % MARKERS, dash=place % DASHES)
        shown = str(name).removeprefix("rule=").replace(",", ", ")
        is_line = not str(name).endswith(JOINT)
        points = _points(rows.sort_values("expected_dim"), "expected_dim")
        lines.append(Series(shown, points, look, line=is_line))
    reached = table["expected_dim"].max()
    x = dims_axis([dim for dim in table["dim"] if dim <= 2 * reached], "expected dims, last head")
    title = f"Rules of the cascade, {table['method'].iloc[0]}"
    return Chart(title, x, Axis("top-1 accuracy, %"), lines, _where(table), spread=SPREAD)


def _points(rows: pd.DataFrame, dim: str) -> list[Point]:
    """Make a point for each widest head, with one standard deviation over splits."""
    return [
        Point(
            row[dim],
            percent(row["top1"]),
            percent(row["top1"] - row["top1_std"]),
            percent(row["top1"] + row["top1_std"]),
            f"heads up to {row['dim']}",
        )
        for row in rows.sort_values(["dim", dim]).to_dict("records")
    ]


def _where(table: pd.DataFrame) -> str:
    return f"{table['dataset'].iloc[0]}; ± one standard deviation over 30 splits"
