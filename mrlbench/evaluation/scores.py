"""Per-query scores of ranked results, and the rows made of their means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, BoolArray, IntArray, Judged, Neighbors, blocks
from mrlbench.intervals import mean_intervals
from mrlbench.measurements import Row
from mrlbench.plugins import label, load, names
from mrlbench.protocols import Metric
from mrlbench.threads import map_blocks

TIE = 1e-6  # cosines closer than this are one value: what float32 sums over 2048 dims are good for
QUERIES_AT_ONCE = 1024
ARENA = "arena"  # the task whose rows differ by reduction and type too


def metric_scores(judged: Judged, ks: Sequence[int]) -> dict[str, AnyFloatArray]:
    """Score results by every metric plug-in at every k.

    Returns:
        The CSV's name of each metric, such as `map@10` and `top1`, -> (Q,).
    """
    wanted: list[tuple[str, Metric, int]] = []
    for name in names("metrics"):
        metric, pattern = load("metrics", name), label("metrics", name)
        pattern = pattern if "{k}" in pattern else pattern + "@{k}"
        wanted += [(pattern.format(k=k), metric, k) for k in ks]

    def score(rows: slice) -> list[AnyFloatArray]:
        some = judged.of(rows)
        return [metric(some.first(k)) for _, metric, k in wanted]

    blocks_of_scores = map_blocks(score, len(judged.gains), QUERIES_AT_ONCE)
    joined = [np.concatenate(each) for each in zip(*blocks_of_scores, strict=True)]
    return {name: each for (name, _, _), each in zip(wanted, joined, strict=True)}


def recall_scores(
    found: Neighbors, truth: Neighbors, name: str, k: int
) -> dict[str, AnyFloatArray]:
    """Compare the first `k` found with the true ones, by score and by id.

    Args:
        found: (Q, >= k), with scores on the same scale as the truth's.
        truth: (Q, >= k), exact.
        name: `recall_dim` or `recall_full`.
        k: Of the metric's name.

    Returns:
        The tie-aware recall (a result counts if it is among the true ones or, within 1e-6, as near
        as the k-th of them) and the strict one (by id), (Q,) each.
    """
    same = contained(found.ids[:, :k], truth.ids[:, :k])  # (Q, k)
    near = same | (found.scores[:, :k] >= truth.scores[:, k - 1 : k] - TIE)
    return {
        f"{name}@{k}": near.mean(axis=1),
        f"{name}_strict@{k}": same.mean(axis=1),
    }


def contained(some: IntArray, others: IntArray) -> BoolArray:
    """Tell which ids of each query, (Q, A), are among others of it, (Q, B) -> (Q, A)."""
    parts = [
        (some[rows, :, None] == others[rows, None, :]).any(axis=2)
        for rows in blocks(len(some), QUERIES_AT_ONCE)
    ]
    return np.concatenate(parts)


def mean_rows(template: Row, scores: Mapping[str, AnyFloatArray]) -> list[Row]:
    """Average scores over queries, with their intervals: one row for each metric."""
    if not scores:
        return []
    intervals = mean_intervals(np.stack(list(scores.values()), axis=1))  # (Q, M) -> M
    return [
        replace(
            template,
            metric=metric,
            k=_k_of(metric) or template.k,
            value=each.value,
            ci_low=each.low,
            ci_high=each.high,
            n=len(scores[metric]),
        )
        for metric, each in zip(scores, intervals, strict=True)
    ]


def raw_key(row: Row) -> str:
    """Name the per-query scores behind a row in a file under `raw/`.

    `map@10@dim16`, and for a schedule `map@10@dim16>2048@200`: its dims, then its lengths. In the
    arena, reduction and type stand before the dim.
    """
    kind = f"@{row.reducer}@{row.dtype}" if row.task == ARENA else ""
    schedule = f">{row.rerank_dims}@{row.shortlist}" if row.rerank_dims else ""
    return f"{row.metric}{kind}@dim{row.dim}{schedule}"


def _k_of(metric: str) -> int | None:
    """Read the k of `map@10` or `top5`."""
    digits = re.search(r"(\d+)$", metric)
    return int(digits.group()) if digits else None
