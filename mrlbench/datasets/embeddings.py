"""Anybody's frozen embeddings with labels as a data set, to train heads on."""

import hashlib
from pathlib import Path

import numpy as np

from mrlbench.arrays import WHOLE, AnyFloatArray, FloatArray, IntArray, blocks
from mrlbench.errors import UserError
from mrlbench.protocols import Dataset, Split

ROWS = 4096  # hashed at once


class Vectors:
    """Rows of a memory-mapped array; there is nothing to augment and no image to scale."""

    def __init__(self, vectors: AnyFloatArray) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        """Count the vectors."""
        return len(self._vectors)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> FloatArray:
        """Read vectors by row, (B, D) float32."""
        return np.asarray(self._vectors[rows[part]], dtype=np.float32)


def embeddings(data_dir: Path, path: str) -> Dataset:
    """An embeddings folder with labels: `database.npy` trains, `queries.npy` is asked.

    Use it with the model `adapter`, whose `features` is the width of the vectors.

    Args:
        data_dir: Not used: the folder is the user's own.
        path: The embeddings folder, such as `results/tiny-imagenet/embeddings/fixed-2048/seed-0`.
    """
    folder = Path(path)
    database, queries = (_open(folder / f"{part}.npy") for part in ("database", "queries"))
    if database.shape[1] != queries.shape[1]:
        raise UserError(
            f"{folder}: expected database and queries of the same width, "
            f"got {database.shape[1]} and {queries.shape[1]}"
        )
    labels = [
        _labels(folder / "database_labels.npy", len(database)),
        _labels(folder / "queries_labels.npy", len(queries)),
    ]
    classes = int(max(own.max() for own in labels)) + 1
    train = Split(Vectors(database), labels[0])
    return Dataset(
        train=train,
        database=train,
        queries=Split(Vectors(queries), labels[1]),
        classes=tuple(str(number) for number in range(classes)),
        mean=(0, 0, 0),
        std=(1, 1, 1),
        fingerprint=_fingerprint(database, queries, *labels),
        query_set="queries",
    )


def _open(path: Path) -> AnyFloatArray:
    try:
        vectors: AnyFloatArray = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"dataset embeddings: expected vectors in {path}: {error}") from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise UserError(
            f"{path}: expected floats of shape (rows, width), got {vectors.dtype} of shape "
            f"{vectors.shape}"
        )
    return vectors


def _labels(path: Path, rows: int) -> IntArray:
    try:
        labels = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"dataset embeddings: expected labels to train on in {path}: {error}"
        ) from error
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise UserError(f"{path}: expected labels from 0, integers, got {labels.dtype}")
    if labels.size != rows:
        raise UserError(f"{path}: expected {rows} labels, one for each row, got {labels.shape}")
    flat: IntArray = labels.reshape(-1).astype(np.int64)
    return flat


def _fingerprint(*arrays: AnyFloatArray | IntArray) -> str:
    """Hash the content: gigabytes take seconds, and a training on them minutes."""
    digest = hashlib.sha256()
    for array in arrays:
        for rows in blocks(len(array), ROWS):
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
    return digest.hexdigest()
