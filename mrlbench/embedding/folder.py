"""The embeddings folder: how anybody's vectors come in, checked before any work."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray, IntArray, blocks
from mrlbench.embedding.labels import integers
from mrlbench.embedding.logits import open_logits_file
from mrlbench.embedding.relevance import Labels, Qrels, Relevance
from mrlbench.embedding.shards import Shards
from mrlbench.errors import UserError

BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Embeddings:
    """Vectors on disk, memory-mapped; open with `open_embeddings`.

    Attributes:
        folder: Where the files are.
        database: (N, D) float16, float32 or float64; in shards it is read in blocks only.
        queries: (Q, D) likewise.
        relevance: What is relevant to what; None when the folder does not say.
        meta: What `meta.json` says, else empty.
        made_from: What the vectors depend on, hashed, where this program made them.
    """

    folder: Path
    database: AnyFloatArray
    queries: AnyFloatArray
    relevance: Relevance | None
    meta: dict[str, Any]
    made_from: str = ""

    @property
    def width(self) -> int:
        """D."""
        return int(self.database.shape[1])

    @cached_property
    def fingerprint(self) -> list[Any]:
        """Tell this folder's content from another: by how it was made, or by sizes and times."""
        if self.made_from:
            return [self.made_from, *self.database.shape, len(self.queries)]
        shards = (self.folder / "database").glob("*.npy")
        files = sorted(path for path in (*self.folder.iterdir(), *shards) if path.is_file())
        stats = [(str(path.relative_to(self.folder)), path.stat()) for path in files]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def open_embeddings(folder: Path, made_from: str = "") -> Embeddings:
    """Open an embeddings folder and check that its files fit together.

    Args:
        folder: `database.npy`, or a folder `database` of shards, `queries.npy` and what may stand
            beside them.
        made_from: Says that this program made the vectors, and from what. Others are read once,
            and NaN, infinite and all-zero rows are refused.

    Raises:
        UserError: One line: the file, the row, what was expected and what came.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of embeddings, got nothing at {folder}")
    database, queries = open_database(folder), open_vectors(folder / "queries.npy")
    _check_widths(folder, database, queries)
    if not made_from:
        for path, part in _database_files(folder).items():
            check_rows(path, part)
        check_rows(folder / "queries.npy", queries)
    relevance = _open_relevance(folder, len(database), len(queries))
    return Embeddings(folder, database, queries, relevance, _open_meta(folder), made_from)


def open_pair(database: Path, queries: Path) -> Embeddings:
    """Open two files of vectors that stand anywhere, without labels.

    Raises:
        UserError: One line: the file, the row, what was expected and what came.
    """
    rows, asked = open_vectors(database), open_vectors(queries)
    _check_widths(f"{database}, {queries}", rows, asked)
    check_rows(database, rows)
    check_rows(queries, asked)
    return Embeddings(database.parent, rows, asked, None, {})


def _check_widths(where: object, database: AnyFloatArray, queries: AnyFloatArray) -> None:
    if database.shape[1] != queries.shape[1]:
        raise UserError(
            f"{where}: expected database and queries of the same width, "
            f"got {database.shape[1]} and {queries.shape[1]}"
        )


def has_logits(folder: Path) -> bool:
    """Tell whether the folder holds the logits of a trained head."""
    return (folder / "logits.npz").is_file()


def open_query_vectors(folder: Path) -> AnyFloatArray:
    """Memory-map the queries of a folder that has no database of its own."""
    return open_vectors(folder / "queries.npy")


def open_logits_only(folder: Path) -> Embeddings:
    """Open a folder that holds `logits.npz` and no vectors: enough to measure classification."""
    none = np.empty((0, max(open_logits_file(folder).dims)), dtype=np.float32)
    return Embeddings(folder, none, none, None, _open_meta(folder))


def open_database(folder: Path) -> AnyFloatArray:
    """Memory-map the database of a folder, `database.npy` or the shards in `database/`.

    Returns:
        (N, D); of shards, something that reads like an array in blocks of rows and refuses to
        become one: what only knows arrays then says so.

    Raises:
        UserError: Neither is there, or shards that differ in width or type, or hold no row.
    """
    files = _database_files(folder)
    if (folder / "database.npy") in files:
        return files[folder / "database.npy"]
    kinds = {(part.dtype.name, part.shape[1]) for part in files.values()}
    if len(kinds) > 1 or not any(map(len, files.values())):
        raise UserError(
            f"{folder / 'database'}: expected shards of one type and width, and a row in one of "
            f"them, got {', '.join(f'{name} of width {width}' for name, width in sorted(kinds))}"
        )
    return cast(AnyFloatArray, Shards(list(files.values())))


def _database_files(folder: Path) -> dict[Path, AnyFloatArray]:
    shards = sorted((folder / "database").glob("*.npy"))
    if shards and not (folder / "database.npy").exists():
        return {path: open_vectors(path, may_be_empty=True) for path in shards}
    path = folder / "database.npy"
    return {path: open_vectors(path)}


def open_vectors(path: Path, may_be_empty: bool = False) -> AnyFloatArray:
    """Memory-map one file of vectors, (rows, width).

    Raises:
        UserError: Not there, cut off, or something else than floats of that shape.
    """
    if not path.is_file():
        raise UserError(f"expected vectors in {path}, got no such file")
    try:
        vectors: NDArray[Any] = np.load(path, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"expected a .npy file in {path}: {error}") from error
    if not isinstance(vectors, np.ndarray):
        raise UserError(f"expected one array in {path}, got an archive of several")
    check_type(path, vectors.dtype, vectors.shape, may_be_empty)
    return vectors


def check_type(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], may_be_empty: bool = False
) -> None:
    """Refuse what are no vectors, by what a header says.

    Raises:
        UserError: Other numbers than floats, another shape than (rows, width), or nothing.
    """
    if len(shape) != 2 or dtype not in (np.float16, np.float32, np.float64):
        raise UserError(
            f"{path}: expected float16, float32 or float64 of shape (rows, width), "
            f"got {dtype} of shape {shape}"
        )
    if 0 in (shape[1:] if may_be_empty else shape):
        raise UserError(f"{path}: expected at least one row and one column, got {shape}")


def check_rows(path: Path, vectors: AnyFloatArray) -> None:
    """Refuse rows that have no direction: NaN, infinite and all-zero ones.

    Raises:
        UserError: The first such row by number.
    """
    size = max(1, BLOCK_BYTES // (vectors.shape[1] * vectors.itemsize))
    for rows in blocks(len(vectors), size):
        check_block(path, vectors[rows], rows.start)


def check_block(path: Path, block: AnyFloatArray, start: int) -> None:
    """Refuse rows of a block, (B, D), that have no direction; `start` is the row of its first.

    Raises:
        UserError: The first such row by number.
    """
    # the largest magnitude says it all: NaN and infinity spread to it, and it is 0 for zeros
    largest = np.abs(block).max(axis=1)  # (B,)
    for wrong, what in ((np.isnan(largest), "NaN"), (np.isinf(largest), "an infinite value")):
        if wrong.any():
            _refuse(path, start + int(wrong.argmax()), what)
    if (largest == 0).any():
        _refuse(path, start + int((largest == 0).argmax()), "only zeros")


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
    return integers(path, labels.reshape(-1))


def _open_meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    try:
        meta: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"expected JSON in {path}: {error}") from error
    if not isinstance(meta, dict):
        raise UserError(f"{path}: expected an object, got a {type(meta).__name__}")
    return meta
