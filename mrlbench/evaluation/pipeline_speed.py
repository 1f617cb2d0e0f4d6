"""The paper's "14×", measured: a graph at Ds with a rerank at D, against the graph at D."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from mrlbench.arrays import FloatArray, Neighbors
from mrlbench.evaluation.bench import QUALITY, Bench, Built, K
from mrlbench.evaluation.scores import mean_rows
from mrlbench.evaluation.timing import SINGLE_QUERIES, interleaved_ratio
from mrlbench.measurements import Row
from mrlbench.search.adaptive import Schedule
from mrlbench.search.pipeline import Pipeline
from mrlbench.splits import tuning_split

log = logging.getLogger(__name__)

FEWEST_QUERIES = 10  # to choose on a fifth of them and report on the rest
EQUAL = 0.001  # mAP@10 less than this below exact search at full width counts as equal


@dataclass(frozen=True)
class Candidate:
    """A first stage at one effort, and a rerank or none, that may be chosen.

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
        """Find the 10 nearest for some rows of the queries; they were cut before."""
        embeddings, threads = self.bench.source.embeddings, self.bench.threads
        pipeline = Pipeline(
            self.built.index,
            self.built.dim,
            self.effort,
            embeddings.database,
            self.schedule,
            threads,
        )
        return pipeline.search(embeddings.queries[queries], K, self.built.queries[queries])

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


@dataclass(frozen=True)
class Chosen:
    """A pipeline at the effort that was chosen for it on the tuning queries.

    Attributes:
        candidate: The pipeline at that effort.
        quality: Average precision at 10 of each query, (Q,).
        reaches: Whether it is as good as exact search at full width, less 0.001.
    """

    candidate: Candidate
    quality: FloatArray
    reaches: bool


class Comparison:
    """One kind of graph: the graph at full width, against pipelines on narrower ones.

    The goal is exact search's mAP@10 at full width less 0.001. The lowest effort that reaches it
    is chosen on 20% of the queries; quality is reported on the others, also as the paired
    difference from exact search; times are taken in turn.
    """

    def __init__(self, bench: Bench, full: Built) -> None:
        self._bench, self._full = bench, full
        self._tuning, self._reporting = tuning_split(len(full.queries), bench.seed)
        self._exact = bench.quality(bench.truth[full.dim].ids)  # (Q,)
        self._goal = float(self._exact[self._tuning].mean()) - EQUAL
        self._plain = self._choose(full, None)

    def plain(self) -> list[Row]:
        """Measure the graph at full width."""
        return self._rows(self._plain)

    def pipeline(self, narrow: Built) -> list[Row]:
        """Measure a graph at Ds with a rerank at D, and how much faster it is where it is equal."""
        length = min(self._bench.shortlist, len(self._bench.source.embeddings.database))
        chosen = self._choose(narrow, Schedule(narrow.dim, (self._full.dim,), (length,)))
        rows = self._rows(chosen)
        if chosen.reaches and self._plain.reaches:
            return rows + self._speedup(chosen)
        log.info(
            "%s at %d: mAP@10 not equal at any effort: no speedup", narrow.plugin.label, narrow.dim
        )
        return rows

    def _choose(self, built: Built, schedule: Schedule | None) -> Chosen:
        """Take the lowest effort that reaches the goal on the tuning queries, else the best."""
        tried: list[Chosen] = []
        for effort in built.efforts(schedule.lengths[0] if schedule else K):
            candidate = Candidate(built, effort, schedule, self._bench)
            quality = self._bench.quality(candidate.search(slice(None)).ids)
            reaches = float(quality[self._tuning].mean()) >= self._goal
            tried.append(Chosen(candidate, quality, reaches))
            if reaches:
                return tried[-1]
        return max(tried, key=lambda each: float(each.quality[self._tuning].mean()))

    def _rows(self, chosen: Chosen) -> list[Row]:
        template, bench = chosen.candidate.template(), self._bench
        quality, exact = chosen.quality[self._reporting], self._exact[self._reporting]
        rows = mean_rows(template, {QUALITY: quality, f"{QUALITY}_difference": quality - exact})
        for mode, latency in bench.time(chosen.candidate.search):
            rows += bench.number_rows(replace(template, mode=mode), latency.numbers())
        return rows

    def _speedup(self, chosen: Chosen) -> list[Row]:
        bench, adaptive, plain = self._bench, chosen.candidate, self._plain.candidate
        rows: list[Row] = []
        for mode, count in (("batch", bench.timed), ("single", min(SINGLE_QUERIES, bench.timed))):
            ratio = interleaved_ratio(
                _runner(plain, mode, count), _runner(adaptive, mode, count), bench.search.repeats
            )
            template = replace(adaptive.template(), mode=mode)
            rows += bench.number_rows(template, {f"speedup_at_equal_{QUALITY}": ratio})
        counts = plain.multiply_adds(), adaptive.multiply_adds()
        if counts[0] and counts[1]:
            predicted = counts[0] / counts[1]
            rows.append(replace(adaptive.template(), metric="flops_speedup", value=predicted))
        return rows


def comparable(bench: Bench, built: Built) -> bool:
    """Tell whether pipelines can be compared with an index: a graph at D, on judged queries."""
    embeddings = bench.source.embeddings
    return (
        built.is_timed
        and not built.index.exact
        and built.dim == embeddings.width
        and embeddings.relevance is not None
        and len(built.queries) >= FEWEST_QUERIES
    )


def _runner(candidate: Candidate, mode: str, count: int) -> Callable[[], object]:
    if mode == "batch":
        return lambda: candidate.search(slice(count))
    return lambda: [candidate.search(slice(row, row + 1)) for row in range(count)]
