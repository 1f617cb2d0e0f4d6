"""A hierarchical navigable small-world graph by hnswlib."""

from pathlib import Path

import hnswlib as library
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors


class hnswlib:
    """Walk a layered graph (hnswlib); effort is ef.

    Args:
        m: Links per node; memory and recall grow with it.
        ef_construction: Candidates weighed while linking a node.
        seed: Draws each node's layer.
        build_threads: 0 takes all; with more than one the graph differs between builds.
    """

    exact = False
    lossy = False

    def __init__(
        self, m: int = 32, ef_construction: int = 40, seed: int = 0, build_threads: int = 0
    ) -> None:
        self._m, self._ef_construction = m, ef_construction
        self._seed, self._build_threads = seed, build_threads

    def build(self, database: FloatArray) -> None:
        """Link the rows of `database`, (N, d)."""
        count, dim = database.shape
        self._graph = library.Index(space="ip", dim=dim)
        self._graph.init_index(
            count, M=self._m, ef_construction=self._ef_construction, random_seed=self._seed
        )
        self._graph.set_num_threads(_threads())
        self._graph.add_items(database, num_threads=self._build_threads or _threads())

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        self._graph.set_ef(max(effort, k))  # hnswlib asks for ef >= k
        ids, distances = self._graph.knn_query(queries, k, num_threads=_threads())
        found: IntArray = ids.astype(np.int64)
        return Neighbors(found, 1 - distances)

    def nbytes(self) -> int:
        """Bytes of the index as hnswlib writes it."""
        return int(self._graph.index_file_size())

    def save(self, path: Path) -> None:
        """Write the graph to a file; its width stands beside it, as hnswlib does not keep it."""
        self._graph.save_index(str(path))
        path.with_suffix(".dim").write_text(str(self._graph.dim))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        dim = int(path.with_suffix(".dim").read_text())
        self._graph = library.Index(space="ip", dim=dim)
        self._graph.load_index(str(path))

    def distance_computations(self) -> int | None:
        """None: hnswlib counts them only when it is compiled to."""
        return None


def _threads() -> int:
    """Use as many threads as FAISS was told to, so that both are measured alike."""
    import faiss

    return int(faiss.omp_get_max_threads())
