"""Verdicts on the paper's claims, from runs written by hand with known differences."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mrlbench.paper
from mrlbench import measurements
from mrlbench.intervals import paired_intervals
from mrlbench.measurements import Row
from mrlbench.paper import verdicts
from mrlbench.paper.cells import Point
from mrlbench.paper.claims import CLAIMS
from mrlbench.paper.evidence import (
    ARITHMETIC,
    OF_ROW,
    PAIRED,
    PAIRED_SEEDS,
    UNPAIRED,
    Evidence,
)
from mrlbench.paper.published import published
from mrlbench.reports.claims_table import claims_table
from mrlbench.runs import Output

Q = 1000


def claim(name):
    (found,) = [each for each in CLAIMS if each.name == name]
    return found


def row(task, method, dim, value, **cells):
    usual = {"metric": "top1", "ci_low": value - 0.02, "ci_high": value + 0.02, "seed": 0}
    common = {"queries": "test", "task": task, "method": method, "dim": dim, "value": value}
    reducer = {} if task in ("classification", "training-cost") else {"reducer": "prefix"}
    return Row("run", "data", **{**common, **reducer, **usual, **cells})


def right(count, start=0):
    """Scores of Q queries of which `count` in a row are right, from `start` on."""
    scores = np.zeros(Q, dtype=np.float32)
    scores[start : start + count] = 1
    return scores


def save(folder, kind, **arrays):
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    named = {key.replace("__", "@"): each for key, each in arrays.items()}
    fingerprint = np.array(json.dumps("any"))
    np.savez(folder / "raw" / f"scores-{kind}.npz", fingerprint=fingerprint, **named)


def write(folder, csv, *rows):
    measurements.merge(folder / f"{csv}.csv", rows)


def judge(folder, name):
    (judgement,) = verdicts.judge_run(Output(folder), [claim(name)])
    return judgement


def linear_run(folder, mrl, fixed, dims=(8, 2048)):
    """A run whose heads are right for these numbers of queries, nested: the first ones are."""
    for dim in dims:
        save(folder, f"classification-fixed-{dim}-seed-0", **{f"top1__dim{dim}": right(fixed)})
        write(folder, "classification", row("classification", f"fixed-{dim}", dim, fixed / Q))
        write(folder, "classification", row("classification", "mrl", dim, mrl / Q))
    save(folder, "classification-mrl-seed-0", **{f"top1__dim{d}": right(mrl) for d in dims})


@pytest.mark.parametrize(
    ("mrl", "fixed", "expected"),
    [
        (800, 800, "holds"),  # equal on every query: no doubt
        (760, 800, "does not hold"),  # 40 of 1000 queries lost, none won: 4 ± 1.4 points
        (795, 800, "cannot be told"),  # 5 lost, none won: 0.5 points, the tolerance itself
    ],
)
def test_three_verdicts_from_paired_scores(tmp_path, mrl, fixed, expected):
    linear_run(tmp_path, mrl, fixed)
    ours = judge(tmp_path, "linear-every-dim").ours
    assert ours.verdict == expected
    assert ours.decisive.value == pytest.approx((mrl - fixed) / Q * 100)
    assert ours.decisive.basis == PAIRED
    assert (ours.decisive.n, ours.decisive.seeds) == (Q, 1)
    assert len(ours.points) == 2


def test_a_claim_without_rows_is_not_run_and_names_its_command(tmp_path):
    write(tmp_path, "classification", row("classification", "mrl", 8, 0.8))
    judgement = judge(tmp_path, "linear-every-dim")
    assert judgement.ours.verdict == "not run"
    assert judgement.ours.decisive is None
    assert f"--run {tmp_path}" in judgement.command
    assert judge(tmp_path, "oracle").command == f"mrlbench analyze {tmp_path} --what oracle"


def test_pairing_tells_what_the_rows_alone_cannot(tmp_path):
    linear_run(tmp_path, 780, 800)
    assert judge(tmp_path, "linear-every-dim").ours.verdict == "does not hold"
    for path in (tmp_path / "raw").iterdir():
        path.unlink()
    ours = judge(tmp_path, "linear-every-dim").ours
    assert ours.verdict == "cannot be told"
    assert ours.decisive.basis == UNPAIRED
    # ± 2 points each, as if independent, wider by z(1 - 0.05/4) / z(1 - 0.05/2) for two dims
    half = 2 * np.sqrt(2) * 2.241403 / 1.959964
    assert ours.decisive.value == pytest.approx(-2)
    assert ours.decisive.high - ours.decisive.value == pytest.approx(half, rel=1e-4)
    assert ours.decisive.value - ours.decisive.low == pytest.approx(half, rel=1e-4)


def test_raw_scores_that_are_not_those_of_the_rows_are_not_used(tmp_path):
    linear_run(tmp_path, 780, 800)
    save(tmp_path, "classification-mrl-seed-0", top1__dim8=right(500), top1__dim2048=right(780))
    found = {each.at: each.basis for each in judge(tmp_path, "linear-every-dim").ours.points}
    assert found == {"8": UNPAIRED, "2048": PAIRED}
    (tmp_path / "raw" / "scores-classification-mrl-seed-0.npz").write_bytes(b"PK cut off")
    assert {each.basis for each in judge(tmp_path, "linear-every-dim").ours.points} == {UNPAIRED}


def test_every_means_the_worst_dim_and_some_the_best(tmp_path):
    for dim, mrl in ((8, 900), (16, 700)):
        numbers = {"mrl": mrl, f"fixed-{dim}": 800}
        for method, count in numbers.items():
            write(tmp_path, "knn", row("knn", method, dim, count / Q, k=1))
            save(tmp_path, f"retrieval-prefix-{method}-seed-0", **{f"top1__dim{dim}": right(count)})
        save(tmp_path, "retrieval-prefix-mrl-seed-0", top1__dim8=right(900), top1__dim16=right(700))
    every, some = (judge(tmp_path, name).ours for name in ("1nn-every-dim", "1nn-gain"))
    assert (every.verdict, every.decisive.at) == ("does not hold", "16")
    assert (some.verdict, some.decisive.at) == ("holds", "8")
    assert every.decisive.value == pytest.approx(-10)
    assert some.decisive.value == pytest.approx(10)


def test_seeds_are_paired_with_themselves_and_averaged(tmp_path):
    gains = {0: 10, 1: 20, 2: 60}
    for seed, gain in gains.items():
        for method, count in (("mrl", 800 + gain), ("fixed-8", 800)):
            cells = row("classification", method, 8, count / Q, seed=seed)
            write(tmp_path, "classification", cells)
            save(tmp_path, f"classification-{method}-seed-{seed}", top1__dim8=right(count))
    (point,) = judge(tmp_path, "linear-every-dim").ours.points
    assert point.value == pytest.approx(3)
    assert (point.basis, point.seeds, point.n) == (PAIRED_SEEDS, 3, Q)


def test_a_paired_interval_over_queries_is_that_of_the_normal_theory():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.1, 1, (1, 5000, 2))
    for each, column in zip(paired_intervals(differences), differences[0].T, strict=True):
        error = 1.96 * column.std() / np.sqrt(5000)
        assert each.value == pytest.approx(column.mean())
        assert each.low == pytest.approx(column.mean() - error, abs=0.1 * error)
        assert each.high == pytest.approx(column.mean() + error, abs=0.1 * error)


def test_seeds_widen_the_interval_by_their_standard_error():
    # no noise over queries: all doubt is about the seeds, whose mean has the error s/√S
    seeds = np.random.default_rng(1).normal(0, 1, 30)
    differences = np.repeat(seeds[:, None, None], 50, axis=1)
    (interval,) = paired_intervals(differences)
    error = 1.96 * seeds.std(ddof=1) / np.sqrt(30)
    assert interval.value == pytest.approx(seeds.mean())
    assert interval.high - interval.value == pytest.approx(error, rel=0.1)
    # two seeds are too few to say: the interval is over queries only
    (interval,) = paired_intervals(differences[:2])
    assert interval.low == pytest.approx(interval.high)


def test_a_higher_level_gives_a_wider_interval():
    differences = np.random.default_rng(2).normal(0, 1, (1, 4000, 1))
    (usual,), (wide,) = (paired_intervals(differences, level) for level in (0.95, 0.995))
    half = (usual.high - usual.low) / 2
    assert (wide.high - wide.low) / 2 == pytest.approx(half * 2.807 / 1.960, rel=0.1)


def schedule_rows(full, start, ladder, lengths, quality, mflops):
    cells = {"rerank_dims": ladder, "shortlist": lengths, "k": 10}
    return [
        row("adaptive-retrieval", "mrl", start, quality, metric="map@10", **cells),
        row("adaptive-retrieval", "mrl", start, mflops, metric="mflops", **cells),
    ]


def adaptive_run(folder):
    exact = row("retrieval", "mrl", 512, 0.8, metric="map@10", k=10)
    cost = row("retrieval", "mrl", 512, 102.4, metric="mflops", ci_low=None, ci_high=None)
    write(folder, "retrieval", exact, cost)
    write(folder, "adaptive_retrieval", *schedule_rows(512, 4, "512", "200", 0.8, 0.82))
    write(folder, "adaptive_retrieval", *schedule_rows(512, 16, "512", "200", 0.8, 4.0))
    funnel = schedule_rows(512, 4, "16>512", "200>10", 0.78, 0.81)
    write(folder, "adaptive_retrieval", *funnel)
    key = {"map@10@dim512": right(800)}
    save(folder, "retrieval-prefix-mrl-seed-0", **key)
    rerank, funnel = "map@10@dim4>512@200", "map@10@dim4>16>512@200>10"
    save(folder, "adaptive-retrieval-mrl-seed-0", **{rerank: right(800), funnel: right(780)})


def test_a_runs_own_widths_stand_for_the_papers(tmp_path):
    adaptive_run(tmp_path)
    (accuracy,) = judge(tmp_path, "adaptive-accuracy").ours.points
    assert accuracy.at == "4→512, K=200"  # D/128 of 512
    assert (accuracy.value, accuracy.low, accuracy.high, accuracy.basis) == (0, 0, 0, PAIRED)
    (cost,) = judge(tmp_path, "adaptive-flops").ours.points
    assert cost.value == pytest.approx(102.4 / 0.82)  # 124.9 times: within 5% of 128
    assert cost.basis == ARITHMETIC
    assert judge(tmp_path, "adaptive-flops").ours.verdict == "holds"
    (cost,) = judge(tmp_path, "adaptive-flops-4k").ours.points
    assert cost.at == "16→512, K=200"
    assert judge(tmp_path, "adaptive-flops-4k").ours.verdict == "does not hold"  # 25.6 of 32
    (funnel,) = judge(tmp_path, "funnel").ours.points
    assert funnel.value == pytest.approx(-2)
    assert judge(tmp_path, "funnel").ours.verdict == "does not hold"


def test_an_undecided_claim_without_paired_scores_says_how_to_get_them(tmp_path):
    adaptive_run(tmp_path)
    (tmp_path / "raw" / "scores-adaptive-retrieval-mrl-seed-0.npz").unlink()
    judgement = judge(tmp_path, "funnel")
    assert judgement.ours.verdict == "cannot be told"
    assert judgement.command == f"mrlbench eval-adaptive-retrieval {tmp_path} --force"


def test_the_graphs_speedup_is_that_of_faiss_in_batch_with_most_threads(tmp_path):
    adaptive_run(tmp_path)
    cells = {"metric": "speedup_at_equal_map@10", "rerank_dims": "512", "shortlist": "200"}
    for index, mode, threads, value in (
        ("hnsw(m=32)", "batch", 1, 99.0),
        ("hnsw(m=32)", "batch", 8, 15.0),
        ("hnsw(m=32)", "single", 8, 98.0),
        ("hnswlib(m=32)", "batch", 8, 97.0),
    ):
        named = {"index": index, "mode": mode, "threads": threads, "effort": 64}
        ends = {"ci_low": value - 1, "ci_high": value + 1}
        speed = row("adaptive-pipeline", "mrl", 4, value, **cells, **named, **ends)
        write(tmp_path, "search_speed", speed)
    ours = judge(tmp_path, "adaptive-seconds").ours
    (point,) = ours.points
    assert (point.value, point.low, point.high, point.basis) == (15, 14, 16, OF_ROW)
    assert ours.verdict == "holds"


def test_a_training_step_may_cost_five_percent_more(tmp_path):
    cells = {"metric": "step_ratio", "variant": "over=fixed-2048", "seed": None, "queries": None}
    for low, value, high, expected in (
        (0.98, 1.01, 1.04, "holds"),
        (1.03, 1.05, 1.07, "cannot be told"),
        (1.06, 1.08, 1.10, "does not hold"),
    ):
        ratio = row("training-cost", "mrl", 2048, value, ci_low=low, ci_high=high, **cells)
        write(tmp_path, "analysis", ratio)
        ours = judge(tmp_path, "training-cost").ours
        assert ours.verdict == expected
        assert ours.decisive.low == pytest.approx((1 - high) * 100)


def test_a_cascade_is_compared_at_the_papers_share_of_the_fixed_width(tmp_path):
    cascade = {"variant": "rule=max-softmax", "reducer": None}
    for dim, expected, accuracy in ((8, 8.0, 0.7), (64, 30.0, 0.9), (512, 90.0, 0.95)):
        cells = {"metric": "expected_dim", **cascade}
        write(
            tmp_path,
            "adaptive_classification",
            row("adaptive-classification", "mrl", dim, expected, **cells),
            row("adaptive-classification", "mrl", dim, accuracy, **cascade),
        )
    write(tmp_path, "classification", row("classification", "fixed-512", 512, 0.8))
    (point,) = judge(tmp_path, "cascade").ours.points
    assert point.at == "30.0 against 512"  # the widest that is no more than 37.5
    assert point.value == pytest.approx(10)


def test_robustness_is_compared_on_every_set_and_dim(tmp_path):
    for queries, mrl in (("imagenet-a", 0.3), ("imagenet-r", 0.5)):
        for dim in (8, 16):
            cells = {"queries": queries, "reducer": None}
            mine = row("robustness", "mrl", dim, mrl, **cells)
            write(tmp_path, "analysis", mine, row("robustness", f"fixed-{dim}", dim, 0.4, **cells))
    points = {each.at: each.value for each in judge(tmp_path, "robustness").ours.points}
    expected = {"imagenet-a, 8": -10, "imagenet-a, 16": -10}
    expected |= {"imagenet-r, 8": 10, "imagenet-r, 16": 10}
    assert points == pytest.approx(expected)


def test_a_boost_is_looked_at_where_the_weight_was_raised(tmp_path):
    for variant, label, counts in (
        (None, "mrl", {8: 700, 16: 900}),
        ("weights=8-boost", "mrl@weights=8-boost", {8: 740, 16: 880}),
    ):
        for dim, count in counts.items():
            cells = row("classification", "mrl", dim, count / Q, variant=variant)
            write(tmp_path, "classification", cells)
        scores = {f"top1__dim{dim}": right(count) for dim, count in counts.items()}
        save(tmp_path, f"classification-{label}-seed-0", **scores)
    ours = judge(tmp_path, "8-boost").ours
    (point,) = ours.points
    assert (point.at, point.basis) == ("8", PAIRED)
    assert point.value == pytest.approx(4)
    assert ours.verdict == "holds"


def test_dims_between_are_compared_with_the_trained_one_below(tmp_path):
    for dim, value, variant in ((8, 0.5, None), (16, 0.7, None), (12, 0.6, "interpolated")):
        write(tmp_path, "knn", row("knn", "mrl", dim, value, variant=variant))
    (point,) = judge(tmp_path, "interpolated").ours.points
    assert (point.at, point.value) == ("12", pytest.approx(10))


@pytest.mark.parametrize(
    ("name", "at", "value", "verdict"),
    [
        ("linear-every-dim", "2048", -0.07, "holds"),  # a little below, within the tolerance
        ("1nn-gain", "8", 3.26, "holds"),
        ("map-gain", "1024", 4.03, "holds"),
        ("mrl-e-close", "16", -1.59, "does not hold"),
        ("adaptive-accuracy", "16→2048, K=200", 0.07, "holds"),
        ("adaptive-flops", "16→2048, K=200", 2624.2 / 20.91, "holds"),
        ("funnel", "16→32>64>128>256>2048, K=200>100>50>25>10", -0.01, "holds"),
        ("cascade", "37.2 against 512", 0.11, "holds"),
        ("bert", "768", -0.54, "does not hold"),
    ],
)
def test_what_the_published_values_say(name, at, value, verdict):
    """Worked out by hand from the paper's tables: the code must find the same in the file."""
    finding = verdicts.judge_published(claim(name))
    assert finding.decisive.at == at
    assert finding.decisive.value == pytest.approx(value, abs=0.005 + 0.01 * (value > 100))
    assert finding.verdict == verdict


