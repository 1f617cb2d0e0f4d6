"""scikit-learn's digits: 1,797 images of 8 × 8, inside the package, for smoke tests."""

import hashlib
from pathlib import Path

import numpy as np

from mrlbench.images import ImageArray
from mrlbench.protocols import Dataset, Split

QUERIES = 360


def digits(data_dir: Path) -> Dataset:
    """Handwritten digits of 8 × 8 that need no network; the last 360 are the queries.

    Args:
        data_dir: Not used: the images are in scikit-learn's wheel.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    labels = bunch.target.astype(np.int64)
    train = Split(ImageArray(pixels[:-QUERIES], padding=1, flip=False), labels[:-QUERIES])
    queries = Split(ImageArray(pixels[-QUERIES:]), labels[-QUERIES:])
    return Dataset(
        train=train,
        database=train,
        queries=queries,
        classes=tuple(str(name) for name in bunch.target_names),
        mean=(0.305, 0.305, 0.305),
        std=(0.376, 0.376, 0.376),
        fingerprint=hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
    )
