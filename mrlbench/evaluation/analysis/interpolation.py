"""Dims between the trained ones, by plain truncation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray
from mrlbench.embedding.logits import open_logits
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.retrieval import evaluate_knn, evaluate_retrieval
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

INTERPOLATED = (
    "interpolated"  # the variant of the rows in knn.csv, retrieval.csv, classification.csv
)
K = 10


def midpoints(dims: Sequence[int]) -> tuple[int, ...]:
    """Give the dims halfway between neighbouring ones: 12, 24, 48, … between 8, 16, 32, …."""
    return tuple((a + b) // 2 for a, b in pairwise(dims) if b - a > 1)


def between(source: Source) -> Source:
    """Look at the same vectors at the dims between; rows say `interpolated`."""
    trained = source.embeddings.meta.get("trained_dims") or source.dims
    dims = tuple(dim for dim in midpoints(source.dims) if dim not in trained)
    names = {**source.names, "variant": INTERPOLATED}
    return replace(source, dims=dims, names=names, baselines=())


def interpolated_retrieval(source: Source) -> list[Row]:
    """Measure mAP@10, precision, recall and cost at the dims between."""
    k = min(K, len(source.embeddings.database))
    return evaluate_retrieval(between(source), [k], k)


def interpolated_knn(source: Source) -> list[Row]:
    """Measure 1-NN accuracy at the dims between."""
    return evaluate_knn(between(source))


def interpolated_classification(source: Source, weight: FloatArray, bias: FloatArray) -> list[Row]:
    """Measure linear top-1 and top-5 at the dims between with a shared head, sliced (MRL-E).

    Args:
        source: The vectors.
        weight: (C, D).
        bias: (C,).
    """
    rows: list[Row] = []
    inside, labels = between(source), open_logits(source.embeddings.folder)[1]
    for dim, logits in sliced_logits(inside.embeddings.queries, weight, bias, inside.dims).items():
        scores = {f"top{k}": top_k(logits, labels, k) for k in (1, 5)}
        template = inside.row(task="classification", dim=dim, n_database=None, dtype=None)
        rows += mean_rows(template, scores)
    return rows


def sliced_logits(
    vectors: AnyFloatArray, weight: FloatArray, bias: FloatArray, dims: Sequence[int]
) -> Mapping[int, FloatArray]:
    """Classify prefixes of vectors, (Q, D), by the first columns of one weight: (Q, C) per dim."""
    exact = np.asarray(vectors, dtype=np.float32)
    return {dim: exact[:, :dim] @ weight[:, :dim].T + bias for dim in dims}


def why_not_interpolation(source: Source) -> str | None:
    """Say why a source cannot be measured; None if it can."""
    if source.embeddings.relevance is None:
        return f"interpolation: expected labels or qrels in {source.embeddings.folder}, got neither"
    if str(source.names["method"]).startswith("fixed-"):
        return f"interpolation: expected nested dims, got {source.names['method']}"
    if not between(source).dims:
        return f"interpolation: expected dims with untrained ones between, got {list(source.dims)}"
    return None
