"""One model on other queries: ImageNetV2, -A, -R, -Sketch, or corrupted copies."""

import numpy as np

from mrlbench.arrays import FloatArray, IntArray
from mrlbench.embedding.logits import open_logits
from mrlbench.errors import UserError
from mrlbench.evaluation.analysis.heads import why_not_heads
from mrlbench.evaluation.classification import top_k
from mrlbench.evaluation.scores import mean_rows, metric_scores
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row

K = 10


def robustness(source: Source, classes: IntArray | None = None) -> list[Row]:
    """Measure linear top-1 and top-5, 1-NN and mAP@10 of a query set at each dim.

    Args:
        source: The query set's vectors against the model's database.
        classes: The classes that the query set has; logits of others are no possible answer, as is
            usual for ImageNet-A and -R. The database is searched whole. None keeps all.

    Returns:
        `top1` and `top5` of the heads; `knn_top1` and `map@10` by the vectors.
    """
    logits, labels = open_logits(source.embeddings.folder)
    relevance = source.embeddings.relevance
    if relevance is None:
        raise UserError(f"robustness: expected labels in {source.embeddings.folder}, got none")
    k = min(K, len(source.embeddings.database))
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for dim, found in source.neighbors(source.dims, k).items():
        template = source.row(task="robustness", dim=dim)
        scores = {}
        if dim in logits:
            own, places = among(logits[dim], labels, classes)
            scores = {f"top{count}": top_k(own, places, count) for count in (1, 5)}
        judged = metric_scores(relevance.judge(found.ids), [1, k])
        scores |= {"knn_top1": judged["top1"], f"map@{k}": judged[f"map@{k}"]}
        rows += mean_rows(template, scores)
        raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
    source.save_raw("scores-robustness", raw)
    return rows


def why_not_robustness(source: Source) -> str | None:
    """Say why a source cannot be asked other queries; None if it can."""
    if not source.embeddings.made_from:
        return f"robustness: expected vectors of a model of the run, got {source.embeddings.folder}"
    return why_not_heads(source)


def among(
    logits: FloatArray, labels: IntArray, classes: IntArray | None
) -> tuple[FloatArray, IntArray]:
    """Keep the logits of some classes, (Q, C) -> (Q, S), and number the labels accordingly."""
    if classes is None or len(classes) == logits.shape[1]:
        return logits, labels
    return logits[:, classes], np.searchsorted(classes, labels)
