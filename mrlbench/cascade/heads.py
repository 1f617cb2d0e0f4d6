"""What the cascade knows of each head: how sure it is of each query, plain and calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from mrlbench.arrays import AnyFloatArray, BoolArray, IntArray
from mrlbench.cascade.confidence import Float64, confidences, negative_log_likelihoods
from mrlbench.cascade.outcome import SplitRows
from mrlbench.cascade.temperature import GRID, fit_temperature


@dataclass(frozen=True)
class HeadConfidence:
    """How sure one head is of each query, by rule and temperature.

    Attributes:
        by_temperature: (U, rules, Q), for each temperature that any split uses.
        temperatures: (U,).
        chosen: (S,), which of them each split uses.
    """

    by_temperature: Float64
    temperatures: Float64
    chosen: IntArray


@dataclass(frozen=True)
class Heads:
    """M heads on all queries, and how the queries are split.

    Attributes:
        dims: (M,), increasing.
        right: (Q, M), whether each finds the label.
        plain: M of them.
        calibrated: M of them.
        splits: S of them.
    """

    dims: IntArray
    right: BoolArray
    plain: Sequence[HeadConfidence]
    calibrated: Sequence[HeadConfidence]
    splits: Sequence[SplitRows]


def uncalibrated(logits: AnyFloatArray, splits: int) -> HeadConfidence:
    """Take the logits, (Q, C), as they are: a temperature of 1 in every split."""
    return HeadConfidence(confidences(logits)[None], np.ones(1), np.zeros(splits, dtype=np.int64))


def calibrated(
    logits: AnyFloatArray, labels: IntArray, tunings: Sequence[IntArray]
) -> HeadConfidence:
    """Fit a temperature for each split on its tuning queries only.

    Args:
        logits: (Q, C).
        labels: (Q,).
        tunings: Of each split, the rows to fit on.
    """
    centred = (logits - logits.max(axis=1, keepdims=True)).astype(np.float32, copy=False)

    @cache
    def losses(place: int) -> Float64:
        return negative_log_likelihoods(centred, labels, float(GRID[place]))

    fitted = [fit_temperature(losses, tuning) for tuning in tunings]
    used, chosen = np.unique(fitted, return_inverse=True)
    tables = [confidences(logits, float(GRID[place])) for place in used]
    return HeadConfidence(np.stack(tables), GRID[used], chosen.astype(np.int64))


def of_split(heads: Sequence[HeadConfidence], rule: int, split: int) -> Float64:
    """Put together how sure the heads are of all queries in one split, (Q, M)."""
    return np.stack([head.by_temperature[head.chosen[split], rule] for head in heads], axis=1)
