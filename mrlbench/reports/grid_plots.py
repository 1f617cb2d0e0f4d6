"""Figures of a search grid: quality against cost, what no other search beats, codes by bytes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrlbench.arrays import FloatArray
from mrlbench.evaluation.grid.fronts import FRONTS, points
from mrlbench.reports.grid_tables import family, grid_rows, scans
from mrlbench.reports.series import subject
from mrlbench.reports.style import HEIGHT, WIDTH, line, log_axis, looks, new_figure
from mrlbench.runs import Output

INTERVAL = ["value", "ci_low", "ci_high"]
FADED, SMALL, LARGE = 0.22, 14, 34
PANEL = 4.0  # inches, a panel of codes
APART = (0.035, 0.04)  # of the axes' width and height: numbers closer than this would overlap
LEGEND = 3  # names of codes in a line
LIST_WIDTH = 2.0  # inches, for the names of the front's points
MODES = {"single": "one query at a time", "batch": "many queries at once"}
TITLES = {
    "recall_by_qps": ("Agreement with exact search at full width", "queries per second"),
    "map_by_time": ("Retrieval quality against time", "µs per query"),
    "map_by_bytes": ("Retrieval quality against memory", "bytes per row, index and rerank store"),
}


def _front(name: str, mode: str | None, output: Output) -> Figure | None:
    """Draw every search of the smallest k, dominated ones faded, and join those on the front."""
    found = _per_row(points(_of_smallest_k(grid_rows(output)), name, mode), name)
    if found.empty:
        return None
    title, x = TITLES[name]
    about = f"; {MODES[mode]}, {found['threads'].iloc[0]} threads" if mode else ""
    y = f"{FRONTS[name][0]}@{found['k'].iloc[0]}"
    figure, axes = new_figure(f"{title}\n{subject(found)}{about}", x, y)
    figure.set_size_inches(WIDTH + LIST_WIDTH, HEIGHT)
    families = found["index"].map(family)
    for (label, some), look in zip(found.groupby(families), looks(), strict=False):
        _scatter(axes, some, str(label), look["color"], look["marker"])
    axes.set_xscale("log")
    log_axis(axes.xaxis)
    kinds = axes.legend(fontsize=7, frameon=False, title="hollow: reranked", title_fontsize=7)
    axes.add_artist(kinds)
    _name_front(axes, found[found["front"]].sort_values(["cost", "index"], kind="stable"))
    return figure


def _of_smallest_k(table: pd.DataFrame) -> pd.DataFrame:
    smallest: pd.DataFrame = table[table["k"] == table["k"].min()]
    return smallest


def _per_row(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """Divide bytes by the rows of the database; efforts do not change them."""
    if FRONTS[name][1] != "bytes" or found.empty:
        return found
    each = found["cost"] / found["n_database"].astype(float)
    best = found.assign(cost=each).sort_values("quality", ascending=False, kind="stable")
    return best.drop_duplicates(["index", "dim", "rerank_dims", "shortlist"])


def _scatter(axes: Axes, some: pd.DataFrame, label: str, colour: str, marker: str) -> None:
    """Draw the searches of one kind of index; those with a rerank hollow."""
    axes.scatter([], [], color=colour, marker=marker, s=LARGE, label=label)
    for (is_front, is_reranked), part in some.groupby(["front", some["rerank_dims"].notna()]):
        axes.scatter(
            part["cost"],
            part["quality"],
            s=LARGE if is_front else SMALL,
            alpha=1.0 if is_front else FADED,
            facecolor="white" if is_reranked else colour,
            edgecolor=colour,
            linewidth=1.0,
            marker=marker,
            zorder=3 if is_front else 2,
        )


def _name_front(axes: Axes, front: pd.DataFrame) -> None:
    """Join the points of the front, number them, and say beside the axes what they are."""
    axes.plot(front["cost"], front["quality"], color="black", linewidth=0.8, zorder=2.5)
    places = front[["cost", "quality"]].to_numpy()  # (F, 2)
    for first, last in _neighbours(_in_axes(axes, places)):
        numbers = f"{first + 1}" if first == last else f"{first + 1}\u2013{last + 1}"
        axes.annotate(numbers, places[first], (3, 4), textcoords="offset points", fontsize=7)
    names = []
    for number, row in enumerate(front.to_dict("records"), 1):
        effort = "" if pd.isna(row["effort"]) else f", effort {row['effort']}"
        rerank = (
            "" if pd.isna(row["shortlist"]) else f"\n{row['shortlist']} at {row['rerank_dims']}"
        )
        names.append(f"{number}  {row['index']} at {row['dim']}{effort}{rerank}")
    handles = [axes.plot([], [], alpha=0)[0] for _ in names]
    look: dict[str, Any] = {"fontsize": 6, "handlelength": 0, "frameon": False}
    axes.legend(handles, names, loc="center left", bbox_to_anchor=(1.0, 0.5), **look)


def _in_axes(axes: Axes, places: FloatArray) -> FloatArray:
    """Give places in parts of the axes' width and height."""
    axes.autoscale_view()
    found: FloatArray = (axes.transScale + axes.transLimits).transform(places)
    return found


