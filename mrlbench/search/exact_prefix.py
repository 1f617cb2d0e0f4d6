"""The exact prefix as a first stage: an index that `nested_search` answers."""

from pathlib import Path

import numpy as np

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.search.nested import nested_search


class ExactPrefix:
    """Compare each query with every row; in batch faster than FAISS's flat index at narrow dims."""

    exact = True
    lossy = False
    beam = False

    def __init__(self) -> None:
        self._computed = 0

    def build(self, database: FloatArray) -> None:
        """Keep the rows of `database`, (N, d)."""
        self._rows = database

    def search(self, queries: FloatArray, k: int, effort: int = 0) -> Neighbors:
        """Find the `k` nearest rows exactly; effort is not used."""
        self._computed = len(queries) * len(self._rows)
        dim = self._rows.shape[1]
        return nested_search(self._rows, queries, [dim], k)[dim]

    def nbytes(self) -> int:
        """Bytes of the rows."""
        return self._rows.nbytes

    def save(self, path: Path) -> None:
        """Write the rows to a file."""
        with path.open("wb") as file:
            np.save(file, self._rows)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        self._rows = np.load(path)

    def distance_computations(self) -> int | None:
        """Distances computed in the last search."""
        return self._computed
