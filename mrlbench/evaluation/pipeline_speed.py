"""The paper's "14×", measured: a graph at Ds with a rerank at D, against the graph at D."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors
from mrlbench.evaluation.bench import QUALITY, Bench, Built, K
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.timing import SINGLE_QUERIES, interleaved_ratio
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule, rerank
from mrlbench.splits import tuning_split

log = logging.getLogger(__name__)

EQUAL = 0.001  # mAP@10 less than this below exact search at full width counts as equal


@dataclass(frozen=True)
class Pipeline:
    """A first stage at one effort, and a rerank or none.

    Attributes:
        built: The first stage.
        effort: Of the first stage.
        schedule: The rerank; None returns the first stage's results.
        bench: Where the full vectors are.
    """

    built: Built
    effort: int
    schedule: Schedule | None
    bench: Bench

    def search(self, queries: slice) -> Neighbors:
        """Find the 10 nearest for some rows of the queries."""
        asked = self.built.queries[queries]
        if self.schedule is None:
            return self.built.index.search(asked, K, self.effort)
        (length,), (dim,) = self.schedule.lengths, self.schedule.rerank_dims
        shortlist = self.built.index.search(asked, length, self.effort).ids
        embeddings = self.bench.source.embeddings
        full = embeddings.queries[queries]
        found = rerank(embeddings.database, full, shortlist, [dim], self.bench.threads)
        return found[dim].first(K)

    def search_rows(self, numbers: FloatArray) -> Neighbors:
        """Find the 10 nearest for consecutive queries by number, (B, 1)."""
        return self.search(slice(int(numbers[0, 0]), int(numbers[-1, 0]) + 1))

    def template(self) -> Row:
        """Name the pipeline in a row."""
        ladder, lengths = self.schedule.labels if self.schedule else (None, None)
        return self.bench.row(
            self.built.plugin,
            self.built.dim,
            task="adaptive-pipeline",
            effort=self.effort,
            rerank_dims=ladder,
            shortlist=lengths,
            k=K,
        )

    def multiply_adds(self) -> float | None:
        """Count them per query, where the library counts distances."""
        self.search(slice(self.bench.timed))
        counted = self.built.index.distance_computations()
        if counted is None:
            return None
        extra = self.schedule.mflops(0) * 1e6 if self.schedule else 0
        return counted / self.bench.timed * self.built.dim + extra


def compare_pipeline(bench: Bench, narrow: Built, full: Built) -> list[Row]:
    """Compare both at equal mAP@10, each at the lowest effort that reaches it.

    The goal is exact search's mAP@10 at full width less 0.001. Efforts are chosen on 20% of the
    queries; the quality of the choice is reported on the others; both are timed in turn.

    Args:
        bench: The vectors and settings.
        narrow: A graph at Ds.
        full: The graph at D.

    Returns:
        No rows where there is nothing to compare: exact indexes, no labels, D itself.
    """
    width = bench.source.embeddings.width
    if narrow.index.exact or narrow.dim == width or full.dim != width:
        return []
    if bench.source.embeddings.relevance is None:
        return []
    tuning, reporting = tuning_split(len(full.queries), bench.seed)
    goal = float(bench.quality(bench.truth[width].ids)[tuning].mean()) - EQUAL
    length = min(bench.shortlist, len(bench.source.embeddings.database))
    schedule = Schedule(narrow.dim, (width,), (length,))
    adaptive = _choose(bench, narrow, schedule, tuning, goal)
    plain = _choose(bench, full, None, tuning, goal)
    rows = [
        row
        for pipeline, quality, _ in (adaptive, plain)
        for row in mean_rows(pipeline.template(), {QUALITY: quality[reporting]})
    ]
    if adaptive[2] and plain[2]:
        return rows + _time_pair(bench, adaptive[0], plain[0])
    log.info(
        "%s at %d: mAP@10 not equal at any effort: no speedup", narrow.plugin.label, narrow.dim
    )
    return rows


def _choose(
    bench: Bench, built: Built, schedule: Schedule | None, tuning: IntArray, goal: float
) -> tuple[Pipeline, FloatArray, bool]:
    """Take the lowest effort that reaches the goal on the tuning queries, else the best.

    Returns:
        The pipeline, its average precision for each query (Q,), and whether it reaches the goal.
    """
    tried = []
    for effort in built.efforts(schedule.lengths[0] if schedule else K):
        pipeline = Pipeline(built, effort, schedule, bench)
        quality = bench.quality(pipeline.search(slice(None)).ids)
        tried.append((pipeline, quality, bool(quality[tuning].mean() >= goal)))
        if tried[-1][2]:
            return tried[-1]
    return max(tried, key=lambda each: float(each[1][tuning].mean()))


def _time_pair(bench: Bench, adaptive: Pipeline, plain: Pipeline) -> list[Row]:
    rows: list[Row] = []
    for mode, count in (("batch", bench.timed), ("single", min(SINGLE_QUERIES, bench.timed))):
        ratio = interleaved_ratio(
            _runner(plain, mode, count), _runner(adaptive, mode, count), bench.search.repeats
        )
        template = replace(adaptive.template(), mode=mode)
        rows += bench.number_rows(template, {f"speedup_at_equal_{QUALITY}": ratio})
    numbers = np.arange(bench.timed, dtype=np.float32)[:, None]  # rows stand in for their vectors
    for pipeline in (adaptive, plain):
        for mode, latency in bench.time(pipeline.search_rows, numbers):
            rows += bench.number_rows(replace(pipeline.template(), mode=mode), latency.numbers())
    counts = plain.multiply_adds(), adaptive.multiply_adds()
    if counts[0] and counts[1]:
        predicted = counts[0] / counts[1]
        rows.append(replace(adaptive.template(), metric="flops_speedup", value=predicted))
    return rows


def _runner(pipeline: Pipeline, mode: str, count: int) -> Callable[[], object]:
    if mode == "batch":
        return lambda: pipeline.search(slice(count))
    return lambda: [pipeline.search(slice(row, row + 1)) for row in range(count)]
