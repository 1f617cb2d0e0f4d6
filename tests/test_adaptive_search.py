"""Reranks and funnels: by hand, alone and in any order, and the paper's cost."""

import itertools

import numpy as np
import pytest

from mrlbench.errors import UserError
from mrlbench.evaluation.adaptive_retrieval import schedules
from mrlbench.experiment import Funnel
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, rerank, run_schedule

DIMS = [4, 8, 16, 32]
ROWS = 1_281_167  # of ImageNet-1K's training set


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return rng.standard_normal((400, 32), dtype=np.float32), rng.standard_normal(
        (25, 32), dtype=np.float32
    )


def cosine(query, rows, dim):
    query, rows = query[:dim].astype(np.float64), rows[:, :dim].astype(np.float64)
    return rows @ query / (np.linalg.norm(query) * np.linalg.norm(rows, axis=1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_rerank_orders_the_shortlist_by_cosine_at_each_dim(vectors, dtype, threads):
    database, queries = (each.astype(dtype) for each in vectors)
    shortlist = nested_search(database, queries, [4], 30)[4].ids
    before = shortlist.copy()
    found = rerank(database, queries, shortlist, [8, 32], threads)
    for dim, query in itertools.product((8, 32), range(len(queries))):
        scores = cosine(queries[query], database[shortlist[query]], dim)
        order = np.argsort(-scores, kind="stable")
        np.testing.assert_array_equal(found[dim].ids[query], shortlist[query][order])
        np.testing.assert_allclose(found[dim].scores[query], scores[order], atol=1e-6)
    np.testing.assert_array_equal(shortlist, before)


def test_reranking_all_rows_is_exact_search(vectors):
    database, queries = vectors
    everything = np.tile(np.arange(400), (25, 1))
    exact = nested_search(database, queries, [32], 400)[32]
    np.testing.assert_array_equal(rerank(database, queries, everything, [32])[32].ids, exact.ids)


def test_a_zero_prefix_has_cosine_zero_in_a_rerank(vectors):
    database, queries = vectors
    database[7, :8] = 0
    shortlist = np.array([[3, 7, 9]])
    found = rerank(database, queries[:1], shortlist, [8])[8]
    assert found.scores[0][found.ids[0] == 7] == 0


def test_int8_codes_are_reranked_as_the_vectors_that_they_stand_for(vectors):
    database, queries = vectors
    codes = np.clip(database * 40, -127, 127).astype(np.int8)
    shortlist = nested_search(database, queries, [4], 30)[4].ids
    found = rerank(codes, queries, shortlist, [8, 32])
    ladder = run_schedule(codes, queries, shortlist, Schedule(4, (8, 32), (30, 12)))
    wide = codes.astype(np.float64)
    for query, ids in enumerate(shortlist):
        for dim in (8, 32):
            order = np.argsort(-cosine(queries[query], wide[ids], dim), kind="stable")
            np.testing.assert_array_equal(found[dim].ids[query], ids[order])
        head = found[8].ids[query][:12]
        order = np.argsort(-cosine(queries[query], wide[head], 32), kind="stable")
        np.testing.assert_array_equal(ladder.ids[query, :12], head[order])


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1e-42, "f4"), (1e-25, "f4"), (1e25, "f4"), (1e37, "f4"), (1e-120, "f8"), (1e120, "f8")],
)
def test_very_long_and_very_short_rows_keep_their_direction(vectors, scale, dtype):
    database, queries = vectors
    scaled = (database.astype("f8") * scale).astype(dtype)
    shortlist = np.tile(np.arange(50), (len(queries), 1))
    found = rerank(scaled, queries, shortlist, [8, 32])[32]
    ladder = run_schedule(scaled, queries, shortlist, Schedule(4, (8, 32), (50, 50)))
    for query in range(len(queries)):
        scores = np.sort(cosine(queries[query], scaled[:50], 32))[::-1]
        np.testing.assert_allclose(found.scores[query], scores, atol=2e-6)
        np.testing.assert_allclose(ladder.scores[query], scores, atol=2e-6)


