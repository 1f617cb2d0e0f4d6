"""Tiny-ImageNet: 100,000 + 10,000 photos of 200 ImageNet classes, 64 × 64."""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from mrlbench.arrays import ByteArray, blocks
from mrlbench.downloads import check_may_fetch
from mrlbench.errors import UserError
from mrlbench.files import replacing, write_json
from mrlbench.images import ImageArray
from mrlbench.progress import Task, task
from mrlbench.protocols import Dataset, Sizes, Split

log = logging.getLogger(__name__)

NAME = "tiny-imagenet-200"
ADDRESS = f"http://cs231n.stanford.edu/{NAME}.zip"  # its authors' site
SIDE = 64
TRAIN_PER_CLASS, QUERIES = 500, 10_000
SIZES = Sizes(100_000, 100_000, 10_000, 200, (3, SIDE, SIDE))
# SHA-256 over the bytes of all 110,000 photos in this module's order, whatever packed them
CHECKSUM = "f8e3ca4b90707914e992d751a260e28a87b7af2e2301bda45b96dacf9054029e"
AT_ONCE = 1000


def tiny_imagenet(data_dir: Path, padding: int = 4, size: int = SIDE) -> Dataset:
    """Photos of 200 ImageNet classes, 64 × 64; database = train, queries = val.

    Args:
        data_dir: Where `tiny-imagenet-200/` is, in its authors' layout, or its `.zip`; or that
            folder itself. It is downloaded otherwise. The decoded pixels (1.4 GB) are kept beside
            the photos.
        padding: Training shifts an image by up to this many pixels, besides mirroring half of
            them.
        size: Side of the photos in pixels; below 64 they are scaled down.
    """
    root = _find(data_dir)
    wnids = sorted(_read_lines(root / "wnids.txt"))
    words = dict(line.split("\t", 1) for line in _read_lines(root / "words.txt"))
    parts = {"train": _train_files(root, wnids), "val": _val_files(root, wnids)}
    pixels, checksum = _pixels(root, {part: paths for part, (paths, _) in parts.items()})
    train, val = (
        Split(ImageArray(pixels[part], padding, size=size), np.array(labels, dtype=np.int64))
        for part, (_, labels) in parts.items()
    )
    return Dataset(
        train=train,
        database=train,
        queries=val,
        classes=tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids),
        mean=(0.485, 0.456, 0.406),  # ImageNet's, as in the paper
        std=(0.229, 0.224, 0.225),
        fingerprint=checksum,
        query_set="val",
        wnids=tuple(wnids),
    )


def _find(data_dir: Path) -> Path:
    """Find the unpacked folder, unpack what was downloaded, or download it."""
    if (data_dir / "wnids.txt").is_file():
        return data_dir
    root = data_dir / NAME
    if (root / "wnids.txt").is_file():
        return root
    check_may_fetch(NAME, data_dir)
    from torchvision.datasets.utils import download_url, extract_archive  # only without a copy

    packed = data_dir / f"{NAME}.zip"
    try:
        if not packed.is_file():
            log.info("tiny-imagenet: downloading %s (237 MB)", ADDRESS)
            with replacing(packed) as beside:
                download_url(ADDRESS, str(beside.parent), beside.name)
        log.info("tiny-imagenet: unpacking %s", packed)
        extract_archive(str(packed), str(data_dir))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"tiny-imagenet is not in {root} and could not be fetched from {ADDRESS} ({error}). "
            f"Expected the folder {NAME} or {NAME}.zip in {data_dir}"
        ) from error
    return root


def _train_files(root: Path, wnids: Sequence[str]) -> tuple[list[Path], list[int]]:
    """List `train/<wnid>/images/<wnid>_<number>.JPEG` by class and number."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        folder = root / "train" / wnid / "images"
        found = sorted(folder.glob("*.JPEG"), key=_number)
        if not found:
            raise UserError(f"expected photos in {folder}, got none")
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _val_files(root: Path, wnids: Sequence[str]) -> tuple[list[Path], list[int]]:
    """List the photos that `val/val_annotations.txt` gives a class, in its order."""
    place = {wnid: label for label, wnid in enumerate(wnids)}
    rows = [line.split("\t") for line in _read_lines(root / "val" / "val_annotations.txt")]
    try:
        labels = [place[row[1]] for row in rows]
    except (IndexError, KeyError) as error:
        raise UserError(
            f"{root}/val/val_annotations.txt: expected `file<TAB>wnid …`, with the classes of "
            f"wnids.txt, got {error}"
        ) from error
    return [root / "val" / "images" / row[0] for row in rows], labels


def _pixels(root: Path, parts: dict[str, list[Path]]) -> tuple[dict[str, ByteArray], str]:
    """Give the decoded photos of each part, (N, 3, 64, 64), and the checksum of their files.

    They are decoded once, into one memory-mapped file for each part; in memory where the folder
    cannot be written.
    """
    kept = {part: root / f"{part}-pixels.npy" for part in parts}
    note, photos = root / "pixels.json", {part: len(paths) for part, paths in parts.items()}
    if note.is_file() and all(path.is_file() for path in kept.values()):
        content = json.loads(note.read_text())
        if content["photos"] == photos:
            return {part: np.load(kept[part], mmap_mode="r") for part in parts}, content["checksum"]
    writable, digest = os.access(root, os.W_OK), hashlib.sha256()
    pixels: dict[str, ByteArray] = {}
    with task("tiny-imagenet: decode", sum(photos.values()), "photos") as work:
        for part, paths in parts.items():
            if writable:
                with replacing(kept[part]) as beside:
                    shape = (len(paths), 3, SIDE, SIDE)
                    array = open_memmap(beside, mode="w+", dtype=np.uint8, shape=shape)
                    _decode(paths, array, digest, work)
                    array.flush()
                pixels[part] = np.load(kept[part], mmap_mode="r")
            else:
                pixels[part] = np.empty((len(paths), 3, SIDE, SIDE), dtype=np.uint8)
                _decode(paths, pixels[part], digest, work)
    _verify(root, photos, digest.hexdigest())
    if writable:
        write_json(note, {"photos": photos, "checksum": digest.hexdigest()})
    return pixels, digest.hexdigest()


def _verify(root: Path, photos: dict[str, int], checksum: str) -> None:
    """Refuse photos that are not the published ones; a part of them, as for a trial, may be used.

    Raises:
        UserError: All of them are there, and some differ.
    """
    if photos == {"train": 200 * TRAIN_PER_CLASS, "val": QUERIES} and checksum != CHECKSUM:
        raise UserError(
            f"corrupted photos in {root}: expected SHA-256 {CHECKSUM[:12]}… over all of them, got "
            f"{checksum[:12]}…; delete the folder and run the command again"
        )


def _decode(paths: Sequence[Path], into: ByteArray, digest: "hashlib._Hash", work: Task) -> None:
    """Read photos into an array and their bytes into a checksum, in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows in blocks(len(paths), AT_ONCE):
            for row, (content, image) in enumerate(pool.map(_read, paths[rows]), rows.start):
                digest.update(content)
                into[row] = image
            work.advance(rows.stop - rows.start)


def _read(path: Path) -> tuple[bytes, ByteArray]:
    try:
        content = path.read_bytes()
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGB")).transpose(2, 0, 1)
    except OSError as error:
        raise UserError(f"expected a photo, got an unreadable file: {path}") from error
    if image.shape != (3, SIDE, SIDE):
        raise UserError(f"{path}: expected {SIDE} × {SIDE} pixels, got {image.shape[1:]}")
    return content, image


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise UserError(f"tiny-imagenet: expected {path}, got {error.strerror}") from error
