"""Lengths of vectors and prefixes, and what it costs to cut and forget to normalise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks
from mrlbench.evaluation.inspection.sample import Sample
from mrlbench.evaluation.inspection.scan import Scan
from mrlbench.evaluation.scores import recall_scores
from mrlbench.intervals import Interval, mean_intervals
from mrlbench.search.adaptive import rerank
from mrlbench.search.rows import scaled_with_norms

FEW = 0.05  # of the rows: fewer have unit length by chance
UNIT = 1e-3  # how far from 1 a length is still unit: what float16 coordinates are good for
QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Lengths:
    """Lengths of the stored vectors, over all rows.

    Attributes:
        smallest: Of a database row.
        median: Likewise.
        largest: Likewise.
        unit_database: The share of the rows of unit length.
        unit_queries: The share of the queries of unit length.
    """

    smallest: float
    median: float
    largest: float
    unit_database: float
    unit_queries: float

    @property
    def unit(self) -> str:
        """Say whether the stored vectors have unit length: all, none (but by chance) or some."""
        shares = (self.unit_database, self.unit_queries)
        return "all" if min(shares) == 1 else "none" if max(shares) < FEW else "some"


@dataclass(frozen=True)
class PrefixLength:
    """The first d coordinates as they are cut, in the sample.

    Attributes:
        dim: d.
        share: Mean of the prefix's length as a share of the whole row's.
        spread: Standard deviation of that share over rows: what inner products of raw prefixes
            mistake for nearness.
        empty: Rows whose prefix is all zeros, and has no direction.
        changed: Share of the 10 nearest by cosine that inner products of raw prefixes miss.
        low: Of its 95% interval.
        high: Likewise.
    """

    dim: int
    share: float
    spread: float
    empty: int
    changed: float
    low: float
    high: float


def measure_lengths(database: Scan, queries: Scan) -> Lengths:
    """Look at the length of every row."""
    smallest, median, largest = np.quantile(database.norms, (0, 0.5, 1))
    units = [float((np.abs(each.norms - 1) <= UNIT).mean()) for each in (database, queries)]
    return Lengths(float(smallest), float(median), float(largest), *units)


def measure_prefixes(
    sample: Sample, by_cosine: Mapping[int, Neighbors], dims: Sequence[int], k: int
) -> tuple[PrefixLength, ...]:
    """Compare neighbours by the inner product of raw prefixes with those by cosine.

    Args:
        sample: The vectors.
        by_cosine: The exact neighbours at each dim, (Q, >= k).
        dims: Increasing.
        k: Neighbours looked at.
    """
    norms = scaled_with_norms(sample.database, [*dims, sample.width])[1]  # (M + 1, N)
    shares = norms[:-1] / norms[-1]
    changed = _changed(sample, by_cosine, dims, k)
    return tuple(
        PrefixLength(
            dim,
            share=float(share.mean()),
            spread=float(share.std()),
            empty=int((share == 0).sum()),
            changed=each.value,
            low=each.low,
            high=each.high,
        )
        for dim, share, each in zip(dims, shares, changed, strict=True)
    )


def _changed(
    sample: Sample, by_cosine: Mapping[int, Neighbors], dims: Sequence[int], k: int
) -> list[Interval]:
    missed: list[AnyFloatArray] = []
    for dim, ids in search_raw(sample.database, sample.queries, dims, k).items():
        found = rerank(sample.database, sample.queries, ids, [dim])[dim]  # their cosines
        missed.append(1 - recall_scores(found, by_cosine[dim], "raw", k)[f"raw@{k}"])
    return mean_intervals(np.stack(missed, axis=1))


def search_raw(
    database: FloatArray, queries: FloatArray, dims: Sequence[int], k: int
) -> dict[int, IntArray]:
    """Find the `k` rows of the largest inner product at each dim, cut and not normalised.

    Args:
        database: (N, D).
        queries: (Q, D).
        dims: Increasing.
        k: At most N.

    Returns:
        For each dim, (Q, k), in no order.
    """
    found = {dim: np.empty((len(queries), k), dtype=np.int64) for dim in dims}
    for rows in blocks(len(queries), QUERIES_AT_ONCE):
        products = np.zeros((rows.stop - rows.start, len(database)), dtype=np.float32)
        start = 0
        for dim in dims:
            products -= queries[rows, start:dim] @ database[:, start:dim].T  # smallest first
            found[dim][rows] = np.argpartition(products, k - 1, axis=1)[:, :k]
            start = dim
    return found
