"""What the claims about adaptive retrieval compare: shortlists, funnels, their cost and time."""

import math
from dataclasses import replace

import pandas as pd

from mrlbench.paper.cells import Cells, Comparison
from mrlbench.paper.comparisons import Compare

PAPER_SHORTLIST = 200
SCHEDULE = Cells("adaptive-retrieval", "map@10", "mrl", reducer="prefix")
EXACT = Cells("retrieval", "map@10", "mrl", reducer="prefix")
FAISS_HNSW = r"hnsw(\(|$)"  # the paper's graph


def adaptive(factor: int) -> Compare:
    """Compare a shortlist at D/`factor`, reranked at D, with exact search at D, by mAP@10."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        return [
            Comparison(_name(schedule), schedule, replace(EXACT, dim=full))
            for schedule, full in _shortlists(table, factor)
        ]

    return compare


def adaptive_flops(factor: int) -> Compare:
    """Say how many times more MFLOPs exact search at D takes than a shortlist at D/`factor`."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        return [
            Comparison(_name(schedule), cost, replace(schedule, metric="mflops"), "ratio")
            for schedule, full in _shortlists(table, factor)
            for cost in _exact_cost(table, full)
        ]

    return compare


def adaptive_seconds(factor: int) -> Compare:
    """Take the speedup of the graph at D/`factor` with its rerank, over the graph at D.

    The paper's graph, FAISS's HNSW; many queries at once, the most threads.
    """

    def compare(table: pd.DataFrame) -> list[Comparison]:
        found = []
        for schedule, _ in _shortlists(table, factor):
            wanted = replace(
                schedule,
                task="adaptive-pipeline",
                metric="speedup_at_equal_map@10",
                mode="batch",
            )
            rows = wanted.of(table)
            rows = rows[rows["index"].str.match(FAISS_HNSW).fillna(False)]
            for index in sorted(rows["index"].unique()):
                threads = int(rows.loc[rows["index"] == index, "threads"].max())
                cells = replace(wanted, index=index, threads=threads)
                name = f"{_name(schedule)}, {index}"
                found.append(Comparison(name, cells, how="value"))
        return found

    return compare


def funnels(factor: int) -> Compare:
    """Compare the funnels that start from D/`factor` with exact search at D, by mAP@10."""

    def compare(table: pd.DataFrame) -> list[Comparison]:
        found = []
        for schedule, full in _shortlists(table, factor):
            rows = schedule.of(table, "rerank_dims", "shortlist")
            rows = rows[rows["rerank_dims"].str.endswith(f">{full}")]
            for ladder, lengths in rows[["rerank_dims", "shortlist"]].drop_duplicates().to_numpy():
                funnel = replace(schedule, rerank_dims=ladder, shortlist=lengths)
                found.append(Comparison(_name(funnel), funnel, replace(EXACT, dim=full)))
        return found

    return compare


def _shortlists(table: pd.DataFrame, factor: int) -> list[tuple[Cells, int]]:
    """Find the schedule D/`factor` → D with a K near the paper's, and D; none or one.

    A run's dims need not hold D/`factor` itself: the nearest within a factor of √2 stands for it.
    """
    full = max(EXACT.dims(table), default=0)
    rows = replace(SCHEDULE, rerank_dims=str(full)).of(table, "dim", "shortlist")
    near = rows[(rows["dim"] * factor / max(full, 1)).between(0.5**0.5, 2**0.5)]
    if near.empty:
        return []
    dim = min(map(int, near["dim"]), key=lambda each: abs(math.log(each * factor / full)))
    lengths = near.loc[near["dim"] == dim, "shortlist"]
    length = min(lengths, key=lambda each: abs(int(each) - PAPER_SHORTLIST))
    return [(replace(SCHEDULE, dim=dim, rerank_dims=str(full), shortlist=length), full)]


def _exact_cost(table: pd.DataFrame, full: int) -> list[Cells]:
    """Name the cost of exact search at D: the paper's table has it with the schedules."""
    exact = replace(EXACT, metric="mflops", dim=full)
    single = replace(SCHEDULE, metric="mflops", dim=full, rerank_dims=str(full))
    kept = single.of(table, "shortlist")["shortlist"]
    if len(exact.of(table)):
        return [exact]
    return [replace(single, shortlist=length) for length in kept[:1]]


def _name(schedule: Cells) -> str:
    return f"{schedule.dim}→{schedule.rerank_dims}, K={schedule.shortlist}"
