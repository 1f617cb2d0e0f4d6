"""AdANNS-IVF: cells clustered at one prefix, rows scanned at another (arXiv 2305.19435, sec. 4)."""

from typing import Any

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors, prefix
from mrlbench.faiss_index import FaissIndex, cells_for

faiss: Any = library


class adanns_ivf(FaissIndex):
    """Cells made and chosen at few dims, scanned at more (FAISS IVF); effort is nprobe.

    Args:
        cell_dim: Coordinates that the cells are clustered by; no more than d.
        scan_dim: Coordinates that the rows in them are compared by; 0 takes all.
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        seed: Of the k-means clustering that makes them.
    """

    def __init__(
        self, cell_dim: int = 16, scan_dim: int = 0, cells: int = 0, seed: int = 0
    ) -> None:
        self._cell_dim, self._scan_dim = cell_dim, scan_dim
        self._cells, self._seed = cells, seed
        self.lossy = scan_dim > 0

    def build(self, database: FloatArray) -> None:
        """Cluster prefixes of the rows of `database`, (N, d), and put each row into its cell."""
        rows, width = database.shape
        cell_dim = min(self._cell_dim, width)
        scan_dim = min(self._scan_dim or width, width)
        cells = self._cells or cells_for(rows)
        centres = faiss.IndexFlatIP(cell_dim)
        clustering = faiss.Clustering(cell_dim, cells)
        clustering.seed, clustering.spherical = self._seed, True
        cut = prefix(database, cell_dim)
        clustering.train(cut, centres)
        _, cell = centres.search(cut, 1)  # (N, 1)
        inner = faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(scan_dim), scan_dim, cells, inner)
        # FAISS asks for cells of the rows' own width, but only where it chooses them itself
        self._replaced, index.quantizer, index.is_trained = index.quantizer, centres, True
        scanned = prefix(database, scan_dim)
        index.add_core(rows, faiss.swig_ptr(scanned), None, faiss.swig_ptr(cell))
        self._index, self._centres = index, centres

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows in the `effort` nearest cells."""
        centres, cells = faiss.downcast_index(self._index.quantizer), self._index.nlist
        closeness, cell = centres.search(prefix(queries, centres.d), min(max(effort, 1), cells))
        faiss.cvar.indexIVF_stats.reset()
        self._index.nprobe = cell.shape[1]
        scores, ids = self._index.search_preassigned(
            prefix(queries, self._index.d), k, cell, closeness
        )
        self._computed = int(faiss.cvar.indexIVF_stats.ndis) + cells * len(queries)
        return Neighbors(ids, scores)
