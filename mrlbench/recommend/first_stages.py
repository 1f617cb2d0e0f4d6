"""First stages: searched exactly, all widths in one pass, or through an index that is built."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss as library  # its type hints leave out the threads

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray
from mrlbench.plugins import load
from mrlbench.protocols import Index
from mrlbench.recommend.costing import Counted, build_multiply_adds
from mrlbench.recommend.plans import EXACT, Grid, IndexChoice, Stage
from mrlbench.recommend.problem import Asked, Problem
from mrlbench.search import nested_search
from mrlbench.search.adaptive import rerank_lengths

faiss: Any = library


class ExactLists:
    """What each first stage finds for some queries when every row is compared.

    One pass over the database serves all widths of a reducer and a dtype.

    Args:
        problem: The database.
        asked: The queries.
        grid: Widths, and how long the lists must be.
    """

    def __init__(self, problem: Problem, asked: Asked, grid: Grid) -> None:
        self._problem, self._asked, self._grid = problem, asked, grid
        self._lists: dict[Stage, IntArray] = {}
        self._alone: dict[Stage, AnyFloatArray] = {}
        self._ceilings: dict[Stage, dict[int, AnyFloatArray]] = {}

    def of(self, stage: Stage) -> IntArray:
        """Give the list of one stage, (Q, longest shortlist)."""
        if stage not in self._lists:
            self._pass(stage.reducer, stage.dtype)
        return self._lists[stage]

    def alone(self, stage: Stage) -> AnyFloatArray:
        """Score a stage that nothing follows, (Q,)."""
        if stage not in self._alone:
            self._alone[stage] = self._problem.scores(self._asked, self.of(stage))
        return self._alone[stage]

    def ceilings(self, stage: Stage) -> dict[int, AnyFloatArray]:
        """Score each length of shortlist as if reranked by whole float32 vectors, (Q,) each."""
        if stage not in self._ceilings:
            lists = self.of(stage)
            self._ceilings[stage] = ceilings(self._problem, self._asked, lists, self._grid.lengths)
        return self._ceilings[stage]

    def scored(self) -> Iterator[tuple[Stage, int, AnyFloatArray]]:
        """Give every ceiling that was measured: stage, length and scores."""
        for stage, bounds in self._ceilings.items():
            yield from ((stage, length, scores) for length, scores in bounds.items())

    def _pass(self, reducer: str, dtype: str) -> None:
        problem, dims = self._problem, self._grid.dims_of(reducer)
        database = problem.coded(reducer, dtype)
        queries = problem.coded_queries(self._asked.queries, reducer, dtype)
        longest = max(self._grid.lengths, default=self._grid.k)
        problem.tally.add(len(queries) * len(database) * dims[-1])
        for dim, found in nested_search(database, queries, dims, longest).items():
            self._lists[Stage(reducer, dim, dtype)] = found.ids


def ceilings(
    problem: Problem, asked: Asked, lists: IntArray, lengths: Sequence[int]
) -> dict[int, AnyFloatArray]:
    """Score shortlists reranked by whole float32 vectors: no other rerank can recall more."""
    usable = [length for length in lengths if length <= lists.shape[1]]
    if not usable:
        return {}
    problem.tally.add(len(lists) * max(usable) * problem.width)
    found = rerank_lengths(problem.database, asked.queries, lists, usable, problem.width)
    return {length: problem.scores(asked, each.ids) for length, each in found.items()}


@dataclass(frozen=True)
class Built:
    """A first stage behind an index.

    Attributes:
        problem: The database that it was built on.
        stage: Its vectors.
        choice: The index.
        index: Built; None where every row is compared.
        seconds: That building took.
    """

    problem: Problem
    stage: Stage
    choice: IndexChoice
    index: Index | None
    seconds: float

    def cut(self, queries: AnyFloatArray) -> FloatArray:
        """Give queries, (Q, D), as the index is asked, (Q, d)."""
        stage = self.stage
        return self.problem.coded_queries(queries, stage.reducer, stage.dtype).cut(stage.dim)

    def search(self, queries: AnyFloatArray, length: int, effort: int) -> tuple[IntArray, Counted]:
        """Find `length` rows for each of the queries, (Q, D), and count what that took."""
        stage, problem = self.stage, self.problem
        rows = len(problem.database)
        if self.index is None:
            database = problem.coded(stage.reducer, stage.dtype)
            asked = problem.coded_queries(queries, stage.reducer, stage.dtype)
            problem.tally.add(len(queries) * rows * stage.dim)
            found = nested_search(database, asked, [stage.dim], length)[stage.dim]
            return found.ids, Counted(rows, rows)
        ids = self.index.search(self.cut(queries), length, effort).ids
        counted = self.index.distance_computations() or 0
        problem.tally.add(counted * stage.dim)
        return ids, Counted(rows, counted / len(queries))


def build(problem: Problem, stage: Stage, choice: IndexChoice) -> Built:
    """Build an index with one thread, so that it is the same every time.

    It codes the rows itself, so that what is searched, and timed, is what will be deployed.
    """
    if choice == EXACT:
        return Built(problem, stage, choice, None, 0.0)
    index: Index = load("indexes", choice.name)(**choice.arguments, code=stage.dtype)
    started, threads = time.perf_counter(), faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # of this thread alone
    index.build(problem.coded(stage.reducer, "float32").cut(stage.dim))
    faiss.omp_set_num_threads(threads)
    problem.tally.add(build_multiply_adds(choice, len(problem.database), stage.dim))
    return Built(problem, stage, choice, index, time.perf_counter() - started)
