"""What every index promises. A new file in mrlbench/indexes is tested with no edit here."""

import sys
from functools import partial

import numba
import numpy as np
import pytest
from numba.extending import intrinsic
from numpy.testing import assert_allclose, assert_array_equal

from mrlbench.arrays import prefix
from mrlbench.errors import UserError
from mrlbench.kernels import instructions
from mrlbench.plugins import load, names
from mrlbench.search.adaptive import rerank

N, Q, D, K = 500, 20, 16, 5
THOROUGH = N  # with this much effort an index must find nearly all


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return prefix(rng.standard_normal((N + Q, D), dtype=np.float32), D)


ALSO = [
    pytest.param(partial(load("indexes", name), **arguments), id=f"{name}-{label}")
    for name, label, arguments in (
        ("hnsw", "int8", {"code": "int8"}),
        ("hnsw", "float16", {"code": "float16"}),
        ("ivf", "int8", {"code": "int8"}),
        ("batched-ivf", "int16", {"code": "int16"}),
        ("binary", "mean", {"subtract_mean": True}),
    )
]


@pytest.fixture(params=[*names("indexes"), *ALSO])
def index(request):
    if not isinstance(request.param, str):
        return request.param()
    try:
        return load("indexes", request.param)()
    except UserError as error:  # ScaNN is made for Linux alone
        assert sys.platform != "linux", error
        pytest.skip(str(error))


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
    if index.lossy:  # a lossy code is held to the same after a rerank of ten times as many
        more = index.search(queries, 10 * K, THOROUGH)
        found = rerank(database, queries, more.ids, [D])[D].first(K)
    same = (found.ids[:, :, None] == expected[:, None, :]).any(axis=2).mean()
    assert same >= 0.99


def test_scores_fall(index, vectors):
    index.build(vectors)
    found = index.search(vectors[:Q], K, THOROUGH)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_stored_vector_is_its_own_nearest_neighbour(index, vectors):
    index.build(vectors)
    found = index.search(vectors, 10 if index.lossy else 1, THOROUGH)
    if index.lossy:
        found = rerank(vectors, vectors, found.ids, [D])[D]
    assert (found.ids[:, 0] == np.arange(len(vectors))).mean() >= (1 if index.exact else 0.99)


def test_a_factory_string_says_what_it_makes(vectors):
    for description, lossy in (("HNSW8", False), ("IVF4,Flat", False), ("PQ8x4fs", True)):
        index = load("indexes", "factory")(description)
        assert index.lossy is lossy
        index.build(vectors)
        assert index.search(vectors[:3], 2, 4).ids.shape == (3, 2)
    for wrong in ("HNSWx", "PQ7x4"):  # unknown, and not a divisor of 16
        with pytest.raises(UserError, match=f"index factory: '{wrong}'"):
            load("indexes", "factory")(wrong).build(vectors)


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


