"""Images that look for texts and texts that look for images, at every dim."""

from collections.abc import Sequence

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.embedding.relevance import Labels
from mrlbench.errors import UserError
from mrlbench.evaluation.scores import mean_rows, metric_scores
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row
from mrlbench.search import nested_search

Vectors = tuple[AnyFloatArray, IntArray]  # with the class of each


def evaluate_cross_modal(source: Source, ks: Sequence[int]) -> list[Row]:
    """Measure every metric of both directions; what is of the same class is relevant.

    The field's R@k of image–text retrieval, whether any right one is among the first k, is `top<k>`
    here; `recall@k` is the share of all right ones that is.

    Args:
        source: Vectors with `texts.npy` and `texts_labels.npy` beside them.
        ks: Results looked at; there may be fewer texts.

    Raises:
        UserError: No texts, or no labels.
    """
    folder, relevance = source.embeddings.folder, source.embeddings.relevance
    if not (folder / "texts.npy").is_file() or not isinstance(relevance, Labels):
        raise UserError(
            f"cross-modal retrieval needs texts.npy, texts_labels.npy and queries_labels.npy in "
            f"{folder}: vectors that were trained with [training.captions]"
        )
    texts = (np.load(folder / "texts.npy"), np.load(folder / "texts_labels.npy"))
    images = (source.embeddings.queries, relevance.queries)
    return [
        *_direction(source, "image-to-text", texts, images, ks),
        *_direction(source, "text-to-image", images, texts, ks),
    ]


def _direction(
    source: Source, task: str, database: Vectors, queries: Vectors, ks: Sequence[int]
) -> list[Row]:
    kept = sorted({1, *(min(k, len(database[0])) for k in ks)})
    found = nested_search(
        database[0], queries[0], source.dims, max(kept), device=source.device
    )  # (Q, K) for each dim
    relevance, rows = Labels(database[1], queries[1]), []
    raw: dict[str, FloatArray] = {}
    for dim, neighbours in found.items():
        scores = metric_scores(relevance.judge(neighbours.ids), kept)
        rows += mean_rows(source.row(task=task, dim=dim, n_database=len(database[0])), scores)
        raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
    source.save_raw(f"scores-{task}", raw)
    return rows
