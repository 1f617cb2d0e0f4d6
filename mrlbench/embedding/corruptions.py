"""Corrupted copies of the queries, where a data set has no second set of its own.

They are ours, not the paper's, and one strength each: enough to tell widths apart, no benchmark.
"""

from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms.functional import gaussian_blur

from mrlbench.arrays import WHOLE, ByteArray, FloatArray, IntArray
from mrlbench.images import only_images
from mrlbench.protocols import Images

NOISE = 0.12  # standard deviation, of pixels in [0, 1]
BLUR = 1 / 28  # standard deviation as a share of the side: 1 pixel of 28, 8 of 224
CONTRAST = 0.3  # of the distance to the image's mean that is left
SHIFT = 1 / 14  # of the side: 2 pixels of 28, 16 of 224
SEED = 20220526


def noise(images: FloatArray, rows: IntArray) -> FloatArray:
    """Add Gaussian noise of standard deviation 0.12, the same to all three channels of a pixel."""
    shape = (1, *images.shape[2:])
    drawn = [_random(row).standard_normal(shape, dtype=np.float32) for row in rows]
    noisy: FloatArray = images + np.float32(NOISE) * np.stack(drawn)
    return noisy


def blur(images: FloatArray, rows: IntArray) -> FloatArray:
    """Blur with a Gaussian whose standard deviation is 1/28 of the side."""
    sigma = max(images.shape[-1] * BLUR, 0.5)
    size = min(2 * round(3 * sigma) + 1, 2 * (images.shape[-1] - 1) - 1)  # within the mirrored edge
    blurred: FloatArray = gaussian_blur(torch.from_numpy(images), size, sigma).numpy()
    return blurred


def contrast(images: FloatArray, rows: IntArray) -> FloatArray:
    """Bring each pixel to 0.3 of its distance from the image's mean."""
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    pale: FloatArray = mean + np.float32(CONTRAST) * (images - mean)
    return pale


def shift(images: FloatArray, rows: IntArray) -> FloatArray:
    """Move by 1/14 of the side in one of eight directions; the border pixels are repeated."""
    step = max(1, round(images.shape[-1] * SHIFT))
    padded = np.pad(images, ((0, 0), (0, 0), (step, step), (step, step)), mode="edge")
    moved = np.empty_like(images)
    height, width = images.shape[2:]
    ways = [(down, right) for down in (0, 1, 2) for right in (0, 1, 2) if (down, right) != (1, 1)]
    for place, row in enumerate(rows):
        down, right = ways[_random(row).integers(len(ways))]
        top, left = down * step, right * step
        moved[place] = padded[place, :, top : top + height, left : left + width]
    return moved


CORRUPTIONS: dict[str, Callable[[FloatArray, IntArray], FloatArray]] = {
    each.__name__: each for each in (noise, blur, contrast, shift)
}


class Corrupted:
    """Images that are corrupted when they are read; a row looks the same each time.

    Args:
        images: The images.
        name: One of `CORRUPTIONS`.
    """

    def __init__(self, images: Images, name: str) -> None:
        self._images, self._corrupt = images, CORRUPTIONS[name]

    def __len__(self) -> int:
        """Count the images."""
        return len(self._images)

    def read(
        self,
        rows: IntArray,
        random: np.random.Generator | None = None,
        size: int | None = None,
        part: slice = WHOLE,
    ) -> ByteArray:
        """Read images by row and corrupt them, (B, 3, H, W) uint8."""
        images = only_images(self._images.read(rows, random, size, part)).astype(np.float32)
        pixels = np.rint(self._corrupt(images / np.float32(255), rows[part]) * 255)
        return pixels.clip(0, 255).astype(np.uint8)


def _random(row: int) -> np.random.Generator:
    return np.random.default_rng([SEED, int(row)])
