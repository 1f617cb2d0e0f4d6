"""Comparisons and gates, from runs written by hand with known differences."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from mrlbench import measurements
from mrlbench.evaluation.comparing import compare, match
from mrlbench.evaluation.measured import read_measured
from mrlbench.measurements import Row
from mrlbench.runs import Output

Q = 500
MACHINE = {"cpu": "one", "cores": 2, "gpu": None, "cpu_capability": "AVX2"}


def half_right(shift=0.0, seed=0):
    """Scores of Q queries between 0 and 1, and the same ones a little better or worse."""
    return (np.random.default_rng(seed).random(Q) * 0.5 + 0.2 + shift).astype(np.float32)


def quality(scores, dim=16, method="mrl", metric="map@10", **cells):
    mean = float(np.mean(scores, dtype=np.float64))
    usual = {"dataset": "data", "queries": "test", "task": "retrieval", "reducer": "prefix"}
    common = {"n_database": 1000, "seed": 0, "n": len(scores), "k": 10}
    ends = {"ci_low": mean - 0.02, "ci_high": mean + 0.02}
    named = {"method": method, "dim": dim, "metric": metric, "value": mean}
    return Row("run", **{**usual, **common, **ends, **named, **cells})


def timing(value, low, high, metric="us_per_query", **cells):
    usual = {"dataset": "data", "queries": "test", "n_database": 1000, "task": "search-speed"}
    named = {"method": "mrl", "dim": 16, "index": "exact", "mode": "single", "threads": 1}
    numbers = {"metric": metric, "value": value, "ci_low": low, "ci_high": high, "n": 5, "seed": 0}
    return Row("run", **{**usual, **named, **numbers, **cells})


def write_run(folder, rows=(), raw=None, times=(), machine=MACHINE, data="same", experiment=True):
    """Write a run: rows of retrieval, the scores behind them by file, timings and a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows:
        measurements.merge(folder / "retrieval.csv", rows)
    if times:
        measurements.merge(folder / "search_speed.csv", times)
    for name, arrays in (raw or {}).items():
        (folder / "raw").mkdir(exist_ok=True)
        np.savez(folder / "raw" / f"{name}.npz", fingerprint=np.array(json.dumps("x")), **arrays)
    manifest = {"machine": machine, "data": {"data": data}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if experiment:
        (folder / "experiment.toml").write_text("")
    return folder


def simple_run(folder, shift=0.0, keep=True, **cells):
    scores = half_right(shift)
    raw = {"scores-retrieval-prefix-mrl-seed-0": {"map@10@dim16": scores}} if keep else None
    return write_run(folder, [quality(scores)], raw, **cells)


def differences(first, second, methods=None, **options):
    a, b = (read_measured(Output(each)) for each in (first, second))
    return compare(a, b, match(a, b, methods or {}), **options)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.01, "better"), (-0.01, "worse"), (0.0, "no difference told")]
)
def test_a_shift_of_every_query_is_told_exactly(tmp_path, shift, verdict):
    """All queries move by the same: the paired interval has no width, the rows' are ± 2 points."""
    simple_run(tmp_path / "a")
    simple_run(tmp_path / "b", shift)
    (found,) = differences(tmp_path / "a", tmp_path / "b")
    assert found.basis == "paired"
    assert (found.value, found.low, found.high) == pytest.approx((shift,) * 3, abs=1e-6)
    assert (found.verdict, found.n, found.seeds) == (verdict, Q, 1)


def test_the_paired_interval_is_that_of_an_independent_bootstrap(tmp_path):
    before, after = half_right(), half_right(seed=1)
    for name, scores in (("a", before), ("b", after)):
        raw = {"scores-retrieval-prefix-mrl-seed-0": {"map@10@dim16": scores}}
        write_run(tmp_path / name, [quality(scores)], raw)
    (found,) = differences(tmp_path / "a", tmp_path / "b")
    random = np.random.default_rng(99)
    both = after.astype(float) - before
    means = [both[random.integers(0, Q, Q)].mean() for _ in range(10_000)]
    low, high = np.percentile(means, (2.5, 97.5))
    assert found.value == pytest.approx(both.mean(), abs=1e-9)
    assert found.low == pytest.approx(low, abs=0.05 * (high - low))
    assert found.high == pytest.approx(high, abs=0.05 * (high - low))


def test_without_raw_scores_the_interval_is_of_both_rows(tmp_path):
    simple_run(tmp_path / "a")
    simple_run(tmp_path / "b", 0.01, keep=False)
    (found,) = differences(tmp_path / "a", tmp_path / "b")
    half = 0.02 * math.sqrt(2)  # ± 0.02 each, as if independent
    assert found.basis == "unpaired"
    assert (found.low, found.high) == pytest.approx((0.01 - half, 0.01 + half), abs=1e-6)
    assert found.verdict == "no difference told"


