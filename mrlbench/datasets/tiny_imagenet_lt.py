"""Tiny-ImageNet with a long tail: 500 photos of the most frequent class, 5 of the rarest."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrlbench.arrays import IntArray
from mrlbench.datasets.tiny_imagenet import SIDE, tiny_imagenet
from mrlbench.datasets.tiny_imagenet import SIZES as ALL
from mrlbench.images import SomeImages
from mrlbench.protocols import Dataset, Split

IMBALANCE = 100  # of the most frequent class to the rarest, as usual for CIFAR's long tail
SEED = 0  # shuffles the classes: in the order of their WordNet ids, animals would be frequent
SIZES = replace(ALL, train=21_645, database=21_645)


def tiny_imagenet_lt(data_dir: Path, padding: int = 4, size: int = SIDE) -> Dataset:
    """Tiny-ImageNet with 500 to 5 photos of a class; the queries stay as they are, 50 of each.

    The counts fall exponentially, as in Cui et al., "Class-balanced loss based on effective number
    of samples", CVPR 2019, section 5.1.

    Args:
        data_dir: As for tiny-imagenet.
        padding: Likewise.
        size: Likewise.
    """
    whole = tiny_imagenet(data_dir, padding, size)
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
