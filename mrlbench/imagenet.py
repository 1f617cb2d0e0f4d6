"""What the ImageNet data sets share: folders of photos by WordNet id, listed fast."""

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.errors import UserError
from mrlbench.files import replacing
from mrlbench.images import ImageFiles
from mrlbench.progress import task
from mrlbench.protocols import Split

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of its training photos (paper, app. C)
SUFFIXES = (b".jpeg", b".jpg", b".png")
LISTING = ".mrlbench-listing.npz"
SCANNERS = 16  # threads that list folders: a network disk answers many at once
NAME_FILES = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")  # `wnid name, …` a line
TRAIN_FOLDERS = ("", "imagenet", "imagenet1k", "ILSVRC2012", "ILSVRC/Data/CLS-LOC")

BytesArray = NDArray[np.bytes_]


@dataclass(frozen=True)
class Listing:
    """Photos in a folder, sorted by class and by name; 4 million of them take 0.2 GB.

    Attributes:
        root: The folder.
        names: (N,) paths below `root`, as bytes.
        sizes: (N,) bytes of each file.
        labels: (N,) int64, the place of each photo's class among those that were listed.
    """

    root: Path
    names: BytesArray
    sizes: IntArray
    labels: IntArray

    def __len__(self) -> int:
        """Count the photos."""
        return len(self.names)

    def __getitem__(self, number: int) -> Path:
        """Give the path of one."""
        return self.root / os.fsdecode(self.names[number])

    def only(self, kept: BoolArray) -> "Listing":
        """Keep some photos, (N,)."""
        return Listing(self.root, self.names[kept], self.sizes[kept], self.labels[kept])

    def labelled(self, labels: IntArray) -> "Listing":
        """Give each photo another label, (N,)."""
        return Listing(self.root, self.names, self.sizes, labels)

    def split(self, size: int) -> Split:
        """Read the photos as `size` × `size` pixels."""
        return Split(ImageFiles(self, size), self.labels)


def list_photos(root: Path, folders: Sequence[str]) -> Listing:
    """List the photos in some folders below `root`; the label is the folder's place in the list.

    What was found is kept in `root`, where it can be written, and used again as long as no file was
    added to a folder, removed or renamed: listing 4 million files takes minutes on a network disk.

    Raises:
        UserError: A folder is not there or holds no photos.
    """
    changed = _changed(root, folders)
    kept = _read_kept(root / LISTING, folders, changed)
    if kept is None:
        with task(f"list {root.name}", len(folders), "folders") as work:
            parts = []
            with ThreadPoolExecutor(SCANNERS) as pool:
                for part in pool.map(_scan, [root / each for each in folders]):
                    parts.append(part)
                    work.advance(1)
        names = np.array([name for part in parts for name, _ in part], dtype=np.bytes_)
        sizes = np.array([size for part in parts for _, size in part], dtype=np.int64)
        kept = names, sizes, np.array([len(part) for part in parts], dtype=np.int64)
        _keep(root, folders, changed, kept)
    names, sizes, counts = kept
    return Listing(root, names, sizes, np.repeat(np.arange(len(folders)), counts))


def class_folders(root: Path) -> list[str]:
    """Name the folders in `root`, sorted, which is the order of ImageNet's classes.

    Raises:
        UserError: There is no such folder, or none in it.
    """
    try:
        with os.scandir(root) as entries:
            found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise UserError(f"expected folders of photos in {root}: {error.strerror}") from error
    if not found:
        raise UserError(f"expected a folder for each class in {root}, got none")
    return found


def find_folder(data_dir: Path, path: str, usual: Sequence[str], inside: str, what: str) -> Path:
    """Find the folder of a data set: `path` below the data folder, or the first usual one there.

    Args:
        data_dir: The data folder.
        path: Given by the user; empty looks at the usual places.
        usual: Folders below the data folder.
        inside: A folder or pattern that must be in it.
        what: The data set, for the message.

    Raises:
        UserError: None of them has it.
    """
    places = [path] if path else usual
    for place in places:
        if next((data_dir / place).glob(inside), None) is not None:
            return data_dir / place
    tried = ", ".join(str(data_dir / place) for place in places)
    raise UserError(f"{what}: expected {inside}/… in {tried}; its folder can be set as path")


