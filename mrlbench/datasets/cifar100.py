"""CIFAR-100: 50,000 + 10,000 photos of 32 × 32, 100 classes."""

from pathlib import Path

from torchvision.datasets import CIFAR100

from mrlbench.cifar import read_cifar
from mrlbench.protocols import Dataset, Sizes

SIZES = Sizes(50_000, 50_000, 10_000, 100, (3, 32, 32))


def cifar100(data_dir: Path) -> Dataset:
    """Photos of 100 kinds of things, 32 × 32, by torchvision.

    Args:
        data_dir: Where torchvision's files are, or are downloaded to.
    """
    return read_cifar(CIFAR100, data_dir)
