"""Fashion-MNIST with a long tail: 6,000 photos of the most frequent class, 6 of the rarest."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.datasets.fashion_mnist import SIZES as ALL
from mrlbench.datasets.fashion_mnist import fashion_mnist
from mrlbench.images import SomeImages
from mrlbench.protocols import Dataset, Split

IMBALANCE = 1000  # of the most frequent class to the rarest: many, medium and few shots of ten
SEED = 0  # shuffles the classes
SIZES = replace(ALL, train=11_192, database=11_192)


def fashion_mnist_lt(data_dir: Path, padding: int = 0) -> Dataset:
    """Fashion-MNIST with 6,000 to 6 photos of a class; the queries stay as they are, 1,000 of each.

    The counts fall exponentially, as in Cui et al., "Class-balanced loss based on effective number
    of samples", CVPR 2019, section 5.1.

    Args:
        data_dir: As for fashion-mnist.
        padding: Likewise.
    """
    whole = fashion_mnist(data_dir, padding)
    rows = long_tail(whole.train.labels, len(whole.classes))
    train = Split(SomeImages(whole.train.images, rows), whole.train.labels[rows])
    fingerprint = hashlib.sha256(whole.fingerprint.encode() + rows.tobytes()).hexdigest()
    return replace(whole, train=train, database=train, fingerprint=fingerprint)


def long_tail(labels: IntArray, classes: int) -> IntArray:
    """Choose rows, in order, so that the r-th class keeps a share of IMBALANCE^(-r / (C - 1)).

    Args:
        labels: (N,).
        classes: C, at least 2.
    """
    rank = np.random.default_rng(SEED).permutation(classes)  # of each class, 0 the most frequent
    kept = []
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        share = IMBALANCE ** (-rank[label] / (classes - 1))
        kept.append(rows[: max(1, round(len(rows) * share))])
    chosen: IntArray = np.sort(np.concatenate(kept))
    return chosen
