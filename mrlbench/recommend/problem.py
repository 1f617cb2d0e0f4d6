"""The problem: vectors, queries that a plan is chosen or confirmed on, and how results count."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np

from mrlbench.arrays import AnyFloatArray, IntArray, Neighbors, blocks
from mrlbench.embedding.relevance import Relevance
from mrlbench.evaluation.arena.codes import BINARY, FLOAT32, Codec
from mrlbench.evaluation.scores import metric_scores, recall_scores
from mrlbench.plugins import load
from mrlbench.protocols import Reducer
from mrlbench.recommend.codes import Coded, stored, training_rows
from mrlbench.recommend.constraints import RECALL, Target
from mrlbench.recommend.plans import EXACT, Plan, Rerank, Stage
from mrlbench.recommend.tally import Tally
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, rerank, run_schedule

BLOCK = 4096  # rows of a store that are written at once


@dataclass(frozen=True)
class Asked:
    """Some of the queries, with the exact answer.

    Attributes:
        queries: (Q, D).
        relevance: Of the database's rows to them; None without labels and judgements.
        truth: The k nearest at full width.
        baseline: (Q,), what scores are compared with: zeros, or exact search's own scores.
    """

    queries: AnyFloatArray
    relevance: Relevance | None
    truth: Neighbors
    baseline: AnyFloatArray


class Problem:
    """A database, the target, and all that is made of the database once.

    Args:
        database: (N, D), may be memory-mapped.
        target: What results must be worth.
        folder: Where stores for reranks are written; they are mapped, never in memory whole.
        seed: Draws what codes learn from.
        tally: Counts the work.
    """

    def __init__(
        self, database: AnyFloatArray, target: Target, folder: Path, seed: int, tally: Tally
    ) -> None:
        self.database, self.target, self.tally = database, target, tally
        self._folder, self._seed = folder, seed
        self._stores: dict[str, Any] = {}
        self._reducers: dict[str, Reducer] = {}
        self._codecs: dict[tuple[str, str], Codec] = {}

    @property
    def width(self) -> int:
        """D."""
        return int(self.database.shape[1])

    def ask(self, queries: AnyFloatArray, relevance: Relevance | None) -> Asked:
        """Find the exact answer for some queries."""
        k = self.target.k
        self.tally.add(len(queries) * len(self.database) * self.width)
        truth = nested_search(self.database, queries, [self.width], k)[self.width]
        asked = Asked(queries, relevance, truth, np.zeros(len(queries)))
        if not self.target.relative:
            return asked
        return replace(asked, baseline=self.scores(asked, truth.ids))

    def scores(self, asked: Asked, ids: IntArray) -> AnyFloatArray:
        """Score results, (Q, >= k), as the target counts them: (Q,), less the baseline."""
        target, ids = self.target, ids[:, : self.target.k]
        if target.metric == RECALL:
            at_full = rerank(self.database, asked.queries, ids, [self.width])[self.width]
            scores = recall_scores(at_full, asked.truth, RECALL, target.k)
        else:
            if asked.relevance is None:
                raise ValueError(f"{target.name} needs labels or judgements")
            scores = metric_scores(asked.relevance.judge(ids), [target.k])
        return scores[target.name] - asked.baseline

    def is_yardstick(self, plan: Plan) -> bool:
        """Tell whether a plan is what its results are compared with, and not only measured so."""
        exact = Plan(Stage("prefix", self.width, "float32"), EXACT)
        return plan == exact and (self.target.metric == RECALL or self.target.relative)

    def coded(self, reducer: str, dtype: str) -> Coded:
        """See the database through a reducer and a codec, both learnt on it."""
        return Coded(self.database, self._reducer(reducer), self._codec(reducer, dtype))

    def coded_queries(self, queries: AnyFloatArray, reducer: str, dtype: str) -> Coded:
        """See queries, (Q, D), as they are compared with such a database."""
        codec = self._codec(reducer, dtype) if dtype == BINARY else None  # signs meet signs
        return Coded(queries, self._reducer(reducer), codec)

    def rerank(self, queries: AnyFloatArray, ids: IntArray, ladder: Rerank | None) -> IntArray:
        """Follow a ladder from shortlists of queries, (Q, D): (Q, >= K) -> (Q, >= k)."""
        if ladder is None:
            return ids
        work = sum(k * dim for k, dim in zip(ladder.lengths, ladder.dims, strict=True))
        self.tally.add(len(ids) * work)
        schedule = Schedule(1, ladder.dims, ladder.lengths)
        return run_schedule(self.store(ladder.dtype), queries, ids, schedule).ids

    def store(self, dtype: str) -> Any:  # noqa: ANN401 (int8 codes or floats)
        """Write the whole unit vectors as `dtype` once, and map them."""
        if dtype == str(self.database.dtype):
            return self.database
        if dtype not in self._stores:
            path = Path(mkdtemp(dir=self._folder)) / "store.npy"
            store = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), self.database.shape)
            for rows in blocks(len(store), BLOCK):
                store[rows] = stored(self.database[rows], dtype)
            self._stores[dtype] = store
        return self._stores[dtype]

    def _reducer(self, name: str) -> Reducer:
        if name not in self._reducers:
            reducer: Reducer = load("reducers", name)()
            reducer.fit(self.database)
            self._reducers[name] = reducer
        return self._reducers[name]

    def _codec(self, reducer: str, dtype: str) -> Codec | None:
        if dtype == FLOAT32:
            return None
        key = reducer, dtype
        if key not in self._codecs:
            learns = dtype == "int8"
            vectors = self.database if learns else self.database[:1]
            sample = training_rows(vectors, self._reducer(reducer), self._seed)
            self._codecs[key] = Codec(dtype, sample)
        return self._codecs[key]

    def part(self, rows: IntArray) -> "Problem":
        """Pose the same problem on some rows of the database, copied; nothing is learnt anew."""
        part = Problem(self.database[rows], self.target, self._folder, self._seed, self.tally)
        part._reducers, part._codecs = self._reducers, self._codecs
        return part


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder for stores that goes when the work ends."""
    with TemporaryDirectory(prefix="mrlbench-") as folder:
        yield Path(folder)
