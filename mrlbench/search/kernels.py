"""Compiled inner loops of the search."""

import numba
import numpy as np

from mrlbench.arrays import FloatArray, IntArray

CHUNK = 64  # columns that are passed over together when none of them can enter the k best


@numba.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def add_and_select(
    totals: FloatArray,
    products: FloatArray,
    inverse: FloatArray,
    first_id: int,
    scores: FloatArray,
    ids: IntArray,
) -> None:
    """Add a block's products to the running ones, and keep the k best scores of each query.

    One pass over the tile. `scores` and `ids` are heaps with the worst of the k best at place 0:
    the lowest score and, among equal ones, the highest id. Columns come in the order of their ids,
    so an equal score never replaces an earlier one.

    Args:
        totals: (B, R), the products so far; updated.
        products: (B, R), of the next block of coordinates.
        inverse: (R,), 1 / the norm of each row's prefix.
        first_id: The id of column 0.
        scores: (B, k), updated; -inf where there is none yet.
        ids: (B, k), updated.
    """
    columns = totals.shape[1]
    for query in range(totals.shape[0]):
        bar = scores[query, 0]
        for start in range(0, columns, CHUNK):
            stop = min(start + CHUNK, columns)
            highest = -np.float32(np.inf)
            for column in range(start, stop):
                total = totals[query, column] + products[query, column]
                totals[query, column] = total
                score = total * inverse[column]
                highest = max(highest, score)
            if highest > bar:
                for column in range(start, stop):
                    score = totals[query, column] * inverse[column]
                    if score > bar:
                        _replace_worst(scores[query], ids[query], score, first_id + column)
                        bar = scores[query, 0]


@numba.njit(nogil=True, cache=True)
def _replace_worst(scores: FloatArray, ids: IntArray, score: float, identity: int) -> None:
    """Put a score at the root of the heap and sift it down, (k,)."""
    size, place = len(scores), 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            scores[other] < scores[child]
            or (scores[other] == scores[child] and ids[other] > ids[child])
        ):
            child = other
        if scores[child] > score or (scores[child] == score and ids[child] < identity):
            break
        scores[place], ids[place] = scores[child], ids[child]
        place = child
    scores[place], ids[place] = score, identity


@numba.njit(nogil=True, cache=True, fastmath=True)
def score_candidates(
    database: FloatArray,
    queries: FloatArray,
    ids: IntArray,
    edges: IntArray,
    products: FloatArray,
    squares: FloatArray,
) -> None:
    """Compute products and squared norms of candidates' prefixes, each adding to the one before.

    Args:
        database: (N, D).
        queries: (B, D).
        ids: (B, K), rows of the database.
        edges: (M + 1,), 0 and then the dims.
        products: (B, K, M), filled.
        squares: (B, K, M), filled.
    """
    for query in range(ids.shape[0]):
        for place in range(ids.shape[1]):
            row = ids[query, place]
            product, square = np.float32(0), np.float32(0)
            for step in range(len(edges) - 1):
                for column in range(edges[step], edges[step + 1]):
                    value = database[row, column]
                    product += value * queries[query, column]
                    square += value * value
                products[query, place, step] = product
                squares[query, place, step] = square
