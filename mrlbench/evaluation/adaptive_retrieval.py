"""Adaptive retrieval: the whole (Ds, Dr) grid, and the funnels, by quality and MFLOPs."""

from collections.abc import Sequence
from itertools import pairwise

from mrlbench.arrays import IntArray, Neighbors
from mrlbench.errors import UserError
from mrlbench.evaluation.retrieval import strict_overlap
from mrlbench.evaluation.scores import mean_rows, metric_scores, recall_scores
from mrlbench.evaluation.source import Source
from mrlbench.experiment import Funnel
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule, rerank, run_schedule
from mrlbench.search.nested import check_k

K = 10  # of mAP@10 and precision@10 (paper, sec. 4.3.1)
METRICS = (f"map@{K}", f"precision@{K}", "top1")
PAPER_LENGTHS = ((200, 100, 50, 25, 10), (400, 200, 50, 25, 10), (800, 400, 200, 50, 10))
PAPER_START = 16


def evaluate_adaptive_retrieval(
    source: Source, shortlist: int, funnels: Sequence[Funnel]
) -> list[Row]:
    """Measure each pair Ds < Dr of the source's dims, and each funnel.

    Every schedule starts from the same shortlist of exact search at its Ds.

    Args:
        source: The vectors.
        shortlist: K, how many are reranked.
        funnels: Ladders; empty takes the paper's, as far as the dims allow.
    """
    rows_there = len(source.embeddings.database)
    check_k(shortlist, rows_there)
    if len(source.dims) < 2:
        raise UserError(
            f"adaptive retrieval: expected at least two dims, got {source.dims[0]} only"
        )
    keep = max(shortlist, min(K, rows_there))
    found = source.neighbors(source.dims, keep)
    full = found[source.dims[-1]]
    rows: list[Row] = []
    for place, dim in enumerate(source.dims[:-1]):
        ids = found[dim].ids[:, :shortlist]
        rows += _ceiling(source, dim, ids, full)
        wider = source.dims[place + 1 :]
        results = rerank(source.embeddings.database, source.embeddings.queries, ids, wider)
        for rerank_dim, result in results.items():
            rows += _rows(source, Schedule(dim, (rerank_dim,), (shortlist,)), result, full)
    ladders = schedules(source.dims, funnels, rows_there)
    longest = max((each.lengths[0] for each in ladders), default=0)
    for schedule in ladders:
        rows += _funnel(source, schedule, longest, full)
    return rows


def schedules(dims: Sequence[int], funnels: Sequence[Funnel], rows: int) -> list[Schedule]:
    """Check the funnels asked for, or make the paper's three as far as dims and rows allow.

    The paper's ladder starts from a shortlist at 16 and goes on 32 > 64 > 128 > 256 > 2048.

    Raises:
        UserError: A funnel whose dims are not measured, do not increase, or whose lengths grow.
    """
    if funnels:
        return [_checked(funnel, dims, rows) for funnel in funnels]
    start = PAPER_START if PAPER_START in dims else dims[0]
    ladder = [dim for dim in dims if dim > start]
    ladder = ladder if len(ladder) <= 5 else [*ladder[:4], ladder[-1]]
    if len(ladder) < 2:
        return []
    return [
        Schedule(start, tuple(ladder), (*lengths[: len(ladder) - 1], lengths[-1]))
        for lengths in PAPER_LENGTHS
        if lengths[0] <= rows
    ]


def _checked(funnel: Funnel, dims: Sequence[int], rows: int) -> Schedule:
    ladder, lengths = funnel.rerank_dims, funnel.lengths
    if len(ladder) != len(lengths):
        raise UserError(f"funnel: expected a length for each of {ladder}, got {lengths}")
    if any(a >= b for a, b in pairwise([funnel.shortlist_dim, *ladder])):
        raise UserError(f"funnel: expected increasing dims, got {[funnel.shortlist_dim, *ladder]}")
    if any(a < b for a, b in pairwise(lengths)) or lengths[0] > rows or lengths[-1] < 1:
        raise UserError(f"funnel: expected falling lengths up to {rows} rows, got {lengths}")
    if unknown := {funnel.shortlist_dim, *ladder} - set(dims):
        raise UserError(f"funnel: expected dims among {list(dims)}, got {min(unknown)}")
    return Schedule(funnel.shortlist_dim, tuple(ladder), tuple(lengths))


def _funnel(source: Source, schedule: Schedule, longest: int, full: Neighbors) -> list[Row]:
    start = schedule.shortlist_dim
    ids = source.neighbors([start], longest, keep_as=f"funnel-{start}")[start].ids
    embeddings = source.embeddings
    result = run_schedule(embeddings.database, embeddings.queries, ids, schedule)
    return _rows(source, schedule, result, full)


def _rows(source: Source, schedule: Schedule, result: Neighbors, full: Neighbors) -> list[Row]:
    ladder, lengths = schedule.labels
    template = source.row(
        task="adaptive-retrieval",
        reducer="prefix",
        dim=schedule.shortlist_dim,
        rerank_dims=ladder,
        shortlist=lengths,
        k=min(K, result.ids.shape[1]),
    )
    first = result.first(K)
    scores = {}
    if source.embeddings.relevance is not None:
        known = metric_scores(source.embeddings.relevance.judge(first.ids), [1, K])
        scores = {metric: known[metric] for metric in METRICS}
    if source.at_full_width and schedule.rerank_dims[-1] == source.embeddings.width:
        k = first.ids.shape[1]
        scores |= recall_scores(first, full, "recall_full", k)
    mflops = schedule.mflops(len(source.embeddings.database))
    cost = template.__class__(**{**template.__dict__, "metric": "mflops", "value": mflops})
    return [*(mean_rows(template, scores) if scores else []), cost]


def _ceiling(source: Source, dim: int, shortlist: IntArray, full: Neighbors) -> list[Row]:
    """Say how many of the nearest at full width are in the shortlist: no rerank can find more."""
    if not source.at_full_width:
        return []
    k = min(K, shortlist.shape[1])
    template = source.row(
        task="adaptive-retrieval",
        reducer="prefix",
        dim=dim,
        shortlist=str(shortlist.shape[1]),
        k=k,
    )
    return mean_rows(template, {f"ceiling_full@{k}": strict_overlap(shortlist, full.ids[:, :k])})
