"""Vectors in `.npy`, `.npz` and Parquet files, read block by block and never whole."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mrlbench.arrays import AnyFloatArray, blocks
from mrlbench.embedding.folder import BLOCK_BYTES, check_block, check_type, open_vectors
from mrlbench.errors import UserError
from mrlbench.files import replacing
from mrlbench.progress import Task

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class VectorFile:
    """Vectors somewhere in a file, checked as far as its header tells.

    Attributes:
        path: As it was given, with the name of the array or the column where it has one.
        rows: N.
        width: D.
        dtype: float16, float32 or float64.
        read: Gives the vectors in order, (B, D) at a time.
        linked: The file may stand as it is in an embeddings folder.
    """

    path: Path
    rows: int
    width: int
    dtype: DTypeLike
    read: Callable[[], Iterator[AnyFloatArray]]
    linked: bool = False

    def check(self) -> None:
        """Read all rows once, and refuse those that have no direction.

        Raises:
            UserError: The first such row, or vectors of different widths.
        """
        start = 0
        for block in self.read():
            check_block(self.path, block, start)
            start += len(block)

    def write(self, path: Path, work: Task) -> None:
        """Write a `.npy`: a link to a file that is one, where the disk allows, else a copy."""
        with replacing(path) as beside:
            if self.linked and _link(self.path, beside):
                work.advance(self.rows)
                return
            shape = (self.rows, self.width)
            copy = np.lib.format.open_memmap(
                beside, mode="w+", dtype=np.dtype(self.dtype), shape=shape
            )
            start = 0
            for block in self.read():
                copy[start : start + len(block)] = block
                start += len(block)
                work.advance(len(block))
            copy.flush()


def open_vector_file(given: Path) -> VectorFile:
    """Open `X.npy`, `X.npz:array` or `X.parquet:column`; the name may be left out if there is one.

    Raises:
        UserError: No such file, array or column, or something else than rows of floats.
    """
    path, name = _split(given, "vectors")
    if path.suffix == ".npz":
        return _open_npz(path, name)
    if path.suffix in PARQUET:
        return _open_parquet(path, name)
    vectors = open_vectors(path)
    size = _rows_at_once(vectors.shape[1])

    def read() -> Iterator[AnyFloatArray]:
        return (vectors[rows] for rows in blocks(len(vectors), size))

    rows, width = vectors.shape
    in_rows = vectors.flags.c_contiguous  # else every row would be read from all over the file
    return VectorFile(path, rows, width, vectors.dtype, read, linked=in_rows)


def load_column(given: Path) -> NDArray[Any]:
    """Read a whole array or column, such as labels, from the files that `open_vector_file` knows.

    Raises:
        UserError: No such file, array or column.
    """
    path, name = _split(given, "labels")
    array: NDArray[Any]
    with _reading(path):
        if path.suffix in PARQUET:
            column = _parquet_name(path, name, lambda kind: not _is_list(kind))
            array = _pyarrow_parquet().read_table(path, columns=[column])[column].to_numpy()
        elif path.suffix == ".npz":
            with np.load(path) as archive:
                array = archive[_choose(path, name, archive.files, "array")]
        else:
            array = np.load(path)
    return array


def _split(given: Path, what: str) -> tuple[Path, str]:
    """Take the name of an array or a column off a path."""
    path, name = given, ""
    if not given.is_file() and ":" in given.name:
        before, _, name = str(given).rpartition(":")
        path = Path(before)
    if not path.is_file():
        raise UserError(f"expected {what} in {path}, got no such file")
    return path, name


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in one line that a file is damaged or another than its name says."""
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        kind = f"a {path.suffix} file" if path.suffix else "an array"
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"expected {kind} in {path}: {first}") from error


def _link(path: Path, beside: Path) -> bool:
    try:
        os.link(path.resolve(), beside)
    except OSError:  # another disk, or one that has no links
        return False
    return True


