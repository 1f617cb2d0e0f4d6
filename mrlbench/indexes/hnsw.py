"""A hierarchical navigable small-world graph by FAISS."""

from typing import Any, Literal

import faiss as library  # its type hints leave out the graph classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex, quantizer

faiss: Any = library


class hnsw(FaissIndex):
    """Walk a layered graph (FAISS IndexHNSWFlat or IndexHNSWSQ); effort is efSearch.

    Args:
        m: Links per node; memory and recall grow with it. The paper has 32.
        ef_construction: Candidates weighed while linking a node. The paper has 40.
        code: How the rows are stored; int8 learns ranges per coordinate.
    """

    beam = True

    def __init__(
        self,
        m: int = 32,
        ef_construction: int = 40,
        code: Literal["float32", "float16", "int8"] = "float32",
    ) -> None:
        self._m, self._ef_construction, self._code = m, ef_construction, code
        self.lossy = code != "float32"

    def build(self, database: FloatArray) -> None:
        """Link the rows of `database`, (N, d)."""
        dim, inner = database.shape[1], faiss.METRIC_INNER_PRODUCT
        if self.lossy:
            self._index = faiss.IndexHNSWSQ(dim, quantizer(self._code), self._m, inner)
            self._index.train(database)
        else:
            self._index = faiss.IndexHNSWFlat(dim, self._m, inner)
        self._index.hnsw.efConstruction = self._ef_construction
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        faiss.cvar.hnsw_stats.reset()
        parameters = faiss.SearchParametersHNSW(efSearch=max(effort, k))
        found = self._search(queries, k, parameters)
        self._computed = int(faiss.cvar.hnsw_stats.ndis)
        return found
