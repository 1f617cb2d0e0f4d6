"""A hierarchical navigable small-world graph by usearch."""

from pathlib import Path
from typing import Any

import numpy as np
from usearch.index import Index

from mrlbench.arrays import FloatArray, IntArray, Neighbors
from mrlbench.errors import UserError
from mrlbench.threads import threads_in_use

ALONE = 1000  # rows that one thread adds before all do


class usearch:
    """Walk a layered graph (usearch); effort is expansion_search, its efSearch.

    Args:
        m: Links per node (usearch: connectivity); memory and recall grow with it.
        ef_construction: Candidates weighed while linking a node (expansion_add).
        dtype: How the graph stores the vectors: f32, f16, bf16 or i8.
        build_threads: 0 takes all; with more than one the graph differs between builds.
    """

    exact = False
    _graph: Any  # its type hints call a property read-only that is not
    lossy = False
    beam = True

    def __init__(
        self,
        m: int = 32,
        ef_construction: int = 40,
        dtype: str = "f32",
        build_threads: int = 0,
    ) -> None:
        self._m, self._ef_construction = m, ef_construction
        self._dtype, self._build_threads = dtype, build_threads
        self.lossy = dtype == "i8"
        self._computed: int | None = None

    def build(self, database: FloatArray) -> None:
        """Link the rows of `database`, (N, d)."""
        rows, dim = database.shape
        self._graph = Index(
            ndim=dim,
            metric="ip",
            dtype=self._dtype,
            connectivity=self._m,
            expansion_add=self._ef_construction,
        )
        threads = self._build_threads or threads_in_use()
        keys = np.arange(rows, dtype=np.uint64)
        # rows added at once do not see each other: of the first, some would stay without links
        self._graph.add(keys[:ALONE], database[:ALONE], threads=1)
        if rows > ALONE:
            self._graph.add(keys[ALONE:], database[ALONE:], threads=threads)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows with a beam of max(effort, k)."""
        self._graph.expansion_search = max(effort, k)
        found: Any = self._graph.search(queries, k, threads=threads_in_use())
        self._computed = int(found.computed_distances)
        # one query alone comes without its axis, and without the places that are left empty
        keys, distances = (np.atleast_2d(each) for each in (found.keys, found.distances))
        counts: Any = getattr(found, "counts", keys.shape[1])
        there = np.arange(keys.shape[1]) < np.reshape(counts, (-1, 1))
        ids: IntArray = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids[:, : keys.shape[1]][there] = keys[there]
        scores[:, : keys.shape[1]][there] = 1 - distances[there]
        return Neighbors(ids, scores)

    def nbytes(self) -> int:
        """Bytes of the index as usearch serialises it."""
        return int(self._graph.serialized_length)

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        self._graph.save(str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        graph = Index.restore(str(path))
        if graph is None:
            raise UserError(f"{path}: expected an index that usearch wrote")
        self._graph = graph

    def distance_computations(self) -> int | None:
        """Distances computed in the last search."""
        return self._computed
