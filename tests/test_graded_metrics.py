"""Graded judgements: the look-up is a plain loop's, and every metric is trec_eval's."""

import numpy as np
import pytest
import pytrec_eval

from mrlbench.embedding import relevance
from mrlbench.embedding.relevance import Qrels
from mrlbench.evaluation.scores import metric_scores
from mrlbench.metrics.hit import hit
from mrlbench.plugins import label
from mrlbench.search import nested_search

N, Q, K = 60, 40, 12
MEASURES = {  # the CSV's name at k -> trec_eval's
    "ndcg@{}": "ndcg_cut_{}",
    "recall@{}": "recall_{}",
    "precision@{}": "P_{}",
    "hit@{}": "success_{}",
    "top{}": "success_{}",
}
SAME = 1e-9


def write_judged(folder, judgements, n=N, q=Q):
    """Write what a folder says of relevance; judgements are (query, row, gain) by number."""
    folder.mkdir(exist_ok=True)
    (folder / "database_ids.txt").write_text("".join(f"{document(row)}\n" for row in range(n)))
    (folder / "queries_ids.txt").write_text("".join(f"q{row}\n" for row in range(q)))
    lines = [f"q{query} 0 {document(row)} {gain}\n" for query, row, gain in judgements]
    (folder / "qrels.tsv").write_text("".join(lines))


def document(row):
    """Name a row so that trec_eval, which puts the greater name first of equal scores, agrees."""
    return f"d{9999 - row}"


def draw(seed=0):
    """Draw gains 0 to 3 for a few rows of each query, some more than K; the last has none."""
    rng = np.random.default_rng(seed)
    return [
        (query, int(row), int(rng.integers(0, 4)))
        for query in range(Q - 1)
        for row in rng.choice(N, rng.integers(1, 30), replace=False)
    ]


def judge_by_loop(judgements, ids):
    """Judge one query after the other, one result after the other."""
    gains, ideal = np.zeros((2, *ids.shape), dtype=np.float32)
    relevant = np.zeros(len(ids), dtype=np.int64)
    for query in range(len(ids)):
        known = {row: gain for q, row, gain in judgements if q == query and gain > 0}
        for place, row in enumerate(ids[query]):
            gains[query, place] = known.get(int(row), 0)
        best = sorted(known.values(), reverse=True)[: ids.shape[1]]
        ideal[query, : len(best)] = best
        relevant[query] = len(known)
    return gains, relevant, ideal


