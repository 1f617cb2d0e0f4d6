"""More queries for a trained model: a folder of images by class, or corrupted copies."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.embedding.corruptions import CORRUPTIONS, Corrupted
from mrlbench.errors import UserError
from mrlbench.images import ImageFiles
from mrlbench.protocols import Dataset, Split

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


@dataclass(frozen=True)
class QuerySet:
    """Queries beside those of the data set.

    Attributes:
        name: The cell `queries` of its rows.
        split: Images and the class of each, as numbers of the data set's classes.
        classes: The classes that it has, increasing; others are no possible answer.
        fingerprint: Of the content.
    """

    name: str
    split: Split
    classes: IntArray
    fingerprint: str


def check_query_set(text: str) -> tuple[str, str]:
    """Split `NAME=PATH` into both, or know a built-in corruption by name (then PATH is empty).

    Raises:
        UserError: Neither.
    """
    name, equals, path = (part.strip() for part in text.partition("="))
    if (not equals and name in CORRUPTIONS) or (name and path and name not in CORRUPTIONS):
        if "/" in name or name.startswith("."):
            raise UserError(f"--queries: expected a name without / or a leading dot, got {name!r}")
        return name, path
    known = ", ".join(CORRUPTIONS)
    raise UserError(f"--queries: expected NAME=FOLDER or one of {known}, got {text!r}")


def open_query_set(text: str, dataset: Dataset, data_dir: Path) -> QuerySet:
    """Open what `NAME=PATH`, or the name of a corruption, says.

    A folder has ImageFolder's layout, `<class>/*.jpg`; a class is given by its name, its WordNet id
    or its number. It is read at the size of the data set's images: short side scaled to 256/224 of
    it, centre cut out.

    Args:
        text: The query set.
        dataset: Of the model.
        data_dir: Where a relative path that is not found begins.

    Raises:
        UserError: No such folder, no images, or a class that the data set does not have.
    """
    name, path = check_query_set(text)
    size = _side(dataset)
    if not path:
        split = Split(Corrupted(dataset.queries.images, name), dataset.queries.labels)
        fingerprint = hashlib.sha256(f"{dataset.fingerprint} {name}".encode()).hexdigest()
        return QuerySet(name, split, np.arange(len(dataset.classes)), fingerprint)
    folder = Path(path).expanduser()
    folder = folder if folder.is_dir() or folder.is_absolute() else data_dir / folder
    return _open_folder(name, folder, dataset, size)


def _side(dataset: Dataset) -> int:
    """Learn the side of the data set's images in pixels."""
    shape = dataset.shape
    if len(shape) != 3:
        raise UserError("--queries: expected a model of images, got one of vectors")
    return int(shape[-1])


def _open_folder(name: str, folder: Path, dataset: Dataset, size: int) -> QuerySet:
    if not folder.is_dir():
        raise UserError(f"--queries {name}: expected a folder of images by class in {folder}")
    folders = sorted(each for each in folder.iterdir() if each.is_dir())
    numbers = _class_numbers(name, folder, [each.name for each in folders], dataset)
    paths: list[Path] = []
    labels: list[int] = []
    digest = hashlib.sha256()
    for each, number in sorted(zip(folders, numbers, strict=True), key=lambda pair: pair[1]):
        found = sorted(path for path in each.iterdir() if path.suffix.lower() in SUFFIXES)
        for path in found:
            digest.update(f"{number} {path.name} {path.stat().st_size}\n".encode())
        paths += found
        labels += [number] * len(found)
    if not paths:
        raise UserError(f"--queries {name}: expected images in {folder}/<class>/, got none")
    split = Split(ImageFiles(paths, size), np.array(labels, dtype=np.int64))
    return QuerySet(name, split, np.unique(split.labels), digest.hexdigest())


def _class_numbers(name: str, folder: Path, names: list[str], dataset: Dataset) -> list[int]:
    """Find the class of each folder: by WordNet id, by name, else all of them by number."""
    places = {each: place for place, each in enumerate(dataset.classes)}
    places |= {each: place for place, each in enumerate(dataset.wnids)}
    # a class name may hold what a folder's cannot, such as the slash of T-shirt/top
    places |= {each.replace("/", "_"): place for each, place in places.items()}
    if any(each not in places for each in names) and all(each.isdecimal() for each in names):
        places = {str(number): number for number in range(len(dataset.classes))}
    for each in names:
        if each not in places:
            raise UserError(
                f"--queries {name}: {folder / each}: expected folders named by class, WordNet id "
                f"or number of the {len(dataset.classes)} classes, got {each!r}"
            )
    return [places[each] for each in names]
