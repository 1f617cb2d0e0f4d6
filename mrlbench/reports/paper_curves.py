"""The paper's published curves, in grey behind a run's own.

They are of ImageNet-1K and ResNet50, which their labels say: beside another data set, what can be
compared is the shape, how many dims it takes until nothing is gained.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from mrlbench.paper.published import IMAGENET, curve, schedules_by_cost

SHARED = 0.5  # of a run's dims must be among the published ones
GREY = "#808080"
LINES = {"mrl": "--", "fixed": ":"}


def paper_curves(axes: Axes, task: str, metric: str, dims: Sequence[int]) -> None:
    """Draw the published MRL and fixed curves over dims, at the dims that a run has too.

    Nothing is drawn if they share less than half of the run's dims, as for ViT's 12, 24, ….
    """
    for method, style in LINES.items():
        table = curve(task, method, metric)
        table = table[table["dim"].isin(list(dims))]
        if len(table) and len(table) >= SHARED * len(set(dims)):
            _line(axes, table["dim"], table["fraction"], method, style)


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
