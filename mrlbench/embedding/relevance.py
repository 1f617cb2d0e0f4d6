"""What is relevant to what: class labels, or graded judgements (TREC qrels)."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mrlbench.arrays import IntArray, Judged
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
    """Graded judgements: for each query, database row -> gain above 0."""

    gains: list[dict[int, float]]

    @classmethod
    def read(cls, folder: Path, n_database: int, n_queries: int) -> "Qrels":
        """Read `qrels.tsv` (query-id 0 doc-id gain) with the two files of ids.

        Raises:
            UserError: A line that is not of that form, or an id that is not in its file.
        """
        documents = _ids(folder / "database_ids.txt", n_database)
        queries = _ids(folder / "queries_ids.txt", n_queries)
        path, gains = folder / "qrels.tsv", defaultdict[int, dict[int, float]](dict)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                query, _, document, gain = line.split()
                row, column, value = queries[query], documents[document], float(gain)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}: expected `query-id 0 doc-id gain`, got {line!r}"
                ) from error
            except KeyError as error:
                raise UserError(f"{path}, line {number}: id {error} is in no ids file") from error
            if value > 0:
                gains[row][column] = value
        return cls([gains[row] for row in range(n_queries)])

    def judge(self, ids: IntArray) -> Judged:
        """Look up the gain of each row."""
        gains, ideal = np.zeros((2, *ids.shape), dtype=np.float32)
        for query, known in enumerate(self.gains):
            gains[query] = [known.get(int(row), 0.0) for row in ids[query]]
            best = sorted(known.values(), reverse=True)[: ids.shape[1]]
            ideal[query, : len(best)] = best
        relevant = np.array([len(known) for known in self.gains], dtype=np.int64)
        return Judged(gains, relevant, ideal)

    def of(self, rows: IntArray, queries: IntArray) -> "Qrels":
        """Keep the judgements of some rows and queries."""
        place = {int(row): new for new, row in enumerate(rows)}
        kept = (self.gains[query].items() for query in queries)
        return Qrels([{place[row]: gain for row, gain in each if row in place} for each in kept])


def _ids(path: Path, count: int) -> dict[str, int]:
    if not path.is_file():
        raise UserError(f"qrels.tsv needs {path}, one id a line, got no such file")
    ids = path.read_text().split("\n")
    ids = ids[:-1] if ids[-1] == "" else ids
    if len(ids) != count or len(set(ids)) != count:
        raise UserError(f"{path}: expected {count} different ids, got {len(ids)} lines")
    return {each.strip(): row for row, each in enumerate(ids)}