def found_ids(seed=1):
    """Rank K rows for each query; some queries find fewer, and one finds none."""
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((Q, N)), axis=1)[:, :K]
    ids[::3, K // 2 :] = -1
    ids[5] = -1
    return ids


@pytest.mark.parametrize("at_once", [1, 7, 1024])
def test_the_look_up_is_a_plain_loops(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(relevance, "QUERIES_AT_ONCE", at_once)
    # the last row of the query before: -1 must not be taken for it; gains that are no whole numbers
    judgements = [*draw(), (4, N - 1, 2), (0, 0, 0.5), (Q - 2, N - 1, 1e-3)]
    judgements = list(
        {(query, row): (query, row, gain) for query, row, gain in judgements}.values()
    )
    write_judged(tmp_path, judgements)
    ids = found_ids()
    judged = Qrels.read(tmp_path, N, Q).judge(ids)
    for ours, expected in zip(judged, judge_by_loop(judgements, ids), strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)
    assert judged.gains.any(axis=1).sum() > Q / 2  # there is something to compare


def test_no_judgement_above_zero_is_no_gain(tmp_path):
    write_judged(tmp_path, [(0, 0, 0), (1, 2, -1)])
    judged = Qrels.read(tmp_path, N, Q).judge(found_ids())
    assert not judged.gains.any()
    assert not judged.ideal.any()
    assert not judged.relevant.any()


def test_the_later_of_two_lines_counts(tmp_path):
    write_judged(tmp_path, [(0, 3, 1), (0, 3, 2)])
    judged = Qrels.read(tmp_path, N, Q).judge(np.full((Q, 2), 3))
    assert judged.gains[0].tolist() == [2, 2]
    assert judged.relevant[0] == 1


def test_hit_by_hand(tmp_path):
    write_judged(tmp_path, [(0, 7, 3), (1, 8, 1)], n=10, q=3)
    ids = np.array([[1, 7, -1], [1, 2, 3], [-1, -1, -1]])
    judged = Qrels.read(tmp_path, 10, 3).judge(ids)
    assert hit(judged).tolist() == [1, 0, 0]
    assert hit(judged.first(1)).tolist() == [0, 0, 0]
    assert label("metrics", "hit") == "hit"
    assert metric_scores(judged, [1, 2])["hit@2"].tolist() == [1, 0, 0]


def trec_eval(judgements, ids, scores, k):
    """Let trec_eval score the first k results: measure -> (Q,) float64."""
    qrels = {f"q{query}": {} for query in range(len(ids))}
    for query, row, gain in judgements:
        qrels[f"q{query}"][document(row)] = gain
    run = {
        f"q{query}": {
            document(row): float(score)
            for row, score in zip(ids[query, :k], scores[query, :k], strict=True)
            if row >= 0
        }
        for query in range(len(ids))
    }
    wanted = {"ndcg_cut", "recip_rank", "recall", "P", "success"}
    wanted = {f"{each}.{k}" if each != "recip_rank" else each for each in wanted}
    by_query = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    nothing = dict.fromkeys(next(iter(by_query.values())), 0.0)  # of a query without results
    rows = [by_query.get(f"q{query}", nothing) for query in range(len(ids))]
    return {measure: np.array([row[measure] for row in rows]) for measure in nothing}


def assert_is_trec_evals(folder, judgements, ids, scores, k):
    write_judged(folder, judgements)
    ours = metric_scores(Qrels.read(folder, N, Q).judge(ids), [k])
    theirs = trec_eval(judgements, ids, scores, k)
    pairs = {name.format(k): measure.format(k) for name, measure in MEASURES.items()}
    for name, measure in {**pairs, f"mrr@{k}": "recip_rank"}.items():
        expected = theirs[measure]
        assert 0 < expected.mean() < 1, measure  # nothing that could not fail
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=SAME, err_msg=name)


@pytest.mark.parametrize("k", [1, 5, K])
def test_every_metric_is_trec_evals_with_graded_gains_and_missing_results(tmp_path, k):
    ids = found_ids()
    scores = np.broadcast_to(-np.arange(K, dtype=np.float32), ids.shape)
    assert_is_trec_evals(tmp_path, draw(), ids, scores, k)


@pytest.mark.parametrize("k", [1, 5, K])
def test_every_metric_is_trec_evals_where_scores_are_equal(tmp_path, k):
    """Signs in 16 dims: cosines are sixteenths, so most places are shared by equal scores."""
    rng = np.random.default_rng(0)
    database, queries = (rng.choice(np.float32([-1, 1]), (count, 16)) for count in (N, Q))
    found = nested_search(database, queries, [16], K)[16]
    assert (np.diff(found.scores, axis=1) == 0).mean() > 0.5
    assert_is_trec_evals(tmp_path, draw(), found.ids, found.scores, k)


def test_the_command_line_gives_trec_evals_means(mrlbench, tmp_path):
    from mrlbench import measurements

    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((N + Q, 8), dtype=np.float32)
    judgements = draw()
    write_judged(tmp_path / "mine", judgements)
    np.save(tmp_path / "mine" / "database.npy", vectors[:N])
    np.save(tmp_path / "mine" / "queries.npy", vectors[N:])
    options = ("--dims=4,8", "--k=10", "--baselines=", "-q")
    status, _, err = mrlbench(
        "eval-retrieval", "--embeddings", tmp_path / "mine", "--out", tmp_path / "out", *options
    )
    assert status == 0, err
    table = measurements.read(tmp_path / "out" / "retrieval.csv")
    for dim in (4, 8):
        unit = vectors[:, :dim] / np.linalg.norm(vectors[:, :dim], axis=1, keepdims=True)
        similarity = unit[N:] @ unit[:N].T
        ids = np.argsort(-similarity, axis=1)
        theirs = trec_eval(judgements, ids, np.take_along_axis(similarity, ids, axis=1), 10)
        pairs = {name.format(10): measure.format(10) for name, measure in MEASURES.items()}
        for name, measure in {**pairs, "mrr@10": "recip_rank"}.items():
            (value,) = table[(table["metric"] == name) & (table["dim"] == dim)]["value"]
            # the CSV has eight digits
            assert value == pytest.approx(theirs[measure].mean(), rel=1e-7), name


def test_judgements_of_some_rows_and_queries_are_numbered_anew():
    judgements = {(0, 3): 2.0, (0, 1): 1.0, (2, 0): 3.0, (2, 3): 0.5, (3, 2): 4.0}
    keys = sorted(query * 5 + row for query, row in judgements)
    gains = np.array([judgements[divmod(key, 5)] for key in keys], dtype=np.float32)
    whole = Qrels(np.array(keys), gains, 5, 4)
    part = whole.of(np.array([3, 0, 4]), np.array([2, 1, 0]))  # rows 1 and 2, query 3 are left out
    judged = part.judge(np.tile(np.arange(3), (3, 1)))
    np.testing.assert_array_equal(judged.gains, [[0.5, 3, 0], [0, 0, 0], [2, 0, 0]])
    np.testing.assert_array_equal(judged.relevant, [2, 0, 1])
