"""A hierarchical navigable small-world graph by hnswlib."""

from pathlib import Path

import hnswlib as library
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors, join
from mrlbench.errors import UserError
from mrlbench.threads import threads_in_use


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
    beam = True

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
        self._graph.set_num_threads(threads_in_use())
        self._graph.add_items(database, num_threads=self._build_threads or threads_in_use())

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        self._graph.set_ef(max(effort, k))  # hnswlib asks for ef >= k
        try:
            ids, distances = self._graph.knn_query(queries, k, num_threads=threads_in_use())
        except RuntimeError:  # some query reaches fewer than k rows, and hnswlib gives none at all
            return join([self._search_one(query, k) for query in queries])
        found: IntArray = ids.astype(np.int64)
        return Neighbors(found, 1 - distances)

    def _search_one(self, query: FloatArray, k: int) -> Neighbors:
        """Find as many rows as can be reached; the places after them have id -1."""
        ids, scores = np.full((1, k), -1), np.full((1, k), -np.inf, dtype=np.float32)
        for reached in range(k, 0, -1):
            try:
                found, distances = self._graph.knn_query(query[None], reached, num_threads=1)
            except RuntimeError:
                continue
            ids[:, :reached], scores[:, :reached] = found, 1 - distances
            break
        return Neighbors(ids, scores)

    def nbytes(self) -> int:
        """Bytes of the index as hnswlib writes it."""
        return int(self._graph.index_file_size())

    def save(self, path: Path) -> None:
        """Write the graph to a file; its width stands beside it, as hnswlib does not keep it.

        Raises:
            OSError: The file is not whole, which hnswlib does not notice.
        """
        self._graph.save_index(str(path))
        if (written := path.stat().st_size) != self.nbytes():
            raise OSError(f"{path}: expected {self.nbytes()} bytes, got {written}: is it full?")
        path.with_suffix(".dim").write_text(str(self._graph.dim))

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            UserError: It is cut off, or no index that hnswlib knows.
        """
        dim = int(path.with_suffix(".dim").read_text())
        self._graph = library.Index(space="ip", dim=dim)
        try:
            self._graph.load_index(str(path))
        except RuntimeError as error:
            raise UserError(f"{path}: expected an index that hnswlib can read: {error}") from error

    def distance_computations(self) -> int | None:
        """None: hnswlib counts them only when it is compiled to."""
        return None
