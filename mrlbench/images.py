"""Images in memory or in files, read in batches, with the usual augmentation for training."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from mrlbench.arrays import WHOLE, ByteArray, InputArray, Inputs, IntArray
from mrlbench.errors import UserError
from mrlbench.protocols import Images

RESIZE_FOR_CROP = 256 / 224  # evaluation: resize the short side to 256, crop 224 (paper, app. C)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
DECODERS = max(8, os.cpu_count() or 1)  # more than the cores of a small machine: disks are slow too

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@contextmanager
def opened(path: Path, content: BytesIO | None = None) -> Iterator[Image.Image]:
    """Open an image file, of which Pillow reads the pixels when they are asked for.

    Args:
        path: The file, or what messages call it where `content` is given.
        content: The file's bytes, where they are in another file.

    Raises:
        UserError: The file is not an image, or a damaged one, by name.
    """
    try:
        with Image.open(content or path) as file:
            yield file
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # of damaged files
        raise UserError(f"expected an image, got an unreadable file: {path}") from error


def only_images(inputs: Inputs) -> InputArray:
    """Refuse inputs that are no images, (B, 3, H, W).

    Raises:
        UserError: They are vectors or masked text.
    """
    if isinstance(inputs, tuple) or inputs.ndim != 4:
        raise UserError("expected a data set of images, got one of vectors or of text")
    return inputs


class ImageArray:
    """Small images that fit in memory.

    Args:
        pixels: (N, H, W) grey or (N, 3, H, W) uint8.
        padding: Training shifts an image by up to this many pixels.
        flip: Training mirrors half of the images.
        size: H and W to read at, other than the pixels' own.
    """

    def __init__(
        self, pixels: ByteArray, padding: int = 2, flip: bool = True, size: int | None = None
    ) -> None:
        self._pixels = pixels[:, None] if pixels.ndim == 3 else pixels  # (N, 1 or 3, H, W)
        self._padding, self._flip, self._size = padding, flip, size

    def __len__(self) -> int:
        """Count the images."""
        return len(self._pixels)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> ByteArray:
        """Read images by row, shifted and mirrored at random when `random` is given."""
        batch = self._pixels[rows]  # (B, 1 or 3, H, W)
        if random is not None:
            batch = self._augment(batch, random)
        batch = batch[part]
        side = size or self._size
        if side is not None and batch.shape[2:] != (side, side):
            batch = _resized(batch, side)
        if batch.shape[1] == 3:
            return batch  # a broadcast of it would be read-only, which torch warns of
        return np.broadcast_to(batch, (len(batch), 3, *batch.shape[2:]))

    def _augment(self, batch: ByteArray, random: np.random.Generator) -> ByteArray:
        count, channels, height, width = batch.shape
        pad = self._padding
        padded = np.pad(batch, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        shifts = random.integers(0, 2 * pad + 1, (2, count, 1))  # down and right, (2, B, 1)
        top = shifts[0] + np.arange(height)  # (B, H)
        left = shifts[1] + np.arange(width)  # (B, W)
        if self._flip:
            mirrored = random.random(count) < 0.5
            left[mirrored] = left[mirrored, ::-1]
        image, channel = np.arange(count)[:, None, None, None], np.arange(channels)[:, None, None]
        moved: ByteArray = padded[image, channel, top[:, None, :, None], left[:, None, None, :]]
        return moved


class SomeImages:
    """Some of other images.

    Args:
        images: Those.
        rows: Which of them, (n,).
    """

    def __init__(self, images: Images, rows: IntArray) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        """Count the images."""
        return len(self._rows)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> Inputs:
        """Read images by their row among these; see `Images.read`."""
        return self._images.read(self._rows[rows], random, size, part)


class Paths(Protocol):
    """Paths by number: a list of them, or one that makes each when it is asked for."""

    def __len__(self) -> int:
        """Count the files."""
        ...

    def __getitem__(self, number: int, /) -> Path:
        """Give one path."""
        ...


class ImageFiles:
    """Image files that are decoded when they are read, by a few threads.

    Args:
        paths: One file per image.
        size: Side of the square crop in pixels.
    """

    def __init__(self, paths: Paths, size: int) -> None:
        self._paths, self._size = paths, size

    def __len__(self) -> int:
        """Count the images."""
        return len(self._paths)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> ByteArray:
        """Read images by row; with `random`, crop a random part and mirror half of them.

        Raises:
            UserError: A file is not an image, by name.
        """
        seeds = [None] * len(rows) if random is None else random.integers(0, 2**63, len(rows))
        sides = [size or self._size] * len(rows)
        with ThreadPoolExecutor(DECODERS) as pool:
            return np.stack(list(pool.map(self._read_one, rows[part], seeds[part], sides[part])))

    def _open(self, row: int) -> AbstractContextManager[Image.Image]:
        return opened(self._paths[row])

    def _read_one(self, row: int, seed: int | None, size: int) -> ByteArray:
        with self._open(row) as file:
            crop = _centre(file, size) if seed is None else _random_crop(file, size, seed)
        return np.ascontiguousarray(np.asarray(crop).transpose(2, 0, 1))  # (3, H, W)


def _resized(batch: ByteArray, size: int) -> ByteArray:
    """Scale a batch to `size` × `size`, averaging where it shrinks."""
    import torch  # only trainings that ramp the size need it here

    scaled: ByteArray = torch.nn.functional.interpolate(
        torch.from_numpy(batch), (size, size), mode="bilinear", antialias=True
    ).numpy()
    return scaled


def _centre(file: Image.Image, size: int) -> Image.Image:
    """Resize the short side to 256/224 of `size`, then cut the middle square out."""
    image = file.convert("RGB")
    scale = size * RESIZE_FOR_CROP / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _random_crop(file: Image.Image, size: int, seed: int) -> Image.Image:
    """Cut 8% to 100% of the area at an aspect ratio of 3/4 to 4/3, resize, mirror half."""
    random = np.random.default_rng(seed)
    area = file.width * file.height * random.uniform(0.08, 1)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
    width = min(file.width, max(1, round(np.sqrt(area * ratio))))
    height = min(file.height, max(1, round(np.sqrt(area / ratio))))
    left = int(random.integers(0, file.width - width + 1))
    top = int(random.integers(0, file.height - height + 1))
    image, box = _decode_smaller(file, (left, top, left + width, top + height), size)
    crop = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else crop


def _decode_smaller(file: Image.Image, box: Box, size: int) -> tuple[Image.Image, Box]:
    """Decode a JPEG at 1/2, 1/4 or 1/8 where the box still has at least `size` × `size` pixels.

    That takes a third of the time of a whole decoding. It is for training only: evaluation scales
    the whole picture, as the paper does.

    Returns:
        The picture and the box in its pixels.
    """
    width, height = file.size
    wanted = ceil(width * size / (box[2] - box[0])), ceil(height * size / (box[3] - box[1]))
    if wanted[0] <= width and wanted[1] <= height:
        file.draft(None, wanted)  # a JPEG decodes to the wanted size or somewhat more
    image = file.convert("RGB")
    across, down = image.width / width, image.height / height
    return image, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