def test_raw_scores_that_are_not_those_of_the_row_are_not_used(tmp_path):
    simple_run(tmp_path / "a")
    raw = {"scores-retrieval-prefix-mrl-seed-0": {"map@10@dim16": half_right(0.3)}}
    write_run(tmp_path / "b", [quality(half_right(0.01))], raw)
    assert differences(tmp_path / "a", tmp_path / "b")[0].basis == "unpaired"


def test_two_methods_of_one_run_and_the_fixed_model_of_each_dim(tmp_path):
    raw, rows = {}, []
    for method, shift in (("mrl", 0.0), ("mrl-e", -0.01), ("fixed-16", 0.02)):
        scores = half_right(shift)
        rows.append(quality(scores, method=method))
        raw[f"scores-retrieval-prefix-{method}-seed-0"] = {"map@10@dim16": scores}
    run = write_run(tmp_path / "run", rows, raw)
    found = differences(run, run, {"mrl": "mrl-e", "fixed": "mrl"})
    assert [each.row.method for each in found] == ["mrl", "fixed-16"]
    assert [each.method for each in found] == ["mrl-e", "mrl"]
    assert [each.value for each in found] == pytest.approx([-0.01, -0.02], abs=1e-6)
    assert {each.basis for each in found} == {"paired"}


def test_three_seeds_widen_the_interval(tmp_path):
    for name, shifts in (("a", (0, 0, 0)), ("b", (0.0, 0.01, 0.02))):
        raw, rows = {}, []
        for seed, shift in enumerate(shifts):
            scores = half_right(shift)
            rows.append(quality(scores, seed=seed))
            raw[f"scores-retrieval-prefix-mrl-seed-{seed}"] = {"map@10@dim16": scores}
        write_run(tmp_path / name, rows, raw)
    (found,) = differences(tmp_path / "a", tmp_path / "b")
    assert (found.basis, found.seeds) == ("paired, seeds", 3)
    assert found.value == pytest.approx(0.01, abs=1e-6)
    assert found.high - found.low > 0.01  # of queries alone it would have no width


def test_less_is_better_for_costs_and_times(tmp_path):
    rows = [quality(half_right()), quality([1.0], metric="mflops", ci_low=None, ci_high=None)]
    dearer = [quality(half_right()), quality([2.0], metric="mflops", ci_low=None, ci_high=None)]
    write_run(tmp_path / "a", rows, times=[timing(100, 99, 101)])
    write_run(tmp_path / "b", dearer, times=[timing(50, 49, 51)])
    found = {each.row.metric: each for each in differences(tmp_path / "a", tmp_path / "b")}
    assert (found["mflops"].value, found["mflops"].verdict) == (1, "worse")
    assert found["mflops"].basis == "no interval"
    times = found["us_per_query"]
    assert (times.value, times.verdict, times.is_ratio) == (pytest.approx(0.5), "better", True)
    # ± 1% and ± 2% add up by their squares, in logarithms
    half = math.hypot(math.log(51 / 50), math.log(100 / 99))
    assert times.high == pytest.approx(0.5 * math.exp(half), rel=1e-9)


def test_timings_of_another_machine_have_no_ratio_unless_asked(tmp_path):
    write_run(tmp_path / "a", times=[timing(100, 99, 101)])
    write_run(tmp_path / "b", times=[timing(50, 49, 51)], machine={**MACHINE, "cpu": "two"})
    (found,) = differences(tmp_path / "a", tmp_path / "b")
    assert math.isnan(found.value)
    assert (found.basis, found.verdict) == ("other machine", "")
    (found,) = differences(tmp_path / "a", tmp_path / "b", across_machines=True)
    assert found.value == pytest.approx(0.5)