def test_no_published_number_is_typed_into_the_code():
    # numbers with two decimals or more are nobody's round figures
    values = {f"{value:g}" for value in published()["value"]}
    values = {value for value in values if re.fullmatch(r"\d+\.\d{2,}", value)}
    assert len(values) > 200
    for module in Path(mrlbench.paper.__file__).parent.glob("*.py"):
        typed = set(re.findall(r"\d+\.\d{2,}", module.read_text()))
        assert not typed & values, module
        assert not {f"{float(each) * 100:g}" for each in typed} & values, module


def test_published_values_change_what_is_shown(monkeypatch):
    table = published().copy()
    chosen = (table["published_as"] == "MRL") & (table["task"] == "classification")
    table.loc[chosen, "fraction"] -= 0.1
    monkeypatch.setattr(verdicts, "published", lambda: table)
    finding = verdicts.judge_published(claim("linear-every-dim"))
    assert finding.verdict == "does not hold"
    assert finding.decisive.value == pytest.approx(-10.07)


def test_the_bound_itself_holds():
    needs = claim("mrl-e-close")
    for low, high, expected in ((-1.0, 0, "holds"), (-1.01, -1.0, "cannot be told")):
        assert verdicts.verdict(needs, Point("16", -1, low, high)) == expected
    assert verdicts.verdict(needs, Point("16", -2, -3, -1.01)) == "does not hold"


