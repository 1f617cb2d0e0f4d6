"""A database in shards: each is searched alone, and the lists are merged exactly."""

from collections.abc import Sequence

import numpy as np

from mrlbench import ranks
from mrlbench.arrays import AnyFloatArray, Neighbors
from mrlbench.search.nested import ROW_BLOCK, check_k, nested_search
from mrlbench.search.rows import Rows, Span


def search_together(
    database: AnyFloatArray | Rows,
    queries: AnyFloatArray | Rows,
    dims: Sequence[int],
    k: int,
    device: str | None = None,
) -> dict[int, Neighbors]:
    """Do what `nested_search` does, each process on its own rows; every one gets the result."""
    if ranks.count() == 1:
        return nested_search(database, queries, dims, k, device=device)
    check_k(k, len(database))
    own = ranks.own_rows(len(database), ROW_BLOCK)  # the products are those of one process
    rows = own.stop - own.start
    if rows:
        found = nested_search(Span(database, own), queries, dims, min(k, rows), device=device)
    else:
        empty = np.empty((len(queries), 0), dtype=np.int64)
        found = dict.fromkeys(dims, Neighbors(empty, empty.astype(np.float32)))
    return merge_over_ranks(found, rows, k)


def merge(parts: Sequence[Neighbors], first_ids: Sequence[int], k: int) -> Neighbors:
    """Merge what was found in the shards of one database into what one search would have found.

    Args:
        parts: For each shard in order, (Q, K), nearest first; K may differ, and be 0. A shard's
            list must hold its min(k, rows) nearest.
        first_ids: The row of the whole database that each shard begins with, increasing.
        k: Neighbours wanted.

    Returns:
        (Q, min(k, all results)); equal scores are ordered by lower id, as in `nested_search`.
    """
    shifted = [
        np.where(part.ids < 0, -1, part.ids + first)
        for part, first in zip(parts, first_ids, strict=True)
    ]
    ids = np.concatenate(shifted, axis=1)  # (Q, S)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    # shards come in the order of their ids, and so do ties in a shard: a stable sort keeps both
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Neighbors(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))


def merge_over_ranks(found: dict[int, Neighbors], rows: int, k: int) -> dict[int, Neighbors]:
    """Merge what every rank of `torch.distributed` found in its own shard; each gets the result.

    Args:
        found: For each dim, the min(k, rows) nearest of this rank's shard, the same queries on
            every rank. The shards in the order of the ranks are the database.
        rows: Of this rank's shard; may be 0, with results of width 0.
        k: Neighbours wanted.

    Returns:
        For each dim, (Q, k), ids of the whole database.
    """
    import torch.distributed as processes

    counts = [0] * processes.get_world_size()
    processes.all_gather_object(counts, rows)
    first_ids = [0, *np.cumsum(counts)[:-1].tolist()]
    merged = {}
    for dim, own in found.items():  # one by one: together they may not fit in memory
        parts = [own] * len(counts)
        processes.all_gather_object(parts, own)
        merged[dim] = merge(parts, first_ids, k)
    return merged
