"""Per-query scores of ranked results, and the rows made of their means."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mrlbench.arrays import FloatArray, Judged, Neighbors
from mrlbench.intervals import mean_intervals
from mrlbench.measurements import Row
from mrlbench.plugins import label, load, names

TIE = 1e-6  # cosines closer than this are one value in float32


def metric_scores(judged: Judged, ks: Sequence[int]) -> dict[str, FloatArray]:
    """Score results by every metric plug-in at every k.

    Returns:
        The CSV's name of each metric, such as `map@10` and `top1`, -> (Q,).
    """
    scores = {}
    for name in names("metrics"):
        pattern = label("metrics", name)
        pattern = pattern if "{k}" in pattern else pattern + "@{k}"
        for k in ks:
            scores[pattern.format(k=k)] = load("metrics", name)(judged.first(k))
    return scores


def recall_scores(found: Neighbors, truth: Neighbors, name: str, k: int) -> dict[str, FloatArray]:
    """Compare the first `k` found with the true ones, by score and by id.

    Args:
        found: (Q, >= k), with scores on the same scale as the truth's.
        truth: (Q, >= k), exact.
        name: `recall_dim` or `recall_full`.
        k: Of the metric's name.

    Returns:
        The tie-aware recall (a result counts if it is as near as the k-th true one) and the strict
        one (by id), (Q,) each.
    """
    same = (found.ids[:, :k, None] == truth.ids[:, None, :k]).any(axis=2)  # (Q, k)
    near = same | (found.scores[:, :k] >= truth.scores[:, k - 1 : k] - TIE)
    return {
        f"{name}@{k}": near.mean(axis=1, dtype=np.float32),
        f"{name}_strict@{k}": same.mean(axis=1, dtype=np.float32),
    }


def mean_rows(template: Row, scores: Mapping[str, FloatArray]) -> list[Row]:
    """Average scores over queries, with their intervals: one row for each metric."""
    intervals = mean_intervals(np.stack(list(scores.values()), axis=1))  # (Q, M) -> M
    return [
        replace(
            template,
            metric=metric,
            value=each.mean,
            ci_low=each.low,
            ci_high=each.high,
            n=len(scores[metric]),
        )
        for metric, each in zip(scores, intervals, strict=True)
    ]
