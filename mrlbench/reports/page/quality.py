"""Quality by width: how much each prefix keeps, beside baselines and the published curves."""

import pandas as pd

from mrlbench.reports.page.blocks import Axis, Block, Cell, Chart, Paragraph, Row, Section, Table
from mrlbench.reports.page.curves import by_dim, dims_axis, published
from mrlbench.reports.page.numbers import interval, number, percent
from mrlbench.reports.selections import has_published, main_method
from mrlbench.reports.series import read, series, subject
from mrlbench.runs import Output

QUALITIES = (
    ("classification", "top1", "Linear classification by width", "top-1 accuracy, %"),
    ("knn", "top1", "1-NN classification by width", "1-NN accuracy, %"),
    ("retrieval", "map@10", "Retrieval by width", "mAP@10, %"),
    ("retrieval", "recall_full@10", "Agreement with search at full width", "recall_full@10, %"),
)
NOTE = (
    "Lines: the mean over queries; bands: its 95% interval. The published curves are of "
    "ImageNet-1K and ResNet50: beside other data only their shape can be compared."
)


def quality(output: Output) -> Section:
    """Draw accuracy, 1-NN and mAP against dim."""
    blocks: list[Block] = []
    for csv, metric, title, y in QUALITIES:
        table = read(output, csv, metric).dropna(subset="value")
        if table.empty:
            missing = Paragraph(f"{title} is not in this run.", f"mrlbench eval-{csv} RUN")
            blocks.append(missing)
        else:
            blocks.append(_chart(table, csv, metric, title, y))
    charts = [each for each in blocks if isinstance(each, Chart)]
    others = [each for each in blocks if not isinstance(each, Chart)]
    tables = [_kept(output)] if charts else []
    shown: list[Block | Row] = [Row(charts), Paragraph(NOTE)] if charts else []
    return Section("quality", "Quality by width", [*tables, *shown, *others])


def _chart(table: pd.DataFrame, csv: str, metric: str, title: str, y: str) -> Chart:
    dims = table["dim"].unique().tolist()
    lines, right = by_dim(table), None
    if has_published(table):
        others, right = published(csv, metric, dims, float(table["value"].max()))
        lines = [*lines, *others]
    low = 0.0 if right else None
    return Chart(title, dims_axis(dims), Axis(y, low=low), lines, subject(table), right)


def _kept(output: Output) -> Table:
    """Say what the main method keeps at each dim, in percent of what it has at the widest."""
    method, columns = main_method(output), {}
    for csv, metric, _, y in QUALITIES:
        own = dict(series(read(output, csv, metric))).get(method)
        if own is not None:
            columns[y.removesuffix(", %")] = own.set_index("dim")
    dims = sorted({dim for column in columns.values() for dim in column.index})
    rows: list[list[Cell]] = [
        [int(dim), *(_share(column, dim) for column in columns.values())] for dim in dims
    ]
    caption = f"What {method} keeps at each width: percent (95% interval), share of full width"
    return Table(caption, ["dims", *columns], rows)


def _share(column: pd.DataFrame, dim: int) -> str:
    if dim not in column.index:
        return ""
    value, full = float(column["value"][dim]), float(column["value"].iloc[-1])
    ends = (percent(float(column[end][dim])) for end in ("ci_low", "ci_high"))
    share = f", {value / full:.0%}" if full else ""
    return f"{number(percent(value))}{interval(*ends)}{share}"