def test_the_command_writes_and_shows_every_claim(mrlbench, tmp_path):
    linear_run(tmp_path, 760, 800)
    status, out, err = mrlbench("claims", tmp_path)
    assert status == 0, err
    assert max(len(line) for line in out.splitlines() if not line.startswith("  mrl")) <= 120
    table = pd.read_csv(tmp_path / "claims.csv")
    whole = table[table["scope"] == "claim"]
    assert whole["claim"].tolist() == [each.name for each in CLAIMS]
    assert set(whole["verdict"]) == {"does not hold", "not run"}
    (mine,) = whole[whole["claim"] == "linear-every-dim"].to_dict("records")
    assert (mine["ours"], mine["published"]) == (-4, -0.07)
    assert mine["difference"] == pytest.approx(-3.93)
    assert (mine["goal"], mine["tolerance"], mine["tolerance_from"]) == (0, 0.5, "ours")
    points = table[(table["claim"] == "linear-every-dim") & (table["scope"] == "point")]
    assert points["at"].tolist() == ["8", "2048", "16", "32", "64", "128", "256", "512", "1024"]
    assert points["ours"].notna().sum() == 2
    assert points["published"].notna().all()
    missing = whole[whole["verdict"] == "not run"]
    assert missing["command"].notna().all()
    assert "-4.00 [" in out
    for command in missing["command"]:
        assert command in out
    assert not list(tmp_path.glob(".claims*"))


