"""Figures of the baselines: linear classifiers of frozen vectors, and how long a shortlist is."""

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from mrlbench.evaluation.linear_probes import VARIANT
from mrlbench.reports.series import read, series, subject
from mrlbench.reports.style import dim_axis, line, looks, new_figure
from mrlbench.runs import Output

FEWEST_LENGTHS = 3  # of shortlists, for a curve


def _linear_by_dim(output: Output) -> Figure | None:
    """Draw the trained heads, the SVD of a classifier, and linear probes of frozen vectors."""
    table = read(output, "classification", "top1", [VARIANT])
    if table["variant"].isna().all():
        return None
    figure, axes = new_figure(
        f"Linear classification: trained heads and baselines\n{subject(table)}",
        "dimensions",
        "top-1 accuracy",
    )
    for (label, rows), look in zip(series(table), looks(), strict=False):
        is_probe = label.endswith(f" [{VARIANT}]")
        shown = f"probe: {label.removesuffix(f' [{VARIANT}]')}" if is_probe else label
        line(axes, rows["dim"], rows, shown, look)
    dim_axis(axes, sorted(table["dim"].unique()))
    figure.set_size_inches(8.4, 4.4)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _map_by_shortlist(output: Output) -> Figure | None:
    """Draw mAP@10 against the length of the shortlist, a line for each Ds, reranked at D."""
    table = _at_full_width(read(output, "adaptive_retrieval", "map@10"))
    if table.empty:
        return None
    method = "mrl" if "mrl" in set(table["method"]) else table["method"].iloc[0]
    table = table[table["method"] == method]
    table = table[table.groupby("dim")["length"].transform("nunique") >= FEWEST_LENGTHS]
    if table.empty:
        return None
    width = int(table["rerank_dims"].iloc[0])
    figure, axes = new_figure(
        f"Shortlist length, {method} reranked at {width}\n{subject(table)}",
        "length of the shortlist, K",
        "mAP@10",
    )
    how = {"value": "mean", "ci_low": "min", "ci_high": "max"}
    lines = table.groupby(["dim", "length"], as_index=False).agg(how)
    for (dim, rows), look in zip(lines.groupby("dim"), looks(), strict=False):
        line(axes, rows["length"], rows.sort_values("length"), f"Ds = {dim}", look)
    exact = read(output, "retrieval", "map@10")
    exact = exact[(exact["method"] == method) & (exact["dim"] == width)]
    exact = exact[exact["reducer"] == "prefix"]
    if len(exact):
        label = f"exact search at {width}"
        axes.axhline(exact["value"].mean(), color="black", linestyle="--", label=label)
    dim_axis(axes, sorted(table["length"].unique()))
    axes.legend(fontsize=8, frameon=False)
    return figure


def _at_full_width(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the single reranks at the widest dim, with the length of the shortlist as a number."""
    single = table[~table["rerank_dims"].fillna(">").str.contains(">")]
    if single.empty:
        return single
    widest = str(single["rerank_dims"].astype(int).max())
    single = single[single["rerank_dims"] == widest]
    return single.assign(length=single["shortlist"].astype(int))


FIGURES: dict[str, Callable[[Output], Figure | None]] = {
    "linear_by_dim": _linear_by_dim,
    "map_by_shortlist": _map_by_shortlist,
}
