"""A database in several files, read as one: the `.npy` shards of a folder, in name order."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

from mrlbench.arrays import AnyFloatArray
from mrlbench.errors import UserError


class Shards:
    """Vectors in several arrays, (n, D) each, that are read in blocks of rows as one (N, D).

    Args:
        parts: In order, of the same width and type; some may be empty.
    """

    def __init__(self, parts: Sequence[AnyFloatArray]) -> None:
        self._parts = parts
        self._edges = [0, *np.cumsum([len(part) for part in parts]).tolist()]
        self.shape = (self._edges[-1], parts[0].shape[1])
        self.dtype = parts[0].dtype

    def __len__(self) -> int:
        """Count the rows."""
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> AnyFloatArray:
        """Read some rows, (B, D).

        Raises:
            UserError: Something else than a slice of consecutive rows.
        """
        if not isinstance(rows, slice):
            self._refuse()
        start, stop, _ = rows.indices(len(self))
        found = [
            part[max(start, low) - low : stop - low]
            for part, (low, high) in zip(self._parts, pairwise(self._edges), strict=True)
            if low < stop and start < high
        ]
        return found[0] if len(found) == 1 else np.concatenate(found or [self._parts[0][:0]])

    def __array__(self, *_: Any, **__: Any) -> AnyFloatArray:  # noqa: ANN401
        """Refuse to become one array: a database in shards need not fit in memory."""
        self._refuse()

    def with_first_rows(self) -> Iterator[tuple[int, AnyFloatArray]]:
        """Give each shard with the number of its first row."""
        return zip(self._edges[:-1], self._parts, strict=True)

    def _refuse(self) -> NoReturn:
        raise UserError(
            "expected a database in one file, database.npy, got a folder of shards, which only "
            "eval-retrieval and eval-knn read"
        )
