"""Class labels as they come in: integers, whatever their size."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import IntArray
from mrlbench.errors import UserError


def integers(path: Path, labels: NDArray[Any]) -> IntArray:
    """Accept integers only: float16 cannot tell classes above 2048 apart (PAPER: ImageNet-4K)."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path}: expected integer labels, got {labels.dtype} (float16 collapses classes above "
            "2048): write them as int64"
        )
    return labels.astype(np.int64)
