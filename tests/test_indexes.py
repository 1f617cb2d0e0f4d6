"""What every index promises. A new file in mrlbench/indexes is tested with no edit here."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mrlbench.arrays import prefix
from mrlbench.plugins import load, names

N, Q, D, K = 500, 20, 16, 5
THOROUGH = N  # with this much effort an index must find nearly all


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return prefix(rng.standard_normal((N + Q, D), dtype=np.float32), D)


@pytest.fixture(params=names("indexes"))
def index(request):
    return load("indexes", request.param)()


def brute_force(database, queries):
    similarity = queries.astype(np.float64) @ database.T.astype(np.float64)  # (Q, N)
    ids = np.argsort(-similarity, axis=1, kind="stable")[:, :K]
    return ids, np.take_along_axis(similarity, ids, axis=1)


def test_a_thorough_search_finds_what_brute_force_finds(index, vectors):
    database, queries = vectors[:N], vectors[N:]
    expected, similarity = brute_force(database, queries)
    index.build(database)
    found = index.search(queries, K, THOROUGH)
    assert found.ids.dtype == np.int64
    if index.exact:
        assert_array_equal(found.ids, expected)
        assert_allclose(found.scores, similarity, atol=1e-5)
    same = (found.ids[:, :, None] == expected[:, None, :]).any(axis=2).mean()
    assert index.lossy or same >= 0.99


def test_scores_fall(index, vectors):
    index.build(vectors)
    found = index.search(vectors[:Q], K, THOROUGH)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_stored_vector_is_its_own_nearest_neighbour(index, vectors):
    index.build(vectors)
    found = index.search(vectors, 1, THOROUGH)
    assert (found.ids[:, 0] == np.arange(len(vectors))).mean() >= (1 if index.exact else 0.99)


def test_inputs_are_left_alone(index, vectors):
    before = vectors.copy()
    index.build(vectors)
    index.search(vectors[:Q], K, THOROUGH)
    assert_array_equal(vectors, before)


def test_a_saved_index_finds_the_same_when_loaded(index, vectors, tmp_path):
    index.build(vectors[:N])
    before = index.search(vectors[N:], K, THOROUGH)
    index.save(tmp_path / "index")
    other = type(index)()
    other.load(tmp_path / "index")
    after = other.search(vectors[N:], K, THOROUGH)
    assert_array_equal(before.ids, after.ids)
    assert_allclose(before.scores, after.scores)


def test_size_is_that_of_the_vectors_at_least(index, vectors):
    index.build(vectors[:N])
    assert index.lossy or index.nbytes() >= N * D * 4


def test_distance_computations_are_counted_or_not_known(index, vectors):
    index.build(vectors[:N])
    index.search(vectors[N:], K, THOROUGH)
    counted = index.distance_computations()
    assert counted is None or Q * K <= counted <= 2 * Q * N
    if index.exact:
        assert counted == Q * N
