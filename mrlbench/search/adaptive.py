"""Adaptive retrieval: a shortlist at a narrow dim, reranked at wider ones; and funnels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks
from mrlbench.search.kernels import score_candidates
from mrlbench.threads import threads_in_use

QUERY_BLOCK = 256


@dataclass(frozen=True)
class Schedule:
    """A shortlist and the reranks that follow.

    Attributes:
        shortlist_dim: Ds.
        rerank_dims: Dr, one or a ladder of increasing ones.
        lengths: The i-th is how many rows are reranked at the i-th dim (PAPER: funnel).
    """

    shortlist_dim: int
    rerank_dims: tuple[int, ...]
    lengths: tuple[int, ...]

    def mflops(self, rows: int) -> float:
        """MFLOPs per query, (N·Ds + Σ Kᵢ·Dᵢ)/10⁶; a multiply–add is 1 (the paper's convention)."""
        steps = zip(self.lengths, self.rerank_dims, strict=True)
        return (rows * self.shortlist_dim + sum(k * dim for k, dim in steps)) / 1e6

    @property
    def labels(self) -> tuple[str, str]:
        """What the CSV has under rerank_dims and shortlist."""
        ladder = ">".join(str(dim) for dim in self.rerank_dims)
        return ladder, ">".join(str(length) for length in self.lengths)


def rerank(
    database: AnyFloatArray,
    queries: AnyFloatArray,
    shortlist: IntArray,
    dims: Sequence[int],
    threads: int | None = None,
) -> dict[int, Neighbors]:
    """Order one shortlist anew at each of several dims, reading each candidate once.

    Args:
        database: (N, D).
        queries: (Q, D).
        shortlist: (Q, K) ids; not changed.
        dims: Increasing; each gives an order of its own, cut and then normalised.
        threads: That share the queries; None takes as many as every library was given.

    Returns:
        For each dim, all K of the shortlist, nearest first; ties keep the shortlist's order.
    """
    scores = _scores(database, queries, shortlist, dims, threads)  # (Q, K, M)
    return {dim: _ordered(shortlist, scores[:, :, place]) for place, dim in enumerate(dims)}


def rerank_lengths(
    database: AnyFloatArray,
    queries: AnyFloatArray,
    shortlist: IntArray,
    lengths: Sequence[int],
    dim: int,
) -> dict[int, Neighbors]:
    """Rerank the first K of one shortlist for each of several K, reading each candidate once.

    Args:
        database: (N, D).
        queries: (Q, D).
        shortlist: (Q, S), nearest first; not changed.
        lengths: Each K, at most S.
        dim: Dr.

    Returns:
        For each K, what `rerank` makes of the first K of the shortlist, (Q, K).
    """
    scores = _scores(database, queries, shortlist[:, : max(lengths)], [dim], None)[:, :, 0]
    return {length: _ordered(shortlist[:, :length], scores[:, :length]) for length in lengths}


def _scores(
    database: AnyFloatArray,
    queries: AnyFloatArray,
    shortlist: IntArray,
    dims: Sequence[int],
    threads: int | None,
) -> FloatArray:
    """Compute the cosine of each candidate at each dim, (Q, K) ids -> (Q, K, M), in threads."""
    threads = threads or threads_in_use()
    parts = list(blocks(len(queries), max(1, min(QUERY_BLOCK, -(-len(queries) // threads)))))

    def score(part: slice) -> FloatArray:
        return _cosines(database, queries[part], shortlist[part], dims)

    if len(parts) == 1:
        return score(parts[0])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(score, parts)))


def run_schedule(
    database: AnyFloatArray,
    queries: AnyFloatArray,
    shortlist: IntArray,
    schedule: Schedule,
    threads: int | None = None,
) -> Neighbors:
    """Follow a ladder of reranks from a shortlist found at `schedule.shortlist_dim`.

    Each step reranks the best `lengths[i]` of the step before at `rerank_dims[i]`. Results below
    the last step's length keep the order of the step that they fell out of, so that the list has
    as many results as the first step reranked. The shortlist is not changed.

    Args:
        database: (N, D).
        queries: (Q, D).
        shortlist: (Q, K), nearest first, K >= lengths[0].
        schedule: The ladder.
        threads: That share the queries; None takes as many as every library was given.

    Returns:
        (Q, lengths[0]). Scores are the cosines at the dim that each result was last ranked at.
    """
    ids = shortlist[:, : schedule.lengths[0]].copy()
    scores = np.zeros(ids.shape, dtype=np.float32)
    for dim, length in zip(schedule.rerank_dims, schedule.lengths, strict=True):
        step = rerank(database, queries, ids[:, :length], [dim], threads)[dim]
        ids[:, :length], scores[:, :length] = step.ids, step.scores
    return Neighbors(ids, scores)


def _cosines(
    database: AnyFloatArray, queries: AnyFloatArray, ids: IntArray, dims: Sequence[int]
) -> FloatArray:
    """Compute the cosine of each candidate at each dim, (B, K) ids -> (B, K, M)."""
    asked = np.array(queries[:, : dims[-1]], dtype=np.float32, order="C")  # (B, D)
    missing = ids[:, :, None] < 0
    rows = np.asarray(database)  # the base class of a memory map, which is all the kernel knows
    if rows.dtype != np.float32:
        rows = rows[ids.clip(0).reshape(-1), : dims[-1]].astype(np.float32)  # (B·K, D)
        ids = np.arange(len(rows)).reshape(ids.shape)
    products = np.empty((*ids.shape, len(dims)), dtype=np.float32)
    squares = np.empty_like(products)
    edges = np.array([0, *dims], dtype=np.int64)
    known = np.ascontiguousarray(ids.clip(0))  # -1 is a result that was not found
    score_candidates(rows, asked, known, edges, products, squares)
    steps = np.add.reduceat(np.square(asked, dtype=np.float64), edges[:-1], axis=1)  # (B, M)
    norms = np.sqrt(squares * np.cumsum(steps, axis=1)[:, None, :])
    cosines = np.divide(products, norms, where=norms > 0, out=np.zeros_like(norms)).clip(-1, 1)
    result: FloatArray = np.where(missing, -np.inf, cosines).astype(np.float32)
    return result


def _ordered(ids: IntArray, scores: FloatArray) -> Neighbors:
    order = np.argsort(-scores, axis=1, kind="stable")  # (Q, K)
    return Neighbors(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))
