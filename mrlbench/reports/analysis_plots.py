"""Figures of the analyses: each draws if `analysis.csv` holds what it needs."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.figure import Figure

from mrlbench import measurements
from mrlbench.evaluation.analysis.class_trends import TRENDS
from mrlbench.evaluation.analysis.interpolation import INTERPOLATED
from mrlbench.reports.style import COLOURS, dim_axis, line, looks, new_figure
from mrlbench.runs import Output

MOST_LINES = 8
COMPARED = ("long-tail", "robustness")  # one line alone is the plain accuracy, drawn elsewhere
WIDTH = 0.8  # of a group of bars


def _lines(
    task: str,
    metric: str,
    title: str,
    y: str,
    label: Callable[[pd.DataFrame], "pd.Series[str]"],
) -> Callable[[Output], Figure | None]:
    """Make a figure of one metric against dim for one method, a line for each label."""

    def draw(output: Output) -> Figure | None:
        table = _one_method(_read(output, task, metric))
        if table.empty or len(table["dim"].unique()) < 2:
            return None
        table = _mean_over_seeds(table.assign(label=label(table)))
        if task in COMPARED and table["label"].nunique() < 2:
            return None
        figure, axes = new_figure(f"{title}\n{_subject(table)}", "dimensions", y)
        names = table.loc[table["dim"] == table["dim"].max()].sort_values("value")["label"]
        for name, look in zip(_some(list(names[::-1])), looks(), strict=False):
            rows = table[table["label"] == name].sort_values("dim")
            line(axes, rows["dim"], rows, name, look)
        dim_axis(axes, sorted(table["dim"].unique()))
        axes.legend(fontsize=8, frameon=False)
        return figure

    return draw


def _first_right(output: Output) -> Figure | None:
    """Draw the share of queries that each dim is the first to have right, and those never right."""
    table = _read(output, "oracle", ["first_right", "never_right"])
    methods = _nested_first(table)
    if not methods:
        return None
    figure, axes = new_figure(
        f"Narrowest head that is right\n{_subject(table, method=False)}",
        "dimensions",
        "share of queries",
    )
    dims = sorted(table["dim"].unique())
    for place, method in enumerate(methods):
        rows = table[table["method"] == method]
        mean = rows.groupby(["metric", "dim"])["value"].mean()
        never = mean.get("never_right", pd.Series(dtype=float)).sum()
        shares = [*mean["first_right"].reindex(dims).fillna(0), never]
        step = WIDTH / len(methods)
        left = [x - WIDTH / 2 + step * (place + 0.5) for x in range(len(shares))]
        axes.bar(left, shares, step, label=method, color=COLOURS[place % len(COLOURS)])
    axes.set_yscale("log")
    axes.set_xticks(range(len(dims) + 1), [*map(str, dims), "never"], fontsize=8)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _trends(output: Output) -> Figure | None:
    """Draw how many classes follow each trend, with and without a tolerance."""
    table = _one_method(_read(output, "class-trends", "classes"))
    if table.empty:
        return None
    figure, axes = new_figure(
        f"Accuracy of each class as dims grow\n{_subject(table)}", "", "classes"
    )
    counts = table.groupby("variant")["value"].mean()
    kinds = (("", "any difference counts"), (",tolerance=binomial", "beyond binomial noise"))
    for place, (how, label) in enumerate(kinds):
        values = [counts.get(f"trend={name}{how}", 0) for name in TRENDS]
        left = [x + WIDTH / 2 * (place - 0.5) for x in range(len(TRENDS))]
        axes.bar(left, values, WIDTH / 2, label=label, color=COLOURS[place])
    axes.set_xticks(range(len(TRENDS)), TRENDS)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _interpolation(output: Output) -> Figure | None:
    """Draw mAP@10 at the trained dims as lines and at those between as hollow marks."""
    path = output.csv("retrieval")
    table = measurements.read(path) if path.is_file() else measurements.to_frame([])
    table = table[(table["metric"] == "map@10") & (table["reducer"] == "prefix")]
    between = table[table["variant"] == INTERPOLATED]
    if between.empty:
        return None
    trained = table[table["variant"].isna()]
    figure, axes = new_figure(
        f"Dims between the trained ones\n{_subject(table, method=False)}", "dimensions", "mAP@10"
    )
    for method, look in zip(sorted(between["method"].unique()), looks(), strict=False):
        own = _mean_over_seeds(trained[trained["method"] == method].assign(label=method))
        if len(own):
            line(axes, own["dim"], own, f"{method}, trained", look)
        rows = _mean_over_seeds(between[between["method"] == method].assign(label=method))
        low, high = rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]
        axes.errorbar(
            rows["dim"],
            rows["value"],
            [low.clip(lower=0), high.clip(lower=0)],
            fmt=look["marker"],
            color=look["color"],
            markerfacecolor="white",
            label=f"{method}, between",
            zorder=3,
        )
    dim_axis(axes, sorted(trained["dim"].unique()) or sorted(between["dim"].unique()))
    axes.legend(fontsize=8, frameon=False)
    return figure


def _cell(column: str, prefix: str = "") -> Callable[[pd.DataFrame], "pd.Series[str]"]:
    """Label lines by a column, without `prefix`; `all` where it is empty."""

    def label(table: pd.DataFrame) -> "pd.Series[str]":
        return table[column].str.removeprefix(prefix).fillna("all")

    return label


FIGURES: dict[str, Callable[[Output], Figure | None]] = {
    "robustness_by_dim": _lines(
        *("robustness", "top1", "Other queries of the same model", "linear top-1 accuracy"),
        _cell("queries"),
    ),
    "few_shot_by_dim": _lines(
        *("few-shot", "top1", "Nearest class mean of a few shots", "top-1 accuracy"),
        lambda table: _cell("variant", "shots=")(table) + " shots",
    ),
    "superclass_by_dim": _lines(
        *("superclass", "top1", "Superclass of the predicted class", "top-1 accuracy"),
        _cell("variant", "superclass="),
    ),
    "oracle_first_right": _first_right,
    "class_trends": _trends,
    "long_tail_by_dim": _lines(
        *("long-tail", "top1", "By how often the class was trained", "linear top-1 accuracy"),
        _cell("variant", "frequency="),
    ),
    "interpolation_by_dim": _interpolation,
}


def _read(output: Output, task: str, metrics: str | Sequence[str]) -> pd.DataFrame:
    path = output.csv("analysis")
    table = measurements.read(path) if path.is_file() else measurements.to_frame([])
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    return table[(table["task"] == task) & table["metric"].isin(wanted)]


def _nested_first(table: pd.DataFrame) -> list[str]:
    """Order the methods: mrl, then others, fixed models last."""
    return sorted(table["method"].unique(), key=lambda m: (m.startswith("fixed-"), m != "mrl", m))


def _one_method(table: pd.DataFrame) -> pd.DataFrame:
    methods = _nested_first(table)
    return table[table["method"] == methods[0]] if methods else table


def _mean_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average seeds; the band reaches from the lowest to the highest end of their intervals."""
    how = {"value": "mean", "ci_low": "min", "ci_high": "max", "dataset": "first"}
    return table.groupby(["label", "method", "dim"], as_index=False).agg(how)


def _some(names: list[str]) -> list[str]:
    """Keep the best and the worst of many lines, and the one of all, in order."""
    if len(names) <= MOST_LINES:
        return names
    ends = {*names[: MOST_LINES // 2], *names[-(MOST_LINES // 2 - 1) :], "all"}
    return [name for name in names if name in ends]


def _subject(table: pd.DataFrame, method: bool = True) -> str:
    first = table.iloc[0]
    return f"{first['dataset']}, {first['method']}" if method else str(first["dataset"])
