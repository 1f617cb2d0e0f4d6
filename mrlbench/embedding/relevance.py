"""What is relevant to what: class labels, or graded judgements (TREC qrels)."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Judged
from mrlbench.errors import UserError
from mrlbench.threads import map_blocks

QUERIES_AT_ONCE = 1024


class Relevance(Protocol):
    """Judges the rows that a search found."""

    def judge(self, ids: IntArray) -> Judged:
        """Look at ranked database rows, (Q, K), for all queries in order."""
        ...

    def of(self, rows: IntArray, queries: IntArray) -> "Relevance":
        """Keep some database rows and some queries, each numbered anew in the given order."""
        ...


@dataclass(frozen=True)
class Labels:
    """A row is relevant to a query of the same class; labels (N,) and (Q,) int64."""

    database: IntArray
    queries: IntArray

    def judge(self, ids: IntArray) -> Judged:
        """Gain 1 for each row of the query's class."""
        gains, ideal = (np.empty(ids.shape, dtype=np.float32) for _ in range(2))
        ranks = np.arange(ids.shape[1])  # (K,)

        def fill(rows: slice) -> None:
            same = self.database[ids[rows]] == self.queries[rows, None]  # (B, K)
            np.logical_and(same, ids[rows] >= 0, out=gains[rows])  # -1 was not found
            np.less(ranks, self._relevant[rows, None], out=ideal[rows])

        map_blocks(fill, len(ids), QUERIES_AT_ONCE)
        return Judged(gains, self._relevant, ideal)

    def of(self, rows: IntArray, queries: IntArray) -> "Labels":
        """Keep the labels of some rows and queries."""
        return Labels(self.database[rows], self.queries[queries])

    @cached_property
    def _relevant(self) -> IntArray:
        """Count the rows of each query's class, (Q,)."""
        classes, counts = np.unique(self.database, return_counts=True)
        place = np.searchsorted(classes, self.queries).clip(max=len(classes) - 1)
        found = np.where(classes[place] == self.queries, counts[place], 0)
        return found.astype(np.int64)


@dataclass(frozen=True)
class Qrels:
    """Graded judgements above 0, J of them.

    Attributes:
        keys: (J,) int64, increasing: query · n_database + database row.
        gains: (J,) float32.
        n_database: N.
        n_queries: Q.
    """

    keys: IntArray
    gains: FloatArray
    n_database: int
    n_queries: int

    @classmethod
    def read(cls, folder: Path, n_database: int, n_queries: int) -> "Qrels":
        """Read `qrels.tsv` (query-id 0 doc-id gain) with the two files of ids.

        Raises:
            UserError: A line that is not of that form, or an id that is not in its file.
        """
        documents = _ids(folder / "database_ids.txt", n_database)
        queries = _ids(folder / "queries_ids.txt", n_queries)
        path, gains = folder / "qrels.tsv", dict[int, float]()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: expected UTF-8, got {error}") from error
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                query, _, document, gain = line.split()
                key, value = queries[query] * n_database + documents[document], _finite(gain)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}: expected `query-id 0 doc-id gain`, got {line!r}"
                ) from error
            except KeyError as error:
                raise UserError(f"{path}, line {number}: id {error} is in no ids file") from error
            if value > 0:
                gains[key] = value
        keys = np.fromiter(sorted(gains), np.int64, len(gains))
        values = np.array([gains[key] for key in keys.tolist()], dtype=np.float32)
        return cls(keys, values, n_database, n_queries)

    def of(self, rows: IntArray, queries: IntArray) -> "Qrels":
        """Keep the judgements of some rows and queries."""
        query, row = np.divmod(self.keys, self.n_database)  # (J,) each
        new_row = np.full(self.n_database, -1)
        new_row[rows] = np.arange(len(rows))
        starts, ends = (np.searchsorted(query, queries, side) for side in ("left", "right"))
        old = np.concatenate([np.arange(*each) for each in zip(starts, ends, strict=True)])
        old = old.astype(np.int64)  # (J',) judgements of these queries, in their new order
        new_query = np.repeat(np.arange(len(queries)), ends - starts)
        keys = new_query * len(rows) + new_row[row[old]]
        kept = new_row[row[old]] >= 0
        order = np.argsort(keys[kept])
        gains = self.gains[old][kept][order]
        return Qrels(keys[kept][order], gains, len(rows), len(queries))

    def judge(self, ids: IntArray) -> Judged:
        """Look up the gain of each row."""
        gains = np.zeros(ids.shape, dtype=np.float32)

        def fill(rows: slice) -> None:
            wanted = ids[rows] + self.n_database * np.arange(len(ids))[rows, None]  # (B, K)
            place = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
            known = (self.keys[place] == wanted) & (ids[rows] >= 0)  # -1 was not found
            gains[rows] = np.where(known, self.gains[place], 0)

        if len(self.keys):
            map_blocks(fill, len(ids), QUERIES_AT_ONCE)
        return Judged(gains, self._relevant, self._ideal(ids.shape[1]))

    @cached_property
    def _relevant(self) -> IntArray:
        """Count the judgements of each query, (Q,)."""
        return np.bincount(self.keys // self.n_database, minlength=self.n_queries)

    def _ideal(self, k: int) -> FloatArray:
        """Put the largest gains of each query in order, (Q, K)."""
        ideal = np.zeros((self.n_queries, k), dtype=np.float32)
        query = self.keys // self.n_database  # (J,), in order
        largest = np.lexsort((-self.gains, query))  # only moves gains within a query
        rank = np.arange(len(query)) - np.repeat(
            np.cumsum(self._relevant) - self._relevant, self._relevant
        )
        first = rank < k
        ideal[query[first], rank[first]] = self.gains[largest[first]]
        return ideal


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def _ids(path: Path, count: int) -> dict[str, int]:
    if not path.is_file():
        raise UserError(f"qrels.tsv needs {path}, one id a line, got no such file")
    ids = path.read_text().split("\n")
    ids = ids[:-1] if ids[-1] == "" else ids
    if len(ids) != count or len(set(ids)) != count:
        raise UserError(f"{path}: expected {count} different ids, got {len(ids)} lines")
    return {each.strip(): row for row, each in enumerate(ids)}
