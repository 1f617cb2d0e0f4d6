"""Choosing a pipeline: the cheapest that is as good as exact search, on queries set apart for that.

A name such as `batched-ivf:int16/2` is an index whose rows are stored as words, and which has half
as many cells as it would have.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import typer

from mrlbench.arrays import AnyFloatArray, FloatArray, IntArray, Neighbors, blocks, prefix
from mrlbench.embedding.relevance import Relevance
from mrlbench.evaluation.scores import metric_scores, recall_scores
from mrlbench.faiss_index import cells_for
from mrlbench.plugins import load
from mrlbench.protocols import Index
from mrlbench.search.adaptive import Schedule
from mrlbench.search.pipeline import Pipeline

EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
CELLS = ("ivf", "ivf-pq", "batched-ivf")  # their effort is the number of cells probed
SHORTLISTS = (20, 40, 80, 120, 200, 400, 800)
MIDDLES, LASTS = (128, 256), (20, 40, 80)
ENDS = (2, 1)  # the last rerank is at D over so many: half of D may rank as well
K, LIKE_FOR_LIKE = 10, 200
TOLERANCE = 0.001  # of mAP@10 below exact search at full width
GOAL = 0.95  # recall_full@10 where there are no labels
TUNING_SHARE = 0.5  # of the queries
FINALISTS = 6
HOPELESS = (1.5, 4)  # times as slow as the fastest so far: a ladder, and one rerank of all
BLOCK = 16_384


def _codes(rows: FloatArray) -> AnyFloatArray:
    codes: Any = np.round(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)
    return codes  # type: ignore[no-any-return]


STORES: dict[str, Callable[[FloatArray], AnyFloatArray]] = {
    "int8": _codes,
    "float16": lambda rows: rows.astype(np.float16),
}


@dataclass(frozen=True)
class Data:
    """Vectors, and how results are judged.

    Attributes:
        name: Of the data.
        database: (N, D), unit rows.
        queries: (Q, D).
        truth: Exact neighbours at D, (Q, 10).
        relevance: None judges by the share of the true neighbours.
    """

    name: str
    database: FloatArray
    queries: AnyFloatArray
    truth: Neighbors
    relevance: Relevance | None

    def quality(self, found: Neighbors) -> FloatArray:
        """Score the results of all queries, (Q, >= 10) -> (Q,)."""
        if self.relevance is None:
            return recall_scores(found, self.truth, "recall_full", K)[f"recall_full@{K}"]
        return metric_scores(self.relevance.judge(found.ids[:, :K]), [K])[f"map@{K}"]

    def reaches(self, scores: FloatArray) -> bool:
        """Tell whether both halves of the tuning queries, (T,), are good enough.

        By the mean over all, the luckiest of hundreds of pipelines would be taken.
        """
        above = scores - self.goal
        return min(above[::2].mean(), above[1::2].mean()) >= 0

    def confirms(self, choice: "Choice") -> bool:
        """Tell whether a search is good enough on the queries that it was not chosen on."""
        found = choice.search(self, slice(None))
        aim = GOAL if self.relevance is None else self.exact - TOLERANCE
        return float(self.quality(found)[self.reporting].mean()) >= aim

    @cached_property
    def exact(self) -> float:
        """The quality of exact search on the queries that nothing is chosen on."""
        return float(self.quality(self.truth)[self.reporting].mean())

    @cached_property
    def goal(self) -> AnyFloatArray:
        """What the scores of the tuning queries are to reach, (T,)."""
        if self.relevance is None:
            return np.full(len(self.tuning), GOAL)
        return self.quality(self.truth)[self.tuning] - TOLERANCE

    @cached_property
    def tuning(self) -> IntArray:
        """The queries that efforts are chosen on."""
        order = np.random.default_rng(0).permutation(len(self.queries))
        return order[: round(TUNING_SHARE * len(order))]

    @cached_property
    def reporting(self) -> IntArray:
        """The others."""
        return np.setdiff1d(np.arange(len(self.queries)), self.tuning)


@dataclass(frozen=True)
class Choice:
    """A search, and whether it reaches the goal on the tuning queries."""

    name: str
    pipeline: Pipeline
    unit: FloatArray | None  # queries at D, normalised before; None cuts inside the clock
    seconds: float  # for all tuning queries
    reached: bool

    def search(self, data: Data, rows: slice | IntArray) -> Neighbors:
        """Find the 10 nearest for some of the queries."""
        asked = None if self.unit is None else self.unit[rows]
        return self.pipeline.search(data.queries[rows], K, asked)


def build(name: str, database: FloatArray, dim: int, keep: Path | None) -> Index:
    """Build an index on the prefixes of unit rows, or load the kept one."""
    index = _empty(name, len(database))
    kept = None if keep is None else keep / f"{re.sub('[:/]', '-', name)}_{len(database)}x{dim}"
    if kept is not None and kept.exists():
        index.load(kept / "index")
        return index
    started = time.perf_counter()
    # unit rows need no copy at full width: a million of them are 8 GB
    index.build(database if dim == database.shape[1] else prefix(database, dim))
    typer.echo(f"built {name} at {dim} in {time.perf_counter() - started:.0f} s")
    if kept is not None:
        part = kept.with_suffix(".part")  # some libraries write a file beside the one named
        part.mkdir(parents=True, exist_ok=True)
        index.save(part / "index")
        part.rename(kept)
    return index


def _empty(name: str, rows: int) -> Index:
    label, _, share = name.partition("/")
    plain, _, code = label.partition(":")
    arguments: dict[str, Any] = {"cells": cells_for(rows) // int(share)} if share else {}
    arguments |= {"code": code} if code else {}
    index: Index = load("indexes", plain)(**arguments)
    return index


def like_for_like(
    data: Data, graph: str, dims: Sequence[int], keep: Path | None
) -> Iterator[Choice]:
    """Find the efforts at which a graph of each dim, and a rerank of 200 at D, reach the goal."""
    width = data.database.shape[1]
    for dim in dims:
        ladder = Schedule(dim, (width,), (LIKE_FOR_LIKE,))
        index = build(graph, data.database, dim, keep)
        pipeline = Pipeline(index, dim, 0, data.database, ladder)
        found = lowest(data, f"{graph} at {dim}, {LIKE_FOR_LIKE} at {width}", pipeline, None)
        if found is not None:
            yield found


def lowest(data: Data, name: str, first: Pipeline, unit: FloatArray | None) -> Choice | None:
    """Raise the effort until the tuning queries reach the goal."""
    for effort in EFFORTS:
        if effort < (first.schedule.lengths[0] if first.schedule else K):
            continue
        pipeline = replace(first, effort=effort)
        choice = _tried(data, f"{name}, effort {effort}", pipeline, unit)
        if choice.reached:
            return choice
    typer.echo(f"{name}: the goal is not reached at any effort")
    return None


def _tried(data: Data, name: str, pipeline: Pipeline, unit: FloatArray | None) -> Choice:
    choice = Choice(name, pipeline, unit, 0.0, reached=False)
    started = time.perf_counter()
    found = choice.search(data, data.tuning)
    seconds = time.perf_counter() - started
    scores = data.quality(_spread(found, data))[data.tuning]
    return replace(choice, seconds=seconds, reached=data.reaches(scores))


def _spread(found: Neighbors, data: Data) -> Neighbors:
    """Put the results of the tuning queries where all queries' would be."""
    ids = np.full((len(data.queries), found.ids.shape[1]), -1)
    scores = np.full(ids.shape, -np.inf, dtype=np.float32)
    ids[data.tuning], scores[data.tuning] = found.ids, found.scores
    return Neighbors(ids, scores)


