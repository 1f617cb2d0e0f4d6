"""How variance is spread over coordinates, and coordinates that say nothing or too much."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import FloatArray, prefix
from mrlbench.evaluation.inspection.scan import Scan
from mrlbench.moments import moments

DEAD = 1e-3  # of the root mean square of the coordinates' standard deviations
DOMINATING = 100  # times the mean square of an average coordinate
MOST_NAMED = 5


@dataclass(frozen=True)
class Spectrum:
    """How the variance of the database is spread; all of it is 0 where no two rows differ.

    Attributes:
        dims: The dims measured.
        prefix: The share of the variance in the first d coordinates, for each dim.
        pca: The share in the d principal axes, the most that any d directions can have.
        effective_rank: exp of the entropy of the shares of the D principal axes (Roy & Vetterli,
            2007): D when they are equal, 1 when there is only one.
        participation_ratio: (Σλ)² / Σλ² over the D principal axes; less moved by small ones.
    """

    dims: tuple[int, ...]
    prefix: tuple[float, ...]
    pca: tuple[float, ...]
    effective_rank: float
    participation_ratio: float


@dataclass(frozen=True)
class Coordinates:
    """Coordinates out of the ordinary, and how far the vectors all point the same way.

    Attributes:
        width: D.
        zero: Coordinates that are 0 in every row of the database.
        constant: Coordinates that are one other value in every row.
        dead: Other coordinates whose standard deviation is below a thousandth of the usual one.
        dominating: Coordinates whose mean square is over 100 times the average coordinate's, the
            largest first, five at most.
        largest_share: Of the sum of squares, in one coordinate.
        mean_norm: The length of the mean of the unit vectors, 0 to 1.
        mean_cosine: Of two different rows.
    """

    width: int
    zero: int
    constant: int
    dead: int
    dominating: tuple[int, ...]
    largest_share: float
    mean_norm: float
    mean_cosine: float


def measure_spectrum(database: FloatArray, dims: Sequence[int]) -> Spectrum:
    """Compare the variance that a prefix keeps with the most that can be kept at its width.

    Args:
        database: (N, D).
        dims: To measure, each at most D.
    """
    covariance = _covariance(database)  # (D, D)
    values = np.linalg.eigvalsh(covariance)[::-1].clip(min=0)  # (D,)
    shares = values / (values.sum() or 1)
    kept, best = np.cumsum(np.diag(covariance)) / (values.sum() or 1), np.cumsum(shares)
    some = shares[shares > 0]
    return Spectrum(
        dims=tuple(dims),
        prefix=tuple(min(1.0, float(kept[dim - 1])) for dim in dims),
        pca=tuple(min(1.0, float(best[dim - 1])) for dim in dims),
        effective_rank=float(np.exp(-(some * np.log(some)).sum())) if len(some) else 0.0,
        participation_ratio=float(1 / np.square(some).sum()) if len(some) else 0.0,
    )


def measure_coordinates(database: FloatArray, scan: Scan) -> Coordinates:
    """Look at each coordinate, and at the mean direction.

    Args:
        database: (N, D), a sample.
        scan: Of all rows: only they can say that a coordinate never changes.
    """
    still = scan.low == scan.high  # (D,)
    zero = still & (scan.low == 0)
    deviations = database.std(axis=0, dtype=np.float64)  # (D,)
    usual = np.sqrt(np.square(deviations).mean())
    dead = ~still & (deviations < DEAD * usual)
    squares = np.square(database, dtype=np.float64).mean(axis=0)  # (D,)
    large = np.flatnonzero(squares > DOMINATING * squares.mean())
    unit = prefix(database, database.shape[1])
    count, length = len(unit), float(np.linalg.norm(unit.mean(axis=0, dtype=np.float64)))
    return Coordinates(
        width=len(still),
        zero=int(zero.sum()),
        constant=int((still & ~zero).sum()),
        dead=int(dead.sum()),
        dominating=tuple(int(each) for each in large[np.argsort(-squares[large])][:MOST_NAMED]),
        largest_share=float(squares.max() / squares.sum()),
        mean_norm=length,
        # ‖Σu‖² = N + the sum of the cosines of all N (N - 1) pairs
        mean_cosine=(count * length**2 - 1) / (count - 1),
    )


def _covariance(database: FloatArray) -> NDArray[np.float64]:
    """Centre first: a large mean would drown the variance in float32 products."""
    mean = database.mean(axis=0, dtype=np.float64).astype(np.float32)
    rest, second = moments(database - mean)
    covariance: NDArray[np.float64] = second - np.outer(rest, rest)
    return covariance
