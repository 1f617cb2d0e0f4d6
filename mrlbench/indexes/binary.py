"""One bit per coordinate by FAISS, all rows scanned by Hamming distance."""

import math
from typing import Any

import faiss as library  # its type hints leave out the index classes
import numpy as np

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex

faiss: Any = library


class binary(FaissIndex):
    """Scan signs by Hamming distance (FAISS IndexLSH); effort is not used.

    Scores are the cosines that the share of differing bits stands for, cos(π·h/bits).

    Args:
        bits: Of each row; 0 takes the signs of its d coordinates, or, where d is below
            `fewest_bits`, of that many random projections. With more bits than d the projections
            are random, too.
        fewest_bits: Signs of fewer than 256 order the rows too roughly for most; 1 takes the signs
            of d coordinates however few they are.
        subtract_mean: Take the signs of what is above the mean of the database, coordinate by
            coordinate; the signs of features that are never negative say nothing.
    """

    lossy = True

    def __init__(self, bits: int = 0, fewest_bits: int = 256, subtract_mean: bool = False) -> None:
        self._bits, self._fewest_bits = bits, fewest_bits
        self._subtract_mean = subtract_mean

    def build(self, database: FloatArray) -> None:
        """Keep the signs of the rows of `database`, (N, d)."""
        dim = database.shape[1]
        bits = self._bits or max(dim, self._fewest_bits)
        self._index = faiss.IndexLSH(dim, bits, bits != dim)
        if self._subtract_mean:
            self._index = faiss.IndexPreTransform(faiss.CenteringTransform(dim), self._index)
            self._index.train(database)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` rows with the fewest differing bits."""
        self._computed = len(queries) * self._index.ntotal
        found = self._search(queries, k)
        subtracts = isinstance(self._index, faiss.IndexPreTransform)
        signs = faiss.downcast_index(self._index.index) if subtracts else self._index
        angles = found.scores * np.float32(math.pi / signs.nbits)
        return Neighbors(found.ids, np.cos(angles))
