"""FAISS's own pipeline: a graph on a renormalised prefix, refined with whole rows."""

from typing import Any

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex

faiss: Any = library


class refine(FaissIndex):
    """Shortlist by HNSW on a prefix and rerank (FAISS IndexRefineFlat); effort is the shortlist.

    Args:
        first_dim: Of the prefix; no more than d.
        m: Links per node of the graph.
        ef_construction: Candidates weighed while linking a node.
    """

    beam = True

    def __init__(self, first_dim: int = 16, m: int = 32, ef_construction: int = 40) -> None:
        self._first_dim, self._m, self._ef_construction = first_dim, m, ef_construction

    def build(self, database: FloatArray) -> None:
        """Link the prefixes of the rows of `database`, (N, d), and keep the rows."""
        width = database.shape[1]
        first = min(self._first_dim, width)
        graph = faiss.IndexHNSWFlat(first, self._m, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = self._ef_construction
        prefixes = faiss.IndexPreTransform(graph)
        prefixes.prepend_transform(faiss.NormalizationTransform(first))
        prefixes.prepend_transform(faiss.RemapDimensionsTransform(width, first, False))
        self._index = faiss.IndexRefineFlat(prefixes)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Rerank the best max(effort, k) of the graph, found with a beam of as many."""
        length = min(max(effort, k), self._index.ntotal)
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=length / k,
            base_index_params=faiss.SearchParametersPreTransform(
                index_params=faiss.SearchParametersHNSW(efSearch=length)
            ),
        )
        return self._search(queries, k, parameters)
