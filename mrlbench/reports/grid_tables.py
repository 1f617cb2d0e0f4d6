"""Tables of a search grid: exact search against HNSW at every dim, and codes at equal bytes."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from mrlbench import measurements
from mrlbench.evaluation.grid.measure import CSV, TASK
from mrlbench.files import replacing
from mrlbench.runs import Output

GOOD_RECALL = 0.99
GRAPH = "hnsw"
SCANS = ("exact", "scalar-quantizer", "binary")


def grid_rows(output: Output) -> pd.DataFrame:
    """Read the rows of a grid; none where there is no such file."""
    path = output.csv(CSV)
    table = measurements.read(path) if path.is_file() else measurements.to_frame([])
    return table[table["task"] == TASK]


def family(label: str) -> str:
    """Name an index without its arguments."""
    return label.partition("(")[0]


def scans(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep what compares all rows, or their codes: there bytes are of width and precision alone."""
    return rows[rows["index"].map(family).isin(SCANS)]


def write_tables(output: Output) -> Iterator[tuple[str, Path]]:
    """Write the tables that the rows allow, and give each as text with its file."""
    rows = grid_rows(output)
    for name, table in (
        ("exact_hnsw", exact_against_hnsw(rows)),
        ("equal_bytes", equal_bytes(rows)),
    ):
        if not table.empty:
            path = output.csv(name)
            with replacing(path) as beside:
                table.to_csv(beside, index=False, float_format="%.6g")
            yield table.to_string(index=False, float_format=_number, na_rep=""), path


def exact_against_hnsw(rows: pd.DataFrame) -> pd.DataFrame:
    """Put exact search and each HNSW side by side at every dim: build, size, recall, time.

    Of a graph the fastest effort with a recall_dim of at least 0.99, else the most exact one.
    """
    rows = rows[rows["rerank_dims"].isna()]
    rows = rows[rows["index"].map(family).isin(("exact", GRAPH))]
    k = rows["k"].min()
    keys = ["index", "dim", "effort"]
    built = _wide(rows[rows["k"].isna()], ["index", "dim"])
    searched = _wide(rows[rows["k"] == k], keys)
    if built.empty or searched.empty:
        return pd.DataFrame()
    best = pd.concat(
        _fast_enough(some, f"recall_dim@{k}") for _, some in searched.groupby(keys[:2])
    )
    table = best.drop(columns="bytes").merge(built, on=["index", "dim"])
    shown = {
        "build_s": "build_s",
        "bytes": "bytes",
        "build_rss_bytes": "build_rss_bytes",
        f"recall_dim@{k}": f"recall_dim@{k}",
        f"map@{k}": f"map@{k}",
        "us_per_query batch": "batch_us",
        "us_per_query single": "single_us",
        "p99_us single": "p99_us",
    }
    known = {metric: name for metric, name in shown.items() if metric in table}
    return table.sort_values(["dim", "index"])[[*keys[1:2], "index", "effort", *known]].rename(
        columns=known
    )


def equal_bytes(rows: pd.DataFrame) -> pd.DataFrame:
    """List codes and dims that take the same bytes of a row, the best first.

    Only what scans all rows: float32 by exact search, half precision and int8 by the scalar
    quantizer, signs by binary. A rerank's store counts too, the same for all with that rerank.
    """
    rows = scans(rows)
    rows = rows[rows["k"] == rows["k"].min()].assign(shortlist=rows["shortlist"].fillna(""))
    keys = ["index", "dim", "rerank_dims", "shortlist"]
    wide = _wide(rows.assign(rerank_dims=rows["rerank_dims"].fillna("")), keys)
    if wide.empty:
        return wide
    each = (wide["bytes"] / rows["n_database"].iloc[0]).round().astype(int)
    wide.insert(0, "bytes_per_row", each)
    quality = [str(name) for name in wide if str(name).startswith(("map@", "recall_full@"))]
    same = ["bytes_per_row", "rerank_dims", "shortlist"]
    several = wide.groupby(same)["index"].transform("nunique") > 1
    order = [*same[1:], same[0], quality[0]]
    table = wide.loc[several, [*same, "index", "dim", *quality]]
    return table.sort_values(order, ascending=[True, True, True, False], kind="stable")


def _wide(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Give each metric a column, timings one for each mode."""
    names = rows["metric"].str.cat(rows["mode"].fillna(""), sep=" ").str.strip()
    wide = rows.assign(name=names, effort=rows["effort"].fillna(0))
    return wide.pivot_table(index=keys, columns="name", values="value").reset_index()


def _fast_enough(searched: pd.DataFrame, recall: str) -> pd.DataFrame:
    good = searched[searched[recall] >= GOOD_RECALL]
    if len(good):
        return good.nsmallest(1, "us_per_query batch")
    return searched.nlargest(1, recall)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
