"""Inverted lists of product-quantised rows by FAISS, scanned with its fast 4-bit kernels."""

from typing import Any

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex, cells_for

faiss: Any = library
BITS = 4  # what the fast scan is made for


class ivf_pq(FaissIndex):
    """Scan 4-bit codes in the nearest cells (FAISS IndexIVFPQFastScan); effort is nprobe.

    Args:
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        subspace: Coordinates that share one code of 4 bits; must divide d, else 1 is taken.
        seed: Of the k-means clusterings.
    """

    lossy = True

    def __init__(self, cells: int = 0, subspace: int = 2, seed: int = 0) -> None:
        self._cells, self._subspace, self._seed = cells, subspace, seed

    def build(self, database: FloatArray) -> None:
        """Cluster the rows of `database`, (N, d), and code what is left of each in its cell."""
        rows, dim = database.shape
        codes = dim // self._subspace if dim % self._subspace == 0 else dim
        cells = self._cells or cells_for(rows)
        quantizer = faiss.IndexFlatIP(dim)
        inner = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexIVFPQFastScan(quantizer, dim, cells, codes, BITS, inner)
        self._index.cp.seed, self._index.cp.spherical = self._seed, True
        self._index.pq.cp.seed = self._seed
        self._index.train(database)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows by their codes in the `effort` nearest cells."""
        parameters = faiss.SearchParametersIVF(nprobe=min(effort, self._index.nlist))
        return self._search(queries, k, parameters)
