"""What the FAISS index plug-ins share: search, size, save and load."""

from pathlib import Path
from typing import Any

import faiss as library  # its type hints leave out what is made when it is loaded
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors
from mrlbench.errors import UserError

faiss: Any = library
QUANTIZERS = {  # of ScalarQuantizer
    "float16": "QT_fp16",
    "int8": "QT_8bit",
    "int6": "QT_6bit",
    "int4": "QT_4bit",
}
OWN_THRESHOLD = faiss.cvar.distance_compute_blas_threshold
ROWS_PER_CELL = 39  # with fewer, FAISS calls a clustering badly trained


def cells_for(rows: int) -> int:
    """Choose how many cells to cluster rows into: 4·√N, as far as they can be trained."""
    return max(1, min(int(4 * rows**0.5), rows // ROWS_PER_CELL))


def quantizer(code: str) -> int:
    """Name a scalar quantizer as FAISS does; see `QUANTIZERS`."""
    return int(getattr(faiss.ScalarQuantizer, QUANTIZERS[code]))


class FaissIndex:
    """A FAISS index over unit vectors by inner product; a plug-in adds `build` and `search`."""

    exact = False
    lossy = False
    beam = False
    _index: Any
    _computed: int | None = None

    def _search(self, queries: FloatArray, k: int, parameters: Any = None) -> Neighbors:  # noqa: ANN401
        # FAISS 1.15 multiplies matrices where Q·d reaches 128,000. Below that it takes row by row,
        # which for 500 queries of 128 dims took 7 times as long.
        faiss.cvar.distance_compute_blas_threshold = 0 if len(queries) > 1 else OWN_THRESHOLD
        scores, ids = self._index.search(queries, k, params=parameters)  # FAISS pads with id -1
        found: IntArray = ids.astype(np.int64, copy=False)
        return Neighbors(found, scores)

    def nbytes(self) -> int:
        """Bytes of the index as FAISS serialises it."""
        sizes: list[int] = []
        writer = faiss.PyCallbackIOWriter(lambda part: sizes.append(len(part)))
        faiss.write_index(self._index, writer)
        del writer  # writes what it still holds
        return sum(sizes)

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            UserError: It is cut off, or no index that this FAISS knows.
        """
        try:
            self._index = faiss.read_index(str(path))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"{path}: expected an index that FAISS {faiss.__version__} can read: {reason}"
            ) from error

    def distance_computations(self) -> int | None:
        """Distances computed in the last search."""
        return self._computed
