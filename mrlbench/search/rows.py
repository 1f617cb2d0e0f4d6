"""What a search reads: vectors in blocks of rows, scaled so that products stay within float32."""

from typing import Protocol

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray


class Rows(Protocol):
    """Vectors that can only be read in blocks of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, rows: slice) -> AnyFloatArray:
        """Read some rows, (B, D)."""
        ...


def scaled_rows(vectors: AnyFloatArray) -> FloatArray:
    """Scale each row by a power of two so that its largest coordinate is in [0.5, 1), in float32.

    Cosines do not change, nothing is rounded that float32 can hold, and products of very long or
    very short vectors neither overflow nor vanish.

    Args:
        vectors: (N, D), any float type; not changed.
    """
    wide = vectors if vectors.dtype == np.float64 else np.asarray(vectors, dtype=np.float32)
    _, exponents = np.frexp(np.abs(wide).max(axis=1, keepdims=True))  # (N, 1)
    lowest = 1000 if wide.dtype == np.float64 else 126  # beyond it the factor itself overflows
    factors = np.ldexp(1.0, -exponents.clip(-lowest, lowest)).astype(wide.dtype)
    scaled: FloatArray = (wide * factors).astype(np.float32, copy=False)
    return scaled