def test_what_an_index_did_not_find_stays_last(vectors):
    database, queries = vectors
    shortlist = np.array([[5, -1, 7, -1]])
    for found in (
        rerank(database, queries[:1], shortlist, [32])[32],
        run_schedule(database, queries[:1], shortlist, Schedule(4, (8, 32), (4, 4))),
    ):
        assert set(found.ids[0, :2]) == {5, 7}
        np.testing.assert_array_equal(found.ids[0, 2:], [-1, -1])
        np.testing.assert_array_equal(found.scores[0, 2:], [-np.inf, -np.inf])


def test_a_funnel_narrows_step_by_step(vectors):
    database, queries = vectors
    shortlist = nested_search(database, queries, [4], 40)[4].ids
    found = run_schedule(database, queries, shortlist, Schedule(4, (8, 16, 32), (40, 20, 5)))
    for query in range(len(queries)):
        ids = shortlist[query]
        for dim, length in ((8, 40), (16, 20), (32, 5)):
            head = ids[:length]
            head = head[np.argsort(-cosine(queries[query], database[head], dim), kind="stable")]
            ids = np.concatenate([head, ids[length:]])
        np.testing.assert_array_equal(found.ids[query], ids)


def test_each_schedule_gives_the_same_alone_and_in_any_order(vectors):
    database, queries = vectors
    shortlist = nested_search(database, queries, [4], 40)[4].ids
    ladders = [
        Schedule(4, (8, 16, 32), (40, 20, 5)),
        Schedule(4, (32,), (40,)),
        Schedule(4, (8, 32), (30, 10)),
    ]
    alone = [run_schedule(database, queries, shortlist.copy(), each).ids for each in ladders]
    for order in itertools.permutations(range(3)):
        for place in order:
            again = run_schedule(database, queries, shortlist, ladders[place]).ids
            np.testing.assert_array_equal(again, alone[place])


def test_the_papers_mflops():
    # by hand: 1,281,167 · 16 + 200 · 2048, and the funnel's Σ K·D
    assert Schedule(16, (2048,), (200,)).mflops(ROWS) == pytest.approx(20.498672 + 0.4096)
    funnel = Schedule(16, (32, 64, 128, 256, 2048), (200, 100, 50, 25, 10))
    steps = 200 * 32 + 100 * 64 + 50 * 128 + 25 * 256 + 10 * 2048
    assert funnel.mflops(ROWS) == pytest.approx(20.498672 + steps / 1e6)
    assert Schedule(2048, (), ()).mflops(ROWS) == pytest.approx(2623.830016)


def test_the_papers_funnels_are_the_default_where_the_dims_allow():
    dims = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    both = schedules(dims, [], ROWS)
    found, others = both[:3], both[3:]
    assert [each.shortlist_dim for each in found] == [16, 16, 16]
    assert {each.rerank_dims for each in found} == {(32, 64, 128, 256, 2048)}
    assert [each.lengths for each in found] == [
        (200, 100, 50, 25, 10),
        (400, 200, 50, 25, 10),
        (800, 400, 200, 50, 10),
    ]
    assert [each.shortlist_dim for each in others] == [8, 32, 32, 64]
    assert all(each.rerank_dims[-1] == 2048 and each.lengths[-1] == 10 for each in others)
    assert [each.lengths[0] for each in schedules(dims, [], 500)] == [200, 400, 200]
    without = [dim for dim in dims if dim != 512]  # a rung of the ladders from 32 and 64
    assert {each.shortlist_dim for each in schedules(without, [], ROWS)} == {8, 16}


@pytest.mark.parametrize(
    ("funnel", "message"),
    [
        ((8, [16, 32], [50]), "a length for each"),
        ((8, [32, 16], [50, 20]), "increasing dims"),
        ((8, [16, 32], [20, 50]), "falling lengths"),
        ((8, [16, 32], [500, 50]), "expected 1 to 400, the rows of the database, got 500"),
        ((8, [12, 32], [50, 20]), "got 12"),
    ],
)
def test_impossible_funnels_are_refused(funnel, message):
    start, ladder, lengths = funnel
    wanted = Funnel(shortlist_dim=start, rerank_dims=ladder, lengths=lengths)
    with pytest.raises(UserError, match=message):
        schedules(DIMS, [wanted], 400)
