"""Inverted lists that are scanned for a whole batch of queries at once, cell by cell."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import faiss as library  # its type hints leave out the clustering
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors, blocks, room_for_neighbors
from mrlbench.errors import UserError
from mrlbench.faiss_index import cells_for
from mrlbench.kernels.lists import Lists, best_of, lay_out, scan, take_turns
from mrlbench.threads import threads_in_use

faiss: Any = library
CENTRES_TOGETHER = 512  # they stay in the cache while queries pass
MOST_QUERIES = 16_384  # at once, in each thread: their candidates bound the memory
FEWEST_SPARE = 64  # candidates beside the k best before the best are sorted out
PARTS = ("rows", "centres")  # of a saved index
ROUNDS = 10  # of the clustering, as in FAISS's own inverted lists


class batched_ivf:
    """Scan the cells nearest to each query, each cell once for all queries; effort is nprobe.

    It finds what `ivf` finds. FAISS scans cell after cell for one query after the other; here a
    cell is read once for all the queries that probe it, so that a batch costs little more than its
    arithmetic.

    Args:
        cells: How many; 0 takes 4·√N, and no more than one for each 39 rows.
        seed: Of the k-means clustering that makes them.
    """

    exact = False
    lossy = False
    beam = False

    def __init__(self, cells: int = 0, seed: int = 0) -> None:
        self._cells, self._seed, self._computed = cells, seed, 0

    def build(self, database: FloatArray) -> None:
        """Cluster the rows of `database`, (N, d), and lay each cell's rows side by side."""
        rows, dim = database.shape
        cells = self._cells or cells_for(rows)
        clustering = faiss.Clustering(dim, cells)
        clustering.seed, clustering.spherical, clustering.niter = self._seed, True, ROUNDS
        centres = faiss.IndexFlatIP(dim)
        clustering.train(database, centres)
        cell = centres.search(database, 1)[1][:, 0]  # (N,)
        self._lists = lay_out(database, cell, cells)
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
        groups, cells = len(self._centres.starts) - 1, room_for_neighbors(len(queries), probes)
        everyone = np.arange(groups * len(queries)) % len(queries)
        turns = np.arange(groups + 1) * len(queries)
        compared = _probe(self._centres, queries, everyone, turns, cells)
        turns = np.empty(len(self._lists.starts), dtype=np.int64)
        asking = np.empty(cells.ids.size, dtype=np.int64)
        take_turns(cells.ids, turns, asking)
        return compared + _probe(self._lists, queries, asking, turns, found)

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


def _probe(
    lists: Lists, queries: FloatArray, asking: IntArray, turns: IntArray, found: Neighbors
) -> int:
    """Search the cells that queries take turns in; count the rows that are scored."""
    k = found.ids.shape[1]
    keys = np.empty((len(queries), k + max(k, FEWEST_SPARE)), dtype=np.int64)
    scored = scan(lists, queries, asking, turns, k, keys)
    best_of(keys, found)
    return scored