def test_claims_are_no_measurements_for_later_runs_of_the_command(mrlbench, tmp_path):
    linear_run(tmp_path, 800, 800)
    verdicts.write([judge(tmp_path, "linear-every-dim")], tmp_path)
    assert set(Evidence(Output(tmp_path)).table["task"]) == {"classification"}
    status, _, err = mrlbench("claims", tmp_path / "none")
    assert status == 2
    assert "expected a run folder" in err


def test_a_reproduced_run_has_its_claims(digits_run):
    table = pd.read_csv(digits_run / "claims.csv")
    whole = table[table["scope"] == "claim"].set_index("claim")
    for name in ("linear-every-dim", "adaptive-accuracy", "mrl-e-close"):
        assert whole.loc[name, "basis"] == PAIRED
        assert whole.loc[name, "n"] == 360
    exact = measurements.read(digits_run / "retrieval.csv")
    adaptive = measurements.read(digits_run / "adaptive_retrieval.csv")
    exact = exact[
        (exact["method"] == "mrl") & (exact["metric"] == "map@10") & (exact["dim"] == 512)
    ]
    adaptive = adaptive[(adaptive["method"] == "mrl") & (adaptive["metric"] == "map@10")]
    adaptive = adaptive[(adaptive["dim"] == 4) & (adaptive["rerank_dims"] == "512")]
    expected = 100 * (adaptive["value"].item() - exact["value"].item())
    assert whole.loc["adaptive-accuracy", "ours"] == pytest.approx(expected, abs=1e-4)


def test_a_table_fits_120_columns_with_whole_schedules(tmp_path):
    adaptive_run(tmp_path)
    judgements = [judge(tmp_path, name) for name in ("funnel", "adaptive-accuracy-4k", "oracle")]
    table, missing = claims_table(judgements).split("not run;")
    assert max(map(len, table.splitlines())) <= 120
    assert "…" not in table  # nothing is cut off
    assert "-0.102" in table  # where two decimals would look like the bound
    assert f"mrlbench analyze {tmp_path} --what oracle" in missing
