"""Unit vectors in fewer bits: codes by FAISS, fitted on the database, and exact search over them.

Each row is cut, normalised and then coded. A query is compared with what a code stands for, by
their inner product, as FAISS's indexes of the same codes do; signs are compared with signs. Signs
are taken of the coordinates (`binary`), or of what is left when the database's mean is subtracted
(`binary-mean`): the signs of features that are never negative say nothing.
"""

from collections.abc import Callable
from math import gcd
from typing import Any

import faiss as library  # its type hints leave out what is made when it is loaded
import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, Neighbors, prefix
from mrlbench.costs.scanning import CENTROIDS
from mrlbench.costs.storage import row_bytes
from mrlbench.errors import UserError
from mrlbench.search import nested_search
from mrlbench.search.rows import Rows

faiss: Any = library
FLOAT32, BINARY, BINARY_MEAN, PQ = "float32", "binary", "binary-mean", "pq"
SIGNS = (BINARY, BINARY_MEAN)
DTYPES = (FLOAT32, "float16", "int8", *SIGNS, PQ)
SUBSPACE = 8  # coordinates that share a byte of a product quantiser: one bit for each, as signs
ITERATIONS = 10  # of its k-means
ROWS_PER_CENTROID = 4
SPARE = 1e-2  # an int8 code may stand for half a step more: its square for a hundredth, at most


def check_dtypes(dtypes: tuple[str, ...], rows: int) -> None:
    """Refuse types that are not known, or that so few rows cannot fit.

    Raises:
        UserError: One line.
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise UserError(f"--dtypes: expected some of {', '.join(DTYPES)}, got {dtype!r}")
    fewest = CENTROIDS * ROWS_PER_CENTROID
    if PQ in dtypes and rows < fewest:
        others = ",".join(each for each in DTYPES if each != PQ)
        raise UserError(
            f"--dtypes: pq needs at least {fewest:,} rows of a database, got {rows:,}; expected "
            f"others, such as {others}"
        )


def code_bytes(dim: int, dtype: str) -> int:
    """Count the bytes of one row of `dim` coordinates."""
    if dtype == PQ:
        return dim // gcd(dim, SUBSPACE)
    return row_bytes(dim, BINARY if dtype in SIGNS else dtype)


class Codec:
    """Codes of one type for unit vectors of one dim.

    Args:
        dtype: Any of `DTYPES` but float32.
        sample: (S, d) unit rows of the database: what means, ranges and centroids are learnt from.
        seed: Of the k-means clusterings.
    """

    def __init__(self, dtype: str, sample: FloatArray, seed: int = 0) -> None:
        dim = sample.shape[1]
        self.dtype, self.dim = dtype, dim
        self._mean: FloatArray | None = None  # (d,)
        if dtype == BINARY_MEAN:
            self._mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._index = MAKERS[dtype](dim)
        if dtype == PQ:
            clustering = self._index.pq.cp
            clustering.seed, clustering.niter = seed, ITERATIONS
            clustering.min_points_per_centroid = ROWS_PER_CENTROID
        self._index.train(sample)

    @property
    def table_bytes(self) -> int:
        """Bytes of what was learnt, whatever the number of rows."""
        mean = 0 if self._mean is None else self._mean.nbytes
        return len(faiss.serialize_index(self._index)) + mean

    def rounded(self, rows: FloatArray) -> FloatArray:
        """Give what the codes of unit rows stand for, (B, d)."""
        coded = rows if self._mean is None else rows - self._mean
        decoded: FloatArray = self._index.sa_decode(self._index.sa_encode(coded))
        return decoded

    def asked(self, queries: FloatArray) -> FloatArray:
        """Give what unit queries, (Q, d), are compared as: signs with signs, others as they are."""
        return self.rounded(queries) if self.dtype in SIGNS else queries


MAKERS: dict[str, Callable[[int], Any]] = {
    "float16": lambda dim: faiss.index_factory(dim, "SQfp16"),
    "int8": lambda dim: faiss.index_factory(dim, "SQ8"),
    **dict.fromkeys(SIGNS, lambda dim: faiss.IndexLSH(dim, dim, False)),
    PQ: lambda dim: faiss.IndexPQ(dim, code_bytes(dim, PQ), 8),
}


class _Decoded:
    """Rows as their codes give them back, one block at a time, all made equally long.

    One more coordinate, which is 0 in every query, brings each row to the length √d that no decoded
    row exceeds. Then the order by cosine is the order by inner product.
    """

    def __init__(self, vectors: Rows, codec: Codec) -> None:
        self._vectors, self._codec = vectors, codec
        self.shape = (len(vectors), codec.dim + 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> AnyFloatArray:
        decoded = self._codec.rounded(prefix(self._vectors[rows], self._codec.dim))  # (B, d)
        squares = np.einsum("nd,nd->n", decoded, decoded, dtype=np.float64)
        # parts of a unit row, and so their codes, are no longer than 1; there are at most d
        rest = np.sqrt(np.maximum(self._codec.dim * (1 + SPARE) - squares, 0))
        return np.concatenate([decoded, rest[:, None].astype(np.float32)], axis=1)


def search_codes(
    database: Rows, queries: FloatArray, codec: Codec, k: int, device: str | None = None
) -> Neighbors:
    """Find the `k` rows whose codes have the largest inner product with each query.

    Rows are coded when they are read, so that the database is never in memory whole.

    Args:
        database: (N, D), cut to the codec's dim.
        queries: (Q, D), likewise.
        codec: Fitted.
        k: Results.
        device: Where the exact search computes; None is the CPU.

    Returns:
        (Q, k), nearest first, ties by lower id. Scores are inner products up to a factor.
    """
    asked = codec.asked(prefix(queries, codec.dim))
    asked = np.concatenate([asked, np.zeros((len(asked), 1), np.float32)], axis=1)  # (Q, d + 1)
    width = codec.dim + 1
    return nested_search(_Decoded(database, codec), asked, [width], k, device=device)[width]
