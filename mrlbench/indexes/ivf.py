"""Inverted lists by FAISS: only the cells nearest to the query are scanned."""

from typing import Any, Literal

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex, cells_for, quantizer

faiss: Any = library


class ivf(FaissIndex):
    """Scan the cells nearest to the query (FAISS IndexIVFFlat, or of codes); effort is nprobe.

    Args:
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        seed: Of the k-means clustering that makes them.
        code: How the rows are stored; int8 learns ranges per coordinate.
    """

    def __init__(
        self, cells: int = 0, seed: int = 0, code: Literal["float32", "float16", "int8"] = "float32"
    ) -> None:
        self._cells, self._seed, self._code = cells, seed, code
        self.lossy = code != "float32"

    def build(self, database: FloatArray) -> None:
        """Cluster the rows of `database`, (N, d), and put each into its cell."""
        rows, dim = database.shape
        cells = self._cells or cells_for(rows)
        centroids, inner = faiss.IndexFlatIP(dim), faiss.METRIC_INNER_PRODUCT
        if self.lossy:  # the rows themselves are coded, not what is left without their centroid
            self._index = faiss.IndexIVFScalarQuantizer(
                centroids, dim, cells, quantizer(self._code), inner, False
            )
        else:
            self._index = faiss.IndexIVFFlat(centroids, dim, cells, inner)
        self._index.cp.seed, self._index.cp.spherical = self._seed, True
        self._index.train(database)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows in the `effort` nearest cells."""
        cells = self._index.nlist
        faiss.cvar.indexIVF_stats.reset()
        parameters = faiss.SearchParametersIVF(nprobe=min(max(effort, 1), cells))
        found = self._search(queries, k, parameters)
        self._computed = int(faiss.cvar.indexIVF_stats.ndis) + cells * len(queries)
        return found