def _neighbours(places: FloatArray) -> list[tuple[int, int]]:
    """Group points so near the first of their group that numbers would overlap: (first, last)."""
    groups: list[tuple[int, int]] = []
    for each, place in enumerate(places):
        if groups and (np.abs(place - places[groups[-1][0]]) < APART).all():
            groups[-1] = (groups[-1][0], each)
        else:
            groups.append((each, each))
    return groups


def _codes(output: Output) -> Figure | None:
    """Draw what scans codes of all rows: a panel for each rerank, in it a line for each code.

    A point is a dim. The store that a rerank reads is the same for all of a panel, so the axis has
    the bytes of the index alone, and the title says what the store adds. Dims are named on the
    left: in the other panels they have the same bytes.
    """
    rows = scans(_of_smallest_k(grid_rows(output)))
    for name in ("map_by_bytes", "recall_by_bytes"):
        found = _per_row(points(rows, name, None), name)
        if found["index"].nunique() > 1:
            break
    else:
        return None
    bare = found[found["shortlist"].isna()].set_index(["index", "dim"])["cost"]
    found = found.join(bare.rename("bytes"), on=["index", "dim"])
    ladders = found["shortlist"].str.cat(found["rerank_dims"], sep=" at ").fillna("")
    panels = list(found.groupby(ladders))  # without a rerank first
    figure = Figure(figsize=(PANEL * len(panels), HEIGHT), layout="constrained")
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    look_of = dict(zip(sorted(found["index"].unique()), looks(), strict=False))
    for axes, (ladder, some) in zip(grid, panels, strict=True):
        store = (some["cost"] - some["bytes"]).max()
        about = f"{ladder},\nwhose store adds {store:,.0f} bytes a row"
        axes.set_title(about if ladder else "no rerank", fontsize=9)
        axes.set_xlabel("bytes per row of the index")
        axes.grid(alpha=0.3)
        for index, codes in some.groupby("index"):
            codes = codes.sort_values("bytes")
            values = codes[["quality", "quality_low", "quality_high"]].set_axis(INTERVAL, axis=1)
            line(axes, codes["bytes"], values, str(index), look_of[str(index)])
            if axes is grid[0]:
                _name_dims(axes, codes)
        axes.set_xscale("log")
        log_axis(axes.xaxis)
        axes.tick_params(axis="x", labelsize=7)
    grid[0].set_ylabel(f"{FRONTS[name][0]}@{found['k'].iloc[0]}")
    figure.suptitle(f"Width against precision at equal bytes\n{subject(found)}")
    lines, names = grid[0].get_legend_handles_labels()
    look: dict[str, Any] = {"loc": "outside lower center", "ncols": LEGEND, "frameon": False}
    figure.legend(lines, names, **look)
    return figure


def _name_dims(axes: Axes, some: pd.DataFrame) -> None:
    for place, quality, dim in zip(some["bytes"], some["quality"], some["dim"], strict=True):
        axes.annotate(str(dim), (place, quality), (2, -9), textcoords="offset points", fontsize=6)


FIGURES: dict[str, Callable[[Output], Figure | None]] = {
    "pareto_recall_by_qps_batch": partial(_front, "recall_by_qps", "batch"),
    "pareto_recall_by_qps_single": partial(_front, "recall_by_qps", "single"),
    "pareto_map_by_time_batch": partial(_front, "map_by_time", "batch"),
    "pareto_map_by_time_single": partial(_front, "map_by_time", "single"),
    "pareto_map_by_bytes": partial(_front, "map_by_bytes", None),
    "codes_by_bytes": _codes,
}
