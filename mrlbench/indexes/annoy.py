"""A forest of random splits by annoy."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from annoy import AnnoyIndex

from mrlbench.arrays import FloatArray, IntArray, Neighbors
from mrlbench.threads import threads_in_use


class annoy:
    """Look through random trees (annoy); effort is search_k for each tree.

    annoy takes one query at a time: a batch is spread over the threads.

    Args:
        trees: More of them find more, and take memory.
        seed: Of the random splits.
    """

    exact = False
    lossy = False
    beam = True

    def __init__(self, trees: int = 50, seed: int = 0) -> None:
        self._trees, self._seed = trees, seed

    def build(self, database: FloatArray) -> None:
        """Split the rows of `database`, (N, d)."""
        self._forest = AnnoyIndex(database.shape[1], "angular")
        self._forest.set_seed(self._seed)
        for row, vector in enumerate(database):
            self._forest.add_item(row, vector)
        self._forest.build(self._trees, n_jobs=threads_in_use())

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows among max(effort, k) candidates of each tree."""
        most = max(effort, k) * self._forest.get_n_trees()
        ids: IntArray = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)

        def ask(row: int) -> None:
            found, distances = self._forest.get_nns_by_vector(queries[row], k, most, True)
            ids[row, : len(found)] = found
            # annoy's angular distance is that between unit vectors, √(2 - 2·cos)
            scores[row, : len(found)] = 1 - np.square(np.array(distances)) / 2

        with ThreadPoolExecutor(threads_in_use()) as threads:
            list(threads.map(ask, range(len(queries))))
        return Neighbors(ids, scores)

    def nbytes(self) -> int:
        """Bytes of the forest's file, which annoy gives only by writing it."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "forest"
            self.save(path)
            return path.stat().st_size

    def save(self, path: Path) -> None:
        """Write the forest to a file; its width stands beside it, as annoy does not keep it."""
        self._forest.save(str(path))
        path.with_suffix(".dim").write_text(str(self._forest.f))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        self._forest = AnnoyIndex(int(path.with_suffix(".dim").read_text()), "angular")
        self._forest.load(str(path))

    def distance_computations(self) -> int | None:
        """None: annoy does not count them."""
        return None
