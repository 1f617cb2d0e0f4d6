"""A pipeline does what its stages do one after another, and counts what each of them costs."""

import numpy as np
import pytest

from mrlbench.arrays import prefix
from mrlbench.plugins import load
from mrlbench.search import nested_search
from mrlbench.search.adaptive import Schedule, run_schedule
from mrlbench.search.pipeline import Pipeline

LADDER = Schedule(4, (8, 32), (40, 10))


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return [random.standard_normal((rows, 32), dtype=np.float32) for rows in (400, 25)]


def exact(database, dim):
    index = load("indexes", "exact")()
    index.build(prefix(database, dim))
    return index


def test_a_pipeline_is_its_stages_one_after_another(vectors):
    database, queries = vectors
    shortlist = nested_search(database, queries, [4], 40)[4].ids
    expected = run_schedule(database, queries, shortlist, LADDER).first(5)
    pipeline = Pipeline(exact(database, 4), 4, 0, database, LADDER)
    for asked in (None, prefix(queries, 4)):
        found = pipeline.search(queries, 5, asked)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_without_a_ladder_the_first_stage_answers(vectors):
    database, queries = vectors
    found = Pipeline(exact(database, 8), 8, 0, database).search(queries, 7)
    np.testing.assert_array_equal(found.ids, nested_search(database, queries, [8], 7)[8].ids)


def test_a_store_of_half_precision_is_reranked_in_place(vectors):
    database, queries = vectors
    store = database.astype(np.float16)
    found = Pipeline(exact(database, 4), 4, 0, store, Schedule(4, (32,), (400,))).search(queries, 5)
    expected = nested_search(store, queries, [32], 5)[32]
    np.testing.assert_array_equal(found.ids, expected.ids)


def test_each_stage_counts_its_work(vectors):
    database, queries = vectors
    pipeline = Pipeline(exact(database, 4), 4, 0, database, LADDER)
    cut, first, *reranks = pipeline.costs(queries, 5, repeats=1)
    assert cut.rows is None
    assert (first.rows, first.multiply_adds, first.bytes) == (400, 400 * 4, 400 * 4 * 4)
    # 40 rows at 8, and 10 of them from 8 on to 32: by hand
    assert [(each.rows, each.multiply_adds, each.bytes) for each in reranks] == [
        (40, 320, 1280),
        (10, 240, 960),
    ]
    assert first.microseconds > 0
