"""Choosing the k best: packed scores and ids, and a pass over a tile that adds and selects."""

import numba
import numpy as np

from mrlbench.arrays import FloatArray, IntArray

CHUNK = 64  # columns that are passed over together when none of them can enter the k best
SLACK = 8  # one in so many more than k may be kept: fewer passes
LAST_ID = 0xFFFFFFFF  # ids fill the lower half of a key: up to 4 billion rows


@numba.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def add_and_select(
    totals: FloatArray,
    products: FloatArray,
    inverse: FloatArray,
    first_id: int,
    k: int,
    keys: IntArray,
    counts: IntArray,
    bars: FloatArray,
) -> None:
    """Add a block's products to the running ones, and collect what can be among the k best.

    One pass over the tile. A column whose score is above the query's bar joins its candidates;
    when their place is full, the k best stay and the bar rises to the worst of them. Columns come
    in the order of their ids, so an equal score never displaces an earlier one.

    Args:
        totals: (B, R), the products so far; updated.
        products: (B, R), of the next block of coordinates.
        inverse: (R,), 1 / the norm of each row's prefix.
        first_id: The id of column 0.
        k: Results wanted.
        keys: (B, S), S > k candidates of each query as `to_key` gives them; updated.
        counts: (B,), how many there are; updated.
        bars: (B,), -inf at first; updated.
    """
    columns, places = totals.shape[1], keys.shape[1]
    for query in range(totals.shape[0]):
        bar, count = bars[query], counts[query]
        sums, added = totals[query], products[query]
        for start in range(0, columns, CHUNK):
            stop = min(start + CHUNK, columns)
            # slices from 0 on: an index that could be negative would not be vectorised
            some, new, factor = sums[start:stop], added[start:stop], inverse[start:stop]
            above = np.int32(0)
            for column in range(len(some)):
                total = some[column] + new[column]
                some[column] = total
                above += np.int32(total * factor[column] > bar)
            if not above:
                continue
            for column in range(len(some)):
                score = some[column] * factor[column]
                if score > bar:
                    keys[query, count] = to_key(score, first_id + start + column)
                    count += 1
                    if count == places:
                        count, lowest = keep_best(keys[query], k)
                        bar = score_of(lowest)
        bars[query], counts[query] = bar, count


@numba.njit(nogil=True, cache=True)
def to_key(score: np.float32, identity: int) -> np.int64:
    """Pack a float32 score and an id into one integer: higher is nearer, then the lower id."""
    bits = np.int64(np.float32(score).view(np.int32))
    ordered = bits if bits >= 0 else bits ^ np.int64(0x7FFFFFFF)
    return np.int64((ordered << 32) | (LAST_ID - identity))


def from_keys(keys: IntArray) -> tuple[IntArray, FloatArray]:
    """Unpack keys into ids and scores of the same shape."""
    ordered = (keys >> 32).astype(np.int32)
    bits = np.where(ordered >= 0, ordered, ordered ^ np.int32(0x7FFFFFFF))
    return LAST_ID - (keys & LAST_ID), bits.view(np.float32)


@numba.njit(nogil=True, cache=True)
def score_of(key: np.int64) -> np.float32:
    """Unpack the score that `to_key` was given."""
    ordered = np.int32(key >> 32)
    bits = ordered if ordered >= 0 else ordered ^ np.int32(0x7FFFFFFF)
    score: np.float32 = np.int32(bits).view(np.float32)
    return score


@numba.njit(nogil=True, cache=True)
def id_of(key: np.int64) -> np.int64:
    """Unpack the id that `to_key` was given."""
    return np.int64(LAST_ID) - (key & np.int64(LAST_ID))


@numba.njit(nogil=True, cache=True)
def keep_best(keys: IntArray, k: int) -> tuple[int, np.int64]:
    """Move the k highest of different keys, and perhaps a few more, to the front.

    The bar between the two is found by halving: counting what is above it takes a pass that the
    processor does several keys at a time, where a quickselect guesses wrong at every second key.

    Args:
        keys: More than k; what is not kept is lost.
        k: At least so many are kept.

    Returns:
        How many, at most k + k/8, and a key that is lower than none of them.
    """
    low, high = keys.min(), keys.max()
    most = k + k // SLACK
    kept = len(keys)
    while low < high and kept > most:
        bar = (low >> 1) + (high >> 1) + 1  # the difference need not fit: signs differ
        if bar <= low:
            bar = low + 1
        above = np.int64(0)
        for place in range(len(keys)):
            above += np.int64(keys[place] >= bar)
        if above >= k:
            low, kept = bar, int(above)
        else:
            high = bar - 1
    count = 0
    for place in range(len(keys)):
        key = keys[place]
        keys[count] = key
        count += int(key >= low)
    return count, low
