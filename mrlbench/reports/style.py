"""How figures look: colours that colour-blind readers can tell apart, readable log axes."""

from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mrlbench.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe–Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH, HEIGHT = 6.4, 4.4  # inches


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Start a figure with one set of axes."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, add_panel(figure, title, x, y)


def add_panel(figure: Figure, title: str, x: str, y: str, place: int = 1, of: int = 1) -> Axes:
    """Add axes to a figure, the `place`-th from the left of some that stand side by side."""
    axes = figure.add_subplot(1, of, place)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def dim_axis(axes: Axes, dims: list[int]) -> None:
    """Show dims on a log2 axis, each by its number."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(dims, [str(dim) for dim in dims], fontsize=8)
    axes.minorticks_off()


def log_axis(axis: Axis) -> None:
    """Show 1, 2 and 5 of each decade as plain numbers on a log axis; from 1,000 on as 1k, 1M."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_locator(NullLocator())


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def looks() -> Iterator[dict[str, Any]]:
    """Give each line a colour and a marker of its own; hollow ones when the colours are used up."""
    for face in cycle((None, "white")):
        for colour, marker in zip(COLOURS, MARKERS, strict=True):
            yield {"color": colour, "marker": marker, "markerfacecolor": face or colour}


def line(
    axes: Axes, x: "pd.Series[float]", table: pd.DataFrame, label: str, look: Mapping[str, Any]
) -> None:
    """Draw values as a line with their 95% intervals.

    Args:
        axes: Where.
        x: The positions, (n,).
        table: Rows with value, ci_low and ci_high, (n,).
        label: For the legend.
        look: Colour and marker.
    """
    low, high = (table[each].fillna(table["value"]) for each in ("ci_low", "ci_high"))
    axes.plot(x, table["value"], label=label, markersize=4.5, linewidth=1.4, **look)
    axes.fill_between(x.astype(float), low, high, alpha=0.15, color=look["color"], linewidth=0)


def use_plain_style() -> None:
    """Set fonts once; text in SVG stays text."""
    mpl.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "mrlbench"})


def save_figure(figure: Figure, folder: Path, name: str) -> Path:
    """Write a figure as SVG and PNG, the same bytes for the same figure.

    Returns:
        The PNG file.
    """
    for suffix in ("svg", "png"):
        path = folder / f"{name}.{suffix}"
        with replacing(path) as beside:
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(beside, format=suffix, dpi=160, metadata=metadata)
    return path
