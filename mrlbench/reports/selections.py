"""Which rows of a run belong together: schedules with their cost, times with their recall."""

import pandas as pd

from mrlbench.plugins import names
from mrlbench.reports.series import read, series
from mrlbench.runs import Output

GOOD_RECALL = 0.99


def adaptive_schedules(output: Output) -> pd.DataFrame:
    """Read the schedules of the nested methods with their cost: one length of shortlist only."""
    quality, cost = (read(output, "adaptive_retrieval", each) for each in ("map@10", "mflops"))
    quality = quality[~quality["method"].str.startswith("fixed-")]
    keys = ["method", "seed", "dim", "rerank_dims", "shortlist"]
    joined = quality.merge(cost[[*keys, "value"]], on=keys, suffixes=("", "_mflops"))
    funnel = joined["rerank_dims"].str.contains(">")
    grid = joined["shortlist"][~funnel].mode()  # other lengths were not reranked at every dim
    table = joined.rename(columns={"value_mflops": "mflops"}).assign(funnel=funnel)
    return table[funnel | table["shortlist"].isin(grid[:1])]


def with_cost(table: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """Join the MFLOPs of exact searches to their quality."""
    keys = ["method", "seed", "reducer", "dim"]
    joined = table.merge(cost[[*keys, "value"]], on=keys, suffixes=("", "_mflops"))
    return joined.rename(columns={"value_mflops": "mflops"})


def speed(output: Output, mode: str) -> pd.DataFrame:
    """Read times of one mode with the recall of the same search, with the most threads used."""
    time, recall = (read(output, "search_speed", m) for m in ("us_per_query", "recall_dim@10"))
    time, recall = (each[each["task"] == "search-speed"] for each in (time, recall))
    time = most_threads(time[time["mode"] == mode])
    keys = ["method", "seed", "dim", "index", "effort", "threads"]
    names = {"value": "recall", "ci_low": "recall_low", "ci_high": "recall_high"}
    known = recall[[*keys, *names]].rename(columns=names)
    return pd.merge(time, known, on=keys, how="left")


def most_threads(times: pd.DataFrame) -> pd.DataFrame:
    """Keep the times with the most threads used: those of fewer are not comparable with them."""
    most: pd.DataFrame = times.loc[times["threads"] == times["threads"].max()]
    return most


def fast_enough(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose the fastest effort with good recall, else the one with the best recall."""
    good = rows[rows["recall"] >= GOOD_RECALL]
    return good.nsmallest(1, "value") if len(good) else rows.nlargest(1, "recall")


def has_published(table: pd.DataFrame) -> bool:
    """Tell whether the paper's curves can stand beside these rows: they are of images."""
    return not set(table["dataset"]) <= set(names("corpora"))


def main_method(output: Output) -> str:
    """Choose whose numbers a summary is of: mrl, else the first line of the first figure."""
    for csv, metric in (("retrieval", "map@10"), ("classification", "top1"), ("knn", "top1")):
        lines = [name for name, _ in series(read(output, csv, metric))]
        if lines:
            return lines[0]
    return ""
