"""The inspection: made vectors of known structure, numbers by hand or numpy, the command line."""

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t
from sklearn.decomposition import PCA

from mrlbench import measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.embedding.relevance import Labels, Qrels
from mrlbench.evaluation.inspection import (
    arms,
    coordinates,
    lengths,
    order,
    quirks,
    sample,
    scan,
)
from mrlbench.evaluation.inspection.arms import Cell
from mrlbench.evaluation.inspection.inspection import inspect_embeddings

N, Q, D = 1200, 200, 32
DIMS = [4, 8, 16, 32]


def write(folder, database, queries, **others):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {"database": database, "queries": queries, **others}.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array))
    return folder


def decaying(n=N, q=Q, width=D, seed=0):
    """Vectors whose first coordinates matter most: coordinate i has the deviation 1 / i."""
    rng = np.random.default_rng(seed)
    both = rng.standard_normal((n + q, width)) / np.arange(1, width + 1)
    return both[:n].astype(np.float32), both[n:].astype(np.float32)


def rotation(width=D):
    return np.linalg.qr(np.random.default_rng(5).standard_normal((width, width)))[0].astype("f")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def nested(tmp_path):
    return write(tmp_path / "nested", *map(unit, decaying()))


@pytest.fixture
def rotated(tmp_path):
    return write(tmp_path / "rotated", *(unit(each) @ rotation() for each in decaying()))


@pytest.fixture
def inspect(mrlbench):
    """Inspect a folder; returns (exit status, what --json printed, stderr)."""

    def run(folder, *arguments):
        status, out, err = mrlbench("inspect", "--embeddings", folder, "--json", *arguments)
        return status, json.loads(out), err

    return run


def check(found, name):
    (one,) = [each for each in found["checks"] if each["name"] == name]
    return one


# The order of the coordinates


def test_vectors_of_decaying_energy_are_nested(inspect, nested):
    status, found, err = inspect(nested, "--expect", "nested")
    assert (status, found["verdict"]["word"], found["passed"]) == (0, "nested", True)
    assert found["verdict"]["dims"] == [8]  # up to 32 / 4
    assert "check failed" not in err


def test_a_rotated_copy_of_them_is_not_nested_and_pca_keeps_more(inspect, nested, rotated):
    status, found, _ = inspect(rotated)
    assert (status, found["verdict"]["word"]) == (0, "not nested")
    assert "PCA keeps more than the prefix at 8, 16 dims" in found["advice"][0]
    assert inspect(nested)[1]["advice"] == []  # its coordinates are the principal axes
    # the cosines at full width are the same: so are the neighbours, and only the cuts differ
    assert_allclose(found["lengths"]["median"], 1, atol=1e-5)


def test_expecting_nested_of_what_is_not_is_a_failure(inspect, nested, rotated):
    status, found, err = inspect(rotated, "--expect", "nested")
    assert status == 1
    assert not found["passed"]
    assert "mrlbench: check failed: expected: expected nested, got not nested" in err
    assert inspect(rotated, "--expect", "not nested")[0] == 0
    assert inspect(nested, "--expect", "not nested")[0] == 1


def test_reversed_coordinates_are_found(inspect, tmp_path):
    folder = write(tmp_path / "reversed", *(each[:, ::-1] for each in decaying()))
    status, found, err = inspect(folder)
    assert (status, found["verdict"]["word"]) == (1, "reversed")
    assert "check failed: order: reversed" in err


def test_few_queries_cannot_tell(inspect, tmp_path):
    """A rotated copy again, but with 6 queries anything may be chance."""
    database, queries = (each @ rotation() for each in decaying())
    _, found, _ = inspect(write(tmp_path / "few", database, queries[:6]), "--dims", "8,16")
    assert found["verdict"]["word"] == "cannot be told"
    assert "could be there and not be seen" in found["verdict"]["reason"]


def test_where_any_coordinate_says_all_nothing_can_be_told(inspect, tmp_path):
    """All coordinates say the same two things, and any 4 of them hold both."""
    rng = np.random.default_rng(0)
    planes = rng.standard_normal((N + Q, 2)) @ rng.standard_normal((2, D))
    _, found, _ = inspect(write(tmp_path / "plane", planes[:N], planes[N:]), "--dims", "4,8")
    assert found["verdict"]["word"] == "cannot be told"
    assert "any 4 coordinates keep 100% of the neighbours" in found["verdict"]["reason"]


