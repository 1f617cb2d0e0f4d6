"""Inverted lists that are scanned for a whole batch of queries at once, cell by cell."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import BadZipFile

import faiss as library  # its type hints leave out the clustering
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors, blocks, room_for_neighbors
from mrlbench.errors import UserError
from mrlbench.faiss_index import cells_for
from mrlbench.kernels.lists import (
    UNIT,
    Lists,
    best_of,
    lay_out,
    raise_bars,
    scan,
    take_turns,
    to_words,
)
from mrlbench.threads import threads_in_use

faiss: Any = library
CENTRES_TOGETHER, QUERIES_TOGETHER = 512, 256  # stay in the cache while they meet
MOST_QUERIES = 16_384  # at once, in each thread: their candidates bound the memory
FEWEST_SPARE = 64  # candidates beside the k best before the best are sorted out
PARTS = ("rows", "centres")  # of a saved index
ENOUGH = 1.5  # times as many rows as results: the nearest cells that hold so many are scanned first
FEWEST_ROUNDS = 4  # times as many cells as those, or all are scanned at once
FEWEST_QUERIES = 16  # or a second call costs more than it saves
ROUNDS = 10  # of the clustering, as in FAISS's own inverted lists


class _Candidates(NamedTuple):
    """What may be among the best of some queries: see `scan`."""

    keys: IntArray
    counts: IntArray
    bars: FloatArray

    @classmethod
    def none(cls, queries: int, k: int) -> "_Candidates":
        """Make room for those of B queries."""
        return cls(
            np.empty((queries, k + max(k, FEWEST_SPARE)), dtype=np.int64),
            np.zeros(queries, dtype=np.int64),
            np.full(queries, -np.inf, dtype=np.float32),
        )


class batched_ivf:
    """Scan the cells nearest to each query, each cell once for all queries; effort is nprobe.

    It finds what `ivf` finds. FAISS scans cell after cell for one query after the other; here a
    cell is read once for all the queries that probe it, so that a batch costs little more than its
    arithmetic.

    Args:
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        seed: Of the k-means clustering that makes them.
        code: How the rows are stored; int16 halves their bytes and multiplies twice as fast, and
            scores are then off by some 0.00001.
    """

    exact = False
    beam = False

    def __init__(
        self, cells: int = 0, seed: int = 0, code: Literal["float32", "int16"] = "float32"
    ) -> None:
        self._cells, self._seed, self._code, self._computed = cells, seed, code, 0
        self.lossy = code != "float32"

    def build(self, database: FloatArray) -> None:
        """Cluster the rows of `database`, (N, d), and lay each cell's rows side by side."""
        rows, dim = database.shape
        cells = self._cells or cells_for(rows)
        clustering = faiss.Clustering(dim, cells)
        clustering.seed, clustering.spherical, clustering.niter = self._seed, True, ROUNDS
        centres = faiss.IndexFlatIP(dim)
        clustering.train(database, centres)
        cell = centres.search(database, 1)[1][:, 0]  # (N,)
        self._lists = lay_out(to_words(database) if self.lossy else database, cell, cells)
        # a list of lists: a search among the centres is one that probes all of them
        together = np.arange(cells) // CENTRES_TOGETHER
        self._centres = lay_out(centres.reconstruct_n(0, cells), together, together[-1] + 1)

    def search(self, queries: FloatArray, k: int, effort: int) -> Neighbors:
        """Find the `k` nearest rows in the `effort` nearest cells, exactly."""
        probes = min(max(effort, 1), len(self._centres.ids))
        queries, found = np.ascontiguousarray(queries), room_for_neighbors(len(queries), k)

        def work(part: slice) -> int:
            return self._search(queries[part], probes, found.of(part))

        threads = threads_in_use()
        fair = max(1, -(-len(queries) // threads))
        parts = list(blocks(len(queries), min(fair, MOST_QUERIES)))
        if len(parts) == 1:
            self._computed = work(parts[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                self._computed = sum(pool.map(work, parts))
        return found

    def _search(self, queries: FloatArray, probes: int, found: Neighbors) -> int:
        """Search some queries in one thread; count the distances computed."""
        cells, compared = room_for_neighbors(len(queries), probes), 0
        for part in blocks(len(queries), QUERIES_TOGETHER):
            compared += self._choose(queries[part], cells.of(part))
        words = self._lists.values.dtype == np.int16
        asked, k = to_words(queries) if words else queries, found.ids.shape[1]
        among, turns = _Candidates.none(len(queries), k), np.empty_like(self._lists.starts)
        for some in self._rounds(cells.ids, k):
            raise_bars(among.keys, k, among.counts, among.bars)
            asking = np.empty(some.size, dtype=np.int64)
            take_turns(some, turns, asking)
            compared += scan(self._lists, asked, asking, turns, k, *among)
        best_of(among.keys, found)
        if words:
            np.multiply(found.scores, UNIT, out=found.scores)
        return compared

    def _choose(self, queries: FloatArray, cells: Neighbors) -> int:
        """Find the cells nearest to some queries; count the distances computed."""
        groups, probes = len(self._centres.starts) - 1, cells.ids.shape[1]
        everyone = np.arange(groups * len(queries)) % len(queries)
        turns = np.arange(groups + 1) * len(queries)
        among = _Candidates.none(len(queries), probes)
        compared = scan(self._centres, queries, everyone, turns, probes, *among)
        best_of(among.keys, cells)
        return compared

    def _rounds(self, cells: IntArray, k: int) -> Sequence[IntArray]:
        """Give the cells that are probed, (B, probes): first the nearest, which raise the bar."""
        each = len(self._lists.ids) / (len(self._lists.starts) - 1)  # rows
        nearest = math.ceil(ENOUGH * k / each)
        if nearest * FEWEST_ROUNDS > cells.shape[1] or len(cells) < FEWEST_QUERIES:
            return [cells]
        return [np.ascontiguousarray(some) for some in (cells[:, :nearest], cells[:, nearest:])]

    def nbytes(self) -> int:
        """Bytes of the rows, their ids, and the centres of the cells."""
        return sum(each.nbytes for each in (*self._lists, *self._centres))

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        arrays = {
            f"{part}_{name}": array
            for part, lists in zip(PARTS, (self._lists, self._centres), strict=True)
            for name, array in lists._asdict().items()
        }
        with path.open("wb") as file:
            np.savez(file, **arrays)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            UserError: It is cut off, or another index.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as file:
                self._lists, self._centres = (
                    Lists(*(file[f"{part}_{name}"] for name in Lists._fields)) for part in PARTS
                )
        except (ValueError, OSError, KeyError, BadZipFile, EOFError) as error:
            raise UserError(f"{path}: expected an index that batched-ivf saved: {error}") from error

    def distance_computations(self) -> int | None:
        """Distances computed in the last search."""
        return self._computed