def best(
    data: Data, width: int, firsts: Sequence[tuple[int, str]], keep: Path | None
) -> list[Choice]:
    """Take the fastest pipelines on the tuning queries, reranked from the smallest store."""
    for name, convert in STORES.items():
        # in blocks: a copy of a million rows in float32 would be 8 GB
        parts = blocks(len(data.database), BLOCK)
        store = np.concatenate([convert(data.database[part]) for part in parts])
        found = list(_pipelines(data, width, firsts, keep, name, store))
        ordered = sorted(found, key=lambda each: each.seconds)
        confirmed = list(itertools.islice(filter(data.confirms, ordered), FINALISTS))
        if confirmed:
            return confirmed
    return []


def _pipelines(
    data: Data,
    width: int,
    firsts: Sequence[tuple[int, str]],
    keep: Path | None,
    store: str,
    rows: AnyFloatArray,
) -> Iterator[Choice]:
    """Find, for each kind of pipeline, the lowest effort and shortest list that reach the goal.

    What is much slower than the fastest so far is not gone on with: more effort makes it no faster.
    """
    fastest = float("inf")
    for dim, name in firsts:
        efforts = PROBES if re.split("[:/]", name)[0] in CELLS else EFFORTS
        index = build(name, data.database, dim, keep)
        reached: set[Schedule] = set()
        hopeless: set[Schedule] = set()
        for effort, ladder in itertools.product(efforts, _ladders(dim, width)):
            # no ladder of this length to this dim can do better
            direct = Schedule(dim, ladder.rerank_dims[-1:], ladder.lengths[:1])
            if ladder in reached | hopeless or (ladder != direct and direct not in reached):
                continue
            if name == "hnsw" and effort < ladder.lengths[0]:
                continue
            steps = " > ".join(
                f"{count} at {wide}"
                for count, wide in zip(ladder.lengths, ladder.rerank_dims, strict=True)
            )
            pipeline = Pipeline(index, dim, effort, rows, ladder)
            label = f"{name} at {dim}, effort {effort}, {steps}, from {store}"
            found = _tried(data, label, pipeline, None)
            if found.reached:
                reached.add(ladder)
                fastest = min(fastest, found.seconds)
                yield found
            elif found.seconds > fastest * HOPELESS[ladder == direct]:
                hopeless.add(ladder)


def _ladders(dim: int, width: int) -> Sequence[Schedule]:
    """List reranks of several lengths: at once at the last dim, or by way of a narrower one."""
    ends = [width // share for share in ENDS]
    ladders = [Schedule(dim, (end,), (length,)) for length in SHORTLISTS for end in ends]
    steps = itertools.product(ends, MIDDLES, SHORTLISTS[2:], LASTS)
    ladders += [
        Schedule(dim, (m, end), (length, last)) for end, m, length, last in steps if m > dim
    ]
    return ladders
