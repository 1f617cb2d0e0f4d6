"""Compiled rerank: candidates are gathered from the database and scored where they lie.

Only the coordinates that a step needs are read, and a wider dim adds to the sums of the narrower
one. Stores of float32, float64, float16 (given as its bits, uint16) and int8 are read as they are.
"""

from typing import Any

import numba
import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.search.instructions import number, prefetch, wide_number
from mrlbench.search.kernels import to_key

AHEAD = 512  # coordinates of a later candidate that are asked for early; the rest come in order
DISTANCE = 2  # how many candidates later
LINE = 64  # bytes
SMALLEST, LARGEST = np.float32(1e-30), np.float32(1e30)  # sums of squares that float32 holds well


@numba.njit(nogil=True, cache=True)
def _fetch(database: Any, row: int, start: int, stop: int) -> None:  # noqa: ANN401
    """Bring the coordinates of a candidate near while another one is being summed."""
    if row >= 0:
        for column in range(start, min(stop, start + AHEAD), LINE // database.itemsize):
            prefetch(database, row, column)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add(
    row: Any,  # noqa: ANN401
    query: FloatArray,
    start: int,
    stop: int,
) -> tuple[np.float32, np.float32]:
    """Give the product of two vectors over some coordinates, and the row's sum of squares."""
    some, asked = row[start:stop], query[start:stop]  # from 0 on: no index can be negative
    product, square = np.float32(0), np.float32(0)
    for column in range(len(some)):
        value = number(some[column])
        product += value * asked[column]
        square += value * value
    return product, square


@numba.njit(nogil=True, cache=True)
def _cosine(
    row: Any,  # noqa: ANN401
    query: FloatArray,
    dim: int,
    product: np.float32,
    square: np.float32,
    asked: np.float64,
) -> np.float32:
    """Normalise a product; coordinates too large or small for float32 sums are summed anew."""
    if SMALLEST < square < LARGEST and asked > 0:
        return np.float32(max(-1.0, min(1.0, product / np.sqrt(np.float64(square) * asked))))
    wide, squares = 0.0, 0.0
    for column in range(dim):
        value = wide_number(row[column])
        wide += value * query[column]
        squares += value * value
    norm = np.sqrt(squares) * np.sqrt(asked)
    return np.float32(max(-1.0, min(1.0, wide / norm)) if norm > 0 else 0.0)


@numba.njit(nogil=True, cache=True)
def score_prefixes(
    database: Any,  # noqa: ANN401
    queries: FloatArray,
    asked: AnyFloatArray,
    ids: IntArray,
    dims: IntArray,
    cosines: FloatArray,
) -> None:
    """Compute the cosine of each candidate at several dims, reading it once.

    Args:
        database: (N, D), `readable`.
        queries: (B, D).
        asked: (B, M), sums of squares of the queries' prefixes.
        ids: (B, K), rows of the database; -1 is a result that was not found.
        dims: (M,), increasing.
        cosines: (B, K, M), filled; -inf where the id is -1.
    """
    last = ids.shape[1] - 1
    for query in range(ids.shape[0]):
        for place in range(ids.shape[1]):
            identity = ids[query, place]
            _fetch(database, ids[query, min(place + DISTANCE, last)], 0, dims[-1])
            if identity < 0:
                cosines[query, place] = -np.inf
                continue
            row, vector = database[identity], queries[query]
            product, square, start = np.float32(0), np.float32(0), 0
            for step in range(len(dims)):
                more, squares = _add(row, vector, start, dims[step])
                product, square, start = product + more, square + squares, dims[step]
                cosines[query, place, step] = _cosine(
                    row, vector, start, product, square, asked[query, step]
                )


@numba.njit(nogil=True, cache=True)
def order(ids: IntArray, cosines: FloatArray, out_ids: IntArray, out_scores: FloatArray) -> None:
    """Sort candidates, (B, K), nearest first; ties keep their order.

    Args:
        ids: (B, K).
        cosines: (B, K).
        out_ids: (B, K), filled.
        out_scores: (B, K), filled.
    """
    keys = np.empty(ids.shape[1], dtype=np.int64)
    for query in range(ids.shape[0]):
        for place in range(len(keys)):
            keys[place] = -to_key(cosines[query, place], place)
        keys.sort()
        for place in range(len(keys)):
            origin = _place(keys[place])
            out_ids[query, place] = ids[query, origin]
            out_scores[query, place] = cosines[query, origin]


@numba.njit(nogil=True, cache=True)
def _place(negated: np.int64) -> np.int64:
    """Unpack what `to_key` was given, from a key with its sign turned."""
    return np.int64(0xFFFFFFFF) - (-negated & np.int64(0xFFFFFFFF))


@numba.njit(nogil=True, cache=True)
def climb(
    database: Any,  # noqa: ANN401
    queries: FloatArray,
    asked: AnyFloatArray,
    dims: IntArray,
    lengths: IntArray,
    ids: IntArray,
    scores: FloatArray,
) -> None:
    """Follow a ladder of reranks; each step adds coordinates to the sums of the one before.

    Args:
        database: (N, D), `readable`.
        queries: (B, D).
        asked: (B, M), sums of squares of the queries' prefixes.
        dims: (M,), increasing.
        lengths: (M,), how many are reranked at each; not increasing.
        ids: (B, K), K = lengths[0], nearest first; ordered anew.
        scores: (B, K), filled with the cosine at the dim that each was last ranked at.
    """
    length = ids.shape[1]
    products, squares = np.zeros(length, np.float32), np.zeros(length, np.float32)
    keys, old = np.empty(length, dtype=np.int64), np.empty(length, dtype=np.int64)
    old_products, old_squares = np.empty_like(products), np.empty_like(squares)
    old_scores = np.empty_like(products)
    for query in range(ids.shape[0]):
        products[:], squares[:], start = 0, 0, 0
        vector = queries[query]
        for step in range(len(dims)):
            dim, count = dims[step], lengths[step]
            for place in range(count):
                old[place] = ids[query, place]
                _fetch(database, ids[query, min(place + DISTANCE, count - 1)], start, dim)
                if old[place] < 0:
                    old_scores[place] = -np.inf
                else:
                    row = database[old[place]]
                    product, square = _add(row, vector, start, dim)
                    old_products[place] = products[place] + product
                    old_squares[place] = squares[place] + square
                    old_scores[place] = _cosine(
                        row,
                        vector,
                        dim,
                        old_products[place],
                        old_squares[place],
                        asked[query, step],
                    )
                keys[place] = -to_key(old_scores[place], place)
            keys[:count].sort()
            for place in range(count):
                origin = _place(keys[place])
                ids[query, place], scores[query, place] = old[origin], old_scores[origin]
                products[place], squares[place] = old_products[origin], old_squares[origin]
            start = dim
