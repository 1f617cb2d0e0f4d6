"""Adaptive retrieval: the whole (Ds, Dr) grid, and the funnels, by quality and MFLOPs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors
from mrlbench.errors import UserError
from mrlbench.evaluation.retrieval import cost_row, recall_full
from mrlbench.evaluation.scores import contained, mean_rows, metric_scores, raw_key
from mrlbench.evaluation.source import Source
from mrlbench.experiment import Funnel
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule, rerank, run_schedule
from mrlbench.search.nested import check_k

K = 10  # of mAP@10 and precision@10 (paper, sec. 4.3.1)
PAPER_LENGTHS = ((200, 100, 50, 25, 10), (400, 200, 50, 25, 10), (800, 400, 200, 50, 10))
PAPER_START = 16
PAPER_FUNNELS = (  # the other ladders of tables 13 and 14
    Schedule(8, (16, 32, 64, 128, 2048), (800, 400, 200, 50, 10)),
    Schedule(32, (64, 128, 256, 512, 2048), (200, 100, 50, 25, 10)),
    Schedule(32, (64, 128, 256, 512, 2048), (800, 400, 200, 50, 10)),
    Schedule(64, (128, 256, 512, 1024, 2048), (800, 400, 200, 50, 10)),
)


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
    width = source.embeddings.width
    searched = sorted({*source.dims, width})
    found = source.neighbors(searched, max(shortlist, min(K, rows_there)))
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for place, dim in enumerate(source.dims[:-1]):
        ids = found[dim].ids[:, :shortlist]
        rows += _ceiling(source, dim, ids, found[width])
        wider = source.dims[place + 1 :]
        results = rerank(source.embeddings.database, source.embeddings.queries, ids, wider)
        for rerank_dim, result in results.items():
            schedule = Schedule(dim, (rerank_dim,), (shortlist,))
            new, scores = _judged(source, schedule, result, found[width])
            rows, raw = rows + new, raw | scores
    # the longest first: its shortlist holds the others
    for schedule in sorted(
        schedules(source.dims, funnels, rows_there), key=lambda each: -each.lengths[0]
    ):
        new, scores = _funnel(source, schedule, found[width])
        rows, raw = rows + new, raw | scores
    source.save_raw("scores-adaptive-retrieval", raw)
    return rows


def schedules(dims: Sequence[int], funnels: Sequence[Funnel], rows: int) -> list[Schedule]:
    """Check the funnels asked for, or make the paper's as far as dims and rows allow.

    The paper's ladder starts from a shortlist at 16 and goes on 32 > 64 > 128 > 256 > 2048, with
    three lists of lengths. Where the dims are the paper's, its ladders from 8, 32 and 64 follow.

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
    from_start = [
        Schedule(start, tuple(ladder), (*lengths[: len(ladder) - 1], lengths[-1]))
        for lengths in PAPER_LENGTHS
    ]
    known = [each for each in PAPER_FUNNELS if {each.shortlist_dim, *each.rerank_dims} <= {*dims}]
    return [each for each in (*from_start, *known) if each.lengths[0] <= rows]


def _checked(funnel: Funnel, dims: Sequence[int], rows: int) -> Schedule:
    funnel.check(dims)
    check_k(funnel.lengths[0], rows)
    return Schedule(funnel.shortlist_dim, tuple(funnel.rerank_dims), tuple(funnel.lengths))


def _funnel(
    source: Source, schedule: Schedule, full: Neighbors
) -> tuple[list[Row], dict[str, FloatArray]]:
    start, length = schedule.shortlist_dim, schedule.lengths[0]
    ids = source.neighbors([start], length)[start].ids
    embeddings = source.embeddings
    result = run_schedule(embeddings.database, embeddings.queries, ids, schedule)
    return _judged(source, schedule, result, full)


def _judged(
    source: Source, schedule: Schedule, result: Neighbors, full: Neighbors
) -> tuple[list[Row], dict[str, FloatArray]]:
    """Score a schedule's results: the rows, and the per-query scores by their raw key."""
    ladder, lengths = schedule.labels
    k = min(K, result.ids.shape[1])
    template = source.row(
        task="adaptive-retrieval",
        reducer="prefix",
        dim=schedule.shortlist_dim,
        rerank_dims=ladder,
        shortlist=lengths,
        k=k,
    )
    scores = {}
    if source.embeddings.relevance is not None:
        known = metric_scores(source.embeddings.relevance.judge(result.ids[:, :k]), [1, k])
        scores = {metric: known[metric] for metric in (f"map@{k}", f"precision@{k}", "top1")}
    if schedule.rerank_dims[-1] == source.embeddings.width:
        scores |= recall_full(source, result, full, k)
    raw = {raw_key(replace(template, metric=metric)): each for metric, each in scores.items()}
    return [*mean_rows(template, scores), cost_row(template, schedule)], raw


def _ceiling(source: Source, dim: int, shortlist: IntArray, full: Neighbors) -> list[Row]:
    """Say how many of the nearest at full width are in the shortlist: no rerank can find more."""
    k = min(K, shortlist.shape[1])
    template = source.row(
        task="adaptive-retrieval",
        reducer="prefix",
        dim=dim,
        shortlist=str(shortlist.shape[1]),
        k=k,
    )
    share = contained(full.ids[:, :k], shortlist).mean(axis=1, dtype=np.float32)  # (Q,)
    return mean_rows(template, {f"ceiling_full@{k}": share})