def test_full_width_alone_cannot_tell(inspect, nested):
    _, found, _ = inspect(nested, "--dims", D)
    assert found["verdict"]["word"] == "cannot be told"
    assert "none of the dims is narrower" in found["verdict"]["reason"]


def test_relevance_can_show_an_order_that_neighbours_do_not(tmp_path, inspect):
    """Class in the first 4 coordinates, and much larger noise of equal size in all others."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 8, N + Q)
    vectors = 4 * rng.standard_normal((N + Q, 256))
    vectors[:, :4] = 3 * rng.standard_normal((8, 4))[labels] + 0.2 * rng.standard_normal((N + Q, 4))
    known = {"database_labels": labels[:N], "queries_labels": labels[N:]}
    folder = write(tmp_path / "classes", vectors[:N], vectors[N:], **known)
    _, found, _ = inspect(folder, "--dims", "4,64,256")
    points = {(p["measure"], p["arm"], p["dim"]): p["value"] for p in found["points"]}
    assert points["recall_full@10", "prefix", 4] < 0.15
    assert points["map@10", "prefix", 4] > 0.9
    assert points["map@10", "random-dims", 4] < 0.4
    assert found["verdict"]["word"] == "nested"
    assert "mAP@10" in found["verdict"]["reason"]


def scores(**means):
    """Arms of 50 queries; each with the given mean of its draws at dim 4, and no other noise."""
    return {
        arm.replace("_", "-"): {Cell(arms.RECALL, 4): np.full((len(draws), 50), 1.0) * draws}
        for arm, draws in ((arm, np.array(each)[:, None]) for arm, each in means.items())
    }


def test_the_margin_is_students_prediction_interval_over_the_draws():
    draws = [0.1, 0.2, 0.3, 0.2]
    made = scores(prefix=[0.5], random_dims=draws, last_dims=[0.1])
    (random, last) = order.compare_arms(made, [4], 16)
    # mean 0.2, deviation √(0.02 / 3); one more draw is within t · s · √(1 + 1/4)
    expected = t.ppf(0.975, 3) * np.sqrt(0.02 / 3) * np.sqrt(1.25)
    assert random[:4] == ("recall_full@10", "prefix", "random-dims", 4)
    assert random.value == pytest.approx(0.3)
    assert random.margin == pytest.approx(expected)
    assert random.better == (expected < 0.3)
    assert (last.value, last.low, last.high, last.margin) == pytest.approx((0.4, 0.4, 0.4, 0))


@pytest.mark.parametrize(
    ("prefix", "last", "rotated", "word"),
    [
        (0.6, 0.1, 0.3, "nested"),
        (0.6, 0.7, 0.3, "reversed"),  # the last dims are better than all: nested from behind
        (0.6, 0.6, 0.3, "cannot be told"),  # better than random dims, but so are the last
        (0.6, 0.1, 0.7, "cannot be told"),
        (0.12, 0.11, 0.3, "not nested"),  # within reach of one more draw
        (0.01, 0.11, 0.01, "reversed"),  # damaged: worse than any others
    ],
)
def test_verdicts_on_made_scores(prefix, last, rotated, word):
    draws = [0.10, 0.11, 0.12, 0.11, 0.10, 0.12]
    made = scores(
        prefix=[prefix], pca=[0.6], random_dims=draws, rotated=[rotated] * 6, last_dims=[last]
    )
    assert order.judge_order(made, [4, 16], 16).word == word


def test_a_large_gain_within_reach_of_a_lucky_draw_is_left_open():
    draws = [0.1, 0.1, 0.1, 0.1, 0.1, 0.9]
    made = scores(prefix=[0.95], pca=[0.95], random_dims=draws, rotated=[0.1] * 6, last_dims=[0.1])
    found = order.judge_order(made, [4, 16], 16)
    assert found.word == "cannot be told"
    assert "a gain of" in found.reason


# The arms


def test_what_the_prefix_and_pca_keep_is_what_numpy_finds(nested):
    embeddings = open_embeddings(nested)
    database, queries = np.load(nested / "database.npy"), np.load(nested / "queries.npy")
    found = inspect_embeddings(embeddings, [4, 16], N, 0)
    points = {(p.arm, p.dim): p.value for p in found.points}

    def nearest(rows, asked):
        return np.argsort(-unit(asked) @ unit(rows).T, axis=1)[:, :10]

    def kept(rows, asked):
        both = zip(nearest(database, queries), nearest(rows, asked), strict=True)
        return np.mean([len(set(a) & set(b)) / 10 for a, b in both])

    pca = PCA(4, svd_solver="full").fit(database)
    assert points["prefix", 4] == pytest.approx(kept(database[:, :4], queries[:, :4]), abs=1e-3)
    assert points["last-dims", 4] == pytest.approx(
        kept(database[:, -4:], queries[:, -4:]), abs=2e-3
    )
    projected = kept(pca.transform(database), pca.transform(queries))
    assert points["pca", 4] == pytest.approx(projected, abs=2e-3)
    prefix = {p.dim: p for p in found.points if p.arm == "prefix"}
    assert prefix[4].low < prefix[4].value < prefix[4].high


def test_random_axes_are_orthonormal_and_drawn_by_seed():
    axes = arms.random_axes(20, 8, seed=3)
    assert_allclose(axes.T @ axes, np.eye(8), atol=1e-6)
    assert_array_equal(axes, arms.random_axes(20, 8, seed=3))
    assert np.abs(axes - arms.random_axes(20, 8, seed=4)).max() > 0.1


# Variance and coordinates


def test_variance_kept_and_ranks():
    database = (decaying()[0] + 50).astype(np.float32)  # a mean far larger than the spread
    found = coordinates.measure_spectrum(database, DIMS)
    variances = database.var(axis=0, dtype=np.float64)
    assert_allclose(found.prefix, np.cumsum(variances)[[3, 7, 15, 31]] / variances.sum(), rtol=1e-3)
    ratios = PCA(svd_solver="full").fit(database.astype(np.float64)).explained_variance_ratio_
    assert_allclose(found.pca, np.cumsum(ratios)[[3, 7, 15, 31]], rtol=1e-3)
    assert found.effective_rank == pytest.approx(np.exp(-(ratios * np.log(ratios)).sum()), rel=1e-3)
    assert found.participation_ratio == pytest.approx(1 / (ratios**2).sum(), rel=1e-3)


def test_ranks_by_hand():
    """Eight rows ± a·e_i: the variances are a²/4 on four axes."""
    rows = np.concatenate([np.eye(4), -np.eye(4)]).astype(np.float32)
    equal = coordinates.measure_spectrum(rows, [1, 2, 4])
    assert equal.prefix == pytest.approx((0.25, 0.5, 1))
    assert equal.effective_rank == pytest.approx(4)
    assert equal.participation_ratio == pytest.approx(4)
    # variances in the ratio 9 : 1 : 0 : 0, so (10)² / (81 + 1)
    uneven = coordinates.measure_spectrum(rows * np.array([3, 1, 0, 0], dtype="f"), [1, 2, 4])
    assert uneven.prefix == pytest.approx((0.9, 1, 1))
    assert uneven.participation_ratio == pytest.approx(100 / 82)
    same = coordinates.measure_spectrum(np.ones((5, 3), dtype=np.float32), [1, 3])
    assert (same.prefix, same.effective_rank, same.participation_ratio) == ((0, 0), 0, 0)


def test_coordinates_out_of_the_ordinary():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 400)).astype(np.float32)
    rows[:, 3], rows[:, 5], rows[:, [7, 8]] = 0, 2.5, 1e-4 * rows[:, [7, 8]]
    rows[:, 11] *= 200
    found = coordinates.measure_coordinates(rows, scan.scan_rows(rows, np.float32))
    assert (found.zero, found.constant, found.dominating) == (1, 1, (11,))
    rows[:, 11] /= 200
    found = coordinates.measure_coordinates(rows, scan.scan_rows(rows, np.float32))
    assert (found.dead, found.dominating) == (2, ())
    squares = (rows.astype(np.float64) ** 2).sum(axis=0)
    assert found.largest_share == pytest.approx(squares.max() / squares.sum())
    cosines = unit(rows.astype(np.float64)) @ unit(rows.astype(np.float64)).T
    expected = (cosines.sum() - 50) / (50 * 49)
    assert found.mean_cosine == pytest.approx(expected, abs=1e-6)
    assert found.mean_norm == pytest.approx(np.linalg.norm(unit(rows).mean(axis=0)), abs=1e-6)


def test_constant_coordinates_fail_a_check(inspect, tmp_path):
    database, queries = decaying()
    for each in (database, queries):
        each[:, -1], each[:, -2] = 0, 0.5
    status, found, err = inspect(write(tmp_path / "constant", database, queries))
    assert status == 1
    assert "check failed: constant coordinates: 2 of 32 never change: 1 are always 0" in err
    database[5, -2] = 0.51  # one coordinate of 32 is few enough
    status, found, _ = inspect(write(tmp_path / "constant", database, queries))
    assert (status, found["coordinates"]["zero"], found["coordinates"]["constant"]) == (0, 1, 0)


# Lengths


def test_unit_vectors_and_their_prefixes(nested):
    found = inspect_embeddings(open_embeddings(nested), DIMS, N, 0)
    database = np.load(nested / "database.npy").astype(np.float64)
    shares = np.linalg.norm(database[:, :8], axis=1)
    assert found.lengths.unit == "all"
    assert found.prefixes[1].share == pytest.approx(shares.mean(), rel=1e-5)
    assert found.prefixes[1].spread == pytest.approx(shares.std(), rel=1e-4)
    assert found.prefixes[-1].changed == 0  # at full width both are cosines


def test_raw_inner_products_miss_what_numpy_says(tmp_path):
    rng = np.random.default_rng(2)
    database, queries = decaying()
    database *= rng.uniform(0.5, 2, (N, 1)).astype(np.float32)
    found = inspect_embeddings(
        open_embeddings(write(tmp_path / "raw", database, queries)), DIMS, N, 0
    )
    raw = lengths.search_raw(database, queries, DIMS, 10)
    for place, dim in enumerate(DIMS):
        cut, asked = database[:, :dim], queries[:, :dim]
        by_product = np.argsort(-asked @ cut.T, axis=1)[:, :10]
        by_cosine = np.argsort(-asked @ unit(cut).T, axis=1)[:, :10]
        assert [set(row) for row in raw[dim]] == [set(row) for row in by_product]
        both = zip(by_product, by_cosine, strict=True)
        missed = np.mean([1 - len(set(a) & set(b)) / 10 for a, b in both])
        assert found.prefixes[place].changed == pytest.approx(missed, abs=1e-3)
        assert missed > 0.2
    assert found.lengths.unit == "none"
    assert any(note.startswith("the stored vectors are not of unit length") for note in found.notes)
    norms = np.linalg.norm(database.astype(np.float64), axis=1)
    measured = (found.lengths.smallest, found.lengths.median, found.lengths.largest)
    assert measured == pytest.approx((norms.min(), np.median(norms), norms.max()), rel=1e-6)


def test_a_few_rows_that_are_not_of_unit_length_fail_a_check(inspect, tmp_path):
    database, queries = map(unit, decaying())
    database[[3, 77, 500]] *= 2
    status, found, err = inspect(write(tmp_path / "mixed", database, queries))
    assert (status, found["lengths"]["unit"]) == (1, "some")
    assert found["lengths"]["unit_database"] == pytest.approx(1 - 3 / N)
    assert "check failed: lengths: 99.75% of the rows and 100.00% of the queries" in err


def test_prefixes_of_zeros_and_halves_at_their_end_are_noted(tmp_path):
    database, queries = (10 * each for each in decaying())
    database[4, :8] = 0
    database[9, 0] = 65504
    folder = write(tmp_path / "half", database.astype(np.float16), queries.astype(np.float16))
    found = inspect_embeddings(open_embeddings(folder), DIMS, N, 0)
    text = "\n".join(found.notes)
    assert [each.empty for each in found.prefixes] == [1, 1, 0, 0]
    assert "the first 4 coordinates of 1 sampled rows are all zeros" in text
    assert "some coordinates are 65504, where float16 ends" in text
    assert "squared lengths overflow in float16" in text


def test_float64_beyond_float32_is_measured_like_any_other(tmp_path):
    database, queries = (each.astype(np.float64) for each in decaying())
    plain = write(tmp_path / "plain", database, queries)
    huge = write(tmp_path / "huge", database * 2.0**600, queries * 2.0**-600)
    a, b = (inspect_embeddings(open_embeddings(each), [8, 32], N, 0) for each in (plain, huge))
    assert a.points == b.points
    assert a.prefixes == b.prefixes
    assert b.lengths.median == pytest.approx(a.lengths.median * 2.0**600)
    assert any("do not fit float16" in note for note in b.notes)


# Copies and leaks


def test_duplicates_and_leaks_by_hand(monkeypatch):
    monkeypatch.setattr(scan, "BLOCK_BYTES", 8 * 3 * 2)  # blocks of two rows
    database = np.array([[1, 2, 3], [4, 5, 6], [1, 2, 3], [0, 1, 1], [1, 2, 3], [4, 5, 7]], "f4")
    queries = np.array([[4, 5, 6], [-0.0, 1, 1], [3, 6, 9], [9, 1, 1], [-1, -2, -3]], "f8")
    rows, asked = (scan.scan_rows(each, np.float64) for each in (database, queries))
    assert scan.count_copies(rows) == scan.Copies(rows=6, repeated=2, most=3)
    # the first two are rows 1 and 3, -0 being 0; the third is row 0 times three; -1 times is not
    expected = scan.Leaks(5, identical=2, same_direction=3, examples=((0, 1), (1, 3), (2, 0)))
    assert scan.count_leaks(rows, asked) == expected
    assert_array_equal(rows.low, database.min(axis=0))
    assert_array_equal(rows.high, database.max(axis=0))
    assert_allclose(rows.norms, np.linalg.norm(database, axis=1))


def test_a_normalised_copy_in_float32_is_found_and_a_near_one_is_not():
    database, queries = decaying()
    queries[:20] = unit(database[100:120])
    queries[20] = database[7] * (1 + 1e-3 * np.arange(D))
    rows, asked = (scan.scan_rows(each, np.float32) for each in (database, queries))
    found = scan.count_leaks(rows, asked)
    assert (found.identical, found.same_direction) == (0, 20)
    assert found.examples == ((0, 100), (1, 101), (2, 102))


def test_leaked_queries_and_duplicates_fail_their_checks(inspect, tmp_path):
    database, queries = decaying()
    queries[[5, 9]] = database[[40, 41]]
    folder = write(tmp_path / "leaked", database, queries)
    status, found, err = inspect(folder)
    assert status == 1
    assert "check failed: leakage: 2 of 200 queries are rows of the database" in err
    assert "query 5 is row 40" in err
    assert check(found, "duplicates")["passed"]
    database, queries = decaying()
    database[:12] = database[100]  # 12 of 1,200 rows equal an earlier one: a hundredth
    status, found, _ = inspect(write(tmp_path / "twice", database, queries))
    assert (status, found["copies"]) == (0, {"rows": N, "repeated": 12, "most": 13})
    database[12] = database[100]
    status, found, err = inspect(write(tmp_path / "twice", database, queries))
    assert status == 1
    assert "check failed: duplicates: 13 of 1,200" in err


# The sample


def test_labels_and_judgements_of_a_part():
    labels = Labels(np.array([5, 6, 5, 7]), np.array([5, 7]))
    part = labels.of(np.array([1, 2]), np.array([0]))
    judged = part.judge(np.array([[1, 0]]))
    assert_array_equal(judged.gains, [[1, 0]])
    assert_array_equal(judged.relevant, [1])
    qrels = Qrels(np.array([0, 3, 5]), np.array([1, 2, 1], dtype=np.float32), 4, 2)
    judged = qrels.of(np.array([2, 3]), np.array([1, 0])).judge(np.array([[0, 1], [0, 1]]))
    assert_array_equal(judged.gains, [[0, 0], [0, 2]])


def test_a_sample_of_judged_rows_keeps_those_that_are_relevant(tmp_path, inspect):
    database, queries = decaying(n=3000, q=40)
    nearest = np.argsort(-unit(queries) @ unit(database).T, axis=1)[:, 0]
    folder = write(tmp_path / "judged", database, queries)
    (folder / "database_ids.txt").write_text("".join(f"d{n}\n" for n in range(3000)))
    (folder / "queries_ids.txt").write_text("".join(f"q{n}\n" for n in range(40)))
    lines = [f"q{query} 0 d{row} 1\n" for query, row in enumerate(nearest)][:30]
    (folder / "qrels.tsv").write_text("".join(lines))
    drawn = sample.draw_sample(open_embeddings(folder), 150, seed=0)
    assert drawn.database.shape == (150, D)
    assert len(drawn.relevance.keys) == 30
    _, found, _ = inspect(folder, "--sample", 150)
    (full,) = [
        p for p in found["points"] if (p["measure"], p["arm"], p["dim"]) == ("map@10", "prefix", D)
    ]
    assert (full["value"], full["queries"]) == (1, 30)  # 10 queries have nothing to be found


def test_a_seed_draws_the_same_and_another_does_not(inspect, nested):
    first, again, other = (
        inspect(nested, "--sample", 300, "--seed", seed)[1] for seed in (1, 1, 2)
    )
    assert first == again
    assert first["points"] != other["points"]
    assert (first["sampled_rows"], first["rows"]) == (300, N)


# The command line


def test_everything_is_printed_and_written(mrlbench, nested, tmp_path):
    (nested / "meta.json").write_text(json.dumps({"matryoshka_dimensions": [8, 32]}))
    out = tmp_path / "out"
    arguments = ("inspect", "--embeddings", nested, "--out", out)
    status, printed, _ = mrlbench(*arguments, "--dims", "4,8,32")
    assert status == 0
    assert "verdict: nested: the first coordinates are worth more than others" in printed
    assert "* not trained: meta.json says 8, 32" in printed
    assert "\n  4*" in printed
    assert "\n   8" in printed
    found = json.loads((out / "inspect.json").read_text())
    table = measurements.read(out / "inspect.csv")
    kept = table[(table["metric"] == "recall_full@10") & table["variant"].isna()]
    points = {(p["arm"], p["dim"]): p["value"] for p in found["points"]}
    written = dict(zip(zip(kept["reducer"], kept["dim"], strict=True), kept["value"], strict=True))
    assert written == pytest.approx(points)
    less = table[(table["variant"] == "minus=random-dims") & (table["dim"] == 8)]
    assert less["value"].item() == pytest.approx(points["prefix", 8] - points["random-dims", 8])
    for suffix in ("png", "svg"):
        assert (out / "plots" / f"inspect.{suffix}").stat().st_size > 10_000
    mrlbench(*arguments)  # the dims of meta.json; nothing of the first inspection is left
    assert set(pd.read_csv(out / "inspect.csv")["dim"].dropna()) == {8, 32}


@pytest.mark.parametrize("dims", ["32", "4", "5,32"])
def test_any_dims_can_be_shown_and_drawn(mrlbench, nested, tmp_path, dims):
    out = tmp_path / "out"
    status, printed, _ = mrlbench("inspect", "--embeddings", nested, "--dims", dims, "--out", out)
    assert status == 0
    assert "neighbours kept, mean of 200 queries in the sample" in printed
    assert ("random-dims" in printed) == (dims != "32")
    assert (out / "plots" / "inspect.png").is_file()


def test_quiet_says_only_what_failed(mrlbench, rotated):
    arguments = ("inspect", "--embeddings", rotated, "--quiet", "--expect", "nested")
    status, out, err = mrlbench(*arguments)
    assert (status, out) == (1, "")
    assert err == "mrlbench: check failed: expected: expected nested, got not nested\n"


def test_what_meta_says_and_the_vectors_do_not_show_is_noted(inspect, rotated):
    (rotated / "meta.json").write_text(json.dumps({"trained_dims": [32, 8]}))
    status, found, _ = inspect(rotated)
    assert (status, found["trained"], found["dims"]) == (0, [8, 32], [8, 32])
    assert (
        "meta.json says that 8, 32 were trained, but the verdict is: not nested" in found["notes"]
    )


def notes_on(folder, model=None):
    if model is not None:
        (folder / "meta.json").write_text(json.dumps({"model": model}))
    found = open_embeddings(folder)
    return quirks.note_quirks(found, sample.draw_sample(found, N, 0).database)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nomic-ai/nomic-embed-text-v1", ["v1.5 is the one trained so", "has 768 coordinates"]),
        ("nomic-ai/Nomic-Embed-Text-v1.5", ["layer norm over all", "these were cut before"]),
        (
            "gemini-embedding-001",
            ["of unit length at 3072 only", "3072 coordinates, and here are 32"],
        ),
        ("text-embedding-3-large", ["`dimensions` cuts and normalises", "these were cut before"]),
        ("mine", []),
    ],
)
def test_what_is_known_of_a_model_by_its_name(nested, model, said):
    found = notes_on(nested, model)
    assert len(found) == len(said)
    for note, part in zip(found, said, strict=True):
        assert part in note


def test_a_layer_norm_shows_in_the_vectors(tmp_path):
    database, queries = (each - each.mean(axis=1, keepdims=True) for each in decaying())
    folder = write(tmp_path / "normed", database, queries)
    assert notes_on(folder)[0].startswith("the coordinates of each row have a mean of 0")
    assert notes_on(folder, "nomic-embed-text-v1.5")[-1].endswith("norm came after the cut")
    wide = decaying(width=768)
    found = notes_on(write(tmp_path / "wide", *wide), "nomic-embed-text-v1.5")
    assert found[-1].endswith("the layer norm was left out")
    normed = write(tmp_path / "right", *(each - each.mean(axis=1, keepdims=True) for each in wide))
    assert len(notes_on(normed, "nomic-embed-text-v1.5")) == 1


def test_codes_and_rounded_values_are_told_from_vectors(tmp_path, nested):
    database, queries = decaying()
    codes = np.round(database * 20).clip(-127, 127).astype(np.float32)
    assert notes_on(nested) == ()
    (note,) = notes_on(write(tmp_path / "codes", codes, queries))
    assert note.startswith(f"there are only {len(np.unique(codes[:500]))} different values: codes")
    for decimals in (3, 6):
        rounded = np.round(database.astype(np.float64), decimals)
        folder = write(tmp_path / str(decimals), rounded.astype(np.float32), queries)
        assert notes_on(folder) == (f"all values are rounded to {decimals} decimals",)
    positive = write(tmp_path / "positive", np.abs(database) + 1e-3, queries)
    assert "no coordinate is ever negative" in notes_on(positive)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dims", "8,64"], "--dims: expected dims from 1 to 32, got 64"),
        (["--expect", "good"], "--expect: expected one of nested, not nested, got 'good'"),
        (["--embeddings", "nowhere"], "expected a folder of embeddings, got nothing at nowhere"),
    ],
)
def test_requests_that_cannot_be_met(mrlbench, nested, tmp_path, arguments, message):
    out = tmp_path / "out"
    status, _, err = mrlbench("inspect", "--embeddings", nested, "--out", out, *arguments)
    assert status == 2
    assert message in err
    assert not out.exists()


def test_meta_that_cannot_be(mrlbench, nested):
    (nested / "meta.json").write_text(json.dumps({"matryoshka_dimensions": [8, 64]}))
    status, _, err = mrlbench("inspect", "--embeddings", nested)
    assert status == 2
    assert "expected matryoshka_dimensions as numbers from 1 to 32, got [8, 64]" in err


def test_too_few_rows(mrlbench, tmp_path):
    database, queries = decaying(n=9, q=3)
    status, _, err = mrlbench("inspect", "--embeddings", write(tmp_path / "few", database, queries))
    assert status == 2
    assert "k: expected 1 to 9, the rows of the database, got 10" in err


def test_an_encoder_is_inspected_by_what_it_makes_of_a_corpus(mrlbench, tmp_path):
    rng = np.random.default_rng(0)
    words = [first + second for first in "bdfgklmn" for second in ("ack", "ell", "ino", "oop")]
    lines = ["query,document"]
    for number in range(300):
        some = rng.choice(words, 6)
        lines.append(f"{' '.join(some[:3])} {number},{' '.join(some)} {number}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    status, out, err = mrlbench(
        *("inspect", "--data=text-pairs", f"--set=data.path={tmp_path / 'pairs.csv'}"),
        *(f"--out={tmp_path / 'found'}", "--threads=1"),
    )
    assert status in (0, 1), err
    assert "encoded 600 of 600 texts" in out
    found = json.loads((tmp_path / "found" / "inspect.json").read_text())
    assert found["trained"] == [64, 128, 256]  # wordllama's
    assert (tmp_path / "found" / "embeddings" / "database.npy").is_file()
    of_folder = ("--embeddings", tmp_path / "found" / "embeddings", "--out", tmp_path / "again")
    assert mrlbench("inspect", *of_folder, "--threads=1")[0] == status
    again = json.loads((tmp_path / "again" / "inspect.json").read_text())
    assert again == found
    status, _, err = mrlbench("inspect", *of_folder, "--model=wordllama")
    assert status == 2
    assert "expected --embeddings alone, or --data, --model and --set, got some of both" in err
    status, _, err = mrlbench("inspect", "--data=text-pairs")
    assert status == 2
    assert "expected --embeddings DIR, or --data CORPUS and --out DIR" in err
