"""The paper's published curves, in grey behind a run's own.

They are of ImageNet-1K and ResNet50, which their labels say: beside another data set, what can be
compared is the shape, how many dims it takes until nothing is gained.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from mrlbench.paper.published import IMAGENET, cascade, curve, schedules_by_cost

SHARED = 0.5  # of a run's dims must be among the published ones
FAR = 0.5  # of the highest published value: a run that stays below gets an axis of its own
GREY = "#808080"
LINES = {"mrl": "--", "fixed": ":"}


def published_curves(task: str, metric: str, dims: Sequence[int]) -> dict[str, pd.DataFrame]:
    """Give the published MRL and fixed curves at the dims that a run has too.

    Returns:
        By method, `dim` and `fraction`; none where they share less than half of the run's dims, as
        for ViT's 12, 24, …
    """
    tables = {}
    for method in LINES:
        table = curve(task, method, metric)
        table = table[table["dim"].isin(list(dims))]
        if len(table) and len(table) >= SHARED * len(set(dims)):
            tables[method] = table
    return tables


def is_far_below(highest: float, tables: Mapping[str, pd.DataFrame]) -> bool:
    """Tell whether a run's highest value is so low that published curves need their own axis."""
    return highest < FAR * max(float(table["fraction"].max()) for table in tables.values())


def published_cascade(dims: Sequence[int]) -> pd.DataFrame | None:
    """Give the published cascade, if most of a run's heads are the paper's too."""
    heads = curve("classification", "mrl", "top1")["dim"]
    shared = len(set(dims) & set(heads)) >= SHARED * len(set(dims))
    return cascade() if shared else None


def paper_curves(axes: Axes, task: str, metric: str, dims: Sequence[int]) -> None:
    """Draw the published MRL and fixed curves over dims, at the dims that a run has too.

    Where the run's own values, which are drawn before, are far below the published ones, as on
    other data they may be, the published ones have an axis of their own at the right.
    """
    tables = published_curves(task, metric, dims)
    if not tables:
        return
    target = axes
    if is_far_below(float(axes.dataLim.ymax), tables):
        target = _own_axis(axes)
        target.set_ylim(bottom=0)
        axes.set_ylim(bottom=0)
    for method, table in tables.items():
        _line(target, table["dim"], table["fraction"], method, LINES[method])
        if target is not axes:  # the legend is that of the run's axis
            label = f"paper: {method} (ImageNet-1K, right axis)"
            axes.plot([], [], linestyle=LINES[method], color=GREY, linewidth=1.3, label=label)


def paper_cascade(axes: Axes, dims: Sequence[int]) -> None:
    """Draw the published cascade over expected dims, if most of a run's heads are the paper's too.

    On an axis of its own at the right: what can be compared is how soon it is level.
    """
    table = published_cascade(dims)
    if table is None:
        return
    target = _own_axis(axes)
    target.plot(table["expected_dim"], table["fraction"], linestyle="--", color=GREY, linewidth=1.3)
    label = "paper: mrl cascade (ImageNet-1K, right axis)"
    axes.plot([], [], linestyle="--", color=GREY, linewidth=1.3, label=label)


def _own_axis(axes: Axes) -> Axes:
    """Add a grey axis at the right, behind what the run drew."""
    other = axes.twinx()
    other.set_ylabel("paper, ImageNet-1K", color=GREY)
    other.tick_params(axis="y", colors=GREY)
    other.spines["right"].set(visible=True, color=GREY)
    other.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    return other


def paper_costs(axes: Axes, datasets: Sequence[str]) -> None:
    """Draw the published quality against MFLOPs, for a run on the same data set only.

    MFLOPs grow with the database: those of another data set would lie elsewhere.
    """
    if set(datasets) != {IMAGENET}:
        return
    exact, reranked = schedules_by_cost(IMAGENET)
    _line(axes, exact["mflops"], exact["fraction"], "mrl", LINES["mrl"])
    axes.scatter(
        reranked["mflops"],
        reranked["fraction"],
        s=30,
        marker="v",
        facecolor="none",
        edgecolor=GREY,
        label="paper: mrl, rerank at D",
        zorder=1,
    )


def _line(
    axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", method: str, style: str
) -> None:
    label = f"paper: {method} (ImageNet-1K, ResNet50)"
    axes.plot(x.astype(float), y, linestyle=style, color=GREY, linewidth=1.3, label=label, zorder=1)
