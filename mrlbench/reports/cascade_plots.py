"""Figures of adaptive classification: accuracy against expected dim."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrlbench import measurements
from mrlbench.reports.paper_curves import paper_cascade
from mrlbench.reports.style import dim_axis, looks, new_figure
from mrlbench.runs import Output

PAPER = "rule=max-softmax"
JOINT = ",thresholds=joint"
FIXED = "fixed models"
ACCOUNTINGS = {
    "expected_dim": ("final dim", "-"),
    "expected_dim_all_heads": ("every head tried", "--"),
}


def _paper_cascade(output: Output, tta: bool) -> Figure | None:
    """Draw the paper's Fig. 6: its cascade in both accountings, and single heads beside it."""
    table = cascades(output)
    table = table[table["variant"] == PAPER + (",tta" if tta else "")]
    if table.empty:
        return None
    title = "Adaptive classification" + (", logits summed over the mirror image" if tta else "")
    figure, axes = _start(table, title)
    colours = {}
    for (method, rows), look in zip(table.groupby("method", sort=False), looks(), strict=False):
        colours[str(method)] = look["color"]
        for dim, (name, style) in ACCOUNTINGS.items():
            _draw(axes, rows, dim, f"{method} cascade, {name}", {**look, "linestyle": style})
    singles = single_heads(output, tta)
    singles = singles[singles["line"].isin([*colours, FIXED])]
    for method, rows in singles.groupby("line", sort=False):
        colour = colours.get(str(method), "black")
        _points(axes, rows, f"{method}: one head", colour)
    shown = pd.concat([table["top1"], singles["value"][singles["line"] != FIXED]])
    _hide_far_below(axes, singles["value"], shown)
    if tta:  # as the paper's
        paper_cascade(axes, list(table["dim"]))
    return _finish(figure, axes, [*table["dim"], *singles["dim"]])


def _rules(output: Output) -> Figure | None:
    """Compare rules, calibration and joint thresholds, of the first nested method."""
    table = cascades(output)
    variant = table["variant"]  # another one in front of the rule says how the model was trained
    table = table[variant.str.startswith("rule=") & ~variant.str.contains("tta")]
    if table["variant"].nunique() < 2:
        return None
    methods = list(table["method"].unique())
    table = table[table["method"] == ("mrl" if "mrl" in methods else methods[0])]
    figure, axes = _start(table, f"Rules of the cascade, {table['method'].iloc[0]}")
    joint = table["variant"].str.contains(JOINT, regex=False)
    named = table.assign(line=table["variant"].mask(joint, PAPER + JOINT))
    for (line, rows), look in zip(named.groupby("line"), looks(), strict=False):
        label = str(line).removeprefix("rule=").replace(",", ", ")
        style = "none" if str(line).endswith(JOINT) else "-"
        _draw(axes, rows, "expected_dim", label, {**look, "linestyle": style})
    reached = table["expected_dim"].max()
    return _finish(figure, axes, [dim for dim in table["dim"] if dim <= 2 * reached])


FIGURES: dict[str, Callable[[Output], Figure | None]] = {
    "adaptive_classification": partial(_paper_cascade, tta=False),
    "adaptive_classification_tta": partial(_paper_cascade, tta=True),
    "adaptive_classification_rules": _rules,
}


def cascades(output: Output) -> pd.DataFrame:
    """Read cascades, one a line with a column for each metric; several seeds are averaged."""
    table = _read(output, "adaptive_classification")
    keys = ["dataset", "method", "variant", "dim"]
    table = table[table["variant"].notna()]
    wide = table.pivot_table(index=keys, columns="metric", values="value").reset_index()
    return wide if "expected_dim" in wide else wide.iloc[:0]


def single_heads(output: Output, tta: bool) -> pd.DataFrame:
    """Read what each head reaches alone: the nested ones, and fixed models at their own dim."""
    if tta:
        table = _read(output, "adaptive_classification")
        table = table[table["variant"] == "rule=none,tta"]
    else:
        table = _read(output, "classification")
        plain = table["reducer"].isna() | (table["reducer"] == "prefix")
        table = table[table["variant"].isna() & plain]
    table = table[table["metric"] == "top1"]
    fixed = table["method"].str.startswith("fixed-")
    table = table.assign(line=table["method"].mask(fixed, FIXED))
    return table.groupby(["line", "dim"], as_index=False).agg(
        value=("value", "mean"), ci_low=("ci_low", "min"), ci_high=("ci_high", "max")
    )


def _read(output: Output, csv: str) -> pd.DataFrame:
    path = output.csv(csv)
    return measurements.read(path) if path.is_file() else measurements.to_frame([])


def _start(table: pd.DataFrame, title: str) -> tuple[Figure, Axes]:
    name = f"{title}\n{table['dataset'].iloc[0]}; bars: ± one standard deviation over 30 splits"
    return new_figure(name, "expected dimensions", "top-1 accuracy")


def _draw(axes: Axes, rows: pd.DataFrame, dim: str, label: str, look: Mapping[str, Any]) -> None:
    """Draw a cascade, a point for each widest head, with its spread over splits."""
    rows = rows.sort_values(["dim", dim])
    # the spread of the dims of every head tried is not measured
    across = rows["expected_dim_std"] if dim == "expected_dim" else None
    axes.errorbar(
        rows[dim],
        rows["top1"],
        xerr=across,
        yerr=rows["top1_std"],
        label=label,
        markersize=4,
        linewidth=1.2,
        elinewidth=0.6,
        **look,
    )


def _points(axes: Axes, rows: pd.DataFrame, label: str, colour: str) -> None:
    """Draw single heads as points with their 95% intervals over queries."""
    low, high = rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]
    axes.errorbar(
        rows["dim"],
        rows["value"],
        yerr=[low, high],
        label=f"{label} (bars: 95% interval)",
        fmt="x" if colour == "black" else "+",
        color=colour,
        markersize=7,
        elinewidth=0.6,
    )


def _hide_far_below(axes: Axes, values: "pd.Series[float]", shown: "pd.Series[float]") -> None:
    """Leave out values, all by fixed models, that would squeeze the cascades; say how many."""
    room = max(float(shown.max() - shown.min()), 0.005)
    bottom = float(shown.min()) - room / 2
    below = int((values < bottom).sum())
    if below:
        axes.set_ylim(bottom=bottom)
        note = f"{below} of the {FIXED} below {bottom:.3f}"
        axes.text(0.02, 0.02, note, transform=axes.transAxes, fontsize=7)


def _finish(figure: Figure, axes: Axes, dims: list[int]) -> Figure:
    dim_axis(axes, sorted({int(dim) for dim in dims}))
    axes.legend(fontsize=7, frameon=False)
    return figure
