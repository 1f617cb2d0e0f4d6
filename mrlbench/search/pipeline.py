"""A search pipeline: a first stage at a narrow dim, then a ladder of reranks at wider ones."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrlbench.arrays import AnyFloatArray, FloatArray, Neighbors, prefix
from mrlbench.protocols import Index
from mrlbench.search.adaptive import Schedule, run_schedule


@dataclass(frozen=True)
class StageCost:
    """What one stage of a pipeline costs, per query.

    Attributes:
        stage: `cut`, `first stage`, `rerank at 2048`.
        rows: Vectors scored.
        multiply_adds: Of their inner products; None where the index does not count them.
        bytes: Read of the vectors.
        microseconds: Measured, the median over repeats, in batch.
    """

    stage: str
    rows: float | None
    multiply_adds: float | None
    bytes: float | None
    microseconds: float


@dataclass(frozen=True)
class Pipeline:
    """Any index at Ds, and which of its results are reranked at which wider dims.

    Attributes:
        first: Built on unit prefixes of the database at `dim`.
        dim: Ds.
        effort: Of the first stage.
        database: (N, D), where reranks read; any store that `rerank` reads.
        schedule: The ladder; None returns what the first stage found.
        threads: Of the reranks; None takes as many as every library was given.
    """

    first: Index
    dim: int
    effort: int
    database: AnyFloatArray
    schedule: Schedule | None = None
    threads: int | None = None

    def search(self, queries: AnyFloatArray, k: int, asked: FloatArray | None = None) -> Neighbors:
        """Find the k nearest, from raw vectors on.

        Args:
            queries: (Q, D).
            k: Results wanted.
            asked: (Q, Ds), the queries cut and normalised, where that has been done before.
        """
        asked = prefix(queries, self.dim) if asked is None else asked
        if self.schedule is None:
            return self.first.search(asked, k, self.effort)
        shortlist = self.first.search(asked, self.schedule.lengths[0], self.effort).ids
        found = run_schedule(self.database, queries, shortlist, self.schedule, self.threads)
        return found.first(k)

    def costs(self, queries: AnyFloatArray, k: int, repeats: int = 5) -> list[StageCost]:
        """Count and time each stage.

        Stages are told apart by running the pipeline up to each: a rerank's time is what it adds.

        Args:
            queries: (Q, D), in one batch.
            k: Results wanted.
            repeats: Of each timing; the median counts.
        """
        asked = prefix(queries, self.dim)
        length = self.schedule.lengths[0] if self.schedule else k
        shortlist = self.first.search(asked, length, self.effort).ids
        counted = self.first.distance_computations()
        rows = None if counted is None else counted / len(queries)

        def cut() -> object:
            return prefix(queries, self.dim)

        def first() -> object:
            return self.first.search(asked, length, self.effort)

        work = None if rows is None else rows * self.dim
        stages = [
            StageCost("cut", None, None, None, _median(cut, len(queries), repeats)),
            StageCost(
                f"first stage at {self.dim}",
                rows,
                work,
                None if work is None else 4 * work,
                _median(first, len(queries), repeats),
            ),
        ]
        before, start = 0.0, 0
        for ladder in self._ladders():
            dim, reranked = ladder.rerank_dims[-1], ladder.lengths[-1]

            def climb(ladder: Schedule = ladder) -> object:
                return run_schedule(self.database, queries, shortlist, ladder, self.threads)

            spent = _median(climb, len(queries), repeats)
            read = reranked * (dim - start)  # the sums of the step before are gone on with
            stages.append(
                StageCost(
                    f"rerank at {dim}",
                    reranked,
                    read,
                    read * self.database.dtype.itemsize,
                    max(0.0, spent - before),
                )
            )
            before, start = spent, dim
        return stages

    def _ladders(self) -> Sequence[Schedule]:
        """Give the ladder up to each of its steps."""
        whole = self.schedule
        if whole is None:
            return []
        return [
            replace(whole, rerank_dims=whole.rerank_dims[:end], lengths=whole.lengths[:end])
            for end in range(1, len(whole.lengths) + 1)
        ]


def _median(call: Callable[[], object], queries: int, repeats: int) -> float:
    """Time a call, one more before is not counted: microseconds per query."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:])) / queries * 1e6
