"""A database in shards gives the neighbours of the database in one piece, ties included."""

import itertools

import numpy as np
import pytest
import torch.distributed as ranks
import torch.multiprocessing as processes

from mrlbench.arrays import Neighbors
from mrlbench.search import nested_search
from mrlbench.search.shards import merge, merge_over_ranks

DIMS = [4, 16]
K = 12
EDGES = [0, 5, 5, 300, 301, 900]  # uneven, one empty, one of a single row


def vectors():
    rng = np.random.default_rng(0)
    database = rng.integers(-2, 3, (900, 16)).astype(np.float32)  # many equal rows and scores
    database[400:500] = database[:100]
    return database, rng.integers(-2, 3, (20, 16)).astype(np.float32)


def search_shard(database, queries, start, stop):
    if start == stop:
        nothing = Neighbors(np.empty((len(queries), 0), int), np.empty((len(queries), 0), "f4"))
        return dict.fromkeys(DIMS, nothing)
    return nested_search(database[start:stop], queries, DIMS, min(K, stop - start), threads=1)


def test_shards_merge_into_the_whole():
    database, queries = vectors()
    whole = nested_search(database, queries, DIMS, K, threads=1)
    spans = list(itertools.pairwise(EDGES))
    found = [search_shard(database, queries, *span) for span in spans]
    for dim in DIMS:
        merged = merge([part[dim] for part in found], EDGES[:-1], K)
        np.testing.assert_array_equal(merged.ids, whole[dim].ids)
        np.testing.assert_array_equal(merged.scores, whole[dim].scores)


def test_results_that_were_not_found_stay_last():
    one = Neighbors(np.array([[3, -1]]), np.array([[0.5, -np.inf]], dtype="f4"))
    two = Neighbors(np.array([[0, 1]]), np.array([[0.7, 0.1]], dtype="f4"))
    merged = merge([one, two], [0, 10], 4)
    np.testing.assert_array_equal(merged.ids, [[10, 3, 11, -1]])


def rank(number, count, folder):
    ranks.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=number, world_size=count
    )
    database, queries = vectors()
    edges = [0, 100, 100, 900] if count == 3 else [0, 250, 900]
    start, stop = edges[number], edges[number + 1]
    found = merge_over_ranks(search_shard(database, queries, start, stop), stop - start, K)
    for dim, each in found.items():
        np.savez(f"{folder}/{number}-{dim}.npz", ids=each.ids, scores=each.scores)
    ranks.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_ranks_merge_into_the_whole(count, tmp_path):
    context = processes.spawn(rank, (count, tmp_path), nprocs=count, join=False)
    assert any(context.join(timeout=60) for _ in range(count))  # true once the last has ended
    database, queries = vectors()
    whole = nested_search(database, queries, DIMS, K, threads=1)
    for number in range(count):
        for dim in DIMS:
            with np.load(tmp_path / f"{number}-{dim}.npz") as found:
                np.testing.assert_array_equal(found["ids"], whole[dim].ids)
                np.testing.assert_array_equal(found["scores"], whole[dim].scores)
