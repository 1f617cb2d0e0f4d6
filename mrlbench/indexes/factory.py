"""Any index that FAISS's factory can make from a string."""

import re
from typing import Any

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.errors import UserError
from mrlbench.faiss_index import FaissIndex

faiss: Any = library
GRAPH = re.compile(r"(^|,)(HNSW|NSG)")  # not the graph that finds the cells of an inverted file
WHOLE = re.compile(r"(HNSW\d*|NSG\d*|Flat|IDMap)(,Flat)?|IVF\d+(_HNSW\d+)?,Flat")


class factory(FaissIndex):
    """Make an index by FAISS's factory string; effort is efSearch of a graph, nprobe of cells.

    Args:
        description: Such as `HNSW32`, `IVF1024,Flat`, `OPQ16_64,IVF256,PQ16x4fs,RFlat`.
    """

    def __init__(self, description: str = "HNSW32") -> None:
        self._description = description
        self.beam = GRAPH.search(description) is not None
        self.lossy = WHOLE.fullmatch(description) is None

    def build(self, database: FloatArray) -> None:
        """Make the index and train it on the rows of `database`, (N, d).

        Raises:
            UserError: FAISS does not know the description, or it does not fit the rows.
        """
        inner = faiss.METRIC_INNER_PRODUCT
        try:
            self._index = faiss.index_factory(database.shape[1], self._description, inner)
            self._index.train(database)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"index factory: {self._description!r}: {reason}") from error
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find about the `k` nearest rows."""
        dials = faiss.ParameterSpace()
        least = k if self.beam else 1
        for dial in ("efSearch", "nprobe"):
            try:
                dials.set_index_parameter(self._index, dial, max(effort, least))
            except RuntimeError:  # the index has no such dial
                continue
        return self._search(queries, k)
