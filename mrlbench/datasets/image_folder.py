"""Anybody's images in torchvision's ImageFolder layout."""

import hashlib
from pathlib import Path

import numpy as np
from torchvision.datasets import ImageFolder

from mrlbench.errors import UserError
from mrlbench.images import ImageFiles
from mrlbench.protocols import Dataset, Split


def image_folder(data_dir: Path, path: str = "", size: int = 224) -> Dataset:
    """Images in `train/<class>/*` and `val/<class>/*` (or `test`).

    Args:
        data_dir: The data folder.
        path: Folder that holds `train` and `val`; relative to the data folder.
        size: Side of the square crop in pixels.
    """
    root = data_dir / path
    queries = next((part for part in ("val", "test") if (root / part).is_dir()), "val")
    train, test = _open(root / "train"), _open(root / queries)
    if train.classes != test.classes:
        raise UserError(
            f"expected the same classes in {root / 'train'} and {root / queries}, "
            f"got {len(train.classes)} and {len(test.classes)}"
        )
    split = _split(train, size)
    return Dataset(
        train=split,
        database=split,
        queries=_split(test, size),
        classes=tuple(train.classes),
        mean=(0.485, 0.456, 0.406),  # ImageNet's, as in the paper
        std=(0.229, 0.224, 0.225),
        fingerprint=_fingerprint(root, train, test),
        query_set=queries,
    )


def _open(folder: Path) -> ImageFolder:
    if not folder.is_dir():
        raise UserError(f"expected a folder of images by class, got nothing at {folder}")
    try:
        return ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise UserError(f"no images in {folder}: expected {folder}/<class>/*.jpg, … ") from error


def _split(folder: ImageFolder, size: int) -> Split:
    paths = [Path(name) for name, _ in folder.samples]
    return Split(ImageFiles(paths, size), np.asarray(folder.targets, dtype=np.int64))


def _fingerprint(root: Path, *folders: ImageFolder) -> str:
    """Hash names and sizes: reading ImageNet whole for a checksum would take an hour."""
    digest = hashlib.sha256()
    for folder in folders:
        for name, _ in folder.samples:
            path = Path(name)
            digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()
