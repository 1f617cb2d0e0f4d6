"""One pass over every row: lengths, ranges of coordinates, and rows that are there twice.

Rows are told apart by 64 bits of a hash. Among a million different rows, the chance that any two
are taken for the same is 3 in 100 million.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mrlbench.arrays import AnyFloatArray, IntArray, blocks

BLOCK_BYTES = 64 * 2**20  # of float64
MARKS = 4
EXAMPLES = 3
SAME = 1e-6  # marks of one direction, once rounded to float32, differ by about 1e-7


@dataclass(frozen=True)
class Scan:
    """What is known of every row.

    Attributes:
        hashes: (N,), of the row's bytes.
        marks: (N, 4), the row's direction seen from four random ones: rows of the same direction
            have the same marks, whatever their lengths.
        norms: (N,), lengths.
        low: (D,), the smallest value of each coordinate.
        high: (D,), the largest.
    """

    hashes: NDArray[np.uint64]
    marks: NDArray[np.float64]
    norms: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Copies:
    """How many rows are there more than once.

    Attributes:
        rows: N.
        repeated: Rows equal to an earlier one.
        most: How often the most frequent row is there.
    """

    rows: int
    repeated: int
    most: int


@dataclass(frozen=True)
class Leaks:
    """How many queries are rows of the database.

    Attributes:
        queries: Q.
        identical: Those that equal a row.
        same_direction: Those that equal a row after normalisation, the identical ones among them.
        examples: (query, row) of some of them, the first ones.
    """

    queries: int
    identical: int
    same_direction: int
    examples: tuple[tuple[int, int], ...]


def scan_rows(vectors: AnyFloatArray, dtype: DTypeLike) -> Scan:
    """Read every row once, in blocks.

    Args:
        vectors: (N, D), finite and without all-zero rows.
        dtype: What rows are hashed as, no narrower than their own: that of all that they are to be
            compared with.
    """
    count, width = vectors.shape
    seen = np.random.default_rng(0).standard_normal((width, MARKS))
    hashes, norms = np.empty(count, dtype=np.uint64), np.empty(count)
    marks = np.empty((count, MARKS))
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for rows in blocks(count, max(1, BLOCK_BYTES // (8 * width))):
        block = vectors[rows].astype(dtype) + 0  # -0.0 becomes 0.0, which it equals
        hashes[rows] = [_hash(row.data) for row in block]
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
        peaks = np.abs(block).max(axis=1).astype(np.float64)  # (B,)
        scaled = block / peaks[:, None]  # squares of it neither overflow nor vanish
        lengths = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))  # (B,), at least 1
        norms[rows] = peaks * lengths
        marks[rows] = scaled @ seen / lengths[:, None]
    return Scan(hashes, marks, norms, low, high)


def count_copies(scan: Scan) -> Copies:
    """Count rows that equal an earlier one."""
    _, counts = np.unique(scan.hashes, return_counts=True)
    rows = len(scan.hashes)
    return Copies(rows, rows - len(counts), int(counts.max()))


def count_leaks(database: Scan, queries: Scan) -> Leaks:
    """Count queries that are rows of the database, as they are and after normalisation."""
    different, first = np.unique(database.hashes, return_index=True)
    place = np.searchsorted(different, queries.hashes).clip(max=len(different) - 1)  # (Q,)
    identical = different[place] == queries.hashes
    same = np.where(identical, first[place], _rows_of_direction(database, first, queries))
    found = np.flatnonzero(same >= 0)
    examples = tuple((int(query), int(same[query])) for query in found[:EXAMPLES])
    return Leaks(len(same), int(identical.sum()), len(found), examples)


def _rows_of_direction(database: Scan, rows: IntArray, queries: Scan) -> IntArray:
    """Find one of some rows with the direction of each query, (Q,); -1 where there is none.

    Marks are compared by the first, sorted, and then by all.
    """
    rows = rows[np.argsort(database.marks[rows, 0])]
    marks, found = database.marks[rows], np.full(len(queries.marks), -1, dtype=np.int64)
    starts = np.searchsorted(marks[:, 0], queries.marks[:, 0] - SAME)
    stops = np.searchsorted(marks[:, 0], queries.marks[:, 0] + SAME, side="right")
    for query in np.flatnonzero(starts < stops):
        near = slice(starts[query], stops[query])
        same = (np.abs(marks[near] - queries.marks[query]) <= SAME).all(axis=1)
        if same.any():
            found[query] = rows[near][same].min()
    return found


def _hash(row: memoryview) -> int:
    return int.from_bytes(blake2b(row, digest_size=8).digest(), "little")
