"""Choosing a plan: what is asked, what it costs by hand, the choice, and how it is confirmed."""

import json
import math
from dataclasses import replace

import faiss
import numpy as np
import pytest
from made_vectors import Repeats, chooser_for, clustered, constraints, covers, decaying, rotated
from scipy import stats

from mrlbench.arrays import prefix
from mrlbench.embedding.folder import open_embeddings, open_pair
from mrlbench.errors import UserError
from mrlbench.intervals import studentized_interval
from mrlbench.plugins import load
from mrlbench.recommend import confirming, recommending
from mrlbench.recommend.candidates import Candidate, Gate
from mrlbench.recommend.confirming import confirm, extrapolate, find, measure_growth
from mrlbench.recommend.constraints import (
    LatencyLimit,
    Target,
    make_prices,
    read_bytes,
    read_duration,
    read_latency,
    read_target,
)
from mrlbench.recommend.costing import Costing, Counted, effort_at
from mrlbench.recommend.exhaustive import try_everything
from mrlbench.recommend.first_stages import ExactLists, build
from mrlbench.recommend.latency import measure_latency
from mrlbench.recommend.plans import EXACT, Grid, IndexChoice, Plan, Rerank, Stage
from mrlbench.recommend.problem import Problem
from mrlbench.recommend.recommending import Request, check_request, choose, recommend
from mrlbench.recommend.tally import Tally
from mrlbench.reports.page.recommendation import recommendation
from mrlbench.runs import Output

