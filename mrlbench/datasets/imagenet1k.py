"""ImageNet-1K (ILSVRC 2012): 1,281,167 + 50,000 photos of 1,000 classes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mrlbench.errors import UserError
from mrlbench.imagenet import (
    MEAN,
    STD,
    Listing,
    class_folders,
    class_names,
    find_list,
    fingerprint,
    imagenet_train,
    list_photos,
)
from mrlbench.protocols import Dataset, Sizes

SIZES = Sizes(1_281_167, 1_281_167, 50_000, 1000, (3, 224, 224), files=True)
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
LISTS = ("val.txt", "val/val.txt", "val_labels.txt", "ILSVRC2012_val.txt", "val_map.txt")
KAGGLE = "LOC_val_solution.csv"


def imagenet1k(data_dir: Path, path: str = "", size: int = 224) -> Dataset:
    """Photos of 1,000 classes; database = train, queries = val, as in the paper.

    Photos to train on are `train/<wnid>/*.JPEG`. Those of `val` are in folders by wnid too, or flat
    with a list of their classes: `val.txt` (`file label` a line, the label a wnid or its place
    among the sorted ones), Kaggle's `LOC_val_solution.csv`, or the devkit's folder. They are read
    for evaluation by scaling the short side to 256 and cutting 224 × 224 out of the middle.

    Args:
        data_dir: The data folder.
        path: Folder below it that holds `train` and `val`; the usual places if left out.
        size: Side of the square crop in pixels.
    """
    root, wnids, train = imagenet_train(data_dir, path)
    val = _val(root, wnids)
    split = train.split(size)
    return Dataset(
        train=split,
        database=split,
        queries=val.split(size),
        classes=class_names(root, wnids),
        mean=MEAN,
        std=STD,
        fingerprint=fingerprint({"train": train, "val": val}),
        query_set="val",
        wnids=wnids,
    )


def _val(root: Path, wnids: Sequence[str]) -> Listing:
    """List the photos of `val`, which is a folder of class folders, or flat with a list."""
    folder = root / "val"
    if not folder.is_dir():
        raise UserError(f"imagenet1k: expected photos in {folder}, got no such folder")
    if next(folder.glob("*.[jJ][pP]*"), None) is None:
        found = class_folders(folder)
        if strange := sorted(set(found) - set(wnids)):
            raise UserError(f"{folder}: expected the classes of train, got {strange[0]} too")
        if missing := sorted(set(wnids) - set(found)):
            raise UserError(f"{folder}: expected the classes of train, got no {missing[0]}")
        return list_photos(folder, found)
    photos = list_photos(root, ["val"])
    known = _val_labels(root, wnids)
    stems = [Path(name.decode()).stem for name in photos.names.tolist()]
    if unknown := next((stem for stem in stems if stem not in known), None):
        raise UserError(f"{folder}: expected a class for each photo, got none for {unknown}")
    return photos.labelled(np.array([known[stem] for stem in stems], dtype=np.int64))


def _val_labels(root: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Read the label of each photo of a flat `val`, by the photo's name without its ending."""
    readers: list[tuple[Callable[[Path, Sequence[str]], dict[str, int]], Sequence[str]]] = [
        (_from_list, LISTS),
        (_from_kaggle, [KAGGLE]),
        (_from_devkit, [f"{DEVKIT}/data/{TRUTH}", TRUTH]),
    ]
    for read, usual in readers:
        if path := find_list(root, usual):
            return read(path, wnids)
    raise UserError(
        f"{root}/val: expected folders by wnid, or photos with val.txt (`file label` a line), "
        f"{KAGGLE} or {DEVKIT}/ in {root}, got photos without their classes"
    )


def _from_list(path: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Read `file label` a line; the label is a wnid, or its place among the sorted ones."""
    rows = [line.replace(",", " ").split() for line in path.read_text().splitlines()]
    return _places(path, [(row[0], row[1]) for row in rows if len(row) > 1], wnids)


def _from_kaggle(path: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Read `photo,wnid left top right bottom …` a line, after a heading."""
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    return _places(path, [(row[0], row[1].split()[0]) for row in rows if len(row) > 1], wnids)


def _from_devkit(path: Path, wnids: Sequence[str]) -> dict[str, int]:
    """Read the devkit's numbers, one a line in the photos' order, and its table of wnids."""
    from scipy.io import loadmat  # only the devkit needs it

    table = path.with_name("meta.mat")
    try:
        synsets = loadmat(table, squeeze_me=True)["synsets"]
        wnid_of = dict(
            zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True)
        )
        numbers = [wnid_of[int(line)] for line in path.read_text().split()]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{path}: expected a number a line and the devkit's {table.name} beside it, got {error}"
        ) from error
    rows = [(f"ILSVRC2012_val_{row:08d}", wnid) for row, wnid in enumerate(numbers, 1)]
    return _places(path, rows, wnids)


def _places(path: Path, rows: Sequence[tuple[str, str]], wnids: Sequence[str]) -> dict[str, int]:
    """Turn labels, wnids or places, into places."""
    place = {wnid: label for label, wnid in enumerate(wnids)}
    place |= {str(label): label for label in range(len(wnids))}
    for name, label in rows:
        if label not in place:
            raise UserError(
                f"{path}: expected the wnid of a class of train, or 0 to {len(wnids) - 1}, got "
                f"{label} for {name}"
            )
    return {Path(name).stem: place[label] for name, label in rows}
