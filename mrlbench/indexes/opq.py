"""Product-quantised rows after a learnt rotation by FAISS, all of them scanned."""

from typing import Any

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex

faiss: Any = library
ROWS_PER_CENTROID = 4


class opq(FaissIndex):
    """Scan product-quantised rows after a rotation (FAISS OPQMatrix, IndexPQ); effort is not used.

    Args:
        subspace: Coordinates that share one code; must divide d, else 1 is taken.
        bits: Of each code, 4 to 12.
        iterations: Of learning the rotation.
        seed: Of the k-means clusterings.
    """

    lossy = True

    def __init__(
        self, subspace: int = 2, bits: int = 8, iterations: int = 10, seed: int = 0
    ) -> None:
        self._subspace, self._bits = subspace, bits
        self._iterations, self._seed = iterations, seed

    def build(self, database: FloatArray) -> None:
        """Learn rotation and codes on the rows of `database`, (N, d)."""
        rows, dim = database.shape
        codes = dim // self._subspace if dim % self._subspace == 0 else dim
        most = max(1, (rows // ROWS_PER_CENTROID).bit_length() - 1)  # that the rows can train
        bits = min(self._bits, most)
        rotation = faiss.OPQMatrix(dim, codes)
        rotation.niter = self._iterations
        index = faiss.IndexPQ(dim, codes, bits, faiss.METRIC_INNER_PRODUCT)
        rotation.pq = faiss.ProductQuantizer(dim, codes, bits)
        for quantizer in (index.pq, rotation.pq):
            quantizer.cp.seed = self._seed
            quantizer.cp.min_points_per_centroid = ROWS_PER_CENTROID
        self._kept = rotation.pq  # FAISS keeps a bare pointer to it
        self._index = faiss.IndexPreTransform(rotation, index)
        self._index.train(database)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` rows whose codes are nearest."""
        self._computed = len(queries) * self._index.ntotal
        return self._search(queries, k)
