"""Metrics: values worked out by hand, pytrec-eval's values, and what every metric promises."""

import numpy as np
import pytest
import pytrec_eval

from mrlbench.arrays import Judged
from mrlbench.metrics.average_precision import average_precision
from mrlbench.metrics.ndcg import ndcg
from mrlbench.metrics.precision import precision
from mrlbench.metrics.recall import recall
from mrlbench.metrics.recall_per_1300 import recall_per_1300
from mrlbench.metrics.reciprocal_rank import reciprocal_rank
from mrlbench.metrics.top import top
from mrlbench.plugins import load, names


def judged(hits, relevant):
    gains = np.array(hits, dtype=np.float32)
    relevant = np.array(relevant)
    ideal = (np.arange(gains.shape[1]) < relevant[:, None]).astype(np.float32)
    return Judged(gains, relevant, ideal)


RESULTS = judged([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], [4, 2, 9, 1])


def test_average_precision_divides_by_the_hits_that_k_results_allow():
    expected = [(1 / 1 + 2 / 3) / 4, 0, 1, 1 / 2]
    assert average_precision(RESULTS) == pytest.approx(expected)


def test_average_precision_is_the_papers_with_constant_k_where_classes_are_large():
    hits = np.array([[1, 0, 1, 1, 0]])
    by_hand = (1 / 1 + 2 / 3 + 3 / 4) / 5  # PAPER: AP@k divides by k
    assert average_precision(judged(hits, [1300])) == pytest.approx([by_hand])


def test_precision():
    assert precision(RESULTS) == pytest.approx([2 / 4, 0, 1, 1 / 4])


def test_recall():
    assert recall(RESULTS) == pytest.approx([2 / 4, 0, 4 / 9, 1])


def test_the_papers_recall_divides_by_1300():
    assert recall_per_1300(RESULTS) == pytest.approx([2 / 1300, 0, 4 / 1300, 1 / 1300])


def test_top():
    assert top(RESULTS).tolist() == [1, 0, 1, 1]
    assert top(RESULTS.first(1)).tolist() == [1, 0, 1, 0]


def test_reciprocal_rank():
    assert reciprocal_rank(RESULTS) == pytest.approx([1, 0, 1, 1 / 2])


def test_ndcg_with_graded_gains():
    graded = Judged(
        np.array([[1, 0, 3]], dtype=np.float32),
        np.array([3]),
        np.array([[3, 2, 1]], dtype=np.float32),
    )
    by_hand = (1 / 1 + 3 / 2) / (3 / 1 + 2 / np.log2(3) + 1 / 2)
    assert ndcg(graded) == pytest.approx([by_hand])


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("precision", "P_10"),
        ("recall", "recall_10"),
        ("ndcg", "ndcg_cut_10"),
        ("reciprocal-rank", "recip_rank"),
        ("average-precision", "map_cut_10"),
    ],
)
def test_agrees_with_pytrec_eval(name, measure):
    rng = np.random.default_rng(0)
    relevant = rng.random((30, 50)) < 0.1  # (Q, N), fewer than 10 for map_cut's denominator
    relevant[:, 0] = True
    relevant[relevant.cumsum(axis=1) > 10] = False
    order = np.argsort(rng.random((30, 50)), axis=1)  # (Q, N)
    qrels = {f"q{q}": {f"d{d}": int(relevant[q, d]) for d in range(50)} for q in range(30)}
    run = {f"q{q}": {f"d{d}": float(-r) for r, d in enumerate(order[q])} for q in range(30)}
    theirs = pytrec_eval.RelevanceEvaluator(
        qrels, {"P", "recall", "ndcg_cut", "recip_rank", "map_cut"}
    )
    by_query = theirs.evaluate(run)
    expected = [by_query[f"q{q}"][measure] for q in range(30)]
    hits = np.take_along_axis(relevant, order, axis=1)
    first = judged(hits, relevant.sum(axis=1)).first(50 if measure == "recip_rank" else 10)
    assert load("metrics", name)(first) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", names("metrics"))
def test_every_metric_gives_one_score_in_zero_to_one_for_each_query(name):
    scores = load("metrics", name)(RESULTS)
    assert scores.shape == (4,)
    assert scores.dtype == np.float64
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.mark.parametrize("name", names("metrics"))
def test_every_metric_scores_zero_where_nothing_is_relevant(name):
    assert load("metrics", name)(judged(np.zeros((1, 4)), [0])).tolist() == [0]


@pytest.mark.parametrize("name", names("metrics"))
def test_every_metric_likes_a_relevant_result_to_come_sooner_or_as_soon(name):
    late, soon = judged([[0, 0, 0, 1]], [2]), judged([[1, 0, 0, 0]], [2])
    metric = load("metrics", name)
    assert metric(soon) >= metric(late)
    assert metric(soon) > 0
