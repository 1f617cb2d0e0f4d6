"""The whole path on small real data: files, columns, skipping, and other people's vectors."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mrlbench import measurements
from mrlbench.embedding.folder import open_embeddings
from mrlbench.embedding.logits import open_logits
from mrlbench.training import checkpoint

CSV = ["classification", "knn", "retrieval", "adaptive_retrieval", "search_speed", "analysis"]
DIMS = [4, 16, 128, 512]


def rows(run, csv, **cells):
    table = measurements.read(run / f"{csv}.csv")
    for column, value in cells.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    return table


def value(run, csv, **cells):
    (number,) = rows(run, csv, **cells)["value"]
    return number


@pytest.mark.parametrize("name", CSV)
def test_every_csv_has_the_columns_in_order_and_numbers(digits_run, name):
    table = pd.read_csv(digits_run / f"{name}.csv")
    assert list(table.columns) == [
        *("run", "dataset", "queries", "n_database", "task", "method", "variant", "reducer", "dim"),
        *("dtype", "index", "effort", "rerank_dims", "shortlist", "k", "mode", "threads", "metric"),
        *("value", "ci_low", "ci_high", "n", "seed"),
    ]
    assert len(table) > 0
    assert np.isfinite(table["value"]).all()
    assert (table["run"] == "digits").all()
    low = table["ci_low"].fillna(table["value"])
    high = table["ci_high"].fillna(table["value"])
    assert (low <= table["value"] + 1e-6).all()
    assert (table["value"] <= high + 1e-6).all()


def test_every_quality_number_has_its_interval_and_count(digits_run):
    for name in ("classification", "knn", "retrieval"):
        table = rows(digits_run, name)
        quality = table[table["metric"] != "mflops"]
        assert quality["ci_low"].notna().all()
        assert (quality["n"] == 360).all()
        assert quality["value"].between(0, 1).all()


def test_accuracy_of_each_head_is_that_of_its_logits(digits_run):
    for method in ("mrl", "mrl-e", "fixed-16"):
        folder = digits_run / "embeddings" / method / "seed-0"
        logits, labels = open_logits(folder)
        for dim, each in logits.items():
            expected = (each.argmax(axis=1) == labels).mean()
            cells = {"method": method, "dim": dim, "metric": "top1"}
            assert value(digits_run, "classification", **cells) == pytest.approx(expected)


def test_fixed_models_are_measured_at_their_own_dim(digits_run):
    for name in ("classification", "knn", "retrieval"):
        assert set(rows(digits_run, name, method="fixed-16")["dim"]) == {16}


def test_retrieval_is_that_of_a_plain_float64_computation(digits_run):
    embeddings = open_embeddings(digits_run / "embeddings" / "mrl" / "seed-0")
    labels = embeddings.relevance
    for dim in (16, 512):
        unit = [
            np.asarray(v[:, :dim], np.float64) for v in (embeddings.database, embeddings.queries)
        ]
        unit = [v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300) for v in unit]
        order = np.argsort(-(unit[1] @ unit[0].T), axis=1, kind="stable")
        hits = labels.database[order] == labels.queries[:, None]  # (Q, N)
        first = hits[:, :10]
        precision = first.cumsum(axis=1) / np.arange(1, 11)
        cells = {"method": "mrl", "reducer": "prefix", "dim": dim}
        expected = {
            "top1": hits[:, 0].mean(),
            "precision@10": first.mean(),
            "map@10": ((precision * first).sum(axis=1) / 10).mean(),  # classes have over 100 rows
            "recall@10": (first.sum(axis=1) / hits.sum(axis=1)).mean(),
        }
        for metric, number in expected.items():
            found = value(digits_run, "retrieval", metric=metric, **cells)
            assert found == pytest.approx(number, abs=2e-3), metric
        assert value(digits_run, "retrieval", metric="mflops", **cells) == 1437 * dim / 1e6
        knn = value(digits_run, "knn", metric="top1", **cells)
        assert knn == value(digits_run, "retrieval", metric="top1", **cells)


def test_baselines_stand_beside_the_fixed_full_width_model(digits_run):
    for name in ("knn", "retrieval"):
        table = rows(digits_run, name, method="fixed-512")
        assert set(table["reducer"]) == {"prefix", "random-dims", "pca"}
        assert set(rows(digits_run, name, method="mrl")["reducer"]) == {"prefix"}


def test_the_whole_grid_of_shortlists_and_the_funnels_are_there(digits_run):
    quality = rows(digits_run, "adaptive_retrieval", method="mrl", metric="map@10")
    pairs = {(int(row.dim), row.rerank_dims) for row in quality.itertuples()}
    grid = {(a, str(b)) for a in DIMS for b in DIMS if a < b}
    assert pairs == grid | {(16, "128>512")}
    for row in quality.itertuples():
        ladder = zip(row.rerank_dims.split(">"), row.shortlist.split(">"), strict=True)
        mflops = (1437 * row.dim + sum(int(d) * int(k) for d, k in ladder)) / 1e6
        cells = {"dim": row.dim, "rerank_dims": row.rerank_dims, "shortlist": row.shortlist}
        cost = value(digits_run, "adaptive_retrieval", method="mrl", metric="mflops", **cells)
        assert cost == pytest.approx(mflops)


def test_a_rerank_at_full_width_finds_no_more_than_the_ceiling(digits_run):
    for dim in (4, 16, 128):
        cells = {"method": "mrl", "dim": dim}
        ceiling = value(digits_run, "adaptive_retrieval", metric="ceiling_full@10", **cells)
        found = value(
            digits_run,
            "adaptive_retrieval",
            metric="recall_full_strict@10",
            rerank_dims="512",
            **cells,
        )
        assert found == pytest.approx(ceiling, abs=1e-6)


def test_search_speed_has_both_modes_and_every_index(digits_run):
    for index in ("exact", "hnsw(m=16)", "hnswlib(m=16)"):
        for dim in (16, 512):
            table = rows(digits_run, "search_speed", index=index, dim=dim, task="search-speed")
            assert {"build_s", "bytes", "recall_dim@10", "recall_dim_strict@10"} <= set(
                table["metric"]
            )
            times = table[table["metric"] == "us_per_query"]
            assert set(times["mode"]) == {"single", "batch"}
            assert (times["n"] >= 5).all()
            assert (times["value"] > 0).all()
    exact = rows(digits_run, "search_speed", index="exact", metric="recall_dim@10")
    assert (exact["value"] == 1).all()
    counted = rows(digits_run, "search_speed", index="exact", metric="distances_per_query")
    assert (counted["value"] == 1437).all()
    sizes = rows(digits_run, "search_speed", index="exact", metric="bytes", dim=512)
    assert sizes["value"].iloc[0] == pytest.approx(1437 * 512 * 4, rel=0.01)


def test_the_pipeline_is_compared_with_the_graph_at_full_width(digits_run):
    table = rows(digits_run, "search_speed", task="adaptive-pipeline", index="hnsw(m=16)")
    quality = table[table["metric"] == "map@10"]
    assert set(quality["dim"]) == {16, 512}
    assert (quality["n"] == 288).all()  # 80% of 360: the others chose the efforts


def test_training_cost_is_a_ratio_with_its_interval(digits_run):
    (row,) = rows(digits_run, "analysis", metric="step_ratio").itertuples()
    assert row.variant == "over=fixed-512"
    assert row.ci_low <= row.value <= row.ci_high
    assert 0.3 < row.value < 3


def test_figures_losses_raw_results_and_manifest_are_there(digits_run):
    for name in ("accuracy_by_dim", "knn_by_dim", "map_by_dim", "map_by_mflops"):
        with Image.open(digits_run / "plots" / f"{name}.png") as picture:
            assert picture.size[0] > 800
        assert "<svg" in (digits_run / "plots" / f"{name}.svg").read_text()
    for mode in ("single", "batch"):
        assert (digits_run / "plots" / f"time_by_dim_{mode}.png").is_file()
        assert (digits_run / "plots" / f"recall_by_time_{mode}.png").is_file()
    losses = pd.read_csv(digits_run / "models" / "mrl" / "seed-0" / "losses.csv")
    assert {f"loss@{dim}" for dim in DIMS} <= set(losses.columns)
    with np.load(digits_run / "raw" / "neighbors-prefix-16-mrl-seed-0.npz") as raw:
        assert raw["ids"].shape == (360, 800)  # the longest funnel starts from 800
    manifest = json.loads((digits_run / "manifest.json").read_text())
    assert manifest["seeds"] == [0]
    assert len(manifest["data"]["digits"]) == 64
    assert {"cpu", "threads", "packages", "blas", "commit"} <= set(manifest["machine"])
    assert manifest["stages"]["train mrl seed-0"]["seconds"] > 0


def test_kept_scores_average_to_the_rows(digits_run):
    with np.load(digits_run / "raw" / "scores-retrieval-prefix-mrl-seed-0.npz") as raw:
        scores = raw["map@10@dim16"]
    cells = {"method": "mrl", "dim": 16, "metric": "map@10", "reducer": "prefix"}
    assert value(digits_run, "retrieval", **cells) == pytest.approx(scores.mean(), abs=1e-6)


def test_what_is_done_is_not_done_again(digits_run, mrlbench, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    before = (run / "models" / "mrl" / "seed-0" / "checkpoint.pt").stat().st_mtime_ns
    status, _out, err = mrlbench("eval-retrieval", run, "--dims", "16,512", "-q")
    assert status == 0, err
    status, _out, err = mrlbench("eval-retrieval", run, "--dims", "16,512")
    assert status == 0
    assert (run / "models" / "mrl" / "seed-0" / "checkpoint.pt").stat().st_mtime_ns == before
    again = rows(run, "retrieval", method="mrl", metric="map@10", reducer="prefix", variant=None)
    assert sorted(again["dim"]) == DIMS  # the rows of the dims not asked for are kept


def test_a_training_anew_that_is_interrupted_is_not_taken_for_the_one_before(
    mrlbench, tmp_path, monkeypatch
):
    run, settings = tmp_path / "run", ("--set=training.epochs=2", "--set=training.methods=['mrl']")
    train = ("train", "digits", "--run", run, "-q", *settings)
    assert mrlbench(*train)[0] == 0
    model = run / "models" / "mrl" / "seed-0"
    losses = (model / "losses.csv").read_text()
    shutil.rmtree(model)

    def interrupt(path, state):
        save(path, state)
        raise KeyboardInterrupt

    save = checkpoint.save
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", interrupt)
        assert mrlbench(*train)[0] != 0
    assert checkpoint.load(model / checkpoint.NAME, torch.device("cpu"))["epoch"] == 1
    status, _, err = mrlbench("embed", run, "-q")
    assert status == 2
    assert "run `mrlbench train`" in err
    assert mrlbench(*train)[0] == 0
    assert (model / "losses.csv").read_text() == losses


def test_a_half_written_embedding_is_gone_on_with(digits_run, mrlbench, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    folder = run / "embeddings" / "mrl" / "seed-0"
    whole = np.load(folder / "database.npy")
    inputs = json.loads((folder / "meta.json").read_text())["inputs"]
    (folder / "meta.json").unlink()
    (folder / "database.npy").rename(folder / "database.partial")
    partial = np.load(folder / "database.partial", mmap_mode="r+")
    partial[512:] = 0  # what was not yet written
    partial.flush()
    (folder / "database.json").write_text(json.dumps({"inputs": inputs, "rows": 512}))
    status, _, err = mrlbench("embed", run, "--methods", "mrl", "-q")
    assert status == 0, err
    np.testing.assert_array_equal(np.load(folder / "database.npy"), whole)
    assert not (folder / "database.partial").exists()


def test_dry_run_prints_the_plan_and_writes_nothing(mrlbench, tmp_path):
    status, out, err = mrlbench("reproduce", "digits", "--run", tmp_path / "run", "--dry-run")
    assert status == 0, err
    assert "train mrl seed-0" in out
    assert "in all, about" in out
    assert not (tmp_path / "run").exists()


def test_anybodys_folder_is_measured(mrlbench, folder, tmp_path):
    out_folder = tmp_path / "out"
    target = ("--embeddings", folder, "--out", out_folder)
    for command in ("eval-knn", "eval-retrieval", "eval-adaptive-retrieval", "bench-search"):
        extra = ["--k", "5,10"] if command == "eval-retrieval" else []
        extra += ["--shortlist", "30"] if command == "eval-adaptive-retrieval" else []
        status, out, err = mrlbench(command, *target, "--dims", "4,16", *extra)
        assert status == 0, err
        assert "wrote" in out
    assert set(rows(out_folder, "retrieval", metric="map@10")["reducer"]) == {
        *("prefix", "pca", "random-dims")
    }
    assert (rows(out_folder, "knn")["method"] == "mine").all()
    status, out, err = mrlbench("plot", out_folder)
    assert status == 0, err
    assert (out_folder / "plots" / "map_by_dim.png").is_file()


def test_without_labels_the_neighbours_at_full_width_are_the_truth(mrlbench, folder, tmp_path):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    target = ("--embeddings", folder, "--out", tmp_path / "out")
    status, _, err = mrlbench("eval-retrieval", *target, "--dims", "4,16", "--k", "5,10", "-q")
    assert status == 0, err
    table = rows(tmp_path / "out", "retrieval", reducer="prefix")
    assert set(table["metric"]) == {
        *(
            "recall_full@5",
            "recall_full@10",
            "recall_full_strict@5",
            "recall_full_strict@10",
            "mflops",
        )
    }
    database, queries = (
        np.load(folder / f"{n}.npy").astype(float) for n in ("database", "queries")
    )

    def nearest(dim):
        cut = [
            v[:, :dim] / np.linalg.norm(v[:, :dim], axis=1, keepdims=True)
            for v in (queries, database)
        ]
        return np.argsort(-(cut[0] @ cut[1].T), axis=1)[:, :5]

    pairs = zip(nearest(4), nearest(16), strict=True)
    expected = np.mean([len(set(a) & set(b)) / 5 for a, b in pairs])
    strict = value(
        tmp_path / "out", "retrieval", metric="recall_full_strict@5", dim=4, reducer="prefix"
    )
    assert strict == pytest.approx(expected)
    assert (
        value(tmp_path / "out", "retrieval", metric="recall_full@5", dim=16, reducer="prefix") == 1
    )


def test_graded_judgements_are_read(mrlbench, folder, tmp_path):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    (folder / "database_ids.txt").write_text("".join(f"d{n}\n" for n in range(60)))
    (folder / "queries_ids.txt").write_text("".join(f"q{n}\n" for n in range(20)))
    database, queries = (
        np.load(folder / f"{n}.npy").astype(float) for n in ("database", "queries")
    )
    similarity = (queries @ database.T) / np.linalg.norm(database, axis=1)
    order = np.argsort(-similarity, axis=1)
    # the third result of every query is relevant with gain 2, and one far away with gain 1
    lines = [f"q{q} 0 d{order[q, 2]} 2\nq{q} 0 d{order[q, -1]} 1\n" for q in range(20)]
    (folder / "qrels.tsv").write_text("".join(lines))
    target = ("--embeddings", folder, "--out", tmp_path / "out", "--dims", "16", "--baselines", "")
    status, _, err = mrlbench("eval-retrieval", *target, "--k", "10", "-q")
    assert status == 0, err
    out = tmp_path / "out"
    assert value(out, "retrieval", metric="mrr@10") == pytest.approx(1 / 3)
    assert value(out, "retrieval", metric="recall@10") == pytest.approx(1 / 2)
    ndcg = (2 / np.log2(4)) / (2 / 1 + 1 / np.log2(3))
    assert value(out, "retrieval", metric="ndcg@10") == pytest.approx(ndcg)


def test_a_folder_of_images_is_an_experiment(mrlbench, tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 8)):
        for name, colour in (("dark", 40), ("light", 200)):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(colour - 30, colour + 30, (36, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    status, _out, err = mrlbench(
        *("train", "digits", "--run", tmp_path / "run", "--data-dir", tmp_path, "-q"),
        *("--set=dataset.name=image-folder", "--set=dataset.size=32", "--set=training.epochs=2"),
        *(
            "--set=training.methods=['mrl']",
            "--set=training.batch_size=16",
            "--set=search.dims=[512]",
        ),
    )
    assert status == 0, err
    status, _out, err = mrlbench(
        "eval-knn", tmp_path / "run", "--data-dir", tmp_path, "--dims", "4,16,512"
    )
    assert status == 0, err
    assert sorted(rows(tmp_path / "run", "knn")["dim"]) == [4, 16, 512]
    assert (rows(tmp_path / "run", "knn")["queries"] == "val").all()


def test_list_names_every_kind(mrlbench):
    status, out, _ = mrlbench("list")
    assert status == 0
    for name in ("fashion-mnist", "resnet", "mrl-e", "pca", "hnswlib", "average-precision"):
        assert name in out
    status, out, _ = mrlbench("list", "indexes")
    assert "resnet" not in out


def test_a_second_plan_says_that_all_is_done(digits_run, mrlbench, small):
    status, out, err = mrlbench("reproduce", "digits", "--run", digits_run, "--dry-run", *small)
    assert status == 0, err
    stages = out.splitlines()[1:-1]
    assert [line.split()[0] for line in stages if not line.endswith("done")] == [
        *("plot", "claims")
    ]


def test_dims_without_full_width_are_a_grid_too(digits_run, mrlbench, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    (run / "adaptive_retrieval.csv").unlink()
    status, _out, err = mrlbench("eval-adaptive-retrieval", run, "--dims", "4,16")
    assert status == 0, err
    table = rows(run, "adaptive_retrieval", method="mrl", metric="map@10")
    assert {(int(row.dim), row.rerank_dims) for row in table.itertuples()} == {(4, "16")}


def test_without_labels_full_width_is_the_truth_even_when_it_is_not_asked_for(
    mrlbench, folder, tmp_path
):
    for name in ("database", "queries"):
        (folder / f"{name}_labels.npy").unlink()
    target = ("--embeddings", folder, "--out", tmp_path / "out")
    status, _, err = mrlbench("eval-retrieval", *target, "--dims", "4,8", "--k", "5", "-q")
    assert status == 0, err
    table = rows(tmp_path / "out", "retrieval", metric="recall_full@5")
    assert set(zip(table["reducer"], table["dim"], strict=True)) == {
        (reducer, dim) for reducer in ("prefix", "pca", "random-dims") for dim in (4, 8)
    }


def test_corrected_labels_are_measured_again(mrlbench, folder, tmp_path):
    target = ("--embeddings", folder, "--out", tmp_path / "out", "--dims", "16", "-q")
    assert mrlbench("eval-knn", *target)[0] == 0
    before = value(tmp_path / "out", "knn", reducer="prefix")
    np.save(folder / "queries_labels.npy", np.full(20, 99))
    assert mrlbench("eval-knn", *target)[0] == 0
    assert value(tmp_path / "out", "knn", reducer="prefix") == 0 < before


def test_rows_of_vectors_that_are_gone_are_dropped(mrlbench, folder, tmp_path):
    target = ("--embeddings", folder, "--out", tmp_path / "out", "-q")
    assert mrlbench("eval-knn", *target, "--dims", "4,16")[0] == 0
    np.save(folder / "queries.npy", np.load(folder / "queries.npy")[::-1].copy())
    assert mrlbench("eval-knn", *target, "--dims", "8")[0] == 0
    assert set(rows(tmp_path / "out", "knn")["dim"]) == {8}


def test_a_narrower_question_keeps_the_raw_neighbours_of_the_wider_one(
    digits_run, mrlbench, tmp_path
):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    assert mrlbench("eval-knn", run, "--dims", "24", "--methods", "mrl", "-q")[0] == 0
    for dim, count in ((128, 100), (24, 1)):
        with np.load(run / "raw" / f"neighbors-prefix-{dim}-mrl-seed-0.npz") as raw:
            assert raw["ids"].shape == (360, count)


def test_logits_alone_are_enough_for_classification(mrlbench, tmp_path):
    folder = tmp_path / "cascade"
    folder.mkdir()
    logits = {"4": [[1, 2, 0], [3, 1, 2], [0, 0, 0]], "8": [[9, 2, 0], [3, 1, 2], [0, 0, 5]]}
    arrays = {dim: np.array(each, dtype=np.float32) for dim, each in logits.items()}
    np.savez(folder / "logits.npz", labels=np.array([0, 0, 2]), **arrays)
    out = tmp_path / "out"
    status, _, err = mrlbench("eval-classification", "--embeddings", folder, "--out", out, "-q")
    assert status == 0, err
    # at 4: wrong, right, and a tie of all three, which is not right
    assert value(out, "classification", dim=4, metric="top1") == pytest.approx(1 / 3)
    assert value(out, "classification", dim=8, metric="top1") == 1


def test_a_fixed_model_between_the_dims_is_measured_at_its_own(mrlbench, tmp_path):
    status, _, err = mrlbench(
        *("train", "digits", "--run", tmp_path / "run", "-q", "--set=training.epochs=1"),
        *("--set=training.methods=['fixed-100']", "--set=training.dims=[8, 512]"),
        "--set=search.dims=[8]",
    )
    assert status == 0, err
    assert mrlbench("eval-knn", tmp_path / "run", "-q")[0] == 0
    assert set(rows(tmp_path / "run", "knn")["dim"]) == {100}
    status, _, err = mrlbench("eval-knn", tmp_path / "run", "--dims", "8")
    assert status == 2
    assert "nothing of fixed-100 is measured at [8]" in err


def test_an_interrupted_embedding_of_the_queries_keeps_the_database(digits_run, mrlbench, tmp_path):
    run = tmp_path / "digits"
    shutil.copytree(digits_run, run)
    folder = run / "embeddings" / "mrl" / "seed-0"
    inputs = json.loads((folder / "meta.json").read_text())["inputs"]
    queries = np.load(folder / "queries.npy")
    (folder / "meta.json").unlink()
    (folder / "queries.npy").unlink()
    (folder / "database.json").write_text(json.dumps({"inputs": inputs, "rows": 1437}))
    before = (folder / "database.npy").stat().st_mtime_ns
    assert mrlbench("embed", run, "--methods", "mrl", "-q")[0] == 0
    assert (folder / "database.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(np.load(folder / "queries.npy"), queries)
    assert not list(folder.glob("*.partial")) + list(folder.glob("database.json"))
