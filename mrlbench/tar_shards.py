"""Images with labels in WebDataset's shards: tar files in which a sample is files of one name."""

import re
import tarfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from mrlbench.arrays import IntArray
from mrlbench.errors import UserError
from mrlbench.files import digest, replacing
from mrlbench.images import SUFFIXES, ImageFiles, opened
from mrlbench.progress import task

SECONDS = 60  # without a byte from a server
PIECE = 2**20
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Samples:
    """Where the images of some shards lie.

    Attributes:
        shards: The tar files.
        places: (N, 3) int64: the shard, the first byte, how many bytes.
        labels: (N,) int64.
        fingerprint: SHA-256 over names, sizes and labels.
    """

    shards: tuple[Path, ...]
    places: IntArray
    labels: IntArray
    fingerprint: str


class TarImages(ImageFiles):
    """Images in tar files, each read where it lies."""

    def __init__(self, samples: Samples, size: int) -> None:
        super().__init__([samples.shards[shard] for shard in samples.places[:, 0]], size)
        self._places = samples.places

    def _open(self, row: int) -> AbstractContextManager[Image.Image]:
        path, (_, start, size) = self._paths[row], self._places[row]
        with path.open("rb") as file:
            file.seek(start)
            return opened(path / f"byte {start}", BytesIO(file.read(size)))


def expand(pattern: str) -> list[str]:
    """Spell out the first `{000..146}` of a pattern, if there is one, and so the others."""
    found = RANGE.search(pattern)
    if not found:
        return [pattern]
    first, last = found.groups()
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [each for number in numbers for each in expand(f"{before}{number}{after}")]


def find_shards(pattern: str, data_dir: Path) -> tuple[Path, ...]:
    """Find the shards of a pattern: files below the data folder, or addresses to be fetched once.

    Raises:
        UserError: There is none, or one of them is not there.
    """
    if pattern.startswith(("http://", "https://")):
        addresses = expand(pattern)
        if not addresses:
            raise UserError(f"expected shards {pattern}, got no number in it: the first is larger")
        return tuple(_fetched(address, data_dir) for address in addresses)
    paths = [data_dir / each for each in expand(pattern)]
    if any(mark in pattern for mark in "*?["):
        start = Path(pattern).anchor  # of an address from the root on
        root = Path(start) if start else data_dir
        wanted = expand(pattern.removeprefix(start))
        paths = sorted(path for each in wanted for path in root.glob(each))
    missing = next((path for path in paths if not path.is_file()), None)
    if missing or not paths:
        raise UserError(f"expected shards {pattern} in {data_dir}, got no {missing or 'file'}")
    return tuple(paths)


def read_samples(shards: Sequence[Path]) -> Samples:
    """List the images of some shards with their labels; pixels are not read.

    Raises:
        UserError: A file is no whole tar file, or a sample has not one image and one `.cls`.
    """
    places: list[tuple[int, int, int]] = []
    labels: list[int] = []
    names = []
    for number, path in enumerate(shards):
        for key, place, label in _samples_of(path):
            places.append((number, *place))
            labels.append(label)
            names.append((path.name, key, place[1], label))
    if not places:
        raise UserError(f"{shards[0]}: expected images, got no sample in {len(shards)} shards")
    where, classes = np.array(places, dtype=np.int64), np.array(labels, dtype=np.int64)
    return Samples(tuple(shards), where, classes, digest(names))


def _samples_of(path: Path) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Give each sample's key, its image's first byte and size, and its label."""
    try:
        with tarfile.open(path, "r:") as tar:
            files = (member for member in tar if member.isfile())
            for key, members in groupby(files, lambda member: _split(member.name)[0]):
                image, label = _image_and_label(path, key, list(members), tar)
                yield key, (image.offset_data, image.size), label
            with path.open("rb") as file:
                file.seek(tar.offset)
                end = file.read(tarfile.BLOCKSIZE)
            if end != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError("it was cut off or is damaged")
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"expected a whole, uncompressed tar file in {path}: {error}") from error


def _image_and_label(
    path: Path, key: str, members: list[tarfile.TarInfo], tar: tarfile.TarFile
) -> tuple[tarfile.TarInfo, int]:
    kinds = {_split(member.name)[1]: member for member in members}
    images = [member for kind, member in kinds.items() if f".{kind}" in SUFFIXES]
    content = tar.extractfile(kinds["cls"]) if "cls" in kinds else None
    text = content.read().decode(errors="replace").strip() if content else ""
    if len(images) != 1 or not text.isdecimal():
        raise UserError(
            f"{path}: expected one image and a class number in {key}.cls, got "
            f"{', '.join(sorted(kinds))}{f' with {text[:20]!r}' if content else ''}"
        )
    return images[0], int(text)


def _split(name: str) -> tuple[str, str]:
    """Split `a/b.left.png` at the first dot of the file's name, as WebDataset does."""
    path = PurePosixPath(name)
    stem, _, kind = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, kind.lower().rpartition(".")[2]


def _fetched(address: str, data_dir: Path) -> Path:
    """Fetch a shard, unless it is there; a part of it is never left behind."""
    folder, name = address.rsplit("/", 1)
    path = data_dir / "webdataset" / digest(folder)[:16] / name.partition("?")[0]
    if path.is_file():
        return path
    try:
        with (
            replacing(path) as beside,
            urllib.request.urlopen(address, timeout=SECONDS) as answer,
            beside.open("wb") as file,
        ):
            size = int(answer.headers.get("Content-Length") or 0)
            with task(f"fetch {path.name}", size, "bytes") as work:
                while piece := answer.read(PIECE):
                    file.write(piece)
                    work.advance(len(piece))
            if size and file.tell() != size:
                raise OSError(f"{file.tell()} of {size} bytes came")
    except (OSError, ValueError, HTTPException) as error:
        raise UserError(f"expected a shard at {address}: {error}") from error
    return path
