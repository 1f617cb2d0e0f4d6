"""The paper's SVD in linear classification: a trained classifier's weight at rank k."""

from collections.abc import Iterator, Sequence

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray
from mrlbench.embedding.head import Classifier, read_classifier
from mrlbench.embedding.relevance import Labels
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

NAME = "svd-classifier"


def evaluate_svd_classifier(source: Source) -> list[Row]:
    """Measure top-1 and top-5 with the classifier of a full-width model at each rank.

    Only where baselines are asked for and the folder holds such a classifier; else no rows.
    """
    embeddings = source.embeddings
    if not source.baselines or not isinstance(embeddings.relevance, Labels):
        return []
    classifier = read_classifier(embeddings.folder, embeddings.width)
    if classifier is None:
        return []
    labels = embeddings.relevance.queries
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim, logits in truncated_logits(classifier, embeddings.queries, source.dims):
        scores = {f"top{k}": top_k(logits, labels, k) for k in (1, 5)}
        cells = {"reducer": NAME, "dim": dim, "n_database": None, "dtype": None}
        rows += mean_rows(source.row(task="classification", **cells), scores)
        raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
    source.save_raw(f"scores-classification-{NAME}", raw)
    return rows


def truncated_logits(
    classifier: Classifier, features: AnyFloatArray, ranks: Sequence[int]
) -> Iterator[tuple[int, FloatArray]]:
    """Classify with the rank-k truncated SVD of the weight, the bias kept (PAPER: SVD, linear).

    Args:
        classifier: Weight (C, D) and bias.
        features: (Q, D), as the classifier was trained on: not normalised.
        ranks: Each k; from min(C, D) on the classifier is whole.

    Yields:
        k and the logits, (Q, C).
    """
    left, values, right = np.linalg.svd(classifier.weight.astype(np.float64), full_matrices=False)
    projected = np.asarray(features, dtype=np.float32) @ right.T.astype(np.float32)  # (Q, r)
    scaled = (left * values).astype(np.float32)  # (C, r)
    for rank in ranks:
        yield rank, projected[:, :rank] @ scaled[:, :rank].T + classifier.bias
