"""Linear accuracy of each head, from the logits of the queries."""

import numpy as np

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.embedding.folder import open_logits
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row


def evaluate_classification(source: Source) -> list[Row]:
    """Measure top-1 and top-5 at each of the source's dims that has a head."""
    logits, labels = open_logits(source.embeddings.folder)
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim in (each for each in source.dims if each in logits):
        scores = {f"top{k}": top_k(logits[dim], labels, k) for k in (1, 5)}
        template = source.row(task="classification", dim=dim, n_database=None)
        rows += mean_rows(template, scores)
        raw |= {f"{metric}@{dim}": each for metric, each in scores.items()}
    source.save_raw("scores-classification", raw)
    return rows


def top_k(logits: FloatArray, labels: IntArray, k: int) -> FloatArray:
    """Score 1 where the label is among the k highest logits, (Q, C) -> (Q,).

    A class with the same logit as the label's counts as higher, so that constant logits do not
    score.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)  # (Q, 1)
    others_as_high = (logits >= own).sum(axis=1) - 1  # (Q,)
    scores: FloatArray = (others_as_high < k).astype(np.float32)
    return scores
