"""How sure a head is, and how likely it finds the label: one pass over blocks of logits."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.threads import map_blocks

Float64 = NDArray[np.float64]

BLOCK_VALUES = 2**17  # a block of float64 stays in a core's cache

# Thresholds are looked for among these; the first is the paper's (sec. 4.2.1)
RULES: dict[str, Float64] = {
    "max-softmax": np.linspace(0.1, 1, 100),
    "margin": np.linspace(0, 1, 100),
    "entropy": np.linspace(0, 1, 100),
}


def confidences(logits: AnyFloatArray, temperature: float = 1.0) -> Float64:
    """Say how sure a head is of each query, by each of the `RULES`.

    `max-softmax` is the largest probability; `margin` that less the second largest; `entropy` is
    1 - H / log C, which is 1 for one certain class and 0 when all are equally likely.

    Args:
        logits: (Q, C).
        temperature: Divides the logits.

    Returns:
        (rules, Q), in [0, 1]; float64 throughout, so that a threshold and a probability compare
        as they do in plain Python.
    """
    return _by_block(logits, lambda rows: _confidences(logits[rows], temperature))


def negative_log_likelihoods(centred: FloatArray, labels: IntArray, temperature: float) -> Float64:
    """Compute -log p(label) of each query with logits divided by the temperature.

    Args:
        centred: (Q, C), logits less the largest of their row, so that nothing overflows; float32,
            which is enough to choose a temperature on a grid.
        labels: (Q,).
        temperature: See above.

    Returns:
        (Q,).
    """
    factor = np.float32(1 / temperature)

    def of(rows: slice) -> Float64:
        scaled = centred[rows] * factor  # (B, C)
        own = np.take_along_axis(scaled, labels[rows, None], axis=1)[:, 0]  # (B,)
        result: Float64 = np.log(np.exp(scaled, out=scaled).sum(axis=1, dtype=np.float64)) - own
        return result

    return _by_block(centred, of)


def _confidences(logits: AnyFloatArray, temperature: float) -> Float64:
    centred = _centred(logits, temperature)  # (B, C), at most 0
    weights = np.exp(centred)  # (B, C)
    total = weights.sum(axis=1)  # (B,), at least 1: the largest logit's weight is 1
    entropy = np.log(total) - np.einsum("bc,bc->b", weights, centred) / total  # (B,)
    np.put_along_axis(weights, logits.argmax(axis=1)[:, None], 0, axis=1)
    second = weights.max(axis=1)  # (B,)
    certainty = 1 - entropy / np.log(max(2, logits.shape[1]))
    return np.stack([1 / total, (1 - second) / total, np.clip(certainty, 0, 1)])


def _centred(logits: AnyFloatArray, temperature: float) -> Float64:
    """Take the largest logit of each row away and divide by the temperature, in float64."""
    centred: Float64 = np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64)
    if temperature != 1:
        centred /= temperature
    return centred


def _by_block(logits: AnyFloatArray, of: Callable[[slice], Float64]) -> Float64:
    size = max(1, BLOCK_VALUES // logits.shape[1])
    return np.concatenate(map_blocks(of, len(logits), size), axis=-1)
