"""Brute force by FAISS: the baseline that every other index is measured against."""

import faiss

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex


class exact(FaissIndex):
    """Compare each query with every row (FAISS IndexFlatIP); effort is not used."""

    exact = True

    def build(self, database: FloatArray) -> None:
        """Store the rows of `database`, (N, d)."""
        self._index = faiss.IndexFlatIP(database.shape[1])
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` nearest rows exactly."""
        self._computed = len(queries) * self._index.ntotal
        return self._search(queries, k)
