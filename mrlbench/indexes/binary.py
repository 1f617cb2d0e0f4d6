"""One bit per coordinate by FAISS, all rows scanned by Hamming distance."""

import math
from typing import Any

import faiss as library  # its type hints leave out the index classes
import numpy as np

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex

faiss: Any = library
FEWEST_BITS = 256  # signs of fewer coordinates order the rows too roughly to be reranked


class binary(FaissIndex):
    """Scan signs by Hamming distance (FAISS IndexLSH); effort is not used.

    Scores are the cosines that the share of differing bits stands for, cos(π·h/bits).

    Args:
        bits: Of each row; 0 takes the signs of its d coordinates, or, where d is below 256, of 256
            random projections. With more bits than d the projections are random, too.
    """

    lossy = True

    def __init__(self, bits: int = 0) -> None:
        self._bits = bits

    def build(self, database: FloatArray) -> None:
        """Keep the signs of the rows of `database`, (N, d)."""
        dim = database.shape[1]
        bits = self._bits or max(dim, FEWEST_BITS)
        self._index = faiss.IndexLSH(dim, bits, bits != dim)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` rows with the fewest differing bits."""
        self._computed = len(queries) * self._index.ntotal
        found = self._search(queries, k)
        angles = found.scores * np.float32(math.pi / self._index.nbits)
        return Neighbors(found.ids, np.cos(angles))
