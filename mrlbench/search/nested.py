"""Exact search at every nested dim in one pass over the database.

The inner product at a wider dim is the one at the narrower dim plus a block of coordinates, so all
dims cost one matrix product, and a selection each.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks, join
from mrlbench.errors import UserError
from mrlbench.kernels.selection import add_and_select, from_keys
from mrlbench.progress import task
from mrlbench.search.rows import Rows, scaled_with_norms
from mrlbench.threads import read_ahead, threads_in_use

if TYPE_CHECKING:
    from torch import Tensor

QUERY_BLOCK = 512
ROW_BLOCK = 512  # a (512, 512) tile of float32 scores is a megabyte: it stays in the cache
FEWEST_SPARE = 64  # candidates beside the k best before the best are sorted out
MEMORY_LIMIT = 2 * 2**30  # bytes beyond inputs and results
SHARE_OF_QUERIES = 0.75  # of the limit; the rest is for tiles


def nested_search(
    database: "AnyFloatArray | Rows | Tensor",
    queries: "AnyFloatArray | Rows | Tensor",
    dims: Sequence[int],
    k: int,
    *,
    device: str | None = None,
    threads: int | None = None,
    memory_limit: int | None = None,
) -> dict[int, Neighbors]:
    """Find the exact `k` nearest rows at each dim, cut first and then normalised.

    A prefix that is all zeros has no direction: its cosine with everything is 0. Equal scores are
    ordered by lower id. The database is read once for as many queries as fit the memory limit.

    Args:
        database: (N, D), any float type, may be memory-mapped, or a torch tensor; read in blocks.
        queries: (Q, D), likewise.
        dims: Increasing, each <= D.
        k: Neighbours, k <= N.
        device: `cuda` computes there, in torch; None where the database is, `cpu` on the processor.
        threads: None takes as many as every library was given.
        memory_limit: Bytes beyond inputs and results; None takes 2 GiB.

    Returns:
        For each dim, ids and cosine similarities, (Q, k), nearest first.

    Raises:
        UserError: k > N.
    """
    check_k(k, len(database))
    if not isinstance(database, np.ndarray) and device is None:
        device = str(getattr(database, "device", "cpu"))  # a tensor's
    if device not in (None, "cpu"):
        from mrlbench.search.nested_torch import search_in_torch

        return search_in_torch(database, queries, dims, k, device)
    database, queries = _array(database), _array(queries)
    threads = threads or threads_in_use()
    room = SHARE_OF_QUERIES * (memory_limit or MEMORY_LIMIT)
    at_once = max(threads, int(room // bytes_per_query(dims, k)))
    with task("exact search", len(queries) * len(database), "pairs") as work:
        parts = [
            _search_part(database, queries[part], dims, k, threads, work.advance)
            for part in blocks(len(queries), at_once)
        ]
    return {dim: join([part[dim] for part in parts]) for dim in dims}


def _array(vectors: "AnyFloatArray | Rows | Tensor") -> AnyFloatArray | Rows:
    """Give the array that a tensor on the processor is."""
    is_tensor = hasattr(vectors, "numpy")
    return vectors.numpy() if is_tensor else vectors  # type: ignore[return-value,union-attr]


def check_k(k: int, rows: int) -> None:
    """Refuse more neighbours than there are rows.

    Raises:
        UserError: k > N or k < 1.
    """
    if not 1 <= k <= rows:
        raise UserError(f"k: expected 1 to {rows}, the rows of the database, got {k}")


class _Tile(NamedTuple):
    """A block of database rows: float32, 1 / the norm of each prefix, and the first row's id."""

    rows: FloatArray  # (R, D)
    inverse: FloatArray  # (M, R)
    first_id: int


class _Block(NamedTuple):
    """A block of queries with the candidates of each at each dim (see kernels.selection)."""

    queries: FloatArray  # (B, D)
    keys: IntArray  # (M, B, S)
    counts: IntArray  # (M, B)
    bars: FloatArray  # (M, B)


