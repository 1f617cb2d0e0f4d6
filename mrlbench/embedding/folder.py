"""The embeddings folder: how anybody's vectors come in, checked before any work."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, blocks
from mrlbench.embedding.relevance import Labels, Qrels, Relevance
from mrlbench.errors import UserError

BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Embeddings:
    """Vectors on disk, memory-mapped; open with `open_embeddings`.

    Attributes:
        folder: Where the files are.
        database: (N, D) float16, float32 or float64.
        queries: (Q, D) likewise.
        relevance: What is relevant to what; None when the folder does not say.
        meta: What `meta.json` says, else empty.
    """

    folder: Path
    database: AnyFloatArray
    queries: AnyFloatArray
    relevance: Relevance | None
    meta: dict[str, Any]

    @property
    def width(self) -> int:
        """D."""
        return int(self.database.shape[1])

    @cached_property
    def fingerprint(self) -> list[Any]:
        """Tell these vectors from others: by how they were made, or by size and time."""
        if "inputs" in self.meta:
            return [self.meta["inputs"], *self.database.shape, len(self.queries)]
        stats = [(self.folder / f"{name}.npy").stat() for name in ("database", "queries")]
        return [[each.st_size, each.st_mtime_ns] for each in stats]


def open_embeddings(folder: Path, check_values: bool = True) -> Embeddings:
    """Open an embeddings folder and check that its files fit together.

    Args:
        folder: `database.npy`, `queries.npy` and what may stand beside them.
        check_values: Read every row once, and refuse NaN, infinite and all-zero ones.

    Raises:
        UserError: One line: the file, the row, what was expected and what came.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of embeddings, got nothing at {folder}")
    database, queries = (_open(folder / f"{name}.npy") for name in ("database", "queries"))
    if database.shape[1] != queries.shape[1]:
        raise UserError(
            f"{folder}: expected database and queries of the same width, "
            f"got {database.shape[1]} and {queries.shape[1]}"
        )
    if check_values:
        _check_rows(folder / "database.npy", database)
        _check_rows(folder / "queries.npy", queries)
    relevance = _open_relevance(folder, len(database), len(queries))
    return Embeddings(folder, database, queries, relevance, _open_meta(folder))


def open_logits(folder: Path) -> tuple[dict[int, FloatArray], IntArray]:
    """Read `logits.npz`: (Q, C) for each dim, narrowest first, and labels (Q,).

    Raises:
        UserError: Not there, or not of that form.
    """
    path = folder / "logits.npz"
    if not path.is_file():
        raise UserError(f"expected logits in {path}, got no such file")
    try:
        with np.load(path) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError) as error:
        raise UserError(f"expected an npz file in {path}: {error}") from error
    labels = content.pop("labels", None)
    if labels is None or not content or not all(name.isdigit() for name in content):
        raise UserError(f"{path}: expected arrays named by dim, and labels, got {sorted(content)}")
    for name, logits in content.items():
        if logits.ndim != 2 or len(logits) != len(labels):
            raise UserError(
                f"{path}: expected ({len(labels)}, C) logits at dim {name}, got {logits.shape}"
            )
    ordered = {int(name): content[name].astype(np.float32) for name in sorted(content, key=int)}
    return ordered, _integers(path, labels)


def _open(path: Path) -> AnyFloatArray:
    """Memory-map one file of vectors."""
    if not path.is_file():
        raise UserError(f"expected vectors in {path}, got no such file")
    try:
        vectors: NDArray[Any] = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"expected a .npy file in {path}: {error}") from error
    if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32, np.float64):
        raise UserError(
            f"{path}: expected float16, float32 or float64 of shape (rows, width), "
            f"got {vectors.dtype} of shape {vectors.shape}"
        )
    if 0 in vectors.shape:
        raise UserError(f"{path}: expected at least one row and one column, got {vectors.shape}")
    return vectors


def _check_rows(path: Path, vectors: AnyFloatArray) -> None:
    """Refuse rows that have no direction, by number."""
    size = max(1, BLOCK_BYTES // (vectors.shape[1] * vectors.itemsize))
    for rows in blocks(len(vectors), size):
        # the largest magnitude says it all: NaN and infinity spread to it, and it is 0 for zeros
        largest = np.abs(vectors[rows]).max(axis=1)  # (B,)
        for wrong, what in ((np.isnan(largest), "NaN"), (np.isinf(largest), "an infinite value")):
            if wrong.any():
                _refuse(path, rows.start + int(wrong.argmax()), what)
        if (largest == 0).any():
            _refuse(path, rows.start + int((largest == 0).argmax()), "only zeros")


def _refuse(path: Path, row: int, what: str) -> None:
    raise UserError(f"{path}: expected finite vectors that are not zero, got {what} in row {row}")


def _open_relevance(folder: Path, n_database: int, n_queries: int) -> Relevance | None:
    names = ("database_labels", "queries_labels")
    present = [(folder / f"{name}.npy").is_file() for name in names]
    if all(present):
        sizes = (n_database, n_queries)
        pair = [_labels(folder / f"{n}.npy", s) for n, s in zip(names, sizes, strict=True)]
        return Labels(*pair)
    if any(present):
        missing = names[present.index(False)]
        raise UserError(f"expected labels in {folder / missing}.npy too, got only the other file")
    if (folder / "qrels.tsv").is_file():
        return Qrels.read(folder, n_database, n_queries)
    return None


def _labels(path: Path, count: int) -> IntArray:
    try:
        labels: NDArray[Any] = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"expected a .npy file in {path}: {error}") from error
    if labels.shape not in ((count,), (count, 1)):
        raise UserError(f"{path}: expected {count} labels, got shape {labels.shape}")
    return _integers(path, labels.reshape(-1))


def _integers(path: Path, labels: NDArray[Any]) -> IntArray:
    """Accept integers only: float16 cannot tell classes above 2048 apart (PAPER: ImageNet-4K)."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path}: expected integer labels, got {labels.dtype} (float16 collapses classes above "
            "2048): write them as int64"
        )
    return labels.astype(np.int64)


def _open_meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    try:
        meta: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"expected JSON in {path}: {error}") from error
    return meta
