"""Compiled scan of inverted lists: each cell is read once for all the queries that probe it.

A cell's rows lie in tiles of 16, coordinate by coordinate: a step of the inner loop multiplies one
coordinate of 16 rows with that of four queries, and all 64 sums stay in the processor's registers.
"""

from typing import NamedTuple

import numba
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors, blocks
from mrlbench.kernels.instructions import QUERIES, ROWS, multiply_tile, prefetch, which_reach
from mrlbench.kernels.selection import id_of, keep_best, score_of, to_key

AHEAD = 4  # queries that are worked on before one that is asked for
LINE = 64  # bytes
SORTED_TOGETHER = 64  # queries whose candidates stay in the cache
NOTHING = np.iinfo(np.int64).min  # a key that is none


class Lists(NamedTuple):
    """Rows by cell.

    Attributes:
        values: Float32, tile after tile, each of 16 rows as (d, 16); what fills up a cell's last
            tile is zero.
        tiles: (C + 1,), which tile each cell begins with.
        starts: (C + 1,), where the rows of each cell begin among all.
        ids: (N,), of the rows in this order.
    """

    values: FloatArray
    tiles: IntArray
    starts: IntArray
    ids: IntArray


def lay_out(rows: FloatArray, cell: IntArray, cells: int) -> Lists:
    """Copy the rows, (N, d), of each cell side by side; `cell` says which each is in, (N,)."""
    ids = np.argsort(cell, kind="stable").astype(np.int64)
    starts = np.searchsorted(cell[ids], np.arange(cells + 1)).astype(np.int64)
    tiles = np.concatenate([[0], np.cumsum(-(-np.diff(starts) // ROWS))])
    values = np.zeros(tiles[-1] * ROWS * rows.shape[1], dtype=np.float32)
    lists = Lists(values, tiles, starts, ids)
    _copy(rows, lists)
    return lists


@numba.njit(nogil=True, cache=True)
def _copy(rows: FloatArray, lists: Lists) -> None:
    dim = rows.shape[1]
    for cell in range(len(lists.starts) - 1):
        first = lists.starts[cell]
        for place in range(lists.starts[cell + 1] - first):
            row = rows[lists.ids[first + place]]
            tile, lane = lists.tiles[cell] + place // ROWS, place % ROWS
            for column in range(dim):
                lists.values[(tile * dim + column) * ROWS + lane] = row[column]


@numba.njit(nogil=True, cache=True)
def _collect(
    scores: FloatArray,
    line: int,
    ids: IntArray,
    bar: np.float32,
    k: int,
    keys: IntArray,
    count: int,
) -> tuple[int, np.float32]:
    """Add what reaches the bar to the candidates; when these are full, the bar rises.

    An equal score may still have the lower id.

    Args:
        scores: (4, 16 T), of which one line is read.
        line: Which.
        ids: (R,), of the rows that the first R scores are of.
        bar: Of the query.
        k: Results wanted.
        keys: (S,), the query's candidates.
        count: How many there are.

    Returns:
        How many there are now, and the bar.
    """
    for start in range(0, len(ids), ROWS):
        reach = which_reach(scores, line, start, bar)
        place = start
        while reach and place < len(ids):
            if reach & 1 and scores[line, place] >= bar:  # it may have risen
                keys[count] = to_key(scores[line, place], ids[place])
                count += 1
                if count == len(keys):
                    count, lowest = keep_best(keys, k)
                    bar = score_of(lowest)
            reach >>= 1
            place += 1
    return count, bar


@numba.njit(nogil=True, cache=True)
def _fetch(queries: FloatArray, keys: IntArray, query: int, count: int) -> None:
    """Bring a query and the end of its candidates near while another one is worked on."""
    for column in range(0, queries.shape[1], LINE // 4):
        prefetch(queries, query, column)
    for column in range(count, min(count + ROWS, keys.shape[1]), LINE // 8):
        prefetch(keys, query, column)


@numba.njit(nogil=True, cache=True)
def scan(
    lists: Lists,
    queries: FloatArray,
    asking: IntArray,
    turns: IntArray,
    k: int,
    keys: IntArray,
) -> int:
    """Scan each cell for the queries that probe it, and collect what can be among their k best.

    Args:
        lists: The cells.
        queries: (B, d).
        asking: (B * probes,), the queries that probe cell 0, cell 1, …
        turns: (C + 1,), where each cell's begin in `asking`.
        k: Results wanted.
        keys: (B, S), S > k, filled: candidates as `to_key` packs them, then `NOTHING`.

    Returns:
        How many rows were scored, once for each query that they were scored for.
    """
    dim = queries.shape[1]
    starts, tiles, scored = lists.starts, lists.tiles, 0
    scores = np.empty((QUERIES, ROWS * np.max(tiles[1:] - tiles[:-1])), dtype=np.float32)
    bars = np.full(len(queries), -np.inf, dtype=np.float32)
    counts = np.zeros(len(queries), dtype=np.int64)
    for cell in range(len(starts) - 1):
        end = turns[cell + 1]
        if turns[cell] == end:
            continue
        ids = lists.ids[starts[cell] : starts[cell + 1]]
        scored += len(ids) * (end - turns[cell])
        for turn in range(turns[cell], end, QUERIES):
            for later in range(turn + AHEAD, min(turn + AHEAD + QUERIES, end)):
                _fetch(queries, keys, asking[later], counts[asking[later]])
            one, two, three, four = (  # the last one fills up
                asking[turn],
                asking[min(turn + 1, end - 1)],
                asking[min(turn + 2, end - 1)],
                asking[min(turn + 3, end - 1)],
            )
            for tile in range(tiles[cell], tiles[cell + 1]):
                at, column = tile * ROWS * dim, (tile - tiles[cell]) * ROWS
                multiply_tile(lists.values, at, queries, one, two, three, four, scores, column)
            for place in range(min(QUERIES, end - turn)):
                query = asking[turn + place]
                counts[query], bars[query] = _collect(
                    scores, place, ids, bars[query], k, keys[query], counts[query]
                )
    for query in range(len(queries)):
        keys[query, counts[query] :] = NOTHING
    return scored


@numba.njit(nogil=True, cache=True)
def take_turns(cells: IntArray, turns: IntArray, asking: IntArray) -> None:
    """List the queries that probe each cell (a counting sort).

    Args:
        cells: (B, probes).
        turns: (C + 1,), filled: where each cell's queries begin in `asking`.
        asking: (B * probes,), filled.
    """
    turns[:] = 0
    for query in range(cells.shape[0]):
        for probe in range(cells.shape[1]):
            turns[cells[query, probe] + 1] += 1
    for cell in range(1, len(turns)):
        turns[cell] += turns[cell - 1]
    following = turns.copy()
    for query in range(cells.shape[0]):
        for probe in range(cells.shape[1]):
            cell = cells[query, probe]
            asking[following[cell]] = query
            following[cell] += 1


def best_of(keys: IntArray, found: Neighbors) -> None:
    """Order candidates, (Q, S), nearest first, into (Q, k): id -1 and score -inf where none is.

    NumPy sorts with the processor's vectors, ten times as fast as compiled code that compares one
    by one.
    """
    k = found.ids.shape[1]
    for part in blocks(len(keys), SORTED_TOGETHER):
        some = keys[part]
        some.partition(some.shape[1] - k, axis=1)
        some[:, -k:].sort(axis=1)
        _unpack(some, found.ids[part], found.scores[part])


@numba.njit(nogil=True, cache=True)
def _unpack(keys: IntArray, ids: IntArray, scores: FloatArray) -> None:
    """Read sorted keys, (B, S), from the end: the k highest, (B, k)."""
    for query in range(len(ids)):
        for place in range(ids.shape[1]):
            key = keys[query, keys.shape[1] - 1 - place]
            ids[query, place] = id_of(key) if key != NOTHING else -1
            scores[query, place] = score_of(key) if key != NOTHING else -np.inf
