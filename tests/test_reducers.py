"""Reductions without training, against independent computations."""

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD

from mrlbench import moments
from mrlbench.plugins import load


@pytest.fixture
def database():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((300, 8)) * np.arange(1, 9) + 5).astype(np.float32)


def test_svd_is_scikit_learns_truncated_svd_up_to_sign(database, monkeypatch):
    monkeypatch.setattr(moments, "BLOCK", 77)  # several blocks, the last one short
    ours = load("reducers", "svd")()
    ours.fit(database)
    for dim in (1, 3, 7):
        theirs = TruncatedSVD(dim, algorithm="arpack").fit(database).transform(database)
        found = ours.transform(database)[:, :dim]
        np.testing.assert_allclose(np.abs(found), np.abs(theirs), atol=2e-3)


def test_svd_is_not_centred_where_pca_is(database):
    reduced = {}
    for name in ("svd", "pca"):
        reducer = load("reducers", name)()
        reducer.fit(database)
        reduced[name] = reducer.transform(database)
    assert np.abs(reduced["pca"].mean(axis=0)).max() < 1e-3
    # the mean is longer than any spread here, so the first singular direction is along it
    mean = database.mean(axis=0)
    assert np.abs(reduced["svd"][:, 0].mean()) > 0.95 * np.linalg.norm(mean)


def projection(database, **arguments):
    reducer = load("reducers", "random-projection")(**arguments)
    reducer.fit(database)
    return reducer


def test_an_orthonormal_random_projection_keeps_all_distances_at_full_width(database):
    found = projection(database).transform(database).astype(np.float64)
    np.testing.assert_allclose(found @ found.T, database @ database.T, rtol=1e-4, atol=1e-3)
    assert np.abs(found - database).max() > 1  # but it is not the identity


@pytest.mark.parametrize("orthonormal", [True, False])
def test_every_prefix_of_a_random_projection_keeps_inner_products_on_average(orthonormal):
    rng = np.random.default_rng(1)
    one, other = vectors = rng.standard_normal((2, 32)).astype(np.float32)
    for dim in (4, 16, 32):
        found = []
        for seed in range(400):
            first, second = projection(vectors, orthonormal=orthonormal, seed=seed).transform(
                vectors
            )[:, :dim]
            found.append((first @ first, first @ second))
        expected = np.array([one @ one, one @ other]) * dim / 32
        error = np.std(found, axis=0) / np.sqrt(400)  # of the means
        assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error + 1e-4).all()


def test_a_random_projection_is_drawn_by_seed(database):
    first, again, other = (projection(database, seed=s).transform(database[:2]) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_rotations_are_uniform(database):
    # a QR without its signs would always give a first direction with a negative first entry
    firsts = [projection(database, seed=s)._directions[0, 0] for s in range(200)]
    assert 60 < (np.array(firsts) > 0).sum() < 140