N, Q, D = 800, 200, 32


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two bare .npy files."""
    folder = tmp_path_factory.mktemp("two")
    vectors = decaying(N + Q, D)
    np.save(folder / "database.npy", vectors[:N])
    np.save(folder / "queries.npy", vectors[N:])
    return folder / "database.npy", folder / "queries.npy"


# What is asked


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("recall_full@10=0.95", Target("recall_full", 10, 0.95)),
        ("map@10=-0.005", Target("map", 10, -0.005)),
        ("top1=0.5", Target("top", 1, 0.5)),
        ("ndcg@20=0", Target("ndcg", 20, 0.0)),
    ],
)
def test_targets_as_people_write_them(text, target):
    assert read_target(text) == target
    assert str(read_target(text)) == text
    assert read_target(text).relative == (target.value <= 0)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (read_bytes, "8GB", 8e9),
        (read_bytes, "512MiB", 512 * 2**20),
        (read_bytes, "1.5kb", 1500),
        (read_bytes, "2000", 2000),
        (read_duration, "5ms", 0.005),
        (read_duration, "10m", 600),
        (read_duration, "250us", 0.00025),
    ],
)
def test_bytes_and_times_as_people_write_them(read, text, value):
    assert read("--x", text) == pytest.approx(value)


def test_a_limit_of_latency():
    assert read_latency("p95=5ms") == LatencyLimit(95, 0.005)


def test_a_price_that_is_not_given_follows_from_the_other():
    assert make_prices(None, None).core_month == 8
    assert make_prices(2.0, None).core_month == 16
    assert make_prices(None, 0.1).gb_month == pytest.approx(0.1 * 730.5 / 8)


@pytest.mark.parametrize("prices", [(0.0, None), (0.0, 0.0), (float("nan"), None), (None, 1e999)])
def test_prices_that_cannot_be_compared(prices):
    with pytest.raises(UserError, match="--price-"):
        make_prices(*prices)


# What a plan costs, by hand


def costing(**given):
    return Costing(replace(constraints("recall_full@10=0.9", "1M"), **given), 1000, 256)


def test_the_cost_of_a_scan_with_a_ladder_by_hand():
    rerank = Rerank((128, 256), (200, 50), "float16")
    cost = costing().cost(Plan(Stage("prefix", 64, "int8"), EXACT, 0, rerank))
    assert cost.bytes_per_vector == 64 + 2 * 256
    assert cost.memory == 1e6 * 576
    read = 1e6 * 64 + 200 * 2 * 128 + 50 * 2 * 128  # the second step reads what it adds
    seconds = read / 12e9 + 250 * 140e-9
    assert cost.seconds == pytest.approx(seconds)
    assert cost.total == pytest.approx(0.576 + 8 * seconds * 1e6 / 86400)


def test_the_cost_of_cells_grows_with_the_rows_that_are_scanned():
    plan = Plan(Stage("prefix", 64, "float32"), IndexChoice("ivf"), 2)
    cost = costing().cost(plan, Counted(1000, 25 + 100))  # 25 = 1000 // 39 cells, 100 rows
    cells = 4000  # 4·√1M
    probes = 2 * cells / 25
    read = cells * 256 + 0.1 * 1e6 * 256
    assert cost.seconds == pytest.approx(read / 12e9 + probes * 140e-9)
    assert cost.bytes_per_vector == pytest.approx(256 + 8 + cells * (256 + 10.2) / 1e6, abs=0.1)


def test_the_cost_of_a_graph_grows_with_the_logarithm():
    plan = Plan(Stage("prefix", 64, "float32"), IndexChoice("hnsw", 32), 40)
    cost = costing().cost(plan, Counted(1000, 300))
    assert cost.seconds == pytest.approx(600 * (256 / 12e9 + 140e-9))  # log 1M = 2 · log 1000
    assert costing().cost(plan).seconds == pytest.approx(40 * (256 / 12e9 + 140e-9))


def test_a_query_that_is_projected_pays_for_it():
    costs = [costing().cost(Plan(Stage(r, 64, "int8"), EXACT)).seconds for r in ("prefix", "pca")]
    assert costs[1] - costs[0] == pytest.approx(256 * 64 * 4 / 12e9)


def test_limits_are_named():
    cost = costing().cost(Plan(Stage("prefix", 64, "int8"), EXACT))
    assert costing(bytes_per_vector=64, memory=64_000_000).broken(cost) == ""
    assert costing(bytes_per_vector=63).broken(cost) == "takes 64 bytes a vector"
    assert costing(memory=63_000_000).broken(cost) == "takes 0.064 GB"


def test_the_same_share_of_the_cells_is_probed():
    plan = Plan(Stage("prefix", 64, "int8"), IndexChoice("ivf"), 8)
    assert effort_at(plan, 100_000, 10_000_000) == round(8 * 12649 / 1264)
    assert effort_at(replace(plan, index=IndexChoice("hnsw", 16)), 1, 10**7) == 8


# What first stages find


@pytest.fixture
def problem(tmp_path):
    return Problem(decaying(N, D), read_target("recall_full@10=0.9"), tmp_path, 0, Tally())


@pytest.mark.parametrize(
    ("dtype", "plugin", "arguments", "same"),
    [
        ("float32", "exact", {}, 1.0),
        ("float16", "scalar-quantizer", {"code": "float16"}, 0.99),
        ("int8", "scalar-quantizer", {"code": "int8"}, 0.95),
        ("binary", "binary", {"bits": 16}, None),  # compared by distance: many are equal
    ],
)
def test_exact_lists_are_those_of_faiss(problem, dtype, plugin, arguments, same):
    queries = decaying(40, D, seed=1)
    asked = problem.ask(queries, None)
    lists = ExactLists(problem, asked, Grid(D, N, 10, (16, 32))).of(Stage("prefix", 16, dtype))
    index = load("indexes", plugin)(**arguments)
    index.build(prefix(problem.database, 16))
    found = index.search(prefix(queries, 16), 20, 0)
    if same is None:
        signs = [np.where(each[:, :16] > 0, 1, -1) for each in (problem.database, queries)]
        differing = (16 - np.einsum("qkd,qd->qk", signs[0][lists[:, :20]], signs[1])) / 2
        np.testing.assert_allclose(np.cos(np.pi * differing / 16), found.scores, atol=1e-6)
    else:
        overlap = [len({*a[:20]} & {*b}) / 20 for a, b in zip(lists, found.ids, strict=True)]
        assert np.mean(overlap) >= same


def test_principal_components_are_those_of_faiss(problem):
    queries = decaying(40, D, seed=1)
    asked = problem.ask(queries, None)
    lists = ExactLists(problem, asked, Grid(D, N, 10, (8, 32))).of(Stage("pca", 8, "float32"))
    pca = faiss.PCAMatrix(D, 8)
    pca.train(problem.database)
    index = load("indexes", "exact")()
    index.build(prefix(pca.apply(problem.database), 8))
    found = index.search(prefix(pca.apply(queries), 8), 10, 0).ids
    overlap = [len({*a[:10]} & {*b}) / 10 for a, b in zip(lists, found, strict=True)]
    assert np.mean(overlap) > 0.99


@pytest.mark.parametrize("choice", [IndexChoice("hnsw", 16), IndexChoice("ivf")], ids=str)
@pytest.mark.parametrize(("dtype", "coordinate"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_what_is_searched_and_timed_is_what_is_paid_for(problem, choice, dtype, coordinate):
    """The index has codes of the plan's dtype, and the bytes that its memory is reckoned by."""
    plan = Plan(Stage("prefix", 16, dtype), choice, 8)
    built = build(problem, plan.stage, choice)
    whole = faiss.downcast_index(built.index._index)
    kind = {"hnsw": ("HNSWFlat", "HNSWSQ"), "ivf": ("IVFFlat", "IVFScalarQuantizer")}[choice.name]
    assert type(whole).__name__ == f"Index{kind[dtype != 'float32']}"
    rows = whole if choice.name == "ivf" else faiss.downcast_index(whole.storage)
    assert rows.code_size == 16 * coordinate
    cost = Costing(constraints("recall_full@10=0.9", str(N)), N, D).cost(plan)
    assert cost.memory == pytest.approx(built.index.nbytes(), rel=0.03)
    searched, search = list[object](), built.index.search
    built.index.search = lambda *given: searched.append(given) or search(*given)
    measure_latency(Candidate(plan, cost, np.ones(1), built), decaying(4, D, seed=1))
    assert searched


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_rerank_of_everything_is_exact_but_for_its_codes(problem, dtype):
    asked = problem.ask(decaying(40, D, seed=1), None)
    everything = np.tile(np.arange(N), (40, 1))
    found = problem.rerank(asked.queries, everything, Rerank((D,), (N,), dtype))
    recall = problem.scores(asked, found).mean()
    assert recall == 1 if dtype == "float32" else recall >= 0.95


