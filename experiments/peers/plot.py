"""Draw what the comparisons measured against N, on log scales.

python experiments/peers/plot.py        # reads and writes results/peers
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import typer
from matplotlib.axes import Axes

from mrlbench.files import replacing

SEARCHES = "nested_search*.csv"
PIPELINES = "pipelines_synthetic_*.csv"


def main(folder: Path = Path("results/peers")) -> None:
    """Draw nested search and the pipelines side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    _searches(left, _read(folder, SEARCHES))
    _pipelines(right, _read(folder, PIPELINES))
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="database rows, N")
        axes.grid(alpha=0.3, which="both")
        if axes.has_data():
            axes.legend(fontsize="small")
    for kind in ("png", "svg"):
        with replacing(folder / f"time_by_rows.{kind}") as path:
            figure.savefig(path, format=kind, dpi=150)


def _read(folder: Path, pattern: str) -> pd.DataFrame:
    paths = [path for path in sorted(folder.glob(pattern)) if not path.stem.endswith("_stages")]
    tables = [pd.read_csv(path) for path in paths]
    return pd.concat(tables) if tables else pd.DataFrame()


def _searches(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set(title="Exact search, nine dims of 2048", ylabel="seconds for 2,048 queries")
    if rows.empty:
        return
    for (k, style), peer in (
        ((k, style), peer)
        for k, style in zip(sorted(rows["k"].unique()), ("-", "--"), strict=False)
        for peer in rows["peer"].unique()
    ):
        some = rows[(rows["k"] == k) & (rows["peer"] == peer)].sort_values("rows")
        color = "C1" if peer.startswith("one") else "C2"
        label = f"{peer}, k = {k}"
        axes.plot(some["rows"], some["seconds_peer"], style, color=color, marker=".", label=label)
        if peer.startswith("one"):
            label = f"mrlbench, all nine, k = {k}"
            axes.plot(
                some["rows"], some["seconds_ours"], style, color="C0", marker="o", label=label
            )


def _pipelines(axes: Axes, rows: pd.DataFrame) -> None:
    axes.set(title="Ten nearest of 2048, at recall_full@10 of 0.95", ylabel="µs per query, batch")
    if rows.empty:
        return
    best = rows[rows["what"].str.endswith("best against best") & (rows["mode"] == "batch")]
    for threads, some in best.groupby("threads"):
        some = some.sort_values("rows")
        style = "-" if threads > 1 else "--"
        for side, color, name in (("ours", "C0", "best pipeline"), ("peer", "C1", "best HNSW")):
            micro = some[f"seconds_{side}"] / some["queries"] * 1e6
            label = f"{name}, {threads} threads" if threads > 1 else f"{name}, one thread"
            axes.plot(some["rows"], micro, style, color=color, marker="o", label=label)


if __name__ == "__main__":
    typer.run(main)
