"""A source of vectors to measure: one method and seed of a run, or anybody's folder."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, Neighbors, blocks
from mrlbench.embedding.folder import Embeddings
from mrlbench.files import replacing
from mrlbench.measurements import Row
from mrlbench.plugins import load
from mrlbench.runs import Output
from mrlbench.search import nested_search

REDUCER_BLOCK = 8192  # rows


@dataclass(frozen=True)
class Source:
    """Vectors with what their rows in the CSV have in common.

    Attributes:
        output: Where rows and raw results go.
        embeddings: The vectors.
        dims: The dims that may be measured, increasing.
        names: Cells that every row has: run, dataset, queries, method, seed.
        baselines: Reducers to measure besides the prefix.
        device: Where exact search computes; None is the CPU.
    """

    output: Output
    embeddings: Embeddings
    dims: tuple[int, ...]
    names: Mapping[str, Any]
    baselines: tuple[str, ...] = ()
    device: str | None = None
    label: str = ""

    def row(self, **cells: Any) -> Row:  # noqa: ANN401 (cells of several types)
        """Make a row; rows of this source have its names and the size of the database."""
        common = {"n_database": len(self.embeddings.database), "dtype": "float32"}
        return Row(**{**common, **self.names, **cells})

    @property
    def at_full_width(self) -> bool:
        """Whether the whole vector was trained: not so for a fixed model narrower than D."""
        return self.dims[-1] == self.embeddings.width

    def save_raw(self, kind: str, arrays: Mapping[str, np.ndarray], inputs: Any = None) -> None:  # noqa: ANN401
        """Keep arrays under `raw/`, with what they depend on."""
        with replacing(self._raw(kind)) as beside, beside.open("wb") as file:
            content: dict[str, Any] = {"inputs": np.array(json.dumps(inputs)), **arrays}
            np.savez(file, **content)

    def neighbors(
        self, dims: Sequence[int], k: int, reducer: str = "prefix", keep_as: str = ""
    ) -> dict[int, Neighbors]:
        """Find the exact `k` nearest at each dim, or read them if an earlier search kept as many.

        Args:
            dims: Increasing.
            k: Neighbours.
            reducer: How D became d.
            keep_as: Names the file under `raw/`, else the reducer does.

        Returns:
            For each dim, (Q, k).
        """
        kind = f"neighbors-{keep_as or reducer}"
        path, inputs = self._raw(kind), self.embeddings.fingerprint
        kept = _read_neighbors(path, inputs, dims, k)
        if kept is None:
            with reduced(self.embeddings, reducer, self.output.raw) as (database, queries):
                kept = nested_search(database, queries, dims, k, device=self.device)
            arrays: dict[str, Any] = {f"ids@{dim}": each.ids for dim, each in kept.items()}
            arrays |= {f"scores@{dim}": each.scores for dim, each in kept.items()}
            self.save_raw(kind, arrays, inputs)
        return {dim: each.first(k) for dim, each in kept.items()}

    def _raw(self, kind: str) -> Path:
        return self.output.raw / f"{kind}-{self.label}.npz"


@contextmanager
def reduced(
    embeddings: Embeddings, reducer: str, scratch: Path
) -> Iterator[tuple[AnyFloatArray, AnyFloatArray]]:
    """Give database and queries through a reducer, so that their prefixes are the reductions.

    The transformed database is a temporary file under `scratch`, written and read in blocks.
    """
    if reducer == "prefix":
        yield embeddings.database, embeddings.queries
        return
    plugin = load("reducers", reducer)()
    plugin.fit(embeddings.database)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        database: FloatArray = np.lib.format.open_memmap(
            Path(folder) / "database.npy", "w+", np.float32, embeddings.database.shape
        )
        for rows in blocks(len(database), REDUCER_BLOCK):
            database[rows] = plugin.transform(embeddings.database[rows])
        yield database, plugin.transform(embeddings.queries)


def _read_neighbors(
    path: Path,
    inputs: list[Any],
    dims: Sequence[int],
    k: int,
) -> dict[int, Neighbors] | None:
    """Read kept neighbours if they are of these inputs and there are enough."""
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        if json.loads(str(arrays["inputs"])) != inputs:
            return None
        names = [f"ids@{dim}" for dim in dims]
        if not all(name in arrays for name in names) or arrays[names[0]].shape[1] < k:
            return None
        return {dim: Neighbors(arrays[f"ids@{dim}"], arrays[f"scores@{dim}"]) for dim in dims}