def test_scores_of_a_relative_target_are_differences(folder):
    embeddings = open_embeddings(folder)
    problem = Problem(embeddings.database, read_target("map@5=-0.01"), folder, 0, Tally())
    asked = problem.ask(embeddings.queries, embeddings.relevance)
    np.testing.assert_array_equal(problem.scores(asked, asked.truth.ids), np.zeros(20))
    judged = embeddings.relevance.judge(asked.truth.ids[:, ::-1]).first(5)
    backwards = load("metrics", "average-precision")(judged) - asked.baseline
    np.testing.assert_allclose(problem.scores(asked, asked.truth.ids[:, ::-1]), backwards)


# The choice


def test_the_gate_by_hand():
    scores = np.array([1.0, 1.0, 0.9, 0.9] * 25)  # mean 0.95
    spread = scores.std(ddof=1)
    margin = spread * (1.645 * math.sqrt(1 / 100 + 1 / 400) + 1.96 / 20)
    assert Gate(Target("map", 10, 0.95 - margin - 1e-6), 400).meets(scores)
    assert not Gate(Target("map", 10, 0.95 - margin + 1e-6), 400).meets(scores)


@pytest.mark.parametrize(
    ("threshold", "value", "enough"),
    [
        (0.95, 1.0, 72),  # ln 0.025 / ln 0.95 = 71.9
        (0.9, 1.0, 36),  # 35.01
        (0.9, 0.95, 69),  # 0.95 · 0.025^(1/Q) >= 0.9: ln 0.025 / ln 0.947 = 68.2
        (-0.05, 0.0, 72),  # differences reach down to -1: 0.025^(1/Q) - 1 >= -0.05
    ],
)
def test_scores_that_do_not_vary_are_confirmed_by_enough_queries(threshold, value, enough):
    target = Target("map", 10, threshold)
    for held_out in (enough - 1, enough):
        same = studentized_interval(np.full(held_out, value), target.bounds)
        assert Gate(target, held_out).meets(np.full(18, value)) == (held_out == enough)
        assert (same.low >= threshold) == (held_out == enough)