def find_list(root: Path, usual: Sequence[str]) -> Path | None:
    """Find a list that comes with the photos: in their folder, or beside Kaggle's `ILSVRC/`."""
    folders = [root, root.parents[2]] if root.name == "CLS-LOC" else [root]
    places = [folder / name for folder in folders for name in usual]
    return next((place for place in places if place.is_file()), None)


def imagenet_train(data_dir: Path, path: str) -> tuple[Path, tuple[str, ...], Listing]:
    """List ImageNet-1K's training photos, `train/<wnid>/*.JPEG`.

    Args:
        data_dir: The data folder.
        path: Where `train` is, below the data folder; empty looks at the usual places.

    Returns:
        The folder that holds `train`, the WordNet ids in order, and the photos.

    Raises:
        UserError: It is not there.
    """
    root = find_folder(data_dir, path, TRAIN_FOLDERS, "train", "imagenet1k")
    wnids = class_folders(root / "train")
    return root, tuple(wnids), list_photos(root / "train", wnids)


def class_names(root: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """Name the classes in words where one of the usual files says them, else by WordNet id."""
    path = find_list(root, NAME_FILES)
    words: dict[str, str] = {}
    if path is not None:
        for line in path.read_text(errors="replace").splitlines():
            wnid, _, names = line.replace("\t", " ", 1).partition(" ")
            words[wnid] = names.split(",")[0].strip()
    return tuple(words.get(wnid) or wnid for wnid in wnids)


def fingerprint(parts: Mapping[str, Listing]) -> str:
    """Hash names, sizes and labels: reading the photos for a checksum would take hours."""
    digest = hashlib.sha256()
    for part, listing in parts.items():
        digest.update(f"{part} {len(listing)} {listing.names.dtype.itemsize}\n".encode())
        for array in (listing.names, listing.sizes, listing.labels):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _scan(folder: Path) -> list[tuple[bytes, int]]:
    """List the photos in one folder, and their sizes, by name."""
    try:
        with os.scandir(os.fsencode(folder)) as entries:
            prefix = os.fsencode(folder.name) + b"/"
            found = sorted(
                (prefix + entry.name, entry.stat().st_size)
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES)
            )
    except OSError as error:
        raise UserError(f"expected photos in {folder}: {error.strerror}") from error
    if not found:
        raise UserError(f"expected photos (.JPEG, .jpg, .png) in {folder}, got none")
    return found


def _changed(root: Path, folders: Sequence[str]) -> IntArray:
    """Tell when each folder last changed, in nanoseconds, (folders,)."""
    try:
        return np.array([(root / each).stat().st_mtime_ns for each in folders], dtype=np.int64)
    except OSError as error:
        raise UserError(f"expected photos in {error.filename}: {error.strerror}") from error


Kept = tuple[BytesArray, IntArray, IntArray]  # names, sizes, and how many each folder has


def _read_kept(path: Path, folders: Sequence[str], changed: IntArray) -> Kept | None:
    """Read what an earlier call kept, if it was of these folders as they are now."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            same = arrays["folders"].tolist() == [os.fsencode(each) for each in folders]
            if not same or arrays["changed"].tolist() != changed.tolist():
                return None
            return arrays["names"], arrays["sizes"], arrays["counts"]
    except (zipfile.BadZipFile, ValueError, KeyError, OSError):  # cut off: it is made anew
        return None


def _keep(root: Path, folders: Sequence[str], changed: IntArray, kept: Kept) -> None:
    if not os.access(root, os.W_OK):
        return
    names, sizes, counts = kept
    listed = np.array([os.fsencode(each) for each in folders], dtype=np.bytes_)
    with replacing(root / LISTING) as beside, beside.open("wb") as file:
        np.savez(file, folders=listed, changed=changed, names=names, sizes=sizes, counts=counts)
