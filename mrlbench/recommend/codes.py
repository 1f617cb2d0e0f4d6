"""How vectors look to a search: reduced, stored in fewer bits, and read in blocks."""

from typing import Any

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, blocks, prefix
from mrlbench.evaluation.arena.codes import Codec
from mrlbench.protocols import Reducer

TRAINING_ROWS = 50_000  # that the ranges of int8 codes are learnt from
BLOCK = 4096  # rows that are coded at once
CODE = 127  # the largest of an int8 store


class Coded:
    """Unit vectors, (N, D), after a reducer, as what their codes stand for; coded when read.

    Codes are made coordinate by coordinate of the whole unit vector, so that the codes of a prefix
    are the first of them.

    Args:
        vectors: (N, D), any float type, may be memory-mapped.
        reducer: Fitted on the database.
        codec: How they are stored, of dim D; None keeps floats.
    """

    def __init__(self, vectors: AnyFloatArray, reducer: Reducer, codec: Codec | None) -> None:
        self._vectors, self._reducer, self._codec = vectors, reducer, codec
        self.shape = vectors.shape

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._vectors)

    def __getitem__(self, rows: slice) -> AnyFloatArray:
        """Read, reduce and code some rows, (B, D)."""
        unit = _unit(self._reducer.transform(self._vectors[rows]))
        return self._codec.rounded(unit) if self._codec else unit

    def cut(self, dim: int) -> FloatArray:
        """Read all rows cut to `dim` and normalised, (N, d)."""
        rows = np.empty((len(self), dim), dtype=np.float32)
        for block in blocks(len(self), BLOCK):
            rows[block] = prefix(self[block], dim)
        return rows


def training_rows(vectors: AnyFloatArray, reducer: Reducer, seed: int) -> FloatArray:
    """Draw unit vectors for a codec, after the reducer, (n, D)."""
    rows: IntArray = np.arange(len(vectors))
    if len(rows) > TRAINING_ROWS:
        drawn = np.random.default_rng(seed).choice(len(rows), TRAINING_ROWS, replace=False)
        rows = np.sort(drawn)
    return _unit(reducer.transform(vectors[rows]))


def stored(block: AnyFloatArray, dtype: str) -> Any:  # noqa: ANN401 (int8 codes or floats)
    """Store rows for a rerank, (B, D): their cosines need no scale, so each row has its own."""
    unit = _unit(block)
    if dtype == "int8":
        largest = np.abs(unit).max(axis=1, keepdims=True)
        return np.rint(unit * (CODE / np.where(largest > 0, largest, 1))).astype(np.int8)
    return unit.astype(dtype)


def _unit(vectors: AnyFloatArray) -> FloatArray:
    return prefix(vectors, vectors.shape[1])
