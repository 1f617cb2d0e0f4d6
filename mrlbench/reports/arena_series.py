"""What the arena's tables and figures read: a line for each entrant, with quality and costs."""

from collections.abc import Sequence

import pandas as pd

from mrlbench import measurements
from mrlbench.evaluation.arena.differences import main_metric, reference_method
from mrlbench.measurements import Row
from mrlbench.runs import Output

KEYS = ["method", "seed", "queries", "reducer", "dim", "dtype", "rerank_dims"]
COSTS = ["bytes_per_vector", "bytes_per_vector_whole", "mflops"]
SEPARATE = "separate models"


def read_arena(output: Output) -> list[Row]:
    """Read the rows of `arena.csv`; none where there is no such file."""
    path = output.csv("arena")
    return measurements.to_rows(measurements.read(path)) if path.is_file() else []


def entrants(rows: Sequence[Row]) -> pd.DataFrame:
    """Give each entrant its main metric's value and interval, and its costs as columns.

    Several seeds are one line, their mean; its band reaches from the lowest to the highest end.
    """
    table = measurements.to_frame(row for row in rows if row.variant is None)
    table = table.assign(**{key: table[key].astype("object").fillna("") for key in KEYS})
    costs = table[table["metric"].isin(COSTS)]
    costs = costs.pivot_table(index=KEYS, columns="metric", values="value").reset_index()
    joined = table[table["metric"] == main_metric(rows)].merge(costs, on=KEYS)
    how = {"value": "mean", "ci_low": "min", "ci_high": "max", **dict.fromkeys(COSTS, "first")}
    keys = [key for key in KEYS if key != "seed"]
    return joined.groupby(keys, as_index=False, sort=False).agg(how)


def differences(rows: Sequence[Row], kind: str) -> pd.DataFrame:
    """Give the differences of one kind, such as `equal=bytes`, with the bytes of each entrant."""
    suffix = f",{kind}"
    table = measurements.to_frame(row for row in rows if (row.variant or "").endswith(suffix))
    table = table.assign(**{key: table[key].astype("object").fillna("") for key in KEYS})
    known = entrants(rows)[[*(key for key in KEYS if key != "seed"), *COSTS]]
    return table.merge(known, on=[key for key in KEYS if key != "seed"])


def of_reference(table: pd.DataFrame, rows: Sequence[Row]) -> pd.DataFrame:
    """Keep the nested model, and the models of one narrow dim as one more reduction."""
    name = reference_method(rows)
    whole = {row.method for row in rows if row.rerank_dims}
    narrow = ~table["method"].isin(list(whole))
    shown = table.assign(reducer=table["reducer"].mask(narrow, SEPARATE))
    return shown[narrow | (shown["method"] == name)]