def _rows_at_once(width: int) -> int:
    return max(1, BLOCK_BYTES // (8 * width))


def _choose(path: Path, name: str, there: Sequence[str], what: str) -> str:
    if name in there or (not name and len(there) == 1):
        return name or there[0]
    names = ", ".join(there) or "none"
    wanted = f"{path}:<{what}> with one of {names}" if there else f"such {what}s in {path}"
    raise UserError(f"expected {wanted}, got {name or 'no name'}")


def _open_npz(path: Path, name: str) -> VectorFile:
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = [each.removesuffix(".npy") for each in archive.namelist()]
        chosen = _choose(path, name, members, "array")
        with archive.open(f"{chosen}.npy") as file:
            shape, by_columns, dtype = _header(file)
    shown = Path(f"{path}:{chosen}")
    check_type(shown, dtype, shape)
    if by_columns:
        raise UserError(f"{shown}: expected rows one after another, got columns (Fortran order)")
    rows, width = shape

    def read() -> Iterator[AnyFloatArray]:
        with (
            _reading(path),
            zipfile.ZipFile(path) as archive,
            archive.open(f"{chosen}.npy") as file,
        ):
            _header(file)
            for part in blocks(rows, _rows_at_once(width)):
                count = (part.stop - part.start) * width
                content = file.read(count * dtype.itemsize)
                yield np.frombuffer(content, dtype, count).reshape(-1, width)

    return VectorFile(shown, rows, width, dtype, read)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _pyarrow_parquet() -> Any:  # noqa: ANN401 (not typed)
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError("Parquet: needs the package 'pyarrow': pip install pyarrow") from error
    return pyarrow.parquet


def _is_list(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _parquet_name(path: Path, name: str, fits: Callable[[Any], bool]) -> str:
    schema = _pyarrow_parquet().read_schema(path)
    return _choose(path, name, [each.name for each in schema if fits(each.type)], "column")


def _open_parquet(path: Path, name: str) -> VectorFile:
    with _reading(path):
        column = _parquet_name(path, name, _is_list)
        file = _pyarrow_parquet().ParquetFile(path)
        rows = int(file.metadata.num_rows)
        first = next(file.iter_batches(1, columns=[column]), None)
    shown = Path(f"{path}:{column}")
    if first is None:
        raise UserError(f"{shown}: expected at least one row, got none")
    one = _matrix(shown, first.column(0), 0, 0)  # (1, D)
    check_type(shown, one.dtype, (rows, one.shape[1]))

    def read() -> Iterator[AnyFloatArray]:
        start = 0
        with _reading(path):
            whole = _pyarrow_parquet().ParquetFile(path)
            for batch in whole.iter_batches(_rows_at_once(one.shape[1]), columns=[column]):
                block = _matrix(shown, batch.column(0), start, one.shape[1])
                start += len(block)
                yield block

    return VectorFile(shown, rows, one.shape[1], one.dtype, read)


def _matrix(path: Path, lists: Any, start: int, width: int) -> NDArray[Any]:  # noqa: ANN401
    """Turn lists of one length into rows, (B, D).

    Args:
        path: For messages.
        lists: An array of pyarrow, (B,).
        start: Row of the first.
        width: D; 0 takes that of the first.

    Raises:
        UserError: The first row that has no list, another length, or a missing value.
    """
    from pyarrow import compute

    lengths = compute.list_value_length(lists).to_numpy(zero_copy_only=False)  # NaN where null
    expected = width or lengths[0]
    wrong = ~(lengths == expected)
    if wrong.any():
        row = int(wrong.argmax())
        got = "none" if np.isnan(lengths[row]) else f"{lengths[row]:g}"
        raise UserError(
            f"{path}: expected {expected:g} values in each row, got {got} in row {start + row}"
        )
    values = lists.flatten()
    if values.null_count:
        row = int(values.is_null().to_numpy(zero_copy_only=False).argmax()) // int(expected)
        raise UserError(f"{path}: expected a vector, got a missing value in row {start + row}")
    matrix: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    return matrix
