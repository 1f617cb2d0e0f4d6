"""A source of vectors to measure: one method and seed of a run, or anybody's folder."""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrlbench import ranks
from mrlbench.arrays import AnyFloatArray, IntArray, Neighbors
from mrlbench.embedding.folder import Embeddings
from mrlbench.files import replacing
from mrlbench.measurements import Row
from mrlbench.plugins import load
from mrlbench.protocols import Reducer
from mrlbench.runs import Output
from mrlbench.search.shards import search_together


@dataclass(frozen=True)
class Origin:
    """The trained model that made the vectors, where this program trained it.

    Attributes:
        image_multiply_adds: Counts those of one image through the backbone.
        write_mirrored_logits: Writes `logits_tta.npz` beside `logits.npz`, unless it is there.
    """

    image_multiply_adds: Callable[[], int]
    write_mirrored_logits: Callable[[], None]


@dataclass(frozen=True)
class Source:
    """Vectors with what their rows in the CSV have in common.

    Attributes:
        output: Where rows and raw results go.
        embeddings: The vectors.
        dims: The dims to measure, increasing.
        names: Cells that every row has: run, dataset, queries, method, seed.
        label: Names the raw files.
        full_width: Whether the whole vector was trained: not so for a fixed model narrower than D.
        baselines: Reducers to measure besides the prefix.
        device: Where exact search computes; None is the CPU.
        origin: The model behind the vectors; None for anybody's.
    """

    output: Output
    embeddings: Embeddings
    dims: tuple[int, ...]
    names: Mapping[str, Any]
    label: str
    full_width: bool = True
    baselines: tuple[str, ...] = ()
    device: str | None = None
    origin: Origin | None = None

    @property
    def has_heads(self) -> bool:
        """Whether the classes of the queries are those that the heads were trained on."""
        return bool(self.embeddings.meta.get("heads", True))

    def writing_to(self, output: Output) -> "Source":
        """Give the same vectors with results that go elsewhere."""
        return replace(self, output=output, names={**self.names, "run": output.name})

    def row(self, **cells: Any) -> Row:  # noqa: ANN401 (cells of several types)
        """Make a row; rows of this source have its names and the size of the database."""
        database = self.embeddings.database
        common = {"n_database": len(database), "dtype": str(database.dtype)}
        return Row(**{**common, **self.names, **cells})

    def save_raw(self, kind: str, arrays: Mapping[str, AnyFloatArray]) -> None:
        """Keep per-query scores under `raw/`, beside those kept earlier of the same vectors."""
        path = self._raw(kind)
        earlier = _read(path, self.embeddings.fingerprint) or {}
        _write(path, self.embeddings.fingerprint, {**earlier, **arrays})

    def neighbors(
        self, dims: Sequence[int], k: int, reducer: str = "prefix"
    ) -> dict[int, Neighbors]:
        """Find the exact `k` nearest at each dim, or read them where an earlier search kept them.

        Args:
            dims: Increasing.
            k: Neighbours.
            reducer: How D became d.

        Returns:
            For each dim, (Q, k).
        """
        kept = {dim: ranks.same(self._kept(reducer, dim, k)) for dim in dims}
        found = {dim: each for dim, each in kept.items() if each is not None}
        missing = [dim for dim in dims if dim not in found]
        if missing:
            database, queries = reduce(self.embeddings, reducer)
            found |= search_together(database, queries, missing, k, self.device)
        for dim in missing:
            arrays = {"ids": found[dim].ids, "scores": found[dim].scores}
            _write(self._raw(f"neighbors-{reducer}-{dim}"), self.embeddings.fingerprint, arrays)
        return {dim: found[dim].first(k) for dim in dims}

    def _kept(self, reducer: str, dim: int, k: int) -> Neighbors | None:
        arrays = _read(self._raw(f"neighbors-{reducer}-{dim}"), self.embeddings.fingerprint)
        if arrays is None or arrays["ids"].shape[1] < k:
            return None
        return Neighbors(arrays["ids"], arrays["scores"])

    def _raw(self, kind: str) -> Path:
        return self.output.raw / f"{kind}-{self.label}.npz"


class Reduced:
    """Vectors seen through a reducer: rows are transformed when they are read.

    A reader in blocks, such as the exact search, needs no transformed copy of the database.
    """

    def __init__(self, vectors: AnyFloatArray, reducer: Reducer) -> None:
        self._vectors, self._reducer = vectors, reducer
        self.shape = vectors.shape

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._vectors)

    def __getitem__(self, rows: slice | IntArray) -> AnyFloatArray:
        """Read and transform some rows, (B, D)."""
        return self._reducer.transform(self._vectors[rows])


def reduce(
    embeddings: Embeddings, reducer: str
) -> tuple[AnyFloatArray | Reduced, AnyFloatArray | Reduced]:
    """Give database and queries through a reducer, so that their prefixes are the reductions."""
    plugin: Reducer = load("reducers", reducer)()
    plugin.fit(embeddings.database)
    return Reduced(embeddings.database, plugin), Reduced(embeddings.queries, plugin)


def _read(path: Path, fingerprint: object) -> dict[str, Any] | None:
    """Read kept arrays if they are of these vectors."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (zipfile.BadZipFile, ValueError, OSError):  # cut off: it is made anew
        return None
    same = str(content.pop("fingerprint", "")) == json.dumps(fingerprint)
    return content if same else None


def _write(path: Path, fingerprint: object, arrays: Mapping[str, Any]) -> None:
    if not ranks.is_first():
        return
    content: dict[str, Any] = {"fingerprint": np.array(json.dumps(fingerprint)), **arrays}
    with replacing(path) as beside, beside.open("wb") as file:
        np.savez(file, **content)
