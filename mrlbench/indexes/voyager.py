"""A hierarchical navigable small-world graph by voyager."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from voyager import Index, Space, StorageDataType

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.threads import threads_in_use

DTYPES = {"f32": StorageDataType.Float32, "f8": StorageDataType.E4M3}


class voyager:
    """Walk a layered graph (voyager); effort is query_ef.

    Args:
        m: Links per node; memory and recall grow with it.
        ef_construction: Candidates weighed while linking a node.
        dtype: How the graph stores the vectors: f32, or f8 (E4M3, lossy).
        seed: Draws each node's layer.
        build_threads: 0 takes all. With more than one voyager 2.2 loses vertices: of graphs of 520
            vectors, built with two threads, one in four does not find every vector by itself, and
            one in a few hundred loses a third of them.
    """

    exact = False
    lossy = False
    beam = True

    def __init__(
        self,
        m: int = 32,
        ef_construction: int = 40,
        dtype: Literal["f32", "f8"] = "f32",
        seed: int = 0,
        build_threads: int = 1,
    ) -> None:
        self._m, self._ef_construction, self._dtype = m, ef_construction, dtype
        self._seed, self._build_threads = seed, build_threads
        self.lossy = dtype != "f32"
        self._graph: Any = None

    def build(self, database: FloatArray) -> None:
        """Link the rows of `database`, (N, d)."""
        rows, dim = database.shape
        self._graph = Index(
            Space.InnerProduct,
            dim,
            M=self._m,
            ef_construction=self._ef_construction,
            random_seed=self._seed,
            max_elements=rows,
            storage_data_type=DTYPES[self._dtype],
        )
        threads = self._build_threads or threads_in_use()
        self._graph.add_items(database, num_threads=threads)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        ids, distances = self._graph.query(
            queries, k, num_threads=threads_in_use(), query_ef=max(effort, k)
        )
        return Neighbors(ids.astype(np.int64), 1 - distances)

    def nbytes(self) -> int:
        """Bytes of the index as voyager serialises it."""
        return len(self._graph.as_bytes())

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        self._graph.save(str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        self._graph = Index.load(str(path))

    def distance_computations(self) -> int | None:
        """None: voyager does not count them."""
        return None
