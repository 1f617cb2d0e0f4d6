"""How long a shortlist must be: reranks at full width of shortlists of several lengths."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mrlbench.arrays import FloatArray, Neighbors, blocks, join
from mrlbench.evaluation.adaptive_retrieval import K
from mrlbench.evaluation.retrieval import cost_row, recall_full
from mrlbench.evaluation.scores import contained, mean_rows, metric_scores, raw_key
from mrlbench.evaluation.source import Source
from mrlbench.measurements import Row
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, rerank_lengths

SHORTLIST_BYTES = 256 * 2**20  # of candidates kept at once while searching


def evaluate_shortlists(source: Source, lengths: Sequence[int]) -> list[Row]:
    """Rerank shortlists of each length at full width, from each of the source's narrower dims.

    All lengths of one dim are the first rows of one exact shortlist. The long shortlists are not
    kept on disk (they would take gigabytes); the scores of each query are.

    Args:
        source: The vectors.
        lengths: K; those longer than the database are left out.
    """
    embeddings, width = source.embeddings, source.embeddings.width
    lengths = sorted({length for length in lengths if length <= len(embeddings.database)})
    dims = [dim for dim in source.dims if dim < width]
    if not lengths or not dims:
        return []
    truth = source.neighbors([width], min(K, len(embeddings.database)))[width]
    found = _first_results(source, dims, lengths, truth)
    rows: list[Row] = []
    raw: dict[str, FloatArray] = {}
    for (dim, length), (result, ceiling) in found.items():
        k = result.ids.shape[1]
        common = {"reducer": "prefix", "dim": dim, "shortlist": str(length), "k": k}
        template = source.row(task="adaptive-retrieval", rerank_dims=str(width), **common)
        scores: dict[str, FloatArray] = {}
        if embeddings.relevance is not None:
            known = metric_scores(embeddings.relevance.judge(result.ids), [1, k])
            scores = {metric: known[metric] for metric in (f"map@{k}", f"precision@{k}", "top1")}
        scores |= recall_full(source, result, truth, k)
        rows += mean_rows(template, scores)
        rows.append(cost_row(template, Schedule(dim, (width,), (length,))))
        short = source.row(task="adaptive-retrieval", **common)
        rows += mean_rows(short, {f"ceiling_full@{k}": ceiling})
        raw |= {raw_key(replace(template, metric=name)): each for name, each in scores.items()}
    source.save_raw("scores-shortlists", raw)
    return rows


def _first_results(
    source: Source, dims: Sequence[int], lengths: Sequence[int], truth: Neighbors
) -> dict[tuple[int, int], tuple[Neighbors, FloatArray]]:
    """Search and rerank in parts of the queries, and keep the first K = 10 results of each.

    Returns:
        For each dim and length, the results, (Q, <= 10), and the share of the true neighbours that
        the shortlist holds, (Q,).
    """
    embeddings, width = source.embeddings, source.embeddings.width
    per_query = len(dims) * max(lengths) * 2 * np.dtype(np.int64).itemsize
    parts: dict[tuple[int, int], list[tuple[Neighbors, FloatArray]]] = {}
    for part in blocks(len(embeddings.queries), max(1, SHORTLIST_BYTES // per_query)):
        queries = embeddings.queries[part]
        searched = nested_search(
            embeddings.database, queries, dims, max(lengths), device=source.device
        )
        for dim in dims:
            ids = searched[dim].ids
            results = rerank_lengths(embeddings.database, queries, ids, lengths, width)
            for length, result in results.items():
                true = truth.ids[part, : min(K, length)]
                ceiling = contained(true, ids[:, :length]).mean(axis=1, dtype=np.float32)
                kept = result.first(K)
                parts.setdefault((dim, length), []).append((kept, ceiling))
    return {key: _joined(each) for key, each in parts.items()}


def _joined(parts: Sequence[tuple[Neighbors, FloatArray]]) -> tuple[Neighbors, FloatArray]:
    results, ceilings = zip(*parts, strict=True)
    return join(results), np.concatenate(ceilings)
