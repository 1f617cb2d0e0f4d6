"""Semantic textual similarity at every dim: how well the cosines of pairs follow their scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, blocks
from mrlbench.embedding.pair_scores import open_pair_scores
from mrlbench.evaluation.source import Reduced, Source, reduce
from mrlbench.intervals import correlation_intervals
from mrlbench.measurements import Row

ROWS_AT_ONCE = 4096
DECIMALS = 12  # float64 sums are good for more, but not for much more


def evaluate_sts(source: Source) -> list[Row]:
    """Correlate cosines with scores at every dim, for the prefix and the baselines.

    Raises:
        UserError: The folder has no scores of pairs.
    """
    scores = open_pair_scores(source.embeddings)  # (Q,)
    rows: list[Row] = []
    for reducer in ("prefix", *source.baselines):
        cosines = pair_cosines(*reduce(source.embeddings, reducer), source.dims)
        for dim, each in cosines.items():
            template = source.row(task="sts", reducer=reducer, dim=dim, n=len(scores))
            rows += [
                replace(template, metric=name, value=value, ci_low=low, ci_high=high)
                for name, (value, low, high) in correlation_intervals(each, scores).items()
            ]
        raw = {f"cosine@dim{dim}": each for dim, each in cosines.items()}
        source.save_raw(f"cosines-sts-{reducer}", raw)
    return rows


def pair_cosines(
    first: AnyFloatArray | Reduced, second: AnyFloatArray | Reduced, dims: Sequence[int]
) -> dict[int, AnyFloatArray]:
    """Take the cosine of row i with row i at each dim, in float64.

    Ranks tell apart what float32 would make equal; but parallel vectors, as of the same text, have
    cosine 1 and not now and then a bit less. A prefix of zeros has cosine 0 with everything.

    Returns:
        For each dim, (Q,).
    """
    found: dict[int, AnyFloatArray] = {dim: np.empty(len(first)) for dim in dims}
    for rows in blocks(len(first), ROWS_AT_ONCE):
        one, other = (np.asarray(each[rows], dtype=np.float64) for each in (first, second))
        for dim in dims:
            found[dim][rows] = _cosines(one[:, :dim], other[:, :dim])
    return found


def _cosines(first: AnyFloatArray, second: AnyFloatArray) -> AnyFloatArray:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)  # (B,)
    products: AnyFloatArray = np.einsum("bd,bd->b", first, second)
    return np.round(products / np.where(norms > 0, norms, 1), DECIMALS)
