"""Rows stored in fewer bits per coordinate by FAISS, all of them scanned."""

from typing import Any, Literal

import faiss as library  # its type hints leave out the index classes

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.faiss_index import FaissIndex, quantizer

faiss: Any = library


class scalar_quantizer(FaissIndex):
    """Scan rows of 4 to 16 bits per coordinate (FAISS IndexScalarQuantizer); effort is not used.

    Args:
        code: int8, int6, int4 (ranges learnt per coordinate) or float16.
    """

    lossy = True

    def __init__(self, code: Literal["int8", "int6", "int4", "float16"] = "int8") -> None:
        self._code = code

    def build(self, database: FloatArray) -> None:
        """Learn the ranges of the rows of `database`, (N, d), and store their codes."""
        dim, inner = database.shape[1], faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexScalarQuantizer(dim, quantizer(self._code), inner)
        self._index.train(database)
        self._index.add(database)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` rows whose codes are nearest."""
        self._computed = len(queries) * self._index.ntotal
        return self._search(queries, k)
