"""What a search reads: vectors in blocks of rows, scaled so that products stay within float32."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numba
import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.kernels.instructions import wide_number

LOWEST_EXPONENT = -1000


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


class Span:
    """Some consecutive rows of others, read when they are asked for."""

    def __init__(self, vectors: "AnyFloatArray | Rows", rows: slice) -> None:
        self._vectors, self._start = vectors, rows.start
        self.shape = (rows.stop - rows.start, vectors.shape[1])

    def __len__(self) -> int:
        """Count the rows."""
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> AnyFloatArray:
        """Read some rows, (B, D)."""
        start, stop, _ = rows.indices(len(self))
        return self._vectors[self._start + start : self._start + stop]


def scaled_with_norms(
    vectors: AnyFloatArray, dims: Sequence[int]
) -> tuple[FloatArray, AnyFloatArray]:
    """Cut to the widest dim, and scale rows by powers of two, in one compiled pass.

    Each row's largest coordinate comes into [0.5, 1). Cosines do not change, nothing is rounded
    that float32 can hold, and products of very long or very short vectors neither overflow nor
    vanish.

    Args:
        vectors: (N, D), any float type, memory-mapped or not; not changed.
        dims: Increasing.

    Returns:
        The rows, (N, d) float32, and the norm of each of their prefixes, (M, N) float64.
    """
    scaled = np.empty((len(vectors), dims[-1]), dtype=np.float32)
    norms = np.empty((len(dims), len(vectors)), dtype=np.float64)
    unpack(readable(vectors), np.array(dims), scaled, norms)
    return scaled, norms


def readable(vectors: AnyFloatArray) -> Any:  # noqa: ANN401 (floats, or the bits of halves)
    """View a store, (N, D), as something that compiled code reads: no copy, mapped or not."""
    plain = np.asarray(vectors)  # the base class of a memory map, which is all a kernel knows
    return plain.view(np.uint16) if plain.dtype == np.float16 else plain


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def unpack(store: Any, dims: IntArray, scaled: FloatArray, norms: AnyFloatArray) -> None:  # noqa: ANN401
    """Do the work of `scaled_with_norms` on something `readable`, into what is given."""
    width = scaled.shape[1]
    for row in range(scaled.shape[0]):
        source, target = store[row, :width], scaled[row]
        largest = 0.0
        for column in range(len(source)):
            largest = max(largest, abs(wide_number(source[column])))
        # a denormal's factor would itself overflow
        factor = math.ldexp(1.0, -max(math.frexp(largest)[1], LOWEST_EXPONENT))
        square, start = 0.0, 0
        for place in range(len(dims)):
            before, after = source[start : dims[place]], target[start : dims[place]]
            for column in range(len(before)):
                value = np.float32(wide_number(before[column]) * factor)
                after[column] = value
                square += np.float64(value) * value
            norms[place, row] = math.sqrt(square)
            start = dims[place]
