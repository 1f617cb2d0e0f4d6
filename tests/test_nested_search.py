"""Exact search at every dim against a float64 computation, on easy and on nasty inputs."""

import numpy as np
import pytest
import torch

from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.kernels.selection import from_keys, keep_best, to_key
from mrlbench.search import nested, nested_search
from mrlbench.search.nested_torch import search_in_torch

DIMS = [1, 3, 8, 32]


def by_float64(database, queries, dim, k):
    """The plain way: cut, normalise, multiply, sort; ties by lower id."""
    cut, asked = (np.asarray(v[:, :dim], dtype=np.float64) for v in (database, queries))
    norms = [np.linalg.norm(each, axis=1, keepdims=True) for each in (cut, asked)]
    cut, asked = (e / np.where(n > 0, n, 1) for e, n in zip((cut, asked), norms, strict=True))
    similarity = asked @ cut.T
    ids = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(similarity, ids, axis=1), similarity


def compiled(database, queries, dims, k):
    return nested_search(database, queries, dims, k, threads=2)


def torched(database, queries, dims, k):
    return search_in_torch(database, queries, dims, k, "cpu")


@pytest.fixture(params=[compiled, torched])
def search(request):
    return request.param


def check(search, database, queries, dims, k):
    found = search(database, queries, dims, k)
    assert list(found) == list(dims)
    for dim in dims:
        _, scores, similarity = by_float64(database, queries, dim, k)
        assert found[dim].ids.shape == found[dim].scores.shape == (len(queries), k)
        assert found[dim].ids.dtype == np.int64
        assert found[dim].scores.dtype == np.float32
        np.testing.assert_allclose(found[dim].scores, scores, atol=2e-6)
        # the ids may differ from float64's only where scores tie within float32 rounding
        own = np.take_along_axis(similarity, found[dim].ids, axis=1)
        np.testing.assert_allclose(own, scores, atol=2e-6)
        for ids in found[dim].ids:
            assert len(set(ids.tolist())) == k


def random(rows, width=32, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32)


def test_random_vectors_equal_float64_by_id(search):
    database, queries = random(3000), random(50, seed=1)
    found = search(database, queries, [8, 32], 10)
    for dim in (8, 32):
        np.testing.assert_array_equal(found[dim].ids, by_float64(database, queries, dim, 10)[0])


@pytest.mark.parametrize("k", [1, 10, 200])
def test_random_vectors(search, k):
    check(search, random(5000), random(300, seed=1), DIMS, k)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_type(search, dtype):
    check(search, random(500).astype(dtype), random(20, seed=1).astype(dtype), DIMS, 10)


def test_k_is_all_rows_and_one_query_and_one_row(search):
    check(search, random(70), random(5, seed=1), DIMS, 70)
    check(search, random(70), random(1, seed=1), DIMS, 3)
    check(search, random(1), random(4, seed=1), DIMS, 1)


def test_rows_in_order_of_similarity(search):
    database, queries = random(9000), random(3, seed=1)
    order = np.argsort(by_float64(database, queries, 32, 1)[2][0])
    check(search, database[order], queries, DIMS, 10)
    check(search, database[order[::-1]], queries, DIMS, 10)


def test_energy_in_the_last_coordinates(search):
    scale = np.r_[np.full(30, 1e-3), 1e3, 1e3].astype(np.float32)
    check(search, random(800) * scale, random(20, seed=1) * scale, DIMS, 10)


def test_equal_scores_come_in_the_order_of_their_ids(search):
    database = np.repeat(random(3), 3000, axis=0)  # three different rows, 3,000 times each
    found = search(database, database[[0, 3000, 6000]], [8, 32], 50)
    for dim in (8, 32):
        for query, start in enumerate((0, 3000, 6000)):
            np.testing.assert_array_equal(found[dim].ids[query], start + np.arange(50))


def test_equal_scores_of_equal_rows_come_in_the_order_of_their_ids():
    database = np.tile(random(333), (3, 1))  # each row three times, far apart
    found = compiled(database, random(500, seed=1), [3, 32], 60)
    for ids, scores in found.values():
        tied = scores[:, 1:] == scores[:, :-1]
        assert tied.any()
        assert (ids[:, 1:] > ids[:, :-1])[tied].all()


def test_constant_vectors(search):
    database = np.ones((5000, 32), dtype=np.float32)
    found = search(database, database[:3], DIMS, 20)
    for dim in DIMS:
        np.testing.assert_array_equal(found[dim].ids, np.tile(np.arange(20), (3, 1)))
        np.testing.assert_allclose(found[dim].scores, 1, atol=1e-6)


