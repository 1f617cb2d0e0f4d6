"""Batches for training and for evaluation, read ahead while the last one computes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mrlbench import ranks
from mrlbench.arrays import InputArray, Inputs, IntArray, blocks
from mrlbench.protocols import Dataset, Images, Split

Result = TypeVar("Result")
Tensors = Tensor | tuple[Tensor, ...]


def training_batches(
    split: Split, batch_size: int, seed: int, epoch: int, size: int | None = None
) -> Iterator[tuple[Inputs, IntArray]]:
    """Give each image once, shuffled and augmented; the last short batch is left out.

    The order and the augmentation depend on seed, epoch and batch alone, so that a training that
    resumes sees what it would have seen. Of several processes each gets every so-manieth image of a
    batch, and of each of its micro-batches.

    Args:
        split: What to read.
        batch_size: B.
        seed: Of the training.
        epoch: From 0.
        size: H and W other than the data set's own.

    Yields:
        Images (B, 3, H, W) uint8, or other inputs, and labels (B,).
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(split.images))
    batch_size = min(batch_size, len(order))
    starts = range(0, len(order) - batch_size + 1, batch_size)
    part = slice(ranks.rank(), None, ranks.count())

    def read(number: int) -> tuple[Inputs, IntArray]:
        rows = order[starts[number] : starts[number] + batch_size]
        random = np.random.default_rng([seed, epoch, number])
        return split.read(rows, random, size, part)

    yield from _read_ahead(read, len(starts))


def evaluation_batches(images: Images, rows: slice, batch_size: int) -> Iterator[Inputs]:
    """Give some of the images in order, without augmentation, (B, 3, H, W) uint8."""
    start = rows.start
    slices = [slice(s.start + start, s.stop + start) for s in blocks(rows.stop - start, batch_size)]

    def read(number: int) -> Inputs:
        return images.read(np.arange(slices[number].start, slices[number].stop))

    yield from _read_ahead(read, len(slices))


def to_input(inputs: Inputs, dataset: Dataset, device: torch.device) -> Tensors:
    """Normalise images by the data set's mean and std, (B, 3, H, W) float32, channels last.

    Vectors, (B, D) of a data set of embeddings, and token ids stay as they are.
    """
    if isinstance(inputs, tuple):
        return tuple(to_tensor(each, dataset, device) for each in inputs)
    return to_tensor(inputs, dataset, device)


def to_tensor(images: InputArray, dataset: Dataset, device: torch.device) -> Tensor:
    """Do what `to_input` does with inputs that are one array."""
    if images.dtype != np.uint8:
        return torch.from_numpy(images).to(device, non_blocking=True)
    writable = np.require(images, requirements=["C", "W"])  # copies only what torch cannot share
    pixels = torch.from_numpy(writable).to(device, non_blocking=True)
    mean, std = (
        torch.tensor(each, device=device).view(3, 1, 1) for each in (dataset.mean, dataset.std)
    )
    normalised = pixels.float().div_(255).sub_(mean).div_(std)
    return normalised.to(memory_format=torch.channels_last)


def parts(inputs: Tensors, labels: Tensor, size: int) -> Iterator[tuple[Tensors, Tensor]]:
    """Cut a batch into parts of at most `size` inputs with their labels; 0 keeps it whole."""
    columns = inputs if isinstance(inputs, tuple) else (inputs,)
    size = size or len(columns[0])
    each = len(labels) // len(columns[0])  # answers of one input: masked text has several
    cut = zip(*(torch.split(column, size) for column in columns), strict=True)
    for some, theirs in zip(cut, torch.split(labels, size * each), strict=True):
        yield (some if isinstance(inputs, tuple) else some[0]), theirs


def _read_ahead(read: Callable[[int], Result], count: int) -> Iterator[Result]:
    """Call `read` for 0, 1, … one call ahead, in a thread."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(read, 0) if count else None
        for number in range(count):
            assert following is not None
            current = following.result()
            following = pool.submit(read, number + 1) if number + 1 < count else None
            yield current
