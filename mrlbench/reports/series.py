"""What figures read: the rows of one metric, and the lines that they make."""

from collections.abc import Iterable, Sequence

import pandas as pd

from mrlbench import measurements
from mrlbench.reports.tables import series_labels
from mrlbench.runs import Output


def read(output: Output, csv: str, metric: str, variants: Sequence[str] = ()) -> pd.DataFrame:
    """Read the rows of one metric that have no variant; none where the file is missing.

    What was varied, as in an ablation, has figures of its own and would blur the lines of others.

    Args:
        output: Where the CSV is.
        csv: Its name.
        metric: Of the rows.
        variants: Rows with one of these are read too.
    """
    path = output.csv(csv)
    table = measurements.read(path) if path.is_file() else measurements.to_frame([])
    wanted = table["variant"].isna() | table["variant"].isin(list(variants))
    return table[(table["metric"] == metric) & wanted]


def series(table: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """Split rows into lines by method, baselines last.

    Several seeds are one line, their mean; its band reaches from the lowest to the highest end of
    their intervals.
    """
    labelled = table.assign(label=series_labels(table))
    how = {"value": "mean", "ci_low": "min", "ci_high": "max", "mflops": "mean"}
    known = {column: each for column, each in how.items() if column in labelled}
    lines = labelled.groupby(["label", "dim"], as_index=False).agg(known)
    order = sorted(lines["label"].unique(), key=lambda label: (" " in label, label != "mrl", label))
    return [(label, lines[lines["label"] == label].sort_values("dim")) for label in order]


def subject(table: pd.DataFrame) -> str:
    """Say what the numbers are of."""
    first = table.iloc[0]
    size = first["n_database"]
    rows = "" if pd.isna(size) else f", {size:,} database rows"
    return f"{first['dataset']}{rows}"