def test_a_zero_prefix_has_cosine_zero_with_everything(search):
    database, queries = random(40), random(3, seed=1)
    database[5, :3] = 0
    queries[1, :3] = 0
    found = search(database, queries, [3, 32], 40)
    assert (found[3].scores[1] == 0).all()
    np.testing.assert_array_equal(found[3].ids[1], np.arange(40))
    for query in (0, 2):
        assert found[3].scores[query][found[3].ids[query] == 5] == 0
    check(search, database, queries, [3, 32], 40)


def test_a_memory_map_is_searched(search, tmp_path):
    np.save(tmp_path / "database.npy", random(300).astype(np.float16))
    check(search, np.load(tmp_path / "database.npy", mmap_mode="r"), random(5, seed=1), DIMS, 7)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tensors_are_searched_where_they_are(dtype):
    database, queries = (
        torch.from_numpy(each).to(getattr(torch, dtype))
        for each in (random(300), random(9, seed=1))
    )
    expected = nested_search(database.numpy(), queries.numpy(), DIMS, 7)
    for found in (
        nested_search(database, queries, DIMS, 7),
        search_in_torch(database, queries, DIMS, 7, "cpu"),
    ):
        for dim in DIMS:
            np.testing.assert_allclose(found[dim].scores, expected[dim].scores, atol=2e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_short_and_very_long_vectors(search, scale):
    check(search, random(300) * np.float32(scale), random(5, seed=1), DIMS, 7)
    wide = random(300).astype(np.float64) * scale**5
    check(search, wide, random(5, seed=1), DIMS, 7)


def test_keys_keep_the_order_of_scores_and_then_of_ids():
    scores = np.array([0.5, -0.5, 0.0, 1e-40, -1e-40, np.inf, 0.5], dtype=np.float32)
    keys = np.array([to_key(score, row) for row, score in enumerate(scores)])
    ids, back = from_keys(keys)
    np.testing.assert_array_equal(ids, np.arange(7))
    np.testing.assert_array_equal(back, scores)
    assert np.argsort(-keys).tolist() == [5, 0, 6, 3, 2, 4, 1]


def test_the_result_does_not_depend_on_threads():
    database, queries = random(5000), random(100, seed=1)
    one, two = (nested_search(database, queries, DIMS, 20, threads=t) for t in (1, 2))
    for dim in DIMS:
        np.testing.assert_array_equal(one[dim].ids, two[dim].ids)


def test_little_memory_gives_the_same_in_more_passes(monkeypatch):
    database, queries = random(3000), random(100, seed=1)
    whole = nested_search(database, queries, DIMS, 20)
    passes = []
    one_pass = nested._search_part

    def counted(*arguments):
        passes.append(len(arguments[1]))
        return one_pass(*arguments)

    monkeypatch.setattr(nested, "_search_part", counted)
    # 4 dims of 84 + 20 keys of 8 bytes, and 32 coordinates of 4: 3,456 bytes a query; 75% for them
    few = nested_search(database, queries, DIMS, 20, threads=2, memory_limit=150_000)
    assert passes == [32, 32, 32, 4]
    for dim in DIMS:
        np.testing.assert_array_equal(few[dim].ids, whole[dim].ids)


def test_more_neighbours_than_rows_are_refused():
    with pytest.raises(UserError, match="k: expected 1 to 10, .*got 11"):
        nested_search(random(10), random(2), [8], 11)


def test_prefix_cuts_and_then_normalises():
    vectors = np.array([[3, 4, 12], [0, 0, 5]], dtype=np.float32)
    np.testing.assert_allclose(prefix(vectors, 2), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert vectors[0, 0] == 3
    tiny = np.array([[3e-30, 4e-30]], dtype=np.float32)
    np.testing.assert_allclose(prefix(tiny, 2), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 7, 8, 64, 200])
def test_the_best_keys_are_kept_with_few_others(k):
    random = np.random.default_rng(k)
    extremes = [np.iinfo(np.int64).min + 1, -1, 0, 1, np.iinfo(np.int64).max]
    for size in (k + 1, 2 * k + 64):
        wide = random.integers(-(2**62), 2**62, size + 10)
        near = random.permutation(size + 10) + 2**40  # neighbouring keys: ties but for their ids
        for keys in (wide, near, np.concatenate([extremes, near])):
            keys = np.unique(keys)
            random.shuffle(keys)
            best = np.sort(keys)[::-1][:k]
            count, lowest = keep_best(keys, k)
            assert k <= count <= k + k // 8
            assert set(best) <= set(keys[:count])
            assert len(set(keys[:count])) == count
            assert keys[:count].min() >= lowest