def test_what_results_are_compared_with_needs_no_confirmation(problem):
    """With ten queries: exact search is right by definition, and every other plan by chance."""
    asked = problem.ask(decaying(10, D, seed=1), None)
    whole = Stage("prefix", D, "float32")
    for rerank, low in ((None, 1.0), (Rerank((D,), (N,), "float32"), 0.025**0.1)):
        plan = Plan(whole if rerank is None else Stage("prefix", 8, "float32"), EXACT, 0, rerank)
        cost, built = costing().cost(plan), build(problem, plan.stage, EXACT)
        found = confirm(Candidate(plan, cost, np.ones(5), built), asked)
        assert found.value == (1, pytest.approx(low), 1)
        assert found.meets == (low >= 0.9)  # 0.69


def against_the_whole_grid(made, folder, **narrower):
    """Choose by search and by trying everything: the ratios of cost and of counted work."""
    vectors = made(4000 + 50, 64)
    asked = constraints("recall_full@10=0.9", "1M")
    cost, work = [], []
    for search in (lambda c: choose(c, math.inf, 0).leaders[0], try_everything):
        chooser = chooser_for(vectors[:4000], vectors[4000:], folder, asked, (8, 32, 64))
        chooser = replace(chooser, grid=replace(chooser.grid, **narrower))
        found = search(chooser)
        assert chooser.gate.meets(found.scores)
        cost.append(found.cost.total)
        work.append(chooser.problem.tally.total)
    return cost[0] / cost[1], work[0] / work[1]


def test_the_choice_is_that_of_a_small_grid(tmp_path):
    small = {"dtypes": ("int8",), "indexes": (EXACT, IndexChoice("ivf"))}
    cost, work = against_the_whole_grid(decaying, tmp_path, **small)
    assert cost <= 1.05
    assert work <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("made", [decaying, rotated, clustered])
def test_the_choice_is_that_of_the_whole_grid_for_a_tenth_of_the_work(tmp_path, made):
    cost, work = against_the_whole_grid(made, tmp_path)
    assert cost <= 1.05
    assert work <= 0.1


def test_the_structure_decides_the_plan(tmp_path):
    """Where prefixes are poor, a narrow first stage is made of principal components."""
    asked = constraints("recall_full@10=0.8", "10M")
    narrow = Stage("prefix", 8, "float32"), Stage("pca", 8, "float32")
    bounds = {}
    for made in (decaying, rotated):
        vectors = made(N + 60, D)
        chooser = chooser_for(vectors[:N], vectors[N:], tmp_path, asked, (8, 32))
        bounds[made] = [chooser.bound(stage, None).mean() for stage in narrow]
    assert abs(bounds[decaying][0] - bounds[decaying][1]) < 0.05
    assert bounds[rotated][0] < bounds[rotated][1] - 0.2


def opened(files, target="recall_full@10=0.8", **given):
    embeddings = open_pair(*files)
    request = check_request(Request(constraints(target, **given), dims=(8, 16)), embeddings)
    return embeddings, request