def test_folders_of_different_names_are_matched_and_paired(tmp_path):
    """What `eval-retrieval --embeddings DIR --out OUT` writes has the folder's name in its rows."""
    for name, shift in (("old", 0.0), ("new", 0.01)):
        scores = half_right(shift)
        rows = [quality(scores, method=name, dataset=name, queries="queries", seed=None)]
        raw = {f"scores-retrieval-prefix-{name}": {"map@10@dim16": scores}}
        write_run(tmp_path / name, rows, raw, experiment=False)
    (found,) = differences(tmp_path / "old", tmp_path / "new")
    assert (found.row.method, found.method, found.basis) == ("old", "new", "paired")
    assert found.value == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"n_database": 999}, "expected the same database, got 1000 rows in a and 999 in b"),
        ({"n": 7}, "expected the same queries, got 500 in a and 7 in b"),
        ({"queries": "noise"}, "expected runs of the same query set, got test and noise"),
        ({"dataset": "other"}, "expected runs of the same data set, got data and other"),
        ({"method": "fixed-16"}, "a has mrl, b has fixed-16"),
    ],
)
def test_other_data_are_refused_in_one_line(tmp_path, mrlbench, cells, said):
    simple_run(tmp_path / "a")
    write_run(tmp_path / "b", [quality(half_right(), **cells)])
    status, out, err = mrlbench("compare", tmp_path / "a", tmp_path / "b")
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_other_content_of_the_data_set_is_refused(tmp_path, mrlbench):
    simple_run(tmp_path / "a")
    simple_run(tmp_path / "b", data="other")
    status, _, err = mrlbench("compare", tmp_path / "a", tmp_path / "b")
    assert status == 2
    assert "its fingerprint is same… in a and other… in b" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{a}"], "expected two runs, or one with --methods A:B"),
        (["{a}", "{a}-not-there"], "got nothing at"),
        (["{a}", "{a}", "--what=knn"], "--what: expected some of retrieval"),
        (["{a}", "--methods=mrl:"], "--methods: expected names or pairs"),
        (["{a}", "{a}", "--metrics=top9"], "--metrics: expected some of map@10 of a, got top9"),
    ],
)
def test_bad_requests_are_one_line(tmp_path, mrlbench, arguments, said):
    run = simple_run(tmp_path / "a")
    status, out, err = mrlbench("compare", *(each.format(a=run) for each in arguments))
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_table_csv_and_picture(tmp_path, mrlbench):
    for name, shift in (("a", 0.0), ("b", 0.01)):
        scores = {dim: half_right(shift * dim / 16) for dim in (8, 16)}
        rows = [quality(each, dim=dim) for dim, each in scores.items()]
        raw = {f"map@10@dim{dim}": each for dim, each in scores.items()}
        write_run(tmp_path / name, rows, {"scores-retrieval-prefix-mrl-seed-0": raw})
    out = tmp_path / "out"
    status, said, _ = mrlbench("compare", tmp_path / "a", tmp_path / "b", "--out", out)
    assert status == 0
    assert "A is a, B is b" in said
    assert "2 numbers: 2 better, 0 worse, 0 no difference told" in said
    table = pd.read_csv(out / "compare.csv")
    assert table["dim"].tolist() == [8, 16]
    assert table["difference"].to_numpy() == pytest.approx([0.005, 0.01], abs=1e-6)
    assert table["basis"].tolist() == ["paired", "paired"]
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert "map@10" in (out / "compare.svg").read_text()


def test_methods_of_a_real_run(digits_run, mrlbench, tmp_path):
    status, said, _ = mrlbench(
        *("compare", digits_run, "--methods=fixed:mrl", "--what=retrieval,knn,classification"),
        *("--out", tmp_path),
    )
    assert status == 0
    table = pd.read_csv(tmp_path / "compare.csv")
    by_csv = {
        csv: measurements.read(digits_run / f"{csv}.csv") for csv in ("knn", "classification")
    }
    for csv, own in by_csv.items():
        (row,) = table[(table["task"] == csv) & (table["metric"] == "top1") & (table["dim"] == 16)][
            ["difference", "basis"]
        ].to_dict("records")
        here = own[(own["metric"] == "top1") & (own["dim"] == 16) & own["variant"].isna()]
        here = here[here["reducer"].isin(["prefix"]) | here["reducer"].isna()]
        values = here.set_index("method")["value"]
        assert row["difference"] == pytest.approx(values["mrl"] - values["fixed-16"], abs=1e-6)
        assert row["basis"] == "paired"
    assert "A is digits, B is digits" in said


def gate(mrlbench, tmp_path, *options, baseline="a", run="b"):
    status, out, err = mrlbench(
        "gate", tmp_path / run, f"--baseline={tmp_path / baseline}", *options
    )
    return status, out.splitlines(), err


@pytest.mark.parametrize(
    ("shift", "options", "expected"),
    [
        (-0.01, [], 1),  # every query lost 0.01: the whole interval is below -0.002
        (-0.001, [], 0),  # lost, for sure, but less than that
        (-0.01, ["--max-loss=0.02"], 0),
        (-0.001, ["--max-loss=0"], 1),
        (0.01, [], 0),
        (-0.01, ["--metrics=map@10"], 1),
    ],
)
def test_the_gate_fails_on_a_loss_that_is_sure(tmp_path, mrlbench, shift, options, expected):
    simple_run(tmp_path / "a")
    simple_run(tmp_path / "b", shift)
    status, lines, _ = gate(mrlbench, tmp_path, *options)
    assert status == expected
    assert len(lines) == expected + 1
    word = "failed: 1" if expected else "passed: 0"
    assert lines[-1].startswith(f"gate {word} of 1 numbers")
    if expected:
        assert lines[0].startswith("worse: retrieval mrl prefix dim 16 map@10:")