def test_rows_that_cannot_be_reached_are_minus_one(vectors):
    """A graph of few links on tight clusters is not connected: some queries reach few rows."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, D)) * 100
    rows = np.repeat(centres, 25, axis=0) + rng.standard_normal((1000, D)) * 1e-4
    clusters = prefix(rows.astype(np.float32), D)
    for name in ("hnsw", "hnswlib"):
        graph = load("indexes", name)(m=2, ef_construction=2)
        graph.build(clusters)
        found = graph.search(clusters[:50], 900, 900)
        missing = found.ids < 0
        assert missing.any()
        assert (found.scores[missing] < -1).all()
        assert (found.scores[~missing] >= -1.001).all()
        again = rerank(clusters, clusters[:50], found.ids, [D])[D]
        assert (again.ids[:, -1] == -1).any()
        assert (again.ids[:, 0] >= 0).all()


def test_binary_orders_by_the_signs_that_differ(vectors):
    wide = prefix(np.random.default_rng(1).standard_normal((60, 256), dtype=np.float32), 256)
    index = load("indexes", "binary")()
    index.build(wide[:50])
    found = index.search(wide[50:], 50, 1)
    differing = ((wide[50:, None] >= 0) != (wide[None, :50] >= 0)).sum(axis=2)  # (Q, N)
    assert_array_equal(np.take_along_axis(differing, found.ids, 1), np.sort(differing, axis=1))
    expected = np.cos(np.pi * np.sort(differing, axis=1) / 256)
    assert_allclose(found.scores, expected, atol=1e-6)
    assert index.nbytes() < 50 * 256 / 8 + 100
    few = load("indexes", "binary")(bits=D)  # what is asked for is kept: d bits of few coordinates
    few.build(vectors[:N])
    assert few.nbytes() < N * D / 8 + 100


def test_binary_subtracts_the_mean_of_the_database(tmp_path):
    unit = prefix(np.random.default_rng(1).random((80, 24), dtype=np.float32), 24)  # none negative
    database, queries = unit[:60], unit[60:]
    index = load("indexes", "binary")(fewest_bits=1, subtract_mean=True)
    index.build(database)
    mean = database.mean(axis=0, dtype=np.float64)
    differing = ((queries[:, None] > mean) != (database > mean)).sum(axis=2)  # (Q, N)
    found = index.search(queries, 60, 0)
    assert_array_equal(np.take_along_axis(differing, found.ids, 1), np.sort(differing, axis=1))
    assert_allclose(found.scores, np.cos(np.pi * np.sort(differing, axis=1) / 24), atol=1e-6)
    index.save(tmp_path / "index")
    again = load("indexes", "binary")()
    again.load(tmp_path / "index")
    assert_array_equal(again.search(queries, 60, 0).ids, found.ids)


def test_adanns_ivf_chooses_cells_at_one_prefix_and_scans_at_another(vectors):
    database, queries = vectors[:N], vectors[N:]
    index = load("indexes", "adanns-ivf")(cell_dim=4, scan_dim=8, cells=10)
    assert index.lossy
    index.build(database)
    found = index.search(queries, K, 3)
    centres = index._index.quantizer
    centres = np.stack([centres.reconstruct(row) for row in range(10)])  # (10, 4)
    cell = (prefix(database, 4) @ centres.T).argmax(axis=1)  # (N,)
    probed = np.argsort(-(prefix(queries, 4) @ centres.T), axis=1)[:, :3]  # (Q, 3)
    scores = prefix(queries, 8) @ prefix(database, 8).T  # (Q, N)
    scores[~(cell[None, :, None] == probed[:, None, :]).any(axis=2)] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    assert_array_equal(found.ids, expected)
    assert_allclose(found.scores, np.take_along_axis(scores, expected, 1), atol=1e-6)


@pytest.mark.parametrize(("code", "atol"), [("float32", 1e-6), ("int16", 1e-4)])
@pytest.mark.parametrize("probes", [3, 8])  # of eight, the nearest is scanned first
@pytest.mark.parametrize("width", [1, 3, 4, D])
def test_batched_ivf_is_exact_within_the_cells_probed(vectors, width, probes, code, atol):
    rows = np.concatenate([vectors[:N], vectors[:40], np.zeros((3, D), np.float32)])  # ties too
    database, queries = prefix(rows, width), prefix(vectors[N:], width)
    index = load("indexes", "batched-ivf")(cells=10, code=code)
    index.build(database)
    found = index.search(queries, 30, probes)
    centres = np.empty((10, width), dtype=np.float32)
    centres[index._centres.ids] = index._centres.values.reshape(width, 16).T[:10]
    cell = np.repeat(np.arange(10), np.diff(index._lists.starts))[np.argsort(index._lists.ids)]
    assert_array_equal(cell[:N], (database @ centres.T).argmax(axis=1)[:N])
    probed = np.argsort(-(queries @ centres.T), axis=1, kind="stable")[:, :probes]  # (Q, 3)
    scores = queries.astype(np.float64) @ database.T.astype(np.float64)  # (Q, N)
    inside = (cell[None, :, None] == probed[:, None, :]).any(axis=2)
    scores[~inside] = -np.inf
    expected = np.sort(scores, axis=1)[:, ::-1][:, :30]
    assert_allclose(found.scores, expected, atol=atol)
    there = found.ids >= 0
    assert_array_equal(there, np.isfinite(expected))
    own = np.take_along_axis(scores, np.maximum(found.ids, 0), axis=1)
    assert_allclose(own[there], found.scores[there], atol=atol)
    assert all(len(set(ids[ids >= 0])) == (ids >= 0).sum() for ids in found.ids)
    tied = (found.scores[:, 1:] == found.scores[:, :-1]) & there[:, 1:]
    assert (found.ids[:, 1:][tied] > found.ids[:, :-1][tied]).all()
    assert tied.any()
    assert index.distance_computations() == inside.sum() + Q * 10


def test_words_multiply_the_same_without_their_instruction(monkeypatch):
    rng = np.random.default_rng(0)
    rows, queries = (rng.integers(-3000, 3000, (each, 6), dtype=np.int16) for each in (16, 4))
    tile = np.ascontiguousarray(rows.reshape(16, 3, 2).transpose(1, 0, 2)).ravel()
    for feature in (instructions.AVX2, "+none such"):
        monkeypatch.setattr(instructions, "AVX2", feature)
        multiply = intrinsic(instructions._multiply_tile)

        @numba.njit
        def run(values, queries, out, multiply=multiply):
            multiply(values, 0, queries, 0, 1, 2, 3, out, 0)

        out = np.zeros((4, 16), dtype=np.float32)
        run(tile, queries, out)
        assert_array_equal(out, (queries.astype(int) @ rows.T.astype(int)).astype(np.float32))


def test_a_batch_and_single_queries_find_the_same_in_cells(vectors):
    index = load("indexes", "batched-ivf")()
    index.build(vectors[:N])
    together = index.search(vectors[N:], 100, 4)
    for row in range(Q):
        alone = index.search(vectors[N + row : N + row + 1], 100, 4)
        assert_array_equal(alone.ids[0], together.ids[row])


def test_adanns_opq_codes_a_prefix_alone(vectors):
    one, other = vectors[:N].copy(), vectors[:N].copy()
    other[:, 8:] = 0  # what is behind the prefix changes nothing
    found = []
    for database in (one, other):
        index = load("indexes", "adanns-opq")(code_dim=8)
        index.build(database)
        found.append(index.search(vectors[N:], K, 1))
    assert_array_equal(found[0].ids, found[1].ids)


def test_an_effort_below_k_is_k_where_it_is_a_beam(index, vectors):
    index.build(vectors[:N])
    assert index.beam in (True, False)
    if index.beam:
        few, enough = (index.search(vectors[N:], 20, effort) for effort in (1, 20))
        assert_array_equal(few.ids, enough.ids)


@pytest.mark.parametrize("name", ["exact", "hnswlib", "batched-ivf"])
def test_a_file_that_is_cut_off_is_no_index(name, vectors, tmp_path):
    index = load("indexes", name)()
    index.build(vectors[:N])
    index.save(tmp_path / "index")
    whole = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="index: expected an index that"):
        index.load(tmp_path / "index")


def test_signs_may_be_as_few_as_coordinates(vectors):
    signs = load("indexes", "binary")(fewest_bits=1)
    signs.build(vectors[:N])
    found = signs.search(vectors[N:], N, 0)
    differing = ((vectors[N:, None] >= 0) != (vectors[None, :N] >= 0)).sum(axis=2)  # (Q, N)
    ordered = np.take_along_axis(differing, found.ids, axis=1)
    assert_array_equal(ordered, np.sort(differing, axis=1))
    assert signs.nbytes() < N * D / 8 + 200
