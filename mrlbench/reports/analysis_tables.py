"""Tables of the analyses on the terminal: a line for each measured thing, a column for each dim."""

import pandas as pd

from mrlbench import measurements
from mrlbench.evaluation.analysis.interpolation import INTERPOLATED
from mrlbench.reports.tables import plain_table
from mrlbench.runs import Output

NAMES = ["queries", "method", "seed", "variant", "metric"]
SHOWN = {"interpolation": ("map@10", "top1"), "robustness": ("top1", "knn_top1", "map@10")}
INTERPOLATED_IN = ("classification", "knn", "retrieval")


def analysis_table(output: Output, kind: str) -> str:
    """Show the rows of one analysis; empty if there are none."""
    table = analysis_rows(output, kind)
    if kind in SHOWN:
        table = table[table["metric"].isin(SHOWN[kind])]
    if table.empty:
        return ""
    keys = [key for key in NAMES if table[key].nunique(dropna=False) > 1 or key == "metric"]
    text = table.assign(**{key: table[key].astype("string").fillna("") for key in keys})
    wide = text.pivot_table(index=keys, columns="dim", values="value", sort=False)
    wide = wide[sorted(wide.columns)].rename(columns=str)
    return plain_table(wide.rename_axis(columns=None).reset_index())


def analysis_rows(output: Output, kind: str) -> pd.DataFrame:
    """Read the rows of one analysis; for the dims between, from the files that they stand in."""
    if kind != "interpolation":
        table = _read(output, "analysis")
        return table[table["task"] == kind]
    parts = {csv: _read(output, csv) for csv in INTERPOLATED_IN}
    shown = [part[part["variant"] == INTERPOLATED] for part in parts.values()]
    # linear and 1-NN accuracy have one name: here they stand side by side
    return pd.concat([each.assign(variant=each["task"]) for each in shown], ignore_index=True)


def _read(output: Output, csv: str) -> pd.DataFrame:
    path = output.csv(csv)
    return measurements.read(path) if path.is_file() else measurements.to_frame([])
