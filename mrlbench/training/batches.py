"""Batches for training and for evaluation, read ahead while the last one computes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mrlbench.arrays import InputArray, IntArray, blocks
from mrlbench.protocols import Dataset, Images, Split

Result = TypeVar("Result")


def training_batches(
    split: Split, batch_size: int, seed: int, epoch: int, size: int | None = None
) -> Iterator[tuple[InputArray, IntArray]]:
    """Give each image once, shuffled and augmented; the last short batch is left out.

    The order and the augmentation depend on seed, epoch and batch alone, so that a training that
    resumes sees what it would have seen.

    Args:
        split: What to read.
        batch_size: B.
        seed: Of the training.
        epoch: From 0.
        size: H and W other than the data set's own.

    Yields:
        Images (B, 3, H, W) uint8 and labels (B,).
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(split.labels))
    batch_size = min(batch_size, len(order))
    starts = range(0, len(order) - batch_size + 1, batch_size)

    def read(number: int) -> tuple[InputArray, IntArray]:
        rows = order[starts[number] : starts[number] + batch_size]
        random = np.random.default_rng([seed, epoch, number])
        return split.images.read(rows, random, size), split.labels[rows]

    yield from _read_ahead(read, len(starts))


def evaluation_batches(images: Images, start: int, batch_size: int) -> Iterator[InputArray]:
    """Give the images from `start` on in order, without augmentation, (B, 3, H, W) uint8."""
    slices = [
        slice(s.start + start, s.stop + start) for s in blocks(len(images) - start, batch_size)
    ]

    def read(number: int) -> InputArray:
        return images.read(np.arange(slices[number].start, slices[number].stop))

    yield from _read_ahead(read, len(slices))


def to_input(images: InputArray, dataset: Dataset, device: torch.device) -> Tensor:
    """Normalise by the data set's mean and std, (B, 3, H, W) float32 in channels-last order.

    Vectors, (B, D) of a data set of embeddings, stay as they are.
    """
    if images.dtype != np.uint8:
        return torch.from_numpy(images).to(device, non_blocking=True)
    writable = np.require(images, requirements=["C", "W"])  # copies only what torch cannot share
    pixels = torch.from_numpy(writable).to(device, non_blocking=True)
    mean, std = (
        torch.tensor(each, device=device).view(3, 1, 1) for each in (dataset.mean, dataset.std)
    )
    normalised = pixels.float().div_(255).sub_(mean).div_(std)
    return normalised.to(memory_format=torch.channels_last)


def _read_ahead(read: Callable[[int], Result], count: int) -> Iterator[Result]:
    """Call `read` for 0, 1, … one call ahead, in a thread."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(read, 0) if count else None
        for number in range(count):
            assert following is not None
            current = following.result()
            following = pool.submit(read, number + 1) if number + 1 < count else None
            yield current