def _search_part(
    database: AnyFloatArray | Rows,
    queries: AnyFloatArray,
    dims: Sequence[int],
    k: int,
    threads: int,
    advance: Callable[[int], None],
) -> dict[int, Neighbors]:
    """Search some queries in one pass over the database.

    Each thread takes whole blocks of queries, with one thread per product: tiles stay in its cache
    and nobody waits for the others inside a product.
    """
    asked, norms = scaled_with_norms(queries, dims)  # (Q, d), (M, Q)
    shape = (len(dims), len(asked))
    keys = np.full((*shape, _candidates(k)), np.iinfo(np.int64).min)
    counts, bars = np.zeros(shape, dtype=np.int64), np.full(shape, -np.inf, dtype=np.float32)
    query_blocks = [
        _Block(asked[part], keys[:, part], counts[:, part], bars[:, part])
        for part in blocks(len(asked), _fair_block(len(asked), threads))
    ]
    tiles = [partial(_read_tile, database, rows, dims) for rows in blocks(len(database), ROW_BLOCK)]
    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(threads) as pool,
        ThreadPoolExecutor(1) as reader,
    ):
        for tile in read_ahead(reader, tiles):
            list(pool.map(partial(_search_tile, tile=tile, dims=dims, k=k), query_blocks))
            advance(len(asked) * len(tile.rows))
        found = list(pool.map(partial(_sorted, k=k), keys, counts, norms))
    return dict(zip(dims, found, strict=True))


def _candidates(k: int) -> int:
    """Say how many candidates a query keeps before the k best are sorted out."""
    return k + max(k, FEWEST_SPARE)


def bytes_per_query(dims: Sequence[int], k: int) -> int:
    """Say what a query takes while it is searched: itself, candidates, and their sorting."""
    return 4 * dims[-1] + len(dims) * 8 * (_candidates(k) + k)


def _search_tile(block: _Block, tile: _Tile, dims: Sequence[int], k: int) -> None:
    totals = np.zeros((len(block.queries), len(tile.rows)), dtype=np.float32)  # (B, R)
    products, start = np.empty_like(totals), 0
    for place, dim in enumerate(dims):
        np.matmul(block.queries[:, start:dim], tile.rows[:, start:dim].T, out=products)
        add_and_select(
            totals,
            products,
            tile.inverse[place],
            tile.first_id,
            k,
            block.keys[place],
            block.counts[place],
            block.bars[place],
        )
        start = dim


def _read_tile(database: AnyFloatArray | Rows, rows: slice, dims: Sequence[int]) -> _Tile:
    block, norms = scaled_with_norms(database[rows], dims)  # (R, d), (M, R)
    inverse = np.divide(1, norms, where=norms > 0, out=np.zeros_like(norms))
    return _Tile(block, inverse.astype(np.float32), rows.start)


def _sorted(keys: IntArray, counts: IntArray, norms: AnyFloatArray, k: int) -> Neighbors:
    """Order candidates, (Q, S), and divide their scores by the query norms, (Q,)."""
    keys[np.arange(keys.shape[1]) >= counts[:, None]] = np.iinfo(np.int64).min  # left over
    keys.sort(axis=1)
    ids, scores = from_keys(keys[:, : -k - 1 : -1])  # (Q, k), highest first
    scores /= np.where(norms > 0, norms, 1)[:, None].astype(np.float32)
    return _ties_by_id(Neighbors(ids, scores.clip(-1, 1)))


def _ties_by_id(found: Neighbors) -> Neighbors:
    """Put equal scores in the order of their ids: some became equal in the division."""
    ids, scores = found
    tied = (scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] < ids[:, :-1])
    for query in np.flatnonzero(tied.any(axis=1)):
        order = np.lexsort((ids[query], -scores[query]))
        ids[query], scores[query] = ids[query, order], scores[query, order]
    return found


def _fair_block(queries: int, threads: int) -> int:
    """Choose a block size that gives every thread the same number of blocks, about."""
    rounds = max(1, -(-queries // (QUERY_BLOCK * threads)))
    return max(1, -(-queries // (rounds * threads)))
