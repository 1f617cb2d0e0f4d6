"""Pairs with scores: correlations of cosines at every dim are scipy's, with their intervals."""

import numpy as np
import pytest
import torch
from scipy import stats

from mrlbench import measurements
from mrlbench.evaluation.sts import evaluate_sts
from mrlbench.intervals import correlation_intervals
from mrlbench.runs import Output
from mrlbench.sources import folder_source

PAIRS, D, DIMS = 60, 16, (1, 2, 8, 16)
RESAMPLES = 1000


def write_pairs(folder, pairs=PAIRS, dtype=np.float32):
    """Pairs that are the more alike the higher their score, of six steps; the last are parallel."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    one, other = rng.standard_normal((2, pairs, D))
    scores = rng.integers(0, 6, pairs)
    near = scores[:, None] / 5
    np.save(folder / "queries.npy", (2 * one).astype(dtype))
    np.save(folder / "database.npy", (near * one + (1 - near) * other).astype(dtype))
    np.save(folder / "scores.npy", scores.astype(np.float32))
    return folder


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs")


def cosines(folder, dim):
    """Cut first, then normalise, one pair after the other; parallel ones have cosine 1."""
    one, other = (
        np.load(folder / f"{name}.npy").astype(np.float64)[:, :dim]
        for name in ("queries", "database")
    )
    exact = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(one, other, strict=True)]
    return np.where(np.abs(exact) > 1 - 1e-12, np.sign(exact), exact)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_correlations_at_every_dim_are_scipys(tmp_path, dtype):
    folder = write_pairs(tmp_path / "pairs", dtype=dtype)
    scores = np.load(folder / "scores.npy")
    source = folder_source(folder, Output(tmp_path / "out"), DIMS, [], torch.device("cpu"))
    rows = evaluate_sts(source)
    assert {(row.dim, row.metric) for row in rows} == {
        (dim, metric) for dim in DIMS for metric in ("spearman", "pearson")
    }
    for row in rows:
        correlate = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}[row.metric]
        expected = correlate(cosines(folder, row.dim), scores).statistic
        assert row.value == pytest.approx(expected, abs=1e-9)
        assert row.ci_low < row.value < row.ci_high
        assert (row.task, row.reducer, row.n, row.n_database) == ("sts", "prefix", PAIRS, PAIRS)
    assert len({row.value for row in rows}) == len(rows)


@pytest.mark.filterwarnings("ignore:An input array is constant")  # scipy's, of such a resample
def test_the_interval_is_that_of_scipys_correlations_of_resampled_pairs():
    """Scores of three steps, so that ties differ from resample to resample; 30 pairs drawn anew."""
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 3, 30)
    values = scores + rng.standard_normal(30).round(1)
    draws = np.random.default_rng(0)
    resampled = {"spearman": [], "pearson": []}
    for _ in range(RESAMPLES // 50):
        for rows in draws.integers(0, 30, (50, 30)):
            for name, correlate in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
                resampled[name].append(correlate(values[rows], scores[rows]).statistic)
    found = correlation_intervals(values, scores)
    assert found["spearman"].value == pytest.approx(stats.spearmanr(values, scores).statistic)
    for name, expected in resampled.items():
        low, high = np.nanquantile(expected, (0.025, 0.975))
        assert found[name].low == pytest.approx(low, abs=1e-9)
        assert found[name].high == pytest.approx(high, abs=1e-9)


def test_scale_and_shift_change_nothing():
    rng = np.random.default_rng(2)
    one, other = rng.standard_normal((2, 50))
    plain, moved = correlation_intervals(one, other), correlation_intervals(one * 1e-9 + 7, other)
    for name in plain:
        assert moved[name] == pytest.approx(plain[name], abs=1e-6)


def test_what_does_not_vary_has_no_correlation():
    found = correlation_intervals(np.full(10, 0.1), np.arange(10.0))
    assert all(np.isnan(each).all() for each in found.values())
    # only the first differs: many resamples are without it and are left out
    rare = correlation_intervals(np.array([1.0, *np.full(9, 0.1)]), np.arange(10.0))
    assert rare["pearson"].value == pytest.approx(stats.pearsonr([1] + [0] * 9, range(10))[0])
    assert -1 <= rare["pearson"].low <= rare["pearson"].high < 0


def test_the_command_writes_rows_for_the_prefix_and_the_baselines(
    mrlbench, pairs, tmp_path, caplog
):
    out = tmp_path / "out"
    command = ("eval-sts", "--embeddings", pairs, "--out", out, "--dims=1,2,8,16")
    status, shown, err = mrlbench(*command, "--baselines=pca")
    assert status == 0, err
    assert "spearman" in shown
    table = measurements.read(out / "sts.csv")
    assert len(table) == 2 * 2 * len(DIMS)
    assert set(table["task"]) == {"sts"}
    assert set(table["n"]) == {PAIRS}
    scores = np.load(pairs / "scores.npy")
    for dim in DIMS:
        own = table[(table["dim"] == dim) & (table["reducer"] == "prefix")].set_index("metric")
        expected = stats.spearmanr(cosines(pairs, dim), scores).statistic
        assert own.loc["spearman", "value"] == pytest.approx(expected, rel=1e-7)
    # PCA's first 8 are others than the first 8
    assert table[table["dim"] == 8].groupby("metric")["value"].nunique().tolist() == [2, 2]
    with np.load(out / "raw" / "cosines-sts-prefix-pairs.npz") as raw:
        np.testing.assert_allclose(raw["cosine@dim8"], cosines(pairs, 8), atol=1e-12)
    status, _, err = mrlbench(*command, "--baselines=pca")
    assert status == 0
    assert "sts pairs: done before" in caplog.text


def test_a_prefix_of_zeros_has_cosine_zero(tmp_path, mrlbench):
    folder = write_pairs(tmp_path / "pairs")
    vectors = np.load(folder / "queries.npy")
    vectors[:, :2] = 0
    np.save(folder / "queries.npy", vectors)
    out = tmp_path / "out"
    command = ("eval-sts", "--embeddings", folder, "--out", out, "--dims=2,16", "--baselines=")
    status, _, err = mrlbench(*command)
    assert status == 0, err
    table = measurements.read(out / "sts.csv").set_index(["dim", "metric"])["value"]
    assert table[2].isna().all()  # all cosines are 0: nothing to correlate
    assert (table[16] > 0.5).all()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (None, "expected the scores of pairs in"),
        (np.zeros(PAIRS), "expected at least 3 pairs that differ in score, got 60 pairs of 1"),
        (np.arange(PAIRS - 1), "expected 60 numbers, got int64 of shape (59,)"),
        (np.array(["high"] * PAIRS), "expected 60 numbers, got <U4 of shape (60,)"),
        (np.array([0, np.nan] * (PAIRS // 2)), "expected finite scores, got nan in row 1"),
    ],
)
def test_scores_that_are_none_are_refused_in_one_line(mrlbench, pairs, tmp_path, scores, expected):
    (pairs / "scores.npy").unlink()
    if scores is not None:
        np.save(pairs / "scores.npy", scores)
    status, _, err = mrlbench("eval-sts", "--embeddings", pairs, "--out", tmp_path / "out")
    assert status == 2
    (line,) = err.strip().splitlines()
    assert expected in line
    assert "scores.npy" in line
    assert not (tmp_path / "out" / "sts.csv").exists()


def test_rows_that_are_no_pairs_and_a_file_that_is_cut_off(mrlbench, pairs, tmp_path):
    command = ("eval-sts", "--embeddings", pairs, "--out", tmp_path / "out")
    (pairs / "scores.npy").write_bytes(b"\x93NUMPY")
    assert "expected a .npy file in" in mrlbench(*command)[2]
    np.save(pairs / "database.npy", np.load(pairs / "database.npy")[:-1])
    status, _, err = mrlbench(*command)
    assert status == 2
    assert "whose rows are pairs, got 59 and 60" in err