def test_the_plan_is_the_same_for_a_seed_and_held_out_queries_do_not_choose_it(files):
    embeddings, request = opened(files)
    first = recommend(embeddings, "mine", request)
    _, held_out = recommending._split(Q, request.seed)
    others = np.array(embeddings.queries)
    others[held_out] = others[held_out][::-1] * np.float32([1, -1] * (D // 2))
    second = recommend(replace(embeddings, queries=others), "mine", request)
    assert [each.plan for each in first.plans] == [each.plan for each in second.plans]
    assert [each.tuning for each in first.plans] == [each.tuning for each in second.plans]
    assert [each.value for each in first.plans] != [each.value for each in second.plans]
    assert first.front == second.front
    assert len({each.plan for each in first.plans}) == 3
    costs = [each.cost.total for each in first.plans]
    assert costs == sorted(costs)


def test_a_confirmed_value_is_that_of_the_held_out_queries(files):
    """Measured again from the ids, by id and not by score: no two cosines here are equal."""
    embeddings, request = opened(files)
    plan = recommend(embeddings, "mine", request).plan
    _, held_out = recommending._split(Q, request.seed)
    problem = Problem(embeddings.database, request.constraints.target, files[0].parent, 0, Tally())
    asked = problem.ask(embeddings.queries[held_out], None)
    ids = find(build(problem, plan.plan.stage, plan.plan.index), plan.plan, asked)[:, :10]
    unit = [prefix(each, D) for each in (embeddings.database, embeddings.queries[held_out])]
    truth = np.argsort(-(unit[1] @ unit[0].T), axis=1, kind="stable")[:, :10]
    hits = [len({*a} & {*b}) / 10 for a, b in zip(ids, truth, strict=True)]
    assert plan.value.value == pytest.approx(np.mean(hits), abs=1e-9)
    assert plan.value.low < plan.value.value < plan.value.high
    assert plan.meets == (plan.value.low >= 0.8)


def test_limits_are_kept(files):
    embeddings, request = opened(files, limits=("40", "", ""))
    found = recommend(embeddings, "mine", request)
    assert all(each.cost.bytes_per_vector <= 40 for each in found.plans)
    assert all(each.cost.bytes_per_vector <= 40 for each in found.front)
    said = {each.name: each.reason for each in found.alternatives}
    assert said["exact search at full width"] == "takes 128 bytes a vector"


@pytest.mark.parametrize(("limit", "found"), [("p50=0.1us", False), ("p99=60s", True)])
def test_a_limit_of_latency_is_kept(files, limit, found):
    embeddings, request = opened(files, limits=("64", "", limit))
    assert recommend(embeddings, "mine", request).found == found


def test_a_budget_that_ends_is_said(files):
    embeddings, request = opened(files)
    found = recommend(embeddings, "mine", replace(request, budget=1e-9))
    assert not found.finished
    assert found.built == 0
    assert all(each.plan.index == EXACT for each in found.plans)


def test_the_interval_is_students_where_scores_are_normal():
    scores = np.random.default_rng(0).standard_normal(200)
    half = stats.t.ppf(0.975, 199) * scores.std(ddof=1) / math.sqrt(200)
    found = studentized_interval(scores)
    assert found.value == pytest.approx(scores.mean())
    assert found.low == pytest.approx(scores.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(scores.mean() + half, abs=0.1 * half)


@pytest.mark.parametrize("queries", [1, 20, 300])
def test_the_interval_of_scores_that_do_not_vary_is_that_of_a_share(queries):
    """Clopper's and Pearson's, by SciPy: none of the queries was wrong."""
    share = stats.binomtest(queries, queries).proportion_ci(0.95, "exact")
    found = studentized_interval(np.ones(queries))
    assert found == (1, pytest.approx(share.low), 1)
    half = studentized_interval(np.full(queries, 0.5))
    assert half == (0.5, pytest.approx(share.low / 2), pytest.approx(1 - share.low / 2))
    differences = studentized_interval(np.zeros(queries), (-1.0, 1.0))
    assert differences == (0, pytest.approx(share.low - 1), pytest.approx(1 - share.low))


def test_few_bad_queries_are_covered():
    """One query in fifty finds a fifth: a mean of 0.984, by 500 draws of 150 queries.

    A draw in twenty has no bad query and cannot know of them, so 476 are the most.
    """
    random = np.random.default_rng(1)
    draws = np.where(random.random((500, 150)) < 0.02, 0.2, 1.0)
    found = [studentized_interval(each) for each in draws]
    truth = 1 - 0.02 * 0.8
    assert sum(each.low <= truth <= each.high for each in found) >= 455


@pytest.mark.slow
def test_the_interval_covers_the_truth(tmp_path):
    repeats = Repeats(tmp_path)
    found = [repeats.run(seed) for seed in range(200)]
    assert sum(covers(*each) for each in found) >= 182
    assert sum(plan.meets for plan, _ in found) >= 160  # what was chosen is mostly confirmed
    assert len({plan.plan for plan, _ in found}) > 1


def test_the_interval_covers_the_truth_in_a_few_repeats(tmp_path):
    repeats = Repeats(tmp_path)
    assert sum(covers(*repeats.run(seed)) for seed in range(6)) >= 4


# The planned size


def test_the_line_over_log_rows_is_numpys():
    rows = np.array([1000, 2000, 4000, 8000])
    scores = 0.9 - 0.02 * np.log2(rows / 1000) + np.zeros((50, 1))
    assert extrapolate(rows, scores, 64_000).value == pytest.approx(0.9 - 0.02 * 6)
    uneven = np.random.default_rng(0).random((50, 4))
    slope, start = np.polyfit(np.log(rows), uneven.mean(axis=0), 1)
    expected = start + slope * np.log(64_000)
    found = extrapolate(rows, uneven, 64_000)
    assert found.value == pytest.approx(min(expected, 1.0))
    assert found.low < found.value <= found.high


def test_queries_that_are_all_foretold_the_same_leave_some_doubt():
    found = extrapolate(np.array([1000, 2000, 4000]), np.ones((100, 3)), 64_000)
    # a share of queries that find nothing escapes 100 of them with 0.025 = (1 - 0.0362)^100
    assert (found.value, found.high) == pytest.approx((1.0, 1.0))
    assert found.low == pytest.approx(1 - 0.0362, abs=1e-4)
    differences = extrapolate(np.array([1000, 2000]), np.zeros((100, 2)), 64_000, (-1.0, 1.0))
    np.testing.assert_allclose(differences, (0, -0.0362, 0.0362), atol=1e-4)


def test_the_whole_index_is_not_built_again(tmp_path, monkeypatch):
    rows, sizes = 2000, list[int]()
    problem = Problem(decaying(rows, D), read_target("recall_full@10=0.8"), tmp_path, 0, Tally())
    plan = Plan(Stage("prefix", 16, "float32"), IndexChoice("hnsw", 16), 40)
    built = build(problem, plan.stage, plan.index)
    monkeypatch.setattr(
        confirming,
        "build",
        lambda part, *rest: sizes.append(len(part.database)) or build(part, *rest),
    )
    growth = measure_growth(plan, built, problem.ask(decaying(40, D, seed=1), None), 10**6, 0)
    assert growth.rows == (1000, 2000)
    assert sizes == [1000]


def test_what_is_expected_of_a_larger_database_comes(tmp_path):
    """Planned from the half of a database for all of it, which is then measured."""
    vectors = decaying(16_000 + 300, D)
    plan = Plan(Stage("prefix", 8, "float32"), EXACT, 0, Rerank((D,), (50,), "float32"))
    target = read_target("recall_full@10=0.8")
    whole = Problem(vectors[:16_000], target, tmp_path, 0, Tally())
    asked = whole.ask(vectors[16_000:], None)
    truth = whole.scores(asked, find(build(whole, plan.stage, EXACT), plan, asked)).mean()
    half = Problem(vectors[:8000], target, tmp_path, 0, Tally())
    built = build(half, plan.stage, EXACT)
    growth = measure_growth(plan, built, half.ask(vectors[16_000:], None), 16_000, 0)
    assert growth.rows == (1000, 2000, 4000, 8000)
    assert growth.values[0] > growth.values[-1] > truth  # it does change
    assert growth.expected.low <= truth <= growth.expected.high


# The command line


def test_two_files_in_a_plan_out(mrlbench, files, tmp_path):
    out = tmp_path / "out"
    arguments = ("--target=recall_full@10=0.8", "--dims=8,16", "--vectors=1M", f"--out={out}")
    status, text, _ = mrlbench("recommend", *files, *arguments)
    found = json.loads((out / "recommend.json").read_text())
    assert status == (0 if found["meets"] else 1)
    assert f"plan: {found['plan']['plan']['text']}" in text
    assert (out / "recommend.txt").read_text() in text
    assert "at 1,000,000 vectors" not in text  # parts of so few rows tell nothing
    raw = np.load(out / "raw" / "scores-recommend.npz")
    assert raw["plan_0"].mean() == pytest.approx(found["plan"]["value"])
    assert len(raw["queries"]) == found["subject"]["held_out"] == 160
    page = (out / "recommend.html").read_text()
    assert "<svg" in page
    assert "CREATE TABLE items" in page
    assert "src=" not in page
    assert "<link" not in page
    section = recommendation(Output(out))  # of the run's report, which reads the same file
    ((facts, *_),) = [
        each.rows for each in section.blocks if each.caption == "What was recommended"
    ]
    assert len(facts) == 2
    assert found["plan"]["plan"]["text"] in str(section.blocks)


def test_json_of_a_folder_with_labels(mrlbench, folder):
    status, out, _ = mrlbench(
        "recommend", "--embeddings", folder, "--target=map@5=-1e0", "--json", "-q"
    )
    assert (status, out) == (2, "")
    status, out, _ = mrlbench(
        "recommend", "--embeddings", folder, "--target=map@5=-0.9", "--dims=8", "--json"
    )
    found = json.loads(out)
    assert (status, found["constraints"]["target"]) == (0, "map@5=-0.9")
    assert found["plan"]["value"] >= -0.9


def test_a_target_that_nothing_meets_is_one_line_with_the_nearest(mrlbench, files):
    status, _, err = mrlbench(
        *("recommend", *files, "--target=recall_full@10=0.99", "--max-bytes-per-vector=8", "-q")
    )
    assert status == 1
    assert err.count("\n") == 1
    assert "no plan meets recall_full@10=0.99" in err
    assert "is the nearest that keeps the limits" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target=recall_full=0.9"], "--target: expected such as"),
        (["--target=fame@10=0.9"], "--target: expected one of recall_full"),
        (["--target=recall_full@10=2"], "up to 1"),
        (["--target=map@10=-0.01"], "needs labels or judgements"),
        (["--target=recall_full@5000=0.9"], "expected k up to 800"),
        (["--max-memory=lots"], "--max-memory: expected bytes"),
        (["--max-memory=1"], "expected room for some plan"),
        (["--max-latency=5ms"], "--max-latency: expected p50, p95 or p99"),
        (["--budget=soon"], "--budget: expected a time"),
        (["--vectors=many"], "--vectors: expected a count"),
        (["--dims=64"], "--dims: expected dims from 1 to 32"),
    ],
)
def test_bad_requests_are_one_line(mrlbench, files, arguments, said):
    status, out, err = mrlbench("recommend", *files, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_files_that_do_not_fit_are_one_line(mrlbench, files, tmp_path):
    np.save(tmp_path / "narrow.npy", decaying(30, 8))
    np.save(tmp_path / "few.npy", decaying(10, D))
    for queries, said in (("narrow", "same width"), ("few", "at least 20 queries")):
        status, _, err = mrlbench("recommend", files[0], tmp_path / f"{queries}.npy")
        assert status == 2
        assert said in err
    status, _, err = mrlbench("recommend", *files, "--embeddings", tmp_path)
    assert status == 2
    assert "got 2 paths and --embeddings" in err
    with pytest.raises(UserError, match="no such file"):
        open_pair(tmp_path / "none.npy", files[1])
