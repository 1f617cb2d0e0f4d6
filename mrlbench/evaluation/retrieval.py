"""Exact retrieval at every dim: 1-NN accuracy, mAP@k, precision, recall, and the cost."""

from collections.abc import Sequence
from dataclasses import replace

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
    width = source.embeddings.width
    searched = sorted({*source.dims, width}) if source.full_width else source.dims
    prefixes = source.neighbors(searched, keep)
    truth = prefixes[width] if source.full_width else None
    rows: list[Row] = []
    for reducer in ("prefix", *source.baselines):
        found = prefixes if reducer == "prefix" else source.neighbors(source.dims, max(ks), reducer)
        raw: dict[str, FloatArray] = {}
        for dim in source.dims:
            scores = _judge(source, found[dim], ks) | _recall_full(source, found[dim], truth, ks)
            template = source.row(task="retrieval", reducer=reducer, dim=dim)
            rows += [*mean_rows(template, scores), cost_row(template, Schedule(dim, (), ()))]
            raw |= {f"{metric}@dim{dim}": each for metric, each in scores.items()}
        source.save_raw(f"scores-retrieval-{reducer}", raw)
    return rows


def cost_row(template: Row, schedule: Schedule) -> Row:
    """Say what a schedule costs, by the paper's formula."""
    mflops = schedule.mflops(int(template.n_database or 0))
    return replace(template, metric="mflops", value=mflops)


def _judge(source: Source, found: Neighbors, ks: Sequence[int]) -> dict[str, FloatArray]:
    relevance = source.embeddings.relevance
    if relevance is None:
        return {}
    wanted = sorted({*ks, *(k for k in (1, 5) if k < max(ks))})
    return metric_scores(relevance.judge(found.ids[:, : max(ks)]), wanted)


def _recall_full(
    source: Source, found: Neighbors, truth: Neighbors | None, ks: Sequence[int]
) -> dict[str, FloatArray]:
    """Compare with exact search at D: at the smallest k, or at all where it is the only truth."""
    if truth is None:
        return {}
    scores: dict[str, FloatArray] = {}
    for k in ks if source.embeddings.relevance is None else [min(ks)]:
        scores |= recall_full(source, found, truth, k)
    return scores


def recall_full(
    source: Source, found: Neighbors, truth: Neighbors, k: int
) -> dict[str, FloatArray]:
    """Compare the first `k` found, by their cosines at full width, with the truth there."""
    embeddings, width = source.embeddings, source.embeddings.width
    at_full = rerank(embeddings.database, embeddings.queries, found.ids[:, :k], [width])
    return recall_scores(at_full[width], truth, "recall_full", k)
