"""Labels that were saved as float16: what they lost, and how an image list gives it back.

float16 holds every integer up to 2048, above only every second, and above 4096 every fourth, so
that the 4,202 classes of ImageNet-4K become 3,099.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import IntArray
from mrlbench.embedding.vector_files import load_column
from mrlbench.errors import UserError

EXACT = {2: 2**11, 4: 2**24, 8: 2**53}  # bytes of a float -> integers below are told apart by it


def surviving(classes: int) -> int:
    """Count the labels that float16 still tells apart among 0, 1, … `classes` - 1."""
    return len(np.unique(_half(np.arange(classes))))


def most_classes(largest: int) -> int:
    """Count the classes that there may have been when the largest float16 label is `largest`."""
    above = np.arange(largest, largest + 33)  # no gap between float16 integers is wider than 32
    return int(above[_half(above) == largest].max()) + 1


def read_labels(path: Path, rows: int) -> NDArray[Any]:
    """Read labels as they were saved, (N,) of any number type.

    Args:
        path: A `.npy` of shape (N,) or (N, 1), or an array or a column of a file with several.
        rows: N, of the vectors.

    Raises:
        UserError: Not there, of another length, or not whole numbers from 0.
    """
    labels = load_column(path)
    if not isinstance(labels, np.ndarray):
        raise UserError(f"expected one array in {path}, got an archive of several")
    if labels.shape not in ((rows,), (rows, 1)):
        raise UserError(
            f"{path}: expected {rows} labels, one for each vector, got shape {labels.shape}"
        )
    labels = labels.reshape(-1)
    if labels.dtype.kind not in "iuf":
        raise UserError(f"{path}: expected numbers as labels, got {labels.dtype}")
    whole = np.isfinite(labels) & (labels >= 0) & (labels == np.floor(labels))  # (N,)
    if not whole.all():
        row = int(whole.argmin())
        raise UserError(
            f"{path}: expected whole numbers from 0 as labels, got {labels[row]} in row {row}"
        )
    return labels


def as_integers(path: Path, labels: NDArray[Any]) -> IntArray:
    """Turn labels into integers where that is safe, (N,).

    Raises:
        UserError: Labels so high that their float type no longer tells integers apart.
    """
    largest = int(labels.max())
    if labels.dtype.kind == "f" and largest >= EXACT[min(labels.itemsize, 8)]:
        raise UserError(
            f"{path}: {loss(labels)}; expected --labels-from DATABASE_LIST QUERIES_LIST, the image "
            "lists, to repair them"
        )
    return labels.astype(np.int64)


def loss(labels: NDArray[Any], classes: int = 0) -> str:
    """Say how many classes a float type has lost.

    Args:
        labels: (N,), as saved.
        classes: How many there were; 0 takes the most that the largest label allows.
    """
    if labels.dtype != np.float16:
        return f"labels are {labels.dtype}, which does not tell integers above 2**24 apart"
    largest = int(labels.max())
    most = classes or most_classes(largest)
    left = surviving(most)
    count = f"{most:,}" if classes else f"up to {most:,}"
    return (
        f"float16 labels do not tell integers above 2,048 apart: {count} classes (the largest "
        f"label is {largest:,}) became {left:,}, {most - left:,} are lost"
    )


@dataclass(frozen=True)
class ImageList:
    """The class of each image of a list.

    Attributes:
        path: The list.
        codes: (N,), places in `names`, or the labels themselves where the list has numbers.
        names: Of the classes in order of their first image; empty where the list has numbers.
    """

    path: Path
    codes: IntArray
    names: tuple[str, ...]

    def labels(self, order: list[str]) -> IntArray:
        """Number the classes by their place among all sorted names, (N,)."""
        if not self.names:
            return self.codes
        return np.searchsorted(np.array(order), np.array(self.names)).astype(np.int64)[self.codes]


def read_list(path: Path) -> ImageList:
    """Read an image list, one image a line in row order: `…/<class>/<name>` or `path label`.

    Folders that are numbers, as in ImageNetV2, are labels.

    Raises:
        UserError: No such file, or a line of another form.
    """
    if not path.is_file():
        raise UserError(f"expected an image list in {path}, got no such file")
    try:
        with path.open(encoding="utf-8") as file:
            lines = ((n, line.strip()) for n, line in enumerate(file, 1) if line.strip())
            first = next(lines, None)
            if first is None:
                raise UserError(f"expected an image list in {path}, got an empty file")
            numbered = _number_at_end(first[1]) is not None
            parse = _labels_of if numbered else _folders_of
            return parse(path, chain([first], lines))
    except UnicodeDecodeError as error:
        raise UserError(f"expected a text file in {path}: {error}") from error


def class_order(lists: tuple[ImageList, ...]) -> list[str]:
    """Sort the class names of all lists, which is the order that torchvision numbers folders in."""
    return sorted({name for each in lists for name in each.names})


def repair(path: Path, saved: NDArray[Any], repaired: IntArray, source: Path) -> IntArray:
    """Take labels from an image list, if every one becomes the saved one when it is rounded.

    Args:
        path: Of the saved labels.
        saved: (N,), as saved.
        repaired: (N,), of the list.
        source: The list.

    Raises:
        UserError: Another length, or labels that disagree: how many, and the first.
    """
    if len(repaired) != len(saved):
        raise UserError(
            f"{source}: expected {len(saved)} images, one for each label in {path}, "
            f"got {len(repaired)}"
        )
    with np.errstate(over="ignore"):
        rounded = repaired.astype(saved.dtype)  # (N,)
    wrong = rounded != saved
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{source}: {wrong.sum():,} of {len(saved):,} labels disagree with {path}: in row "
            f"{row} expected one that rounds to {saved[row]:g}, got {repaired[row]}"
        )
    return repaired


def _number_at_end(line: str) -> int | None:
    words = line.rsplit(maxsplit=1)
    return int(words[1]) if len(words) == 2 and words[1].isdecimal() else None


def _labels_of(path: Path, lines: Iterator[tuple[int, str]]) -> ImageList:
    def numbers() -> Iterator[int]:
        for number, line in lines:
            label = _number_at_end(line)
            if label is None:
                raise UserError(f"{path}, line {number}: expected `path label`, got {line!r}")
            yield label

    return ImageList(path, np.fromiter(numbers(), dtype=np.int64), ())


def _folders_of(path: Path, lines: Iterator[tuple[int, str]]) -> ImageList:
    places: dict[str, int] = {}

    def codes() -> Iterator[int]:
        for number, line in lines:
            parts = line.rsplit("/", 2)
            if len(parts) < 2 or not parts[-2]:
                raise UserError(f"{path}, line {number}: expected `…/<class>/<name>`, got {line!r}")
            yield places.setdefault(parts[-2], len(places))

    coded = np.fromiter(codes(), dtype=np.int64)
    if all(name.isdecimal() for name in places):
        return ImageList(path, np.array([int(name) for name in places])[coded], ())
    return ImageList(path, coded, tuple(places))


def _half(values: IntArray) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
