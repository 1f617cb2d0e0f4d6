"""A file of vectors that several processes write, each its own rows, and go on with later."""

import json
import os
from pathlib import Path

import numpy as np

from mrlbench import ranks
from mrlbench.arrays import FloatArray
from mrlbench.files import write_json

BLOCKS_BETWEEN_STATES = 64  # what an interruption loses, at most


class RowsFile:
    """A `.npy` of float32 that is called `.partial` until it is whole.

    Rows are written, not mapped: machines that share a file system may otherwise overwrite each
    other's part of a page.

    Args:
        path: The file.
        shape: Of all rows, (N, D).
        inputs: What the vectors depend on, hashed.
    """

    def __init__(self, path: Path, shape: tuple[int, int], inputs: str) -> None:
        self._path, self._shape, self._inputs = path, shape, inputs
        self._partial = path.with_suffix(".partial")
        own = f".{ranks.rank()}-of-{ranks.count()}" if ranks.count() > 1 else ""
        self._state = path.with_suffix(f"{own}.json")
        self._done = self._blocks = 0

    def is_whole(self) -> bool:
        """Tell whether an earlier call wrote all for the same inputs."""
        rows = self._rows(self._path.with_suffix(".json"))
        # beside a part, what stands there is older: that of an earlier model, perhaps
        whole = self._path.exists() and not self._partial.exists()
        return ranks.same(rows == self._shape[0] and whole)

    def begin(self, first: int) -> int:
        """Make the file, if it is not there to be gone on with.

        Args:
            first: The first row of this process.

        Returns:
            How many rows from there on as many processes wrote in an interrupted call.
        """
        if ranks.is_first() and not (self._partial.exists() and self._rows(self._state)):
            for stale in self._path.parent.glob(f"{self._path.stem}.*json"):
                stale.unlink()
            np.lib.format.open_memmap(self._partial, mode="w+", dtype=np.float32, shape=self._shape)
        ranks.wait()
        self._done = self._rows(self._state)
        header = np.lib.format.open_memmap(self._partial, mode="r").offset
        self._end = header + (first + self._done) * self._shape[1] * 4
        return self._done

    def append(self, block: FloatArray) -> None:
        """Write the next rows, (B, D)."""
        with self._partial.open("r+b") as file:
            file.seek(self._end)
            file.write(np.ascontiguousarray(block, dtype=np.float32).data)
            self._end = file.tell()
        self._done, self._blocks = self._done + len(block), self._blocks + 1
        if self._blocks % BLOCKS_BETWEEN_STATES == 0:
            self._keep()

    def finish(self) -> None:
        """Wait for the other processes, and move the file into place."""
        self._keep()
        ranks.wait()
        if ranks.is_first():
            self._partial.replace(self._path)
            for state in self._path.parent.glob(f"{self._path.stem}.*json"):
                state.unlink()
            whole = {"inputs": self._inputs, "rows": self._shape[0]}
            write_json(self._path.with_suffix(".json"), whole)  # until meta.json says so

    def _keep(self) -> None:
        with self._partial.open("r+b") as file:
            os.fsync(file.fileno())  # of what was written before too
        write_json(self._state, {"inputs": self._inputs, "rows": self._done})

    def _rows(self, state: Path) -> int:
        """Count the rows that an interrupted call has written for the same inputs."""
        content = json.loads(state.read_text()) if state.is_file() else {}
        return int(content["rows"]) if content.get("inputs") == self._inputs else 0
