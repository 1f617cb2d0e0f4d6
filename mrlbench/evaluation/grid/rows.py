"""The rows of an index and of its searches, from what the worker left."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray, Neighbors
from mrlbench.evaluation.grid.jobs import Job, Search
from mrlbench.evaluation.grid.kept import read_facts
from mrlbench.evaluation.scores import mean_rows, metric_scores, recall_scores
from mrlbench.evaluation.source import Source
from mrlbench.evaluation.timing import Latency
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule, rerank

FACTS = ("build_s", "bytes", "peak_rss_bytes", "build_rss_bytes")


@dataclass(frozen=True)
class Judge:
    """Scores what searches found: against exact search, and by relevance where that is known.

    Attributes:
        source: The vectors.
        dims: All that are searched.
        k: The largest.
    """

    source: Source
    dims: Collection[int]
    k: int

    @cached_property
    def truth(self) -> dict[int, Neighbors]:
        """The exact neighbours at each dim, and at full width, (Q, k)."""
        return self.source.neighbors(sorted({*self.dims, self.source.embeddings.width}), self.k)

    def scores(self, ids: IntArray, dim: int, is_reranked: bool) -> dict[str, AnyFloatArray]:
        """Score results, (Q, k) ids, by metric: (Q,) each.

        Recall is told by the true cosines, whatever scores an index gives: those of codes are on
        another scale, and those at d say nothing of a tie at D.
        """
        embeddings, k = self.source.embeddings, ids.shape[1]
        width = embeddings.width
        dims = sorted({dim, width})
        true = rerank(embeddings.database, embeddings.queries, ids, dims)
        found = recall_scores(true[width], self.truth[width], "recall_full", k)
        if not is_reranked:
            found |= recall_scores(true[dim], self.truth[dim], "recall_dim", k)
        if embeddings.relevance is not None:
            name = f"map@{k}"
            found[name] = metric_scores(embeddings.relevance.judge(ids), [k])[name]
        return found


def build_rows(template: Row, job: Job) -> list[Row]:
    """Say what an index took: seconds, serialised bytes, resident memory."""
    facts = read_facts(job)
    return [
        replace(template, metric=name, value=float(facts[name]), n=1)
        for name in FACTS
        if name in facts
    ]


def search_rows(template: Row, job: Job, search: Search, judge: Judge) -> list[Row]:
    """Score and time one search.

    `bytes` is all that the search reads: the index, and the vectors up to the last rerank's dim.
    """
    with np.load(search.result(job.folder)) as arrays:
        kept: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    ladder = Schedule(job.dim, search.rerank_dims, search.lengths)
    dims, lengths = ladder.labels if search.rerank_dims else (None, None)
    template = replace(template, k=search.k, rerank_dims=dims, shortlist=lengths)
    template = replace(template, effort=search.effort or None)
    scores = judge.scores(kept["ids"], job.dim, bool(search.rerank_dims))
    rows = mean_rows(template, scores)
    database = judge.source.embeddings.database
    store = len(database) * max(search.rerank_dims, default=0) * database.itemsize
    counts = {"bytes": read_facts(job)["bytes"] + store}
    if np.isfinite(kept["distances"]):
        counts["distances_per_query"] = float(kept["distances"])
    rows += [replace(template, metric=name, value=value) for name, value in counts.items()]
    for mode, latency in (
        ("batch", Latency(kept["batch"])),
        ("single", Latency(np.median(kept["singles"], axis=1), kept["singles"])),
    ):
        for name, each in latency.numbers().items():
            timed = replace(template, mode=mode, metric=name, n=job.repeats)
            rows.append(replace(timed, value=each.value, ci_low=each.low, ci_high=each.high))
    return rows
