"""A hierarchical navigable small-world graph by FAISS."""

from typing import Any

import faiss as library  # its type hints leave out the graph classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex

faiss: Any = library


class hnsw(FaissIndex):
    """Walk a layered graph (FAISS IndexHNSWFlat); effort is efSearch.

    Args:
        m: Links per node; memory and recall grow with it. The paper has 32.
        ef_construction: Candidates weighed while linking a node. The paper has 40.
    """

    beam = True

    def __init__(self, m: int = 32, ef_construction: int = 40) -> None:
        self._m, self._ef_construction = m, ef_construction

    def build(self, database: FloatArray) -> None:
        """Link the rows of `database`, (N, d)."""
        self._index = faiss.IndexHNSWFlat(database.shape[1], self._m, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = self._ef_construction
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        faiss.cvar.hnsw_stats.reset()
        parameters = faiss.SearchParametersHNSW(efSearch=max(effort, k))
        found = self._search(queries, k, parameters)
        self._computed = int(faiss.cvar.hnsw_stats.ndis)
        return found
