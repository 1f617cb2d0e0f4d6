"""The logits of every head, read one head at a time: all of them may not fit in memory."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.embedding.labels import integers
from mrlbench.errors import UserError

PLAIN, MIRRORED = "logits.npz", "logits_tta.npz"


@dataclass(frozen=True)
class LogitsFile:
    """A file of logits; open with `open_logits_file`.

    Attributes:
        path: The npz file.
        labels: (Q,).
        dims: The width that each head reads, narrowest first.
    """

    path: Path
    labels: IntArray
    dims: tuple[int, ...]

    def read(self, dim: int) -> FloatArray:
        """Read the logits of one head, (Q, C).

        Raises:
            UserError: They are not finite, not of that shape, or the labels are no columns.
        """
        with _arrays(self.path) as arrays:
            names = {int(name): name for name in arrays.files if name != "labels"}
            logits = arrays[names[dim]]
        _check(self.path, dim, logits, self.labels)
        result: FloatArray = logits.astype(np.float32, copy=False)
        return result


def open_logits_file(folder: Path, name: str = PLAIN) -> LogitsFile:
    """Look at a file of logits: which heads, and the labels.

    Args:
        folder: Of embeddings.
        name: `logits.npz`, or `logits_tta.npz`: the same form, each logit summed over the image
            and its mirror image.

    Raises:
        UserError: Not there, or not of that form.
    """
    path = folder / name
    if not path.is_file():
        raise UserError(f"expected logits in {path}, got no such file")
    with _arrays(path) as arrays:
        heads = [each for each in arrays.files if each != "labels"]
        if "labels" not in arrays.files or not heads or not all(n.isdecimal() for n in heads):
            raise UserError(
                f"{path}: expected arrays named by dim, and labels, got {sorted(arrays.files)}"
            )
        labels = arrays["labels"]
    if labels.ndim != 1:
        raise UserError(f"{path}: expected labels of shape (queries,), got {labels.shape}")
    return LogitsFile(path, integers(path, labels), tuple(sorted(int(each) for each in heads)))


def open_logits(folder: Path) -> tuple[dict[int, FloatArray], IntArray]:
    """Read all of `logits.npz`: (Q, C) for each dim, narrowest first, and labels (Q,).

    Raises:
        UserError: Not there, or not of that form.
    """
    file = open_logits_file(folder)
    return {dim: file.read(dim) for dim in file.dims}, file.labels


def head_dims(folder: Path) -> tuple[int, ...]:
    """List the dims that `logits.npz` has a head for, without reading them; none if there is none.

    Raises:
        UserError: The file is there and not of that form.
    """
    return open_logits_file(folder).dims if (folder / PLAIN).is_file() else ()


@contextmanager
def _arrays(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            yield arrays
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise UserError(f"expected an npz file in {path}, got none that loads: {error}") from error


def _check(path: Path, dim: int, logits: NDArray[Any], labels: IntArray) -> None:
    if logits.ndim != 2 or len(logits) != len(labels):
        raise UserError(
            f"{path}: expected ({len(labels)}, C) logits at dim {dim}, got {logits.shape}"
        )
    finite = np.isfinite(logits).all(axis=1)  # (Q,)
    if not finite.all():
        raise UserError(
            f"{path}: expected finite logits at dim {dim}, got others in row {finite.argmin()}"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        raise UserError(
            f"{path}: expected labels from 0 to {logits.shape[1] - 1}, the columns at dim {dim}, "
            f"got {labels.min()} to {labels.max()}"
        )
