"""The arena's figures: quality against bytes per vector, and against MFLOPs per query."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mrlbench.evaluation.arena.codes import DTYPES, FLOAT32
from mrlbench.evaluation.arena.contest import PREFIX
from mrlbench.evaluation.arena.differences import main_metric, reference_method
from mrlbench.reports.arena_series import entrants, of_reference, read_arena
from mrlbench.reports.series import subject
from mrlbench.reports.style import line, looks, save_figure, use_plain_style
from mrlbench.runs import Output

PANEL, HEIGHT = 3.3, 3.1  # inches
NAMES = {"map@10": "mAP@10", "recall_full@10": "recall_full@10"}
AXES = {
    "arena_by_bytes": ("bytes_per_vector", "bytes per vector, first stage"),
    "arena_by_mflops": ("mflops", "MFLOPs per query"),
}


def draw_arena(output: Output) -> list[Path]:
    """Draw both figures as PNG and SVG; returns the PNG files, none without a nested model."""
    rows = read_arena(output)
    if not any(row.rerank_dims for row in rows):
        return []
    use_plain_style()
    table, name = of_reference(entrants(rows), rows), NAMES[main_metric(rows)]
    asked = f"{max(row.n or 0 for row in rows):,} queries"
    names = dict.fromkeys([reference_method(rows), subject(pd.DataFrame(rows)), asked])
    drawn = []
    for file, (column, label) in AXES.items():
        figure = _figure(table, column, label, name)
        figure.suptitle(", ".join(names))
        drawn.append(save_figure(figure, output.plots, file))
    return drawn


def _figure(table: pd.DataFrame, column: str, label: str, quality: str) -> Figure:
    """Draw a column for each type; above what the first stage finds, below after the rerank."""
    dtypes = [dtype for dtype in DTYPES if dtype in set(table["dtype"])]
    size = (PANEL * len(dtypes), 2 * HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2, len(dtypes), sharex="row", sharey=True, squeeze=False)
    reducers = dict.fromkeys([PREFIX, *table["reducer"]])  # separate models are never reranked
    look_of = dict(zip(reducers, looks(), strict=False))
    stages = (table[table["rerank_dims"] == ""], table[table["rerank_dims"] != ""])
    for axes_row, some, stage in zip(grid, stages, ("first stage", "reranked"), strict=True):
        for axes, dtype in zip(axes_row, dtypes, strict=True):
            _panel(axes, some, dtype, column, look_of)
            axes.set(title=f"{dtype}, {stage}", xlabel=label)
        axes_row[0].set_ylabel(quality)
    handles, labels = grid[0][-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, dtype: str, column: str, look_of: Mapping[str, dict[str, Any]]
) -> None:
    """Draw a line for each reduction, and the float32 prefix behind them."""
    floats = table[(table["dtype"] == FLOAT32) & (table["reducer"] == PREFIX)].sort_values(column)
    axes.plot(
        *(floats[column], floats["value"]),
        color="grey",
        linestyle="--",
        linewidth=1.2,
        label=f"{PREFIX} in {FLOAT32}",
    )
    dims = table.loc[table["reducer"] != PREFIX, "dim"]
    shown = table[(table["dtype"] == dtype) & (table["dim"].isin(dims) | dims.empty)]
    for reducer, look in look_of.items():
        rows = shown[shown["reducer"] == reducer].sort_values(column)
        if len(rows):
            line(axes, rows[column], rows, reducer, look)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
