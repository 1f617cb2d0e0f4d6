"""Compiled scan of inverted lists: each cell is read once for all the queries that probe it.

A cell's rows lie in tiles of 16, coordinate by coordinate: a step of the inner loop multiplies one
coordinate of 16 rows with that of four queries, and all 64 sums stay in the processor's registers.
"""

from typing import NamedTuple

import numba
import numpy as np

from mrlbench.arrays import FloatArray, IntArray, Neighbors, WordArray, blocks
from mrlbench.kernels.instructions import QUERIES, ROWS, multiply_tile, prefetch, which_reach
from mrlbench.kernels.selection import id_of, keep_best, score_of, to_key

LONGEST = 32767  # of a word: the products of unit vectors stay within an int32
UNIT = LONGEST**-2  # of products of words
AHEAD = 4  # queries that are worked on before one that is asked for
LINE = 64  # bytes
TOGETHER = 64  # rows that are worked on at once stay in the cache
NOTHING = np.iinfo(np.int64).min  # a key that is none


class Lists(NamedTuple):
    """Rows by cell.

    Attributes:
        values: Tile after tile, each of 16 rows: float32 as (d, 16), words as (d / 2, 16, 2); what
            fills up a cell's last tile is zero.
        tiles: (C + 1,), which tile each cell begins with.
        starts: (C + 1,), where the rows of each cell begin among all.
        ids: (N,), of the rows in this order.
    """

    values: FloatArray | WordArray
    tiles: IntArray
    starts: IntArray
    ids: IntArray


def to_words(vectors: FloatArray) -> WordArray:
    """Round unit vectors, (N, d), to int16, (N, d) or one wider: their products are in `UNIT`s."""
    rows, dim = vectors.shape
    words = np.zeros((rows, dim + dim % 2), dtype=np.int16)
    for part in blocks(rows, TOGETHER):
        some = np.clip(vectors[part] * LONGEST, -LONGEST, LONGEST)
        np.rint(some, out=words[part, :dim], casting="unsafe")
    return words


def lay_out(rows: FloatArray | WordArray, cell: IntArray, cells: int) -> Lists:
    """Copy the rows of each cell side by side.

    Args:
        rows: (N, d) float32, or what `to_words` made of them.
        cell: (N,), which each is in.
        cells: How many there are.
    """
    ids = np.argsort(cell, kind="stable").astype(np.int64)
    starts = np.searchsorted(cell[ids], np.arange(cells + 1)).astype(np.int64)
    tiles = np.concatenate([[0], np.cumsum(-(-np.diff(starts) // ROWS))])
    lists = Lists(np.zeros(tiles[-1] * ROWS * rows.shape[1], dtype=rows.dtype), tiles, starts, ids)
    _copy(rows, lists, 2 if rows.dtype == np.int16 else 1)
    return lists


@numba.njit(nogil=True, cache=True)
def _copy(rows: FloatArray | WordArray, lists: Lists, together: int) -> None:
    """Copy rows to their tiles, some coordinates of each row together."""
    dim = rows.shape[1]
    for cell in range(len(lists.starts) - 1):
        first = lists.starts[cell]
        for place in range(lists.starts[cell + 1] - first):
            row = rows[lists.ids[first + place]]
            tile, lane = lists.tiles[cell] + place // ROWS, place % ROWS
            for column in range(dim):
                at = (tile * dim + column - column % together) * ROWS + lane * together
                lists.values[at + column % together] = row[column]


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
def _fetch(queries: FloatArray | WordArray, keys: IntArray, query: int, count: int) -> None:
    """Bring a query and the end of its candidates near while another one is worked on."""
    for column in range(0, queries.shape[1], LINE // queries.itemsize):
        prefetch(queries, query, column)
    for column in range(count, min(count + ROWS, keys.shape[1]), LINE // 8):
        prefetch(keys, query, column)


@numba.njit(nogil=True, cache=True)
def scan(
    lists: Lists,
    queries: FloatArray | WordArray,
    asking: IntArray,
    turns: IntArray,
    k: int,
    keys: IntArray,
    counts: IntArray,
    bars: FloatArray,
) -> int:
    """Scan each cell for the queries that probe it, and collect what can be among their k best.

    Args:
        lists: The cells.
        queries: (B, d), of the type of the cells' rows.
        asking: (B * probes,), the queries that probe cell 0, cell 1, …
        turns: (C + 1,), where each cell's begin in `asking`.
        k: Results wanted.
        keys: (B, S), S > k, gone on with: candidates as `to_key` packs them, then `NOTHING`.
        counts: (B,), how many candidates there are; 0 at first.
        bars: (B,), what a score must reach; -inf at first.

    Returns:
        How many rows were scored, once for each query that they were scored for.
    """
    dim = queries.shape[1]
    starts, tiles, scored = lists.starts, lists.tiles, 0
    scores = np.empty((QUERIES, ROWS * np.max(tiles[1:] - tiles[:-1])), dtype=np.float32)
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
def raise_bars(keys: IntArray, k: int, counts: IntArray, bars: FloatArray) -> None:
    """Raise the bar of each query that has k candidates to the k-th best of them."""
    for query in range(len(keys)):
        if counts[query] >= k:
            counts[query], lowest = keep_best(keys[query, : counts[query]], k)
            bars[query] = score_of(lowest)


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
    for part in blocks(len(keys), TOGETHER):
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
