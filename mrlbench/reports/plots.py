"""The figures: each reads one or two CSV files and draws if they hold what it needs."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mrlbench.reports import analysis_plots, baseline_plots, cascade_plots, grid_plots
from mrlbench.reports.paper_curves import paper_costs, paper_curves
from mrlbench.reports.selections import (
    GOOD_RECALL,
    adaptive_schedules,
    fast_enough,
    has_published,
    speed,
    with_cost,
)
from mrlbench.reports.series import read as _read
from mrlbench.reports.series import series as _series
from mrlbench.reports.series import subject as _subject
from mrlbench.reports.style import (
    dim_axis,
    line,
    log_axis,
    looks,
    new_figure,
    save_figure,
    use_plain_style,
)
from mrlbench.runs import Output

MODES = {"single": "one query at a time", "batch": "all queries at once"}


def draw_all(output: Output) -> list[Path]:
    """Draw every figure that the CSV files allow, as PNG and SVG.

    Returns:
        The PNG files.
    """
    use_plain_style()
    drawn = []
    for name, draw in FIGURES.items():
        figure = draw(output)
        if figure is not None:
            drawn.append(save_figure(figure, output.plots, name))
    return drawn


def _by_dim(csv: str, metric: str, title: str, y: str) -> Callable[[Output], Figure | None]:
    """Make a figure of one metric against dim, a line for each method and baseline."""

    def draw(output: Output) -> Figure | None:
        table = _read(output, csv, metric)
        if table.empty:
            return None
        figure, axes = new_figure(f"{title}\n{_subject(table)}", "dimensions", y)
        for (label, rows), look in zip(_series(table), looks(), strict=False):
            line(axes, rows["dim"], rows, label, look)
        if has_published(table):
            paper_curves(axes, csv, metric, table["dim"].unique().tolist())
        dim_axis(axes, sorted(table["dim"].unique()))
        axes.legend(fontsize=8, frameon=False)
        return figure

    return draw


def _map_by_mflops(output: Output) -> Figure | None:
    """Draw the paper's Fig. 8: quality against cost, with shortlists and funnels."""
    exact, cost = (_read(output, "retrieval", metric) for metric in ("map@10", "mflops"))
    if exact.empty:
        return None
    exact = with_cost(exact[exact["reducer"] == "prefix"], cost)
    figure, axes = new_figure(
        f"Retrieval quality against cost\n{_subject(exact)}", "MFLOPs per query", "mAP@10"
    )
    colours = {}
    for (label, rows), look in zip(_series(exact), looks(), strict=False):
        line(axes, rows["mflops"], rows, f"{label}, exact", look)
        colours[label] = look["color"]
    paper_costs(axes, exact["dataset"].unique().tolist())
    adaptive = adaptive_schedules(output)
    for method, rows in adaptive.groupby("method", sort=False):
        funnel = rows[rows["funnel"]]
        final = ~rows["funnel"] & (rows["rerank_dims"] == str(exact["dim"].max()))
        short = rows[~rows["funnel"] & ~final]  # reranks short of full width stand back
        colour = colours.get(str(method), "black")
        axes.scatter(short["mflops"], short["value"], s=9, alpha=0.35, color=colour)
        for part, name, marker in (
            (rows[final], f"shortlist of {_first(rows[final], 'shortlist')}, rerank at D", "v"),
            (funnel, "funnel", "*"),
        ):
            low, high = (part["value"] - part["ci_low"]).abs(), part["ci_high"] - part["value"]
            axes.errorbar(
                part["mflops"], part["value"], [low, high], fmt="none", ecolor=colour, linewidth=1
            )
            axes.scatter(
                part["mflops"],
                part["value"],
                s=90 if marker == "*" else 36,
                marker=marker,
                facecolor=colour,
                edgecolor="black",
                linewidth=0.6,
                label=f"{method}, {name}",
                zorder=3,
            )
    axes.set_xscale("log")
    log_axis(axes.xaxis)
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    return figure


def _time_by_dim(mode: str) -> Callable[[Output], Figure | None]:
    """Make a figure of time per query against dim, exact and approximate."""

    def draw(output: Output) -> Figure | None:
        table = speed(output, mode)
        if table.empty:
            return None
        figure, axes = new_figure(
            f"Time per query, {MODES[mode]}\n{_subject(table)}, {table['threads'].iloc[0]} threads",
            "dimensions",
            "µs per query",
        )
        for (index, rows), look in zip(table.groupby("index", sort=False), looks(), strict=False):
            best = pd.concat([fast_enough(each) for _, each in rows.groupby("dim")])
            line(axes, best["dim"], best, str(index), look)
        dim_axis(axes, sorted(table["dim"].unique()))
        axes.set_yscale("log")
        log_axis(axes.yaxis)
        axes.legend(
            fontsize=8,
            frameon=False,
            title=f"fastest with recall_dim@10 ≥ {GOOD_RECALL}, else best",
        )
        return figure

    return draw


def _recall_by_time(mode: str) -> Callable[[Output], Figure | None]:
    """Make a figure of recall against time, a line for each index and dim."""

    def draw(output: Output) -> Figure | None:
        table = speed(output, mode)
        table = table[table["effort"].notna()]
        if table.empty:
            return None
        figure, axes = new_figure(
            f"Recall against time, {MODES[mode]}\n{_subject(table)}, "
            f"{table['threads'].iloc[0]} threads",
            "µs per query",
            "recall_dim@10",
        )
        shown = _some(sorted(table["dim"].unique()), 4)
        styles = cycle(("-", "--", ":", "-."))
        for (index, rows), style in zip(table.groupby("index", sort=False), styles, strict=False):
            for dim, look in zip(shown, looks(), strict=False):
                each = rows[rows["dim"] == dim].sort_values("effort")
                label = f"{index}, {dim} dims"
                axes.plot(each["value"], each["recall"], linestyle=style, label=label, **look)
                axes.fill_between(
                    each["value"].astype(float),
                    each["recall_low"],
                    each["recall_high"],
                    color=look["color"],
                    alpha=0.12,
                    linewidth=0,
                )
        axes.set_xscale("log")
        log_axis(axes.xaxis)
        axes.legend(fontsize=7, frameon=False, handlelength=4)
        return figure

    return draw


FIGURES: dict[str, Callable[[Output], Figure | None]] = {
    "accuracy_by_dim": _by_dim(
        "classification", "top1", "Linear classification by width", "top-1 accuracy"
    ),
    "knn_by_dim": _by_dim("knn", "top1", "1-NN classification by width", "1-NN accuracy"),
    "map_by_dim": _by_dim("retrieval", "map@10", "Retrieval by width", "mAP@10"),
    "recall_full_by_dim": _by_dim(
        "retrieval", "recall_full@10", "Agreement with exact search at full width", "recall_full@10"
    ),
    "map_by_mflops": _map_by_mflops,
    "time_by_dim_single": _time_by_dim("single"),
    "time_by_dim_batch": _time_by_dim("batch"),
    "recall_by_time_single": _recall_by_time("single"),
    "recall_by_time_batch": _recall_by_time("batch"),
    **cascade_plots.FIGURES,
    **baseline_plots.FIGURES,
    **analysis_plots.FIGURES,
    **grid_plots.FIGURES,
}


def _some(values: list[int], count: int) -> list[int]:
    """Choose `count` values from first to last, evenly."""
    if len(values) <= count:
        return values
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]


def _first(table: pd.DataFrame, column: str) -> str:
    return str(table[column].iloc[0]) if len(table) else ""
