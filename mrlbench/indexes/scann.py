"""Google's ScaNN: a tree of cells, anisotropic 4-bit codes, and the best of them reranked."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scann import scann_ops_pybind

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import cells_for
from mrlbench.threads import threads_in_use

ANISOTROPY = 0.2  # the threshold that ScaNN's own examples take
CODED_AT_ONCE = 2  # coordinates a code


class scann:
    """Scan codes in the nearest cells, rerank the best (ScaNN); effort is leaves_to_search.

    Args:
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        shortlist: Rows that are reranked with whole vectors, or k if that is more.
    """

    exact = False
    lossy = False
    beam = False

    def __init__(self, cells: int = 0, shortlist: int = 200) -> None:
        self._cells, self._shortlist = cells, shortlist
        self._searcher: Any = None

    def build(self, database: FloatArray) -> None:
        """Cluster and code the rows of `database`, (N, d)."""
        rows = len(database)
        cells = self._cells or cells_for(rows)
        builder = scann_ops_pybind.builder(database, 1, "dot_product")
        builder.set_n_training_threads(threads_in_use())
        builder.tree(num_leaves=cells, num_leaves_to_search=1, training_sample_size=rows)
        builder.score_ah(CODED_AT_ONCE, anisotropic_quantization_threshold=ANISOTROPY)
        builder.reorder(self._shortlist)
        self._searcher = builder.build()

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows in the `effort` nearest cells."""
        search: Any = self._searcher.search_batched
        if len(queries) > 1 and threads_in_use() > 1:
            self._searcher.set_num_threads(threads_in_use())
            search = self._searcher.search_batched_parallel
        ids, scores = search(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=max(self._shortlist, k),
            leaves_to_search=max(effort, 1),
        )
        there = np.isfinite(scores)
        return Neighbors(
            np.where(there, ids, -1).astype(np.int64), np.where(there, scores, -np.inf)
        )

    def nbytes(self) -> int:
        """Bytes of the files that ScaNN serialises to."""
        with TemporaryDirectory() as folder:
            self._searcher.serialize(folder)
            return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())

    def save(self, path: Path) -> None:
        """Write the index; ScaNN makes a folder of files."""
        path.mkdir(parents=True, exist_ok=True)
        self._searcher.serialize(str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        self._searcher = scann_ops_pybind.load_searcher(str(path))

    def distance_computations(self) -> int | None:
        """None: ScaNN does not count them."""
        return None
