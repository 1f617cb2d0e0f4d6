"""Compiled rerank: candidates are gathered from the database and scored where they lie.

Only the coordinates that a step needs are read, and a wider dim adds to the sums of the narrower
one. Stores of float32, float64, float16 (given as its bits, uint16) and int8 are read as they are.
"""

from typing import Any

import numba
import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.kernels.instructions import number, prefetch, wide_number
from mrlbench.kernels.selection import id_of, to_key

AHEAD = 2048  # bytes of a later candidate that are asked for early; the rest come in order
DISTANCE = 3  # how many candidates later
LINE = 64  # bytes
SMALLEST, LARGEST = np.float32(1e-30), np.float32(1e30)  # sums of squares that float32 holds well


@numba.njit(nogil=True, cache=True)
def _fetch(database: Any, row: int, start: int, stop: int) -> None:  # noqa: ANN401
    """Bring the coordinates of a candidate near while another one is being summed."""
    if row >= 0:
        size = database.itemsize
        for column in range(start, min(stop, start + AHEAD // size), LINE // size):
            prefetch(database, row, column)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add(
    row: Any,  # noqa: ANN401
    query: FloatArray,
) -> tuple[np.float32, np.float32]:
    """Give the product of two vectors, (d,), and the row's sum of squares."""
    product, square = np.float32(0), np.float32(0)
    for column in range(len(row)):
        value = number(row[column])
        product += value * query[column]
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
        vector = queries[query]
        for place in range(ids.shape[1]):
            identity = ids[query, place]
            _fetch(database, ids[query, min(place + DISTANCE, last)], 0, dims[-1])
            if identity < 0:
                cosines[query, place] = -np.inf
                continue
            row = database[identity]
            product, square, start = np.float32(0), np.float32(0), 0
            for step in range(len(dims)):
                stop = dims[step]
                # slices from 0 on: an index that could be negative would not be vectorised
                more, squares = _add(row[start:stop], vector[start:stop])
                product, square, start = product + more, square + squares, stop
                cosines[query, place, step] = _cosine(
                    row, vector, stop, product, square, asked[query, step]
                )


@numba.njit(nogil=True, cache=True)
def add_step(
    database: Any,  # noqa: ANN401
    queries: FloatArray,
    asked: AnyFloatArray,
    start: int,
    stop: int,
    ids: IntArray,
    products: FloatArray,
    squares: FloatArray,
    scores: FloatArray,
    keys: IntArray,
) -> None:
    """Go on with the sums of candidates over the coordinates from `start` to `stop`.

    Args:
        database: (N, D), `readable`.
        queries: (B, D).
        asked: (B,), sums of squares of their first `stop` coordinates.
        start: Coordinates that the sums are already over.
        stop: Coordinates that they are over afterwards.
        ids: (B, K), K or more.
        products: (B, K), updated.
        squares: (B, K), updated.
        scores: (B, K), filled with the cosines; -inf where the id is -1.
        keys: (B, K), filled with scores and places, as `to_key` packs them.
    """
    last = keys.shape[1] - 1
    for query in range(keys.shape[0]):
        vector = queries[query]
        for place in range(keys.shape[1]):
            identity, score = ids[query, place], np.float32(-np.inf)
            _fetch(database, ids[query, min(place + DISTANCE, last)], start, stop)
            if identity >= 0:
                row = database[identity]
                product, square = _add(row[start:stop], vector[start:stop])
                product += products[query, place]
                square += squares[query, place]
                products[query, place], squares[query, place] = product, square
                score = _cosine(row, vector, stop, product, square, asked[query])
            scores[query, place] = score
            keys[query, place] = to_key(score, place)


@numba.njit(nogil=True, cache=True)
def pack(cosines: FloatArray, keys: IntArray) -> None:
    """Pack scores, (B, K), and their places into keys, (B, K), as `to_key` does."""
    for query in range(keys.shape[0]):
        for place in range(keys.shape[1]):
            keys[query, place] = to_key(cosines[query, place], place)


@numba.njit(nogil=True, cache=True)
def take(keys: IntArray, values: Any, out: Any) -> None:  # noqa: ANN401
    """Put values, (B, K), in the order of sorted keys, (B, K), the highest first."""
    last = keys.shape[1] - 1
    for query in range(out.shape[0]):
        for place in range(out.shape[1]):
            out[query, place] = values[query, id_of(keys[query, last - place])]


@numba.njit(nogil=True, cache=True)
def reorder(
    keys: IntArray,
    cosines: FloatArray,
    ids: IntArray,
    products: FloatArray,
    squares: FloatArray,
    scores: FloatArray,
) -> None:
    """Put candidates and their sums in the order of sorted keys, the highest first.

    Args:
        keys: (B, K), as `add_step` packed them, sorted.
        cosines: (B, K), in the order that `add_step` left.
        ids: (B, K) or wider; the first K are put in order.
        products: Likewise.
        squares: Likewise.
        scores: Likewise, filled with the cosines.
    """
    length = keys.shape[1]
    some_ids, some = np.empty(length, dtype=ids.dtype), np.empty((2, length), dtype=np.float32)
    for query in range(keys.shape[0]):
        for place in range(length):
            some_ids[place] = ids[query, place]
            some[0, place], some[1, place] = products[query, place], squares[query, place]
        for place in range(length):
            before = id_of(keys[query, length - 1 - place])
            scores[query, place] = cosines[query, before]
            ids[query, place] = some_ids[before]
            products[query, place], squares[query, place] = some[0, before], some[1, before]
