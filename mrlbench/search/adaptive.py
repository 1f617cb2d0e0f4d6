"""Adaptive retrieval: a shortlist at a narrow dim, reranked at wider ones; and funnels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrlbench.arrays import (
    AnyFloatArray,
    FloatArray,
    IntArray,
    Neighbors,
    blocks,
    room_for_neighbors,
)
from mrlbench.embedding.shards import Shards
from mrlbench.search.gather import add_step, pack, reorder, score_prefixes, take
from mrlbench.search.rows import readable, scaled_with_norms
from mrlbench.threads import threads_in_use

QUERY_BLOCK = 64  # of one thread's work


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
    def break_even(self) -> float:
        """Rows above which this costs less than a scan at the last dim D: Σ Kᵢ·Dᵢ/(D - Ds).

        It is N·Ds + Σ Kᵢ·Dᵢ = N·D solved for N; infinite where nothing is narrower than D.
        """
        extra = sum(k * dim for k, dim in zip(self.lengths, self.rerank_dims, strict=True))
        saved = max(self.rerank_dims, default=self.shortlist_dim) - self.shortlist_dim
        return extra / saved if saved > 0 else float("inf")

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
        database: (N, D), float16, float32, float64 or int8 codes, or shards; read in place.
        queries: (Q, D).
        shortlist: (Q, K) ids, -1 where there is none; not changed.
        dims: Increasing; each gives an order of its own, cut and then normalised.
        threads: That share the queries; None takes as many as every library was given.

    Returns:
        For each dim, all K of the shortlist, nearest first; ties keep the shortlist's order.
    """
    found = [room_for_neighbors(*shortlist.shape) for _ in dims]

    def work(part: slice) -> None:
        cosines = _cosines(database, queries[part], shortlist[part], dims)
        for place, each in enumerate(found):
            _order(shortlist[part], cosines[:, :, place], each.of(part))

    _share(work, len(queries), threads)
    return dict(zip(dims, found, strict=True))


def rerank_lengths(
    database: AnyFloatArray,
    queries: AnyFloatArray,
    shortlist: IntArray,
    lengths: Sequence[int],
    dim: int,
    threads: int | None = None,
) -> dict[int, Neighbors]:
    """Rerank the first K of one shortlist for each of several K, reading each candidate once.

    Args:
        database: (N, D), as in `rerank`.
        queries: (Q, D).
        shortlist: (Q, S), nearest first; not changed.
        lengths: Each K, at most S.
        dim: Dr.
        threads: That share the queries; None takes as many as every library was given.

    Returns:
        For each K, what `rerank` makes of the first K of the shortlist, (Q, K).
    """
    found = {length: room_for_neighbors(len(queries), length) for length in lengths}

    def work(part: slice) -> None:
        ids = shortlist[part, : max(lengths)]
        cosines = _cosines(database, queries[part], ids, [dim])[:, :, 0]
        for length, each in found.items():
            _order(ids[:, :length], cosines[:, :length], each.of(part))

    _share(work, len(queries), threads)
    return found


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
        database: (N, D), as in `rerank`.
        queries: (Q, D).
        shortlist: (Q, K), nearest first, K >= lengths[0].
        schedule: The ladder.
        threads: That share the queries; None takes as many as every library was given.

    Returns:
        (Q, lengths[0]). Scores are the cosines at the dim that each result was last ranked at.
    """
    ids = shortlist[:, : schedule.lengths[0]].copy()
    scores = np.zeros(ids.shape, dtype=np.float32)
    rows = readable(database)

    def work(part: slice) -> None:
        _climb(rows, queries[part], schedule, ids[part], scores[part])

    _share(work, len(queries), threads)
    return Neighbors(ids, scores)


def _climb(
    rows: Any,  # noqa: ANN401 (floats, or the bits of halves)
    queries: AnyFloatArray,
    schedule: Schedule,
    ids: IntArray,
    scores: FloatArray,
) -> None:
    """Follow the ladder for some queries: each step adds coordinates to the sums of the last."""
    asked, lengths = _asked(queries, schedule.rerank_dims)
    products, squares = (np.zeros(ids.shape, dtype=np.float32) for _ in range(2))
    start = 0
    for step, (dim, length) in enumerate(zip(schedule.rerank_dims, schedule.lengths, strict=True)):
        cosines = np.empty((len(ids), length), dtype=np.float32)
        keys = np.empty(cosines.shape, dtype=np.int64)
        add_step(rows, asked, lengths[:, step], start, dim, ids, products, squares, cosines, keys)
        keys.sort(axis=1)  # by NumPy, with the processor's vectors
        reorder(keys, cosines, ids, products, squares, scores)
        start = dim


def _share(work: Callable[[slice], None], queries: int, threads: int | None) -> None:
    """Do the work on blocks of queries, in threads."""
    threads = threads or threads_in_use()
    parts = list(blocks(queries, max(1, min(QUERY_BLOCK, -(-queries // threads)))))
    if len(parts) == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def _cosines(
    database: AnyFloatArray, queries: AnyFloatArray, ids: IntArray, dims: Sequence[int]
) -> FloatArray:
    """Compute the cosine of each candidate at each dim, (B, K) ids -> (B, K, M)."""
    asked, squares = _asked(queries, dims)
    cosines = np.empty((*ids.shape, len(dims)), dtype=np.float32)
    if not isinstance(database, Shards):
        score_prefixes(readable(database), asked, squares, ids, np.array(dims), cosines)
        return cosines
    found = np.full_like(cosines, -np.inf)  # each candidate is in one shard
    for first, part in database.with_first_rows():
        here = np.where((ids >= first) & (ids < first + len(part)), ids - first, -1)
        score_prefixes(readable(part), asked, squares, here, np.array(dims), cosines)
        np.maximum(found, cosines, out=found)
    return found


def _asked(queries: AnyFloatArray, dims: Sequence[int]) -> tuple[FloatArray, AnyFloatArray]:
    """Scale queries as the search does, (B, d), and sum the squares of their prefixes, (B, M)."""
    asked, norms = scaled_with_norms(queries, dims)
    return asked, np.ascontiguousarray(np.square(norms).T)


def _order(ids: IntArray, cosines: FloatArray, out: Neighbors) -> None:
    """Sort candidates, (B, K), nearest first; ties keep their order."""
    keys = np.empty(ids.shape, dtype=np.int64)
    pack(cosines, keys)
    keys.sort(axis=1)  # by NumPy, with the processor's vectors
    take(keys, ids, out.ids)
    take(keys, cosines, out.scores)
