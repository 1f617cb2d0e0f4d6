"""What the two CIFAR data sets share."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from mrlbench.downloads import may_fetch
from mrlbench.errors import UserError
from mrlbench.images import ImageArray
from mrlbench.protocols import Dataset, Split


def read_cifar(kind: Any, data_dir: Path) -> Dataset:  # noqa: ANN401 (a torchvision class)
    """Read torchvision's CIFAR `kind` from the data folder, downloading it when it is missing.

    Raises:
        UserError: Neither there nor to be had, or corrupted.
    """
    try:
        train, test = (
            kind(str(data_dir), train=part, download=may_fetch()) for part in (True, False)
        )
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"{kind.__name__}: expected {kind.base_folder} or {kind.filename} in {data_dir}, or a "
            f"network to download it ({str(error) or type(error).__name__})"
        ) from error
    split = _split(train)
    return Dataset(
        train=split,
        database=split,
        queries=_split(test),
        classes=tuple(train.classes),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        fingerprint=hashlib.sha256(train.data.tobytes() + test.data.tobytes()).hexdigest(),
    )


def _split(data: Any) -> Split:  # noqa: ANN401 (a torchvision data set)
    pixels = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))  # (N, 3, 32, 32)
    return Split(ImageArray(pixels, padding=4), np.asarray(data.targets, dtype=np.int64))
