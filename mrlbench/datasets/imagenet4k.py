"""ImageNet-4K: 4,202 classes of ImageNet-21K that ImageNet-1K does not have (paper, app. B)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrlbench.errors import UserError
from mrlbench.imagenet import (
    MEAN,
    STD,
    Listing,
    class_names,
    find_folder,
    fingerprint,
    imagenet_train,
    list_photos,
)
from mrlbench.protocols import Dataset, Sizes

SIZES = Sizes(1_281_167, 4_202_000, 210_100, 1000, (3, 224, 224), files=True, same_classes=False)
FOLDERS = ("imagenet4k", "imagenet21k", "imagenet21k_train", "fall11_whole", "winter21_whole")


def imagenet4k(
    data_dir: Path,
    class_list: str = "imagenet4k.txt",
    path: str = "",
    train_path: str = "",
    per_class: int = 1000,
    held_out: int = 50,
    seed: int = 0,
    size: int = 224,
) -> Dataset:
    """Photos of classes that the model has not been trained on; trained on ImageNet-1K.

    Database and queries are `train/<wnid>/*` and `val/<wnid>/*`, whole, where such folders are. In
    ImageNet-21K's own layout, `<wnid>/*.JPEG`, `held_out` photos of each class are drawn by seed as
    queries, and `per_class` of the others are the database: 1000 and 50, as many as in the paper.

    Args:
        data_dir: The data folder.
        class_list: File with a WordNet id at the start of each line, below the data folder.
        path: Folder of the photos below the data folder; the usual places if left out.
        train_path: Folder below the data folder that holds ImageNet-1K's `train`; the usual places
            if left out.
        per_class: Photos of a class in the database, at most; 0 takes all.
        held_out: Queries of a class.
        seed: Draws them.
        size: Side of the square crop in pixels.
    """
    train_root, wnids, train = imagenet_train(data_dir, train_path)
    listed = _class_list(data_dir / class_list, wnids)
    root = find_folder(data_dir, path, FOLDERS, "*", "imagenet4k")
    if (root / "train").is_dir() and (root / "val").is_dir():
        database, queries = (list_photos(root / part, listed) for part in ("train", "val"))
    else:
        database, queries = _draw(list_photos(root, listed), listed, per_class, held_out, seed)
    return Dataset(
        train=train.split(size),
        database=database.split(size),
        queries=queries.split(size),
        classes=class_names(train_root, wnids),
        mean=MEAN,
        std=STD,
        fingerprint=fingerprint({"train": train, "database": database, "queries": queries}),
        query_set="imagenet-4k",
        wnids=wnids,
        database_classes=class_names(root, listed),
    )


def _class_list(path: Path, trained: Sequence[str]) -> list[str]:
    """Read the classes, sorted, which makes their labels.

    Raises:
        UserError: No such file, a class twice, or one that the model is trained on.
    """
    try:
        listed = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"imagenet4k: expected the list of its classes, a WordNet id a line, in {path}"
        ) from error
    if not listed:
        raise UserError(f"{path}: expected a WordNet id a line, got nothing")
    classes = sorted(set(listed))
    if len(classes) < len(listed):
        twice = next(each for each in classes if listed.count(each) > 1)
        raise UserError(f"{path}: expected each class once, got {twice} again")
    if shared := sorted(set(classes) & set(trained)):
        raise UserError(f"{path}: expected no class of ImageNet-1K's, got {shared[0]}")
    return classes


def _draw(
    photos: Listing, classes: Sequence[str], per_class: int, held_out: int, seed: int
) -> tuple[Listing, Listing]:
    """Draw queries and database of each class, without replacement."""
    counts = np.bincount(photos.labels, minlength=len(classes))
    short = int(np.argmin(counts))
    if counts[short] <= held_out:
        raise UserError(
            f"{photos.root}: expected more than {held_out} photos of each class, got "
            f"{counts[short]} of {classes[short]}; held_out can be set"
        )
    random = np.random.default_rng(seed)
    # the place of each photo in a shuffled order of its class
    order = np.lexsort((random.random(len(photos)), photos.labels))
    place = np.empty(len(photos), dtype=np.int64)
    place[order] = np.arange(len(photos)) - np.repeat(np.cumsum(counts) - counts, counts)
    queries = place < held_out
    end = held_out + per_class if per_class else len(photos)
    return photos.only(~queries & (place < end)), photos.only(queries)
