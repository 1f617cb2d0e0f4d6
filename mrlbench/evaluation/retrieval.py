"""Exact retrieval at every dim: 1-NN accuracy, mAP@k, precision, recall, and the cost."""

from collections.abc import Sequence

import numpy as np

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.errors import UserError
from mrlbench.evaluation.scores import mean_rows, metric_scores, recall_scores
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule, rerank
from mrlbench.search.nested import check_k


def evaluate_knn(source: Source) -> list[Row]:
    """Measure 1-NN accuracy at every dim, for the prefix and the baselines.

    Raises:
        UserError: The vectors have no labels or judgements.
    """
    relevance = source.embeddings.relevance
    if relevance is None:
        raise UserError(
            f"1-NN accuracy needs database_labels.npy and queries_labels.npy (or qrels.tsv) in "
            f"{source.embeddings.folder}, got neither"
        )
    rows = []
    for reducer in ("prefix", *source.baselines):
        for dim, found in source.neighbors(source.dims, 1, reducer).items():
            scores = {"top1": metric_scores(relevance.judge(found.ids), [1])["top1"]}
            rows += mean_rows(source.row(task="knn", reducer=reducer, dim=dim, k=1), scores)
    return rows


def evaluate_retrieval(source: Source, ks: Sequence[int], keep: int) -> list[Row]:
    """Measure every metric at every dim, for the prefix and the baselines.

    Args:
        source: The vectors. Without labels and judgements, the neighbours at full width are the
            truth, and only `recall_full@k` is measured.
        ks: Results looked at.
        keep: Neighbours to search for and keep, at least max(ks): later stages need more.
    """
    check_k(max(ks), len(source.embeddings.database))
    keep = min(max(*ks, keep), len(source.embeddings.database))
    rows: list[Row] = []
    for reducer in ("prefix", *source.baselines):
        found = source.neighbors(source.dims, keep if reducer == "prefix" else max(ks), reducer)
        raw: dict[str, FloatArray] = {}
        for dim, neighbors in found.items():
            scores = _judge(source, neighbors, ks)
            if reducer == "prefix" and source.at_full_width:
                scores |= _recall_full(source, neighbors, found[source.dims[-1]], ks)
            rows += _rows(source, reducer, dim, scores)
            raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
        source.save_raw(f"scores-retrieval-{reducer}", raw)
    return rows


def _judge(source: Source, found: Neighbors, ks: Sequence[int]) -> dict[str, FloatArray]:
    relevance = source.embeddings.relevance
    if relevance is None:
        return {}
    return metric_scores(relevance.judge(found.ids[:, : max(ks)]), sorted({1, 5, *ks} & _upto(ks)))


def _upto(ks: Sequence[int]) -> set[int]:
    return set(range(1, max(ks) + 1))


def _recall_full(
    source: Source, found: Neighbors, truth: Neighbors, ks: Sequence[int]
) -> dict[str, FloatArray]:
    """Compare with exact search at D: at the smallest k, or at all where it is the only truth."""
    scores: dict[str, FloatArray] = {}
    width = source.embeddings.width
    for k in ks if source.embeddings.relevance is None else [min(ks)]:
        first = found.first(k)
        at_full = rerank(source.embeddings.database, source.embeddings.queries, first.ids, [width])
        scores |= recall_scores(at_full[width], truth, "recall_full", k)
    return scores


def _rows(source: Source, reducer: str, dim: int, scores: dict[str, FloatArray]) -> list[Row]:
    template = source.row(task="retrieval", reducer=reducer, dim=dim)
    rows = []
    for row in mean_rows(template, scores) if scores else []:
        digits = row.metric.partition("@")[2] or row.metric.removeprefix("top")
        rows.append(row.__class__(**{**row.__dict__, "k": int(digits)}))
    mflops = Schedule(dim, (), ()).mflops(len(source.embeddings.database))
    rows.append(
        source.row(task="retrieval", reducer=reducer, dim=dim, metric="mflops", value=mflops)
    )
    return rows


def strict_overlap(ids: np.ndarray, truth: np.ndarray) -> FloatArray:
    """Give the share of `truth`, (Q, k), that stands in `ids`, (Q, K) -> (Q,)."""
    shares = [np.isin(t, i).mean() for t, i in zip(truth, ids, strict=True)]
    return np.array(shares, dtype=np.float32)
