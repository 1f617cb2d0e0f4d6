"""The axes, the array types, and what it means to take a prefix.

Axis letters everywhere: N database rows, Q queries, K results, D full width, d prefix width,
B batch, C classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
WordArray = NDArray[np.int16]
AnyFloatArray = NDArray[np.floating[Any]]
InputArray = NDArray[Any]  # what a model reads: (B, 3, H, W) uint8 images, (B, D) float32 vectors
# or several: token ids (B, L) with masked places (B, m), images with the tokens of their captions
Inputs = InputArray | tuple[InputArray, ...]
WHOLE = slice(None)


class Neighbors(NamedTuple):
    """What a search found, nearest first.

    Attributes:
        ids: (Q, K) int64, rows of the database; -1 where an index found fewer than K.
        scores: (Q, K) float32, cosine similarity; higher is nearer; -inf where the id is -1.
    """

    ids: IntArray
    scores: FloatArray

    def first(self, k: int) -> "Neighbors":
        """Keep the `k` nearest, k <= K."""
        return Neighbors(self.ids[:, :k], self.scores[:, :k])

    def of(self, queries: "IntArray | slice") -> "Neighbors":
        """Keep some of the queries."""
        return Neighbors(self.ids[queries], self.scores[queries])


def room_for_neighbors(queries: int, k: int) -> Neighbors:
    """Make what a search fills, (Q, k)."""
    shape = (queries, k)
    return Neighbors(np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32))


def join(parts: Sequence[Neighbors]) -> Neighbors:
    """Put the results of consecutive queries together."""
    ids, scores = zip(*parts, strict=True)
    return Neighbors(np.concatenate(ids), np.concatenate(scores))


class Judged(NamedTuple):
    """Ranked results after the judge has looked at them: all that a metric may know.

    Attributes:
        gains: (Q, K) float32, 0 where the result is not relevant.
        relevant: (Q,) int64, how many relevant rows the database holds.
        ideal: (Q, K) float32, the best possible gains in order.
    """

    gains: FloatArray
    relevant: IntArray
    ideal: FloatArray

    def first(self, k: int) -> "Judged":
        """Judge only the first `k` results, k <= K."""
        return Judged(self.gains[:, :k], self.relevant, self.ideal[:, :k])

    def of(self, queries: slice) -> "Judged":
        """Keep some of the queries."""
        return Judged(self.gains[queries], self.relevant[queries], self.ideal[queries])


def prefix(vectors: AnyFloatArray, dim: int) -> FloatArray:
    """Cut to the first `dim` coordinates, then L2-normalise (in this order).

    A row whose first `dim` coordinates are all zero has no direction there: it stays zero, so its
    cosine with everything is 0.

    Args:
        vectors: (N, D), any float type.
        dim: d <= D.

    Returns:
        (N, d) float32, contiguous; the input is not changed.
    """
    cut = np.array(vectors[:, :dim], dtype=np.float32, order="C")  # (N, d)
    # float64 sums: a float32 sum of squares overflows at 1e19 and vanishes at 1e-23
    norms = np.sqrt(np.einsum("nd,nd->n", cut, cut, dtype=np.float64))  # (N,)
    norms[norms == 0] = 1
    cut /= norms[:, None].astype(np.float32)
    return cut


def blocks(rows: int, size: int) -> Iterator[slice]:
    """Cover `rows` rows with consecutive slices of at most `size`."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