def test_a_loss_that_may_be_chance_passes(tmp_path, mrlbench):
    """On the average 0.004 worse, but by a coin toss of ± 0.2 for each query: ± 0.018."""
    before = half_right()
    noise = np.where(np.arange(Q) % 2, 0.2, -0.2) - 0.004
    for name, scores in (("a", before), ("b", (before + noise).astype(np.float32))):
        raw = {"scores-retrieval-prefix-mrl-seed-0": {"map@10@dim16": scores}}
        write_run(tmp_path / name, [quality(scores)], raw)
    assert gate(mrlbench, tmp_path)[0] == 0
    assert gate(mrlbench, tmp_path, "--max-loss=0")[0] == 0


@pytest.mark.parametrize(
    ("us", "low", "high", "options", "expected"),
    [
        (150, 149, 151, [], 1),  # 1.5 times, ± 1.2%
        (150, 149, 151, ["--max-slowdown=1.6"], 0),
        (125, 100, 150, [], 0),  # 1.25 times, but it may be 1.0
        (80, 79, 81, [], 0),
    ],
)
def test_the_gate_fails_on_a_slowdown_that_is_sure(
    tmp_path, mrlbench, us, low, high, options, expected
):
    write_run(tmp_path / "a", [quality(half_right())], times=[timing(100, 99, 101)])
    write_run(tmp_path / "b", [quality(half_right())], times=[timing(us, low, high)])
    status, lines, _ = gate(mrlbench, tmp_path, *options)
    assert status == expected
    if expected:
        assert lines[0].startswith("slower: search-speed mrl exact dim 16 single us_per_query:")


def test_times_of_another_machine_are_not_gated_and_the_summary_says_so(tmp_path, mrlbench):
    write_run(tmp_path / "a", [quality(half_right())], times=[timing(100, 99, 101)])
    other = {**MACHINE, "cpu": "two"}
    write_run(tmp_path / "b", [quality(half_right())], times=[timing(900, 899, 901)], machine=other)
    status, (line,), _ = gate(mrlbench, tmp_path)
    assert status == 0
    assert "1 timings not compared: other machine" in line


def test_rows_that_the_run_lacks_are_counted(tmp_path, mrlbench):
    write_run(tmp_path / "a", [quality(half_right()), quality(half_right(), dim=8)])
    write_run(tmp_path / "b", [quality(half_right())])
    status, (line,), _ = gate(mrlbench, tmp_path)
    assert status == 0
    assert "1 of the baseline not in b" in line


def test_a_gate_with_nothing_to_compare_is_an_error(tmp_path, mrlbench):
    simple_run(tmp_path / "a")
    write_run(tmp_path / "b", [quality(half_right(), metric="ndcg@10")])
    status, lines, err = gate(mrlbench, tmp_path)
    assert (status, lines) == (2, [])
    assert "expected some of ndcg@10 of b, got map@10, top1" in err


def test_two_embeddings_folders_through_the_command_line(tmp_path, folder, mrlbench):
    """A copy of the vectors passes; vectors whose direction is gone fail."""
    rng = np.random.default_rng(3)
    labels = np.load(folder / "database_labels.npy")
    asked = np.load(folder / "queries_labels.npy")
    centres = rng.standard_normal((3, 16))
    for name, spread in (("old", 0.3), ("copy", 0.3), ("broken", 9.0)):
        own, noise = tmp_path / name, np.random.default_rng(4)
        own.mkdir()
        for side, classes in (("database", labels), ("queries", asked)):
            vectors = centres[classes] + spread * noise.standard_normal((len(classes), 16))
            np.save(own / f"{side}.npy", vectors.astype(np.float32))
            np.save(own / f"{side}_labels.npy", classes)
        status, _, err = mrlbench(
            *("eval-retrieval", "--embeddings", own, "--out", tmp_path / f"of-{name}"),
            *("--dims=8,16", "--k=10", "--baselines=", "-q"),
        )
        assert status == 0, err
    status, lines, _ = gate(mrlbench, tmp_path, baseline="of-old", run="of-copy")
    assert (status, len(lines)) == (0, 1)
    status, lines, _ = gate(mrlbench, tmp_path, baseline="of-old", run="of-broken")
    assert status == 1
    assert {line.split(":")[0] for line in lines[:-1]} == {"worse"}
    assert len(lines) == 5  # mAP@10 and top-1 at two dims, and the summary
