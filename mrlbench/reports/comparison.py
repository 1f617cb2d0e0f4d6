"""Differences between two runs: a table, a CSV and a picture."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mrlbench.evaluation.comparing import UNPAIRED, Difference, is_timing
from mrlbench.files import replacing
from mrlbench.reports.style import HEIGHT, WIDTH, dim_axis, looks, use_plain_style

CELLS = (
    *("dataset", "queries", "n_database", "task", "method", "variant", "reducer", "dim", "index"),
    *("effort", "rerank_dims", "shortlist", "k", "mode", "threads", "metric"),
)
MAIN = ("top1", "map@10", "recall_full@10", "us_per_query")  # of many, these are shown
TOLD = ("task", "queries", "variant", "reducer", "index", "effort")  # what tells lines apart
EQUAL_CELLS = ("n_database", "k")  # on both sides, and in the metric's name
LINES = 40  # on the terminal; compare.csv has all
MOST_LINES = 7  # of a picture's panel: each has a colour
SPREAD = 0.06  # of a doubling of dims, between lines
FAR = 4  # times the median: then the axis is linear up to 2 points only
TICKS = (0, 1, 2, 5, 10, 20, 50, 100)


def comparison_frame(differences: Sequence[Difference]) -> pd.DataFrame:
    """Put differences into a table: cells, both values, B - A or B / A, the verdict."""
    lines = []
    for each in differences:
        cells = {name: getattr(each.row, name) for name in CELLS}
        cells["method"] = method_label(each)
        numbers = {"a": each.a, "b": each.b, "how": "B / A" if each.is_ratio else "B - A"}
        interval = {"difference": each.value, "ci_low": each.low, "ci_high": each.high}
        told = {"verdict": each.verdict, "basis": each.basis, "n": each.n, "seeds": each.seeds}
        lines.append({**cells, **numbers, **interval, **told})
    counts = dict.fromkeys(("n_database", "dim", "effort", "k", "threads", "n"), "Int64")
    return pd.DataFrame(lines).astype(counts)


def method_label(difference: Difference) -> str:
    """Name one method, or both; the separate model of each dim is `fixed`."""
    own = f"fixed-{difference.row.dim}"
    both = (difference.row.method, difference.method)
    first, second = ("fixed" if each == own else each for each in both)
    return str(first) if first == second else f"{first}:{second}"


def comparison_table(differences: Sequence[Difference], metrics: Sequence[str] = ()) -> str:
    """Show differences in some metrics, the main ones if none are named."""
    table = comparison_frame(differences)
    shown = table[table["metric"].isin(list(metrics or MAIN))]
    shown = table if shown.empty else shown
    shown = shown.sort_values("variant", key=lambda cells: cells.notna(), kind="stable")
    columns = ["task", "method", "dim"]
    known = (*columns, *EQUAL_CELLS)
    varied = [c for c in CELLS if c not in known and shown[c].nunique(dropna=False) > 1]
    basis = ["basis"] if shown["basis"].nunique() > 1 or UNPAIRED in set(shown["basis"]) else []
    how = ["how"] if shown["how"].nunique() > 1 else []
    numbers = ["a", "b", *how, "difference", "ci_low", "ci_high", "verdict", *basis]
    order = dict.fromkeys([*columns, *varied, "metric", *numbers])
    names = {"a": "A", "b": "B", "ci_low": "low", "ci_high": "high"}
    text = shown[list(order)].astype(object).where(shown[list(order)].notna(), "")
    some = text.head(LINES).rename(columns=names).to_string(index=False, float_format=_number)
    left = len(text) - LINES
    return f"{some}\n… and {left} more" if left > 0 else some


def write_comparison(
    differences: Sequence[Difference], sides: tuple[str, str], folder: Path
) -> list[Path]:
    """Write compare.csv and, where numbers have dims, compare.png and compare.svg.

    Args:
        differences: What was found.
        sides: What A and B are called.
        folder: Where the files go.
    """
    written = [folder / "compare.csv"]
    with replacing(written[0]) as beside:
        table = comparison_frame(differences)
        table.to_csv(beside, index=False, float_format="%.8g")
    figure = draw_comparison(differences, sides)
    if figure is None:
        return written
    for suffix in ("png", "svg"):
        written.append(folder / f"compare.{suffix}")
        with replacing(written[-1]) as beside:
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(beside, format=suffix, dpi=160, metadata=metadata)
    return written


def draw_comparison(differences: Sequence[Difference], sides: tuple[str, str]) -> Figure | None:
    """Draw differences against dim with their intervals, a panel for each of the main metrics."""
    panels = {name: found for name in MAIN if (found := _drawn(differences, name))}
    if not panels:
        return None
    use_plain_style()
    columns = len(panels) if len(panels) <= 3 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (name, found) in zip(axes, panels.items(), strict=False):
        _panel(place, name, found)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    names = sides[0] if sides[0] == sides[1] else f"A: {sides[0]}, B: {sides[1]}"
    figure.suptitle(f"{names}: differences with 95% intervals")
    return figure


def _drawn(differences: Sequence[Difference], metric: str) -> dict[str, list[Difference]]:
    """Gather the lines of a panel: what has two dims or more, and no shortlist."""
    lines: dict[str, list[Difference]] = {}
    known = [d for d in differences if d.row.metric == metric and d.row.dim is not None]
    known = [d for d in known if d.value == d.value and not d.row.rerank_dims]  # NaN is not itself
    # what was varied would blur the lines of others, and 1-NN is retrieval's top-1
    known = [d for d in known if d.row.variant is None] or known
    known = [d for d in known if d.row.task != "knn"] or known
    varied = [c for c in TOLD if len({getattr(d.row, c) for d in known}) > 1]
    for each in known:
        if each.row.mode in (None, "single"):
            lines.setdefault(_line_name(each, varied), []).append(each)
    longest = sorted(lines, key=lambda name: -len(lines[name]))[:MOST_LINES]
    return {name: lines[name] for name in longest if len(lines[name]) > 1}


def _line_name(difference: Difference, varied: Sequence[str]) -> str:
    cells = (method_label(difference), *(getattr(difference.row, c) for c in varied))
    return ", ".join(dict.fromkeys(str(each) for each in cells if each is not None))


def _panel(axes: Axes, metric: str, lines: dict[str, list[Difference]]) -> None:
    ratio = is_timing(metric)
    scale = 1 if ratio else 100
    axes.axhline(1 if ratio else 0, color="black", linewidth=0.8)
    for number, ((name, found), look) in enumerate(zip(lines.items(), looks(), strict=False)):
        found = sorted(found, key=lambda each: each.row.dim or 0)
        shift = 2 ** (SPREAD * (number - (len(lines) - 1) / 2))  # beside each other, on a log axis
        x = [(each.row.dim or 0) * shift for each in found]
        y = [each.value * scale for each in found]
        low = [max(0.0, (each.value - each.low) * scale) for each in found]
        high = [max(0.0, (each.high - each.value) * scale) for each in found]
        axes.errorbar(
            *(x, y, [low, high]),
            marker=look["marker"],
            color=look["color"],
            markersize=4.5,
            linestyle=":",
            linewidth=1.2,
            capsize=2,
            label=name,
        )
    points = [abs(each.value) * scale for found in lines.values() for each in found]
    if not ratio and max(points) > FAR * max(0.5, median(points)):
        axes.set_yscale("symlog", linthresh=2)
        axes.set_yticks([sign * tick for tick in TICKS for sign in (-1, 1)])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(*_limits(lines, scale))
    dims = sorted({each.row.dim for found in lines.values() for each in found if each.row.dim})
    dim_axis(axes, dims)
    axes.set(title=metric, xlabel="dimensions", ylabel="B / A" if ratio else "B - A, points")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _limits(lines: dict[str, list[Difference]], scale: float) -> tuple[float, float]:
    """Leave room at the top and at the bottom for both intervals and legend."""
    lows, highs = zip(*((d.low, d.high) for found in lines.values() for d in found), strict=True)
    return min(1.6 * min(lows) * scale, -1.0), max(1.6 * max(highs) * scale, 1.0)


def _number(value: float) -> str:
    return "" if value != value else f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
