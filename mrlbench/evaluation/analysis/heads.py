"""What the heads say about the queries: the class that each predicts, and whether it is right."""

from dataclasses import dataclass

import numpy as np

from mrlbench.arrays import BoolArray, IntArray
from mrlbench.embedding.logits import head_dims, open_logits
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.source import Source


@dataclass(frozen=True)
class Heads:
    """Predictions of the heads at M dims, narrowest first.

    Attributes:
        dims: M dims.
        labels: (Q,), the true class.
        classes: C.
        predicted: (M, Q), the class of the highest logit.
        right: (M, Q), whether the label's logit is higher than all others.
    """

    dims: tuple[int, ...]
    labels: IntArray
    classes: int
    predicted: IntArray
    right: BoolArray


def open_heads(source: Source) -> Heads:
    """Read the logits of the source's dims.

    Raises:
        UserError: There are none.
    """
    logits, labels = open_logits(source.embeddings.folder)
    dims = tuple(dim for dim in source.dims if dim in logits)
    return Heads(
        dims,
        labels,
        logits[dims[0]].shape[1],
        np.stack([logits[dim].argmax(axis=1) for dim in dims]),
        np.stack([top_k(logits[dim], labels, 1) == 1 for dim in dims]),
    )


def why_not_heads(source: Source, fewest: int = 1) -> str | None:
    """Say why an analysis of the heads cannot be done; None if it can."""
    path, heads = source.embeddings.folder / "logits.npz", head_dims(source.embeddings.folder)
    if not heads:
        return f"expected logits in {path}, got no such file"
    known = [dim for dim in source.dims if dim in heads]
    if len(known) < fewest:
        return (
            f"expected heads at {fewest} or more of the dims {list(source.dims)} in {path}, got "
            f"{len(known)}"
        )
    return None
